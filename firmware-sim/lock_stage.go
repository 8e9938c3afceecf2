package sim

import (
	"context"
	"fmt"
	"time"
)

// errNoLock answers what only a lock's body can suffer.
func (d *Device) errNoLock() error {
	if d.c.lock == nil {
		return impossible("%s is no lock", d.ID())
	}
	return nil
}

// CloseByHand pushes the bolt home. Errors: ErrImpossible where the device is no
// lock, ErrStopped, ctx's; of the three below too.
func (d *Device) CloseByHand(ctx context.Context) error {
	if err := d.errNoLock(); err != nil {
		return err
	}
	return d.change(ctx, d.c.CloseByHand)
}

// ForceOpen tears the bolt open.
func (d *Device) ForceOpen(ctx context.Context) error {
	if err := d.errNoLock(); err != nil {
		return err
	}
	return d.change(ctx, d.c.ForceOpen)
}

// SetJammed jams the bolt or frees it.
func (d *Device) SetJammed(ctx context.Context, jammed bool) error {
	if err := d.errNoLock(); err != nil {
		return err
	}
	return d.change(ctx, func(time.Time) []Packet { d.c.SetJammed(jammed); return nil })
}

// SetBattery sets the charge in percent, at most 100.
func (d *Device) SetBattery(ctx context.Context, percent uint8) error {
	if err := d.errNoLock(); err != nil {
		return err
	}
	return d.change(ctx, func(now time.Time) []Packet { return d.c.SetBattery(now, percent) })
}

// lockStage are a lock's stage directions; see Handler.
var lockStage = map[string]stageFunc{
	"close": func(ctx context.Context, d *Device, _ []byte) error { return d.CloseByHand(ctx) },
	"battery": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Percent *uint8 `json:"percent"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		if in.Percent == nil || *in.Percent > 100 {
			return fmt.Errorf("%w: percent must be 0 to 100", errDirection)
		}
		return d.SetBattery(ctx, *in.Percent)
	},
	"jam": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Jammed *bool `json:"jammed"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		if in.Jammed == nil {
			return fmt.Errorf("%w: jammed must be true or false", errDirection)
		}
		return d.SetJammed(ctx, *in.Jammed)
	},
}
