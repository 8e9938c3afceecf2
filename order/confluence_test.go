package order_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// draw lets a lock do something with a start, in time and once, until it next hears of
// the server, and returns what it says of it. began is the boot in which the ride began.
// Words behind an end are drawn only where no boot lies between the ride's beginning and
// it: a ride across boots is measured by when their words came in, and one that comes
// after the bill changes nothing for the rider, so there order matters by design.
func (l *lock) draw(t *rapid.T, start device.Command, began device.Boot, fence []device.Command) (words []order.Hear) {
	pause := func() {
		most := rapid.SampledFrom([]int64{3_000, 90_000}).Draw(t, "most")
		l.s.pass(time.Duration(rapid.Int64Range(1, most).Draw(t, "pause")) * time.Millisecond)
	}
	say := func(w ...order.Hear) { words = append(words, w...); pause() }
	beats := func(most int) {
		for range rapid.IntRange(0, most).Draw(t, "beats") {
			say(l.beat())
		}
	}
	pause()
	if start.Boot == l.boot && l.last < start.Seq {
		does := []string{"never", "rejects"}
		if l.uptime() <= start.NotAfter {
			does = []string{"never", "opens", "opens", "reboots in the ride", "rejects", "jams", "cannot tell"}
		}
		switch rapid.SampledFrom(does).Draw(t, "start") {
		case "never":
			beats(2)
			if rapid.Bool().Draw(t, "reboot") {
				say(l.reboot(), l.beat())
			}
		case "opens":
			say(l.beat())
			say(l.opens(start))
			beats(3)
		case "reboots in the ride":
			say(l.opens(start))
			if rapid.Bool().Draw(t, "shut") {
				l.closed = true
			}
			say(l.reboot())
		case "rejects":
			say(l.rejects(start))
			beats(2)
		case "jams":
			say(l.jams(start))
			beats(2)
		case "cannot tell":
			say(l.cut(start))
			beats(2)
		}
	}
	for _, c := range fence {
		if rapid.Bool().Draw(t, "fence heard") && c.Seq > l.last {
			l.burn(c)
			if l.closed {
				say(l.beat())
			}
		}
	}
	if !l.closed && l.use.ID != "" && rapid.Bool().Draw(t, "closes") {
		across := l.boot != began
		say(l.closes())
		if across {
			return words
		}
		beats(2)
	}
	if rapid.IntRange(0, 3).Draw(t, "alarm") == 0 {
		say(l.piece(device.Alarm, because("tamper")))
	}
	return words
}

// mixed is any order of words, with duplicates.
func mixed(t *rapid.T, words []order.Hear) []order.Hear {
	if len(words) == 0 {
		return nil
	}
	again := rapid.SliceOfN(rapid.IntRange(0, len(words)-1), 0, len(words)).Draw(t, "duplicates")
	all := slices.Clone(words)
	for _, i := range again {
		all = append(all, words[i])
	}
	index := make([]int, len(all))
	for i := range index {
		index[i] = i
	}
	out := make([]order.Hear, len(all))
	for i, j := range rapid.Permutation(index).Draw(t, "order") {
		out[i] = all[j]
	}
	return out
}

// outcome is what must not depend on the network: ids drawn after the start and
// row versions count how often, not what.
type outcome struct {
	Order    order.Order
	Moved    []billing.Transfer
	Accounts []billing.Account
	Device   device.Device
	Outlet   device.Outlet
	Commands []device.Command
	Items    []string
}

func (s *scene) outcome(id string) outcome {
	o := outcome{Order: s.order(id), Device: s.store.Devices()[0], Outlet: s.outlet("bike-1"), Commands: s.store.Commands(), Items: s.itemKinds()}
	o.Moved, o.Accounts = s.store.Ledger()
	slices.SortFunc(o.Moved, func(a, b billing.Transfer) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Credit, b.Credit), cmp.Compare(a.Amount, b.Amount))
	})
	slices.SortFunc(o.Commands, func(a, b device.Command) int { return cmp.Compare(a.Seq, b.Seq) })
	return o
}

var notCounted = gocmp.Options{
	cmpopts.IgnoreFields(order.Order{}, "Version"), cmpopts.IgnoreFields(billing.Account{}, "Version"),
	cmpopts.IgnoreFields(device.Device{}, "Version"), cmpopts.IgnoreFields(device.Outlet{}, "Version"),
	cmpopts.IgnoreFields(device.Command{}, "Version", "ID", "Bytes"), cmpopts.IgnoreFields(billing.Transfer{}, "ID"),
}

// TestTheNetworkDoesNotDecideWhatARideCosts is promise E2: between two decisions
// of the server any order of the same words, with duplicates, gives the same
// order, the same transfers and the same belief of the device.
func TestTheNetworkDoesNotDecideWhatARideCosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		straight, bent := ready(t), ready(t)
		if rapid.Bool().Draw(t, "poor") {
			straight.spend(4700)
			bent.spend(4700)
		}
		o, start := straight.place()
		if other, _ := bent.place(); other.ID != o.ID || other.Command != o.Command {
			t.Fatalf("two scenes begin with different ids: %s and %s", o.ID, other.ID)
		}
		l := straight.locks["bike-1"]
		began := start.Boot
		var fences []device.Command
		if rapid.Bool().Draw(t, "paused") { // the story begins with a pause, or its end
			both := func(words ...order.Hear) { bent.now = straight.now; straight.hear(words...); bent.hear(words...) }
			both(l.opens(start))
			straight.must(o.ID, order.PauseIt)
			bent.must(o.ID, order.PauseIt)
			straight.pass(time.Minute)
			both(l.closes(), l.beat())
			if straight.dispatched(); rapid.Bool().Draw(t, "resuming") {
				straight.must(o.ID, order.ResumeIt)
				bent.must(o.ID, order.ResumeIt)
				start = straight.dispatched()[0]
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			words := l.draw(t, start, began, fences)
			bent.now = straight.now // both hear all of it at the round's end
			straight.hear(words...)
			bent.hear(mixed(t, words)...)
			if diff := gocmp.Diff(straight.outcome(o.ID), bent.outcome(o.ID), notCounted); diff != "" {
				t.Fatalf("before the server's next decision (-in order +mixed):\n%s", diff)
			}
			straight.dispatched()
			switch decision := rapid.SampledFrom([]order.ActInput{order.Cancel, order.ForceEnd, order.GiveUpNow, order.End, order.Elapse, order.PauseIt, order.PauseIt, order.ResumeIt, "wait"}).Draw(t, "decision"); decision {
			case "wait":
			case order.Elapse:
				after := rapid.SampledFrom([]time.Duration{15 * time.Second, 10 * time.Minute, 16 * time.Minute, 24 * time.Hour}).Draw(t, "after")
				straight.pass(after)
				bent.now = straight.now
				fallthrough
			default:
				_, err := straight.act(o.ID, decision)
				if _, other := bent.act(o.ID, decision); (err == nil) != (other == nil) {
					t.Fatalf("%s: %v in order, %v mixed", decision, err, other)
				}
			}
			fences = fences[:0]
			for _, c := range straight.dispatched() {
				if !c.Kind.Expires() {
					fences = append(fences, c)
				} else { // of a resumption, another start
					start = c
				}
			}
		}
		straight.books()
		bent.books()
		if diff := gocmp.Diff(straight.outcome(o.ID), bent.outcome(o.ID), notCounted); diff != "" {
			t.Fatalf("at the end (-in order +mixed):\n%s", diff)
		}
	})
}

// TestAnHonestLockIsNeverBilledForARideThatWasNone: whatever the network and the
// server's clock do, only an opened lock costs money, and never above its caps.
func TestAnHonestLockIsNeverBilledForARideThatWasNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ready(t)
		o, start := s.place()
		l := s.locks["bike-1"]
		opened := false
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			words := l.draw(t, start, start.Boot, nil)
			for _, w := range words {
				opened = opened || w.Word.Evidence != nil && w.Word.Evidence.Kind == device.SeenExecuted
			}
			s.hear(mixed(t, words)...)
			s.pass(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "pause")))
			if _, err := s.act(o.ID, order.Elapse); err != nil {
				t.Fatalf("elapse: %v", err)
			}
		}
		end := s.order(o.ID)
		if end.Paid() > 0 && !opened || end.Paid() > bike.RideCap || end.Charged > end.HoldFen {
			t.Fatalf("paid %d (charged %d of a hold of %d), opened %v", end.Paid(), end.Charged, end.HoldFen, opened)
		}
		s.books()
	})
}
