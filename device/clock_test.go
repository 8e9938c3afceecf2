package device_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/device"
)

// clock is a device's own: it began at start and runs at 1 + ppm/1e6. It counts
// whole milliseconds, as the wire carries them.
type clock struct {
	start time.Time
	ppm   int64
	ahead time.Duration // its uptime at start
}

func (c clock) uptime(at time.Time) uint64 {
	real := at.Sub(c.start)
	return uint64((c.ahead + real + time.Duration(int64(real)/1_000_000*c.ppm)).Milliseconds())
}

// TestACommandNeverMovesPastItsDeadline is promise A2: whatever the delay and the
// drift, a device that acts only while uptime <= NotAfter acts in time.
func TestACommandNeverMovesPastItsDeadline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock{start: noon, ppm: rapid.Int64Range(-200, 200).Draw(t, "ppm"),
			ahead: time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "uptime"))}
		delay := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "delay"))
		age := time.Duration(rapid.Int64Range(0, int64(device.SampleLife)-1).Draw(t, "age"))
		life := time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(time.Minute)).Draw(t, "life"))
		at := c.start.Add(delay)
		deadline := at.Add(age).Add(life)
		notAfter := device.Sample{Boot: bootA, Uptime: c.uptime(c.start), At: at}.NotAfter(deadline)
		if past := c.uptime(deadline.Add(1)); past <= notAfter {
			t.Fatalf("just past the deadline the device's uptime is %d, not_after %d: it would move", past, notAfter)
		}
		// Strictness must not eat the deadline either: the delay and the drift, both ways.
		lost := delay + (age+life)/1000 + 5*time.Millisecond
		if life > lost {
			if early := c.uptime(deadline.Add(-lost)); early > notAfter {
				t.Fatalf("%v before the deadline the uptime is %d, not_after %d: it would refuse", lost, early, notAfter)
			}
		}
	})
}

func TestTheDeadlineOfASlowClockWithoutDelay(t *testing.T) {
	for _, span := range []time.Duration{20 * time.Millisecond, 4999 * time.Millisecond, 5 * time.Second, 15 * time.Second, 615 * time.Second} {
		c := clock{start: noon, ppm: -200, ahead: 999_999 * time.Nanosecond}
		notAfter := device.Sample{Boot: bootA, Uptime: c.uptime(noon), At: noon}.NotAfter(noon.Add(span))
		if past := c.uptime(noon.Add(span + 1)); past <= notAfter {
			t.Errorf("deadline %v: past it the uptime is %d, not_after %d", span, past, notAfter)
		}
	}
}

func TestAPastDeadlineGivesNoFutureUptime(t *testing.T) {
	for _, uptime := range []uint64{0, 1, 5000, math.MaxInt64} {
		for _, late := range []time.Duration{0, time.Nanosecond, time.Millisecond, time.Second, 1000 * time.Hour} {
			if got := (device.Sample{Boot: bootA, Uptime: uptime, At: noon}).NotAfter(noon.Add(-late)); got > uptime {
				t.Errorf("uptime %d, deadline %v before the sample: got not_after %d, want at most the uptime", uptime, late, got)
			}
		}
	}
}

func TestTheFastestFreshSampleOfTheNewestBootCounts(t *testing.T) {
	at := func(boot device.Boot, uptime uint64, after time.Duration) device.Sample {
		return device.Sample{Boot: boot, Uptime: uptime, At: noon.Add(after)}
	}
	for _, c := range []struct {
		name        string
		have, heard device.Sample
		want        bool // the heard one is kept
	}{
		{"the first", device.Sample{}, at(bootA, 5, 0), true},
		{"as fast and newer", at(bootA, 1000, 0), at(bootA, 2000, time.Second), true},
		{"slower", at(bootA, 1000, 0), at(bootA, 2000, 1500*time.Millisecond), false},
		{"faster", at(bootA, 1000, 0), at(bootA, 2000, 500*time.Millisecond), true},
		{"slower, but the old one has aged", at(bootA, 1000, 0), at(bootA, 2000, device.SampleLife), true},
		{"of another boot", at(bootA, 9000, 0), at(bootB, 1, time.Second), true},
	} {
		want := c.have
		if c.want {
			want = c.heard
		}
		if got := c.have.Better(c.heard); got != want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, want)
		}
	}
}

func TestASampleIsFreshForTenMinutes(t *testing.T) {
	s := device.Sample{Boot: bootA, Uptime: 1, At: noon}
	for age, want := range map[time.Duration]bool{0: true, device.SampleLife - 1: true, device.SampleLife: false, time.Hour: false} {
		if got := s.Fresh(noon.Add(age)); got != want {
			t.Errorf("sample of age %v: fresh %v, want %v", age, got, want)
		}
	}
	if (device.Sample{}).Fresh(noon) || (device.Sample{At: noon}).Fresh(noon) || (device.Sample{Boot: bootA}).Fresh(time.Time{}) {
		t.Error("a sample without boot or time counts as fresh")
	}
}

// TestADelayNeverMakesASampleDateLater: of many samples with any delays the one
// that is kept gives no later not_after than the truth allows.
func TestADelayNeverMakesASampleDateLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock{start: noon, ppm: rapid.Int64Range(-200, 200).Draw(t, "ppm"), ahead: time.Hour}
		var kept device.Sample
		var now time.Duration
		for range rapid.IntRange(1, 20).Draw(t, "words") {
			now += time.Duration(rapid.Int64Range(0, int64(90*time.Second)).Draw(t, "pause"))
			delay := time.Duration(rapid.Int64Range(0, int64(now)).Draw(t, "delay"))
			kept = kept.Better(device.Sample{Boot: bootA, Uptime: c.uptime(noon.Add(now - delay)), At: noon.Add(now)})
		}
		if !kept.Fresh(noon.Add(now)) {
			t.Fatalf("the kept sample of %v is not fresh at %v", kept.At, noon.Add(now))
		}
		deadline := noon.Add(now + 15*time.Second)
		if past := c.uptime(deadline.Add(1)); past <= kept.NotAfter(deadline) {
			t.Fatalf("past the deadline the uptime is %d, not_after %d", past, kept.NotAfter(deadline))
		}
	})
}

// TestADeviceThatIsHeardCanAlwaysBeDated: beats come every four minutes and travel as
// they do. The fastest of them is kept, and must not be all that is known when it has
// aged: a lock in the best of health was out of reach for two of every twelve minutes.
func TestADeviceThatIsHeardCanAlwaysBeDated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock{start: noon, ppm: rapid.Int64Range(-200, 200).Draw(t, "ppm"), ahead: time.Hour}
		d, outlets := device.Device{ID: "bike-1", Epoch: 1}, []device.Outlet{{Device: "bike-1", N: 1}}
		var now time.Duration
		for range rapid.IntRange(2, 30).Draw(t, "beats") {
			pause := time.Duration(rapid.Int64Range(int64(200*time.Second), int64(280*time.Second)).Draw(t, "pause"))
			if d.HeardAt != (time.Time{}) {
				for _, at := range []time.Duration{pause / 3, 2 * pause / 3, pause} {
					moment := noon.Add(now + at)
					if !d.Contactable(moment) {
						t.Fatalf("heard %v ago, and out of reach: samples of %v and %v", at, d.Sample.At, d.Spare.At)
					}
					deadline := moment.Add(15 * time.Second)
					if past := c.uptime(deadline.Add(1)); past <= d.Clock(moment).NotAfter(deadline) {
						t.Fatalf("past the deadline the uptime is %d, not_after %d", past, d.Clock(moment).NotAfter(deadline))
					}
				}
			}
			now += pause
			delay := time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "delay"))
			h := d.Hear(device.Word{Beat: &device.Beat{Epoch: 1, Boot: bootA, Uptime: c.uptime(noon.Add(now - delay)), Received: noon.Add(now), Journal: device.Journal{1}}}, outlets, nil, nil)
			d = h.Device
		}
	})
}

// TestAWordThatSomebodyKeptDatesNothing: brought by a phone it proves what it proves; that
// the device can be reached now is not among it.
func TestAWordThatSomebodyKeptDatesNothing(t *testing.T) {
	beat := device.Word{Beat: &device.Beat{Epoch: 1, Boot: bootA, Uptime: 5000, Received: noon, Journal: device.Journal{1}}, Kept: true}
	h := device.Device{ID: "bike-1", Epoch: 1}.Hear(beat, []device.Outlet{{Device: "bike-1", N: 1}}, nil, nil)
	if d := h.Device; !d.HeardAt.IsZero() || d.Contactable(noon) || d.Head.Uptime != 5000 {
		t.Errorf("after a kept beat: heard %v, contactable %v, newest beat at %d", d.HeardAt, d.Contactable(noon), d.Head.Uptime)
	}
	old := device.Device{ID: "bike-1", Epoch: 1, Sample: device.Sample{Boot: bootA, Uptime: 9000, At: noon.Add(-time.Hour)}}
	beat.Kept = false
	h = old.Hear(beat, []device.Outlet{{Device: "bike-1", N: 1}}, nil, nil)
	if h.Device.Contactable(noon) {
		t.Error("a beat from before the sample makes an aged sample young")
	}
}
