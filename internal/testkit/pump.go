package testkit

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Fuel is a pump's tariff, which a seeded store holds besides Tariff.
var Fuel = billing.Tariff{ID: "fuel", Version: 1, Name: "Fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{
	Grades:      []billing.Grade{{ID: "92", Name: "92#", UnitPrice: 7850, TaxCode: "1070101010100000000", TaxPermille: 130}},
	LeastAmount: 100, MostAmount: 100_000, MostMillilitres: 200_000}}

// pumpWords are the words of a pump with one side and one nozzle.
type pumpWords struct {
	id    device.ID
	seq   uint64
	total uint64
}

func (p *pumpWords) piece(kind device.EvidenceKind, o order.Order, ml int64) order.Hear {
	p.seq++
	p.total += uint64(ml)
	e := device.Evidence{Device: p.id, Epoch: 1, Journal: journal, Seq: p.seq, Boot: boot, Uptime: 1000 + 1000*p.seq, Kind: kind,
		Outlet: 1, LastSeq: o.Seq, CommandSeq: o.Seq, CommandID: o.Command, Order: o.ID, Closed: kind != device.SeenExecuted,
		Counters: device.Counters{Totaliser: map[uint8]uint64{1: p.total}, Millilitre: ml, Fen: int64(billing.Price(ml, 7850))}}
	e.Raw = fmt.Appendf(nil, "%s %d %s", p.id, p.seq, kind)
	return order.Hear{Device: p.id, Word: device.Word{Evidence: &e}}
}

// provisionPump makes a pump known and lets it beat once.
func provisionPump(t *testing.T, s order.Store, id device.ID) *pumpWords {
	t.Helper()
	act(t, s, order.UseCase[device.Device](order.Provision{Device: id, Kind: device.Pump, Venue: Venue.ID, Outlets: 1, Display: true,
		Grades: map[uint8]map[uint8]string{1: {1: "92"}}, PublicKey: make([]byte, 32), Staff: order.Audit{Staff: "test", Act: "provision", Reason: "test"}}))
	p := &pumpWords{id: id, total: 500}
	act(t, s, order.UseCase[order.Heard](order.Hear{Device: id, Word: device.Word{Beat: &device.Beat{Epoch: 1, Boot: boot,
		Uptime: 1000, Journal: journal, Outlets: []device.OutletBeat{{N: 1, Closed: true,
			Counters: device.Counters{Totaliser: map[uint8]uint64{1: p.total}}}}}}}))
	return p
}

func placingFuel(id device.ID, n string) order.Place {
	p := placing(id, "fuel-"+n, "fuel-"+n)
	p.Ticket.Tariff, p.Ticket.Class = Fuel.ID, order.Printed
	p.Preset = billing.Preset{Grade: "92", Amount: 20_00}
	p.Hash = sha256.Sum256([]byte(n))
	return p
}

// Sale runs one sale of ml at pump id, which no sale was made at before, to its
// end.
func Sale(t *testing.T, s order.Store, id device.ID, ml int64) {
	t.Helper()
	topUp(t, s, "fuel-"+string(id), 50_00)
	p := provisionPump(t, s, id)
	o := act(t, s, order.UseCase[order.Placed](placingFuel(id, string(id)))).Order
	act(t, s, order.UseCase[order.Heard](p.piece(device.SeenExecuted, o, 0)))
	act(t, s, order.UseCase[order.Heard](p.piece(device.SaidEnded, o, ml)))
	act(t, s, order.UseCase[order.Heard](said1(p, "tamper")))
}

func wholeSale(t *testing.T, s Subject) {
	topUp(t, s, "k1", 50_00)
	p := provisionPump(t, s, "pump-1")
	o := act(t, s, order.UseCase[order.Placed](placingFuel("pump-1", "1"))).Order
	load := func() order.Snapshot {
		t.Helper()
		snap, err := s.Load(t.Context(), order.Query{Order: o.ID, Rider: Rider.ID})
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	snap := load()
	o.Version = 1
	if diff := cmp.Diff(o, snap.Orders[0], cmpopts.EquateApproxTime(time.Microsecond), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("order read back (-want +got):\n%s", diff)
	}
	if got := snap.Spent; !maps.Equal(got, map[string]billing.Fen{o.Day: 20_00}) {
		t.Errorf("spent while it is live: %v, want what is held on %s", got, o.Day)
	}
	if d := snap.Device; !d.Display || d.Timed != boot || d.TimedAt.IsZero() {
		t.Errorf("display %v, told the time in boot %x at %v; want the present boot", d.Display, d.Timed, d.TimedAt)
	}
	act(t, s, order.UseCase[order.Heard](p.piece(device.SeenExecuted, o, 0)))
	act(t, s, order.UseCase[order.Heard](p.piece(device.SaidEnded, o, 2_000)))
	snap = load()
	if got := snap.Orders[0]; got.State != order.Settled || got.Charged != 15_70 || got.Usage.Fuel.Millilitres != 2_000 {
		t.Errorf("settled: %s, charged %v, usage %+v; want 15.70 for 2 l", got.State, got.Charged, got.Usage)
	}
	want := device.Meter{Grades: map[uint8]string{1: "92"}, Stated: map[uint8]uint64{1: 2_500}, Explained: map[uint8]uint64{1: 2_500}}
	if diff := cmp.Diff(want, snap.Outlets[0].Meter); diff != "" {
		t.Errorf("meter (-want +got):\n%s", diff)
	}
	if got := snap.Spent; !maps.Equal(got, map[string]billing.Fen{o.Day: 15_70}) {
		t.Errorf("spent after it: %v, want what it cost", got)
	}
}

// venueStop holds a store to order.StopLog: a stop is in force until it reached
// every device, each once, and a device remembers it from then on.
func venueStop(t *testing.T, s Subject) {
	p := provisionPump(t, s, "pump-1")
	provision(t, s, "bike-1")
	load := func() order.Snapshot {
		t.Helper()
		snap, err := s.Load(t.Context(), order.Query{Device: "pump-1"})
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	stopped := func(venue, device bool) {
		t.Helper()
		if snap := load(); snap.Venue.Stopped != venue || (snap.Device.Halt != nil) != device || snap.Venue.Halted != device {
			t.Errorf("venue stopped %v, halted %v, device %+v; want %v, %v", snap.Venue.Stopped, snap.Venue.Halted, snap.Device.Halt, venue, device)
		}
	}
	left := func(want ...device.ID) (stop int64) {
		t.Helper()
		got, err := s.Unstopped(t.Context(), []device.Kind{device.Pump}, 10)
		if err != nil {
			t.Fatal(err)
		}
		var ids []device.ID
		for _, u := range got {
			if u.Reason != "spill" {
				t.Errorf("reason %q, want spill", u.Reason)
			}
			ids, stop = append(ids, u.Device), u.Stop
		}
		if !slices.Equal(ids, want) {
			t.Errorf("left to stop: %q, want %q", ids, want)
		}
		return stop
	}
	stopped(false, false)
	left()
	for id := range 2 {
		stop := order.Stop{ID: fmt.Sprintf("01900000-0000-7000-8000-0000000000f%d", id), Venue: Venue.ID, By: "staff 1", Reason: "spill", At: time.Now()}
		if err := s.BeginStop(t.Context(), stop, nil); err != nil {
			t.Fatal(err)
		}
		stopped(true, false)
		n := left("pump-1")
		halt := order.Halt{Device: "pump-1", Stop: n, Reason: "spill"}
		act(t, s, order.UseCase[order.Acted](halt))
		stopped(true, true)
		left("")
		if changes, _ := decide(t, s, order.UseCase[order.Acted](halt)); !changes.Empty() {
			t.Error("a stop that was told is told again")
		}
		if err := s.Reached(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		left()
		stopped(false, true)
		released := said1(p, "released")
		released.Word.Evidence.LastSeq = load().Device.Halt.Seqs[1]
		act(t, s, order.UseCase[order.Heard](released))
		stopped(false, false)
	}
	if err := s.BeginStop(t.Context(), order.Stop{ID: "01900000-0000-7000-8000-0000000000fa", Venue: "nowhere", At: time.Now()}, nil); err == nil {
		t.Error("a stop of no venue went through")
	}
}

func said1(p *pumpWords, reason string) order.Hear {
	h := p.piece(device.Alarm, order.Order{}, 0)
	h.Word.Evidence.Reason = reason
	return h
}
