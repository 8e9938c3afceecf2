package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// tomorrow is the book of a day later.
type tomorrow struct {
	*store.DB
	ahead *atomic.Int64
}

func (b tomorrow) Clock(ctx context.Context) (time.Time, error) {
	now, err := b.DB.Clock(ctx)
	return now.Add(time.Duration(b.ahead.Load())), err
}

// TestEachDayOfTheBillIsHeldAgainstTheLedger: a day with a top-up, a ride on Pay Score,
// fuel on prepay and its refund matches line by line; a line that is missing, one that
// is wrong by a fen and one that is nobody's are an open item each.
func TestEachDayOfTheBillIsHeldAgainstTheLedger(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Pumps: []string{"pump-1"}, Riders: []string{"ada"},
		WeChat: func(c *fakewechat.Config) {
			c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			c.Stamp = time.Now
		}})
	n, ada := v.nodes[0], v.rider("ada", 0, 0)
	if err := v.pay("ada", v.topsUp(ada, 5000, "t1")); err != nil {
		t.Fatal(err)
	}
	ride, err := v.places(ada, v.codes["bike"], "pay_score", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, p := v.payable(ada, ride.ID)
	if err := v.double.fake.Confirm("ada", p.Package); err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, ride.ID, "active", 30*time.Second)
	v.direct("bike", "close", nil)
	fuel, err := v.places(ada, v.codes["pump-1/1"], "prepay", map[string]any{"grade": "92", "amount_fen": 10_000})
	if err != nil {
		t.Fatal(err)
	}
	_, p = v.payable(ada, fuel.ID)
	if err := v.pay("ada", p); err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, fuel.ID, "active", 30*time.Second)
	if err := ada.do(t.Context(), http.MethodPost, "/v1/orders/"+fuel.ID+"/cancel", "", nil, nil); err != nil {
		t.Fatal(err)
	}
	v.sold(ada, fuel.ID)
	v.squared()

	day := time.Now().In(order.China).Format(time.DateOnly)
	reconciler := &order.Reconciler{Bills: bills{v.double.cashier}, Book: tomorrow{n.db, &ahead}, Env: n.orders.Env, Log: v.log}
	if err := reconciler.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if days, err := n.db.BillDays(t.Context(), 10); err != nil || len(days) != 0 {
		t.Fatalf("today's bill was wanted today: %+v, %v", days, err)
	}
	ahead.Store(int64(35 * time.Hour)) // after ten o'clock of tomorrow, whatever it is now
	days := func() map[string]order.BillDay {
		t.Helper()
		rows, err := n.db.BillDays(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]order.BillDay{}
		for _, d := range rows {
			found[d.Day] = d
		}
		return found
	}
	if err := reconciler.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := days()[day]; d.State != "matched" || d.Lines != 4 || d.Went != 10_000 {
		t.Fatalf("the bill of %s: %+v, want 4 lines that match and 10000 back", day, d)
	}
	staff := v.staff()
	for _, x := range []struct {
		fault       string
		differences int
	}{{fakewechat.FaultBillDrop, 0}, {fakewechat.FaultBillAmount, 1}} {
		if err := v.double.fake.Break(fakewechat.Fault{Kind: x.fault}); err != nil {
			t.Fatal(err)
		}
		lines, err := bills{v.double.cashier}.TradeBill(t.Context(), day)
		if err != nil {
			t.Fatal(err)
		}
		// A line that an earlier fetch had is known for good: a bill is never corrected.
		if d, err := n.db.MatchBill(t.Context(), day, lines); err != nil || d.Differences != x.differences {
			t.Errorf("%s: %+v, %v; want %d differences", x.fault, d, err, x.differences)
		}
	}
	lines, err := bills{v.double.cashier}.TradeBill(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	stranger := lines[0]
	stranger.ID, stranger.Number = "4200000000000000000000000000", "0190000000007000800000000000beef"
	if d, err := n.db.MatchBill(t.Context(), day, append(lines, stranger)); err != nil || d.Differences != 1 {
		t.Errorf("a stranger's line: %+v, %v; want 1 difference", d, err)
	}
	var list struct {
		Items []struct{ Kind, Subject, Detail string }
	}
	if err := staff.do(t.Context(), http.MethodGet, "/v1/operator/open-items?kind=bill_difference", "", nil, &list); err != nil || len(list.Items) != 2 {
		t.Errorf("open items: %+v, %v; want the wrong amount and the stranger", list, err)
	}
}

// TestALineThatTheBillLacksIsFound: money that the ledger has and the bill does not.
func TestALineThatTheBillLacksIsFound(t *testing.T) {
	v := newVenue(t, venueConfig{Riders: []string{"ada"}})
	n, ada := v.nodes[0], v.rider("ada", 0, 0)
	if err := v.pay("ada", v.topsUp(ada, 5000, "t1")); err != nil {
		t.Fatal(err)
	}
	v.squared()
	now, err := n.db.Clock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What moved in the last ten minutes of a day may stand in the next day's bill.
	for _, moment := range []time.Time{now, now.Add(10 * time.Minute)} {
		d, err := n.db.MatchBill(t.Context(), moment.In(order.China).Format(time.DateOnly), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.Differences == 1 {
			return
		}
	}
	t.Error("a bill without any line matched a day with a top-up")
}
