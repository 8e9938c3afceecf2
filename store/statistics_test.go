package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

// TestStatisticsCountWhatWasMadeInTheirSpan: of three orders one is settled, one was
// refused by its device and one is under way; times and money are set by hand.
func TestStatisticsCountWhatWasMadeInTheirSpan(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	run(t, conn, `SET session_replication_role = replica`)
	run(t, conn, `UPDATE devices SET firmware = CASE id WHEN 'bike-2' THEN '2.0' ELSE '1.0' END`)
	// It took 700 ms to unlock, was used for ten minutes and cost two yuan, half of which went back.
	run(t, conn, `UPDATE orders SET active_at = (SELECT min(at) + interval '700 ms' FROM order_moves m WHERE m.order_id = orders.id AND m.to_state = 'starting'),
		charged = 200, hold_fen = 300, refunded = 100 WHERE device = 'bike-1'`)
	run(t, conn, `UPDATE orders SET ended_at = active_at + interval '10 minutes', done_at = active_at + interval '10 minutes' WHERE device = 'bike-1'`)
	run(t, conn, `UPDATE orders SET reason = 'jammed' WHERE device = 'bike-2'`)
	run(t, conn, `RESET session_replication_role`)
	var made time.Time
	var day string
	if err := conn.QueryRow(t.Context(), `SELECT min(created_at), min(day) FROM orders`).Scan(&made, &day); err != nil {
		t.Fatal(err)
	}
	ask := func(q order.StatisticsQuery) order.Statistics {
		t.Helper()
		s, err := db.Statistics(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	hour := order.StatisticsQuery{From: made.Add(-time.Minute), To: made.Add(time.Hour)}
	want := order.Statistics{
		Days:     []order.DayStatistics{{Day: day, Orders: 3, Settled: 1, Voided: 1, Billed: 200, Refunded: 100, Used: 10 * time.Minute}},
		Unlock:   []time.Duration{700 * time.Millisecond, 700 * time.Millisecond, 700 * time.Millisecond},
		Firmware: []order.FirmwareStatistics{{Firmware: "1.0", Devices: 2, Starts: 2}, {Firmware: "2.0", Devices: 1, Starts: 1, Failed: 1}},
		Reasons:  []order.Count{{What: "jammed", N: 1}},
		Outlets:  3, Used: 10 * time.Minute,
	}
	if diff := cmp.Diff(want, ask(hour)); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}
	for name, q := range map[string]order.StatisticsQuery{
		"another venue":    {Venue: "elsewhere", From: hour.From, To: hour.To},
		"another kind":     {Kind: device.Pump, From: hour.From, To: hour.To},
		"another span":     {From: made.Add(-72 * time.Hour), To: made.Add(-71 * time.Hour)},
		"the moment after": {From: made.Add(49 * time.Hour), To: made.Add(50 * time.Hour)},
	} {
		if s := ask(q); len(s.Days) != 0 || s.Unlock != nil || len(s.Firmware) != 0 || s.Used != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	// A span that begins in the middle of a use counts what is left of it.
	if s := ask(order.StatisticsQuery{From: made.Add(5 * time.Minute), To: made.Add(time.Hour)}); s.Used < 4*time.Minute || s.Used > 6*time.Minute || len(s.Days) != 0 {
		t.Errorf("from its middle on a use of ten minutes counts %v", s.Used)
	}
}
