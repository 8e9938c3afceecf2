package world

import (
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// An oracle that never speaks is worth nothing: each lie told after a sane
// schedule must be seen, under the promise that it breaks.
func TestOracleSeesEachLie(t *testing.T) {
	for _, lie := range []struct {
		promise string
		tell    func(*oracle, order.Order, movement)
	}{
		{"A1", func(o *oracle, _ order.Order, m movement) { o.moved(m.by, m.Movement) }},
		{"A2", func(o *oracle, _ order.Order, m movement) { m.At = m.At.Add(time.Hour); o.moved(m.by, m.Movement) }},
		{"A3", func(o *oracle, _ order.Order, m movement) { m.Seq += 1000; o.moved(m.by, m.Movement) }},
		{"A3", func(o *oracle, x order.Order, _ movement) {
			k := o.commands[x.Command]
			k.ID, k.Seq, k.State, k.Order = "new", 1000, device.Published, x.ID
			if x.PayWith = order.PayWallet; o.orders[x.ID].PayWith == x.PayWith {
				o.committed(order.Changes{Commands: []device.Command{k}}, nil, o.w.now())
			}
		}},
		{"A4", func(o *oracle, x order.Order, _ movement) {
			for _, id := range []string{"one", "two"} {
				x.ID, x.State = id, order.Starting
				o.committed(order.Changes{Orders: []order.Order{x}}, nil, o.w.now())
			}
		}},
		{"A5", func(o *oracle, x order.Order, m movement) {
			k := o.commands[x.Command]
			k.State = device.NotExecuted
			o.commands[k.ID] = k
			o.judge()
		}},
		{"A5", func(o *oracle, x order.Order, _ movement) {
			x.ID, x.State = "new", order.Active
			o.order(x)
		}},
		{"M5", func(o *oracle, x order.Order, _ movement) {
			u := *x.Usage
			u.BilledMS += 3_600_000
			x.Usage = &u
			o.settled(x)
		}},
		{"M5", func(o *oracle, x order.Order, _ movement) { x.Quote.Total++; o.settled(x) }},
		{"M4", func(o *oracle, x order.Order, _ movement) {
			delete(o.ledger.resolved, sorted(o.ledger.holds)[0])
			o.judge()
		}},
		{"M1", func(o *oracle, _ order.Order, _ movement) { o.ledger.posted[billing.Revenue]++; o.judge() }},
		{"M2", func(o *oracle, x order.Order, _ movement) {
			o.committed(order.Changes{Accounts: []billing.Account{{ID: billing.Wallet("rider-1"), Posted: -1}}}, nil, o.w.now())
		}},
		{"M8", func(o *oracle, x order.Order, _ movement) { x.Charged = x.HoldFen + 1; o.judgeOrder(x) }},
		{"E1", func(o *oracle, x order.Order, m movement) {
			m.by.lossy = false
			o.acked(m.by, m.by.epoch, device.Ack{Journal: device.Journal(m.by.flash.Journal), N: m.by.flash.Highest + 1})
		}},
		{"E2", func(o *oracle, _ order.Order, m movement) { m.by.flash.Highest++; o.judge() }},
		{"E3", func(o *oracle, x order.Order, _ movement) {
			o.committed(order.Changes{Moves: []order.Move{{Order: x.ID, From: order.Settled, To: order.Active, Input: order.Executed}}}, nil, o.w.now())
		}},
		{"E5", func(o *oracle, x order.Order, _ movement) {
			for ref := range o.keys {
				o.committed(order.Changes{Keys: []order.Key{{KeyRef: ref}}}, nil, o.w.now())
				return
			}
		}},
		{"A2", func(o *oracle, x order.Order, _ movement) {
			x.Road, x.CreatedAt = order.Bluetooth, x.CreatedAt.Add(time.Hour)
			o.relayed(o.commands[x.Command], x, order.Changes{Moves: []order.Move{{Order: x.ID, From: order.Pending}}})
		}},
		{"S6", func(o *oracle, x order.Order, m movement) {
			b := o.commands[x.Command].Bytes
			x.ID = "another"
			o.carries(m.by, x, b)
		}},
		{"S11", func(o *oracle, x order.Order, m movement) { o.carries(m.by, x, []byte{1}) }},
		{"S11", func(o *oracle, x order.Order, _ movement) { o.leaves(device.Command{ID: x.Command, Bytes: []byte{1}}) }},
	} {
		w, x, m := settledRide(t)
		if lie.tell(w.oracle, x, m); !strings.Contains(strings.Join(w.result.Violations, "\n"), " "+lie.promise+": ") {
			t.Errorf("a lie about %s is not seen; violations: %q", lie.promise, w.result.Violations)
		}
	}
}

// settledRide plays a schedule with a rider's settled order that moved.
func settledRide(t *testing.T) (*world, order.Order, movement) {
	t.Helper()
	for seed := uint64(baseSeed); ; seed++ {
		w := play(seed, Options{})
		for _, x := range w.store.Orders() {
			if x.Kind == device.Lock && x.State == order.Settled && x.PayWith == order.PayWallet && x.Charged > 0 && x.Refunded == 0 && len(w.oracle.byOrder[x.ID]) == 1 && w.oracle.byOrder[x.ID][0].Seq == x.Seq &&
				!w.byID[x.Device].lossy && len(x.Spans) == 1 && w.byID[x.Device].epoch == 1 {
				if len(w.result.Violations) > 0 {
					t.Fatalf("seed %d: %q", seed, w.result.Violations)
				}
				return w, x, w.oracle.byOrder[x.ID][0]
			}
		}
	}
}
