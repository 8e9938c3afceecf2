package world

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// topUp is staff putting money into a wallet.
func (w *world) topUp(rider string, amount billing.Fen, key string) order.Money {
	return order.Money{Rider: rider, Amount: amount, Key: order.KeyRef{Principal: "staff:s1", Key: "topup-" + rider + "-" + key},
		Route: "topups", Staff: order.Audit{Staff: "s1", Act: "topup", Reason: "paid in cash"},
		Answer: func(_ order.Snapshot, a billing.Account, _ *order.Order) (int, []byte, error) {
			return 200, fmt.Appendf(nil, `{"balance_fen":%d}`, a.Posted), nil
		}}
}

// refund is staff giving something back.
func (w *world) refund(o order.Order, amount billing.Fen) order.Money {
	m := w.topUp("", amount, "")
	m.Rider, m.Order, m.Route, m.Key.Key = "", o.ID, "refunds", "refund-"+o.ID
	m.Staff.Act = "refund"
	return m
}

// staffAtWork plans what staff do while the world is broken.
func (w *world) staffAtWork() {
	do := func(times int, what func(*replica)) {
		for range times {
			w.after(w.between(30*time.Second, w.odds.length), func() {
				if r := w.someReplica(); r != nil && !w.healing {
					what(r)
				}
			})
		}
	}
	do(2, func(r *replica) { // some live order is ended or given up
		for _, id := range sorted(w.oracle.orders) {
			in := map[order.State]order.ActInput{order.Active: order.ForceEnd, order.Unresolved: order.GiveUpNow,
				order.Pending: order.GiveUpNow}[w.oracle.orders[id].State]
			if in != "" && w.chance(0.5) {
				w.staffActs(r, id, in)
				return
			}
		}
	})
	do(2, func(r *replica) {
		kind := []device.CommandKind{device.Ring, device.Probe, device.Stop}[w.rand.IntN(3)]
		m := pick(w, w.machines)
		w.instruct(r, m, w.someOutlet(m), kind)
	})
	do(1, func(*replica) { w.money(w.topUp(pick(w, w.riders), billing.Fen(100+w.rand.IntN(500)), "second"), 3) })
	do(2, func(*replica) {
		for _, id := range sorted(w.oracle.orders) {
			if o := w.oracle.orders[id]; o.State == order.Settled && o.Paid() > 0 && w.chance(0.5) {
				w.money(w.refund(o, 1+billing.Fen(w.rand.Int64N(int64(o.Paid())))), 2)
				return
			}
		}
	})
	if len(w.pumps) > 0 {
		do(4, func(*replica) { w.decide(0.3) })
	}
	do(1, func(r *replica) {
		id := pick(w, w.machines).id
		w.service(r, id, device.Maintenance)
		w.after(w.between(10*time.Second, 2*time.Minute), func() {
			if r := w.someReplica(); r != nil {
				w.service(r, id, device.InService)
			}
		})
	})
}

func (w *world) instruct(r *replica, m *machine, outlet uint8, kind device.CommandKind) {
	i := order.Instruct{Device: m.id, Outlet: outlet, Kind: kind, Staff: order.Audit{Staff: "s1", Act: "instruct", Reason: "looking for it"}}
	run(w, r, fmt.Sprintf("%s for %s by staff", kind, i.Device), order.UseCase[order.Acted](i), func(a order.Acted, err error) {
		if err == nil {
			w.dispatch(r, a.Send)
		}
	})
}

// decide lets staff decide some bills whose figures do not agree.
func (w *world) decide(p float64) {
	for _, id := range sorted(w.oracle.orders) {
		o := w.oracle.orders[id]
		if o.State != order.Ended || !w.chance(p) {
			continue
		}
		r := w.someReplica()
		if r == nil {
			return
		}
		a := order.Act{Order: id, Input: order.Decide, Amount: billing.Fen(w.rand.Int64N(int64(o.HoldFen) + 1)),
			Staff: &order.Audit{Staff: "s1", Act: "decide", Reason: "by the receipt"}}
		run(w, r, "decision on "+w.oracle.name(id), order.UseCase[order.Acted](a), func(order.Acted, error) {})
	}
}

// someOutlet draws one of a machine's.
func (w *world) someOutlet(m *machine) uint8 {
	if m.lock != nil {
		return 1
	}
	return pick(w, m.pump.sides).n
}

// money sends one request of staff a few times under the same key.
func (w *world) money(m order.Money, times int) {
	m.Hash = sha256.Sum256(fmt.Appendf(nil, "%s%s%d", m.Rider, m.Order, m.Amount))
	for range times {
		wait := w.between(0, 2*time.Second)
		if w.chance(0.5) {
			wait /= 50
		}
		w.after(wait, func() {
			r := w.someReplica()
			if r == nil {
				return
			}
			run(w, r, m.Key.Key, order.UseCase[order.Placed](m), func(p order.Placed, err error) {
				if err == nil && !bytes.Equal(p.Answer, w.oracle.keys[m.Key].Answer) {
					w.oracle.violation("E5: key %s got %q, committed is %q", m.Key.Key, p.Answer, w.oracle.keys[m.Key].Answer)
				}
			})
		})
	}
}

func (w *world) service(r *replica, id device.ID, s device.Service) {
	x := order.SetService{Device: id, Service: s, Staff: order.Audit{Staff: "s1", Act: "service", Reason: "a look at it"}}
	run(w, r, fmt.Sprintf("%s of %s", s, id), order.UseCase[device.Device](x), func(device.Device, error) {})
}

func (w *world) staffActs(r *replica, id string, in order.ActInput) {
	a := order.Act{Order: id, Input: in, Staff: &order.Audit{Staff: "s1", Act: string(in), Reason: "the rider called"}}
	run(w, r, fmt.Sprintf("%s of %s by staff", in, w.oracle.name(id)), order.UseCase[order.Acted](a), func(a order.Acted, err error) {
		if err == nil {
			w.dispatch(r, a.Send)
		}
	})
}

// repair is what staff do in the end with a device that lost evidence or its
// flash: they end what can never be proved, and provision it anew.
func (w *world) repair(m *machine) {
	defer w.after(30*time.Second, func() {
		if m.lossy {
			w.repair(m)
		}
	})
	r := w.someReplica()
	i := len(w.byID)
	for n, d := range w.store.Devices() {
		if d.ID == m.id {
			i = n
		}
	}
	if r == nil || i == len(w.byID) {
		return
	}
	d := w.store.Devices()[i]
	blocked, taken := false, false
	for _, out := range w.store.Outlets(m.id) {
		o := w.oracle.orders[out.Order]
		switch {
		case (d.Service == device.OutOfService || d.Halt != nil) && o.State == order.Active:
			w.staffActs(r, o.ID, order.ForceEnd)
		case (d.Service == device.OutOfService || d.Halt != nil) && o.State == order.Unresolved:
			w.staffActs(r, o.ID, order.GiveUpNow)
		}
		taken = taken || out.Order != "" // patience or the watchdog ends it
		blocked = blocked || out.Block != device.NotBlocked
	}
	replaced := d.Journal != device.Journal(m.flash.Journal) && d.Journal != device.Journal{} // an item says so
	if !taken && (d.Service == device.OutOfService || replaced || blocked || w.oracle.unsettled(m.id)) {
		w.reprovision(m)
	}
}
