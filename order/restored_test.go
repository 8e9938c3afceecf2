package order_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// takenIn does to bike-1 what taking in a restored database does to every device.
func (s *scene) takenIn() {
	s.Helper()
	d, out := s.store.Devices()[0], s.outlet("bike-1")
	d.Head, d.Sample, out.Block = device.Head{}, device.Sample{}, device.AwaitClosed
	if err := s.store.Apply(context.Background(), order.Changes{Devices: []device.Device{d}, Outlets: []device.Outlet{out}}); err != nil {
		s.Fatal(err)
	}
}

// TestAfterARestoreEvidenceAloneFreesNothing: the lock replays the uses that the backup
// does not know. That one of them ended says nothing of the next.
func TestAfterARestoreEvidenceAloneFreesNothing(t *testing.T) {
	s := ready(t)
	s.takenIn()
	l := s.locks["bike-1"]
	unknown := func(last uint64, closed bool, kind device.EvidenceKind) order.Hear {
		s.pass(time.Second)
		l.last, l.closed = last, closed
		return l.piece(kind, func(e *device.Evidence) {
			e.Order, e.CommandID = "01900000-0000-7000-8000-00000000ffff", "01900000-0000-7000-8000-00000000fffe"
			e.CommandSeq = last
		})
	}
	first, ended, second := unknown(40, false, device.SeenExecuted), unknown(40, true, device.SaidEnded), unknown(41, false, device.SeenExecuted)
	if h := s.hear(first, ended); h.Quarantined != 1 || h.Ack == nil {
		t.Errorf("evidence of an unknown order: %+v, want quarantined and acked", h)
	}
	if d := s.store.Devices()[0]; d.Contactable(s.now) {
		t.Error("old evidence alone makes the lock contactable")
	}
	if out := s.outlet("bike-1"); out.Block != device.AwaitClosed {
		t.Errorf("a use that ended long ago freed the outlet: %+v", out)
	}
	s.hear(l.beat())
	if out := s.outlet("bike-1"); out.Block != device.AwaitClosed || out.NextSeq != 42 {
		t.Errorf("after the beat: %+v, want blocked and 42 next", out)
	}
	s.hear(second)
	if _, err := s.svc.Place(t.Context(), s.placing()); !errors.Is(err, order.ErrOutletBlocked) {
		t.Errorf("a start while a rider whom nobody knows rides: %v, want ErrOutletBlocked", err)
	}
	s.hear(unknown(41, true, device.SaidEnded), l.beat())
	if _, c := s.place(); c.Seq != 42 {
		t.Errorf("the next start has number %d, want 42", c.Seq)
	}
	if orders := s.store.Orders(); len(orders) != 1 {
		t.Errorf("%d orders, want no other than the new one", len(orders))
	}
}

func TestWithoutRoomWhatWasAcceptedIsStillAnswered(t *testing.T) {
	full := false
	s := ready(t, func(c *order.ServiceConfig) { c.Full = func() bool { return full } })
	p := s.placing()
	first, err := s.svc.Place(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	full = true
	again, err := s.svc.Place(t.Context(), p)
	if err != nil || !again.Replayed || string(again.Answer) != string(first.Answer) {
		t.Errorf("the repeated request: %+v, %v", again, err)
	}
	l := s.locks["bike-1"]
	s.hear(l.opens(s.command(first.Order.Command)), l.closes(), l.beat())
	s.wants(first.Order.ID, order.Settled)
	before := len(s.store.Orders())
	if _, err := s.svc.Place(t.Context(), s.placing()); !errors.Is(err, order.ErrFull) || len(s.store.Orders()) != before {
		t.Errorf("a new order: %v, %d orders; want ErrFull and %d", err, len(s.store.Orders()), before)
	}
	service := s.placing()
	service.PayWith, service.Staff = order.PayService, &staff
	if _, err := s.svc.Place(t.Context(), service); err != nil {
		t.Errorf("staff's own order: %v", err)
	}
}
