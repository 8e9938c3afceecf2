package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// lastDocument is what every replica keeps, or why it cannot be read.
type lastDocument struct {
	document []byte
	err      error
}

func (l *lastDocument) SetLast(context.Context, string, []byte) error { return nil }
func (l *lastDocument) Last(context.Context, string) ([]byte, error)  { return l.document, l.err }

// TestWhatWasHeardBeforeIsKnownAtOnce: who begins to look needs no new telemetry.
func TestWhatWasHeardBeforeIsKnownAtOnce(t *testing.T) {
	l, percent := &LastSeen{}, uint8(64)
	l.Telemetry("bike-1", wire.Telemetry{Uptime: 1000, Battery: &percent})
	known := map[device.ID]order.Glimpse{}
	l.Known(func(id device.ID, g order.Glimpse) { known[id] = g })
	if g, ok := known["bike-1"]; len(known) != 1 || !ok || g.Battery == nil || *g.Battery != 64 {
		t.Errorf("known: %+v, want bike-1 with 64 percent", known)
	}
}

// TestFiguresThatAnotherReplicaMayHaveOvertakenAreNotShown: this one heard the pump
// when it was armed, another one hears it flow, and what that one keeps cannot be read.
func TestFiguresThatAnotherReplicaMayHaveOvertakenAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &lastDocument{}
		l := &LastSeen{Store: kept}
		l.Telemetry("pump-1", wire.Telemetry{Uptime: 1000, Meters: []wire.Meter{{Outlet: 1, State: wire.MeterAuthorised}}})
		if got := l.Live("pump-1")[1]; got.State != "authorised" {
			t.Fatalf("just heard: %+v", got)
		}
		time.Sleep(2 * time.Second)
		var err error
		if kept.document, err = json.Marshal(seenState{At: time.Now(), Meters: map[uint8]order.Live{1: {State: "fuelling", Millilitres: 5577}}}); err != nil {
			t.Fatal(err)
		}
		if got := l.Live("pump-1")[1]; got.Millilitres != 5577 {
			t.Errorf("what another one keeps: %+v, want 5577 ml", got)
		}
		kept.err = errors.New("too slow")
		if got, shown := l.Live("pump-1")[1]; shown {
			t.Errorf("it cannot be read, and %+v is shown: the display goes back", got)
		}
	})
}
