package live

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// snapshotLife is for how long those who see every venue get the same snapshot: the
// stream goes on from its cursor, so that it may be that old.
const snapshotLife = time.Second

// written is a snapshot as it is sent.
type written struct {
	mu    sync.Mutex // who comes while it is written waits for it
	at    time.Time
	plain []byte
	small []byte // gzip
}

// Snapshot is the fleet in columns, as JSON, plain and as gzip: what the scope holds, by
// id, with the cursor that a stream goes on from. ErrUnread, or the context's error.
// Neither slice may be changed.
func (h *Hub) Snapshot(ctx context.Context, scope Scope) (plain, small []byte, err error) {
	m, err := h.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	if scope != nil {
		plain = m.write(h, scope)
		h.counts.Snapshots.Add(1)
		return plain, zipped(plain), nil
	}
	w := &m.written
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plain == nil || time.Since(w.at) >= snapshotLife {
		at := time.Now() // before the rows are copied
		w.plain = m.write(h, nil)
		w.small, w.at = zipped(w.plain), at
		h.counts.Snapshots.Add(1)
	}
	return w.plain, w.small, nil
}

// write copies the rows of a moment and writes them down.
func (m *memory) write(h *Hub, scope Scope) []byte {
	h.mu.Lock()
	rows, next, failing := slices.Clone(m.rows), m.ring.next, m.failing
	h.mu.Unlock()
	if scope != nil {
		rows = slices.DeleteFunc(rows, func(r row) bool { return !scope[r.venue] })
	}
	return columns(rows, m.cursor(next), failing, time.Now())
}

func zipped(plain []byte) []byte {
	b := bytes.NewBuffer(make([]byte, 0, len(plain)/4))
	z, _ := gzip.NewWriterLevel(b, gzip.BestSpeed) // the level is one of gzip's
	_, _ = z.Write(plain)                          // into memory: cannot fail
	_ = z.Close()
	return b.Bytes()
}

// columns writes rows in columns, which compress better and parse faster than objects.
func columns(rows []row, cursor string, failing int, at time.Time) []byte {
	b := make([]byte, 0, 200+110*len(rows))
	b = append(b, `{"at":`...)
	b = quoted(b, at.UTC().Format(time.RFC3339Nano))
	b = append(b, `,"cursor":`...)
	b = quoted(b, cursor)
	kinds, venues, firmwares := index{at: map[string]int{}}, index{at: map[string]int{}}, index{at: map[string]int{}}
	kindAt, venueAt, firmwareAt := make([]int, len(rows)), make([]int, len(rows)), make([]int, len(rows))
	for i, r := range rows {
		kindAt[i], venueAt[i], firmwareAt[i] = kinds.of(string(r.kind)), venues.of(r.venue), firmwares.of(r.firmware)
	}
	b = kinds.json(append(b, `,"kinds":`...))
	b = venues.json(append(b, `,"venues":`...))
	b = firmwares.json(append(b, `,"firmwares":`...))
	b = strconv.AppendInt(append(b, `,"failures_per_day":`...), int64(failing), 10)
	b = strconv.AppendInt(append(b, `,"n":`...), int64(len(rows)), 10)
	column := func(name string, each func(b []byte, i int) []byte) {
		b = append(b, `,"`...)
		b = append(b, name...)
		b = append(b, `":[`...)
		for i := range rows {
			if i > 0 {
				b = append(b, ',')
			}
			b = each(b, i)
		}
		b = append(b, ']')
	}
	number := func(name string, of func(i int) int64) {
		column(name, func(b []byte, i int) []byte { return strconv.AppendInt(b, of(i), 10) })
	}
	degrees := func(name string, of func(i int) int32) {
		column(name, func(b []byte, i int) []byte { return degree(b, rows[i].placed, of(i)) })
	}
	column("id", func(b []byte, i int) []byte { return quoted(b, string(rows[i].id)) })
	number("kind", func(i int) int64 { return int64(kindAt[i]) })
	number("venue", func(i int) int64 { return int64(venueAt[i]) })
	number("service", func(i int) int64 { return int64(rows[i].service) })
	number("state", func(i int) int64 { return int64(rows[i].state) })
	number("battery", func(i int) int64 { return int64(rows[i].battery) })
	degrees("lat", func(i int) int32 { return rows[i].lat })
	degrees("lng", func(i int) int32 { return rows[i].lng })
	number("heard", func(i int) int64 { return rows[i].heard })
	number("firmware", func(i int) int64 { return int64(firmwareAt[i]) })
	number("outlets", func(i int) int64 { return int64(rows[i].outlets) })
	number("orders", func(i int) int64 { return int64(rows[i].orders) })
	number("problems", func(i int) int64 { return int64(rows[i].problems) })
	number("failures", func(i int) int64 { return int64(rows[i].failures) })
	number("since", func(i int) int64 { return rows[i].since })
	return append(b, '}')
}

// json writes one row as an object with the columns' names. Kind, venue and firmware are words:
// the indexes of a snapshot are its own.
func (r row) json(b []byte) []byte {
	number := func(name string, n int64) {
		b = append(b, `,"`...)
		b = append(b, name...)
		b = strconv.AppendInt(append(b, `":`...), n, 10)
	}
	b = quoted(append(b, `{"id":`...), string(r.id))
	b = quoted(append(b, `,"kind":`...), string(r.kind))
	b = quoted(append(b, `,"venue":`...), r.venue)
	number("service", int64(r.service))
	number("state", int64(r.state))
	number("battery", int64(r.battery))
	b = degree(append(b, `,"lat":`...), r.placed, r.lat)
	b = degree(append(b, `,"lng":`...), r.placed, r.lng)
	number("heard", r.heard)
	b = quoted(append(b, `,"firmware":`...), r.firmware)
	number("outlets", int64(r.outlets))
	number("orders", int64(r.orders))
	number("problems", int64(r.problems))
	number("failures", int64(r.failures))
	number("since", r.since)
	return append(b, '}')
}

func degree(b []byte, known bool, n int32) []byte {
	if !known {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(n), 10)
}

// quoted writes a JSON string; ids need no escapes, and what does goes the long way.
func quoted(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			long, _ := json.Marshal(text) // a string: cannot fail
			return append(b, long...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// index numbers words in the order in which they come.
type index struct {
	words []string
	at    map[string]int
}

func (x *index) of(word string) int {
	i, known := x.at[word]
	if !known {
		i = len(x.words)
		x.at[word] = i
		x.words = append(x.words, word)
	}
	return i
}

func (x *index) json(b []byte) []byte {
	b = append(b, '[')
	for i, w := range x.words {
		if i > 0 {
			b = append(b, ',')
		}
		b = quoted(b, w)
	}
	return append(b, ']')
}

// pumpOf writes what the displays of a pump show.
func pumpOf(id device.ID, meters map[uint8]order.Live) []byte {
	type live struct {
		State string    `json:"state"`
		ML    int64     `json:"ml"`
		Fen   int64     `json:"fen"`
		At    time.Time `json:"at"`
	}
	type outlet struct {
		N    uint8 `json:"outlet"`
		Live live  `json:"live"`
	}
	p := struct {
		Device  device.ID `json:"device"`
		Outlets []outlet  `json:"outlets"`
	}{Device: id}
	for n, l := range meters {
		p.Outlets = append(p.Outlets, outlet{n, live{l.State, l.Millilitres, l.Fen, l.At}})
	}
	slices.SortFunc(p.Outlets, func(a, b outlet) int { return int(a.N) - int(b.N) })
	b, _ := json.Marshal(p) // of plain fields: cannot fail
	return b
}
