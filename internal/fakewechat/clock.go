package fakewechat

import (
	"container/heap"
	"context"
	"time"
)

// event is something that happens by itself. Exactly one of its parts is set.
type event struct {
	at    time.Time
	turn  int64 // of two events of one instant the smaller comes first; 0 before it is planned
	index int   // in the agenda; -1 when it is not there

	act     func()    // a change of state, done under the lock
	deliver *delivery // a callback, sent without it
}

// agenda is a heap of events by time and turn.
type agenda struct {
	events []*event
	turn   int64
}

func (a *agenda) Len() int { return len(a.events) }
func (a *agenda) Less(i, j int) bool {
	x, y := a.events[i], a.events[j]
	if !x.at.Equal(y.at) {
		return x.at.Before(y.at)
	}
	return x.turn < y.turn
}
func (a *agenda) Swap(i, j int) {
	a.events[i], a.events[j] = a.events[j], a.events[i]
	a.events[i].index, a.events[j].index = i, j
}
func (a *agenda) Push(x any) {
	e := x.(*event)
	e.index = len(a.events)
	a.events = append(a.events, e)
}
func (a *agenda) Pop() any {
	last := len(a.events) - 1
	e := a.events[last]
	a.events[last] = nil
	a.events, e.index = a.events[:last], -1
	return e
}

// plan puts an event on the agenda, or moves one that is there, behind all others
// of its instant. The caller holds the lock.
func (s *Server) plan(e *event, at time.Time) *event {
	there := e.turn > 0 && e.index >= 0
	s.agenda.turn++
	e.at, e.turn = at, s.agenda.turn
	if there {
		heap.Fix(&s.agenda, e.index)
	} else {
		heap.Push(&s.agenda, e)
	}
	select {
	case s.wake <- struct{}{}:
	default: // somebody is woken already
	}
	return e
}

// cancel takes an event off the agenda, if it is still there.
func (s *Server) cancel(e *event) {
	if e != nil && e.index >= 0 {
		heap.Remove(&s.agenda, e.index)
	}
}

// Due is when something next happens by itself: a callback and its repeats, the end
// of a refund, a debit. False means that nothing will. The lapse of an order and
// the bill of a day are no such events: they show when they are looked at.
func (s *Server) Due() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.agenda.events) == 0 {
		return time.Time{}, false
	}
	return s.agenda.events[0].at, true
}

// Step does what is due now, one after the other, and returns how many events that
// were. Callbacks are delivered before it returns; no lock is held meanwhile, so a
// receiver may call back in. It stops early when ctx ends.
func (s *Server) Step(ctx context.Context) int {
	for done := 0; ; done++ {
		if ctx.Err() != nil {
			return done
		}
		d, ok := s.next()
		if !ok {
			return done
		}
		if d != nil {
			s.send(ctx, d)
		}
	}
}

// next takes the first due event and does it, unless it is a delivery, which is the
// caller's. False means that nothing is due.
func (s *Server) next() (*delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.agenda.events) == 0 || s.agenda.events[0].at.After(s.now()) {
		return nil, false
	}
	e := heap.Pop(&s.agenda).(*event)
	if s.held == e {
		s.held = nil
	}
	if e.act != nil {
		e.act()
	}
	return e.deliver, true
}

// Run does what is due in real time until ctx ends, and then returns nil. Config.Now
// must then be a clock that runs.
func (s *Server) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.Step(ctx)
		wait := 24 * time.Hour
		if due, ok := s.Due(); ok {
			wait = max(due.Sub(s.now()), 0)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
	}
}
