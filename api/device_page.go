package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
)

// What the page of one device shows besides the device: its past, what staff noted, and
// why it would not open.

// DevicePages are read for the page of one device.
type DevicePages interface {
	// AddNote: order.ErrNotFound where there is no such device.
	AddNote(ctx context.Context, n order.Note, a order.Audit) error
	Notes(ctx context.Context, id device.ID, since time.Time, limit int) ([]order.Note, error)
	// Hops are by command; nobody may have noted them.
	Hops(ctx context.Context, commands []string) (map[string]order.Hops, error)
	CommandPage(ctx context.Context, id device.ID, since time.Time, after string, limit int) ([]device.Command, error)
	EvidencePage(ctx context.Context, id device.ID, since time.Time, after order.EvidenceAt, limit int) ([]device.Evidence, error)
	EvidenceGaps(ctx context.Context, id device.ID) ([]order.EvidenceGap, error)
	// FleetRows reads devices of those ids as the fleet shows them, and the clock.
	FleetRows(ctx context.Context, ids []device.ID) ([]order.FleetRow, time.Time, error)
	// DevicesByID lists by id; unknown ones are left out.
	DevicesByID(ctx context.Context, ids []device.ID) ([]order.DeviceRow, error)
}

func (a *API) devicePageRoutes(h huma.API) {
	register(a, h, forStaff("list-commands", http.MethodGet, "/v1/operator/devices/{id}/commands", "A device's commands, newest first"), a.listCommands)
	register(a, h, forStaff("list-evidence", http.MethodGet, "/v1/operator/devices/{id}/evidence", "What a device signed, newest first"), a.listEvidence)
	register(a, h, forStaff("list-notes", http.MethodGet, "/v1/operator/devices/{id}/notes", "What staff noted about a device, newest first"), a.listNotes)
	op := forStaff("add-note", http.MethodPost, "/v1/operator/devices/{id}/notes", "Note something about a device for other staff")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addNote)
	op = forStaff("diagnose-device", http.MethodGet, "/v1/operator/devices/{id}/diagnosis", "Why a device would not open for a rider who scanned it now")
	op.Description += " opens is yes only where a scan would be offered and its order placed; unknown where only a rider's phone or a try could tell: it is out of reach, or it jammed when it was last asked." +
		" Findings are the worst first."
	register(a, h, op, a.diagnoseDevice)
}

// since is from when on the member who asks may see a device's past: who is bound to
// venues sees nothing of before it came there. The zero time = all of it.
func (a *API) since(ctx context.Context, id device.ID) (time.Time, error) {
	if venuesOf(ctx) == nil {
		return time.Time{}, nil
	}
	at, err := a.Store.VenueSince(ctx, id)
	if err != nil {
		return time.Time{}, instead(err, errDeviceUnknown)
	}
	return at, nil
}

// Hops is a command's way by the database's clock. What is absent did not happen, or was
// not noted: times are written behind the command's back.
type Hops struct {
	Committed time.Time  `json:"committed_at"`
	Handed    *time.Time `json:"handed_at,omitempty" doc:"The broker took it first"`
	Answered  *time.Time `json:"answered_at,omitempty" doc:"The device's word on it was committed"`
	Acked     *time.Time `json:"acked_at,omitempty" doc:"The ack of that word was handed to the broker"`
	Sends     int        `json:"sends" doc:"How often its bytes were due to leave"`
}

// shownCommands adds the hops to commands.
func (a *API) shownCommands(ctx context.Context, commands []device.Command) ([]Command, error) {
	hops, err := a.Store.Hops(ctx, each(commands, func(c device.Command) string { return c.ID }))
	if err != nil {
		return nil, err
	}
	return each(commands, func(c device.Command) Command {
		v, h := commandOf(c), hops[c.ID]
		v.Tried = h.Tried
		v.Hops = &Hops{Committed: c.CreatedAt, Handed: optionalTime(h.Handed), Answered: optionalTime(c.DoneAt), Acked: optionalTime(h.Acked), Sends: h.Sends}
		return v
	}), nil
}

// DeviceWanted is what a device is to be.
type DeviceWanted struct {
	Service   string `json:"service"`
	ServerKey string `json:"server_key" doc:"Name of the installation's signing key"`
}

// DeviceSays is what a device last said of itself.
type DeviceSays struct {
	Firmware    string     `json:"firmware,omitempty"`
	HeardAt     *time.Time `json:"heard_at,omitempty"`
	Age         *int64     `json:"age_s,omitempty" doc:"Seconds since then"`
	Battery     *int       `json:"battery,omitempty" doc:"Percent; unsigned"`
	Uptime      *uint64    `json:"uptime_ms,omitempty" doc:"Of its newest dated word"`
	Boot        string     `json:"boot,omitempty" doc:"Id of the start that it runs since"`
	StartedAt   *time.Time `json:"started_at,omitempty" doc:"That start: when the word came that told uptime_ms, less it. heard_at may be of a later word that told none"`
	PositionAge *int64     `json:"position_age_s,omitempty"`
	ServerKey   string     `json:"server_key,omitempty" doc:"Name of the signing key that it is proved to know"`
	Rekey       string     `json:"rekey,omitempty" enum:"shown,tried,alone" doc:"How far its change to another key is"`
	Journal     string     `json:"journal,omitempty"`
	Applied     uint64     `json:"applied" doc:"Up to which its journal is applied or lost"`
	Highest     uint64     `json:"highest" doc:"The highest number that it said it has"`
}

// DeviceCounters only grow, as the device counts.
type DeviceCounters struct {
	Opens      uint64      `json:"opens"`
	Totalisers []Totaliser `json:"totaliser_ml,omitempty"`
}

// Totaliser is a nozzle's.
type Totaliser struct {
	Outlet int    `json:"outlet"`
	Nozzle int    `json:"nozzle"`
	Grade  string `json:"grade,omitempty"`
	ML     uint64 `json:"ml"`
}

// EvidenceGap is a run of numbers of a journal that are not here.
type EvidenceGap struct {
	Journal string `json:"journal"`
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	State   string `json:"state" enum:"waiting,lost" doc:"waiting: a probe asks for them; lost: the device no longer has them"`
}

// Note is what a member of staff wrote about a device.
type Note struct {
	ID    string    `json:"id"`
	Text  string    `json:"text"`
	Staff string    `json:"staff"`
	Name  string    `json:"name,omitempty"`
	At    time.Time `json:"at"`
}

func noteOf(n order.Note) Note {
	return Note{ID: n.ID, Text: n.Text, Staff: n.Staff, Name: n.Name, At: n.At}
}

func gapOf(g order.EvidenceGap) EvidenceGap {
	state := "waiting"
	if g.Lost {
		state = "lost"
	}
	return EvidenceGap{Journal: hex.EncodeToString(g.Journal[:]), From: g.From, To: g.To, State: state}
}

// addPage fills what only the page of one device shows.
func (a *API) addPage(ctx context.Context, row order.DeviceRow, venues []order.Venue, since time.Time, v *DeviceDetail) error {
	d := row.Device
	if err := a.addGlance(ctx, d, venues, v); err != nil {
		return err
	}
	v.Wanted = DeviceWanted{Service: string(d.Service), ServerKey: a.Orders.Env.Keys.Name}
	v.Says = saysOf(row, v.Battery)
	for _, o := range row.Outlets {
		v.Counters.Opens += o.Opens
		for nozzle, ml := range o.Meter.Stated {
			v.Counters.Totalisers = append(v.Counters.Totalisers, Totaliser{int(o.N), int(nozzle), o.Meter.Grades[nozzle], ml})
		}
	}
	slices.SortFunc(v.Counters.Totalisers, func(a, b Totaliser) int { return (a.Outlet-b.Outlet)*256 + a.Nozzle - b.Nozzle })
	gaps, err := a.Store.EvidenceGaps(ctx, d.ID)
	if err != nil {
		return err
	}
	v.Gaps = each(gaps, gapOf)
	notes, err := a.Store.Notes(ctx, d.ID, since, notesMost)
	v.Notes = each(notes, noteOf)
	return err
}

// addGlance fills what the fleet shows of the device, by the same rule.
func (a *API) addGlance(ctx context.Context, d device.Device, venues []order.Venue, v *DeviceDetail) error {
	prefs, err := a.Store.Preferences(ctx)
	if err != nil {
		return err
	}
	rows, now, err := a.Store.FleetRows(ctx, []device.ID{d.ID})
	if err != nil || len(rows) == 0 {
		return err
	}
	i := slices.IndexFunc(venues, func(w order.Venue) bool { return w.ID == d.Venue })
	if i < 0 {
		return fmt.Errorf("venue %s of %s: %w", d.Venue, d.ID, order.ErrNotFound)
	}
	v.State, v.Problems = live.Glance(rows[0], order.Glimpse{Battery: v.Battery}, venues[i], prefs, now)
	return nil
}

// saysOf is what a device last said of itself, with its battery in percent; nil = not told.
func saysOf(row order.DeviceRow, battery *int) DeviceSays {
	d := row.Device
	says := DeviceSays{Firmware: d.Firmware, HeardAt: optionalTime(d.HeardAt), Age: ageOf(d.HeardAt), Battery: battery, ServerKey: d.ServerKey,
		Applied: d.Applied, Highest: d.Head.Highest}
	if d.Rekey != nil {
		says.Rekey = string(d.Rekey.Step)
	}
	if d.Journal != (device.Journal{}) {
		says.Journal = hex.EncodeToString(d.Journal[:])
	}
	if s := d.Sample; s.Boot != (device.Boot{}) {
		says.Boot, says.Uptime, says.StartedAt = hex.EncodeToString(s.Boot[:]), &s.Uptime, startOf(s)
	}
	if row.PlacedAt != nil {
		says.PositionAge = ageOf(*row.PlacedAt)
	}
	return says
}

// startOf is when a device started, by the clock of its sample alone: its uptime is of
// that word and of no later one. nil: unknown.
func startOf(s device.Sample) *time.Time {
	if s.Boot == (device.Boot{}) || s.At.IsZero() || s.Uptime > uint64(math.MaxInt64/time.Millisecond) {
		return nil
	}
	return optionalTime(s.At.Add(-time.Duration(s.Uptime) * time.Millisecond))
}

// ageOf is whole seconds since a moment; nil for the zero time.
func ageOf(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := max(int64(time.Since(t)/time.Second), 0)
	return &s
}

// CommandList is one page of a device's commands.
type CommandList struct {
	Commands   []Command `json:"commands"`
	NextCursor string    `json:"next_cursor,omitempty"`
}

type deviceListInput struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	PageQuery
}

type commandListOutput struct{ Body CommandList }

func (a *API) listCommands(ctx context.Context, in *deviceListInput) (*commandListOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	since, err := a.since(ctx, device.ID(in.ID))
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.CommandPage(ctx, device.ID(in.ID), since, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		if err := a.deviceThere(ctx, device.ID(in.ID)); err != nil {
			return nil, err
		}
	}
	rows, next := cut(rows, in.Limit, func(c device.Command) string { return c.ID })
	shown, err := a.shownCommands(ctx, rows)
	return &commandListOutput{CommandList{shown, next}}, err
}

// deviceThere is errDeviceUnknown where a device is not.
func (a *API) deviceThere(ctx context.Context, id device.ID) error {
	rows, err := a.Store.DevicesByID(ctx, []device.ID{id})
	if err == nil && len(rows) == 0 {
		err = errDeviceUnknown
	}
	return err
}

// EvidenceList is one page of what a device signed.
type EvidenceList struct {
	Evidence   []Evidence `json:"evidence"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

type evidenceListOutput struct{ Body EvidenceList }

func (a *API) listEvidence(ctx context.Context, in *deviceListInput) (*evidenceListOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	at, err := evidenceAt(after)
	if err != nil {
		return nil, err
	}
	since, err := a.since(ctx, device.ID(in.ID))
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.EvidencePage(ctx, device.ID(in.ID), since, at, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		if err := a.deviceThere(ctx, device.ID(in.ID)); err != nil {
			return nil, err
		}
	}
	rows, next := cut(rows, in.Limit, func(e device.Evidence) string { return fmt.Sprintf("%d-%x-%d", e.Epoch, e.Journal, e.Seq) })
	return &evidenceListOutput{EvidenceList{each(rows, evidenceOf), next}}, nil
}

// evidenceAt reads a place out of a cursor; errCursor.
func evidenceAt(text string) (at order.EvidenceAt, err error) {
	if text == "" {
		return at, nil
	}
	bad := fmt.Errorf("cursor %q: %w", base64.RawURLEncoding.EncodeToString([]byte("1:"+text)), errCursor)
	parts := strings.Split(text, "-")
	if len(parts) != 3 {
		return at, bad
	}
	epoch, errEpoch := strconv.ParseUint(parts[0], 10, 32)
	journal, errJournal := hex.DecodeString(parts[1])
	seq, errSeq := strconv.ParseInt(parts[2], 10, 64) // as the column has it
	if errEpoch != nil || errJournal != nil || errSeq != nil || len(journal) != len(at.Journal) || epoch == 0 {
		return at, bad
	}
	at.Epoch, at.Seq = uint32(epoch), uint64(seq)
	copy(at.Journal[:], journal)
	return at, nil
}

// NoteList is what staff noted.
type NoteList struct {
	Notes []Note `json:"notes"`
}

// notesMost is how many notes are shown.
const notesMost = 100

type noteListOutput struct{ Body NoteList }

func (a *API) listNotes(ctx context.Context, in *devicePath) (*noteListOutput, error) {
	since, err := a.since(ctx, device.ID(in.ID))
	if err != nil {
		return nil, err
	}
	notes, err := a.Store.Notes(ctx, device.ID(in.ID), since, notesMost)
	if err == nil && len(notes) == 0 {
		err = a.deviceThere(ctx, device.ID(in.ID))
	}
	if err != nil {
		return nil, err
	}
	return &noteListOutput{NoteList{each(notes, noteOf)}}, nil
}

type addNoteInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"2000" pattern:"\\S"`
	}
}

// addNote answers with all notes. The audit says that there is one and not what it says.
func (a *API) addNote(ctx context.Context, in *addNoteInput) (*noteListOutput, error) {
	id := newID(time.Now())
	err := a.Store.AddNote(ctx, order.Note{ID: id, Device: device.ID(in.ID), Text: in.Body.Text, Staff: staffOf(ctx).ID},
		audit(ctx, "device.note", "device "+in.ID, "", map[string]string{"note": id}))
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return a.listNotes(ctx, &devicePath{in.ID})
}

// Diagnosis is why a device would not open.
type Diagnosis struct {
	Opens    string    `json:"opens" enum:"yes,no,unknown"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is so.
type Finding struct {
	Code     string         `json:"code" doc:"device_offline, never_heard, out_of_service, maintenance, retired, stopped, outlet_busy, outlet_reserved, outlet_open, block_unproven, block_await_closed, venue_closed, venue_not_open, no_tariff, code_missing, evidence_gap, evidence_floor, low_battery, command_unanswered, last_start_failed, jammed, clock_stale, key_behind, outside or all_well"`
	Severity string         `json:"severity" enum:"blocks,warns,ok"`
	Facts    map[string]any `json:"facts" doc:"Numbers, ids and words of the API, by name"`
	Action   *FindingAction `json:"action,omitempty" doc:"What mends it from afar"`
}

// FindingAction is an operation of this document with the body that mends a finding.
type FindingAction struct {
	Operation string         `json:"operation" doc:"Its id"`
	Label     string         `json:"label_code"`
	Body      map[string]any `json:"body"`
}

type diagnoseInput struct {
	ID     string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Outlet int    `query:"outlet" minimum:"1" maximum:"255" default:"1"`
}

type diagnosisOutput struct{ Body Diagnosis }

func (a *API) diagnoseDevice(ctx context.Context, in *diagnoseInput) (*diagnosisOutput, error) {
	id := device.ID(in.ID)
	q := order.Diagnosing{Device: id, Outlet: uint8(in.Outlet)}
	var err error
	if q.Prefs, err = a.Store.Preferences(ctx); err != nil {
		return nil, err
	}
	if q.Codes, err = a.Store.Codes(ctx, id, codesMost); err != nil {
		return nil, err
	}
	since, err := a.since(ctx, id)
	if err != nil {
		return nil, err
	}
	if q.Recent, err = a.Store.CommandsOf(ctx, id, since, deviceNewest); err != nil {
		return nil, err
	}
	if q.Evidence, err = a.Store.EvidenceOf(ctx, id, since, deviceNewest); err != nil {
		return nil, err
	}
	if q.Gaps, err = a.Store.EvidenceGaps(ctx, id); err != nil {
		return nil, err
	}
	lat, lng, known, err := a.Store.Position(ctx, id)
	if err != nil {
		return nil, err
	}
	if known {
		q.Stands = &order.Point{Lat: lat, Lng: lng}
	}
	d, err := a.Orders.Diagnose(ctx, q)
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	v := Diagnosis{Opens: d.Opens, Findings: each(d.Findings, func(f order.Finding) Finding {
		shown := Finding{Code: f.Code, Severity: f.Severity, Facts: f.Facts}
		if f.Action != nil {
			shown.Action = &FindingAction{f.Action.Operation, f.Action.Label, f.Action.Body}
			if shown.Action.Body == nil {
				shown.Action.Body = map[string]any{}
			}
		}
		return shown
	})}
	return &diagnosisOutput{v}, nil
}
