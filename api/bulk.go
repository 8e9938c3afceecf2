package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
)

func (a *API) bulkRoutes(h huma.API) {
	op := answersOf(forStaff("add-bulk", http.MethodPost, "/v1/operator/bulk", "Do one thing to every device of a filter"),
		http.StatusAccepted, "application/json", schemaOf[Bulk](a))
	op.Description += " With preview it only says which devices are meant, with status 200, and needs no Idempotency-Key. Without," +
		" set must be the one that the preview told. It runs by itself from then on."
	op.MaxBodyBytes = 4 << 20
	register(a, h, op, a.addBulk)
	register(a, h, forStaff("list-bulks", http.MethodGet, "/v1/operator/bulk", "Acts on many devices, newest first"), a.listBulks)
	register(a, h, forStaff("get-bulk", http.MethodGet, "/v1/operator/bulk/{id}", "How far one is, and what became of its devices"), a.getBulk)
	register(a, h, forStaff("halt-bulk", http.MethodPost, "/v1/operator/bulk/{id}/halt", "Leave the devices that wait as they are"), a.haltBulk)
	register(a, h, asCSV(forStaff("bulk-results-csv", http.MethodGet, "/v1/operator/bulk/{id}/results.csv", "What became of each device")), a.bulkCSV)
}

// BulkFilter picks devices as the console's address does.
type BulkFilter struct {
	Q        string   `json:"q,omitempty" maxLength:"64" doc:"Part of the id, or of the venue's id or name"`
	Venue    string   `json:"venue,omitempty" maxLength:"32"`
	Kind     string   `json:"kind,omitempty" maxLength:"16" doc:"lock, pump"`
	State    string   `json:"state,omitempty" maxLength:"40" doc:"available, in_use, reserved, unresolved, blocked, offline, maintenance, stopped, never_heard, out_of_service, retired"`
	Service  string   `json:"service,omitempty" maxLength:"40" doc:"in_service, maintenance, out_of_service, retired"`
	Problem  string   `json:"problem,omitempty" maxLength:"40" doc:"any, offline, unresolved, low_battery, evidence_gap, unlock_failures, clock_drift, outside, open_item, stopped, out_of_service, rekey, maintenance, jammed"`
	Battery  string   `json:"battery,omitempty" maxLength:"3" doc:"Below so many percent"`
	Firmware string   `json:"firmware,omitempty" maxLength:"64"`
	Box      string   `json:"box,omitempty" maxLength:"100" doc:"south,west,north,east"`
	IDs      []string `json:"ids,omitempty" maxItems:"100000" doc:"Only these, of those that the rest picks"`
}

// matching returns the devices that a filter picks, of those that the member who asks sees.
func (a *API) matching(ctx context.Context, f BulkFilter) ([]device.ID, error) {
	if a.Hub == nil {
		return nil, errFleetUnread
	}
	ids, err := a.Hub.Matching(ctx, live.ScopeOf(venuesOf(ctx)), live.Filter(f))
	if errors.Is(err, order.ErrInvalid) {
		return nil, err
	}
	if err != nil {
		return nil, unread(err)
	}
	return ids, nil
}

// BulkBody is one thing to do to many devices.
type BulkBody struct {
	Filter  BulkFilter     `json:"filter"`
	Act     string         `json:"act" enum:"maintenance,in_service,retire,ring,probe,transfer"`
	Args    order.BulkArgs `json:"args,omitempty"`
	Reason  string         `json:"reason,omitempty" maxLength:"500" doc:"Needed unless preview"`
	Preview bool           `json:"preview,omitempty"`
	Set     string         `json:"set,omitempty" pattern:"^[0-9a-f]{32}$" doc:"Needed unless preview: the preview's"`
}

// BulkPreview is which devices a filter picks now.
type BulkPreview struct {
	Count  int      `json:"count"`
	Set    string   `json:"set" doc:"Names these devices, and no others"`
	Sample []string `json:"sample" doc:"The first twenty"`
}

// Bulk is one act on many devices.
type Bulk struct {
	ID       string          `json:"id"`
	Act      string          `json:"act"`
	Args     order.BulkArgs  `json:"args"`
	Filter   json.RawMessage `json:"filter"`
	Reason   string          `json:"reason"`
	Staff    string          `json:"staff"`
	At       time.Time       `json:"at"`
	State    string          `json:"state" enum:"running,done,halted"`
	Total    int             `json:"total"`
	Done     int             `json:"done"`
	Failed   int             `json:"failed"`
	Halted   int             `json:"halted" doc:"Left as they were"`
	HaltedAt *time.Time      `json:"halted_at,omitempty"`
	HaltedBy string          `json:"halted_by,omitempty"`
}

// BulkDetail is a bulk with a page of what became of its devices.
type BulkDetail struct {
	Bulk
	Results    []BulkResult `json:"results"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

// BulkResult is what became of one device.
type BulkResult struct {
	Device string     `json:"device"`
	State  string     `json:"state" enum:"waiting,doing,done,failed,halted"`
	Code   string     `json:"code,omitempty" doc:"The problem's"`
	Detail string     `json:"detail,omitempty"`
	At     *time.Time `json:"at,omitempty"`
}

func bulkOf(b order.Bulk) Bulk {
	v := Bulk{ID: b.ID, Act: string(b.Act), Args: b.Args, Filter: b.Filter, Reason: b.Reason, Staff: b.Staff, At: b.At, State: "running",
		Total: b.Total, Done: b.Counts[order.BulkDone], Failed: b.Counts[order.BulkFailed], Halted: b.Counts[order.BulkHalted],
		HaltedAt: optionalTime(b.HaltedAt), HaltedBy: b.HaltedBy}
	switch {
	case !b.HaltedAt.IsZero():
		v.State = "halted"
	case b.Over():
		v.State = "done"
	}
	return v
}

type addBulkInput struct {
	Keyed
	RawBody []byte
	Body    BulkBody
}

// bulkSample is how many devices a preview names.
const bulkSample = 20

// setOf names a set of devices: half of the SHA-256 of their sorted ids, in hex.
func setOf(devices []device.ID) string {
	h := sha256.New()
	for _, id := range slices.Sorted(slices.Values(devices)) {
		_, _ = h.Write(append([]byte(id), '\n')) // an id holds none
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (a *API) addBulk(ctx context.Context, in *addBulkInput) (*rawAnswer, error) {
	body := in.Body
	devices, err := a.matching(ctx, body.Filter)
	if err != nil {
		return nil, err
	}
	if body.Preview {
		v := BulkPreview{Count: len(devices), Set: setOf(devices), Sample: each(devices[:min(len(devices), bulkSample)], func(id device.ID) string { return string(id) })}
		answer, err := json.Marshal(v)
		return rawJSON(http.StatusOK, answer), err
	}
	hash := sha256.Sum256(in.RawBody)
	ref, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	b := order.Bulk{ID: newID(now), Act: order.BulkAct(body.Act), Args: body.Args, Reason: body.Reason, Staff: staffOf(ctx).ID,
		Venues: venuesOf(ctx), Total: len(devices), At: now, Counts: map[order.BulkState]int{order.BulkWaiting: len(devices)}}
	if b.Filter, err = json.Marshal(body.Filter); err != nil {
		return nil, err
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	if body.Args.Venue != "" {
		if _, err := a.getVenue(ctx, &venuePath{body.Args.Venue}); err != nil {
			return nil, err
		}
	}
	key := order.Key{KeyRef: ref, Route: "POST /v1/operator/bulk", BodyHash: hash, Status: http.StatusAccepted, At: now}
	if key.Answer, err = json.Marshal(bulkOf(b)); err != nil {
		return nil, err
	}
	// Before the filter is held against the preview: the first request has worked since.
	if status, answer, err := a.Store.Answered(ctx, key); err != nil || status != 0 {
		return rawJSON(status, answer), err
	}
	switch {
	case len(devices) == 0 || body.Set != setOf(devices):
		return nil, fmt.Errorf("the filter finds %d devices: %w", len(devices), errBulkSet)
	case len(devices) > order.BulkMost:
		return nil, fmt.Errorf("%d devices; take a narrower filter: %w", len(devices), order.ErrTooMany)
	}
	status, answer, err := a.Store.AddBulk(ctx, b, devices, key, audit(ctx, "bulk.add", "bulk "+b.ID, b.Reason,
		map[string]any{"act": b.Act, "args": b.Args, "filter": body.Filter, "devices": len(devices)}))
	if err != nil {
		return nil, err
	}
	a.BulkAdded()
	return rawJSON(status, answer), nil
}

// BulkPage is one page of bulks.
type BulkPage struct {
	Bulks      []Bulk `json:"bulks"`
	NextCursor string `json:"next_cursor,omitempty"`
}

type bulkPageOutput struct{ Body BulkPage }

type listBulksInput struct{ PageQuery }

func (a *API) listBulks(ctx context.Context, in *listBulksInput) (*bulkPageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Bulks(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(b order.Bulk) string { return b.ID })
	return &bulkPageOutput{BulkPage{Bulks: each(rows, bulkOf), NextCursor: next}}, nil
}

type getBulkInput struct {
	PageQuery
	ID    string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	State string `query:"state" enum:"waiting,doing,done,failed,halted"`
}

type bulkDetailOutput struct{ Body BulkDetail }

func (a *API) getBulk(ctx context.Context, in *getBulkInput) (*bulkDetailOutput, error) {
	text, err := in.after()
	if err != nil {
		return nil, err
	}
	after, _ := strconv.Atoi(text)
	b, err := a.Store.BulkByID(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errBulkUnknown)
	}
	rows, err := a.Store.BulkResults(ctx, b.ID, order.BulkState(in.State), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.BulkResult) string { return strconv.Itoa(r.N) })
	return &bulkDetailOutput{BulkDetail{Bulk: bulkOf(b), NextCursor: next, Results: each(rows, func(r order.BulkResult) BulkResult {
		return BulkResult{Device: string(r.Device), State: string(r.State), Code: r.Code, Detail: r.Detail, At: optionalTime(r.At)}
	})}}, nil
}

type haltBulkInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

type bulkOutput struct{ Body Bulk }

func (a *API) haltBulk(ctx context.Context, in *haltBulkInput) (*bulkOutput, error) {
	if err := a.Store.HaltBulk(ctx, in.ID, audit(ctx, "bulk.halt", "bulk "+in.ID, in.Body.Reason, nil)); err != nil {
		return nil, instead(err, errBulkUnknown)
	}
	b, err := a.Store.BulkByID(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errBulkUnknown)
	}
	return &bulkOutput{bulkOf(b)}, nil
}

type bulkCSVInput struct {
	ID    string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	State string `query:"state" enum:"waiting,doing,done,failed,halted"`
}

func (a *API) bulkCSV(ctx context.Context, in *bulkCSVInput) (*huma.StreamResponse, error) {
	if _, err := a.Store.BulkByID(ctx, in.ID); err != nil {
		return nil, instead(err, errBulkUnknown)
	}
	after := 0
	return a.table(ctx, "bulk-results.csv", []string{"device", "state", "code", "detail", "at"}, func(ctx context.Context) ([][]any, bool, error) {
		rows, err := a.Store.BulkResults(ctx, in.ID, order.BulkState(in.State), after, csvPage)
		if err != nil || len(rows) == 0 {
			return nil, false, err
		}
		after = rows[len(rows)-1].N
		return each(rows, func(r order.BulkResult) []any {
			return []any{r.Device, r.State, r.Code, r.Detail, r.At}
		}), len(rows) == csvPage, nil
	})
}
