-- +goose Up

-- Money that WeChat moves; see order.Payment. The row is also the outbox: at due_at
-- some replica takes the next step.
CREATE TABLE payments (
  id         uuid PRIMARY KEY,
  road       text NOT NULL CHECK (road IN ('transaction', 'score', 'refund')),
  purpose    text NOT NULL CHECK (purpose IN ('topup', 'order', 'payback')),
  rider      uuid NOT NULL,
  order_id   uuid REFERENCES orders DEFERRABLE INITIALLY DEFERRED,
  venue      text NOT NULL,
  device     text NOT NULL,
  kind       text NOT NULL,
  state      text NOT NULL CHECK (state IN ('created', 'open', 'confirmed', 'completing', 'collecting', 'closing', 'abnormal', 'paid', 'closed')),
  amount     bigint NOT NULL CHECK (amount > 0),
  moved      bigint NOT NULL,
  back       bigint NOT NULL,
  backs      integer NOT NULL,
  asked      bigint NOT NULL,
  late       boolean NOT NULL,
  of_id      uuid REFERENCES payments,
  hold_id    uuid,
  debits     jsonb NOT NULL DEFAULT '[]', -- the transactions by which a score order was collected
  debit      text NOT NULL DEFAULT '', -- of a refund: the one of them that it gives back
  key        text NOT NULL, -- a prepay_id, or a score order's package
  ref        text NOT NULL, -- WeChat's own id
  last       text NOT NULL,
  tries      integer NOT NULL,
  created_at timestamptz NOT NULL,
  billed_at  timestamptz,
  expires_at timestamptz,
  due_at     timestamptz,
  done_at    timestamptz,
  reason     text NOT NULL,
  version    bigint NOT NULL,
  CONSTRAINT payments_back_within_moved CHECK (back BETWEEN 0 AND moved),
  CONSTRAINT payments_refund_names_what_it_gives_back CHECK ((road = 'refund') = (of_id IS NOT NULL) AND (road = 'refund') = (hold_id IS NOT NULL)),
  CONSTRAINT payments_done CHECK ((state IN ('paid', 'closed')) = (done_at IS NOT NULL) AND (done_at IS NULL OR due_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX payments_due ON payments (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payments_order ON payments (order_id);
CREATE INDEX payments_rider ON payments (rider, id DESC);
CREATE INDEX payments_open ON payments (rider) WHERE state NOT IN ('paid', 'closed');
CREATE INDEX payments_of ON payments (of_id) WHERE of_id IS NOT NULL;
CREATE INDEX payments_done ON payments (done_at) WHERE done_at IS NOT NULL;

-- The history of payments; only ever added to.
CREATE TABLE payment_moves (
  payment_id uuid NOT NULL,
  n          integer NOT NULL, -- orders the history; grows with the payment's version
  at         timestamptz NOT NULL,
  from_state text NOT NULL,
  to_state   text NOT NULL,
  input      text NOT NULL,
  PRIMARY KEY (payment_id, n)
);
CREATE TRIGGER payment_moves_append_only BEFORE UPDATE OR DELETE ON payment_moves FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What is over stays over, where no program can forget it: money that moved is never
-- unmoved, and only signed money reopens what was closed.
-- +goose StatementBegin
CREATE FUNCTION payments_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'paid' AND (NEW.state <> 'paid' OR NEW.amount <> OLD.amount OR NEW.moved <> OLD.moved)
     OR OLD.state = 'closed' AND NEW.state NOT IN ('closed', 'paid') OR NEW.moved < OLD.moved THEN
    RAISE EXCEPTION 'payment % is over', OLD.id USING ERRCODE = 'UL003';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payments_legal BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION payments_legal();

-- Only one payment at a time may fund an order.
CREATE UNIQUE INDEX payments_one_funds_an_order ON payments (order_id)
  WHERE purpose = 'order' AND state IN ('created', 'open', 'confirmed', 'completing', 'collecting');

-- Not validated here: that would read the whole table under the strictest lock. The
-- next migration does it under a mild one.
ALTER TABLE orders DROP CONSTRAINT orders_pay_with_check,
  ADD CONSTRAINT orders_pay_with_check CHECK (pay_with IN ('wallet', 'prepay', 'pay_score', 'service')) NOT VALID,
  ADD COLUMN payment_id uuid;

-- Verified notifications, each fact once; dealt with after they were answered.
CREATE TABLE notices (
  id      uuid PRIMARY KEY,
  subject text NOT NULL, -- our number; of a score order with what was collected so far
  event   text NOT NULL, -- WeChat's event_type
  said    jsonb NOT NULL,
  at      timestamptz NOT NULL DEFAULT now(),
  due_at  timestamptz NOT NULL DEFAULT now(),
  tries   integer NOT NULL DEFAULT 0,
  done_at timestamptz,
  CONSTRAINT notices_once UNIQUE (subject, event)
);
CREATE INDEX notices_open ON notices (due_at) WHERE done_at IS NULL;

-- What riders are to be told, best effort.
CREATE TABLE messages (
  id       uuid PRIMARY KEY,
  rider    uuid NOT NULL,
  kind     text NOT NULL,
  order_id uuid,
  amount   bigint NOT NULL,
  at       timestamptz NOT NULL,
  due_at   timestamptz NOT NULL DEFAULT now(),
  tries    integer NOT NULL DEFAULT 0
);
CREATE INDEX messages_due ON messages (due_at);

-- Days whose bill was held against the ledger.
CREATE TABLE bill_days (
  day         text PRIMARY KEY CHECK (day ~ '^\d{4}-\d{2}-\d{2}$'), -- China time
  state       text NOT NULL CHECK (state IN ('waiting', 'matched', 'differs')),
  lines       integer NOT NULL,
  came_fen    bigint NOT NULL,
  went_fen    bigint NOT NULL,
  differences integer NOT NULL,
  tries       integer NOT NULL,
  due_at      timestamptz,
  at          timestamptz NOT NULL
);

-- What the bills said, line by line; ref is WeChat's own id.
CREATE TABLE bill_lines (
  back   boolean NOT NULL, -- a refund
  ref    text NOT NULL,
  day    text NOT NULL,
  number text NOT NULL, -- ours
  amount bigint NOT NULL,
  state  text NOT NULL, -- WeChat's word for it, when the bill was written
  at     timestamptz NOT NULL,
  PRIMARY KEY (back, ref)
);
CREATE INDEX bill_lines_day ON bill_lines (day);
CREATE INDEX bill_lines_number ON bill_lines (back, number);
CREATE INDEX payments_number ON payments (replace(id::text, '-', ''));

GRANT SELECT, INSERT, UPDATE ON bill_lines TO unlatch_app;
GRANT SELECT, INSERT ON payment_moves TO unlatch_app;
GRANT SELECT, INSERT, UPDATE ON payments, notices, bill_days TO unlatch_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON messages TO unlatch_app;

-- The audit knows what was prepaid, and the holds of refunds.

CREATE OR REPLACE VIEW audit_m2_balance_is_sum AS
WITH moved AS (
  SELECT credit AS id, amount AS posted, 0 AS held FROM transfers WHERE kind IN ('single', 'post')
  UNION ALL SELECT debit, -amount, 0 FROM transfers WHERE kind IN ('single', 'post')
  UNION ALL SELECT debit, 0, amount FROM transfers WHERE kind = 'pending'
  UNION ALL SELECT h.debit, 0, -h.amount FROM transfers r JOIN transfers h ON h.id = r.hold_id WHERE r.kind IN ('post', 'void')
), summed AS (
  SELECT id, sum(posted) AS posted, sum(held) AS held FROM moved
  WHERE id LIKE 'wallet:%' OR id LIKE 'receivable:%' OR id LIKE 'prepaid:%' GROUP BY id
)
SELECT coalesce(a.id, s.id) AS subject,
  format('balance %s held %s, transfers say %s held %s', a.posted, a.held, s.posted, s.held) AS what
FROM accounts a FULL JOIN summed s ON s.id = a.id
WHERE coalesce(a.posted, 0) <> coalesce(s.posted, 0) OR coalesce(a.held, 0) <> coalesce(s.held, 0);

CREATE OR REPLACE VIEW audit_m3_within_limit AS
SELECT id AS subject, format('posted %s held %s', posted, held) AS what FROM accounts
WHERE (id LIKE 'wallet:%' OR id LIKE 'prepaid:%') AND (held < 0 OR posted - held < 0)
  OR id LIKE 'receivable:%' AND (held <> 0 OR posted > 0);

CREATE OR REPLACE VIEW audit_m4_hold_resolved_with_order AS
SELECT o.id::text AS subject, CASE WHEN r.id IS NULL THEN 'terminal, and its hold is open'
  ELSE 'live, and its hold is resolved' END AS what
FROM orders o LEFT JOIN transfers r ON r.hold_id = o.hold_id AND r.kind IN ('post', 'void')
WHERE o.hold_id IS NOT NULL AND (o.state IN ('settled', 'voided')) <> (r.id IS NOT NULL)
UNION ALL
SELECT p.id::text, CASE WHEN r.id IS NULL THEN 'a refund that is done, and its hold is open'
  ELSE 'a refund that is not done, and its hold is resolved' END
FROM payments p LEFT JOIN transfers r ON r.hold_id = p.hold_id AND r.kind IN ('post', 'void')
WHERE p.hold_id IS NOT NULL AND ((p.state IN ('paid', 'closed')) <> (r.id IS NOT NULL)
  OR p.state = 'paid' AND r.kind = 'void' OR p.state = 'closed' AND r.kind = 'post')
UNION ALL
SELECT h.id::text, 'a hold that no order and no refund has' FROM transfers h LEFT JOIN orders o ON o.hold_id = h.id
WHERE h.kind = 'pending' AND o.id IS NULL AND NOT EXISTS (SELECT FROM payments p WHERE p.hold_id = h.id);

CREATE OR REPLACE VIEW audit_a3_start_is_funded AS
SELECT c.id::text AS subject, 'a start without an order, or whose order holds no money and is not free' AS what
FROM commands c LEFT JOIN orders o ON o.id = c.order_id
LEFT JOIN transfers h ON h.id = o.hold_id AND h.kind = 'pending' AND h.amount = o.hold_fen
WHERE c.kind = 'start' AND (o.id IS NULL OR o.pay_with <> 'service' AND h.id IS NULL
  AND ((o.tariff->>'ride_cap_fen')::bigint > 0 OR o.tariff ? 'grades'));

-- What WeChat moved for a payment is in the ledger, once, and nothing else is.
CREATE VIEW audit_m7_ledger_is_what_wechat_moved AS
WITH posted AS (
  SELECT split_part(t.key, '/', 1) AS id, sum(t.amount) AS amount FROM transfers t
  WHERE t.debit = 'wechat' AND t.kind = 'single' GROUP BY 1
  UNION ALL
  SELECT p.id::text, sum(t.amount) FROM transfers t JOIN payments p ON p.hold_id = t.hold_id
  WHERE t.credit = 'wechat' AND t.kind = 'post' GROUP BY 1
)
SELECT coalesce(p.id::text, m.id) AS subject,
  format('%s fen moved as WeChat says, %s as the ledger does', coalesce(p.moved, 0), coalesce(m.amount, 0)) AS what
FROM payments p FULL JOIN posted m ON m.id = p.id::text
WHERE coalesce(p.moved, 0) <> coalesce(m.amount, 0);

-- What was given back of a payment is the sum of its refunds that are not closed.
CREATE VIEW audit_m8_paybacks_within_payment AS
SELECT p.id::text AS subject, format('%s fen back of %s, its refunds come to %s', p.back, p.moved, coalesce(r.amount, 0)) AS what
FROM payments p LEFT JOIN (SELECT of_id, sum(amount) AS amount FROM payments WHERE road = 'refund' AND state <> 'closed' GROUP BY of_id) r
  ON r.of_id = p.id
WHERE p.back <> coalesce(r.amount, 0) OR p.back > p.moved;

-- An order that pays with WeChat starts only once its money is there.
CREATE VIEW audit_a3_authorised_before_start AS
SELECT o.id::text AS subject, format('%s, and its payment is %s', o.state, coalesce(p.state, 'none')) AS what
FROM orders o LEFT JOIN payments p ON p.id = o.payment_id
WHERE o.pay_with IN ('prepay', 'pay_score') AND o.hold_id IS NOT NULL AND o.state NOT IN ('pending', 'voided')
  AND (p.id IS NULL OR p.road = 'transaction' AND p.state <> 'paid'
    OR p.road = 'score' AND (p.state IN ('created', 'open') OR o.state <> 'settled' AND p.state <> 'confirmed'));

-- What a rider paid for one order is captured or goes back: nothing of it stays behind
-- once the order is over and nobody collects any more.
CREATE VIEW audit_m8_prepaid_goes_back AS
SELECT o.id::text AS subject, format('%s fen that were prepaid are neither captured nor on their way back', a.posted - a.held) AS what
FROM accounts a JOIN orders o ON a.id = 'prepaid:' || o.id
WHERE a.posted - a.held > 0 AND o.state IN ('settled', 'voided')
  AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.state IN ('completing', 'collecting'));

-- A payment's history is a path that ends where the payment stands.
CREATE VIEW audit_e3_payment_history_is_a_path AS
WITH steps AS (
  SELECT payment_id, from_state, to_state, lag(to_state) OVER w AS before,
    row_number() OVER (PARTITION BY payment_id ORDER BY n DESC) AS last
  FROM payment_moves WINDOW w AS (PARTITION BY payment_id ORDER BY n)
)
SELECT payment_id::text AS subject, format('goes from %s, after %s', from_state, before) AS what FROM steps WHERE from_state <> coalesce(before, '')
UNION ALL
SELECT p.id::text, format('in state %s, its history ends in %s', p.state, s.to_state)
FROM payments p LEFT JOIN steps s ON s.payment_id = p.id AND s.last = 1 WHERE s.to_state IS DISTINCT FROM p.state;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO unlatch_app;
