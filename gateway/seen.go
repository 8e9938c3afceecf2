package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// LastStore keeps one JSON document per device for every replica to read; it may
// lose everything at any time.
type LastStore interface {
	SetLast(ctx context.Context, device string, document []byte) error
	Last(ctx context.Context, device string) ([]byte, error)
}

// LastSeen is the unsigned, droppable part: battery, position, presence, what a
// display shows. It implements Seen, order.LastKnown and api.Live. Nothing in it is
// ever billed.
type LastSeen struct {
	Store LastStore
	// Moved is told of each device whose display changed; nil: nobody asks. It must
	// not block.
	Moved func(device.ID)
	// Track writes down where devices are; nil: nobody does.
	Track *Tracks

	mu    sync.Mutex
	here  map[device.ID]seenState
	hears map[*glimpser]struct{}
	once  sync.Once
	out   chan seenDocument // waiting for Run to store them
}

// seenDocument is one device's news on its way to the other replicas.
type seenDocument struct {
	id    device.ID
	state seenState
	live  bool // a display changed
}

func (l *LastSeen) queue() chan seenDocument {
	l.once.Do(func() { l.out = make(chan seenDocument, 1024) })
	return l.out
}

// Run carries news to Store until ctx ends. It is apart from those who bring
// them: a store that does not answer must not hold up evidence.
func (l *LastSeen) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-l.queue():
			document, err := json.Marshal(d.state)
			if err == nil && l.Store != nil {
				put, cancel := context.WithTimeout(ctx, lastTimeout)
				_ = l.Store.SetLast(put, string(d.id), document) // display only: the next one will do
				cancel()
			}
			if d.live && l.Moved != nil {
				l.Moved(d.id)
			}
		}
	}
}

// seenState is what one device last said.
type seenState struct {
	Meters  map[uint8]order.Live `json:"meters,omitempty"`  // by outlet
	Battery *int                 `json:"battery,omitempty"` // percent
	Lat     *float64             `json:"lat,omitempty"`     // WGS-84 degrees
	Lng     *float64             `json:"lng,omitempty"`
	Placed  time.Time            `json:"placed,omitzero"` // when it told the position
	Online  *bool                `json:"online,omitempty"`
	At      time.Time            `json:"at"`
}

// lastTimeout bounds a look at another replica's news.
const lastTimeout = 100 * time.Millisecond

// Telemetry notes what a device says without signing it.
func (l *LastSeen) Telemetry(id device.ID, t wire.Telemetry) {
	l.update(id, len(t.Meters) > 0, func(s *seenState) {
		if t.Battery != nil {
			percent := int(*t.Battery)
			s.Battery = &percent
		}
		if p := t.Position; p != nil {
			lat, lng := float64(p.Lat)/1e6, float64(p.Lng)/1e6
			s.Lat, s.Lng, s.Placed = &lat, &lng, time.Now().UTC()
			if l.Track != nil {
				l.Track.Offer(order.DeviceAt{Device: id, Point: order.Point{Lat: lat, Lng: lng}})
			}
		}
		s.Meters = metersOf(s.Meters, t)
	})
}

// overtaken is how much older telemetry may be than what was heard before it, on the
// device's clock, in ms.
const overtaken = 10_000

// metersOf is what the displays show after a telemetry. An older one that was
// overtaken on its way changes nothing.
func metersOf(shown map[uint8]order.Live, t wire.Telemetry) map[uint8]order.Live {
	if len(t.Meters) == 0 {
		return shown
	}
	next := maps.Clone(shown)
	if next == nil {
		next = map[uint8]order.Live{}
	}
	now := time.Now().UTC()
	for _, m := range t.Meters {
		// A little older: it was overtaken. Much older: the device has started again.
		if had := next[m.Outlet]; t.Uptime < had.Uptime && had.Uptime-t.Uptime < overtaken {
			continue
		}
		uptime := t.Uptime
		if uptime == 0 { // not told: our own clock tells figures apart as well
			uptime = uint64(now.UnixMilli())
		}
		next[m.Outlet] = order.Live{State: m.State.String(), Millilitres: m.Millilitres, Fen: m.Fen, Uptime: uptime, At: now}
	}
	return next
}

// Live implements api.Live.
func (l *LastSeen) Live(id device.ID) map[uint8]order.Live { return l.read(id, liveLife).Meters }

// liveLife is how long figures heard here are preferred to what another replica
// may have heard since.
const liveLife = 1500 * time.Millisecond

// Presence notes a birth or a last will.
func (l *LastSeen) Presence(id device.ID, p wire.Presence) {
	l.update(id, false, func(s *seenState) { s.Online = &p.Online })
}

func (l *LastSeen) update(id device.ID, live bool, change func(*seenState)) {
	l.mu.Lock()
	if l.here == nil || len(l.here) > 200_000 {
		l.here = map[device.ID]seenState{}
	}
	s := l.here[id]
	change(&s)
	s.At = time.Now().UTC()
	l.here[id] = s
	for g := range l.hears {
		g.told(id, s.glimpse())
	}
	l.mu.Unlock()
	select {
	case l.queue() <- seenDocument{id, s, live}:
	default: // the next one will do
	}
}

// LastFollower is a LastStore that tells every replica's news; see bus.Conn.FollowLast.
type LastFollower interface {
	FollowLast(ctx context.Context, told func(device string, document []byte)) error
}

// glimpser is one Follow; its address is what tells it from others.
type glimpser struct {
	told func(device.ID, order.Glimpse)
}

// Known implements live.Glimpses.
func (l *LastSeen) Known(told func(device.ID, order.Glimpse)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known(told)
}

// known is Known for who holds mu.
func (l *LastSeen) known(told func(device.ID, order.Glimpse)) {
	for id, s := range l.here {
		told(id, s.glimpse())
	}
}

// Follow implements live.Glimpses: what is known here, then what comes here and, where
// Store tells it, to other replicas.
func (l *LastSeen) Follow(ctx context.Context, told func(device.ID, order.Glimpse)) error {
	g := &glimpser{told}
	l.mu.Lock()
	l.known(told)
	if l.hears == nil {
		l.hears = map[*glimpser]struct{}{}
	}
	l.hears[g] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.hears, g)
		l.mu.Unlock()
	}()
	others, ok := l.Store.(LastFollower)
	if !ok {
		<-ctx.Done()
		return nil
	}
	return others.FollowLast(ctx, func(id string, document []byte) {
		var s seenState
		if json.Unmarshal(document, &s) != nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if own, heard := l.here[device.ID(id)]; !heard || s.At.After(own.At) { // ours came already
			told(device.ID(id), s.glimpse())
		}
	})
}

// glimpse is a state as others see it. Its pointers are never written through.
func (s seenState) glimpse() order.Glimpse {
	g := order.Glimpse{Battery: s.Battery, Meters: s.Meters}
	if s.Lat != nil && s.Lng != nil && !s.Placed.IsZero() {
		g.At, g.Placed = &order.Point{Lat: *s.Lat, Lng: *s.Lng}, s.Placed
	}
	return g
}

// read prefers what was heard here within fresh to what NATS keeps.
func (l *LastSeen) read(id device.ID, fresh time.Duration) seenState {
	l.mu.Lock()
	s, ok := l.here[id]
	l.mu.Unlock()
	if ok && time.Since(s.At) < fresh || l.Store == nil {
		return s
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastTimeout)
	defer cancel()
	document, err := l.Store.Last(ctx, string(id))
	if err != nil {
		s.Meters = nil // another replica may have heard more: no figures rather than older ones
		return s
	}
	var other seenState
	if json.Unmarshal(document, &other) == nil && other.At.After(s.At) {
		return other
	}
	return s
}

// Battery implements order.LastKnown.
func (l *LastSeen) Battery(id device.ID) (percent int, ok bool) {
	s := l.read(id, time.Minute)
	if s.Battery == nil {
		return 0, false
	}
	return *s.Battery, true
}

// Position implements order.LastKnown.
func (l *LastSeen) Position(id device.ID) (at order.Point, said time.Time, ok bool) {
	s := l.read(id, time.Minute)
	if s.Lat == nil || s.Lng == nil || s.Placed.IsZero() {
		return order.Point{}, time.Time{}, false
	}
	return order.Point{Lat: *s.Lat, Lng: *s.Lng}, s.Placed, true
}
