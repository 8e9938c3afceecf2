package live

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// city is a fleet of bikes whose rows cost nothing to read.
func city(n int) *town {
	t := newTown()
	for i := range n {
		r := bike(fmt.Sprintf("bike-%05d", i), "campus")
		lat, lng := 31+float64(i)*1e-5, 121+float64(i%700)*1e-5
		r.Lat, r.Lng, r.HeardAt = &lat, &lng, time.Now().Add(-time.Duration(i%500)*time.Second)
		t.rows[r.ID] = r
	}
	return t
}

// sums is a town whose reads of some look no further than those.
type sums struct{ *town }

func (s sums) FleetRows(ctx context.Context, ids []device.ID) ([]order.FleetRow, time.Time, error) {
	if ids == nil {
		return s.town.FleetRows(ctx, nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []order.FleetRow
	for _, id := range ids {
		all = append(all, s.rows[id])
	}
	return all, time.Now(), nil
}

// BenchmarkSnapshot writes 50,000 devices down, plain and compressed.
func BenchmarkSnapshot(b *testing.B) {
	h := begun(b, sums{city(50_000)})
	plain, small, err := h.Snapshot(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h.memory.written.at = time.Time{} // not the one of a moment ago
		if _, _, err := h.Snapshot(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(plain)), "bytes")
	b.ReportMetric(float64(len(small)), "gzip-bytes")
}

// BenchmarkTick takes in 125 changes of 50,000 devices, a quarter of a second of 500 a
// second, with 10 consoles that look, without the reading of the database.
func BenchmarkTick(b *testing.B) {
	town := sums{city(50_000)}
	h := begun(b, town)
	for range 10 {
		f, err := h.Follow(b.Context(), "", nil)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
	}
	round := 0
	for b.Loop() {
		round++
		for i := range 125 {
			id := device.ID(fmt.Sprintf("bike-%05d", (round*125+i)%50_000))
			town.mu.Lock()
			r := town.rows[id]
			r.HeardAt = r.HeardAt.Add(time.Second)
			town.rows[id] = r
			town.mu.Unlock()
			h.news.dirty(id)
		}
		if err := h.tick(b.Context(), h.memory, false, round%4 == 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(h.Size().Bytes)/float64(max(h.Size().Events, 1)), "bytes/event")
}

// BenchmarkMemory is what 50,000 devices take while somebody looks.
func BenchmarkMemory(b *testing.B) {
	town := sums{city(50_000)}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		h := begun(b, town)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if h.Size().Devices != 50_000 {
			b.Fatal("not all there")
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
}

// begun is a hub whose memory is there and whose loop the benchmark drives itself.
func begun(b *testing.B, f Fleet) *Hub {
	b.Helper()
	h, err := New(Config{Fleet: f, Updates: newTown()})
	if err != nil {
		b.Fatal(err)
	}
	if h.memory, err = h.load(b.Context()); err != nil {
		b.Fatal(err)
	}
	return h
}
