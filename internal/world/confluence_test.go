package world

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

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
	x := &ride{w: w, who: "rider-1", lock: l, ticket: order.Ticket{ID: "t", Rider: "rider-1", Device: l.id, Outlet: 1, Epoch: 1,
		Tariff: w.tariff.ID, Version: 1, Expires: w.now().Add(time.Minute).UnixMilli()}}
	x.key = order.KeyRef{Principal: "rider:rider-1", Key: "k"}
	placed := at(w, order.UseCase[order.Placed](x.place("t")))
	w.at += time.Second
	words = append(words, said(l.c.Receive(w.now(), placed.Send[0].Bytes))...)
	w.moved(l, l.body.Movements[0])
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
	l.shuts = append(l.shuts, w.at)
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
