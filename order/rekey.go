package order

import (
	"time"

	"github.com/unlatch/unlatch/device"
)

// rekeyPatience is how long a step of a change of keys may go unanswered by a device
// that is heard, before the change begins anew.
const rekeyPatience = time.Minute

// rekey brings a device to the server's new key, a step per beat and only while
// nothing else is under way on its first outlet:
//
//  1. shown: a config, signed by the key that the device knows, brings the new one;
//  2. tried: a probe that only the new key verifies. Its number being the device's
//     highest burned one proves that the device has the key, since a device burns
//     nothing that it cannot verify; from now on all is signed by it;
//  3. alone: a config, signed by the new key, names itself as the second: every other
//     key is dropped (clause S12), so that a stolen old key opens nothing any more.
//
// A number that is passed proves nothing: a later command burns it as well. Then, or
// when a step stays unanswered, the change begins anew: showing a key twice is
// harmless. Until step 2 is proved, commands of riders are signed by the old key.
func (t *turn) rekey() error {
	d, now := t.device, t.env.Keys
	if now.Name == "" || len(t.outlets) == 0 || d.Service == device.Retired || d.ServerKey == now.Name && d.Rekey == nil {
		return nil
	}
	out := &t.outlets[0]
	r := d.Rekey
	if r != nil && r.Step != device.KeyShown && out.LastSeq == r.Seq {
		return t.rekeyed(r.Step, out)
	}
	if out.Order != "" || out.Block != device.NotBlocked || !d.Contactable(t.now) {
		return nil
	}
	waiting := false
	for _, c := range t.openCommands() {
		if c.Outlet != out.N {
			continue
		}
		if r == nil || c.Seq != r.Seq { // of somebody else
			return nil
		}
		waiting = true
	}
	switch {
	case waiting && t.now.Sub(r.At) < rekeyPatience:
		return nil
	case !waiting && r != nil && r.Step == device.KeyShown && out.LastSeq == r.Seq:
		return t.rekeyStep(device.KeyTried, device.Probe, now.Name, out)
	case d.ServerKey == now.Name: // what dropped the old key was passed, or is unanswered
		return t.rekeyStep(device.KeyAlone, device.Config, now.Name, out)
	}
	return t.rekeyStep(device.KeyShown, device.Config, "", out)
}

// rekeyed: the device burned the number of a command that only the new key signs.
func (t *turn) rekeyed(step device.RekeyStep, out *device.Outlet) error {
	t.dirty["device"] = true
	if step == device.KeyAlone {
		t.device.Rekey = nil
		return nil
	}
	t.device.ServerKey, t.device.Rekey = t.env.Keys.Name, &device.Rekey{Step: device.KeyAlone, At: t.now}
	if out.Order != "" || t.openStart(out.N) != nil {
		return nil // the old key is dropped at the next quiet beat
	}
	return t.rekeyStep(device.KeyAlone, device.Config, t.env.Keys.Name, out)
}

func (t *turn) rekeyStep(step device.RekeyStep, kind device.CommandKind, key string, out *device.Outlet) error {
	var args device.Args
	if kind == device.Config {
		args.ServerKey = t.env.Keys.Public
	}
	c, err := t.commandBy(key, kind, out.N, "", args)
	if err != nil {
		return err
	}
	t.device.Rekey = &device.Rekey{Step: step, Seq: c.Seq, At: t.now}
	t.dirty["device"] = true
	return nil
}
