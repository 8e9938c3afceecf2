package order

import (
	"bytes"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
)

type blankSealer struct{}

func (blankSealer) Seal(device.ID, device.Command) ([]byte, error) { return []byte{1}, nil }

// zeroEnv decides with the defaults and no chance at all.
func zeroEnv() Env {
	return Env{Rand: bytes.NewReader(make([]byte, 4096)), Sealer: blankSealer{}, Config: Config{}.WithDefaults()}
}

// riding is a device whose evidence 1 (boot) and 2 (executed) are applied, with
// an active order since uptime 1000 of boot 1.
func riding() Snapshot {
	boot, journal := device.Boot{1}, device.Journal{2}
	return Snapshot{Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Device: &device.Device{ID: "bike", Kind: device.Lock, Epoch: 1, Service: device.InService, Journal: journal, Applied: 2, Version: 1,
			Boots: []device.BootSeen{{Boot: boot, Seq: 1}}},
		Outlets: []device.Outlet{{Device: "bike", N: 1, Order: "o", NextSeq: 2, LastSeq: 1, Version: 1}},
		Orders: []Order{{ID: "o", Device: "bike", Outlet: 1, State: Active, Version: 1,
			Spans: []Span{{boot, 1000, 1000}}, Evidence: []string{"0200000000000000/2"}}}}
}

// The bolt was shut (evidence 3) and torn open again (4): what a beat then says
// of the bolt says nothing of the use.
func TestOpenBoltExtendsNoRideWhoseEndMayBeMissing(t *testing.T) {
	for _, c := range []struct {
		name            string
		applied, lost   uint64
		lowest, highest uint64
		want            uint64
	}{
		{"all evidence is here", 2, 0, 1, 2, 5000},
		{"the end is on its way", 2, 0, 1, 4, 1000},
		{"the end is lost with this beat", 2, 0, 5, 4, 1000},
		{"the end was lost before", 4, 3, 4, 4, 1000},
		{"what was lost is older than the ride", 2, 1, 2, 2, 5000},
	} {
		s := riding()
		s.Device.Applied, s.Device.LostUpTo = c.applied, c.lost
		b := device.Beat{Epoch: 1, Boot: device.Boot{1}, Uptime: 5000, Journal: device.Journal{2}, Lowest: c.lowest,
			Highest: c.highest, Outlets: []device.OutletBeat{{N: 1, LastSeq: 1, Closed: false}}}
		changes, _, err := Hear{Device: "bike", Word: device.Word{Beat: &b}}.Decide(s, zeroEnv())
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		to := s.Orders[0].Spans[0].To
		for _, o := range changes.Orders {
			to = o.Spans[0].To
		}
		if to != c.want {
			t.Errorf("%s: the ride is proved up to %d, want %d", c.name, to, c.want)
		}
	}
}

func TestBootThatNamesNoUseExtendsNoRide(t *testing.T) {
	for name, want := range map[string]int{"o": 2, "": 1} {
		e := device.Evidence{Device: "bike", Epoch: 1, Journal: device.Journal{2}, Seq: 3, Boot: device.Boot{3}, Uptime: 700,
			Kind: device.Booted, Outlet: 1, LastSeq: 1, Order: name, Raw: []byte{3}}
		changes, _, err := Hear{Device: "bike", Word: device.Word{Evidence: &e}}.Decide(riding(), zeroEnv())
		if err != nil {
			t.Fatal(err)
		}
		spans := 1
		for _, o := range changes.Orders {
			spans = len(o.Spans)
		}
		if spans != want {
			t.Errorf("boot with the bolt open that names %q: the ride has %d spans, want %d", name, spans, want)
		}
	}
}

func TestProvisioningProvesNothingOfAnOpenStart(t *testing.T) {
	s := riding()
	s.Outlets[0].Order, s.Outlets[0].Block, s.Orders = "", device.Unproven, nil
	s.Commands = []device.Command{
		{ID: "start", Device: "bike", Outlet: 1, Epoch: 1, Seq: 1, Kind: device.Start, State: device.Unresolved, Version: 1},
		{ID: "probe", Device: "bike", Outlet: 1, Epoch: 1, Seq: 2, Kind: device.Probe, State: device.Published, Version: 1},
	}
	changes, d, err := Provision{Device: "bike", Kind: device.Lock, Venue: "campus", Outlets: 1, PublicKey: make([]byte, 32),
		Staff: Audit{Staff: "s1", Reason: "flash lost"}}.Decide(s, zeroEnv())
	if err != nil || d.Epoch != 2 {
		t.Fatalf("provisioned as epoch %d: %v, want 2", d.Epoch, err)
	}
	want := map[string]device.CommandState{"start": device.OutcomeUnknown, "probe": device.NotExecuted}
	for _, c := range changes.Commands {
		if c.State != want[c.ID] {
			t.Errorf("%s is %s after provisioning, want %s", c.ID, c.State, want[c.ID])
		}
		delete(want, c.ID)
	}
	if len(want) > 0 {
		t.Errorf("still open after provisioning: %v", want)
	}
}

// A device that lost its flash answers what it hears, but its words end no
// silence: sending commands again on each of them would never stop.
func TestWordsThatAreNotBelievedAreNotAnsweredWithCommands(t *testing.T) {
	for _, c := range []struct {
		name    string
		journal device.Journal
		want    int
	}{{"the known journal after a silence", device.Journal{2}, 1}, {"another journal", device.Journal{9}, 0}} {
		s := riding()
		s.Device.HeardAt = s.Now.Add(-time.Minute)
		s.Commands = []device.Command{{ID: "probe", Device: "bike", Outlet: 1, Epoch: 1, Seq: 2, Kind: device.Probe,
			State: device.Published, Version: 1}}
		s.Outlets[0].NextSeq = 3
		b := device.Beat{Epoch: 1, Boot: device.Boot{1}, Uptime: 5000, Journal: c.journal, Lowest: 1, Highest: 2,
			Outlets: []device.OutletBeat{{N: 1, LastSeq: 1}}}
		_, heard, err := Hear{Device: "bike", Word: device.Word{Beat: &b}}.Decide(s, zeroEnv())
		if err != nil {
			t.Fatal(err)
		}
		if len(heard.Send) != c.want {
			t.Errorf("%s: %d commands are sent again, want %d", c.name, len(heard.Send), c.want)
		}
	}
}
