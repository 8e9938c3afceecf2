package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// staffed makes a member of staff with a role and returns a client with their key.
func (v *venue) staffed(role order.Role) client {
	v.t.Helper()
	n := v.nodes[0]
	text, hash := api.NewSecret("ul_")
	s := order.Staff{ID: newUUID(), Name: "staff " + text[:12], Role: role}
	key := order.APIKey{ID: newUUID(), Staff: s.ID, Label: "test", Role: role}
	if err := n.db.AddStaff(v.ctx, s, key, hash, seedAudit("staff.add", "staff "+s.ID)); err != nil {
		v.t.Fatal(err)
	}
	return client{base: n.url(), token: text, id: s.ID}
}

// unlatch runs the command line as a process would and returns what it printed.
func (v *venue) unlatch(c client, args ...string) (string, error) {
	v.t.Helper()
	v.t.Setenv("UNLATCH_API", c.base)
	v.t.Setenv("UNLATCH_API_KEY", c.token)
	var out, trouble bytes.Buffer
	if code := run(args, &out, &trouble); code != 0 {
		return out.String(), fmt.Errorf("exit %d: %s", code, trouble.String())
	}
	return out.String(), nil
}

// acts are the audit rows about codes, oldest first.
func (v *venue) acts() (found []order.Audit) {
	v.t.Helper()
	rows, err := v.nodes[0].db.AuditPage(v.ctx, "", 500)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, row := range slices.Backward(rows) {
		if strings.HasPrefix(row.Act, "code.") {
			found = append(found, row)
		}
	}
	return found
}

func wantProblem(t *testing.T, what string, err error, code string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), " "+code+":") {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// TestStickersArePrintedBeforeTheyAreBound goes the way of a sticker: minted in a
// batch, printed, scanned too early, hung up in the field, moved, swapped, revoked.
func TestStickersArePrintedBeforeTheyAreBound(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Pumps: []string{"pump-1"}, Riders: []string{"ann"}})
	admin, field, viewer := v.staffed(order.Admin), v.staffed(order.Field), v.staffed(order.Viewer)
	ann := v.rider("ann", 0, 100_00)
	before := len(v.acts())

	body := map[string]any{"venue": demoVenue, "count": 6, "caption": "Scan to ride"}
	var b, again api.CodeBatch
	wantProblem(t, "a batch by field staff", field.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "k1", body, nil), "role_insufficient")
	wantProblem(t, "a batch without a key", admin.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "", body, nil), "idempotency_key_missing")
	wantProblem(t, "a batch for nowhere", admin.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "k0",
		map[string]any{"venue": "nowhere", "count": 6}, nil), "venue_unknown")
	for _, into := range []*api.CodeBatch{&b, &again} {
		if err := admin.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "k1", body, into); err != nil {
			t.Fatal(err)
		}
	}
	if b != again || b.Count != 6 || b.Unbound != 6 || b.VenueName != "Campus" {
		t.Fatalf("batch %+v, repeated %+v", b, again)
	}
	body["count"] = 7
	wantProblem(t, "another batch with the key", admin.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "k1", body, nil), "idempotency_key_reused")

	codes := v.batchCodes(field, b.ID, 4) // pages of four
	if len(codes) != 6 || codes[0].Label != 1 || codes[5].Label != 6 || codes[0].Device != "" || codes[0].Venue != demoVenue {
		t.Fatalf("codes: %+v", codes)
	}

	scan := func(code api.Code) (string, error) {
		var s struct{ Device struct{ ID string } }
		err := ann.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": code.URL}, &s)
		return s.Device.ID, err
	}
	page := func(code api.Code) string {
		r, err := http.NewRequestWithContext(v.ctx, http.MethodGet, v.nodes[0].url()+"/d/"+code.Number, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Language", "en")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(answer.Body)
		return fmt.Sprintf("%d %s", answer.StatusCode, text.String())
	}
	_, err := scan(codes[0])
	wantProblem(t, "scan of an unbound code", err, "code_unbound")
	if got := page(codes[0]); !strings.HasPrefix(got, "409") || !strings.Contains(got, "Not in use yet") {
		t.Errorf("page of an unbound code: %.300s", got)
	}

	bind := func(c client, code api.Code, body api.BindBody) (api.Code, error) {
		var got api.Code
		err := c.do(v.ctx, http.MethodPost, "/v1/operator/codes/"+code.Number+"/bind", "", body, &got)
		return got, err
	}
	if _, err := bind(viewer, codes[0], api.BindBody{Device: "bike-1"}); err == nil {
		t.Error("a viewer may bind")
	}
	if got, err := bind(field, codes[0], api.BindBody{Device: "bike-1", Reason: "new sticker"}); err != nil || got.Device != "bike-1" || got.Outlet != 1 {
		t.Fatalf("bind: %+v, %v", got, err)
	}
	if got, err := bind(field, codes[0], api.BindBody{Device: "bike-1"}); err != nil || got.Device != "bike-1" {
		t.Errorf("binding again: %+v, %v", got, err)
	}
	if got, err := scan(codes[0]); err != nil || got != "bike-1" {
		t.Errorf("scan of the bound code: %s, %v", got, err)
	}
	// By another code of the device, as the camera read it.
	if got, err := bind(field, codes[1], api.BindBody{DeviceCode: v.codes["bike-2"]}); err != nil || got.Device != "bike-2" {
		t.Errorf("bind by another code: %+v, %v", got, err)
	}
	for _, c := range []struct {
		what string
		code api.Code
		body api.BindBody
		want string
	}{
		{"to two devices at once", codes[2], api.BindBody{Device: "bike-1", DeviceCode: v.codes["bike-2"]}, "bad_request"},
		{"to nothing", codes[2], api.BindBody{}, "bad_request"},
		{"to a device of another venue", codes[2], api.BindBody{Device: "pump-1"}, "code_of_other_venue"},
		{"to an unknown device", codes[2], api.BindBody{Device: "bike-9"}, "device_unknown"},
		{"to an unknown outlet", codes[2], api.BindBody{Device: "bike-1", Outlet: 2}, "device_unknown"},
		{"by an unbound code", codes[2], api.BindBody{DeviceCode: codes[3].Printed}, "code_unbound"},
		{"what hangs elsewhere", codes[0], api.BindBody{Device: "bike-2"}, "code_bound"},
		{"a forged code", api.Code{Number: codes[0].Number[:10] + fmt.Sprintf("%04d", (atoi(t, codes[0].Number[10:])+1)%10_000)}, api.BindBody{Device: "bike-2"}, "code_forged"},
	} {
		_, err := bind(field, c.code, c.body)
		wantProblem(t, c.what, err, c.want)
	}

	// Nobody takes a sticker away under a rider.
	o, err := v.start(ann, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ann, o.ID, "active", 30e9)
	_, err = bind(field, codes[0], api.BindBody{Device: "bike-2", Move: true})
	wantProblem(t, "moving off a live order", err, "outlet_busy")
	swap := map[string]string{"a": codes[0].Printed, "b": codes[1].URL, "reason": "mixed up"}
	wantProblem(t, "swapping under a live order", field.do(v.ctx, http.MethodPost, "/v1/operator/codes/swap", "", swap, nil), "outlet_busy")
	if got, err := bind(field, codes[2], api.BindBody{Device: "bike-1"}); err != nil || got.Device != "bike-1" {
		t.Errorf("a second sticker beside a live order: %+v, %v", got, err)
	}
	v.direct("bike-1", "close", nil)
	v.reaches(ann, o.ID, "settled", 30e9)

	var swapped api.CodeList
	if err := field.do(v.ctx, http.MethodPost, "/v1/operator/codes/swap", "", swap, &swapped); err != nil {
		t.Fatal(err)
	}
	if len(swapped.Codes) != 2 || swapped.Codes[0].Device != "bike-2" || swapped.Codes[1].Device != "bike-1" {
		t.Errorf("swapped: %+v", swapped.Codes)
	}
	wantProblem(t, "swapping an unbound code", field.do(v.ctx, http.MethodPost, "/v1/operator/codes/swap", "",
		map[string]string{"a": codes[0].Printed, "b": codes[4].Printed}, nil), "code_unbound")
	wantProblem(t, "swapping codes of one outlet", field.do(v.ctx, http.MethodPost, "/v1/operator/codes/swap", "",
		map[string]string{"a": codes[0].Printed, "b": codes[0].Printed}, nil), "value_invalid")
	if got, err := bind(field, codes[0], api.BindBody{Device: "bike-1", Move: true}); err != nil || got.Device != "bike-1" {
		t.Errorf("move: %+v, %v", got, err)
	}

	// An unbound code is revoked and replaced like any other; the new one has its label.
	var fresh api.Code
	if err := field.do(v.ctx, http.MethodPost, "/v1/operator/codes/"+codes[3].Number+"/remint", "", nil, &fresh); err != nil {
		t.Fatal(err)
	}
	if fresh.Label != 4 || fresh.Batch != b.ID || fresh.Device != "" || fresh.Number == codes[3].Number {
		t.Errorf("reminted: %+v", fresh)
	}
	if err := field.do(v.ctx, http.MethodPost, "/v1/operator/codes/"+codes[4].Number+"/revoke", "", nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []api.Code{codes[3], codes[4]} {
		_, err = scan(c)
		wantProblem(t, "scan of a revoked code", err, "code_revoked")
		if got := page(c); !strings.HasPrefix(got, "410") {
			t.Errorf("page of a revoked code: %.200s", got)
		}
		_, err = bind(field, c, api.BindBody{Device: "bike-1"})
		wantProblem(t, "binding a revoked code", err, "code_revoked")
	}
	if err := field.do(v.ctx, http.MethodGet, "/v1/operator/codes/batches/"+b.ID, "", nil, &b); err != nil {
		t.Fatal(err)
	}
	if b.Bound != 3 || b.Unbound != 2 || b.Revoked != 2 { // one of the two revoked was replaced
		t.Errorf("counts: %+v", b)
	}

	var told []string
	for _, act := range v.acts()[before:] {
		told = append(told, act.Act)
		for _, c := range codes {
			if strings.Contains(act.Object+string(act.Before)+string(act.After), c.Number) {
				t.Errorf("audit row %s tells a whole number", act.Act)
			}
		}
	}
	want := []string{"code.batch", "code.bind", "code.bind", "code.bind", "code.swap", "code.move", "code.remint", "code.revoke"}
	if !slices.Equal(told, want) {
		t.Errorf("audit rows %v, want %v", told, want)
	}
	var moved struct{ Codes []struct{ Device string } }
	row := v.acts()[before+5]
	if err := json.Unmarshal(row.Before, &moved); err != nil || moved.Codes[0].Device != "bike-2" {
		t.Errorf("before the move: %s, %v", row.Before, err)
	}
	if err := json.Unmarshal(row.After, &moved); err != nil || moved.Codes[0].Device != "bike-1" || row.Staff != field.id {
		t.Errorf("after the move: %s by %s, %v", row.After, row.Staff, err)
	}
	v.judge("bike-1", "bike-2")
}

// batchCodes reads all pages of a batch.
func (v *venue) batchCodes(c client, id string, limit int) (codes []api.Code) {
	v.t.Helper()
	for cursor := ""; ; {
		var page api.BatchCodes
		if err := c.do(v.ctx, http.MethodGet, fmt.Sprintf("/v1/operator/codes/batches/%s/codes?limit=%d&cursor=%s", id, limit, cursor), "", nil, &page); err != nil {
			v.t.Fatal(err)
		}
		codes = append(codes, page.Codes...)
		if cursor = page.NextCursor; cursor == "" {
			return codes
		}
	}
}

// TestTheCommandLinePrintsStickers mints, prints and reprints as an operator does.
func TestTheCommandLinePrintsStickers(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ann"}})
	admin := v.staffed(order.Admin)
	dir := t.TempDir()
	mustRun := func(args ...string) string {
		t.Helper()
		out, err := v.unlatch(admin, args...)
		if err != nil {
			t.Fatalf("unlatch %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	files := func(pattern string) []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// As before: a symbol per device.
	mustRun("codes", "mint", "bike-1", "bike-2", "--out", dir)
	if got := files("bike-*.svg"); len(got) != 2 {
		t.Errorf("symbols: %v", got)
	}
	// Refused before anything is minted.
	for _, c := range [][]string{
		{"codes", "mint", "--count", "3", "--venue", demoVenue, "--sheet", "a4-3x8", "--caption", "for {device}"},
		{"codes", "mint", "--count", "3", "--venue", demoVenue, "--sheet", "a4-3x8", "--caption", "\U0001F6B2"},
		{"codes", "mint", "--count", "3", "--venue", demoVenue, "--sheet", "a4-9x9"},
		{"codes", "mint", "--count", "3", "--venue", demoVenue, "--sheet", "a4-3x8", "--start", "25"},
		{"codes", "mint", "--count", "3", "--venue", "nowhere", "--sheet", "a4-3x8"},
		{"codes", "mint", "--count", "3", "--sheet", "a4-3x8"},
		{"codes", "mint", "--count", "3", "--venue", demoVenue},
		{"codes", "mint", "bike-1", "--count", "3", "--venue", demoVenue, "--sheet", "a4-3x8"},
	} {
		if out, err := v.unlatch(admin, append(c, "--out", dir)...); err == nil {
			t.Errorf("unlatch %s: went through: %s", strings.Join(c, " "), out)
		}
	}
	named := filepath.Join(dir, "labels.pdf")
	if out, err := v.unlatch(admin, "codes", "mint", "--count", "3", "--venue", demoVenue, "--sheet", "a4-3x8", "--out", named); err == nil || !strings.Contains(err.Error()+out, "this is a folder") {
		t.Errorf("--out %s: %v %s", named, err, out)
	}
	if out := mustRun("codes", "batches"); strings.Count(out, "\n") != 1 {
		t.Errorf("a refused command minted: %s", out)
	}

	out := mustRun("codes", "mint", "--count", "60", "--venue", demoVenue, "--sheet", "a4-3x8", "--caption", "Scan to ride, {label}", "--start", "20",
		"--part", "24", "--out", dir)
	id := strings.TrimSuffix(strings.Fields(out)[1], ":")
	// 5 labels on the rest of the first sheet, then 24, 24 and 7.
	if got := files(demoVenue + "-*-part-*.pdf"); len(got) != 4 {
		t.Errorf("parts: %v", got)
	}
	if left := files(".unlatch-*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	codes := v.batchCodes(admin, id, 1000)
	// Again, and one of them for a label printer.
	mustRun("codes", "print", "--batch", id, "--sheet", "50x70", "--format", "zpl", "--out", dir)
	zpl, err := os.ReadFile(files(demoVenue + "-*.zpl")[0])
	if err != nil || bytes.Count(zpl, []byte("^XA")) != 60 {
		t.Errorf("%d labels of ZPL, %v", bytes.Count(zpl, []byte("^XA")), err)
	}
	mustRun("codes", "print", codes[7].Printed, codes[8].URL, "bike-1", "--sheet", "a4-3x8", "--start", "24", "--out", dir)
	mustRun("codes", "print", "--batch", id, "--format", "csv", "--out", dir)
	list, err := os.ReadFile(files(demoVenue + "-*.csv")[0])
	if err != nil || bytes.Count(list, []byte("\r\n")) != 61 || !bytes.Contains(list, []byte(codes[0].URL)) {
		t.Errorf("list: %v, %.300s", err, list)
	}
	if _, err := v.unlatch(admin, "codes", "print", "--batch", id, "--sheet", "a4-3x8", "--caption", "for {device}", "--out", filepath.Join(dir, "none")); err == nil {
		t.Error("a label without a device was printed with one")
	} else if made, _ := os.ReadDir(filepath.Join(dir, "none")); len(made) != 0 {
		t.Errorf("a failed print left %v", made)
	}
	mustRun("codes", "mint", "bike-1", "bike-2", "--sheet", "60x80", "--format", "png", "--caption", "{device}", "--out", dir)
	if got := files("stickers/*.png"); len(got) != 2 {
		t.Errorf("pictures: %v", got)
	}
	if out := mustRun("codes", "bind", codes[0].Printed, "bike-1"); !strings.Contains(out, "bike-1") {
		t.Errorf("bind: %s", out)
	}
	mustRun("codes", "bind", codes[1].URL, v.codes["bike-2"])
	mustRun("codes", "swap", codes[0].Printed, codes[1].Printed)
	if out := mustRun("codes", "batches"); !strings.Contains(out, id) || !strings.Contains(out, "60") {
		t.Errorf("batches: %s", out)
	}
	mustRun("codes", "ruler", "--sheet", "a4-3x8", "--offset-x", "0.5", "--out", dir)
	if out := mustRun("codes", "sheets"); !strings.Contains(out, "a4-3x7") {
		t.Errorf("sheets: %s", out)
	}

	// The server renders a small batch by itself.
	for _, c := range []struct{ file, begins string }{
		{"sheet.pdf?sheet=a4-3x7", "%PDF"}, {"labels.zpl?dpi=203", "^XA"}, {"labels.zip?format=png", "PK"}, {"codes.csv", "\ufefflabel,"},
	} {
		b, err := admin.bytes(v.ctx, "/v1/operator/codes/batches/"+id+"/"+c.file)
		if err != nil || !bytes.HasPrefix(b, []byte(c.begins)) {
			t.Errorf("%s: %v, %.20q", c.file, err, b)
		}
	}
	wantProblem(t, "labels too small", admin.do(v.ctx, http.MethodGet, "/v1/operator/codes/batches/"+id+"/sheet.pdf?sheet=a4-5x13", "", nil, nil), "label_invalid")
	wantProblem(t, "an unknown batch", admin.do(v.ctx, http.MethodGet, "/v1/operator/codes/batches/x/sheet.pdf", "", nil, nil), "code_batch_unknown")
	var large api.CodeBatch
	if err := admin.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "large", map[string]any{"venue": demoVenue, "count": 1001}, &large); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, "a large batch", admin.do(v.ctx, http.MethodGet, "/v1/operator/codes/batches/"+large.ID+"/sheet.pdf", "", nil, nil), "code_batch_too_large")

	pages := filepath.Join(dir, "page")
	if _, err := exec.LookPath("pdftoppm"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("the printed parts are not looked at: pdftoppm is missing; run ./deploy/setup.sh as root")
	}
	for _, path := range append(files(demoVenue+"-*-part-*.pdf"), files("stickers.pdf")...) {
		if text, err := exec.Command("pdftotext", path, pages+".txt").CombinedOutput(); err != nil {
			t.Fatalf("pdftotext: %v: %s", err, text)
		}
		text, err := os.ReadFile(pages + ".txt")
		if err != nil || !strings.Contains(string(text), "Campus") {
			t.Errorf("%s says: %.200s, %v", path, text, err)
		}
	}
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestManyStickersAreMintedAndWritten runs the command in a process of its own and
// tells what that took. UNLATCH_STICKERS=all does it with 100,000 codes; memory must
// not grow with them.
func TestManyStickersAreMintedAndWritten(t *testing.T) {
	t.Parallel()
	count := 5000
	if os.Getenv("UNLATCH_STICKERS") == "all" {
		count = 100_000
	}
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}})
	admin := v.staffed(order.Admin)
	var b api.CodeBatch
	began := time.Now()
	if err := admin.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "many", map[string]any{"venue": demoVenue, "count": count}, &b); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d codes minted in %v", count, time.Since(began).Round(time.Millisecond))
	for _, format := range []string{"pdf", "csv"} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "codes", "print", "--batch", b.ID, "--sheet", "a4-3x8", "--format", format, "--caption", "Scan to ride", "--out", dir)
		cmd.Env = append(os.Environ(), "UNLATCH_TEST_BE_UNLATCH=1", "UNLATCH_API="+admin.base, "UNLATCH_API_KEY="+admin.token)
		began = time.Now()
		mebibytes := peakOf(t, cmd)
		took := time.Since(began)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var size int64
		for _, name := range files {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		t.Logf("%d labels written as %s in %v: %d files, %d MiB, peak of the process %d MiB", count, format, took.Round(time.Millisecond),
			len(files), size>>20, mebibytes)
		if mebibytes > 250 {
			t.Errorf("the process took %d MiB for %d labels as %s, want at most 250", mebibytes, count, format)
		}
	}
	if got := len(v.batchCodes(admin, b.ID, 1000)); got != count {
		t.Errorf("%d codes in the batch, want %d", got, count)
	}
}

func TestFilesAreDeliveredAllOrNone(t *testing.T) {
	dir := t.TempDir()
	failed := errors.New("the second file failed")
	write := func(last error) error {
		return delivered(dir, io.Discard, func(folder string) error {
			if err := os.WriteFile(filepath.Join(folder, "one"), []byte("1"), 0o644); err != nil {
				return err
			}
			return last
		})
	}
	if err := write(failed); !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := write(nil); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "one" {
		t.Errorf("delivered: %v, %v", left, err)
	}
}

// peakOf runs a command and returns the most memory that it held, MiB. What the kernel
// tells of a child that has ended counts the memory of the process that forked it, so
// that the child's own high-water mark is read while it runs.
func peakOf(t *testing.T, cmd *exec.Cmd) (mebibytes int64) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v: %s", err, out.Bytes())
			}
			if mebibytes == 0 { // no /proc: what the kernel tells will do
				mebibytes = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
				if runtime.GOOS == "darwin" {
					mebibytes >>= 10
				}
			}
			return mebibytes
		case <-look.C:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
				if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
					mebibytes = max(mebibytes, kib>>10)
				}
			}
		}
	}
}
