package world

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// replica is one process of the server. All that it holds is lost when it dies.
type replica struct {
	name    string
	up      bool
	life    int // grows with each death; what an earlier life began is gone
	words   map[device.ID][][]byte
	acks    map[device.ID]owedAck
	hearing map[string]bool // notifications of the inbox that it deals with
	polling bool
	empty   int // polls in a row that found nothing

	sweeping bool // a round for stops that have yet to reach devices is planned
}

// owedAck is an ack that waits to be gathered with others.
type owedAck struct {
	epoch uint32
	ack   device.Ack
}

func newReplica(name string) *replica {
	return &replica{name: name, up: true, words: map[device.ID][][]byte{}, acks: map[device.ID]owedAck{}, hearing: map[string]bool{}}
}

// someReplica draws one that a load balancer or queue group would choose; nil
// when none is up.
func (w *world) someReplica() *replica {
	var up []*replica
	for _, r := range w.replicas {
		if r.up {
			up = append(up, r)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return pick(w, up)
}

// die ends a replica's life and plans its next.
func (w *world) die(r *replica, why string) {
	if !r.up {
		return
	}
	w.fault(ReplicaDeath)
	w.note(r.name, "dies %s", why)
	r.up, r.polling, r.sweeping, r.empty = false, false, false, 0
	r.life++
	clear(r.words)
	clear(r.acks)
	clear(r.hearing)
	w.after(w.between(500*time.Millisecond, 40*time.Second), func() { w.rise(r) })
}

// rise starts a replica; all that it knows is in the store.
func (w *world) rise(r *replica) {
	if r.up {
		return
	}
	r.up = true
	w.note(r.name, "comes back")
	w.poll(r)
	if len(w.pumps) > 0 {
		w.sweep(r)
	}
	w.after(w.between(0, 300*time.Millisecond), func() { w.elapse(r) })
	w.after(w.between(0, 350*time.Millisecond), func() { w.collect(r) })
}

// later lets a replica do something after a while, if it still lives.
func (w *world) later(r *replica, d time.Duration, do func()) {
	life := r.life
	w.after(d, func() {
		if r.life == life {
			do()
		}
	})
}

// run takes a use case through load, decide and apply, each at its own moment,
// and again while a guard fails or the commit's outcome is unknown, as
// order.Service does. done is called once, unless the replica dies first.
func run[R any](w *world, r *replica, what string, u order.UseCase[R], done func(R, error)) {
	attempt(w, r, what, u, 0, done)
}

// tries is how often order.Service runs a use case before it gives up.
const tries = 60

func attempt[R any](w *world, r *replica, what string, u order.UseCase[R], try int, done func(R, error)) {
	wait := w.between(time.Millisecond, 12*time.Millisecond)
	if try > 0 {
		wait += time.Duration(w.rand.Int64N(int64(min(try, 20)) * int64(2*time.Millisecond)))
	}
	w.later(r, wait, func() {
		snapshot, err := w.store.Load(context.Background(), u.Query())
		if err != nil {
			w.oracle.violation("world: load for %s: %v", what, err)
			return
		}
		changes, result, err := u.Decide(snapshot, w.env)
		if err != nil {
			w.note(r.name, "%s: refused: %v", what, err)
			w.oracle.refused(what, err)
			done(result, err)
			return
		}
		if changes.Empty() {
			w.note(r.name, "%s: nothing to write", what)
			done(result, nil)
			return
		}
		w.note(r.name, "%s: decided", what)
		wait := w.between(time.Millisecond, 25*time.Millisecond)
		if w.strikes(Stall, 0.04) {
			w.fault(Stall)
			wait = w.between(200*time.Millisecond, 25*time.Second)
		}
		w.later(r, wait, func() {
			again, dies := commit(w, r, what, u, changes, snapshot.Now)
			switch {
			case dies:
			case !again:
				done(result, nil)
			case try+1 >= tries:
				var none R
				w.note(r.name, "%s: gives up", what)
				done(none, order.ErrBusy)
			default:
				attempt(w, r, what, u, try+1, done)
			}
		})
	})
}

// commit applies changes, or loses them, or their answer, or the replica.
func commit[R any](w *world, r *replica, what string, u order.UseCase[R], c order.Changes, loaded time.Time) (again, dies bool) {
	if w.strikes(ReplicaDeath, 0.01) {
		w.die(r, "before the commit for "+what)
		return false, true
	}
	if w.strikes(UncertainCommit, 0.025) {
		w.fault(UncertainCommit)
		w.note(r.name, "%s: asks for a commit that never happens and is told: %v", what, order.ErrUncertain)
		return true, false
	}
	if err := w.store.Apply(context.Background(), c); err != nil {
		if !errors.Is(err, order.ErrStale) {
			w.oracle.violation("world: apply for %s: %v", what, err)
		}
		w.note(r.name, "%s: somebody was faster, runs again", what)
		return true, false
	}
	w.oracle.committed(c, any(u), loaded)
	w.wakePollers(c)
	if w.strikes(ReplicaDeath, 0.015) {
		w.die(r, "right after the commit for "+what)
		return false, true
	}
	if w.strikes(UncertainCommit, 0.025) {
		w.fault(UncertainCommit)
		w.note(r.name, "%s: committed, but is told: %v", what, order.ErrUncertain)
		return true, false
	}
	w.note(r.name, "%s: committed%s", what, w.oracle.moves(c))
	return false, false
}

// wakePollers plans what the loops of every replica will find after a commit.
func (w *world) wakePollers(c order.Changes) {
	w.wakeTills(c)
	for _, k := range c.Commands {
		if k.State == device.Published {
			for _, r := range w.replicas {
				r.empty = 0
				w.poll(r)
			}
			break
		}
	}
	for _, o := range c.Orders {
		if o.DueAt.IsZero() {
			continue
		}
		for _, r := range w.replicas {
			w.after(o.DueAt.Sub(w.now())+w.between(0, 350*time.Millisecond), func() { w.elapse(r) })
		}
	}
}

// poll asks the store for commands to send, about every 200 ms while there are
// any and, since a poller may be as slow as it likes, less often while nothing
// comes of it.
func (w *world) poll(r *replica) {
	if !r.up || r.polling {
		return
	}
	r.polling = true
	wait := w.between(100*time.Millisecond, 300*time.Millisecond) << min(r.empty/4, 4)
	w.later(r, wait, func() {
		r.polling = false
		r.empty++
		due, _ := w.store.Outgoing(context.Background(), 500)
		if len(due) > 0 {
			r.empty = 0
			if w.strikes(ReplicaDeath, 0.01) {
				w.die(r, "between claiming commands and sending them")
				return
			}
			w.note(r.name, "sends %d command(s) again", len(due))
			w.dispatch(r, due)
		}
		if w.oracle.published > 0 {
			w.poll(r)
		}
	})
}

// elapse moves orders whose time has come.
func (w *world) elapse(r *replica) {
	if !r.up {
		return
	}
	due, _ := w.store.Due(context.Background(), 200)
	for _, id := range due {
		run(w, r, "time of "+w.oracle.name(id), order.UseCase[order.Acted](order.Act{Order: id, Input: order.Elapse}),
			func(a order.Acted, err error) {
				if err == nil {
					w.dispatch(r, a.Send)
				}
			})
	}
	if len(due) > 0 { // what does not come of it is due at the next round
		w.later(r, w.between(250*time.Millisecond, 600*time.Millisecond), func() { w.elapse(r) })
	}
}

// dispatch puts committed commands on the air.
func (w *world) dispatch(r *replica, commands []device.Command) {
	for _, c := range commands {
		w.later(r, w.between(0, 4*time.Millisecond), func() {
			w.oracle.leaves(c)
			w.note(r.name, "sends %s #%d to %s", c.Kind, c.Seq, c.Device)
			w.down(w.byID[c.Device], c.Bytes)
		})
	}
}

// take queues an uplink; a device's words are worked on in order.
func (w *world) take(r *replica, m *machine, payload []byte) {
	r.words[m.id] = append(r.words[m.id], payload)
	if len(r.words[m.id]) == 1 {
		w.work(r, m)
	}
}

func (w *world) work(r *replica, m *machine) {
	next := func() {
		r.words[m.id] = r.words[m.id][1:]
		if len(r.words[m.id]) > 0 {
			w.work(r, m)
		}
	}
	word, epoch, err := w.open(m, r.words[m.id][0])
	if err != nil {
		w.note(r.name, "refuses what claims to be from %s: %v", m.id, err)
		next()
		return
	}
	what := fmt.Sprintf("beat of %s", m.id)
	if e := word.Evidence; e != nil {
		what = fmt.Sprintf("%s %d of %s", e.Kind, e.Seq, m.id)
	}
	run(w, r, what, order.UseCase[order.Heard](order.Hear{Device: m.id, Word: word}), func(h order.Heard, err error) {
		if err == nil {
			w.dispatch(r, h.Send)
			if h.Ack != nil {
				w.oweAck(r, m, epoch, *h.Ack)
			}
		}
		next()
	})
}

// oweAck gathers acks for 100 ms, as the gateway does.
func (w *world) oweAck(r *replica, m *machine, epoch uint32, a device.Ack) {
	have, ok := r.acks[m.id]
	if ok && have.epoch == epoch && have.ack.Journal == a.Journal && have.ack.N > a.N {
		return
	}
	r.acks[m.id] = owedAck{epoch, a}
	if ok {
		return
	}
	w.later(r, w.between(0, 100*time.Millisecond), func() {
		owed := r.acks[m.id]
		delete(r.acks, m.id)
		b, err := w.sealer.SealAck(m.id, owed.epoch, owed.ack)
		if err != nil {
			w.oracle.violation("world: ack not sealed: %v", err)
			return
		}
		w.oracle.acked(m, owed.epoch, owed.ack)
		w.note(r.name, "acks %s up to %d", m.id, owed.ack.N)
		w.down(m, b)
	})
}
