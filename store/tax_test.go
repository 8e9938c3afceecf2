package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

func (s *station) taxRows(from, to time.Time) []order.TaxRow {
	s.t.Helper()
	var rows []order.TaxRow
	if err := s.db.TaxRows(s.t.Context(), stationID, from, to, func(r order.TaxRow) error { rows = append(rows, r); return nil }); err != nil {
		s.t.Fatal(err)
	}
	return rows
}

func TestTaxRowsAreTheBilledSalesAndTheRefunds(t *testing.T) {
	s := newStation(t)
	p := s.pump("pump-1", oneSide)
	ann := s.rider(900_00)
	begun := time.Now().Add(-time.Second)
	above := p.ends(p.order(ann, 1, billing.Preset{Grade: "92", Amount: 200_00}), 1, 25_500)
	p.ends(p.order(ann, 1, billing.Preset{Grade: "92", Amount: 200_00}), 1, 0) // nothing flowed
	p.ends(p.order("staff:s1", 1, billing.Preset{Grade: "95", Millilitres: 5_000}), 2, 5_000)
	doubt := p.ends(p.order(ann, 1, billing.Preset{Grade: "95", Amount: 100_00}), 2, 10_000, dearer)
	who := s.audit("order.decide")
	if _, err := s.svc.Act(t.Context(), order.Act{Order: doubt.ID, Input: order.Decide, Amount: 0, Staff: &who}); err != nil {
		t.Fatal(err)
	}
	s.refund(above, 50_00)
	s.refund(above, 1)
	want := []order.TaxRow{
		{Order: above.ID, Device: "pump-1", Outlet: 1, Grade: stationFuel.Grades[0], Millilitres: 25_500, Amount: 200_00, Off: 18},
		{Order: doubt.ID, Device: "pump-1", Outlet: 1, Grade: stationFuel.Grades[1], Millilitres: 10_000, Amount: 0, Off: 83_91},
		{Order: above.ID, Refund: true, Device: "pump-1", Outlet: 1, Grade: stationFuel.Grades[0], Amount: -50_00},
		{Order: above.ID, Refund: true, Device: "pump-1", Outlet: 1, Grade: stationFuel.Grades[0], Amount: -1},
	}
	got := s.taxRows(begun, time.Now().Add(time.Minute))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(order.TaxRow{}, "At")); diff != "" {
		t.Fatalf("rows (-want +got):\n%s", diff)
	}
	settled := s.order(above.ID).DoneAt
	if !got[0].At.Equal(settled) {
		t.Errorf("the sale is of %v, settled at %v", got[0].At, settled)
	}
	// Included, excluded.
	if rows := s.taxRows(settled, settled.Add(time.Microsecond)); len(rows) != 1 {
		t.Errorf("rows of its very moment: %d, want 1", len(rows))
	}
	if rows := s.taxRows(begun, settled); len(rows) != 0 {
		t.Errorf("rows up to its moment: %d, want none", len(rows))
	}
	// The reader may end it.
	stop, n := errors.New("enough"), 0
	err := s.db.TaxRows(t.Context(), stationID, begun, time.Now().Add(time.Minute), func(order.TaxRow) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("after %d rows: %v, want one and its own error", n, err)
	}
}
