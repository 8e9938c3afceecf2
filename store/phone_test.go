package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

// TestASpanOfTooManyOrdersIsRefused: a look reads so many and no more, and says what to do;
// of one device the same span is answered.
func TestASpanOfTooManyOrdersIsRefused(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	run(t, conn, `SET session_replication_role = replica`)
	run(t, conn, `INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('ticket', n::text, 'slot', 0, 'id',
			(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid))).*
		FROM orders o, generate_series(1, 5000) n WHERE o.device = 'bike-1'`)
	find := func(q order.RiderQuery) ([]order.RiderRow, error) {
		q.Limit = 10
		return db.FindRiders(t.Context(), q, hookAudit("rider.find"))
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if rows, err := find(order.RiderQuery{From: from, To: to}); !errors.Is(err, order.ErrTooMany) {
		t.Errorf("5,003 orders: %+v, %v", rows, err)
	}
	if rows, err := find(order.RiderQuery{From: from, To: to, Device: "bike-2"}); err != nil || len(rows) != 1 || rows[0].ID != testkit.Rider.ID {
		t.Errorf("of one device: %+v, %v", rows, err)
	}
	if rows, err := find(order.RiderQuery{From: from.Add(-8 * 24 * time.Hour), To: from}); err != nil || len(rows) != 0 {
		t.Errorf("before: %+v, %v", rows, err)
	}
}
