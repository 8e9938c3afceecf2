package api

import (
	"testing"
	"time"

	"github.com/unlatch/unlatch/order"
)

func TestAResumptionIsDueWhenItsStartIs(t *testing.T) {
	start := time.Date(2026, 3, 1, 4, 0, 15, 0, time.UTC)
	o := order.Order{State: order.Active, DueAt: start, Pause: &order.Pause{State: order.PauseResuming, Until: start.Add(10 * time.Minute)}}
	if n := nextOf(o); n.What != "wait_for_device" || n.DueAt == nil || !n.DueAt.Equal(start) {
		t.Errorf("resuming: %+v, want the start's deadline %v", n, start)
	}
	o.Pause = &order.Pause{State: order.PauseAsked, Until: start.Add(time.Minute)}
	if n := nextOf(o); n.DueAt == nil || !n.DueAt.Equal(o.Pause.Until) {
		t.Errorf("asked: %+v, want by when to close it, %v", n, o.Pause.Until)
	}
}
