package live

// resync is the event that asks for a new snapshot.
const resync = "resync"

// entry is one event of the ring.
type entry struct {
	seq    uint64
	name   string
	venue  string  // whose it is; "" = everybody's
	data   []byte  // one line of JSON
	pieces []piece // of a device event: its rows, each of a venue; data has them all
	scoped bool    // it is only for those who do not see every venue
}

// piece is one row of an event.
type piece struct {
	venue string
	json  []byte
}

// join makes data of the pieces, which then share its memory.
func (e *entry) join() {
	size := 2
	for _, p := range e.pieces {
		size += len(p.json) + 1
	}
	b := append(make([]byte, 0, size), '[')
	for i := range e.pieces {
		if i > 0 {
			b = append(b, ',')
		}
		from := len(b)
		b = append(b, e.pieces[i].json...)
		e.pieces[i].json = b[from:len(b):len(b)]
	}
	e.data = append(b, ']')
}

// for whom filters an entry: nil data and false where nothing of it concerns the scope.
func (e entry) within(s Scope) ([]byte, bool) {
	switch {
	case e.scoped && (s == nil || !s[e.venue]):
		return nil, false
	case s == nil:
		return e.data, true
	case e.pieces == nil:
		return e.data, e.venue == "" && e.name == resync || s[e.venue]
	}
	b := []byte{'['}
	for _, p := range e.pieces {
		if s[p.venue] {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(b, p.json...)
		}
	}
	return append(b, ']'), len(b) > 1
}

// ring holds the newest entries, numbered without a gap.
type ring struct {
	most, mostBytes int
	entries         []entry
	next            uint64 // the number of the next entry
	bytes           int
}

func (r *ring) add(e entry) {
	e.seq = r.next
	r.next++
	r.entries = append(r.entries, e)
	r.bytes += e.size()
	drop := 0
	for left := len(r.entries); left > 1 && (left > r.most || r.bytes > r.mostBytes); left-- {
		r.bytes -= r.entries[drop].size()
		r.entries[drop] = entry{} // let go of its bytes
		drop++
	}
	r.entries = r.entries[drop:]
}

// size is about what an entry takes.
func (e entry) size() int { return len(e.data) + 48*len(e.pieces) + 120 }

// first is the number of the oldest entry that is there, next where none is.
func (r *ring) first() uint64 { return r.next - uint64(len(r.entries)) }

// since copies entries from a number on, most at a time. False: some of them are gone.
func (r *ring) since(seq uint64, most int) ([]entry, bool) {
	if seq < r.first() || seq > r.next {
		return nil, false
	}
	from := r.entries[seq-r.first():]
	return append([]entry(nil), from[:min(len(from), most)]...), true
}
