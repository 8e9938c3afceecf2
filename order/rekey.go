package order

import (
	"errors"

	"github.com/unlatch/unlatch/device"
)

// rekey brings a device to the server's new key, a step per beat and only while
// nothing that matters is under way on its first outlet:
//
//  1. shown: a config, signed by the key that the device knows, brings the new one;
//  2. tried: a probe that only the new key verifies. Its number being the device's
//     highest burned one proves that the device has the key, since a device burns
//     nothing that it cannot verify; from now on all is signed by it;
//  3. alone: a config, signed by the new key, names itself as the second: every other
//     key is dropped (clause S12), so that a stolen old key opens nothing any more.
//
// A number that is passed proves nothing: a later command burns it as well. Then the
// change begins anew: showing a key twice is harmless. Until step 2 is proved, commands
// of riders are signed by the old key.
//
// A key that was shown and goes unanswered is tried all the same, turn by turn: a device
// that changed after the backup that we were restored from was taken knows the new key
// alone, and refuses whatever the old one signs.
func (t *turn) rekey() error {
	d, now := t.device, t.env.Keys
	if now.Name == "" || len(t.outlets) == 0 || d.Service == device.Retired || d.ServerKey == now.Name && d.Rekey == nil {
		return nil
	}
	out, r := &t.outlets[0], d.Rekey
	if d.ServerKey == now.Name {
		return t.rekeyAlone(out)
	}
	if r != nil && r.Step == device.KeyTried && out.LastSeq == r.Seq {
		return t.rekeyed(out)
	}
	if !d.Contactable(t.now) || t.busy(out) {
		return nil
	}
	switch open := r != nil && t.openNumber(out.N, r.Seq); {
	case open && t.now.Sub(r.At) < t.env.Config.KeyPatience:
		return nil
	case r != nil && r.Step == device.KeyShown && (open || out.LastSeq == r.Seq):
		return t.rekeyStep(device.KeyTried, device.Probe, now.Name, out)
	}
	return t.rekeyStep(device.KeyShown, device.Config, "", out)
}

// busy tells whether another number on an outlet would come between a use and its
// device. A command that a device may be unable to verify must not hold a change of keys
// up for ever, nor an order whose evidence cannot be asked for: a start does until its
// deadline, a stop while it is young, and a use while all that its device told of is here.
func (t *turn) busy(out *device.Outlet) bool {
	if o := t.orders[out.Order]; out.Order != "" && (o == nil || o.State != Unresolved) &&
		(o == nil || o.State != Active || t.device.Applied >= t.device.Head.Highest) {
		return true
	}
	for _, c := range t.openCommands() {
		switch {
		case c.Outlet != out.N:
		case c.Kind.Expires() && t.now.Before(c.Deadline), c.Kind == device.Stop && t.now.Sub(c.CreatedAt) < t.env.Config.KeyPatience:
			return true
		}
	}
	return false
}

// openNumber tells whether the command of that number is not answered yet.
func (t *turn) openNumber(n uint8, seq uint64) bool {
	for _, c := range t.openCommands() {
		if c.Outlet == n && c.Seq == seq {
			return true
		}
	}
	return false
}

// rekeyed: the device burned the number of the probe that only the new key signs. What
// would stop it was signed by the old one, and may have been passed unread: it is sent
// again.
func (t *turn) rekeyed(out *device.Outlet) error {
	d := t.device
	d.ServerKey, d.Rekey = t.env.Keys.Name, &device.Rekey{Step: device.KeyAlone, At: t.now}
	t.dirty["device"] = true
	if d.Halt != nil && d.Halt.Seqs != nil {
		return unlessUnsealed(t.halt(d.Halt.Reason))
	}
	for _, c := range t.openCommands() {
		if c.Kind != device.Stop {
			continue
		}
		if _, err := t.command(device.Stop, c.Outlet, c.Order); err != nil {
			return unlessUnsealed(err)
		}
	}
	return t.rekeyAlone(out)
}

// rekeyAlone drops the old key, once nothing on any outlet was signed by it: what is
// still open would be refused from then on, and with it the end of a use.
func (t *turn) rekeyAlone(out *device.Outlet) error {
	d, r := t.device, t.device.Rekey
	if r.Step == device.KeyAlone && r.Seq != 0 && out.LastSeq == r.Seq {
		d.Rekey = nil
		t.dirty["device"] = true
		return nil
	}
	// A step of somebody who brings the device to another key: a replica that was not
	// told of it ends before it may undo that; see node's watchKey.
	if r.Step != device.KeyAlone && t.now.Sub(r.At) < 2*t.env.Config.KeyPatience || !d.Contactable(t.now) {
		return nil
	}
	own := uint64(0) // numbers up to it are of this change of keys, or covered by it
	if r.Step == device.KeyAlone {
		own = r.Seq
	}
	if own != 0 && t.now.Sub(r.At) < t.env.Config.KeyPatience && t.openNumber(out.N, own) {
		return nil
	}
	quiet, behind := true, map[uint8]bool{}
	for _, o := range t.outlets {
		quiet = quiet && o.Order == ""
	}
	for _, c := range t.openCommands() {
		if c.Outlet == out.N && c.Seq <= own && !c.Kind.Expires() && c.Kind != device.Stop {
			continue
		}
		quiet = false
		if old := t.now.Sub(c.CreatedAt) >= t.env.Config.KeyPatience; c.Kind != device.Stop {
			if was, seen := behind[c.Outlet]; !seen || was {
				behind[c.Outlet] = old && !t.now.Before(c.Deadline)
			}
		} else {
			behind[c.Outlet] = false
		}
	}
	if quiet {
		return t.rekeyStep(device.KeyAlone, device.Config, t.env.Keys.Name, out)
	}
	// What the device cannot verify any more is never answered: a number above it ends it.
	for _, o := range t.outlets {
		if !behind[o.N] {
			continue
		}
		if _, err := t.command(device.Probe, o.N, ""); err != nil {
			return unlessUnsealed(err)
		}
	}
	return nil
}

func (t *turn) rekeyStep(step device.RekeyStep, kind device.CommandKind, key string, out *device.Outlet) error {
	var args device.Args
	if kind == device.Config {
		args.ServerKey = t.env.Keys.Public
	}
	c, err := t.commandBy(key, kind, out.N, "", args)
	if err != nil {
		return unlessUnsealed(err)
	}
	t.device.Rekey = &device.Rekey{Step: step, Seq: c.Seq, At: t.now}
	t.dirty["device"] = true
	return nil
}

// unlessUnsealed is nil where a command could not be signed: what a word proves is taken
// in all the same, and what the server adds of its own is said another time, or by a
// replica that holds the key.
func unlessUnsealed(err error) error {
	if errors.Is(err, errUnsealed) {
		return nil
	}
	return err
}

// ackKey is the key by which a device can read an ack. While a new key is tried it signs
// acks too: an ack is also what asks a device for evidence again, and one that knows the
// new key alone obeys no other.
func (t *turn) ackKey() string {
	if r := t.device.Rekey; r != nil && r.Step == device.KeyTried && t.device.ServerKey != t.env.Keys.Name && t.env.Keys.Name != "" &&
		t.now.Sub(r.At) < t.env.Config.KeyPatience {
		return t.env.Keys.Name
	}
	return t.device.ServerKey
}
