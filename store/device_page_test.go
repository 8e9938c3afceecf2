package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

// TestTheFirstTimeOfEachHopCounts: batches come late, twice and in any order.
func TestTheFirstTimeOfEachHopCounts(t *testing.T) {
	db, _ := open(t)
	testkit.ThreeOrders(t, db)
	ctx := t.Context()
	commands, err := db.CommandPage(ctx, "bike-1", time.Time{}, "", 10)
	if err != nil || len(commands) == 0 {
		t.Fatalf("commands %v, %v", commands, err)
	}
	c := commands[len(commands)-1]
	now := time.Now()
	for _, batch := range [][]order.Hop{
		{{Command: c.ID, At: now.Add(-3 * time.Second)}, {Command: c.ID, At: now.Add(-5 * time.Second)}},
		{{Command: c.ID, Acked: true, At: now.Add(-1 * time.Second)}, {Command: c.ID, At: now.Add(-2 * time.Second)}},
		{{Command: uuid.NewString(), Acked: true, At: now}}, // its command is not there: nobody asks
	} {
		if err := db.NoteHops(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	ids := []string{c.ID, commands[0].ID}
	hops, err := db.Hops(ctx, ids)
	if err != nil {
		t.Fatal(err)
	}
	h := hops[c.ID]
	if d := now.Sub(h.Handed); h.Sends < 1 || d < 4900*time.Millisecond || d > 8*time.Second {
		t.Errorf("handed %v before now, want 5 s; %+v", d, h)
	}
	if d := now.Sub(h.Acked); d < 900*time.Millisecond || d > 4*time.Second {
		t.Errorf("acked %v before now, want 1 s", d)
	}
	if len(commands) > 1 {
		if other := hops[commands[0].ID]; !other.Handed.IsZero() || !other.Acked.IsZero() {
			t.Errorf("what nobody noted is %+v", other)
		}
	}
}

// TestARejectedStartIsToldFromOneThatWasTried: both end as rejected, and only the evidence
// tells whether the bolt moved.
func TestARejectedStartIsToldFromOneThatWasTried(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	ctx := t.Context()
	tried := func() []bool {
		t.Helper()
		var all []bool
		for _, id := range []device.ID{"bike-1", "bike-2", "bike-3"} {
			commands, err := db.CommandPage(ctx, id, time.Time{}, "", 10)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(commands, func(c device.Command) bool { return c.Kind == device.Start })
			hops, err := db.Hops(ctx, []string{commands[i].ID})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, hops[commands[i].ID].Tried)
		}
		return all
	}
	if got := tried(); slices.Contains(got, true) {
		t.Errorf("an opened, a refused and an open start were tried in vain: %v", got)
	}
	if _, err := owner(t, url).Exec(ctx, `UPDATE evidence SET kind = 'failed' WHERE kind = 'rejected'`); err != nil {
		t.Fatal(err)
	}
	if got := tried(); !slices.Equal(got, []bool{false, true, false}) {
		t.Errorf("tried in vain: %v, want the second", got)
	}
}

func TestPagesOfADevicesPastHoldEachPieceOnce(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	ctx := t.Context()
	// More journals and epochs than one.
	if _, err := conn.Exec(ctx, `INSERT INTO evidence SELECT device, e, j, s, boot, uptime, kind, outlet, last_seq, command_seq, command_id, order_id, closed, counters,
		reason, unknown, received_at, status, raw, version FROM (SELECT * FROM evidence WHERE device = 'bike-1' LIMIT 1) x,
		(VALUES (7, '\x0101010101010101'::bytea), (7, '\x0202020202020202'), (8, '\x0101010101010101')) v(e, j), generate_series(1, 5) s`); err != nil {
		t.Fatal(err)
	}
	whole, err := db.EvidenceOf(ctx, "bike-1", time.Time{}, 100)
	if err != nil || len(whole) < 15 {
		t.Fatalf("%d pieces, %v", len(whole), err)
	}
	at := func(e device.Evidence) order.EvidenceAt {
		return order.EvidenceAt{Epoch: e.Epoch, Journal: e.Journal, Seq: e.Seq}
	}
	var paged []order.EvidenceAt
	for after := (order.EvidenceAt{}); ; {
		page, err := db.EvidencePage(ctx, "bike-1", time.Time{}, after, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			paged = append(paged, at(e))
		}
		if len(page) < 4 {
			break
		}
		after = paged[len(paged)-1]
	}
	var want []order.EvidenceAt
	for _, e := range whole {
		want = append(want, at(e))
	}
	if !slices.Equal(paged, want) {
		t.Errorf("by pages %v, at once %v", paged, want)
	}
	first, err := db.CommandPage(ctx, "bike-1", time.Time{}, "", 1)
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	rest, err := db.CommandPage(ctx, "bike-1", time.Time{}, first[0].ID, 100)
	all, errAll := db.CommandsOf(ctx, "bike-1", time.Time{}, 100)
	if err != nil || errAll != nil || len(rest)+1 != len(all) {
		t.Errorf("one and %d more of %d: %v, %v", len(rest), len(all), err, errAll)
	}
}

func TestGapsAreWhatIsMissingOfThePresentJournal(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	ctx := t.Context()
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := db.DevicesByID(ctx, []device.ID{"bike-1", "nobody"})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	d := rows[0].Device
	gaps := func() (all []order.EvidenceGap) {
		t.Helper()
		all, err := db.EvidenceGaps(ctx, "bike-1")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	exec(`UPDATE devices SET head = jsonb_build_object('boot', '[1,0,0,0,0,0,0,0]'::jsonb, 'uptime', 1, 'highest', applied) WHERE id = 'bike-1'`)
	if got := gaps(); len(got) != 0 {
		t.Fatalf("a whole journal of %d has gaps %+v", d.Applied, got)
	}
	// 1 and the applied+1, +2 never came; what lies behind waits; the device has two more.
	exec(`DELETE FROM evidence WHERE device = 'bike-1' AND seq = 1`)
	exec(`INSERT INTO evidence SELECT device, epoch, journal, $1, boot, uptime, kind, outlet, last_seq, command_seq, command_id, order_id, closed, counters,
		reason, unknown, received_at, 'waiting', raw, version FROM evidence WHERE device = 'bike-1' LIMIT 1`, d.Applied+3)
	exec(`UPDATE devices SET lost_up_to = 1, head = jsonb_set(head, '{highest}', to_jsonb(applied + 5)) WHERE id = 'bike-1'`)
	n := d.Applied
	want := []order.EvidenceGap{{Journal: d.Journal, From: 1, To: 1, Lost: true}, {Journal: d.Journal, From: n + 1, To: n + 2}, {Journal: d.Journal, From: n + 4, To: n + 5}}
	if got := gaps(); !slices.Equal(got, want) {
		t.Errorf("gaps %+v, want %+v", got, want)
	}
	if got, err := db.EvidenceGaps(ctx, "nobody"); err != nil || len(got) != 0 {
		t.Errorf("of nobody: %v, %v", got, err)
	}
}

func TestANoteHasItsAuditRowOrIsNotThere(t *testing.T) {
	db, _ := open(t)
	testkit.ThreeOrders(t, db)
	ctx := t.Context()
	act := func() order.Audit {
		return order.Audit{ID: uuid.Must(uuid.NewV7()).String(), Staff: "s1", Act: "device.note", Object: "device bike-1", At: time.Now()}
	}
	note := order.Note{ID: uuid.Must(uuid.NewV7()).String(), Device: "bike-9", Text: "brakes squeal", Staff: "s1"}
	if err := db.AddNote(ctx, note, act()); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("on a device that is not there: %v", err)
	}
	note.Device = "bike-1"
	if err := db.AddNote(ctx, note, act()); err != nil {
		t.Fatal(err)
	}
	again := act()
	note.ID = uuid.Must(uuid.NewV7()).String()
	if err := db.AddNote(ctx, note, again); err != nil {
		t.Fatal(err)
	}
	twice := note
	twice.ID = uuid.Must(uuid.NewV7()).String()
	if err := db.AddNote(ctx, twice, again); err == nil { // its audit row is there already
		t.Error("a note without an audit row of its own was kept")
	}
	notes, err := db.Notes(ctx, "bike-1", time.Time{}, 10)
	if err != nil || len(notes) != 2 || notes[0].ID != note.ID || notes[0].Text != "brakes squeal" || notes[0].At.IsZero() {
		t.Errorf("notes %+v, %v", notes, err)
	}
}

func TestASearchFindsByWhatIsPrintedOrNamed(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	ctx := t.Context()
	if _, err := conn.Exec(ctx, `INSERT INTO codes (number, device, outlet, created_at) VALUES ('12345678901234', 'bike-2', 1, now()), ('99995678901234', NULL, NULL, now())`); err != nil {
		t.Fatal(err)
	}
	orders, err := db.Orders(ctx, order.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	o := orders[0]
	here, elsewhere := []string{"campus"}, []string{"another"}
	for _, c := range []struct {
		text, number string
		venues       []string
		want         []string
	}{
		{"bike-2", "", nil, []string{"device bike-2"}},
		{"IKE-2", "", here, []string{"device bike-2"}},
		{"bike", "", nil, []string{"device bike-1", "device bike-2", "device bike-3"}},
		{"bike", "", elsewhere, nil},
		{"campus", "", nil, []string{"venue campus"}},
		{"campus", "", elsewhere, nil},
		{"1234-5678-9012-34", "12345678901234", nil, []string{"code 12345678901234"}},
		{"1234", "1234", here, []string{"code 12345678901234"}},
		{"1234", "1234", elsewhere, nil},
		{"9999", "9999", here, nil}, // it belongs to nobody
		{"123", "123", nil, nil},
		{o.ID, "", nil, []string{"order " + o.ID}},
		{o.ID[:8], "", elsewhere, nil},
		{o.Rider, "", nil, []string{"rider " + o.Rider}},
		{o.Rider, "", here, nil}, // riders belong to no venue
		{"%", "", nil, nil},
		{"nothing of the kind", "", nil, nil},
	} {
		hits, err := db.Search(ctx, c.text, c.number, c.venues, 20)
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		var got []string
		for _, h := range hits {
			got = append(got, h.Kind+" "+h.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q of %v finds %v, want %v", c.text, c.venues, got, c.want)
		}
	}
	// Zeros before a number may be left out, and the very device stands first.
	if _, err := conn.Exec(ctx, `INSERT INTO devices SELECT (jsonb_populate_record(d, jsonb_build_object('id', m.id))).* FROM devices d, unnest(ARRAY['moped-007', 'moped-070', 'moped-700']) m(id) WHERE d.id = 'bike-1'`); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{"moped-7": {"moped-007", "moped-070", "moped-700"}, "moped-07": {"moped-070"}, "MOPED-70": {"moped-070", "moped-700"}, "moped-007": {"moped-007"}} {
		hits, err := db.Search(ctx, text, "", nil, 20)
		var got []string
		for _, h := range hits {
			got = append(got, h.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q finds %v, %v; want %v", text, got, err, want)
		}
	}
	if hits, err := db.Search(ctx, "bike", "", nil, 2); err != nil || len(hits) != 2 {
		t.Errorf("at most two: %v, %v", hits, err)
	}
}

func TestOrdersAreFilteredByTimeKindAndWhatNeedsALook(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	ctx := t.Context()
	all, err := db.Orders(ctx, order.Page{Limit: 10})
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	ids := func(p order.Page) (ids []string) {
		t.Helper()
		p.Limit = 10
		found, err := db.Orders(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			ids = append(ids, string(o.Device))
		}
		slices.Sort(ids)
		return ids
	}
	made := all[0].CreatedAt
	for _, c := range []struct {
		p    order.Page
		want int
	}{
		{order.Page{Kind: device.Lock}, 3}, {order.Page{Kind: device.Pump}, 0},
		{order.Page{From: made.Add(-time.Hour), To: made.Add(time.Hour)}, 3}, {order.Page{From: made.Add(time.Hour)}, 0}, {order.Page{To: made.Add(-time.Hour)}, 0},
		{order.Page{Venues: []string{"another"}}, 0}, {order.Page{Review: true}, 0},
	} {
		if got := ids(c.p); len(got) != c.want {
			t.Errorf("%+v finds %v, want %d", c.p, got, c.want)
		}
	}
	if _, err := conn.Exec(ctx, `INSERT INTO items (id, kind, subject, device, order_id, venue, detail, at) SELECT gen_random_uuid(), 'alarm', 'x', device, id, venue, '', now()
		FROM orders WHERE device = 'bike-1'; UPDATE orders SET state = 'unresolved' WHERE state = 'starting'`); err != nil {
		t.Fatal(err)
	}
	if got := ids(order.Page{Review: true}); !slices.Equal(got, []string{"bike-1", "bike-3"}) {
		t.Errorf("to look at %v, want the one with an item and the unresolved one", got)
	}
}
