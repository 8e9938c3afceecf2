package device_test

import (
	"testing"

	"github.com/unlatch/unlatch/device"
)

// start is command number 5 of boot B, committed when evidence 1 to 10 was
// applied; it expires at uptime 1000.
func start() device.Command {
	return device.Command{ID: "c5", Device: "bike-1", Outlet: 1, Epoch: 1, Seq: 5, Kind: device.Start, Boot: bootB, NotAfter: 1000,
		Journal: journal, Floor: 10, State: device.Published}
}

// silent is a device that has said everything up to evidence 10 before the start
// and nothing since.
func silent() *listener {
	l := newListener()
	l.outlets[0].NextSeq = 6
	l.hear(piece(1, bootA, 10, device.Booted, true))
	l.hear(piece(2, bootB, 10, device.Booted, true))
	for n := uint64(3); n <= 10; n++ {
		l.hear(piece(n, bootB, 10*n, device.Alarm, true))
	}
	return l
}

func TestNotExecutedIsProvedByTheDevicesWordAlone(t *testing.T) {
	rebooted := piece(11, bootC, 3, device.Booted, true)
	elsewhere := *beat(bootB, 1001, 1, 10, 4, true).Beat
	elsewhere.Outlets[0].N = 2
	for _, c := range []struct {
		name  string
		words []device.Word
		bend  func(*device.Command)
		want  bool
	}{
		{"silence", nil, nil, false},
		{"a beat before the expiry, number not burned", []device.Word{beat(bootB, 999, 1, 10, 4, true)}, nil, false},
		{"a beat at the very expiry", []device.Word{beat(bootB, 1000, 1, 10, 4, true)}, nil, false},
		{"a beat past the expiry, number not burned", []device.Word{beat(bootB, 1001, 1, 10, 4, true)}, nil, true},
		{"the same, the command unresolved by now", []device.Word{beat(bootB, 1001, 1, 10, 4, true)},
			func(c *device.Command) { c.State = device.Unresolved }, true},
		{"the number itself burned, no result yet", []device.Word{beat(bootB, 1001, 1, 10, 5, true)}, nil, false},
		{"the number itself burned, then a reboot", []device.Word{rebooted, beat(bootC, 2000, 1, 11, 5, true)}, nil, false},
		{"a higher number burned", []device.Word{beat(bootB, 500, 1, 10, 6, true)}, nil, true},
		{"a higher number burned, in a later boot not journalled", []device.Word{beat(bootC, 5, 1, 10, 6, true)}, nil, true},
		{"a higher number burned, evidence on its way", []device.Word{beat(bootB, 500, 1, 11, 6, true)}, nil, false},
		{"the expiry passed, evidence on its way", []device.Word{beat(bootB, 1001, 1, 11, 4, true)}, nil, false},
		{"the expiry passed, the evidence came", []device.Word{beat(bootB, 1001, 1, 11, 4, true), piece(11, bootB, 990, device.Alarm, true)}, nil, true},
		{"a journalled reboot and a beat after it", []device.Word{rebooted, beat(bootC, 5, 1, 11, 4, true)}, nil, true},
		{"a journalled reboot, no beat after it", []device.Word{beat(bootB, 900, 1, 10, 4, true), rebooted}, nil, false},
		{"a reboot that only a beat tells", []device.Word{beat(bootC, 5, 1, 10, 4, true)}, nil, false},
		{"a reboot whose evidence waits behind a gap", []device.Word{piece(12, bootC, 3, device.Booted, true), beat(bootC, 5, 1, 12, 4, true)}, nil, false},
		{"a delayed beat of an older boot", []device.Word{beat(bootA, 99_999, 1, 1, 0, true)}, nil, false},
		{"a delayed beat of an older boot, after a reboot", []device.Word{rebooted, beat(bootA, 99_999, 1, 1, 0, true)}, nil, false},
		{"a delayed beat of the start's boot, after a reboot", []device.Word{rebooted, beat(bootB, 900, 1, 10, 4, true)}, nil, false},
		{"a piece lost since the commit", []device.Word{beat(bootB, 1001, 12, 11, 4, true)}, nil, false},
		{"a piece lost since the commit, a higher number burned", []device.Word{beat(bootB, 500, 12, 11, 6, true)}, nil, false},
		{"a piece lost before the commit", []device.Word{beat(bootB, 1001, 12, 11, 4, true)}, func(c *device.Command) { c.Floor = 11 }, true},
		{"a command of another journal", []device.Word{beat(bootB, 1001, 1, 10, 6, true)},
			func(c *device.Command) { c.Journal = device.Journal{9} }, false},
		{"a command made before any journal was known", []device.Word{beat(bootB, 1001, 1, 10, 6, true)},
			func(c *device.Command) { c.Journal, c.Floor = device.Journal{}, 0 }, true},
		{"a beat that does not speak of its outlet", []device.Word{{Beat: &elsewhere}}, nil, false},
		{"a boot that was never heard of", []device.Word{rebooted, beat(bootC, 5, 1, 11, 4, true)},
			func(c *device.Command) { c.Boot = device.Boot{0x99} }, false},
		{"executed already", []device.Word{beat(bootB, 1001, 1, 10, 6, true)}, func(c *device.Command) { c.State = device.Executed }, false},
		{"rejected already", []device.Word{beat(bootB, 1001, 1, 10, 6, true)}, func(c *device.Command) { c.State = device.Rejected }, false},
		{"a state that nobody knows", []device.Word{beat(bootB, 1001, 1, 10, 6, true)}, func(c *device.Command) { c.State = "melted" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, command := silent(), start()
			if c.bend != nil {
				c.bend(&command)
			}
			for _, w := range c.words {
				l.hear(w)
			}
			if got := l.d.Fenced(command); got != c.want {
				t.Errorf("proved: got %v, want %v\nhead %+v, applied %d, lost up to %d", got, c.want, l.d.Head, l.d.Applied, l.d.LostUpTo)
			}
		})
	}
}

// TestAProofOnceGivenStays: later words of an honest device must not take back
// that a command will never move anything.
func TestAProofOnceGivenStays(t *testing.T) {
	l, c := silent(), start()
	for _, w := range []device.Word{beat(bootB, 1001, 1, 10, 4, true), piece(11, bootB, 1100, device.Alarm, true),
		beat(bootB, 1200, 1, 11, 4, true), piece(12, bootC, 1, device.Booted, true), beat(bootC, 9, 1, 12, 6, true)} {
		l.hear(w)
		if l.d.Head.Boot == bootB && l.d.Head.Uptime > 1000 && !l.d.Fenced(c) {
			t.Errorf("after %+v: the proof is gone", l.d.Head)
		}
	}
	if !l.d.Fenced(c) {
		t.Errorf("at the end: got no proof, want one; head %+v", l.d.Head)
	}
}

func TestBurnedIsWhatTheDeviceSaid(t *testing.T) {
	outlets := []device.Outlet{{N: 1, LastSeq: 4, NextSeq: 9}, {N: 2, LastSeq: 7, NextSeq: 9}}
	for _, c := range []struct {
		n    uint8
		seq  uint64
		want bool
	}{{1, 4, true}, {1, 3, true}, {1, 5, false}, {2, 7, true}, {2, 8, false}, {3, 0, false}} {
		if got := device.Burned(outlets, c.n, c.seq); got != c.want {
			t.Errorf("outlet %d, number %d: got %v, want %v", c.n, c.seq, got, c.want)
		}
	}
}
