package world

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/gateway"
	"github.com/unlatch/unlatch/internal/memstore"
	"github.com/unlatch/unlatch/order"
)

// Options shapes a schedule. The zero value is the usual one.
type Options struct {
	// Trace receives one line per step: virtual time, who, what. nil: no trace.
	Trace io.Writer
	// Devices and Pumps count locks and dispensers; both 0: 4 locks for odd seeds, 2
	// of each for even ones.
	Devices, Pumps int
	// Orders counts riders' intentions for the locks, and again for the pumps; 0: 6.
	Orders int
	// Faults are the kinds that may happen. nil: the seed draws a mixture.
	Faults map[Fault]bool
}

// Result is what a schedule came to.
type Result struct {
	Seed uint64
	// Steps counts the events that did something.
	Steps int
	// Faults counts what really happened, by kind.
	Faults map[string]int
	// Orders counts orders by their final state.
	Orders map[string]int
	// Violations are the broken promises, oldest first; empty in a sane product.
	Violations []string
	// Covered counts the moves of orders seen, as "state input", of pumps as "pump
	// state input".
	Covered map[string]int
	// Ends counts how uses of pumps ended, in the words of their evidence, and as
	// found_shut, staff_ended, watchdog and undecided in those of the orders.
	Ends map[string]int
	// Payments counts what payments came to: "road state" for each state that one
	// reached, "paid with way" for settled orders, and the detours.
	Payments map[string]int
	// Phones counts what came of riders' phones beside locks.
	Phones map[string]int
}

// Run plays the schedule of a seed to its end and judges it.
func Run(seed uint64, o Options) Result {
	w := play(seed, o)
	w.oracle.judge()
	return w.result
}

// play runs a schedule through chaos and repair, without the final judgement.
func play(seed uint64, o Options) *world {
	w := newWorld(seed, o)
	w.chaos()
	w.heal()
	w.lateMail()
	return w
}

// world is one schedule.
type world struct {
	rand  *rand.Rand
	began time.Time
	at    time.Duration // virtual time since began
	queue events
	drawn uint64
	acted bool // the running event did something
	trace io.Writer

	store    *memstore.Store
	env      order.Env
	tickets  order.Tickets
	sealer   gateway.Sealer
	venue    order.Venue
	tariff   billing.Tariff
	fuels    []billing.Tariff // versions of the fuel's tariff, by rising number
	replicas []*replica
	machines []*machine // locks, then pumps
	locks    []*machine
	pumps    []*machine
	byID     map[device.ID]*machine
	riders   []string
	rides    []*ride
	battery  map[device.ID]int // as telemetry last said
	faults   map[Fault]bool
	odds     odds
	healing  bool
	healAt   time.Duration

	pay *merchant // nil: nobody pays with WeChat here

	kept map[device.ID][]kept // what phones recorded
	whim *whims               // nil: riders only ride

	oracle *oracle
	result Result
}

func newWorld(seed uint64, o Options) *world {
	if o.Devices == 0 && o.Pumps == 0 {
		if o.Devices = 4; seed%2 == 0 {
			o.Devices, o.Pumps = 2, 2
		}
	}
	if o.Orders == 0 {
		o.Orders = 6
	}
	w := &world{riders: riderNames, rand: rand.New(rand.NewPCG(seed, 0x756e6c61746368)), trace: o.Trace, byID: map[device.ID]*machine{},
		battery: map[device.ID]int{}, faults: o.Faults,
		result: Result{Seed: seed, Faults: map[string]int{}, Orders: map[string]int{}, Covered: map[string]int{}, Ends: map[string]int{},
			Payments: map[string]int{}, Phones: map[string]int{}}, kept: map[device.ID][]kept{}}
	w.began = time.Date(2026, 3, 1, w.rand.IntN(24), w.rand.IntN(60), 0, 0, time.UTC)
	if w.faults == nil {
		w.faults = w.drawFaults(o)
	}
	w.odds = w.drawOdds()
	w.oracle = newOracle(w)
	w.store = memstore.New(w.now)
	w.tickets = order.Tickets{Secret: w.bytes(16)}
	w.sealer = gateway.Sealer{Signer: wire.NewKeyedHash(w.bytes(32))}
	w.env = order.Env{Rand: reader{w.rand}, Sealer: w.sealer, Config: order.Config{
		MaxRide: w.between(4*time.Minute, 30*time.Minute), Patience: w.between(2*time.Minute, 10*time.Minute)}.WithDefaults()}
	w.tariff = billing.Tariff{ID: "bike", Version: 1, Name: "Bike", Rounding: billing.StartedBlocks,
		TimeRule: &billing.TimeRule{UnlockFee: 100, FreeMS: w.rand.Int64N(2) * 30_000,
			BlockMS: 60_000, BlockFee: 50, RideCap: 600, DayCap: 900}}
	if o.Pumps > 0 {
		w.env.Config.MaxRide = w.between(2*time.Minute, 10*time.Minute)
		w.env.Config.ArmTime = w.between(15*time.Second, 75*time.Second)
		w.env.Config.TellTime = w.between(3*time.Minute, 15*time.Minute)
		w.env.Config.PrintedCap = billing.Fen(w.rand.IntN(6_000))
		w.fuels = []billing.Tariff{w.firstPrices()}
	}
	w.drawWhims(seed, o)
	w.drawPayments()
	for i := range 2 + w.rand.IntN(2) {
		w.replicas = append(w.replicas, newReplica(fmt.Sprintf("replica-%d", i+1)))
	}
	if w.env.Config.WeChatPay {
		w.openMerchant(seed)
	}
	w.furnish(o)
	return w
}

// riderNames are who rides.
var riderNames = []string{"rider-1", "rider-2", "rider-3", "rider-4"}

// furnish makes the venue, riders with money, and devices that have spoken once.
func (w *world) furnish(o Options) {
	var rows []order.Rider
	for _, id := range riderNames {
		rows = append(rows, order.Rider{ID: id})
	}
	w.venue = order.Venue{ID: "campus", Name: "Campus", TimeZone: "Asia/Shanghai", Open: true}
	w.store.Seed(w.venue, w.tariff, rows...)
	for _, t := range w.fuels {
		w.store.Seed(w.venue, t)
	}
	for _, id := range w.riders {
		amount := billing.Fen(160 + w.rand.IntN(1500))
		if o.Pumps > 0 {
			amount *= 6
		}
		at(w, order.UseCase[order.Placed](w.topUp(id, amount, "first")))
	}
	for i := range o.Devices {
		w.installLock(device.ID(fmt.Sprintf("bike-%d", i+1)))
	}
	for i := range o.Pumps {
		w.installPump(device.ID(fmt.Sprintf("pump-%d", i+1)))
	}
	if o.Devices > 0 {
		w.planRides(o.Orders)
		w.tunnels()
		w.planReservations()
	}
	if o.Pumps > 0 {
		w.planSales(o.Orders + 4)
	}
	if w.pay != nil {
		w.planPayments()
	}
}

// at runs a use case at once, in one piece; for what happens before the story.
func at[R any](w *world, u order.UseCase[R]) R {
	snapshot, err := w.store.Load(context.Background(), u.Query())
	if err == nil {
		var changes order.Changes
		var result R
		if changes, result, err = u.Decide(snapshot, w.env); err == nil {
			if err = w.store.Apply(context.Background(), changes); err == nil {
				w.oracle.committed(changes, any(u), snapshot.Now)
				return result
			}
		}
	}
	w.oracle.violation("world: %T before the story: %v", u, err)
	var none R
	return none
}

// now is the virtual time, which is also the store's clock.
func (w *world) now() time.Time { return w.began.Add(w.at) }

// event is something that happens at a moment; equal moments keep their order.
type event struct {
	at time.Duration
	n  uint64
	do func()
}

// events is a heap by time.
type events []event

func (q events) Len() int      { return len(q) }
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q events) Less(i, j int) bool {
	if q[i].at == q[j].at {
		return q[i].n < q[j].n
	}
	return q[i].at < q[j].at
}
func (q *events) Push(x any) { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// after lets something happen a while from now.
func (w *world) after(d time.Duration, do func()) {
	heap.Push(&w.queue, event{w.at + max(d, 0), w.drawn, do})
	w.drawn++
}

// most is how many steps a schedule may take; sane ones take a fifth of it at most.
const most = 12_000

// runUntil lets everything happen up to a moment, or until done says so.
func (w *world) runUntil(end time.Duration, done func() bool) {
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.at = e.at
		w.acted = false
		e.do()
		if w.acted {
			if w.result.Steps++; w.result.Steps == most {
				w.oracle.violation("S5: after %d steps there is no end in sight", most)
			}
			if w.result.Steps >= most {
				w.queue = nil
			}
			if done != nil && done() {
				return
			}
		}
	}
	w.at = end
}

// note tells what happened; an event that notes something is a step.
func (w *world) note(who, format string, args ...any) {
	w.acted = true
	if w.trace == nil {
		return
	}
	t := w.at.Round(time.Millisecond)
	fmt.Fprintf(w.trace, "%02d:%02d:%02d.%03d  %-10s %s\n", int(t.Hours()), int(t.Minutes())%60, int(t.Seconds())%60,
		t.Milliseconds()%1000, who, fmt.Sprintf(format, args...))
}

// fault counts one that happened.
func (w *world) fault(f Fault) { w.result.Faults[string(f)]++ }

// between draws a duration from [low, high).
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rand.Int64N(int64(high-low)))
}

// chance draws whether something of this probability happens.
func (w *world) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// strikes draws whether a fault of a kind happens here and now.
func (w *world) strikes(f Fault, p float64) bool { return !w.healing && w.faults[f] && w.chance(p) }

func (w *world) bytes(n int) []byte {
	b := make([]byte, n)
	reader{w.rand}.Read(b)
	return b
}

// reader draws bytes from the world's only source of chance.
type reader struct{ *rand.Rand }

// Read fills b; it never fails.
func (r reader) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		copy(b[i:], word[:])
	}
	return len(b), nil
}

// pick draws one of a list.
func pick[T any](w *world, list []T) T { return list[w.rand.IntN(len(list))] }

// sorted returns a map's keys in order: ranging over a map is not repeatable.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
