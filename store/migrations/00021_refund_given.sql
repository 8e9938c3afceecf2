-- +goose Up

-- When the money of a request moved; NULL = it did not. A request is approved by that:
-- both are one transaction. The version before noted the approval first, so that what it
-- left behind may be approved and not given; until then such a request is open.
ALTER TABLE refund_requests ADD COLUMN IF NOT EXISTS given_at timestamptz;
UPDATE refund_requests r SET given_at = a.at FROM audits a
WHERE r.given_at IS NULL AND a.act = 'money.refund' AND a.after->>'request' = r.id::text;

-- One open request per order; of several the oldest stays, approved ones before others.
UPDATE refund_requests r SET state = 'declined', decided_at = now(), decided_by = 'upgrade', answer = 'another refund of this order was open'
FROM (SELECT id, row_number() OVER (PARTITION BY order_id ORDER BY state = 'waiting', at, id) AS n
  FROM refund_requests WHERE state = 'waiting' OR state = 'approved' AND given_at IS NULL) open
WHERE open.id = r.id AND open.n > 1;
CREATE UNIQUE INDEX IF NOT EXISTS refund_requests_open ON refund_requests (order_id)
  WHERE state = 'waiting' OR state = 'approved' AND given_at IS NULL;
DROP INDEX IF EXISTS refund_requests_waiting;

-- The audit row that names a request stands in the transaction that moves its money, in
-- either version. So the money of a request moves once, by another person than who asked,
-- before it is declined, or not at all: who comes late meets UL001 as at any stale row.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refund_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE refund_requests SET given_at = NEW.at, state = 'approved', decided_at = coalesce(decided_at, NEW.at),
    decided_by = CASE state WHEN 'waiting' THEN NEW.staff ELSE decided_by END
  WHERE id = (NEW.after->>'request')::uuid AND state IN ('waiting', 'approved') AND given_at IS NULL AND staff <> NEW.staff;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'stale refund request %', NEW.after->>'request' USING ERRCODE = 'UL001';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER audits_refund_given AFTER INSERT ON audits FOR EACH ROW
  WHEN (NEW.act = 'money.refund' AND NEW.after ? 'request') EXECUTE FUNCTION refund_given();
