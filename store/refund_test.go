package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// TestRefundsOfTheVersionBeforeStayWhatTheyAre: what it gave is given, what it approved
// without giving is open, and of several open ones of an order the approved one stays.
func TestRefundsOfTheVersionBeforeStayWhatTheyAre(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	exec := func(sql string, args ...any) { t.Helper(); run(t, conn, sql, args...) }
	exec(`DROP TRIGGER audits_refund_given ON audits`)
	exec(`DROP INDEX refund_requests_open`)
	exec(`ALTER TABLE refund_requests DROP COLUMN given_at`)
	exec(`CREATE UNIQUE INDEX refund_requests_waiting ON refund_requests (order_id) WHERE state = 'waiting'`)
	exec(`DELETE FROM goose_db_version WHERE version_id >= 21`)
	exec(`SET session_replication_role = replica`) // their orders are not needed
	one, other := uuid.NewString(), uuid.NewString()
	ask := func(of, state string, minute int) (id string) {
		t.Helper()
		id = uuid.NewString()
		exec(`INSERT INTO refund_requests (id, order_id, venue, amount, reason, staff, state, at, decided_at, decided_by)
			VALUES ($1, $2, 'campus', 5, 'r', 'ann', $3, $4, CASE WHEN $3 <> 'waiting' THEN now() END, CASE WHEN $3 <> 'waiting' THEN 'bob' ELSE '' END)`,
			id, of, state, time.Date(2026, 11, 1, 8, minute, 0, 0, time.UTC))
		return id
	}
	given, left, behind, declined, waits := ask(one, "approved", 1), ask(one, "approved", 3), ask(one, "waiting", 2), ask(other, "declined", 1), ask(other, "waiting", 2)
	exec(`INSERT INTO audits (id, staff, act, object, reason, after, at) VALUES (gen_random_uuid(), 'bob', 'money.refund', 'o', 'r', jsonb_build_object('request', $1::text), now())`, given)
	if _, err := store.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]order.RefundState{given: order.RefundApproved, left: order.RefundApproved, behind: order.RefundDeclined,
		declined: order.RefundDeclined, waits: order.RefundWaiting} {
		r, err := db.RefundRequest(t.Context(), id)
		if err != nil || r.State != want || r.GivenAt.IsZero() == (id == given) {
			t.Errorf("asked at %v: %+v, %v; want it %s", r.At, r, err, want)
		}
	}
	rows, err := db.RefundRequests(t.Context(), order.RefundPage{State: order.RefundOpen, Limit: 10})
	if err != nil || len(rows) != 2 {
		t.Errorf("open: %+v, %v; want two", rows, err)
	}
}
