package store

import (
	"context"
	"fmt"
	"time"
)

// Retention says how long what is not of the books is kept. Orders, evidence, the
// ledger and the audit are kept for good.
type Retention struct {
	Positions time.Duration // of devices; 0: no history at all
	Logins    time.Duration // of riders and staff, and invites, after they expired or were revoked
	Keys      time.Duration // idempotency keys; those of live orders and open payments stay
	Notices   time.Duration // of WeChat, after they were dealt with
	Messages  time.Duration // that nobody could be told
	Photos    time.Duration // of faults, after they came

	Reservations time.Duration // after they began; receipts say what they cost
}

// DefaultRetention is 30 days, for what may have to be looked up again 90.
var DefaultRetention = Retention{Positions: 30 * day, Logins: 30 * day, Keys: 90 * day, Notices: 90 * day, Messages: 30 * day, Photos: 90 * day,
	Reservations: 30 * day}

const day = 24 * time.Hour

const (
	// watched is for how long it is kept how often codes were scanned, what webhooks were
	// told and what became of each device of a bulk.
	watched = 90 * day
	// alarmed is for how long an alarm is kept after its end.
	alarmed = 365 * day
)

// sweepBatch is how many rows one statement drops: no lock is held for long.
const sweepBatch = 1000

// Sweep drops what is past its time, in small steps. Any number of replicas may run it
// at once: rows go in the order in which they lie, so that who comes second waits and
// finds them gone. It returns how many rows went, by table.
func (db *DB) Sweep(ctx context.Context, r Retention) (map[string]int64, error) {
	gone := map[string]int64{}
	for _, s := range []struct {
		table string
		after time.Duration
		where string
	}{
		{"positions", r.Positions, `x.at <= now() - $1::interval`},
		{"rider_tokens", r.Logins, `least(x.expires_at, coalesce(x.revoked_at, x.expires_at)) <= now() - $1::interval`},
		{"ceremonies", 0, `x.expires_at <= now() - $1::interval`},
		{"invites", r.Logins, `x.expires_at <= now() - $1::interval`},
		{"logins", r.Logins, `least(x.expires_at, coalesce(x.revoked_at, x.expires_at)) <= now() - $1::interval`},
		{"idempotency_keys", r.Keys, `x.at <= now() - $1::interval
			AND NOT EXISTS (SELECT FROM orders o WHERE o.id = x.order_id AND o.state NOT IN ('settled', 'voided'))
			AND NOT EXISTS (SELECT FROM payments p WHERE p.state NOT IN ('paid', 'closed') AND x.principal = 'rider:' || p.rider)`},
		{"notices", r.Notices, `x.done_at <= now() - $1::interval`},
		{"messages", r.Messages, `x.at <= now() - $1::interval`},
		{"fault_photos", r.Photos, `x.at <= now() - $1::interval`},
		{"scan_days", watched, `x.last_at <= now() - $1::interval`},
		{"webhook_deliveries", watched, `x.due_at IS NULL AND x.at <= now() - $1::interval`},
		{"webhook_deliveries", 0, `x.webhook = ANY(ARRAY(SELECT w.id FROM webhooks w WHERE w.removed_at <= now() - $1::interval))`},
		{"webhooks", 0, `x.removed_at <= now() - $1::interval AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook = x.id)`},
		{"bulk_results", watched, `x.state NOT IN ('waiting', 'doing') AND x.at <= now() - $1::interval`},
		{"alarms", alarmed, `x.cleared_at <= now() - $1::interval`},
		{"reservations", r.Reservations, `x.created_at <= now() - $1::interval AND x.expires_at <= now()`},
	} {
		for {
			tag, err := db.pool.Exec(ctx, `DELETE FROM `+s.table+` WHERE ctid = ANY(ARRAY(SELECT x.ctid FROM `+s.table+` x WHERE `+s.where+`
				LIMIT $2))`, s.after, sweepBatch)
			if err != nil {
				return gone, fmt.Errorf("sweep %s: %w", s.table, err)
			}
			gone[s.table] += tag.RowsAffected()
			if tag.RowsAffected() < sweepBatch {
				break
			}
		}
	}
	return gone, nil
}
