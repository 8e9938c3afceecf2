package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

func TestACloseAddsUpWhatWasSold(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	ann := s.rider(900_00)
	first := s.take(order.Shift)
	wantNozzles(t, first,
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 1, Grade: "92", To: ml(1_000_000), Note: order.NozzleFirst},
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 2, Grade: "95", To: ml(2_000_000), Note: order.NozzleFirst})
	if first.Number != 1 || first.From != nil || first.Orders != 0 || first.By != "s1" || first.Reason == "" {
		t.Errorf("first close: %+v", first)
	}

	p.sale(ann, 12_345)                                                                               // 96.91
	above := p.ends(p.order(ann, 1, billing.Preset{Grade: "92", Amount: 200_00}), 1, 25_500)          // 200.18 of 200.00
	dear := p.ends(p.order(ann, 1, billing.Preset{Grade: "95", Amount: 100_00}), 2, 10_000)           // 83.90
	test := p.ends(p.order("staff:s1", 1, billing.Preset{Grade: "95", Millilitres: 5_000}), 2, 5_000) // free
	doubt := p.ends(p.order(ann, 1, billing.Preset{Grade: "92", Amount: 50_00}), 1, 2_000, dearer)    // 15.70, and one Fen more
	live := p.order(ann, 1, billing.Preset{Grade: "92", Amount: 50_00})                               // goes on
	if above.Charged != 200_00 || dear.State != order.Settled || test.State != order.Settled || doubt.State != order.Ended {
		t.Fatalf("charged %v; %s, %s, %s", above.Charged, dear.State, test.State, doubt.State)
	}
	s.refund(dear, 3_90)
	c := s.take(order.Shift)
	want := order.Close{Venue: stationID, Period: order.Shift, Number: 2, From: &first.At, By: "s1", Reason: "the test says so",
		Orders: 4, Billed: 96_91 + 200_00 + 83_90, Refunds: 1, Refunded: 3_90,
		Grades: []order.GradeTotal{
			{Grade: "92", Orders: 2, Millilitres: 37_845, Priced: 297_09, AboveFen: 18, AboveMillilitres: 23, Billed: 296_91},
			{Grade: "95", Orders: 1, Millilitres: 10_000, Priced: 83_90, Billed: 83_90, Refunded: 3_90}},
		Pay:   []order.PayTotal{{PayWith: order.PayWallet, Orders: 3, Captured: 380_81, Refunded: 3_90}},
		Tests: []order.TestTotal{{Grade: "95", Orders: 1, Millilitres: 5_000}},
		Nozzles: []order.NozzleTotal{
			{Device: "pump-1", Outlet: 1, Nozzle: 1, Grade: "92", From: ml(1_000_000), To: ml(1_039_845), Moved: ml(39_845), Sold: 37_845,
				Waiting: 2_000, Difference: ml(0)},
			{Device: "pump-1", Outlet: 1, Nozzle: 2, Grade: "95", From: ml(2_000_000), To: ml(2_015_000), Moved: ml(15_000), Sold: 10_000,
				Tested: 5_000, Difference: ml(0)}},
		Open: order.OpenOrders{Count: 2, IDs: []string{doubt.ID, live.ID}}, ItemsAll: 2}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreFields(order.Close{}, "ID", "At", "Items"), cmpopts.IgnoreFields(order.NozzleTotal{}, "Epoch"),
		cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("close (-want +got):\n%s", diff)
	}
	if len(c.Items) != 2 || c.Items[0].Kind != order.ItemUnbilled || c.Items[1].Kind != order.ItemMismatch {
		t.Errorf("items: %+v, want what nobody paid and what waits for a decision", c.Items)
	}

	// The decision of the next shift brings its litres, which no totaliser moves by now.
	who := s.audit("order.decide")
	if _, err := s.svc.Act(t.Context(), order.Act{Order: doubt.ID, Input: order.Decide, Amount: 10_00, Staff: &who}); err != nil {
		t.Fatal(err)
	}
	p.ends(live, 1, 1_000)
	s.refund(dear, 80_00)
	c = s.take(order.Shift)
	if diff := cmp.Diff([]order.GradeTotal{
		{Grade: "92", Orders: 2, Millilitres: 3_000, Priced: 15_71 + 7_85, Decided: -5_71, Billed: 17_85},
		{Grade: "95", Refunded: 80_00}}, c.Grades); diff != "" {
		t.Errorf("grades of the next close (-want +got):\n%s", diff)
	}
	wantNozzles(t, c,
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 1, Grade: "92", From: ml(1_039_845), To: ml(1_040_845), Moved: ml(1_000),
			Sold: 3_000, Difference: ml(0)},
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 2, Grade: "95", From: ml(2_015_000), To: ml(2_015_000), Moved: ml(0), Difference: ml(0)})

	// Fuel that no sale accounts for is the difference.
	p.total[1][2] += 750
	p.beat()
	c = s.take(order.Shift)
	if n := c.Nozzles[1]; *n.Difference != 750 || *n.Moved != 750 || c.Open.Count != 0 {
		t.Errorf("nozzle after a leak: %+v, open %+v", n, c.Open)
	}
	s.clean()
}

// dearer is a pump that states a Fen too much.
func dearer(c *device.Counters) { c.Fen++ }

func TestShiftAndDayHoldEverySaleOnceEach(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	ann := s.rider(500_00)
	p.sale(ann, 1_000)
	p.sale(ann, 1_000)
	morning := s.take(order.Shift)
	sold := p.sale(ann, 2_000)
	noon, day := s.take(order.Shift), s.take(order.Day)
	if morning.Orders != 2 || noon.Orders != 1 || day.Orders != 3 || day.Billed != morning.Billed+noon.Billed || day.Number != 1 || noon.Number != 2 {
		t.Errorf("shifts of %d and %d orders, a day of %d: %v, %v and %v", morning.Orders, noon.Orders, day.Orders, morning.Billed, noon.Billed, day.Billed)
	}
	s.refund(sold, 1_00) // of an order that both hold: it is in the next of both
	shift := s.take(order.Shift)
	day = s.take(order.Day)
	for _, c := range []order.Close{shift, day} {
		if c.Orders != 0 || c.Billed != 0 || c.Refunds != 1 || c.Refunded != 1_00 || len(c.Grades) != 1 || c.Grades[0].Refunded != 1_00 {
			t.Errorf("%s after the refund: %+v", c.Period, c)
		}
	}
	if again := s.take(order.Shift); again.Refunds != 0 || again.Refunded != 0 {
		t.Errorf("the refund is in two shifts: %+v", again)
	}
	s.clean()
}

func TestARefundInTwoPartsIsOneRefund(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	ann := s.rider(300_00)
	o := p.sale(ann, 10_000) // 78.50
	if _, err := s.owner.Exec(t.Context(), `SET session_replication_role = replica; INSERT INTO accounts VALUES ('receivable:' || $1, -300, 0, 1)`,
		pgx.QueryExecModeSimpleProtocol, ann); err != nil {
		t.Fatal(err)
	}
	s.refund(o, 10_00) // 3.00 against the debt, the rest to the wallet
	if c := s.take(order.Shift); c.Refunds != 1 || c.Refunded != 10_00 {
		t.Errorf("close: %d refunds of %v, want one of 10.00", c.Refunds, c.Refunded)
	}
	rows := s.taxRows(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if len(rows) != 2 || !rows[1].Refund || rows[1].Amount != -10_00 || rows[1].Millilitres != 0 {
		t.Errorf("tax rows %+v, want the sale and one refund of 10.00", rows)
	}
}

func TestAKeyClosesOnce(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	ann := s.rider(500_00)
	p.sale(ann, 1_000)
	ask := s.taking(stationID, order.Shift, "k")
	_, first, err := s.db.TakeClose(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	p.sale(ann, 1_000)
	ask.ID = uuid.Must(uuid.NewV7()).String() // as a second request has it
	ask.Staff.ID = uuid.Must(uuid.NewV7()).String()
	status, again, err := s.db.TakeClose(t.Context(), ask)
	if err != nil || status != 201 || string(again) != string(first) {
		t.Errorf("the key again: %d %s, %v; want 201 and %s", status, again, err, first)
	}
	other := s.taking(stationID, order.Day, "k")
	if _, _, err := s.db.TakeClose(t.Context(), other); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("the key for another period: %v, want ErrKeyReused", err)
	}
	// It is a key as any other, so that a refund cannot have it either.
	m := order.Money{Rider: ann, Amount: 1, Key: ask.Key, Route: "money", Staff: s.audit("x")}
	if _, err := s.svc.Money(t.Context(), m); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("the key for money: %v, want ErrKeyReused", err)
	}
	// Many at once with one key make one close.
	ask = s.taking(stationID, order.Shift, "k2")
	var wg sync.WaitGroup
	answers := make([]string, 8)
	for i := range answers {
		wg.Go(func() {
			mine := ask
			mine.ID, mine.Staff.ID = uuid.Must(uuid.NewV7()).String(), uuid.Must(uuid.NewV7()).String()
			_, body, err := s.db.TakeClose(t.Context(), mine)
			if err != nil {
				t.Error(err)
			}
			answers[i] = string(body)
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("one key, two closes: %s and %s", answers[0], a)
		}
	}
	all, err := s.db.Closes(t.Context(), stationID, "", "", 10)
	if err != nil || len(all) != 2 || all[0].Number != 2 || all[0].Orders != 1 {
		t.Errorf("closes %+v, %v; want two, the second with one order", all, err)
	}
	s.clean()
}

func TestAPreviewIsWhatACloseWouldHoldAndStoresNothing(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	p.sale(s.rider(500_00), 3_000)
	preview := func() order.Close {
		t.Helper()
		c, err := s.db.PreviewClose(t.Context(), stationID, order.Day)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	counts := func() (n int) {
		t.Helper()
		if err := s.owner.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM closes) + (SELECT count(*) FROM close_entries) + (SELECT count(*) FROM audits)`).
			Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := counts()
	seen := preview()
	if after := counts(); after != before {
		t.Errorf("a preview stored %d rows", after-before)
	}
	made := s.take(order.Day)
	if diff := cmp.Diff(seen, made, cmpopts.IgnoreFields(order.Close{}, "ID", "At", "By", "Reason")); diff != "" {
		t.Errorf("preview and close (-preview +close):\n%s", diff)
	}
	if seen.ID != "" || seen.Orders != 1 {
		t.Errorf("preview: %+v", seen)
	}
	if again := preview(); again.Orders != 0 || again.Number != 2 || again.From == nil || !again.From.Equal(made.At) {
		t.Errorf("preview after the close: %+v", again)
	}
	for _, err := range []error{
		func() error { _, err := s.db.PreviewClose(t.Context(), "nowhere", order.Day); return err }(),
		func() error {
			_, _, err := s.db.TakeClose(t.Context(), s.taking("nowhere", order.Day, "k"))
			return err
		}(),
		func() error { _, err := s.db.CloseByID(t.Context(), stationID, "nothing"); return err }(),
		func() error { _, err := s.db.CloseByID(t.Context(), testkit.Venue.ID, made.ID); return err }(),
	} {
		if !errors.Is(err, order.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	}
	if got, err := s.db.CloseByID(t.Context(), stationID, made.ID); err != nil || !cmp.Equal(got, made) {
		t.Errorf("the close read back: %+v, %v; want %+v", got, err, made)
	}
}

func TestAVenueWithoutPumpsClosesEmpty(t *testing.T) {
	s := newStation(t)
	testkit.ThreeOrders(t, s.db) // of bikes
	body := func() string {
		t.Helper()
		_, body, err := s.db.TakeClose(t.Context(), s.taking(testkit.Venue.ID, order.Day, s.no()))
		if err != nil {
			t.Fatal(err)
		}
		var c map[string]any
		if err := json.Unmarshal(body, &c); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"id", "at", "from", "number"} {
			delete(c, name)
		}
		body, _ = json.Marshal(c)
		return string(body)
	}
	const empty = `{"billed_fen":0,"by":"s1","grades":[],"items":[],"items_all":0,"nozzles":[],"open":{"count":0,"ids":[]},"orders":0,` +
		`"pay":[],"period":"day","reason":"the test says so","refunded_fen":0,"refunds":0,"tests":[],"venue":"campus"}`
	for range 2 {
		if got := body(); got != empty {
			t.Errorf("close of a venue with bikes: %s, want %s", got, empty)
		}
	}
}

// TestAnOrderInFlightIsInTheNextClose: its settlement began before a close and is
// committed after it, with a time before it.
func TestAnOrderInFlightIsInTheNextClose(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	o := p.sale(s.rider(500_00), 1_000)
	tx, err := s.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	late := uuid.Must(uuid.NewV7()).String()
	if _, err := tx.Exec(t.Context(), `INSERT INTO orders SELECT (jsonb_populate_record(o,
		jsonb_build_object('id', $2::text, 'ticket', $2::text, 'hold_id', NULL))).* FROM orders o WHERE id = $1`, o.ID, late); err != nil {
		t.Fatal(err)
	}
	if c := s.take(order.Day); c.Orders != 1 {
		t.Errorf("close while the second is in flight: %d orders, want 1", c.Orders)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := s.take(order.Day)
	if settled := s.order(late).DoneAt; second.Orders != 1 || !settled.Before(*second.From) {
		t.Errorf("close after it: %d orders, of %v, from %v; want the one that a time would have missed", second.Orders, settled, second.From)
	}
}

func TestEverySaleAndRefundIsInExactlyOneCloseWhateverRuns(t *testing.T) {
	s := newStation(t)
	const pumps, sales, closers = 6, 8, 3
	var selling, closing sync.WaitGroup
	ready := make([]*stationPump, pumps)
	riders := make([]string, pumps)
	for i := range pumps {
		ready[i] = s.pump(device.ID(fmt.Sprint("pump-", i)), oneSide)
		riders[i] = s.rider(2_000_00)
	}
	done := make(chan struct{})
	for i, p := range ready {
		selling.Go(func() {
			for n := range sales {
				o := p.ends(p.order(riders[i], 1, billing.Preset{Grade: "92", Amount: 200_00}), 1, int64(1_000+100*n+i))
				if n%2 == 0 {
					s.refund(o, billing.Fen(10+n))
				}
			}
		})
	}
	for _, period := range []order.Period{order.Shift, order.Day} {
		for range closers {
			closing.Go(func() {
				for {
					if _, _, err := s.db.TakeClose(t.Context(), s.taking(stationID, period, s.no())); err != nil {
						t.Errorf("close: %v", err)
						return
					}
					if _, err := s.db.PreviewClose(t.Context(), stationID, period); err != nil {
						t.Errorf("preview: %v", err)
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
	}
	selling.Wait()
	close(done)
	closing.Wait()
	var billed, refunded, captured billing.Fen
	var flowed, entries int64
	if err := s.owner.QueryRow(t.Context(), `SELECT sum((quote->>'total_fen')::bigint)::bigint, sum(refunded)::bigint, sum(charged)::bigint,
		sum((usage->'fuel'->>'millilitres')::bigint)::bigint, count(*) + (SELECT count(*) FROM transfers WHERE purpose = 'refund')
		FROM orders WHERE venue = $1 AND state = 'settled'`, stationID).Scan(&billed, &refunded, &captured, &flowed, &entries); err != nil {
		t.Fatal(err)
	}
	for _, period := range []order.Period{order.Shift, order.Day} {
		s.take(period) // what was sold after the last one
		var of struct {
			orders, moved, sold       int64
			billed, refunded, catched billing.Fen
		}
		numbers, after, pages := map[int]bool{}, "", 0
		var last time.Time
		for {
			page, err := s.db.Closes(t.Context(), stationID, period, after, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				if numbers[c.Number] || c.Period != period || !last.IsZero() && !c.At.Before(last) {
					t.Errorf("close %d of %s stands twice, or in no order", c.Number, period)
				}
				numbers[c.Number], last, after = true, c.At, c.ID
				of.orders += c.Orders
				of.billed += c.Billed
				of.refunded += c.Refunded
				for _, p := range c.Pay {
					of.catched += p.Captured
				}
				for _, n := range c.Nozzles {
					of.sold += n.Sold
					if n.Difference != nil {
						of.moved += *n.Moved
						if *n.Difference != 0 {
							t.Errorf("close %d of %s, %s nozzle %d: difference of %d ml", c.Number, period, n.Device, n.Nozzle, *n.Difference)
						}
					} else {
						of.moved += *n.To - 1_000_000*int64(n.Nozzle) // since it was provisioned
					}
				}
			}
			pages++
			if len(page) < 7 {
				break
			}
		}
		if len(numbers) < 2 || !numbers[1] || !numbers[len(numbers)] {
			t.Errorf("closes of %s: %v, want 1 to their count", period, numbers)
		}
		if of.orders != pumps*sales || of.billed != billed || of.refunded != refunded || of.catched != captured || of.sold != flowed || of.moved != flowed {
			t.Errorf("closes of %s hold %+v; the orders are %d: %v billed, %v refunded, %d ml", period, of, pumps*sales, billed, refunded, flowed)
		}
		var held, named int64
		if err := s.owner.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT subject) FROM close_entries WHERE period = $1`, string(period)).
			Scan(&held, &named); err != nil {
			t.Fatal(err)
		}
		if held != entries || named != entries {
			t.Errorf("closes of %s have %d entries of %d subjects, want %d", period, held, named, entries)
		}
	}
	s.clean()
}

func TestNozzlesAreFoundByTheirEvidence(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", map[uint8]map[uint8]string{1: {1: "92", 2: "92"}, 2: {1: "92"}})
	ann := s.rider(900_00)
	s.take(order.Shift)
	preset := billing.Preset{Grade: "92", Amount: 100_00}
	p.ends(p.order(ann, 1, preset), 2, 3_000)
	p.ends(p.order(ann, 1, preset), 1, 1_000)
	p.ends(p.order(ann, 2, preset), 1, 500)
	c := s.take(order.Shift)
	wantNozzles(t, c,
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 1, Grade: "92", From: ml(1_000_000), To: ml(1_001_000), Moved: ml(1_000), Sold: 1_000, Difference: ml(0)},
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 2, Grade: "92", From: ml(2_000_000), To: ml(2_003_000), Moved: ml(3_000), Sold: 3_000, Difference: ml(0)},
		order.NozzleTotal{Device: "pump-1", Outlet: 2, Nozzle: 1, Grade: "92", From: ml(1_000_000), To: ml(1_000_500), Moved: ml(500), Sold: 500, Difference: ml(0)})

	// A new meter under the same name: what it stood at before means nothing now.
	p.ends(p.order(ann, 2, preset), 1, 700)
	p = s.pump("pump-1", map[uint8]map[uint8]string{1: {1: "95", 2: "92"}, 2: {1: "95"}})
	c = s.take(order.Shift)
	wantNozzles(t, c,
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 1, Grade: "95", To: ml(1_000_000), Note: order.NozzleProvisionedAgain},
		order.NozzleTotal{Device: "pump-1", Outlet: 1, Nozzle: 2, Grade: "92", To: ml(2_000_000), Note: order.NozzleProvisionedAgain},
		order.NozzleTotal{Device: "pump-1", Outlet: 2, Nozzle: 0, Grade: "92", Sold: 700, Note: order.NozzleNotHere},
		order.NozzleTotal{Device: "pump-1", Outlet: 2, Nozzle: 1, Grade: "95", To: ml(1_000_000), Note: order.NozzleProvisionedAgain})
	p.ends(p.order(ann, 2, billing.Preset{Grade: "95", Amount: 100_00}), 1, 200)
	c = s.take(order.Shift)
	if n := c.Nozzles[2]; *n.Difference != 0 || *n.Moved != 200 || n.Note != "" || len(c.Nozzles) != 3 {
		t.Errorf("nozzles after it: %+v", c.Nozzles)
	}

	// Retired: its last reading is told once.
	p.sale2(ann, 300)
	if _, err := s.svc.SetService(t.Context(), order.SetService{Device: "pump-1", Service: device.Retired, Staff: s.audit("retire")}); err != nil {
		t.Fatal(err)
	}
	if c = s.take(order.Shift); len(c.Nozzles) != 1 || c.Nozzles[0].Sold != 300 || *c.Nozzles[0].Difference != 0 {
		t.Errorf("nozzles of the retired pump: %+v", c.Nozzles)
	}
	if c = s.take(order.Shift); len(c.Nozzles) != 0 {
		t.Errorf("nozzles of the retired pump, once more: %+v", c.Nozzles)
	}
	s.clean()
}

// sale2 is a sale of grade 95 at side 2.
func (p *stationPump) sale2(rider string, ml int64) {
	p.s.t.Helper()
	p.ends(p.order(rider, 2, billing.Preset{Grade: "95", Amount: 100_00}), 1, ml)
}

func TestNobodyChangesAClose(t *testing.T) {
	s := newStation(t)
	s.pump("pump-1", oneSide).sale(s.rider(500_00), 1_000)
	s.take(order.Day)
	for _, role := range []string{"unlatch_app", "none"} {
		for _, change := range []string{`UPDATE closes SET number = 7`, `DELETE FROM closes`, `UPDATE close_entries SET close = gen_random_uuid()`,
			`DELETE FROM close_entries`} {
			_, err := s.owner.Exec(t.Context(), "SET LOCAL ROLE "+role+"; "+change, pgx.QueryExecModeSimpleProtocol)
			if err == nil {
				t.Errorf("%s as %s went through", change, role)
			}
		}
	}
}

func TestTheAuditSeesACloseThatDoesNotAddUp(t *testing.T) {
	for name, spoil := range map[string]string{
		"an entry is gone":        `DELETE FROM close_entries WHERE subject IN (SELECT id FROM orders)`,
		"another refund":          `UPDATE closes SET document = jsonb_set(document, '{refunded_fen}', '1')`,
		"another amount":          `UPDATE closes SET document = jsonb_set(document, '{billed_fen}', '1')`,
		"an entry of nothing":     `UPDATE close_entries SET subject = gen_random_uuid() WHERE subject IN (SELECT id FROM transfers)`,
		"an entry of no close":    `INSERT INTO close_entries VALUES ('day', gen_random_uuid(), gen_random_uuid())`,
		"an entry too many":       `INSERT INTO close_entries SELECT period, gen_random_uuid(), id FROM closes`,
		"an entry of two periods": `UPDATE close_entries SET period = 'day'`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t)
			s.refund(s.pump("pump-1", oneSide).sale(s.rider(500_00), 1_000), 1_00)
			s.take(order.Shift)
			s.clean()
			if _, err := s.owner.Exec(t.Context(), "SET session_replication_role = replica; "+spoil, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			found := audit(t, s.db).Findings
			if len(found) == 0 {
				t.Error("no finding")
			}
			for _, f := range found {
				if f.View != "audit_m5_close_is_its_entries" {
					t.Errorf("finding of %s: %s", f.View, f.What)
				}
			}
		})
	}
}

func TestOpenItemsAreFiltered(t *testing.T) {
	s := newStation(t)
	at := time.Now().Add(-time.Hour)
	for i, item := range []order.Item{{Kind: "a", Venue: "x"}, {Kind: "b", Venue: "x"}, {Kind: "a", Venue: "y"}} {
		item.ID, item.Subject, item.At = uuid.Must(uuid.NewV7()).String(), fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute)
		if err := s.db.OpenItem(t.Context(), item); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := s.db.CloseItem(t.Context(), item.ID, s.audit("close")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		all    bool
		kind   string
		venues []string
		want   []string // subjects
	}{
		{false, "", nil, []string{"0", "2"}},
		{true, "", nil, []string{"2", "1", "0"}},
		{false, "a", nil, []string{"0", "2"}},
		{false, "", []string{"x"}, []string{"0"}},
		{true, "", []string{"x"}, []string{"1", "0"}},
		{true, "a", []string{"y"}, []string{"2"}},
		{true, "", []string{}, nil},
		{false, "c", nil, nil},
	} {
		rows, err := s.db.Items(t.Context(), c.all, c.kind, c.venues, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.Subject)
		}
		if !cmp.Equal(got, c.want) {
			t.Errorf("items of %+v: %v", c, got)
		}
	}
}
