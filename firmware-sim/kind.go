package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// kind is what devices of different kinds do differently. For all of them the
// controller checks commands, burns, journals, sends, acks and beats; it calls a
// kind only while the device has power, but for show.
type kind interface {
	// outlets lists the device's outlets, rising, 1 first. It never changes.
	outlets() []uint8
	// closed reports whether outlet n, of which flash says o, is in its safe state.
	closed(n uint8, o *Outlet) bool
	// counters are those of outlet n, of which flash says o.
	counters(n uint8, o *Outlet) wire.Counters
	// fresh is what a flash formatted just now knows of outlet n (P4.1).
	fresh(n uint8) Outlet
	// boot settles what the last run left open and journals the boot (P3).
	boot(now time.Time)
	// dark: the power is gone. What is in memory is lost; the body obeys physics.
	dark()
	// start and ring obey a command that is burned and not expired (P2.3 to P2.7).
	start(now time.Time, cmd wire.Command)
	ring(now time.Time, cmd wire.Command)
	// stop acts on a stop and reports whether it sent an answer of its own. One
	// that is not burned is a repeat (P1.8, P1.9).
	stop(now time.Time, cmd wire.Command, burned bool) bool
	// advance lets happen what time alone brings, each thing at its own time. It
	// comes before anything else that happens at now.
	advance(now time.Time)
	// next is when advance has something to do; zero: never.
	next() time.Time
	// changed comes after everything that happens at now; it tells what nobody asked for.
	changed(now time.Time)
	// telemetry adds the kind's share.
	telemetry(t *wire.Telemetry)
	// pace is the time between beats and between telemetry; 0: as configured.
	pace() (beats, telemetry time.Duration)
	// show adds the kind's share for observers, with or without power.
	show(now time.Time, s *DeviceState)
}

// kindRow is one kind in the table.
type kindRow struct {
	// make gives a controller its kind, with the body in its Config or a new one.
	make func(*Controller) (kind, error)
	// provision checks the keys that only this kind has and brings them into the
	// Config; nil: it has none.
	provision func(*Provision, *Config) error
	// recall takes the body from memory into the Config, and leaves it there to be
	// saved; nil: it is kept in Memory.Body.
	recall func(*Memory, *Config)
	// stage are the stage directions that only this kind takes; see Handler.
	stage map[string]stageFunc
}

// stageFunc carries out the body of a stage direction on a device of its kind.
type stageFunc func(ctx context.Context, d *Device, body []byte) error

// kinds is the table of what can be simulated. A new kind is one file and one
// line here.
var kinds = map[string]kindRow{
	"lock": {make: newLockKind, recall: recallLock, stage: lockStage},
	"pump": {make: newPumpKind, provision: provisionPump, recall: recallPump, stage: pumpStage},
}

func kindOf(name string) (kindRow, error) {
	if name == "" {
		name = "lock"
	}
	row, ok := kinds[name]
	if !ok {
		return kindRow{}, fmt.Errorf("kind %q cannot be simulated, only lock and pump", name)
	}
	return row, nil
}

// plain is a device of one outlet that knows no ring and no stop and is not
// changed by time. Kinds embed it and add what they have.
type plain struct{ c *Controller }

func (plain) outlets() []uint8                          { return []uint8{1} }
func (plain) fresh(uint8) Outlet                        { return Outlet{} }
func (plain) stop(time.Time, wire.Command, bool) bool   { return false }
func (plain) advance(time.Time)                         {}
func (plain) next() time.Time                           { return time.Time{} }
func (plain) changed(time.Time)                         {}
func (plain) telemetry(*wire.Telemetry)                 {}
func (plain) pace() (beats, telemetry time.Duration)    { return 0, 0 }
func (p plain) ring(now time.Time, cmd wire.Command)    { p.c.reject(now, cmd, wire.ReasonUnsupported) }
func (plain) closed(_ uint8, o *Outlet) bool            { return o.Use == nil }
func (plain) counters(_ uint8, o *Outlet) wire.Counters { return wire.Counters{Opens: o.Opens} }

// bodyOf makes of Config.Body the body of a kind that has no field of its own
// there: what an earlier process saved, what a test made, or a new one.
func bodyOf[T any](c *Controller, fresh T) (*T, error) {
	body, ok := c.Body.(*T)
	if !ok {
		body = &fresh
		if c.Body != nil {
			saved, err := json.Marshal(c.Body)
			if err == nil {
				err = json.Unmarshal(saved, body)
			}
			if err != nil {
				return nil, fmt.Errorf("body of device %s: %w", c.Device, err)
			}
		}
	}
	c.Body = body
	return body, nil
}
