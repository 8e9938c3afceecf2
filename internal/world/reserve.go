package world

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// wish is a rider's wish to keep a lock for a while.
type wish struct {
	w       *world
	who     string
	machine *machine
	request order.Reserve
	answer  string
	sends   int
}

// planReservations draws who wants to keep which lock; some want the same one at once,
// and some two.
func (w *world) planReservations() {
	h := w.whim
	if h == nil {
		return
	}
	var before *wish
	var when time.Duration
	for i := range 2 + h.IntN(6) {
		v := &wish{w: w, who: w.riders[h.IntN(len(w.riders))], machine: w.locks[h.IntN(len(w.locks))]}
		if before != nil && h.chance(0.4) {
			if h.chance(0.3) {
				v.who = before.who
			} else {
				v.machine = before.machine
			}
			when += h.between(0, 300*time.Millisecond)
		} else {
			when = h.between(20*time.Second, w.odds.length*3/4)
		}
		v.request = order.Reserve{Rider: v.who, Device: v.machine.id, Outlet: 1, Venue: w.venue.ID, Tariff: w.tariff,
			Key: order.KeyRef{Principal: "rider:" + v.who, Key: fmt.Sprintf("reserve-%d", i+1)}, Route: "POST /v1/reservations",
			Hash: sha256.Sum256([]byte(v.machine.id)), Answer: func(r order.Reservation, _ order.Venue, _ time.Time) (int, []byte, error) {
				return 201, []byte(r.ID), nil
			}}
		before = v
		w.after(when, v.asks)
	}
}

// asks sends the request, again where it was answered to nobody.
func (v *wish) asks() {
	w, h := v.w, v.w.whim
	r := w.someReplica()
	if v.sends++; w.healing || v.sends > 4 {
		return
	}
	if r == nil {
		w.after(h.between(time.Second, 5*time.Second), v.asks)
		return
	}
	w.note(v.who, "wants to keep %s", v.machine.id)
	had := v.answer
	run(w, r, fmt.Sprintf("reservation of %s for %s", v.who, v.machine.id), order.UseCase[order.Placed](v.request), func(p order.Placed, err error) {
		switch {
		case err == nil && had != "" && string(p.Answer) != had:
			w.oracle.violation("E5: reservation %s was answered %q, then %q", v.request.Key.Key, had, p.Answer)
		case err != nil && had != "":
			w.oracle.violation("E5: reservation %s was answered and is now refused: %v", v.request.Key.Key, err)
		case err != nil || had != "":
			return
		}
		v.answer = string(p.Answer)
		if h.chance(0.3) {
			w.after(h.between(10*time.Millisecond, time.Minute), v.asks)
		}
		v.plans()
	})
}

// plans what a rider with a reservation does: comes, gives it back, or forgets it.
func (v *wish) plans() {
	w, h := v.w, v.w.whim
	switch {
	case h.chance(0.55):
		x := &ride{w: w, n: len(w.rides) + 1, who: v.who, machine: v.machine}
		x.when = w.at + h.between(5*time.Second, time.Duration(w.tariff.ReserveMost+1)*time.Minute)
		w.rides = append(w.rides, x)
		w.after(x.when-w.at, x.scan)
	case h.chance(0.4):
		w.after(h.between(time.Second, 4*time.Minute), func() {
			if r := w.someReplica(); r != nil && !w.healing {
				run(w, r, "giving back of "+string(v.machine.id), order.UseCase[order.Reservation](order.CancelReservation{ID: v.answer, Rider: v.who}),
					func(order.Reservation, error) {})
			}
		})
	}
}

// reserves follows the reservations of one commit, in the oracle's own words.
func (o *oracle) reserves(c order.Changes) {
	for _, x := range c.Orders {
		if _, known := o.orders[x.ID]; known || x.PayWith == order.PayService {
			continue
		}
		due := billing.Reserved{}
		for _, r := range o.kept {
			if r.Device != x.Device || r.Outlet != x.Outlet || !x.CreatedAt.Before(r.ExpiresAt) {
				continue
			}
			if r.Rider != x.Rider {
				o.violation("R1: %s of %s takes %s, which is kept for %s until %s", o.name(x.ID), x.Rider, x.Device, r.Rider, r.ExpiresAt)
				continue
			}
			for at := r.FreeUntil; at.Before(x.CreatedAt); at = at.Add(time.Minute) {
				due.Minutes, due.Fee = due.Minutes+1, r.Fee
			}
		}
		if x.Reserved == nil != (due.Minutes == 0) || x.Reserved != nil && *x.Reserved != due {
			o.violation("R3: %s bills its reservation as %+v, it had %+v", o.name(x.ID), x.Reserved, due)
		}
	}
	for _, r := range c.Reservations {
		o.w.result.Covered["reservation "+string(r.State)]++
		switch have, known := o.kept[r.ID]; {
		case r.State != order.ReservationHeld:
			if r.State == order.ReservationExpired && known && o.w.now().Before(have.ExpiresAt) {
				o.violation("R2: reservation %s of %s is said to have expired before its time", r.ID, r.Rider)
			}
			delete(o.kept, r.ID)
		default:
			for _, other := range o.kept {
				overlap := r.CreatedAt.Before(other.ExpiresAt)
				if overlap && other.Rider == r.Rider {
					o.violation("R2: %s keeps %s and %s", r.Rider, other.Device, r.Device)
				}
				if overlap && other.Device == r.Device && other.Outlet == r.Outlet {
					o.violation("R1: %s is kept for %s and %s", r.Device, other.Rider, r.Rider)
				}
			}
			o.kept[r.ID] = r
		}
	}
}
