-- +goose Up

-- What a venue sold of fuel in one shift or day, as it stood when somebody closed
-- it; never changed. See order.Close.
CREATE TABLE closes (
  id       uuid PRIMARY KEY,
  venue    text NOT NULL REFERENCES venues,
  period   text NOT NULL CHECK (period IN ('shift', 'day')),
  number   integer NOT NULL CHECK (number > 0),
  at       timestamptz NOT NULL,
  entries  bigint NOT NULL CHECK (entries >= 0),
  document jsonb NOT NULL,
  CONSTRAINT closes_number UNIQUE (venue, period, number)
);

-- Which close holds what. A time would not do: an order whose commit is in flight
-- while a close looks would fall between two of them. The close itself is written
-- last, when what it holds is known.
CREATE TABLE close_entries (
  period  text NOT NULL CHECK (period IN ('shift', 'day')),
  subject uuid NOT NULL, -- a settled order, or the transfer of a refund
  close   uuid NOT NULL REFERENCES closes DEFERRABLE INITIALLY DEFERRED,
  PRIMARY KEY (period, subject)
);
CREATE INDEX close_entries_close ON close_entries (close) INCLUDE (subject);

CREATE TRIGGER closes_append_only BEFORE UPDATE OR DELETE ON closes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER close_entries_append_only BEFORE UPDATE OR DELETE ON close_entries FOR EACH ROW EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON closes, close_entries TO unlatch_app;

-- Orders pass through "ended" within one commit but for those that wait for staff.
CREATE INDEX orders_sold ON orders (venue, done_at) INCLUDE (id) WHERE state = 'settled' AND usage ? 'fuel';
CREATE INDEX orders_undecided ON orders (venue) WHERE state = 'ended';
CREATE INDEX transfers_refunds ON transfers (id) WHERE purpose = 'refund';

-- A close counts exactly what its entries name.
CREATE VIEW audit_m5_close_is_its_entries AS
WITH held AS (
  SELECT e.close, e.period, count(*) AS entries, count(*) FILTER (WHERE o.id IS NULL AND t.id IS NULL) AS strangers,
    coalesce(sum((o.quote->>'total_fen')::bigint), 0) AS billed, coalesce(sum(t.amount), 0) AS refunded
  FROM close_entries e
  LEFT JOIN orders o ON o.id = e.subject AND o.state = 'settled'
  LEFT JOIN transfers t ON t.id = e.subject AND t.purpose = 'refund'
  GROUP BY e.close, e.period
)
SELECT coalesce(c.id, h.close)::text AS subject, CASE WHEN c.id IS NULL THEN format('%s entries of no close', h.entries)
  ELSE format('counts %s entries, %s fen billed and %s refunded; its entries are %s, %s and %s, %s of nothing', c.entries,
    c.document->>'billed_fen', c.document->>'refunded_fen', coalesce(h.entries, 0), coalesce(h.billed, 0),
    coalesce(h.refunded, 0), coalesce(h.strangers, 0)) END AS what
FROM closes c FULL JOIN held h ON h.close = c.id AND h.period = c.period
WHERE c.id IS NULL OR c.entries <> coalesce(h.entries, 0) OR h.strangers > 0
  OR (c.document->>'billed_fen')::bigint <> coalesce(h.billed, 0)
  OR (c.document->>'refunded_fen')::bigint <> coalesce(h.refunded, 0);

GRANT SELECT ON audit_m5_close_is_its_entries TO unlatch_app;
