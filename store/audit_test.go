package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/store"
)

// corruptions spoil one row each, past every trigger and constraint, so that
// exactly the named view must fill. The database holds one settled, one voided
// and one live order of bikes, and one settled sale of fuel.
var corruptions = map[string]string{
	"audit_m1_resolution_fits_hold":        `UPDATE transfers SET credit = 'elsewhere' WHERE purpose = 'release'`,
	"audit_m2_balance_is_sum":              `UPDATE accounts SET posted = posted + 1 WHERE id LIKE 'wallet:%'`,
	"audit_m2_pass_is_its_uses":            `INSERT INTO rider_passes SELECT gen_random_uuid(), id, 'campus', 'lock', 'month', '{"price_fen": 0, "budget_ms": 9}', now(), now() + interval '1 day', 5, NULL, 'staff 1', now(), 1 FROM riders`,
	"audit_m3_within_limit":                `UPDATE accounts SET held = posted + 1 WHERE id LIKE 'wallet:%'; UPDATE transfers SET amount = (SELECT posted + 1 FROM accounts WHERE id LIKE 'wallet:%') WHERE kind = 'pending' AND id IN (SELECT hold_id FROM orders WHERE state = 'starting'); UPDATE orders SET hold_fen = (SELECT posted + 1 FROM accounts WHERE id LIKE 'wallet:%') WHERE state = 'starting'`,
	"audit_m4_hold_resolved_with_order":    `UPDATE orders SET hold_id = NULL, hold_fen = 0 WHERE state = 'voided'`,
	"audit_m5_one_capture_as_quoted":       `UPDATE orders SET charged = 1 WHERE state = 'voided'`,
	"audit_m5_close_is_its_entries":        `INSERT INTO close_entries VALUES ('day', gen_random_uuid(), gen_random_uuid())`,
	"audit_m6_start_has_order":             `UPDATE commands SET state = 'executed' WHERE state = 'rejected'`,
	"audit_m8_refunds_within_bill":         `UPDATE orders SET refunded = 1 WHERE state = 'settled'`,
	"audit_a1_one_execution_per_number":    `UPDATE evidence SET kind = 'executed', command_seq = 1 WHERE kind = 'ended' AND device LIKE 'bike%'`,
	"audit_a3_start_is_funded":             `UPDATE commands SET order_id = NULL WHERE state = 'published'`,
	"audit_a4_one_live_order":              `UPDATE outlets SET order_id = NULL`,
	"audit_a5_active_by_evidence":          `UPDATE evidence SET order_id = NULL WHERE kind IN ('executed', 'ended')`,
	"audit_a6_no_order_beside_open_start":  `UPDATE commands SET order_id = gen_random_uuid() WHERE state = 'published'`,
	"audit_a7_counters_grow":               `UPDATE evidence SET counters = '{"opens": 5}' WHERE kind = 'executed'`,
	"audit_a7_totaliser_continuous":        `UPDATE evidence SET counters = jsonb_set(counters, '{totaliser,1}', '400') WHERE device = 'pump-1' AND kind = 'executed'`,
	"audit_a7_totaliser_grows":             `UPDATE evidence SET counters = '{"totaliser": {"1": 499}}' WHERE device = 'pump-1' AND kind = 'alarm'`,
	"audit_a7_fuel_as_stated":              `UPDATE evidence SET counters = jsonb_set(counters, '{fen}', '1') WHERE device = 'pump-1' AND kind = 'ended'`,
	"audit_a3_authorised_before_start":     `UPDATE orders SET pay_with = 'prepay' WHERE state = 'settled' AND kind = 'lock'`,
	"audit_m7_ledger_is_what_wechat_moved": aPayment + `(gen_random_uuid(), 'transaction', 'topup', gen_random_uuid(), '', '', '', 'collecting', 5, 5, 0, 0, 0, false, NULL, NULL, '', '', '', 0, now(), '', 1)`,
	"audit_m8_paybacks_within_payment": aPayment + `('01900000-0000-7000-8000-0000000000f1', 'transaction', 'topup', gen_random_uuid(), '', '', '', 'open', 5, 0, 0, 0, 0, false, NULL, NULL, '', '', '', 0, now(), '', 1),
		(gen_random_uuid(), 'refund', 'payback', gen_random_uuid(), '', '', '', 'open', 5, 0, 0, 0, 0, false, '01900000-0000-7000-8000-0000000000f1', gen_random_uuid(), '', '', '', 0, now(), '', 1)`,
	"audit_m8_prepaid_goes_back": `INSERT INTO accounts SELECT 'prepaid:' || id, 5, 0, 1 FROM orders WHERE state = 'voided';
		INSERT INTO transfers SELECT gen_random_uuid(), 'single', 'elsewhere', 'prepaid:' || id, 5, 'prepay', NULL, NULL, '' FROM orders WHERE state = 'voided'`,
	"audit_e3_payment_history_is_a_path": aPayment + `(gen_random_uuid(), 'transaction', 'topup', gen_random_uuid(), '', '', '', 'open', 5, 0, 0, 0, 0, false, NULL, NULL, '', '', '', 0, now(), '', 1)`,
	"audit_e1_prefix_is_whole":           `DELETE FROM evidence WHERE kind = 'rejected'`,
	"audit_e3_history_is_a_path":         `DELETE FROM order_moves WHERE to_state = 'voided'`,
	"audit_e5_key_has_effect":            `UPDATE idempotency_keys SET order_id = gen_random_uuid() WHERE key = 'p1'`,
	"audit_s6_batch_is_whole":            aBatch + `SELECT FROM batch`,
	"audit_s6_binding_has_row": aBatch + `INSERT INTO codes (number, device, outlet, created_at, venue, batch, label)
		SELECT '12345678971552', o.device, o.n, now(), b.venue, b.id, 1 FROM batch b, (SELECT device, n FROM outlets ORDER BY device LIMIT 1) o`,
	"audit_s6_erased_is_gone":               `UPDATE riders SET erased_at = now()`,
	"audit_s6_act_has_row":                  `UPDATE orders SET ended_by = 'staff_ended' WHERE state = 'settled'`,
	"audit_a6_pause_and_its_start":          `UPDATE orders SET state = 'active', pause = '{"state": "paused"}' WHERE state = 'starting'`,
	"audit_m6_late_start_is_told":           `UPDATE commands SET done_at = now() + interval '1 hour' WHERE kind = 'start' AND state = 'executed'`,
	"audit_a4_reservation_keeps_its_outlet": aReservation + `'held', 'bike@1', 0, NULL, now(), now(), now() + interval '5 minutes', NULL, 1 FROM orders WHERE state = 'voided'`,
	"audit_m7_second_person": `INSERT INTO refund_requests (id, order_id, venue, amount, reason, staff, state, at, decided_at, decided_by)
		SELECT gen_random_uuid(), id, venue, 5, 'r', 'ann', 'approved', now(), now(), 'bob' FROM orders WHERE state = 'settled' LIMIT 1`,
	"audit_m5_reservation_is_billed_once": aReservation + `'used', 'bike@1', 5, id, now(), now() - interval '3 minutes', now(), now(), 1 FROM orders WHERE state = 'settled' AND kind = 'lock'`,
	"quote_recomputed":                    `UPDATE orders SET usage = jsonb_set(usage, '{billed_ms}', '600000') WHERE state = 'settled'`,
}

const aBatch = `WITH batch AS (INSERT INTO code_batches SELECT gen_random_uuid(), id, 1, '', 's', now() FROM venues ORDER BY id LIMIT 1
	RETURNING id, venue) `

const aReservation = `INSERT INTO reservations SELECT gen_random_uuid(), rider, venue, day, device, outlet, kind, `

const aPayment = `INSERT INTO payments (id, road, purpose, rider, venue, device, kind, state, amount, moved, back, backs, asked, late, of_id, hold_id, key, ref, last, tries, created_at, reason, version) VALUES `

// besides lists the views that a corruption cannot help filling as well.
var besides = map[string][]string{
	"audit_a3_start_is_funded":             {"audit_a6_no_order_beside_open_start"},
	"audit_a6_no_order_beside_open_start":  {"audit_a3_start_is_funded"},
	"audit_m4_hold_resolved_with_order":    {"audit_a3_start_is_funded"},
	"audit_a6_pause_and_its_start":         {"audit_e3_history_is_a_path", "audit_a5_active_by_evidence"},
	"audit_m7_ledger_is_what_wechat_moved": {"audit_e3_payment_history_is_a_path"},
	"audit_m8_paybacks_within_payment":     {"audit_e3_payment_history_is_a_path"},
}

func TestEachAuditViewSeesItsCorruptionAndOnlyIt(t *testing.T) {
	for view, spoil := range corruptions {
		t.Run(view, func(t *testing.T) {
			db, url := open(t)
			testkit.ThreeOrders(t, db)
			testkit.Sale(t, db, "pump-1", 2_000)
			if c := audit(t, db); len(c.Findings) != 0 {
				t.Fatalf("findings before the corruption: %+v", c.Findings)
			}
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			// The owner may switch triggers off and drop the constraints that would
			// refuse the corruption; the application's role may not.
			if _, err := conn.Exec(t.Context(), `SET session_replication_role = replica;
				ALTER TABLE accounts DROP CONSTRAINT accounts_wallet_covers;
				ALTER TABLE orders DROP CONSTRAINT orders_capture_within_hold, DROP CONSTRAINT orders_refund_within_bill;`+spoil); err != nil {
				t.Fatal(err)
			}
			var filled []string
			for _, f := range audit(t, db).Findings {
				if !slices.Contains(filled, f.View) && !slices.Contains(besides[view], f.View) {
					filled = append(filled, f.View)
				}
			}
			if !slices.Equal(filled, []string{view}) {
				t.Errorf("views that filled: %v, want only %s", filled, view)
			}
		})
	}
}

func TestEachAuditViewHasACorruption(t *testing.T) {
	db, _ := open(t)
	for _, view := range audit(t, db).Views {
		if corruptions[view] == "" {
			t.Errorf("no corruption is known for view %s", view)
		}
	}
}

func TestTheApplicationCannotChangeHistory(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, role := range []string{"SET ROLE unlatch_app", "RESET ROLE"} {
		for _, change := range []string{`UPDATE transfers SET amount = 1`, `DELETE FROM transfers`,
			`UPDATE order_moves SET by = 'x'`, `DELETE FROM order_moves`, `UPDATE audits SET reason = 'x'`, `DELETE FROM audits`} {
			if _, err := conn.Exec(t.Context(), role); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), change); err == nil {
				t.Errorf("%s as %s went through", change, role)
			}
		}
	}
}

func audit(t *testing.T, db *store.DB) store.Checked {
	t.Helper()
	c, err := db.Audit(t.Context(), func(string, int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
