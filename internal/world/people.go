package world

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// ride is somebody's intention to open a lock, and what comes of it.
type ride struct {
	w       *world
	n       int
	who     string // a rider, or "staff:s1"
	lock    *lock
	service bool
	when    time.Duration // of the first scan

	scans  int
	sends  int // of the present request
	keys   int
	key    order.KeyRef
	ticket order.Ticket
	answer []byte // the bytes that the present key first got
	over   bool   // nothing more will be asked
	order  string
}

// planRides draws who wants which lock and when; some meet at one lock at once.
func (w *world) planRides(n int) {
	// Starts spread over the first three quarters of the chaos.
	last := w.odds.length * 3 / 4
	var before *ride
	var when time.Duration
	for i := range n {
		x := &ride{w: w, n: i + 1, who: pick(w, w.riders), lock: pick(w, w.locks)}
		if before != nil && w.chance(0.3) {
			x.lock, when = before.lock, before.when+w.between(0, 300*time.Millisecond)
		} else {
			when = w.between(10*time.Second, last)
		}
		switch {
		case before != nil && w.chance(0.25): // two phones of one rider, at two locks
			x.who, x.service, when = before.who, before.service, before.when+w.between(0, 300*time.Millisecond)
		case w.chance(0.08):
			x.who, x.service = "staff:s1", true
		}
		x.when = when
		before = x
		w.rides = append(w.rides, x)
		w.after(when, x.scan)
	}
}

// name is how the story calls somebody.
func (x *ride) name() string { return x.who }

// scan asks for a ticket.
func (x *ride) scan() {
	w := x.w
	if x.over { // an earlier try had an order after all
		return
	}
	if w.healing || x.scans >= 6 {
		x.over = true
		return
	}
	x.scans++
	r := w.someReplica()
	again := func(low, high time.Duration) { w.after(w.between(low, high), x.scan) }
	if r == nil {
		again(2*time.Second, 10*time.Second)
		return
	}
	snapshot, err := w.store.Load(context.Background(), order.Query{Device: x.lock.id})
	if err != nil {
		w.oracle.violation("world: load for a scan: %v", err)
		return
	}
	available := snapshot.Device.Availability(snapshot.Outlets[0], false, snapshot.Now)
	w.note(x.name(), "scans %s: %s", x.lock.id, available)
	switch {
	case available == device.NonContactable:
		run(w, r, "probe for a scan of "+string(x.lock.id), order.UseCase[order.Acted](order.Ask{Device: x.lock.id, Outlet: 1}),
			func(a order.Acted, err error) {
				if err == nil {
					w.dispatch(r, a.Send)
				}
			})
		again(2*time.Second, 12*time.Second)
		return
	case available != device.Available && w.chance(0.6):
		again(15*time.Second, 70*time.Second)
		return
	}
	t := order.Ticket{Rider: x.who, Device: x.lock.id, Outlet: 1, Epoch: snapshot.Device.Epoch, Tariff: w.tariff.ID,
		Version: w.tariff.Version, Expires: snapshot.Now.Add(w.env.Config.TicketLife).UnixMilli()}
	token, err := w.tickets.Make(w.env.Rand, t)
	if err == nil {
		x.ticket, err = w.tickets.Open(token)
	}
	if err != nil {
		w.oracle.violation("world: ticket: %v", err)
		return
	}
	x.keys++
	x.key = order.KeyRef{Principal: "rider:" + x.who, Key: fmt.Sprintf("ride-%d-%d", x.n, x.keys)}
	x.sends, x.answer = 0, nil
	// Mischief that must be there when the start arrives.
	switch {
	case w.strikes(StepCut, 0.35):
		w.armCut(x.lock, pick(w, sim.Steps[:5]))
	case w.strikes(Delay, 0.2): // not one copy of the start comes soon
		w.fault(Delay)
		way := &x.lock.links[down]
		way.slow, way.lag = w.at+20*time.Second, w.between(8*time.Second, 25*time.Second)
		w.note(string(x.lock.id), "is %s behind what is sent to it", way.lag.Round(time.Second))
	case w.strikes(Jam, 0.15):
		w.jam(x.lock)
	case w.strikes(LowBattery, 0.1):
		w.drain(x.lock)
	}
	wait := w.between(300*time.Millisecond, 4*time.Second)
	if w.chance(0.05) {
		wait = w.between(100*time.Second, 140*time.Second) // the ticket may expire
	}
	if w.chance(0.1) && !x.service { // money comes in the same moment
		amount := billing.Fen(50 + w.rand.IntN(300))
		w.after(wait, func() { w.money(w.topUp(x.who, amount, x.key.Key), 2) })
	}
	w.after(wait, x.send)
}

func (x *ride) place(hash string) order.Place {
	p := order.Place{Rider: x.who, Ticket: x.ticket, PayWith: order.PayWallet, Key: x.key, Route: "POST /v1/orders",
		Hash: sha256.Sum256([]byte(hash)), Answer: func(o order.Order) (int, []byte, error) {
			return 201, fmt.Appendf(nil, `{"id":%q,"state":%q,"seq":%d}`, o.ID, o.State, o.Seq), nil
		}}
	if x.service {
		p.PayWith, p.Staff = order.PayService, &order.Audit{Staff: "s1", Act: "service unlock", Reason: "maintenance"}
	}
	if b, ok := x.w.battery[x.lock.id]; ok {
		p.Battery = &b
	}
	return p
}

// send asks for the order; until there is an answer the same request goes out
// again, to whichever replica.
func (x *ride) send() {
	w := x.w
	if x.sends >= 15 {
		w.note(x.name(), "gives up asking for %s", x.lock.id)
		x.over = true
		return
	}
	x.sends++
	key, answered, had := x.key, false, x.answer != nil
	r := w.someReplica()
	if r == nil {
		w.note(x.name(), "reaches nobody")
		w.after(w.between(time.Second, 5*time.Second), x.send)
		return
	}
	w.note(x.name(), "asks for %s with key %s", x.lock.id, key.Key)
	run(w, r, fmt.Sprintf("order of %s for %s", x.who, x.lock.id), order.UseCase[order.Placed](x.place(x.ticket.ID)),
		func(p order.Placed, err error) {
			w.dispatch(r, p.Send)
			if w.strikes(LostAnswer, 0.25) {
				w.fault(LostAnswer)
				w.note(x.name(), "never gets the answer")
				return
			}
			w.after(w.between(5*time.Millisecond, 200*time.Millisecond), func() {
				answered = true
				if key == x.key {
					x.answered(p, err, had)
				}
			})
		})
	w.after(w.between(5*time.Second, 8*time.Second), func() {
		if !answered && key == x.key && !x.over {
			x.send()
		}
	})
}

// answered takes what came back for the present key; had tells whether the key
// had its answer when the request was sent.
func (x *ride) answered(p order.Placed, err error, had bool) {
	w := x.w
	switch {
	case errors.Is(err, order.ErrBusy):
		w.after(w.between(time.Second, 3*time.Second), x.send)
	case err != nil && had:
		w.oracle.violation("E5: key %s was answered and is now refused: %v", x.key.Key, err)
	case err != nil && x.answer != nil:
		w.note(x.name(), "is told of an earlier try: %v", err)
	case err != nil:
		w.note(x.name(), "is told: %v", err)
		w.after(w.between(5*time.Second, 60*time.Second), x.scan)
	case x.answer != nil:
		w.note(x.name(), "gets the answer of key %s again", x.key.Key)
		if !bytes.Equal(p.Answer, x.answer) {
			w.oracle.violation("E5: key %s got %q, then %q", x.key.Key, x.answer, p.Answer)
		}
	default:
		x.answer = p.Answer
		x.order = w.oracle.keys[x.key].Order
		w.note(x.name(), "has %s", w.oracle.name(x.order))
		if !bytes.Equal(p.Answer, w.oracle.keys[x.key].Answer) {
			w.oracle.violation("E5: key %s was answered %q, committed is %q", x.key.Key, p.Answer, w.oracle.keys[x.key].Answer)
		}
		x.over = true
		x.holdOrder()
	}
}

// holdOrder plans what a rider with an order does.
func (x *ride) holdOrder() {
	w := x.w
	if w.chance(0.3) { // a second tap on the same button
		w.after(w.between(10*time.Millisecond, 20*time.Second), x.send)
	}
	if w.chance(0.1) {
		w.after(w.between(time.Second, 20*time.Second), x.otherBody)
	}
	switch {
	case w.chance(0.25):
		w.after(w.between(200*time.Millisecond, 40*time.Second), func() { x.act(order.Cancel, 3) })
	case w.chance(0.6):
		w.after(w.between(30*time.Second, 5*time.Minute), func() { x.act(order.End, 12) })
	}
}

// otherBody sends another request under the same key, which must be refused.
func (x *ride) otherBody() {
	w := x.w
	r := w.someReplica()
	if r == nil {
		return
	}
	run(w, r, "another body under key "+x.key.Key, order.UseCase[order.Placed](x.place("another")), func(_ order.Placed, err error) {
		if !errors.Is(err, order.ErrKeyReused) {
			w.oracle.violation("E5: another body under key %s: %v, want %v", x.key.Key, err, order.ErrKeyReused)
		}
	})
}

// act lets the rider cancel or end; it asks again some times while refused.
func (x *ride) act(in order.ActInput, times int) {
	w := x.w
	if times == 0 {
		return
	}
	again := func() { w.after(w.between(15*time.Second, 60*time.Second), func() { x.act(in, times-1) }) }
	r := w.someReplica()
	if r == nil {
		again()
		return
	}
	w.note(x.name(), "asks to %s %s", in, w.oracle.name(x.order))
	a := order.Act{Order: x.order, Input: in, Rider: x.who}
	run(w, r, fmt.Sprintf("%s of %s", in, w.oracle.name(x.order)), order.UseCase[order.Acted](a), func(a order.Acted, err error) {
		if err == nil {
			w.dispatch(r, a.Send)
		} else if in == order.End && w.oracle.orders[x.order].State.Live() {
			again()
		}
	})
}

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
			in := map[order.State]order.ActInput{order.Active: order.ForceEnd, order.Unresolved: order.GiveUpNow}[w.oracle.orders[id].State]
			if in != "" && w.chance(0.5) {
				w.staffActs(r, id, in)
				return
			}
		}
	})
	do(2, func(r *replica) {
		kind := []device.CommandKind{device.Ring, device.Probe, device.Stop}[w.rand.IntN(3)]
		i := order.Instruct{Device: pick(w, w.locks).id, Outlet: 1, Kind: kind, Staff: order.Audit{Staff: "s1", Act: "instruct", Reason: "looking for it"}}
		run(w, r, fmt.Sprintf("%s for %s by staff", kind, i.Device), order.UseCase[order.Acted](i), func(a order.Acted, err error) {
			if err == nil {
				w.dispatch(r, a.Send)
			}
		})
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
	do(1, func(r *replica) {
		id := pick(w, w.locks).id
		w.service(r, id, device.Maintenance)
		w.after(w.between(10*time.Second, 2*time.Minute), func() {
			if r := w.someReplica(); r != nil {
				w.service(r, id, device.InService)
			}
		})
	})
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

// repair is what staff do in the end with a lock that lost evidence or its
// flash: they end what can never be proved, and provision it anew.
func (w *world) repair(l *lock) {
	defer w.after(30*time.Second, func() {
		if l.lossy {
			w.repair(l)
		}
	})
	r := w.someReplica()
	i := len(w.byID)
	for n, d := range w.store.Devices() {
		if d.ID == l.id {
			i = n
		}
	}
	if r == nil || i == len(w.byID) {
		return
	}
	d, out := w.store.Devices()[i], w.store.Outlets(l.id)[0]
	o := w.oracle.orders[out.Order]
	switch {
	case d.Service == device.OutOfService && o.State == order.Active:
		w.staffActs(r, o.ID, order.ForceEnd)
	case d.Service == device.OutOfService && o.State == order.Unresolved:
		w.staffActs(r, o.ID, order.GiveUpNow)
	case out.Order != "": // patience or the watchdog ends it
	case d.Service == device.OutOfService, out.Block != device.NotBlocked, w.oracle.unsettled(l.id):
		w.reprovision(l)
	}
}
