package world

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// begun is a world of one lock whose start is committed, and all the words that
// the lock then says up to the end of the use; the store has heard none of them.
func begun(t *testing.T, reboot bool) (w *world, id string, words []order.Hear) {
	t.Helper()
	w = newWorld(7, Options{Devices: 1, Orders: 1, Faults: map[Fault]bool{}})
	w.queue = nil
	l := w.locks[0]
	said := func(packets []sim.Packet) (heard []order.Hear) {
		for _, p := range packets {
			if p.Topic == wire.EvidenceTopic(string(l.id)) {
				word, _, err := w.open(l, p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				heard = append(heard, order.Hear{Device: l.id, Word: word})
			}
		}
		return heard
	}
	for _, h := range said(l.c.Connect(w.now())) {
		at(w, order.UseCase[order.Heard](h))
	}
	x := &ride{w: w, who: "rider-1", machine: l, pay: order.PayWallet, ticket: order.Ticket{ID: "t", Rider: "rider-1", Device: l.id, Outlet: 1, Epoch: 1,
		Tariff: w.tariff.ID, Version: 1, Expires: w.now().Add(time.Minute).UnixMilli()}}
	x.key = order.KeyRef{Principal: "rider:rider-1", Key: "k"}
	placed := at(w, order.UseCase[order.Placed](x.place("t")))
	w.at += time.Second
	words = append(words, said(l.c.Receive(w.now(), placed.Send[0].Bytes))...)
	w.moved(l, l.lock.body.Movements[0])
	w.queue = nil
	w.at += 5 * time.Minute
	words = append(words, said(l.c.Tick(w.now()))...)
	if reboot {
		l.c.PowerCut()
		w.at += 20 * time.Second
		l.c.Boot(w.now())
		l.boots[device.Boot(l.c.BootID())] = bootTruth{at: w.at}
		words = append(words, said(l.c.Connect(w.now()))...)
		w.at += time.Minute
	}
	l.lock.shuts = append(l.lock.shuts, w.at)
	words = append(words, said(l.c.CloseByHand(w.now()))...)
	w.at += 5 * time.Minute
	words = append(words, said(l.c.Tick(w.now()))...)
	return w, placed.Order.ID, words
}

// outcome is what must not depend on the order of arrival. Across boots a bill
// does: each boot is placed by what was heard of it until then.
func outcome(w *world, id string, reboot bool) string {
	o, d, out := w.oracle.orders[id], w.store.Devices()[0], w.store.Outlets("bike-1")[0]
	s := fmt.Sprintf("%s by %s; command %s; applied %d of %d; outlet %q %q next %d burned %d opens %d %+v", o.State, o.EndedBy,
		w.oracle.commands[o.Command].State, d.Applied, d.Head.Highest, out.Order, out.Block, out.NextSeq, out.LastSeq, out.Opens, out.Stated)
	if !reboot && o.Usage != nil {
		s += fmt.Sprintf("; %d ms, %d fen", o.Usage.BilledMS, o.Charged)
	}
	return s
}

func TestWordsInAnyOrderAndNumberEndTheSame(t *testing.T) {
	for _, reboot := range []bool{false, true} {
		w, id, words := begun(t, reboot)
		for _, h := range words {
			at(w, order.UseCase[order.Heard](h))
		}
		want := outcome(w, id, reboot)
		if w.oracle.orders[id].State != order.Settled || len(w.result.Violations) > 0 {
			t.Fatalf("reboot %v, in order: %s, violations %q", reboot, want, w.result.Violations)
		}
		for seed := range uint64(200) {
			w, id, words := begun(t, reboot)
			random := rand.New(rand.NewPCG(seed, 2))
			twice := append(append([]order.Hear(nil), words...), words...)
			random.Shuffle(len(twice), func(i, j int) { twice[i], twice[j] = twice[j], twice[i] })
			for _, h := range twice {
				at(w, order.UseCase[order.Heard](h))
			}
			if got := outcome(w, id, reboot); got != want || len(w.result.Violations) > 0 {
				t.Errorf("reboot %v, shuffle %d:\n got %s\nwant %s\nviolations %q", reboot, seed, got, want, w.result.Violations)
				return
			}
		}
	}
}

// pumped is a world of one pump whose start is committed, and all the words that the
// pump then says: a sale that ends by the hand, or by a cut of its power, and a
// crank; the store has heard none of them.
func pumped(t *testing.T, end string) (w *world, id string, words []order.Hear) {
	t.Helper()
	w = newWorld(8, Options{Pumps: 1, Orders: 1, Faults: map[Fault]bool{}})
	w.queue = nil
	m := w.pumps[0]
	s := m.pump.sides[1]
	hear := func(packets []sim.Packet) {
		for _, p := range packets {
			if p.Topic == wire.EvidenceTopic(string(m.id)) {
				word, _, err := w.open(m, p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				words = append(words, order.Hear{Device: m.id, Word: word})
			}
		}
	}
	do := func(wait time.Duration, act func(time.Time) []sim.Packet) {
		w.at += wait
		last := m.flash.Highest
		hear(act(w.now()))
		w.follow(m, last)
		w.queue = nil
	}
	do(0, m.c.Connect)
	for _, h := range words {
		at(w, order.UseCase[order.Heard](h))
	}
	words = nil
	right, grade := s.body.Nozzles[0].Number, s.body.Nozzles[0].Grade
	x := &ride{w: w, who: "rider-1", machine: m, side: s, pay: order.PayWallet, preset: billing.Preset{Grade: grade, Millilitres: 2_000},
		ticket: order.Ticket{ID: "t", Rider: "rider-1", Device: m.id, Outlet: s.n, Epoch: 1, Tariff: "fuel", Version: 1,
			Class: order.Rotating, Expires: w.now().Add(time.Minute).UnixMilli()}}
	w.oracle.versions["t"] = 1
	x.key = order.KeyRef{Principal: "rider:rider-1", Key: "k"}
	placed := at(w, order.UseCase[order.Placed](x.place("t")))
	do(time.Second, func(now time.Time) []sim.Packet { return m.c.Receive(now, placed.Send[0].Bytes) })
	do(time.Second, func(now time.Time) []sim.Packet { return m.c.Lift(now, s.n, right) })
	do(time.Second, func(now time.Time) []sim.Packet { return m.c.Squeeze(now, s.n, 50) })
	do(6*time.Second, m.c.Tick)
	do(6*time.Second, m.c.Tick)
	switch end {
	case "power":
		do(time.Second, func(now time.Time) []sim.Packet { m.c.PowerCutAt(now); return nil })
		do(20*time.Second, func(now time.Time) []sim.Packet { m.c.Boot(now); return nil })
		m.boots[device.Boot(m.c.BootID())] = bootTruth{at: w.at}
		do(time.Second, m.c.Connect)
	case "wrong":
		do(0, func(now time.Time) []sim.Packet { return m.c.SetFaults(now, s.n, 0, 55) })
		fallthrough
	default:
		do(time.Second, func(now time.Time) []sim.Packet { return m.c.HangUp(now, s.n) })
	}
	do(time.Second, func(now time.Time) []sim.Packet { return m.c.Crank(now, s.n, right, 123) })
	do(5*time.Minute, m.c.Tick)
	return w, placed.Order.ID, words
}

// sold is what must not depend on the order of arrival.
func sold(w *world, id string) string {
	o, d, out := w.oracle.orders[id], w.store.Devices()[0], w.store.Outlets("pump-1")[1]
	told := int64(0)
	for _, g := range w.oracle.gaps[sideKey{"pump-1", 0, 2}] {
		told += g.ml
	}
	_, accounts := w.store.Ledger()
	s := fmt.Sprintf("%s by %s (%s); command %s; applied %d of %d; outlet %q %q next %d burned %d %v; %d ml in no use", o.State, o.EndedBy,
		o.Reason, w.oracle.commands[o.Command].State, d.Applied, d.Head.Highest, out.Order, out.Block, out.NextSeq, out.LastSeq, out.Meter, told)
	if o.Usage != nil {
		s += fmt.Sprintf("; %+v, total %d, charged %d", *o.Usage.Fuel, o.Quote.Total, o.Charged)
	}
	for _, a := range accounts {
		s += fmt.Sprintf("; %s %d %d", a.ID, a.Posted, a.Held)
	}
	return s
}

func TestAPumpsWordsInAnyOrderAndNumberEndTheSame(t *testing.T) {
	for end, state := range map[string]order.State{"hand": order.Settled, "power": order.Settled, "wrong": order.Ended} {
		w, id, words := pumped(t, end)
		for _, h := range words {
			at(w, order.UseCase[order.Heard](h))
		}
		want := sold(w, id)
		if o := w.oracle.orders[id]; o.State != state || o.Usage.Fuel.Millilitres < 100 || len(words) < 6 || len(w.result.Violations) > 0 {
			t.Fatalf("%s, %d words in order: %s, violations %q", end, len(words), want, w.result.Violations)
		}
		for seed := range uint64(200) {
			w, id, words := pumped(t, end)
			random := rand.New(rand.NewPCG(seed, 3))
			twice := append(append([]order.Hear(nil), words...), words...)
			random.Shuffle(len(twice), func(i, j int) { twice[i], twice[j] = twice[j], twice[i] })
			for _, h := range twice {
				at(w, order.UseCase[order.Heard](h))
			}
			if got := sold(w, id); got != want || len(w.result.Violations) > 0 {
				t.Errorf("%s, shuffle %d:\n got %s\nwant %s\nviolations %q", end, seed, got, want, w.result.Violations)
				break
			}
		}
	}
}
