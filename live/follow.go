package live

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Scope is the set of venues that somebody may see; nil = all of them.
type Scope map[string]bool

// ScopeOf makes a scope of a list, nil = all.
func ScopeOf(venues []string) Scope {
	if venues == nil {
		return nil
	}
	s := Scope{}
	for _, v := range venues {
		s[v] = true
	}
	return s
}

// Event is what a follower is told. An empty Name is a sign of life; its ID moves the
// cursor all the same.
type Event struct {
	ID   string
	Name string // device, order, item, alarm, pump or resync
	Data []byte // one line of JSON
}

// atOnce is how many entries a follower takes at a time.
const atOnce = 256

// Follower is one stream's place in a Hub's memory. It is not safe for concurrent use.
type Follower struct {
	h      *Hub
	m      *memory
	scope  Scope
	next   uint64 // the entry to be told next
	fresh  bool   // it has to take a new snapshot: nobody told it yet
	ending bool   // guarded by the hub
	woken  chan struct{}
}

// Follow begins a stream behind a cursor, "" = now. Where that is of another memory, or
// too old, the first event is a resync and the stream goes on from now. The caller closes
// it. ErrUnread, or the context's error.
func (h *Hub) Follow(ctx context.Context, after string, scope Scope) (*Follower, error) {
	for {
		m, err := h.look(ctx)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		if h.memory != m { // it was dropped in between
			h.mu.Unlock()
			continue
		}
		f := &Follower{h: h, m: m, scope: scope, woken: make(chan struct{}, 1), next: m.ring.next}
		if after != "" {
			if seq, ok := m.place(after); ok {
				f.next = seq
			} else {
				f.fresh = true
			}
		}
		h.followers[f] = struct{}{}
		h.mu.Unlock()
		return f, nil
	}
}

// place is the number of the entry behind a cursor; false: it cannot be resumed there.
func (m *memory) place(cursor string) (uint64, bool) {
	instance, number, _ := strings.Cut(cursor, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || instance != m.instance || seq >= m.ring.next || seq+1 < m.ring.first() {
		return 0, false
	}
	return seq + 1, true
}

// Close ends a stream.
func (f *Follower) Close() {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	delete(f.h.followers, f)
}

func (f *Follower) stir() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// end tells it that there is nothing more; the hub is locked.
func (f *Follower) end() {
	f.ending = true
	f.stir()
}

// Next returns what is to be told, at once or when something comes, and a sign of life
// where nothing has by the time that beat ticks. False: the stream is over, for the
// context ended or the replica drains.
func (f *Follower) Next(ctx context.Context, beat <-chan time.Time) ([]Event, bool) {
	for {
		if events, more := f.take(); len(events) > 0 || !more {
			return events, more
		}
		select {
		case <-ctx.Done():
			return nil, false
		case <-f.woken:
		case <-beat:
			return []Event{{ID: f.m.cursor(f.next)}}, true
		}
	}
}

// take looks for events; none may be there, and more come. One that was too slow, so that
// entries are gone, begins anew.
func (f *Follower) take() ([]Event, bool) {
	f.h.mu.Lock()
	ending, fresh := f.ending || f.h.memory != f.m, f.fresh
	entries, all := f.m.ring.since(f.next, atOnce)
	if !all || fresh {
		f.next, f.fresh, entries = f.m.ring.next, false, nil
	}
	f.h.mu.Unlock()
	if ending {
		return nil, false
	}
	if !all || fresh {
		f.h.counts.Resyncs.Add(1)
		return []Event{{ID: f.m.cursor(f.next), Name: resync, Data: []byte("{}")}}, true
	}
	var events []Event
	for _, e := range entries {
		f.next = e.seq + 1
		if data, mine := e.within(f.scope); mine {
			if data == nil {
				data = []byte("{}")
			}
			events = append(events, Event{ID: f.m.cursor(f.next), Name: e.name, Data: data})
		}
	}
	if len(entries) > 0 && len(events) == 0 {
		return f.take() // others' venues: look on
	}
	return events, true
}
