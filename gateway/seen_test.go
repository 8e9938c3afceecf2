package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
