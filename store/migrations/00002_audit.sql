-- +goose Up

-- Each view must be empty; `unlatch audit` reads them all. Every row says in
-- `what` what is wrong with `subject`, for the promise that the view is named for.

CREATE VIEW audit_m1_resolution_fits_hold AS
SELECT r.id::text AS subject, 'resolves no hold, or one between other accounts, or more than was held' AS what
FROM transfers r LEFT JOIN transfers h ON h.id = r.hold_id AND h.kind = 'pending'
WHERE r.kind IN ('post', 'void')
  AND (h.id IS NULL OR h.debit <> r.debit OR h.credit <> r.credit OR r.amount > h.amount
       OR r.kind = 'void' AND r.amount <> h.amount);

CREATE VIEW audit_m2_balance_is_sum AS
WITH moved AS (
  SELECT credit AS id, amount AS posted, 0 AS held FROM transfers WHERE kind IN ('single', 'post')
  UNION ALL SELECT debit, -amount, 0 FROM transfers WHERE kind IN ('single', 'post')
  UNION ALL SELECT debit, 0, amount FROM transfers WHERE kind = 'pending'
  UNION ALL SELECT h.debit, 0, -h.amount FROM transfers r JOIN transfers h ON h.id = r.hold_id WHERE r.kind IN ('post', 'void')
), summed AS (
  SELECT id, sum(posted) AS posted, sum(held) AS held FROM moved
  WHERE id LIKE 'wallet:%' OR id LIKE 'receivable:%' GROUP BY id
)
SELECT coalesce(a.id, s.id) AS subject,
  format('balance %s held %s, transfers say %s held %s', a.posted, a.held, s.posted, s.held) AS what
FROM accounts a FULL JOIN summed s ON s.id = a.id
WHERE coalesce(a.posted, 0) <> coalesce(s.posted, 0) OR coalesce(a.held, 0) <> coalesce(s.held, 0);

CREATE VIEW audit_m3_within_limit AS
SELECT id AS subject, format('posted %s held %s', posted, held) AS what FROM accounts
WHERE id LIKE 'wallet:%' AND (held < 0 OR posted - held < 0) OR id LIKE 'receivable:%' AND (held <> 0 OR posted > 0);

CREATE VIEW audit_m4_hold_resolved_with_order AS
SELECT o.id::text AS subject, CASE WHEN r.id IS NULL THEN 'terminal, and its hold is open'
  ELSE 'live, and its hold is resolved' END AS what
FROM orders o LEFT JOIN transfers r ON r.hold_id = o.hold_id AND r.kind IN ('post', 'void')
WHERE o.hold_id IS NOT NULL AND (o.state IN ('settled', 'voided')) <> (r.id IS NOT NULL)
UNION ALL
SELECT h.id::text, 'a hold that no order has' FROM transfers h LEFT JOIN orders o ON o.hold_id = h.id
WHERE h.kind = 'pending' AND o.id IS NULL;

CREATE VIEW audit_m5_one_capture_as_quoted AS
SELECT o.id::text AS subject, format('charged %s and debt %s of a quote of %s, captured %s', o.charged, o.debt,
  o.quote->>'total_fen', coalesce(c.amount, 0)) AS what
FROM orders o LEFT JOIN transfers c ON c.order_id = o.id AND c.purpose = 'capture'
WHERE o.state = 'settled' AND (o.charged + o.debt <> (o.quote->>'total_fen')::bigint OR o.charged <> coalesce(c.amount, 0)
  OR o.charged > o.hold_fen)
  OR o.state = 'voided' AND (c.id IS NOT NULL OR o.charged + o.debt <> 0);

CREATE VIEW audit_m6_start_has_order AS
SELECT c.id::text AS subject, 'an executed start of an order that never became active, and no item says so' AS what
FROM commands c LEFT JOIN orders o ON o.id = c.order_id
WHERE c.kind = 'start' AND c.state = 'executed' AND (o.id IS NULL OR o.state NOT IN ('active', 'ended', 'settled')
  AND NOT EXISTS (SELECT FROM items i WHERE i.order_id = o.id AND i.kind = 'executed_after_void'));

CREATE VIEW audit_m8_refunds_within_bill AS
SELECT o.id::text AS subject, format('refunded %s of %s, transfers say %s', o.refunded, o.charged + o.debt, coalesce(r.amount, 0)) AS what
FROM orders o LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM transfers WHERE purpose = 'refund' GROUP BY order_id) r
  ON r.order_id = o.id
WHERE o.refunded <> coalesce(r.amount, 0) OR o.refunded > o.charged + o.debt;

CREATE VIEW audit_a1_one_execution_per_number AS
SELECT format('%s outlet %s epoch %s number %s', device, outlet, epoch, command_seq) AS subject,
  format('executed %s times', count(*)) AS what
FROM evidence WHERE kind = 'executed' AND command_seq > 0 GROUP BY device, outlet, epoch, command_seq HAVING count(*) > 1;

CREATE VIEW audit_a3_start_is_funded AS
SELECT c.id::text AS subject, 'a start without an order, or whose order holds no money and is not free' AS what
FROM commands c LEFT JOIN orders o ON o.id = c.order_id
LEFT JOIN transfers h ON h.id = o.hold_id AND h.kind = 'pending' AND h.amount = o.hold_fen
WHERE c.kind = 'start' AND (o.id IS NULL OR o.pay_with = 'wallet' AND h.id IS NULL AND (o.tariff->>'ride_cap_fen')::bigint > 0);

CREATE VIEW audit_a4_one_live_order AS
SELECT format('%s outlet %s', u.device, u.n) AS subject, format('the outlet names %s, the live order is %s', u.order_id, o.id) AS what
FROM outlets u FULL JOIN orders o ON o.device = u.device AND o.outlet = u.n
  AND o.state IN ('pending', 'starting', 'unresolved', 'active')
WHERE (u.device IS NOT NULL OR o.state IN ('pending', 'starting', 'unresolved', 'active'))
  AND u.order_id IS DISTINCT FROM o.id;

CREATE VIEW audit_a5_active_by_evidence AS
SELECT o.id::text AS subject, 'in state ' || o.state || ' without a piece of evidence that says so' AS what
FROM orders o WHERE o.state IN ('active', 'ended', 'settled') AND NOT EXISTS (
  SELECT FROM evidence e WHERE e.order_id = o.id AND e.kind IN ('executed', 'ended', 'interrupted') AND e.status = 'applied');

CREATE VIEW audit_a6_no_order_beside_open_start AS
SELECT c.id::text AS subject, format('open, and order %s is live on its outlet', o.id) AS what
FROM commands c JOIN orders o ON o.device = c.device AND o.outlet = c.outlet AND o.id <> c.order_id
  AND o.state IN ('pending', 'starting', 'unresolved', 'active')
WHERE c.kind = 'start' AND c.state IN ('published', 'unresolved');

CREATE VIEW audit_a7_counters_grow AS
SELECT format('%s journal %s number %s', device, encode(journal, 'hex'), seq) AS subject, format('opens fell from %s to %s', before, opens) AS what
FROM (SELECT device, journal, seq, (counters->>'opens')::bigint AS opens,
    lag((counters->>'opens')::bigint) OVER (PARTITION BY device, epoch, journal, outlet ORDER BY seq) AS before
  FROM evidence) e WHERE opens < before;

CREATE VIEW audit_e1_prefix_is_whole AS
SELECT d.id AS subject, format('applied up to %s, but %s pieces are kept', d.applied, count(e.seq)) AS what
FROM devices d LEFT JOIN evidence e ON e.device = d.id AND e.epoch = d.epoch AND e.journal = d.journal
  AND e.seq <= d.applied AND e.status <> 'waiting'
WHERE d.lost_up_to = 0 GROUP BY d.id HAVING count(e.seq) <> d.applied;

CREATE VIEW audit_e3_history_is_a_path AS
WITH steps AS (
  SELECT order_id, from_state, to_state,
    lag(to_state) OVER w AS before, row_number() OVER w AS step,
    row_number() OVER (PARTITION BY order_id ORDER BY n DESC) AS back
  FROM order_moves WINDOW w AS (PARTITION BY order_id ORDER BY n)
)
SELECT s.order_id::text AS subject, format('step %s goes from %s, after %s', step, from_state, before) AS what
FROM steps s WHERE from_state <> coalesce(before, '')
UNION ALL
SELECT o.id::text, format('in state %s, its history ends in %s', o.state, s.to_state)
FROM orders o LEFT JOIN steps s ON s.order_id = o.id AND s.back = 1 WHERE s.to_state IS DISTINCT FROM o.state;

CREATE VIEW audit_e5_key_has_effect AS
SELECT k.principal || ' ' || k.key AS subject, 'answers for an order that is not there' AS what
FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.order_id WHERE k.order_id IS NOT NULL AND o.id IS NULL;

CREATE VIEW audit_s6_act_has_row AS
SELECT o.id::text AS subject, 'ended, voided or unlocked by staff without an audit row' AS what FROM orders o
WHERE (o.ended_by = 'staff_ended' OR o.reason = 'given_up_by_staff' OR o.pay_with = 'service')
  AND NOT EXISTS (SELECT FROM audits a WHERE a.object = 'order ' || o.id);

GRANT SELECT ON ALL TABLES IN SCHEMA public TO unlatch_app;
