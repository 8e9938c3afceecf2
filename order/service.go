package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/qr"
)

// Catalog answers what a scan asks.
type Catalog interface {
	// Code returns what a printed number names; ErrNotFound when it names nothing.
	Code(ctx context.Context, number string) (Code, error)
	// Passes returns the rider's that are not over.
	Passes(ctx context.Context, rider string) ([]HeldPass, error)
	// TariffFor returns the version in force for a kind at a venue, that of the rider's
	// group before that of everybody; rider "" is nobody known. ErrNoTariff
	// when the venue sells nothing of the kind.
	TariffFor(ctx context.Context, venue string, kind device.Kind, rider string) (billing.Tariff, error)
}

// Code is what a printed number stands for.
type Code struct {
	Number  string
	Device  device.ID // "" = printed, not bound to a device yet
	Outlet  uint8
	Revoked bool
	Kiosk   bool // it hangs at the venue's kiosk, not at the device

	Venue string // that it was printed for, or its device's; "" = neither
	Batch string // that it was printed with; "" = alone
	Label int    // its place in the batch, from 1
}

// Due lists live orders whose DueAt has passed.
type Due interface {
	Due(ctx context.Context, limit int) ([]string, error)
}

// Dispatcher puts committed commands on the air. It never blocks and may drop:
// the poller sends again what is still open.
type Dispatcher interface {
	Dispatch([]device.Command)
}

// LastKnown is what telemetry last said, unsigned; it decides nothing but a refusal
// that the device would give anyway, and what staff are shown.
type LastKnown interface {
	Battery(device.ID) (percent int, ok bool)
	// Position is where a device last said that it is, and when that came in.
	Position(device.ID) (at Point, said time.Time, ok bool)
}

// Displays knows what the screens of devices show.
type Displays interface {
	// Accepts tells whether otp was on the screen of an outlet lately; epoch is that
	// of its device's provisioning.
	Accepts(id device.ID, outlet uint8, epoch uint32, otp string, at time.Time) bool
}

// ServiceConfig names a Service's parts; all but Log, Committed, Full, LastKnown and
// Displays are required. Without Displays no rotating code is accepted.
type ServiceConfig struct {
	Store      Store
	Catalog    Catalog
	Due        Due
	Dispatcher Dispatcher
	LastKnown  LastKnown
	Displays   Displays
	Carrier    Carrier // nil: no device has a second road
	Stops      StopLog
	Tickets    Tickets
	Env        Env
	Log        *slog.Logger
	// Committed is called after each commit with what it changed; it must not
	// block. It wakes the router of updates.
	Committed func(Changes)
	// Full tells that no more than the room for what runs already is left: riders'
	// orders and top-ups are refused, ends and evidence are not. nil = never.
	Full func() bool
}

// Service runs the use cases. It holds no state of its own; any number may run.
type Service struct {
	ServiceConfig
	retries int
}

// New checks the parts and starts nothing.
func New(c ServiceConfig) (*Service, error) {
	switch {
	case c.Store == nil || c.Catalog == nil || c.Due == nil || c.Dispatcher == nil || c.Stops == nil || c.Env.Sealer == nil || c.Env.Rand == nil:
		return nil, errors.New("order.New: Store, Catalog, Due, Dispatcher, Stops, Env.Sealer and Env.Rand are required")
	case len(c.Tickets.Secret) < 16:
		return nil, errors.New("order.New: the tickets' secret needs at least 16 bytes")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Committed == nil {
		c.Committed = func(Changes) {}
	}
	if c.Full == nil {
		c.Full = func() bool { return false }
	}
	c.Env.Config = c.Env.Config.WithDefaults()
	return &Service{ServiceConfig: c, retries: 60}, nil
}

// UseCase is one decision: what to load and what to make of it.
type UseCase[R any] interface {
	Query() Query
	Decide(Snapshot, Env) (Changes, R, error)
}

// run loads, decides and applies until no guard fails. A commit whose outcome is
// unknown is run again too: whatever moves metal or money finds its own traces (its
// key, its ticket, its evidence, the order's state) and does nothing twice. A
// switch is set again to what it is; a ring or a probe may go out twice.
func run[R any](ctx context.Context, s *Service, u UseCase[R]) (R, error) {
	var none R
	for try := range s.retries {
		if try > 0 {
			// Losers of a race wait a random, growing while, so that one of many wins
			// each round.
			wait := time.Duration(rand.Int64N(int64(min(try, 20)) * int64(2*time.Millisecond)))
			select {
			case <-ctx.Done():
				return none, ctx.Err()
			case <-time.After(wait):
			}
		}
		snapshot, err := s.Store.Load(ctx, u.Query())
		if err != nil {
			return none, fmt.Errorf("load: %w", err)
		}
		changes, result, err := u.Decide(snapshot, s.Env)
		if err != nil {
			return none, err
		}
		if changes.Empty() {
			return result, nil
		}
		switch err := s.Store.Apply(ctx, changes); {
		case err == nil:
			s.committed(changes)
			return result, nil
		case errors.Is(err, ErrStale), errors.Is(err, ErrUncertain):
		default:
			return none, fmt.Errorf("apply: %w", err)
		}
	}
	return none, ErrBusy
}

// committed logs one line per state change and wakes who waits for it.
func (s *Service) committed(c Changes) {
	for _, m := range c.Moves {
		s.Log.Info("order moved", "order", m.Order, "from", m.From, "to", m.To, "input", m.Input)
	}
	for _, i := range c.Items {
		s.Log.Warn("item opened", "kind", i.Kind, "device", i.Device, "order", i.Order)
	}
	s.Committed(c)
}

// Scanned is a scan's answer.
type Scanned struct {
	Ticket       string
	Expires      time.Time
	Device       device.Device
	Outlet       device.Outlet
	Availability device.Availability
	Tariff       billing.Tariff
	Pass         *HeldPass // that an order would meet, nil = none
	Venue        Venue
	Class        Class
}

// Scan turns a checked number, and what a screen showed behind it ("" for a
// printed code), into a ticket. It writes nothing, except a probe where the device
// has not been heard lately. ErrNotFound: the number names no device here;
// ErrReserved: it is kept for another rider; ErrCodeRevoked: it is no longer in use; qr.ErrStale: the screen shows another
// code by now.
func (s *Service) Scan(ctx context.Context, rider, number, otp string) (Scanned, error) {
	code, err := s.Catalog.Code(ctx, number)
	if err != nil {
		return Scanned{}, err
	}
	switch {
	case code.Revoked:
		return Scanned{}, ErrCodeRevoked
	case code.Device == "":
		return Scanned{}, ErrCodeUnbound
	}
	return s.offer(ctx, rider, code, otp, false)
}

// Offer makes staff's ticket for an outlet, at a tariff of zero.
func (s *Service) Offer(ctx context.Context, staff string, id device.ID, n uint8) (Scanned, error) {
	return s.offer(ctx, staff, Code{Device: id, Outlet: n}, "", true)
}

func (s *Service) offer(ctx context.Context, rider string, code Code, otp string, service bool) (Scanned, error) {
	id, n := code.Device, code.Outlet
	snapshot, err := s.Store.Load(ctx, Query{Device: id})
	if err != nil {
		return Scanned{}, fmt.Errorf("load device %s: %w", id, err)
	}
	r := Scanned{Tariff: billing.Service()}
	for _, o := range snapshot.Outlets {
		if o.N == n {
			r.Outlet = o
		}
	}
	if snapshot.Device == nil || r.Outlet.N != n || snapshot.Venue == nil {
		return Scanned{}, fmt.Errorf("device %s outlet %d: %w", id, n, ErrNotFound)
	}
	r.Device, r.Venue = *snapshot.Device, *snapshot.Venue
	class := Printed // of the code
	switch {
	case service:
		class = Uncoded
	case otp != "":
		class = Rotating
		// What hangs at the kiosk is printed; a screen's password behind it is a trick.
		if code.Kiosk || s.Displays == nil || !s.Displays.Accepts(id, n, r.Device.Epoch, otp, snapshot.Now) {
			return Scanned{}, fmt.Errorf("device %s outlet %d: %w", id, n, qr.ErrStale)
		}
	}
	if !service {
		if r.Tariff, err = s.Catalog.TariffFor(ctx, r.Device.Venue, r.Device.Kind, rider); err != nil {
			return Scanned{}, fmt.Errorf("tariff of venue %s: %w", r.Device.Venue, err)
		}
		held, err := s.Catalog.Passes(ctx, rider)
		if err != nil {
			return Scanned{}, fmt.Errorf("passes: %w", err)
		}
		r.Pass = ChoosePass(held, r.Device.Venue, r.Device.Kind, r.Tariff, snapshot.Now)
	}
	if r.Outlet.Reservation.HoldsFor(rider, snapshot.Now) || service {
		r.Outlet.Reservation = device.Reservation{} // it offers them what it would without
	}
	if r.Outlet.Reservation.Holds(snapshot.Now) && r.Outlet.Order == "" {
		return Scanned{}, fmt.Errorf("device %s outlet %d: %w", id, n, ErrReserved)
	}
	var battery *int
	if b, ok := s.battery(id); ok {
		battery = &b
	}
	r.Availability = offers(snapshot, r.Outlet, battery, service, s.Env.Config)
	if r.Availability == device.NonContactable {
		if err := s.Ask(ctx, id, n); err != nil {
			s.Log.Warn("probe for a scan failed", "device", id, "err", err)
		}
	}
	r.Class = class
	r.Expires = snapshot.Now.Add(s.Env.Config.TicketLife)
	r.Ticket, err = s.Tickets.Make(s.Env.Rand, Ticket{Rider: rider, Device: id, Outlet: n, Epoch: r.Device.Epoch, Venue: r.Device.Venue,
		Tariff: r.Tariff.ID, Version: r.Tariff.Version, Class: class, Kiosk: code.Kiosk, Expires: r.Expires.UnixMilli()})
	return r, err
}

func (s *Service) battery(id device.ID) (int, bool) {
	if s.LastKnown == nil {
		return 0, false
	}
	return s.LastKnown.Battery(id)
}

// Place runs the use case of that name and hands its command to the Dispatcher.
// It never waits for the device.
func (s *Service) Place(ctx context.Context, p Place) (Placed, error) {
	if b, ok := s.battery(p.Ticket.Device); ok {
		p.Battery = &b
	}
	p.Full = s.Full()
	placed, err := run(ctx, s, UseCase[Placed](p))
	if err == nil {
		s.Dispatcher.Dispatch(placed.Send)
	}
	return placed, err
}

// Hear runs the use case of that name. The caller acks Heard.Ack.
func (s *Service) Hear(ctx context.Context, h Hear) (Heard, error) {
	if e := h.Word.Evidence; e != nil && e.Kind == device.SaidEnded && s.LastKnown != nil {
		if at, said, ok := s.LastKnown.Position(h.Device); ok {
			h.Stands = &Stand{at, said}
		}
	}
	heard, err := run(ctx, s, UseCase[Heard](h))
	if err == nil {
		s.Dispatcher.Dispatch(heard.Send)
	}
	return heard, err
}

// Act runs the use case of that name.
func (s *Service) Act(ctx context.Context, a Act) (Acted, error) {
	acted, err := run(ctx, s, UseCase[Acted](a))
	if err == nil {
		s.Dispatcher.Dispatch(acted.Send)
	}
	if a.Input == ResumeIt && errors.Is(err, ErrOffline) {
		s.wake(ctx, a.Order)
	}
	return acted, err
}

// wake probes the device of an order that could not be reached, so that the next try may.
func (s *Service) wake(ctx context.Context, id string) {
	snapshot, err := s.Store.Load(ctx, Query{Order: id})
	for _, o := range snapshot.Orders {
		if o.ID == id {
			err = s.Ask(ctx, o.Device, o.Outlet)
		}
	}
	if err != nil {
		s.Log.Warn("probe for a resumption failed", "order", id, "err", err)
	}
}

// Ask probes a device that has not been heard lately.
func (s *Service) Ask(ctx context.Context, id device.ID, n uint8) error {
	acted, err := run(ctx, s, UseCase[Acted](Ask{id, n}))
	if err == nil {
		s.Dispatcher.Dispatch(acted.Send)
	}
	return err
}

// Instruct runs the use case of that name.
func (s *Service) Instruct(ctx context.Context, i Instruct) (device.Command, error) {
	acted, err := run(ctx, s, UseCase[Acted](i))
	if err != nil {
		return device.Command{}, err
	}
	s.Dispatcher.Dispatch(acted.Send)
	return acted.Send[0], nil
}

// Money runs the use case of that name.
func (s *Service) Money(ctx context.Context, m Money) (Placed, error) {
	return run(ctx, s, UseCase[Placed](m))
}

// Provision runs the use case of that name.
func (s *Service) Provision(ctx context.Context, p Provision) (device.Device, error) {
	return run(ctx, s, UseCase[device.Device](p))
}

// SetService runs the use case of that name.
func (s *Service) SetService(ctx context.Context, x SetService) (device.Device, error) {
	return run(ctx, s, UseCase[device.Device](x))
}

// Halt runs the use case of that name.
func (s *Service) Halt(ctx context.Context, h Halt) error {
	acted, err := run(ctx, s, UseCase[Acted](h))
	if err == nil {
		s.Dispatcher.Dispatch(acted.Send)
	}
	return err
}

// StopVenue stops everything at a venue that a stop can end, whoever it belongs
// to: it commits the switch that every start reads, then stops each device. What a
// crash leaves, Run of any replica finishes.
func (s *Service) StopVenue(ctx context.Context, stop Stop, staff *Audit) error {
	if stop.Reason == "" {
		return ErrReason
	}
	id, err := s.Env.newID(stop.At)
	if err != nil {
		return err
	}
	stop.ID = id
	if err := s.Stops.BeginStop(ctx, stop, staff); err != nil {
		return err
	}
	s.Log.Warn("venue stopped", "venue", stop.Venue, "by", stop.By)
	if err := s.sweep(ctx); err != nil { // it is in force all the same, and Run goes on
		s.Log.Error("a stop did not reach every device yet", "venue", stop.Venue, "err", err)
	}
	return nil
}

// sweep stops what stops of venues have yet to reach.
func (s *Service) sweep(ctx context.Context) error {
	stoppable := slices.DeleteFunc(Kinds(), func(k device.Kind) bool { return !Stops(k) })
	for {
		left, err := s.Stops.Unstopped(ctx, stoppable, 200)
		if err != nil || len(left) == 0 {
			return err
		}
		var failed []error // one device that cannot be stopped must not spare the next
		for _, u := range left {
			if u.Device == "" {
				err = s.Stops.Reached(ctx, u.Stop)
			} else {
				err = s.Halt(ctx, Halt{Device: u.Device, Stop: u.Stop, Reason: u.Reason})
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("stop %d, device %s: %w", u.Stop, u.Device, err))
			}
		}
		if err := errors.Join(failed...); err != nil {
			return err
		}
	}
}

// Run moves orders whose time has come until ctx ends. Any number of replicas
// may run it; a guard lets one of them win.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("a stop did not reach every device", "err", err)
		}
		due, err := s.Due.Due(ctx, 200)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Error("cannot look for due orders", "err", err)
			}
			continue
		}
		for _, id := range due {
			if _, err := s.Act(ctx, Act{Order: id, Input: Elapse}); err != nil && ctx.Err() == nil {
				s.Log.Error("due order not moved", "order", id, "err", err)
			}
		}
	}
}
