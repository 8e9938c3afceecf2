package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// placed is a store of positions that keeps what it was given, or fails.
type placed struct {
	mu      sync.Mutex
	batches [][]order.DeviceAt
	fail    bool
}

func (p *placed) NotePositions(_ context.Context, told []order.DeviceAt, _ bool) ([]order.DeviceAt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail {
		return nil, errors.New("no database")
	}
	p.batches = append(p.batches, told)
	return told, nil
}

func (p *placed) count() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.batches {
		n += len(b)
	}
	return n
}

func (p *placed) fails(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = is
}

// tracking runs Tracks behind a LastSeen in a bubble.
func tracking(t *testing.T) (*LastSeen, *placed) {
	store := &placed{}
	k := &Tracks{Store: store, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = k.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return &LastSeen{Track: k}, store
}

func tells(lat, lng int32) wire.Telemetry {
	return wire.Telemetry{Position: &wire.Position{Lat: lat, Lng: lng}}
}

func TestAPositionIsWrittenWhenADeviceMovedAndAtMostOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, store := tracking(t)
		wants := func(what string, n int) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := store.count(); got != n {
				t.Errorf("%s: %d positions were written in all, want %d", what, got, n)
			}
		}
		seen.Telemetry("bike", tells(0, 0))
		wants("no fix", 0)
		seen.Telemetry("bike", tells(31_000_000, 121_000_000))
		wants("the first", 1)
		seen.Telemetry("bike", tells(31_100_000, 121_000_000))
		wants("ten kilometres within a minute", 1)
		time.Sleep(time.Minute)
		seen.Telemetry("bike", tells(31_000_010, 121_000_000))
		wants("a metre", 1)
		seen.Telemetry("bike", tells(31_100_000, 121_000_000))
		wants("ten kilometres a minute later", 2)
		at, said, ok := seen.Position("bike")
		if !ok || at != (order.Point{Lat: 31.1, Lng: 121}) || time.Since(said) > 3*time.Second {
			t.Errorf("it stands at %v, said %v, %v", at, said, ok)
		}
		if _, _, ok := seen.Position("nobody"); ok {
			t.Error("who never spoke stands somewhere")
		}
	})
}

func TestPositionsNeverHoldUpWhoBringsThemAndAreToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, store := tracking(t)
		store.fails(true)
		for i := range 3 * trackQueue { // far more than there is room for, at one moment
			seen.Telemetry(device.ID(fmt.Sprint("bike-", i)), tells(31_000_000, 121_000_000))
		}
		time.Sleep(10 * time.Second)
		store.fails(false)
		for i := range 3 { // what was dropped or failed is told again, within the minute
			seen.Telemetry(device.ID(fmt.Sprint("bike-", i*(3*trackQueue-1)/2)), tells(31_000_000, 121_000_000))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := store.count(); got != 3 {
			t.Errorf("%d positions were written, want 3", got)
		}
	})
}
