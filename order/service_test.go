package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bent is a store of which one call is bent.
type bent struct {
	order.Store
	apply func(ctx context.Context, n int, c order.Changes, real order.Store) error
	load  func(ctx context.Context, q order.Query, real order.Store) (order.Snapshot, error)
	n     atomic.Int32
}

func (b *bent) Apply(ctx context.Context, c order.Changes) error {
	n := int(b.n.Add(1))
	if b.apply == nil {
		return b.Store.Apply(ctx, c)
	}
	return b.apply(ctx, n, c, b.Store)
}

func (b *bent) Load(ctx context.Context, q order.Query) (order.Snapshot, error) {
	if b.load == nil {
		return b.Store.Load(ctx, q)
	}
	return b.load(ctx, q, b.Store)
}

// bend puts a bent store under a scene that is ready.
func bend(t *testing.T) (*scene, *bent) {
	t.Helper()
	b := &bent{}
	s := ready(t, func(c *order.ServiceConfig) { b.Store = c.Store; c.Store = b })
	b.n.Store(0)
	return s, b
}

func TestALostRaceIsRunAgain(t *testing.T) {
	s, b := bend(t)
	b.apply = func(ctx context.Context, n int, c order.Changes, real order.Store) error {
		if n < 5 {
			return fmt.Errorf("outlet: %w", order.ErrStale)
		}
		return real.Apply(ctx, c)
	}
	o, _ := s.place()
	if b.n.Load() != 5 || len(s.store.Orders()) != 1 {
		t.Errorf("applied %d times, %d orders; want 5, 1", b.n.Load(), len(s.store.Orders()))
	}
	s.wants(o.ID, order.Starting)
}

func TestARaceThatIsReallyLostIsDecidedAnew(t *testing.T) {
	s, b := bend(t)
	s.topUp(ben, 5000)
	theirs := s.placing()
	by(ben)(&theirs)
	theirs.Ticket.ID = "ben's"
	b.n.Store(0)
	b.apply = func(ctx context.Context, n int, c order.Changes, real order.Store) error {
		if n == 1 { // Ben comes in between
			snap, _ := real.Load(ctx, theirs.Query())
			faster, _, err := theirs.Decide(snap, s.svc.Env)
			if err != nil {
				t.Errorf("decide Ben's: %v", err)
			}
			if err := real.Apply(ctx, faster); err != nil {
				t.Errorf("apply Ben's: %v", err)
			}
		}
		return real.Apply(ctx, c)
	}
	if _, err := s.svc.Place(context.Background(), s.placing()); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("got %v, want ErrOutletBusy", err)
	}
	if n := len(s.store.Orders()); n != 1 {
		t.Errorf("orders: got %d, want Ben's alone", n)
	}
	s.books()
}

// TestAnUncertainCommitNeitherDoublesNorLoses is promise S2, both ways the commit
// may have gone, for each use case that leaves a trace.
func TestAnUncertainCommitNeitherDoublesNorLoses(t *testing.T) {
	for _, landed := range []bool{true, false} {
		uncertain := func(ctx context.Context, n int, c order.Changes, real order.Store) error {
			if n > 1 {
				return real.Apply(ctx, c)
			}
			if landed {
				if err := real.Apply(ctx, c); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
			return fmt.Errorf("connection reset: %w", order.ErrUncertain)
		}
		t.Run(fmt.Sprintf("place, landed %v", landed), func(t *testing.T) {
			s, b := bend(t)
			b.apply = uncertain
			placed, err := s.svc.Place(context.Background(), s.placing())
			if err != nil || placed.Replayed != landed || placed.Status != 201 {
				t.Errorf("placed: %+v, %v, want replayed %v", placed, err, landed)
			}
			if orders, commands := s.store.Orders(), s.store.Commands(); len(orders) != 1 || len(commands) != 1 || string(placed.Answer) != orders[0].ID {
				t.Errorf("%d orders, %d commands, answer %s; want one of each, the order's own", len(orders), len(commands), placed.Answer)
			}
			s.books()
		})
		t.Run(fmt.Sprintf("evidence, landed %v", landed), func(t *testing.T) {
			s, b := bend(t)
			o, c := s.place()
			l := s.locks["bike-1"]
			s.hear(l.opens(c))
			s.pass(time.Minute)
			b.n.Store(0)
			b.apply = uncertain
			if h := s.hear(l.closes()); h.Ack == nil || h.Ack.N != 3 {
				t.Errorf("ack: got %+v, want 3", h.Ack)
			}
			if o = s.wants(o.ID, order.Settled); o.Quote.Total != 150 || s.wallet().Posted != 4850 {
				t.Errorf("billed %d, wallet %d; want 150, 4850", o.Quote.Total, s.wallet().Posted)
			}
			s.books()
		})
		t.Run(fmt.Sprintf("cancel, landed %v", landed), func(t *testing.T) {
			s, b := bend(t)
			o, _ := s.place()
			b.n.Store(0)
			b.apply = uncertain
			s.must(o.ID, order.Cancel)
			if n := len(s.store.Commands()); n != 2 || !s.order(o.ID).Cancelling {
				t.Errorf("commands: got %d, want the start and one stop", n)
			}
		})
		t.Run(fmt.Sprintf("refund, landed %v", landed), func(t *testing.T) {
			s, b := bend(t)
			o := s.ride(time.Minute)
			b.n.Store(0)
			b.apply = uncertain
			if err := s.refund(o.ID, 100, "k"); err != nil {
				t.Errorf("refund: %v", err)
			}
			if got := s.order(o.ID).Refunded; got != 100 {
				t.Errorf("refunded: got %d, want 100 once", got)
			}
			s.books()
		})
	}
}

func TestTooManyLostRacesAreBusy(t *testing.T) {
	s, b := bend(t)
	p := s.placing()
	synctest.Test(t, func(t *testing.T) {
		b.apply = func(context.Context, int, order.Changes, order.Store) error { return order.ErrStale }
		began := time.Now()
		if _, err := s.svc.Place(t.Context(), p); !errors.Is(err, order.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("gave up after %v, want at most 3 s", took)
		}
	})
	if len(s.store.Orders()) != 0 || len(s.dispatched()) != 0 {
		t.Error("a busy refusal left an order or sent a command")
	}
}

func TestAnEndedCallerIsNotKeptWaiting(t *testing.T) {
	s, b := bend(t)
	ctx, cancel := context.WithCancel(context.Background())
	b.apply = func(_ context.Context, n int, _ order.Changes, _ order.Store) error {
		cancel()
		return order.ErrStale
	}
	if _, err := s.svc.Place(ctx, s.placing()); !errors.Is(err, context.Canceled) && !errors.Is(err, order.ErrBusy) {
		t.Errorf("got %v, want the context's end", err)
	}
	if b.n.Load() > 20 {
		t.Errorf("applied %d times after the caller left", b.n.Load())
	}
}

func TestAnotherFaultOfTheStoreIsReportedAndNotRunAgain(t *testing.T) {
	broken := errors.New("disk on fire")
	s, b := bend(t)
	b.apply = func(context.Context, int, order.Changes, order.Store) error { return broken }
	if _, err := s.svc.Place(context.Background(), s.placing()); !errors.Is(err, broken) || b.n.Load() != 1 {
		t.Errorf("apply: got %v after %d times, want the cause after 1", err, b.n.Load())
	}
	b.load = func(context.Context, order.Query, order.Store) (order.Snapshot, error) {
		return order.Snapshot{}, broken
	}
	if _, err := s.svc.Place(context.Background(), s.placing()); !errors.Is(err, broken) {
		t.Errorf("load: got %v, want the cause", err)
	}
	if _, err := s.svc.Scan(context.Background(), ann.ID, "bike-1", ""); !errors.Is(err, broken) {
		t.Errorf("scan: got %v, want the cause", err)
	}
	if len(s.dispatched()) != 0 {
		t.Error("a command left although nothing was committed")
	}
}

func TestNoByteLeavesBeforeTheCommit(t *testing.T) {
	s, b := bend(t)
	b.apply = func(ctx context.Context, _ int, c order.Changes, real order.Store) error {
		if sent := s.dispatched(); len(sent) != 0 {
			t.Errorf("dispatched before the commit: %+v", sent)
		}
		return real.Apply(ctx, c)
	}
	o, _ := s.place()
	s.must(o.ID, order.Cancel)
	if sent := s.dispatched(); len(sent) != 1 {
		t.Errorf("dispatched after the commit: %+v, want the stop", sent)
	}
}

func TestEachCommitIsToldOnceWithWhatItChanged(t *testing.T) {
	var told []order.Changes
	var lines bytes.Buffer
	s := ready(t, func(c *order.ServiceConfig) {
		c.Committed = func(x order.Changes) { told = append(told, x) }
		c.Log = slog.New(slog.NewTextHandler(&lines, nil))
	})
	told = nil
	o, c := s.place()
	if len(told) != 1 || len(told[0].Orders) != 1 || len(told[0].Moves) != 1 {
		t.Errorf("told of the order: %+v, want once", told)
	}
	word := s.locks["bike-1"].opens(c)
	s.hear(word, word)
	if len(told) != 2 {
		t.Errorf("told %d times after evidence and its duplicate, want 2", len(told))
	}
	if got := strings.Count(lines.String(), `msg="order moved" order=`+o.ID); got != 2 {
		t.Errorf("lines of moves: got %d, want 2 in\n%s", got, lines.String())
	}
}

func TestAServiceNeedsItsParts(t *testing.T) {
	var good order.ServiceConfig
	empty(t, func(c *order.ServiceConfig) { good = *c })
	for name, spoil := range map[string]func(*order.ServiceConfig){
		"store":      func(c *order.ServiceConfig) { c.Store = nil },
		"catalog":    func(c *order.ServiceConfig) { c.Catalog = nil },
		"due":        func(c *order.ServiceConfig) { c.Due = nil },
		"dispatcher": func(c *order.ServiceConfig) { c.Dispatcher = nil },
		"sealer":     func(c *order.ServiceConfig) { c.Env.Sealer = nil },
		"chance":     func(c *order.ServiceConfig) { c.Env.Rand = nil },
		"secret":     func(c *order.ServiceConfig) { c.Tickets.Secret = make([]byte, 15) },
	} {
		c := good
		spoil(&c)
		if _, err := order.New(c); err == nil {
			t.Errorf("made without its %s", name)
		}
	}
}

// gauge is a battery.
type gauge int

func (g gauge) Battery(device.ID) (int, bool) { return int(g), g >= 0 }

func (g gauge) Position(device.ID) (order.Point, time.Time, bool) {
	return order.Point{}, time.Time{}, false
}

func TestALowBatteryIsShownAndRefused(t *testing.T) {
	for percent, want := range map[gauge]device.Availability{-1: device.Available, 10: device.Available, 9: device.NonOperational, 0: device.NonOperational} {
		s := ready(t, func(c *order.ServiceConfig) { c.LastKnown = percent })
		scanned, err := s.svc.Scan(context.Background(), ann.ID, "bike-1", "")
		if err != nil || scanned.Availability != want {
			t.Errorf("%d percent: got %s, %v, want %s", percent, scanned.Availability, err, want)
		}
		if _, err := s.svc.Place(context.Background(), s.placing()); (want != device.Available) != errors.Is(err, order.ErrBatteryLow) {
			t.Errorf("%d percent: placed with %v", percent, err)
		}
	}
}

// flaky is a list of due orders that is away at first.
type flaky struct {
	real order.Due
	left atomic.Int32
}

func (f *flaky) Due(ctx context.Context, limit int) ([]string, error) {
	if f.left.Add(-1) >= 0 {
		return nil, errors.New("the database is away")
	}
	return f.real.Due(ctx, limit)
}

// TestTimeMovesOrdersByItself runs the loop in a bubble: silence, the deadline,
// the end of patience.
func TestTimeMovesOrdersByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &flaky{}
		away.left.Store(4)
		s := empty(t, func(c *order.ServiceConfig) { away.real = c.Due; c.Due = away })
		s.store.Now = time.Now
		s.now = time.Now()
		s.topUp(ann, 5000)
		s.lock("bike-1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.svc.Run(ctx) }()
		p := s.placing()
		placed, err := s.svc.Place(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			after time.Duration
			want  order.State
		}{{14 * time.Second, order.Starting}, {2 * time.Second, order.Unresolved}, {9 * time.Minute, order.Unresolved}, {2 * time.Minute, order.Voided}} {
			time.Sleep(at.after)
			synctest.Wait()
			s.wants(placed.Order.ID, at.want)
		}
		var kinds []device.CommandKind
		for _, c := range s.dispatched() {
			kinds = append(kinds, c.Kind)
		}
		if fmt.Sprint(kinds) != "[start probe]" {
			t.Errorf("dispatched: got %v, want a start and a probe", kinds)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a clean stop: got %v, want nil", err)
		}
	})
}

// TestManyReplicasMoveADueOrderOnce: of several loops one wins each order.
func TestManyReplicasMoveADueOrderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := empty(t)
		s.store.Now = time.Now
		s.now = time.Now()
		s.topUp(ann, 5000)
		s.lock("bike-1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 4)
		if _, err := s.svc.Place(ctx, s.placing()); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			c := s.svc.ServiceConfig
			c.Env.Rand = chance(i)
			replica, err := order.New(c)
			if err != nil {
				t.Fatal(err)
			}
			go func() { done <- replica.Run(ctx) }()
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := len(s.store.Commands()); n != 2 {
			t.Errorf("commands: got %d, want the start and one probe", n)
		}
		cancel()
		for range 4 {
			if err := <-done; err != nil {
				t.Errorf("a clean stop: got %v, want nil", err)
			}
		}
	})
}
