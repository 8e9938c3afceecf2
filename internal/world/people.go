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

// ride is somebody's intention to use a device, and what comes of it.
type ride struct {
	w       *world
	n       int
	who     string // a rider, or "staff:s1"
	machine *machine
	side    *side // of a pump
	service bool
	hasty   bool
	phone   bool          // near the lock, with Bluetooth
	when    time.Duration // of the first scan

	scans  int
	sends  int // of the present request
	keys   int
	key    order.KeyRef
	ticket order.Ticket
	preset billing.Preset
	pay    order.PayWith
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
		x := &ride{w: w, n: i + 1, who: pick(w, w.riders), machine: pick(w, w.locks)}
		if before != nil && w.chance(0.3) {
			x.machine, when = before.machine, before.when+w.between(0, 300*time.Millisecond)
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
		x.phone = !x.service && w.chance(0.2)
		before = x
		w.rides = append(w.rides, x)
		w.after(when, x.scan)
	}
}

// planSales draws who wants which side of which pump and when; some meet at one
// side, or at both sides of one pump.
func (w *world) planSales(n int) {
	last := w.odds.length * 3 / 4
	var before *ride
	var when time.Duration
	for range n {
		x := &ride{w: w, n: len(w.rides) + 1, who: pick(w, w.riders), machine: pick(w, w.pumps)}
		if before != nil && w.chance(0.3) {
			x.machine, when = before.machine, before.when+w.between(0, 3*time.Second)
		} else {
			when = w.between(10*time.Second, last)
		}
		if before != nil && w.chance(0.1) {
			x.who, x.service = before.who, before.service
		} else if w.chance(0.08) {
			x.who, x.service = "staff:s1", true
		}
		x.side, x.when = pick(w, x.machine.pump.sides), when
		before = x
		w.rides = append(w.rides, x)
		w.after(when, x.scan)
	}
}

// name is how the story calls somebody.
func (x *ride) name() string { return x.who }

// outlet is the number of what is to be used.
func (x *ride) outlet() uint8 {
	if x.side == nil {
		return 1
	}
	return x.side.n
}

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
	snapshot, err := w.store.Load(context.Background(), order.Query{Device: x.machine.id})
	if err != nil {
		w.oracle.violation("world: load for a scan: %v", err)
		return
	}
	out := snapshot.Outlets[x.outlet()-1]
	if x.service || out.Reservation.HoldsFor(x.who, snapshot.Now) {
		out.Reservation = device.Reservation{}
	}
	available := snapshot.Device.Availability(out, false, snapshot.Now)
	w.note(x.name(), "scans %s: %s", x.machine.id, available)
	switch {
	case available == device.NonContactable:
		run(w, r, "probe for a scan of "+string(x.machine.id), order.UseCase[order.Acted](order.Ask{Device: x.machine.id, Outlet: x.outlet()}),
			func(a order.Acted, err error) {
				if err == nil {
					w.dispatch(r, a.Send)
				}
			})
		if !x.phone {
			again(2*time.Second, 12*time.Second)
			return
		}
	case available != device.Available && w.chance(0.6):
		again(15*time.Second, 70*time.Second)
		return
	}
	tariff := w.tariff
	if x.side != nil {
		tariff = w.fuel()
		x.preset = w.preset(x.side, x.service)
	}
	t := order.Ticket{Rider: x.who, Device: x.machine.id, Outlet: x.outlet(), Epoch: snapshot.Device.Epoch, Tariff: tariff.ID,
		Version: tariff.Version, Expires: snapshot.Now.Add(w.env.Config.TicketLife).UnixMilli()}
	if x.side != nil && !x.service {
		t.Class = pick(w, []order.Class{order.Printed, order.Rotating})
	}
	token, err := w.tickets.Make(w.env.Rand, t)
	if err == nil {
		x.ticket, err = w.tickets.Open(token)
	}
	if err != nil {
		w.oracle.violation("world: ticket: %v", err)
		return
	}
	w.oracle.versions[x.ticket.ID] = tariff.Version
	x.pay = w.payWith()
	x.keys++
	x.key = order.KeyRef{Principal: "rider:" + x.who, Key: fmt.Sprintf("ride-%d-%d", x.n, x.keys)}
	x.sends, x.answer = 0, nil
	// Mischief that must be there when the start arrives.
	switch {
	case w.strikes(StepCut, 0.35):
		w.armCut(x.machine, pick(w, sim.Steps[:5]))
	case w.strikes(Delay, 0.2): // not one copy of the start comes soon
		w.fault(Delay)
		way := &x.machine.links[down]
		way.slow, way.lag = w.at+20*time.Second, w.between(8*time.Second, 25*time.Second)
		w.note(string(x.machine.id), "is %s behind what is sent to it", way.lag.Round(time.Second))
	case x.side != nil:
	case w.strikes(Jam, 0.15):
		w.jam(x.machine)
	case w.strikes(LowBattery, 0.1):
		w.drain(x.machine)
	}
	wait := w.between(300*time.Millisecond, 4*time.Second)
	switch {
	case x.hasty:
		wait = w.between(10*time.Millisecond, 300*time.Millisecond)
	case w.chance(0.05):
		wait = w.between(100*time.Second, 140*time.Second) // the ticket may expire
	}
	if w.chance(0.1) && !x.service { // money comes in the same moment
		amount := billing.Fen(50 + w.rand.IntN(300))
		w.after(wait, func() { w.money(w.topUp(x.who, amount, x.key.Key), 2) })
	}
	w.after(wait, x.send)
}

func (x *ride) place(hash string) order.Place {
	p := order.Place{Rider: x.who, Ticket: x.ticket, PayWith: x.pay, Preset: x.preset, Key: x.key, Route: "POST /v1/orders",
		Hash: sha256.Sum256([]byte(hash)), Answer: func(o order.Order) (int, []byte, error) {
			return 201, fmt.Appendf(nil, `{"id":%q,"state":%q,"seq":%d}`, o.ID, o.State, o.Seq), nil
		}}
	if x.service {
		p.PayWith, p.Staff = order.PayService, &order.Audit{Staff: "s1", Act: "service unlock", Reason: "maintenance"}
	}
	if x.phone {
		p.Road = order.Bluetooth
	}
	if b, ok := x.w.battery[x.machine.id]; ok {
		p.Battery = &b
	}
	return p
}

// send asks for the order; until there is an answer the same request goes out
// again, to whichever replica.
func (x *ride) send() {
	w := x.w
	if x.sends >= 15 {
		w.note(x.name(), "gives up asking for %s", x.machine.id)
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
	w.note(x.name(), "asks for %s with key %s", x.machine.id, key.Key)
	run(w, r, fmt.Sprintf("order of %s for %s", x.who, x.machine.id), order.UseCase[order.Placed](x.place(x.ticket.ID)),
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
		if w.pay != nil && !w.healing && (errors.Is(err, order.ErrDebt) || errors.Is(err, order.ErrNoMoney)) && w.chance(0.7) {
			w.topsUp(x.who)
		}
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
	if w.oracle.orders[x.order].Payment != "" {
		w.asks(x.who, x.order, "")
	}
	if x.phone {
		x.walksUp()
	}
	x.mayPause()
	switch {
	case x.side != nil:
		x.atThePump()
	case w.chance(0.25):
		w.after(w.between(200*time.Millisecond, 40*time.Second), func() { x.act(order.Cancel, 3) })
	case w.chance(0.6):
		w.after(w.between(30*time.Second, 5*time.Minute), func() { x.act(order.End, 12) })
	}
}

// atThePump plans what a rider with an order does by phone; what his hands do
// begins with the arming, but where he is too early.
func (x *ride) atThePump() {
	w := x.w
	if w.chance(0.1) {
		right, _ := x.side.nozzle(x.preset.Grade)
		w.after(w.between(0, 4*time.Second), func() { w.calls(x.machine, x.side, right) })
	}
	switch {
	case w.chance(0.15):
		w.after(w.between(200*time.Millisecond, 40*time.Second), func() { x.act(order.Cancel, 3) })
	case w.chance(0.25):
		w.after(w.between(3*time.Second, 2*time.Minute), func() { x.act(order.End, 4) })
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
