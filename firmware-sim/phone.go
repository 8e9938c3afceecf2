package sim

import (
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// phoneQueue bounds the messages that wait to be notified; what finds no room is lost,
// and evidence comes again (P10.6).
const phoneQueue = 64

// phone is a device's second road: one phone, connected over Bluetooth (P10). It has
// its own way through the journal, since either road may lose what the other brings.
type phone struct {
	connected bool
	in        wire.Assembler
	out       [][]byte // sealed messages to notify

	resendAt   time.Time // zero: nothing to resend
	resendStep int
	sentUpTo   uint64
}

// PhoneConnected reports whether a phone is connected.
func (c *Controller) PhoneConnected() bool { return c.phone.connected }

// PhoneConnect tells the device that a phone is connected and wants notifications
// (P10.4). The packets go out on MQTT, here and below.
func (c *Controller) PhoneConnect(now time.Time) []Packet {
	if !c.powered || !c.Bluetooth || c.phone.connected {
		return nil
	}
	if c.kind.advance(now); !c.powered {
		return nil
	}
	c.phone = phone{connected: true}
	c.phoneBeat(now)
	c.restartPhone(now)
	return c.done(now)
}

// PhoneDisconnect tells the device that the phone is gone, with all it had not read.
func (c *Controller) PhoneDisconnect() { c.phone = phone{} }

// PhoneWrite handles one frame that the phone wrote. A whole message is obeyed as one
// from MQTT (P10.5).
func (c *Controller) PhoneWrite(now time.Time, frame []byte) []Packet {
	if !c.powered || !c.phone.connected {
		return nil
	}
	if c.kind.advance(now); !c.powered {
		return nil
	}
	if message, ok := c.phone.in.Add(frame, now.Sub(c.bootedAt)); ok {
		c.obey(now, message)
	}
	return c.done(now)
}

// PhoneRead hands over the frames to notify, oldest first, each once.
func (c *Controller) PhoneRead() [][]byte {
	var frames [][]byte
	for _, m := range c.phone.out {
		frames = append(frames, wire.Frames(m)...)
	}
	c.phone.out = nil
	return frames
}

// notify queues a sealed message for the phone.
func (c *Controller) notify(sealed []byte) {
	if c.phone.connected && len(c.phone.out) < phoneQueue {
		c.phone.out = append(c.phone.out, sealed)
	}
}

// phoneBeat notifies the phone alone of a beat.
func (c *Controller) phoneBeat(now time.Time) {
	sealed, err := c.sealBeat(now)
	if err != nil {
		c.err = err
		return
	}
	c.notify(sealed)
}

// phoneJournalled: a new piece was sent on every road there is.
func (c *Controller) phoneJournalled(now time.Time, seq uint64) {
	if c.phone.connected && c.phone.sentUpTo == seq-1 {
		c.phone.sentUpTo = seq
	}
	if c.phone.resendAt.IsZero() {
		c.schedulePhone(now)
	}
}

// phoneAcked follows an ack, by whatever road it came.
func (c *Controller) phoneAcked(now time.Time, replayFrom uint64, replay bool) {
	if replay {
		c.phone.sentUpTo = replayFrom
	}
	c.restartPhone(now)
}

func (c *Controller) restartPhone(now time.Time) {
	c.phone.resendStep = 0
	c.phoneBurst()
	c.schedulePhone(now)
}

// phoneResend is resend for the phone (P10.6).
func (c *Controller) phoneResend(now time.Time) {
	c.phone.sentUpTo = c.flash.Acked
	c.phoneBurst()
	c.phone.resendStep++
	c.schedulePhone(now)
}

func (c *Controller) phoneBurst() {
	if !c.phone.connected {
		return
	}
	c.phone.sentUpTo = max(c.phone.sentUpTo, c.flash.Acked)
	for _, e := range c.flash.held(c.phone.sentUpTo + 1) {
		if e.Seq > c.flash.Acked+burst {
			break
		}
		c.notify(e.Sealed)
		c.phone.sentUpTo = e.Seq
	}
}

func (c *Controller) schedulePhone(now time.Time) {
	c.phone.resendAt = time.Time{}
	if !c.phone.connected || c.flash.Acked >= c.flash.Highest {
		return
	}
	wait := min(time.Second<<min(c.phone.resendStep, 5), 30*time.Second)
	c.phone.resendAt = now.Add(wait/2 + c.jitter(wait/2))
}
