package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// hands lets hands act on a pump. Errors of the methods below: ErrImpossible,
// ErrStopped, ctx's.
func (d *Device) hands(ctx context.Context, act func(now time.Time) ([]Packet, error)) error {
	var cannot error
	err := d.change(ctx, func(now time.Time) (out []Packet) {
		out, cannot = act(now)
		return out
	})
	return errors.Join(err, cannot)
}

// Lift takes a nozzle out of its holder.
func (d *Device) Lift(ctx context.Context, outlet, nozzle uint8) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.lift(now, outlet, nozzle) })
}

// HangUp puts the nozzle back.
func (d *Device) HangUp(ctx context.Context, outlet uint8) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.hangUp(now, outlet) })
}

// Squeeze opens the nozzle that is up by that much, 0 to 100 percent.
func (d *Device) Squeeze(ctx context.Context, outlet uint8, percent int) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.squeeze(now, outlet, percent) })
}

// PressStop presses the side's own stop button.
func (d *Device) PressStop(ctx context.Context, outlet uint8) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.pressStop(now, outlet) })
}

// PressEmergency presses the emergency stop of the whole device.
func (d *Device) PressEmergency(ctx context.Context) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.shutDown(now, wire.ReasonEmergencyStop) })
}

// DetectGas lets the gas or leak detector strike.
func (d *Device) DetectGas(ctx context.Context) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.shutDown(now, wire.ReasonGas) })
}

// Release ends a shut-down by hand.
func (d *Device) Release(ctx context.Context) error { return d.hands(ctx, d.c.release) }

// SetBroken makes the pump find a fault of its own on a side, or repairs it.
func (d *Device) SetBroken(ctx context.Context, outlet uint8, broken bool) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.setBroken(now, outlet, broken) })
}

// SetFaults gives a side faults that the pump does not find itself; see Side.
func (d *Device) SetFaults(ctx context.Context, outlet uint8, sticky, wrong int64) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.setFaults(now, outlet, sticky, wrong) })
}

// Crank lets ml pass the meter of a nozzle in no use.
func (d *Device) Crank(ctx context.Context, outlet, nozzle uint8, ml int64) error {
	return d.hands(ctx, func(now time.Time) ([]Packet, error) { return d.c.crank(now, outlet, nozzle, ml) })
}

// PumpState is what a pump's body and its screens really are and did.
type PumpState struct {
	// ShutDown is emergency_stop or gas; empty: not shut down.
	ShutDown     string        `json:"shut_down,omitempty"`
	Outlets      []OutletState `json:"outlets"`
	Sales        []Sale        `json:"sales"`
	Unauthorised int64         `json:"unauthorised_ml"`
	Residual     int64         `json:"residual_ml"`
}

// OutletState is one side.
type OutletState struct {
	Outlet  uint8  `json:"outlet"`
	State   string `json:"state"` // in the words of telemetry; "off" without power
	Closed  bool   `json:"closed"`
	Broken  bool   `json:"broken,omitempty"`
	LastSeq uint64 `json:"last_seq"`
	// Order is that of the use that goes on, as flash has it; zero: none does.
	Order wire.ID `json:"order,omitzero"`
	// Up is the nozzle that is out, opened by Hand percent; 0: none.
	Up   uint8 `json:"up,omitempty"`
	Hand int   `json:"hand,omitempty"`
	// Ml and Fen are what the display shows, Limit is what the use that goes on may
	// come to, in ml; 0: no nozzle is lifted for one.
	Ml      int64    `json:"ml"`
	Fen     int64    `json:"fen"`
	Limit   int64    `json:"limit_ml"`
	Nozzles []Nozzle `json:"nozzles"`
	Display Display  `json:"display"`
}

func (p *pump) show(now time.Time, s *DeviceState) {
	p.look(now)
	s.Movements = append(s.Movements, p.body.Armings...)
	s.Pump = &PumpState{Sales: []Sale{}, Unauthorised: p.body.Unauthorised, Residual: p.body.Residual}
	if p.body.ShutDown != 0 {
		s.Pump.ShutDown = p.body.ShutDown.String()
	}
	for _, sale := range p.body.Sales {
		s.Pump.Sales = append(s.Pump.Sales, *sale)
	}
	for _, side := range p.sides {
		o := p.c.flash.outlet(side.Outlet)
		shown := OutletState{
			Outlet: side.Outlet, State: "off", Closed: p.closed(side.Outlet, o), Broken: side.Broken, LastSeq: o.LastSeq,
			Up: side.Up, Hand: side.Hand, Ml: side.ShownMl, Fen: side.ShownFen, Display: p.c.Display(now, side.Outlet),
		}
		if p.c.powered {
			shown.State = p.state(side).String()
		}
		if o.Use != nil {
			shown.Order = o.Use.Order
		}
		if side.sale != nil {
			shown.Limit = side.sale.Limit
		}
		for _, n := range side.Nozzles {
			shown.Nozzles = append(shown.Nozzles, *n)
		}
		s.Pump.Outlets = append(s.Pump.Outlets, shown)
	}
}

// outletOf reads a direction's outlet; absent means 1.
func outletOf(outlet *uint8) uint8 {
	if outlet == nil {
		return 1
	}
	return *outlet
}

// pumpStage are a pump's stage directions; see Handler.
var pumpStage = map[string]stageFunc{
	"nozzle": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Outlet *uint8 `json:"outlet"`
			Do     string `json:"do"`
			Nozzle uint8  `json:"nozzle"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		switch in.Do {
		case "lift":
			return refused(d.Lift(ctx, outletOf(in.Outlet), in.Nozzle))
		case "hang_up":
			return refused(d.HangUp(ctx, outletOf(in.Outlet)))
		}
		return fmt.Errorf("%w: do is %q, want lift or hang_up", errDirection, in.Do)
	},
	"squeeze": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Outlet  *uint8 `json:"outlet"`
			Percent *int   `json:"percent"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		if in.Percent == nil {
			return fmt.Errorf("%w: percent must be 0 to 100", errDirection)
		}
		return refused(d.Squeeze(ctx, outletOf(in.Outlet), *in.Percent))
	},
	"stop": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Outlet *uint8 `json:"outlet"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		return refused(d.PressStop(ctx, outletOf(in.Outlet)))
	},
	"emergency": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Do string `json:"do"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		switch in.Do {
		case "press":
			return refused(d.PressEmergency(ctx))
		case "release":
			return refused(d.Release(ctx))
		}
		return fmt.Errorf("%w: do is %q, want press or release", errDirection, in.Do)
	},
	"gas": func(ctx context.Context, d *Device, _ []byte) error { return refused(d.DetectGas(ctx)) },
	"fault": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Outlet *uint8 `json:"outlet"`
			Broken *bool  `json:"broken"`
			Sticky int64  `json:"sticky_ml"`
			Wrong  int64  `json:"wrong_fen"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		if in.Broken == nil {
			return refused(d.SetFaults(ctx, outletOf(in.Outlet), in.Sticky, in.Wrong))
		}
		return refused(d.SetBroken(ctx, outletOf(in.Outlet), *in.Broken))
	},
	"crank": func(ctx context.Context, d *Device, body []byte) error {
		var in struct {
			Outlet *uint8 `json:"outlet"`
			Nozzle uint8  `json:"nozzle"`
			Ml     int64  `json:"ml"`
		}
		if err := parse(body, &in); err != nil {
			return err
		}
		return refused(d.Crank(ctx, outletOf(in.Outlet), in.Nozzle, in.Ml))
	},
}
