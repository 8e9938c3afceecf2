package live

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// memory is the fleet as one replica shows it. Only the loop of Hub.keep changes it, and
// what others read only with Hub.mu held.
type memory struct {
	instance string // tells cursors of this memory from those of others
	rows     []row  // by id
	at       map[device.ID]int
	ring     ring
	failing  int     // from how many failures of a day on they are a problem
	written  written // the newest snapshot of everything

	// Of the loop alone, not guarded:
	facts    map[device.ID]fact
	venues   map[string]order.Venue
	prefs    order.Preferences
	glimpses map[device.ID]order.Glimpse
	orders   versions
	words    map[string]string // one copy of each venue's and firmware's name
}

// fact is what a row is made of, to make it again when the clock alone changes it.
type fact struct {
	order.FleetRow
	until time.Time
}

// load reads everything.
func (h *Hub) load(ctx context.Context) (*memory, error) {
	var id [6]byte
	rand.Read(id[:])
	m := &memory{instance: hex.EncodeToString(id[:]), at: map[device.ID]int{}, facts: map[device.ID]fact{},
		glimpses: map[device.ID]order.Glimpse{}, words: map[string]string{}}
	m.ring = ring{most: h.c.Events, mostBytes: h.c.Bytes, next: 1}
	if h.c.Glimpses != nil { // the first snapshot has them: what is followed comes when it may
		h.c.Glimpses.Known(func(id device.ID, g order.Glimpse) { m.glimpses[id] = g })
	}
	_, err := h.read(ctx, m, heard{}, true, false)
	return m, err
}

// tick takes in what was heard since the last one: one look at the tables for all of it.
// all reads every row again, by looks which of them the clock has changed.
func (h *Hub) tick(ctx context.Context, m *memory, all, by bool) error {
	news := h.news.take()
	if !all && !by && len(news.devices)+len(news.glimpses)+len(news.told) == 0 && !news.lost {
		return nil
	}
	entries, err := h.read(ctx, m, news, all, by)
	if err != nil { // the next tick tries again; what was told is true all the same
		h.news.dirty(slices.Collect(maps.Keys(news.devices))...)
		for id, g := range news.glimpses {
			m.glimpses[id] = g
			h.news.dirty(id)
		}
		entries = nil
	}
	for _, t := range news.told {
		if t.order == "" || m.orders.newer(t.order, t.version) {
			entries = append(entries, entry{name: t.name, venue: t.venue, data: t.data})
		}
	}
	if news.lost {
		entries = append(entries, entry{name: resync})
	}
	if len(entries) == 0 {
		return err
	}
	h.counts.Events.Add(int64(len(entries)))
	h.mu.Lock()
	for _, e := range entries {
		m.ring.add(e)
	}
	for f := range h.followers {
		f.stir()
	}
	h.mu.Unlock()
	return err
}

// read brings rows up to date and returns what changed, as entries that are not in the
// ring yet.
func (h *Hub) read(ctx context.Context, m *memory, news heard, all, by bool) ([]entry, error) {
	var facts []order.FleetRow
	now := time.Now()
	if all || by {
		prefs, err := h.c.Fleet.Preferences(ctx)
		if err != nil {
			return nil, err
		}
		if prefs != m.prefs && m.prefs != (order.Preferences{}) {
			all = true // every row may be shown otherwise
		}
		m.prefs = prefs
		h.mu.Lock()
		m.failing = prefs.Failures
		h.mu.Unlock()
	}
	if all {
		list, err := h.c.Fleet.Venues(ctx)
		if err != nil {
			return nil, err
		}
		venues := make(map[string]order.Venue, len(list))
		for _, v := range list {
			venues[v.ID] = v
		}
		m.venues = venues
	}
	if all || len(news.devices) > 0 {
		var ids []device.ID
		if !all {
			ids = slices.Collect(maps.Keys(news.devices))
		}
		var err error
		if facts, now, err = h.c.Fleet.FleetRows(ctx, ids); err != nil {
			return nil, err
		}
	}
	maps.Copy(m.glimpses, news.glimpses)
	change := map[device.ID]row{}
	make := func(f order.FleetRow) {
		was := row{}
		if i, known := m.at[f.ID]; known {
			was = m.rows[i]
		}
		r, until := show(f, m.glimpses[f.ID], m.venues[f.Venue], m.prefs, now, was)
		m.facts[f.ID] = fact{f, until}
		if r != was {
			change[f.ID] = r
		}
	}
	for _, f := range facts {
		f.Venue, f.Firmware = m.word(f.Venue), m.word(f.Firmware)
		make(f)
	}
	for id := range news.glimpses {
		if f, known := m.facts[id]; known {
			make(f.FleetRow)
		}
	}
	if by {
		for _, f := range m.facts {
			if !f.until.IsZero() && !now.Before(f.until) {
				make(f.FleetRow)
			}
		}
	}
	entries := h.change(m, change)
	for _, id := range slices.Sorted(maps.Keys(news.glimpses)) {
		f, known := m.facts[id]
		if g := news.glimpses[id]; known && len(g.Meters) > 0 && f.Kind == device.Pump {
			entries = append(entries, entry{name: "pump", venue: f.Venue, data: pumpOf(id, g.Meters)})
		}
	}
	return entries, nil
}

// change puts new rows in their places and tells of them.
func (h *Hub) change(m *memory, changed map[device.ID]row) []entry {
	if len(changed) == 0 {
		return nil
	}
	told := entry{name: "device"}
	var moved []string
	fresh := false
	h.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(changed)) {
		r := changed[id]
		if i, known := m.at[id]; known {
			if was := m.rows[i].venue; was != r.venue {
				moved = append(moved, was)
			}
			m.rows[i] = r
		} else {
			m.at[id] = len(m.rows)
			m.rows = append(m.rows, r)
			fresh = true
		}
		told.pieces = append(told.pieces, piece{r.venue, r.json(nil)})
	}
	if fresh {
		slices.SortFunc(m.rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
		for i, r := range m.rows {
			m.at[r.id] = i
		}
	}
	h.mu.Unlock()
	told.join()
	entries := []entry{told}
	for _, venue := range moved { // who sees the old venue and not the new one has a row too many
		entries = append(entries, entry{name: resync, venue: venue, scoped: true})
	}
	return entries
}

// word is one copy of a text that many rows have.
func (m *memory) word(text string) string {
	if have, ok := m.words[text]; ok {
		return have
	}
	m.words[text] = text
	return text
}

// cursor names the moment before the entry next.
func (m *memory) cursor(next uint64) string { return fmt.Sprintf("%s-%d", m.instance, next-1) }

// versions remembers the newest version told of each order, to know a repeat by: the
// outbox is routed at least once. Older half by half it forgets.
type versions struct{ young, old map[string]int64 }

// versionsMost is how many orders one half holds.
const versionsMost = 20_000

// newer tells whether a version was not told yet, and notes it.
func (v *versions) newer(order string, version int64) bool {
	had, known := v.young[order]
	if !known {
		had = v.old[order]
	}
	if version <= had {
		return false
	}
	if v.young == nil || len(v.young) >= versionsMost {
		v.young, v.old = map[string]int64{}, v.young
	}
	v.young[order] = version
	return true
}
