package live

import (
	"encoding/json"
	"strings"
	"sync"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// newsMost bounds what waits for the next tick besides devices, of which each waits once.
const newsMost = 10_000

// news is what was heard since the last tick.
type news struct {
	mu       sync.Mutex
	devices  map[device.ID]struct{}
	glimpses map[device.ID]order.Glimpse
	told     []told
	lost     bool // more was told than told holds
}

// told is an event that is not a device's row.
type told struct {
	name    string
	venue   string
	data    []byte
	order   string // of an order's: its id and version, to know a repeat by
	version int64
}

// heard is a round of news.
type heard struct {
	devices  map[device.ID]struct{}
	glimpses map[device.ID]order.Glimpse
	told     []told
	lost     bool
}

func (n *news) take() heard {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := heard{n.devices, n.glimpses, n.told, n.lost}
	n.devices, n.glimpses, n.told, n.lost = nil, nil, nil, false
	return h
}

// dirty notes that devices must be read again.
func (n *news) dirty(ids ...device.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.devices == nil {
		n.devices = map[device.ID]struct{}{}
	}
	for _, id := range ids {
		n.devices[id] = struct{}{}
	}
}

func (n *news) glimpse(id device.ID, g order.Glimpse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.glimpses == nil {
		n.glimpses = map[device.ID]order.Glimpse{}
	}
	n.glimpses[id] = g
}

func (n *news) tell(t told) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.told) >= newsMost {
		n.lost = true
		return
	}
	n.told = append(n.told, t)
}

// hear takes an update of the outbox in; it never blocks. An update from a replica of an
// older version lacks what it did not know: then its device's row alone tells.
func (h *Hub) hear(subject string, payload []byte) {
	if !h.listening.Load() {
		return
	}
	noun, id, _ := strings.Cut(subject, ".")
	switch noun {
	case "device":
		h.news.dirty(device.ID(id))
	case "order":
		var u struct {
			OrderEvent
			Version int64 `json:"version"`
		}
		if json.Unmarshal(payload, &u) != nil || u.Device == "" {
			return
		}
		h.news.dirty(u.Device)
		data, _ := json.Marshal(u.OrderEvent) // of plain fields: cannot fail
		h.news.tell(told{name: "order", venue: u.Venue, data: data, order: id, version: u.Version})
	case "item", "alarm":
		var u struct {
			Device device.ID `json:"device"`
			Venue  string    `json:"venue"`
		}
		if json.Unmarshal(payload, &u) != nil {
			return
		}
		if u.Device != "" && noun == "item" {
			h.news.dirty(u.Device)
		}
		data, err := json.Marshal(json.RawMessage(payload)) // on one line
		if err == nil {
			h.news.tell(told{name: noun, venue: u.Venue, data: data})
		}
	}
}

// OrderEvent tells that an order moved.
type OrderEvent struct {
	ID     string      `json:"id"`
	Device device.ID   `json:"device"`
	Outlet uint8       `json:"outlet"`
	State  order.State `json:"state"`
	Kind   device.Kind `json:"kind"`
	Venue  string      `json:"venue"`
}
