package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

type importCmd struct {
	staffAPI `embed:""`
	File     string `arg:"" type:"existingfile" help:"CSV with a header; '-' is not taken."`
	Out      string `default:"provisioning" type:"path" help:"Folder for the provisioning files, one per new device: {id}.json."`
	DryRun   bool   `help:"Say row by row what would happen; change nothing."`
}

// Help teaches the columns.
func (importCmd) Help() string {
	return `Columns: id, kind and venue; lat and lng (WGS-84 degrees); sides of a pump, such as 1=92,2=95|1=92,2=95; display (yes or no); code,
a printed number to bind to the device's first outlet; bluetooth (yes or no) of a lock. Others that 'devices export' writes are read over.

The separator is a comma or a semicolon, a decimal is written with a point, the text is UTF-8. Empty rows are skipped.

Each row is told apart: new devices are provisioned and their files written once; known ones keep their keys, and get the
position and the code of the row. A known device of another kind or venue is an error of its row; see 'devices transfer'.
So is a code that is unknown, revoked, on another device or on two rows. Rows are checked before anything is changed: while
one is wrong, nothing happens. Run it again after it broke off.`
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
	wrong, made := 0, 0
	for _, r := range rows {
		if len(r.wrong) > 0 {
			wrong++
		}
	}
	begun := wrong == 0 && !m.DryRun
	if begun {
		err = m.carryOut(ctx, c, rows)
	}
	if e := report(out, rows, begun, m.DryRun); err == nil {
		err = e
	}
	for _, r := range rows {
		if r.made {
			made++
		}
	}
	switch {
	case made == 1:
		fmt.Fprintf(out, "The provisioning file of the new device is in %s; it holds secrets and is written once.\n", m.Out)
	case made > 1:
		fmt.Fprintf(out, "The provisioning files of new devices are in %s; they hold secrets and are written once.\n", m.Out)
	}
	switch {
	case err != nil || wrong == 0:
		return err
	case wrong == 1:
		return fmt.Errorf("1 of %s is wrong; nothing was changed", plural(len(rows), "row"))
	}
	return fmt.Errorf("%d of %s are wrong; nothing was changed", wrong, plural(len(rows), "row"))
}

// plural is a number of things: 1 row, 2 rows.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
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
	var list api.VenueList
	if err := c.do(ctx, http.MethodGet, "/v1/operator/venues", "", nil, &list); err != nil {
		return err
	}
	venues := map[string]api.Venue{}
	for _, v := range list.Venues {
		venues[v.ID] = v
	}
	var fresh []*fleetRow
	files := map[string]*fleetRow{}
	for _, r := range rows {
		if len(r.wrong) > 0 {
			continue
		}
		r.known = byID[r.device.ID]
		// Their files would be one file on a disk that does not tell capitals apart.
		name := strings.ToLower(r.device.ID)
		if first := files[name]; first == nil {
			files[name] = r
		} else if r.known == nil || first.known == nil {
			r.complain("%s of line %d differs in capitals only: their files would be one on some disks", first.device.ID, first.line)
		}
		if _, there := venues[r.device.Venue]; !there {
			r.complain("there is no venue %s", r.device.Venue)
		}
		if r.known != nil {
			m.compare(r, venues[r.device.Venue])
			continue
		}
		if _, err := os.Stat(m.file(r)); err == nil {
			r.complain("%s is there already, and the installation does not know the device", m.file(r))
		}
		if len(r.wrong) == 0 {
			fresh = append(fresh, r)
		}
	}
	bar := progress(len(fresh), "checking")
	for batch := range slices.Chunk(fresh, fleetBatch) {
		if err := tryOut(ctx, c, batch); err != nil {
			return err
		}
		_ = bar.Add(len(batch))
	}
	return checkCodes(ctx, c, rows)
}

// compare holds a row against the device that is known by its id; v is the row's
// venue, empty where there is none.
func (m importCmd) compare(r *fleetRow, v api.Venue) {
	switch k := r.known; {
	case k.Kind != r.device.Kind:
		r.complain("it is known as a %s", k.Kind)
	case k.Service == "retired":
		r.complain("it is retired for good; give the hardware another id")
	case k.Venue == r.device.Venue:
	case v.ID == "":
		r.complain("it is at venue %s", k.Venue)
	default:
		r.complain("it is at venue %s; to move it: unlatch devices transfer %s --venue %s --reason moved", k.Venue, r.device.ID, r.device.Venue)
	}
	if len(r.wrong) > 0 {
		return
	}
	if r.moves() {
		if by := r.by(); by == "" {
			r.plan = append(r.plan, "position would be noted")
		} else {
			r.plan = append(r.plan, "position would move by "+by)
		}
	}
	r.notes = append(r.notes, v.Doubts(r.device.Lat, r.device.Lng)...)
	if r.known.HeardAt == nil {
		if _, err := os.Stat(m.file(r)); errors.Is(err, fs.ErrNotExist) {
			r.notes = append(r.notes, fmt.Sprintf("it was never heard, and %s is not there; if its file is lost: %s", m.file(r), m.anew(r)))
		}
	}
}

// moves tells whether a known device stands elsewhere by the file.
func (r *fleetRow) moves() bool {
	p, k := r.device, r.known
	return p.Lat != nil && p.Lng != nil && (k.Lat == nil || k.Lng == nil || *k.Lat != *p.Lat || *k.Lng != *p.Lng)
}

// by is how far a known device moves; empty where it stood nowhere yet.
func (r *fleetRow) by() string {
	if r.known.Lat == nil || r.known.Lng == nil {
		return ""
	}
	return api.Apart(*r.known.Lat, *r.known.Lng, *r.device.Lat, *r.device.Lng)
}

// anew is the command that makes a device's file once more.
func (m importCmd) anew(r *fleetRow) string {
	text := fmt.Sprintf("unlatch devices provision %s --kind %s --venue %s", r.device.ID, r.device.Kind, r.device.Venue)
	for _, s := range r.device.Sides {
		var nozzles []string
		for _, n := range s.Nozzles {
			nozzles = append(nozzles, fmt.Sprintf("%d=%s", n.N, n.Grade))
		}
		text += " --side " + strings.Join(nozzles, ",")
	}
	if r.device.Display {
		text += " --display"
	}
	if r.device.Bluetooth {
		text += " --bluetooth"
	}
	folder := m.Out
	if strings.ContainsAny(folder, " '\"$&();") {
		folder = "'" + strings.ReplaceAll(folder, "'", `'\''`) + "'"
	}
	return text + " --out " + folder
}

// checkCodes asks for each code that a row names: it must be one that can be bound to
// the row's device, or hang there already.
func checkCodes(ctx context.Context, c client, rows []*fleetRow) error {
	coded := slices.DeleteFunc(slices.Clone(rows), func(r *fleetRow) bool { return r.code == "" })
	lines := map[string]int{}
	bar := progress(len(coded), "checking codes")
	for _, r := range coded {
		var code api.Code
		err := c.do(ctx, http.MethodGet, "/v1/operator/codes/"+url.PathEscape(r.code), "", nil, &code)
		first := lines[code.Number]
		switch refused := ofTheRow(err); {
		case refused != nil:
			r.complain("code %s: %s", r.code, refused.says())
		case err != nil:
			return err
		case code.Number == "": // the address of something else, such as "."
			r.complain("code %q is no code", r.code)
		case first > 0:
			r.complain("line %d has the same code", first)
		case code.Revoked:
			r.complain("code %s is no longer in use: it was revoked", code.Printed)
		case code.Device == r.device.ID:
			r.bound = true
		case code.Device != "":
			r.complain("code %s hangs on %s; if it is to hang here: unlatch codes bind %s %s --move", code.Printed, code.Device, code.Printed, r.device.ID)
		case code.Venue != "" && code.Venue != r.device.Venue:
			r.complain("code %s was printed for venue %s", code.Printed, code.Venue)
		default:
			r.plan = append(r.plan, "code "+code.Printed+" would be bound")
		}
		if code.Number != "" && first == 0 {
			lines[code.Number] = r.line
		}
		_ = bar.Add(1)
	}
	return nil
}

// ofTheRow is a refusal that a row is to blame for, nil for any other error.
func ofTheRow(err error) *apiRefusal {
	refused := (*apiRefusal)(nil)
	if !errors.As(err, &refused) || refused.Status >= 500 ||
		slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}, refused.Status) {
		return nil
	}
	return refused
}

// tryOut provisions rows without changing anything. Where the request's very shape
// is refused, the rows are asked one by one: only one of them is to blame.
func tryOut(ctx context.Context, c client, rows []*fleetRow) error {
	results, err := c.provision(ctx, rows, true)
	if err == nil {
		for i, result := range results {
			rows[i].notes = append(rows[i].notes, result.Notes...)
			if p := result.Problem; p != nil {
				rows[i].complain("%s: %s", p.Title, p.Detail)
			}
		}
		return nil
	}
	refused := ofTheRow(err)
	switch {
	case refused == nil:
		return err
	case len(rows) == 1:
		rows[0].complain("%s", refused.says())
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
			r.failed = err
			return fmt.Errorf("line %d, %s: %w; what stands before it is done: mend it and run the import again", r.line, r.device.ID, err)
		}
		r.done = true
		_ = bar.Add(1)
	}
	return nil
}

func (m importCmd) carry(ctx context.Context, c client, r *fleetRow) error {
	if r.known == nil {
		if err := m.provision(ctx, c, r); err != nil {
			return err
		}
	}
	if p := r.device; r.known != nil && r.moves() {
		if err := c.do(ctx, http.MethodPost, "/v1/operator/devices/"+p.ID+"/position", "",
			map[string]any{"lat": *p.Lat, "lng": *p.Lng, "datum": "wgs84", "reason": "imported"}, nil); err != nil {
			return err
		}
		did := "position noted"
		if by := r.by(); by != "" {
			did += ", " + by + " from the one before"
		}
		r.did = append(r.did, did)
	}
	if r.code == "" || r.bound {
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

// provision makes a device known and writes its file. A device that another import
// made known since the check is a known one from here on.
func (m importCmd) provision(ctx context.Context, c client, r *fleetRow) error {
	asked := false
	var problem *api.Problem
	err := writeOnce(m.file(r), func() (any, error) {
		asked = true
		results, err := c.provision(ctx, []*fleetRow{r}, false)
		if err != nil {
			return nil, err
		}
		problem = results[0].Problem
		return results[0].File, nil
	})
	refused := (*apiRefusal)(nil)
	switch {
	case err == nil:
		r.made, r.did = true, append(r.did, "provisioned")
		if problem != nil {
			r.notes = append(r.notes, fmt.Sprintf("its position is not noted: %s: %s", problem.Title, problem.Detail))
		}
		return nil
	case errors.Is(err, fs.ErrExist), errors.As(err, &refused) && refused.Code == "exists":
		return m.beaten(ctx, c, r, err)
	case errors.Is(err, errKeysLost):
		return fmt.Errorf("%w; make room, then: %s", err, m.anew(r))
	case !asked, refused != nil && refused.Status < 500:
		return err
	}
	return fmt.Errorf("%w; where the server made its keys before that, the device's older file, if any, no longer works: %s", err, m.anew(r))
}

// beaten takes a row as known where the installation knows the device by now; else
// err stands.
func (m importCmd) beaten(ctx context.Context, c client, r *fleetRow, err error) error {
	var d api.Device
	if e := c.do(ctx, http.MethodGet, "/v1/operator/devices/"+r.device.ID, "", nil, &d); e != nil {
		return err
	}
	if d.Kind != r.device.Kind || d.Venue != r.device.Venue {
		return fmt.Errorf("it was made known meanwhile, as a %s at venue %s: %w", d.Kind, d.Venue, err)
	}
	r.known, r.did = &d, append(r.did, "made known meanwhile by somebody else, who has its file")
	return nil
}

// errKeysLost is the only copy of a device's new keys gone.
var errKeysLost = errors.New("the server made new keys and they could not be kept: the device's older file, if any, no longer works")

// writeOnce makes a provisioning file of what provision answers, never over another:
// the file is there before the keys are made, so that the only copy of them cannot
// meet a full disk or a forbidden folder first. errKeysLost: it met one all the same.
func writeOnce(path string, provision func() (file any, err error)) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// Room for it too: a file holds a kilobyte or two.
	if _, err = f.Write(bytes.Repeat([]byte(" "), 8<<10)); err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
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
		if err == nil {
			err = f.Truncate(int64(len(text) + 1))
		}
	}
	made := file != nil
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
		if made {
			return fmt.Errorf("%w: %w", errKeysLost, err)
		}
		return err
	}
	return nil
}

// report is a line per row and what was done in sum; unless begun, what would be.
func report(out io.Writer, rows []*fleetRow, begun, dry bool) error {
	count := map[string]int{}
	for _, r := range rows {
		verdict := "known"
		if r.known == nil {
			verdict = "new"
		}
		sum, says := verdict, r.plan
		switch {
		case len(r.wrong) > 0:
			verdict, sum, says = "WRONG", "wrong", r.wrong
		case r.failed != nil:
			verdict, says = "FAILED", append(slices.Clone(r.did), order.Plain(r.failed))
			if !r.made {
				sum = "left"
			}
		case r.done:
			says = r.did
		case begun:
			verdict, sum = "left", "left"
		}
		count[sum]++
		text := strings.ReplaceAll(strings.Join(append(slices.Clone(says), r.notes...), "; "), "\n", ": ") // joined errors have lines
		if _, err := fmt.Fprintf(out, "line %-4d %-24s %-6s %s\n", r.line, r.device.ID, verdict, text); err != nil {
			return err
		}
	}
	done := "."
	switch {
	case count["left"] > 0:
		done = fmt.Sprintf(", %d left.", count["left"])
	case dry:
		done = ". Nothing was changed: --dry-run."
	case !begun:
		done = ". Nothing was changed."
	}
	_, err := fmt.Fprintf(out, "%s: %d new, %d known, %d wrong%s\n", plural(len(rows), "row"), count["new"], count["known"], count["wrong"], done)
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
