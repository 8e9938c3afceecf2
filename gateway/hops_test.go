package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// hopBook keeps what it is told, unless it fails.
type hopBook struct {
	mu      sync.Mutex
	batches [][]order.Hop
	fail    error
}

func (b *hopBook) NoteHops(_ context.Context, hops []order.Hop) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.batches = append(b.batches, hops)
	}
	return b.fail
}

func (b *hopBook) all() [][]order.Hop {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.batches)
}

func TestHopsAreWrittenInBatchesBehindTheCommandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &hopBook{}
		h := &Hops{Store: book, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = h.Run(ctx); close(done) }()
		for range hopBatch + 1 {
			h.Left(device.Command{ID: "c"})
		}
		h.Acked([]string{"c", "d"})
		synctest.Wait()
		if len(book.all()) != 0 {
			t.Fatal("written while the command was on its way")
		}
		time.Sleep(hopEvery + time.Millisecond)
		synctest.Wait()
		batches := book.all()
		if len(batches) != 2 || len(batches[0]) != hopBatch || len(batches[1]) != 3 {
			t.Fatalf("%d batches", len(batches))
		}
		last := batches[1]
		if last[0].Acked || !last[1].Acked || !last[2].Acked || last[2].Command != "d" || last[0].At.IsZero() {
			t.Errorf("written %+v", last)
		}
		h.Left(device.Command{ID: "e"}) // as the replica stops
		cancel()
		<-done
		batches = book.all()
		if n := len(batches); n != 3 || batches[2][0].Command != "e" || h.Lost.Load() != 0 {
			t.Errorf("%d batches, %d lost", n, h.Lost.Load())
		}
	})
}

func TestHopsThatCannotBeWrittenAreLostAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Hops{Store: &hopBook{fail: errors.New("away")}, Log: slog.New(slog.DiscardHandler)}
		for range hopQueue + 5 { // nobody writes yet, and nobody is held up
			h.Left(device.Command{ID: "c"})
		}
		if h.Lost.Load() != 5 {
			t.Errorf("%d lost of a full queue, want 5", h.Lost.Load())
		}
		if h.write(t.Context()) != 0 || h.Lost.Load() != 5+hopBatch {
			t.Errorf("%d lost, want the batch too", h.Lost.Load())
		}
	})
}

func TestAnAckIsNotedForTheCommandsWhoseAnswersItCovers(t *testing.T) {
	piece := func(kind device.EvidenceKind, seq uint64) *device.Evidence {
		return &device.Evidence{Kind: kind, Seq: seq, CommandID: "c"}
	}
	for _, c := range []struct {
		e    *device.Evidence
		want string
	}{{nil, ""}, {piece(device.SeenExecuted, 3), "c"}, {piece(device.SaidRejected, 2), "c"}, {piece(device.SaidFailed, 1), "c"},
		{piece(device.SeenExecuted, 4), ""}, // behind a gap
		{piece(device.SaidEnded, 2), ""}} {  // of the use, not of the command
		if got := answers(c.e, device.Ack{N: 3}); got != c.want {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
	a := acks{waiting: map[device.ID]pendingAck{}}
	for _, id := range []string{"", "c", "d"} {
		a.add("bike-1", 1, device.Ack{N: 1}, id)
	}
	for range 2 * mostAcked {
		a.add("bike-1", 1, device.Ack{N: 1}, "e")
	}
	if got := a.waiting["bike-1"].commands; len(got) != mostAcked || got[0] != "c" || got[1] != "d" {
		t.Errorf("noted for %v", got)
	}
}
