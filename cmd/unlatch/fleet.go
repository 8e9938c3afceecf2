package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/device"
)

// fleetColumns are what a fleet's CSV may hold; id, kind and venue must be there.
// The rest of what export writes is read over.
var (
	fleetColumns  = []string{"id", "kind", "venue", "lat", "lng", "sides", "display", "code"}
	exportColumns = []string{"epoch", "service", "firmware", "heard_at"}
)

type importCmd struct {
	staffAPI `embed:""`
	File     string `arg:"" type:"existingfile" help:"CSV with a header; '-' is not taken, since it is read twice."`
	Out      string `default:"provisioning" type:"path" help:"Folder for the provisioning files, one per new device: {id}.json."`
	DryRun   bool   `help:"Say row by row what would happen; change nothing."`
}

// Help teaches the columns.
func (importCmd) Help() string {
	return `Columns: id, kind and venue; lat and lng (WGS-84 degrees); sides of a pump, such as 1=92,2=95|1=92,2=95; display (yes or no); code,
a printed number to bind to the device's first outlet. Others that 'devices export' writes are read over.

Each row is told apart: new devices are provisioned and their files written once; known ones keep their keys, and get the
position and the code of the row. A known device of another kind or venue is an error of its row; see 'devices transfer'.
Rows are checked before anything is changed: while one is wrong, nothing happens. Run it again after it broke off.`
}

// row is a line of the file with what became of it.
type fleetRow struct {
	line   int
	device api.NewDevice
	code   string
	known  *api.Device
	wrong  []string
	notes  []string
	did    []string
}

// Run checks every row, and carries the file out unless something is wrong.
func (m importCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := m.client()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(m.File)
	if err != nil {
		return err
	}
	rows, err := readFleet(text)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(m.File), err)
	}
	if err := m.check(ctx, c, rows); err != nil {
		return err
	}
	wrong := 0
	for _, r := range rows {
		if len(r.wrong) > 0 {
			wrong++
		}
	}
	if wrong == 0 && !m.DryRun {
		err = m.carryOut(ctx, c, rows)
	}
	if e := report(out, rows, m.DryRun); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d rows are wrong; nothing was changed", wrong, len(rows))
	}
	if !m.DryRun {
		fmt.Fprintf(out, "The provisioning files of new devices are in %s; they hold secrets and are written once.\n", m.Out)
	}
	return nil
}

// readFleet reads the file; what is wrong with a row stands in the row.
func readFleet(text []byte) ([]*fleetRow, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // spreadsheets put it there
	r := csv.NewReader(bytes.NewReader(text))
	if head, _, _ := bytes.Cut(text, []byte("\n")); !bytes.Contains(head, []byte(",")) && bytes.Contains(head, []byte(";")) {
		r.Comma = ';'
	}
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("no header: want the columns %s: %w", strings.Join(fleetColumns, ", "), err)
	}
	at := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := at[name]; twice || !slices.Contains(fleetColumns, name) && !slices.Contains(exportColumns, name) {
			return nil, fmt.Errorf("column %q is not known, or there twice: want %s", name, strings.Join(fleetColumns, ", "))
		}
		at[name] = i
	}
	for _, name := range fleetColumns[:3] {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("column %q is missing", name)
		}
	}
	var rows []*fleetRow
	lines := map[string]int{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err // it names the line
		}
		line, _ := r.FieldPos(0)
		row := &fleetRow{line: line}
		row.read(func(name string) string {
			if i, ok := at[name]; ok {
				return strings.TrimSpace(record[i])
			}
			return ""
		})
		if first, twice := lines[row.device.ID]; twice {
			row.wrong = append(row.wrong, fmt.Sprintf("line %d has the same id", first))
		}
		lines[row.device.ID] = line
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, errors.New("no rows below the header")
	}
	return rows, nil
}

func (r *fleetRow) read(field func(string) string) {
	complain := func(format string, args ...any) { r.wrong = append(r.wrong, fmt.Sprintf(format, args...)) }
	r.device = api.NewDevice{ID: field("id"), Kind: api.Kind(field("kind")), Venue: field("venue")}
	r.code = field("code")
	if err := device.ID(r.device.ID).Check(); err != nil {
		complain("%v", err)
	}
	if r.device.Kind == "" || r.device.Venue == "" {
		complain("kind and venue must be there")
	}
	degrees := func(name string, most float64) *float64 {
		text := field(name)
		if text == "" {
			return nil
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= -most && v <= most) {
			complain("%s %q is no number of degrees from -%v to %v", name, text, most, most)
			return nil
		}
		return &v
	}
	r.device.Lat, r.device.Lng = degrees("lat", 90), degrees("lng", 180)
	if sides := field("sides"); sides != "" {
		var err error
		if r.device.Sides, err = parseSides(strings.Split(sides, "|")); err != nil {
			complain("sides: %v", err)
		}
	}
	switch field("display") {
	case "yes", "true", "1":
		r.device.Display = true
	case "", "no", "false", "0":
	default:
		complain("display is yes or no, not %q", field("display"))
	}
}

// fleetBatch is how many devices one request carries; the API takes a hundred.
const fleetBatch = 50

// check asks the installation about every row without changing anything.
func (m importCmd) check(ctx context.Context, c client, rows []*fleetRow) error {
	known, err := c.devices(ctx, "")
	if err != nil {
		return err
	}
	byID := map[string]*api.Device{}
	for i := range known {
		byID[known[i].ID] = &known[i]
	}
	var fresh []*fleetRow
	for _, r := range rows {
		if len(r.wrong) > 0 {
			continue
		}
		if r.known = byID[r.device.ID]; r.known == nil {
			if _, err := os.Stat(m.file(r)); err == nil {
				r.wrong = append(r.wrong, fmt.Sprintf("%s is there already, and the installation does not know the device", m.file(r)))
			}
			fresh = append(fresh, r)
			continue
		}
		switch {
		case r.known.Kind != r.device.Kind:
			r.wrong = append(r.wrong, fmt.Sprintf("it is known as a %s", r.known.Kind))
		case r.known.Service == "retired":
			r.wrong = append(r.wrong, "it is retired for good; give the hardware another id")
		case r.known.Venue != r.device.Venue:
			r.wrong = append(r.wrong, fmt.Sprintf("it is at venue %s; to move it: unlatch devices transfer %s --venue %s", r.known.Venue, r.device.ID, r.device.Venue))
		}
	}
	bar := progress(len(fresh), "checking")
	for batch := range slices.Chunk(fresh, fleetBatch) {
		if err := tryOut(ctx, c, batch); err != nil {
			return err
		}
		_ = bar.Add(len(batch))
	}
	return nil
}

// tryOut provisions rows without changing anything. Where the request's very shape
// is refused, the rows are asked one by one: only one of them is to blame.
func tryOut(ctx context.Context, c client, rows []*fleetRow) error {
	results, err := c.provision(ctx, rows, true)
	refused := (*apiRefusal)(nil)
	switch {
	case err == nil:
		for i, result := range results {
			rows[i].notes = result.Notes
			if p := result.Problem; p != nil {
				rows[i].wrong = append(rows[i].wrong, p.Title+": "+p.Detail)
			}
		}
		return nil
	case !errors.As(err, &refused) || refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden || refused.Status >= 500:
		return err
	case len(rows) == 1:
		rows[0].wrong = append(rows[0].wrong, refused.says())
		return nil
	}
	for _, r := range rows {
		if err := tryOut(ctx, c, []*fleetRow{r}); err != nil {
			return err
		}
	}
	return nil
}

func (m importCmd) file(r *fleetRow) string { return filepath.Join(m.Out, r.device.ID+".json") }

// carryOut provisions what is new and brings the rest up to the file.
func (m importCmd) carryOut(ctx context.Context, c client, rows []*fleetRow) error {
	if err := os.MkdirAll(m.Out, 0o700); err != nil {
		return err
	}
	bar := progress(len(rows), "importing")
	for _, r := range rows {
		if err := m.carry(ctx, c, r); err != nil {
			return fmt.Errorf("line %d, %s: %w; what stands before it is done: mend it and run the import again", r.line, r.device.ID, err)
		}
		_ = bar.Add(1)
	}
	return nil
}

func (m importCmd) carry(ctx context.Context, c client, r *fleetRow) error {
	if r.known == nil {
		if err := m.provision(ctx, c, r); err != nil {
			return err
		}
	} else if p, k := r.device, r.known; p.Lat != nil && p.Lng != nil && (k.Lat == nil || k.Lng == nil || *k.Lat != *p.Lat || *k.Lng != *p.Lng) {
		if err := c.do(ctx, http.MethodPost, "/v1/operator/devices/"+p.ID+"/position", "",
			map[string]any{"lat": *p.Lat, "lng": *p.Lng, "datum": "wgs84", "reason": "imported"}, nil); err != nil {
			return err
		}
		r.did = append(r.did, "position noted")
	}
	if r.code == "" {
		return nil
	}
	var code api.Code
	if err := c.do(ctx, http.MethodPost, "/v1/operator/codes/"+url.PathEscape(r.code)+"/bind", "",
		map[string]any{"device": r.device.ID, "reason": "imported"}, &code); err != nil {
		return fmt.Errorf("bind its code: %w", err)
	}
	r.did = append(r.did, "code "+code.Printed+" bound")
	return nil
}

func (m importCmd) provision(ctx context.Context, c client, r *fleetRow) error {
	err := writeOnce(m.file(r), func() (any, error) {
		results, err := c.provision(ctx, []*fleetRow{r}, false)
		if err != nil {
			return nil, err
		}
		return results[0].File, nil
	})
	if err == nil {
		r.did = append(r.did, "provisioned")
	}
	return err
}

// writeOnce makes a provisioning file of what provision answers, never over another:
// the file is there before the keys are made, so that the only copy of them cannot
// meet a full disk or a forbidden folder first.
func writeOnce(path string, provision func() (file any, err error)) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	file, err := provision()
	if err == nil && file == nil {
		err = errors.New("the installation answered without a provisioning file")
	}
	if err == nil {
		var text []byte
		if text, err = json.Marshal(file); err == nil {
			_, err = f.Write(append(text, '\n'))
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// report is a line per row.
func report(out io.Writer, rows []*fleetRow, dry bool) error {
	count := map[string]int{}
	for _, r := range rows {
		verdict := "known"
		switch {
		case len(r.wrong) > 0:
			verdict = "WRONG"
		case r.known == nil:
			verdict = "new"
		}
		count[verdict]++
		says := append(append(slices.Clone(r.wrong), r.did...), r.notes...)
		if _, err := fmt.Fprintf(out, "line %-4d %-24s %-6s %s\n", r.line, r.device.ID, verdict, strings.Join(says, "; ")); err != nil {
			return err
		}
	}
	done := ""
	if dry {
		done = " Nothing was changed: --dry-run."
	}
	_, err := fmt.Fprintf(out, "%d rows: %d new, %d known, %d wrong.%s\n", len(rows), count["new"], count["known"], count["WRONG"], done)
	return err
}

// provision asks for devices that are not known; dry changes nothing.
func (c client) provision(ctx context.Context, rows []*fleetRow, dry bool) ([]api.ProvisionResult, error) {
	body := api.ProvisionBody{OnlyNew: true, DryRun: dry, Reason: "imported"}
	for _, r := range rows {
		body.Devices = append(body.Devices, r.device)
	}
	var answer api.ProvisionResults
	if err := c.do(ctx, http.MethodPost, "/v1/operator/devices", "", body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Devices) != len(rows) {
		return nil, fmt.Errorf("the installation answered for %d of %d devices", len(answer.Devices), len(rows))
	}
	return answer.Devices, nil
}

// devices lists a fleet; venue "" is all of them.
func (c client) devices(ctx context.Context, venue string) ([]api.Device, error) {
	var all []api.Device
	for cursor := ""; ; {
		q := url.Values{"limit": {"100"}}
		if venue != "" {
			q.Set("venue", venue)
		}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		var page api.DevicePage
		if err := c.do(ctx, http.MethodGet, "/v1/operator/devices?"+q.Encode(), "", nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Devices...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

type exportCmd struct {
	staffAPI `embed:""`
	Venue    string `help:"Only devices of this venue."`
}

// Help teaches what it is for.
func (exportCmd) Help() string {
	return "Writes CSV that 'devices import' reads, with what is known besides. It holds no secrets: a lost provisioning file is made anew, as a new epoch."
}

// Run writes one row per device, by id.
func (e exportCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	all, err := c.devices(ctx, e.Venue)
	if err != nil {
		return err
	}
	w := csv.NewWriter(out)
	_ = w.Write(append(slices.Clone(fleetColumns), exportColumns...)) // Flush tells
	for _, d := range all {
		degrees := func(v *float64) string {
			if v == nil {
				return ""
			}
			return strconv.FormatFloat(*v, 'f', -1, 64)
		}
		var sides []string
		for _, o := range d.Outlets {
			var nozzles []string
			for _, n := range o.Nozzles {
				nozzles = append(nozzles, fmt.Sprintf("%d=%s", n.N, n.Grade))
			}
			if len(nozzles) > 0 {
				sides = append(sides, strings.Join(nozzles, ","))
			}
		}
		display, heard := "no", ""
		if d.Display {
			display = "yes"
		}
		if d.HeardAt != nil {
			heard = d.HeardAt.UTC().Format("2006-01-02T15:04:05Z")
		}
		_ = w.Write([]string{d.ID, string(d.Kind), d.Venue, degrees(d.Lat), degrees(d.Lng), strings.Join(sides, "|"), display, "",
			strconv.FormatInt(d.Epoch, 10), d.Service, d.Firmware, heard})
	}
	w.Flush()
	return w.Error()
}

type transferCmd struct {
	staffAPI `embed:""`
	IDs      []string `arg:"" name:"id" help:"Devices without a live order."`
	Venue    string   `required:"" help:"Where they stand from now on."`
	Reason   string   `required:"" help:"Why; it is kept in the audit."`
}

// Run moves each device, with its codes and keys.
func (x transferCmd) Run(ctx context.Context, out io.Writer) error {
	return x.each(ctx, out, x.IDs, "transfer", map[string]any{"venue": x.Venue, "reason": x.Reason}, "is at "+x.Venue)
}

type retireCmd struct {
	staffAPI `embed:""`
	IDs      []string `arg:"" name:"id" help:"Devices without a live order."`
	Reason   string   `required:"" help:"Why; it is kept in the audit."`
}

// Help teaches that there is no way back.
func (retireCmd) Help() string {
	return "For good: its login ends, its word is no longer heard, and its id is never used again."
}

// Run retires each device.
func (x retireCmd) Run(ctx context.Context, out io.Writer) error {
	return x.each(ctx, out, x.IDs, "service", map[string]any{"service": "retired", "reason": x.Reason}, "is retired")
}

// each posts the same to several devices and says what became of each.
func (s staffAPI) each(ctx context.Context, out io.Writer, ids []string, what string, body any, done string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	failed := 0
	for _, id := range ids {
		if err := device.ID(id).Check(); err != nil {
			return err
		}
		if err := c.do(ctx, http.MethodPost, "/v1/operator/devices/"+id+"/"+what, "", body, nil); err != nil {
			failed++
			fmt.Fprintf(out, "%s: %v\n", id, err)
			continue
		}
		fmt.Fprintf(out, "%s %s\n", id, done)
	}
	if failed > 0 {
		return errFound
	}
	return nil
}
