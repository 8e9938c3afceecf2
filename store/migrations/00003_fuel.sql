-- +goose Up

-- Which kinds there are is the program's to say: a new one needs no migration.
ALTER TABLE tariffs DROP CONSTRAINT tariffs_kind_check, ADD CONSTRAINT tariffs_kind_check CHECK (kind ~ '^[a-z]{1,16}$');
ALTER TABLE devices DROP CONSTRAINT devices_kind_check, ADD CONSTRAINT devices_kind_check CHECK (kind ~ '^[a-z]{1,16}$');

ALTER TABLE devices
  ADD COLUMN halt     jsonb, -- the emergency stop in force; see device.Halt
  ADD COLUMN told     bigint NOT NULL DEFAULT 0, -- the newest venue_stops.n that reached it
  ADD COLUMN display  boolean NOT NULL DEFAULT false,
  ADD COLUMN timed    bytea NOT NULL DEFAULT '\x0000000000000000' CHECK (octet_length(timed) = 8),
  ADD COLUMN timed_at timestamptz;

-- Grades and totalisers of an outlet's nozzles; see device.Meter.
ALTER TABLE outlets ADD COLUMN meter jsonb NOT NULL DEFAULT '{}';

ALTER TABLE orders
  ADD COLUMN class  text NOT NULL DEFAULT '' CHECK (class IN ('', 'printed', 'rotating')),
  ADD COLUMN preset jsonb NOT NULL DEFAULT '{}';

ALTER TABLE codes ADD COLUMN kiosk boolean NOT NULL DEFAULT false;
ALTER TABLE venues ADD COLUMN kiosk_only boolean NOT NULL DEFAULT false;

-- Emergency stops of a venue: in force until they have reached every device, and
-- from then on as devices.halt.
CREATE TABLE venue_stops (
  n          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id         uuid NOT NULL UNIQUE,
  venue      text NOT NULL REFERENCES venues,
  by         text NOT NULL,
  reason     text NOT NULL,
  at         timestamptz NOT NULL,
  reached_at timestamptz
);
CREATE INDEX venue_stops_in_force ON venue_stops (venue) WHERE reached_at IS NULL;
CREATE INDEX devices_halted ON devices (venue) WHERE halt IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON venue_stops TO unlatch_app;

CREATE OR REPLACE VIEW audit_a3_start_is_funded AS
SELECT c.id::text AS subject, 'a start without an order, or whose order holds no money and is not free' AS what
FROM commands c LEFT JOIN orders o ON o.id = c.order_id
LEFT JOIN transfers h ON h.id = o.hold_id AND h.kind = 'pending' AND h.amount = o.hold_fen
WHERE c.kind = 'start' AND (o.id IS NULL OR o.pay_with = 'wallet' AND h.id IS NULL
  AND ((o.tariff->>'ride_cap_fen')::bigint > 0 OR o.tariff ? 'grades'));

CREATE OR REPLACE VIEW audit_s6_act_has_row AS
SELECT o.id::text AS subject, 'ended, decided, voided or unlocked by staff without an audit row' AS what FROM orders o
WHERE (o.ended_by = 'staff_ended' OR o.reason = 'given_up_by_staff' OR o.pay_with = 'service' OR o.usage ? 'decided_fen')
  AND NOT EXISTS (SELECT FROM audits a WHERE a.object = 'order ' || o.id);

-- What a nozzle let through between two pieces of evidence belongs to a sale that
-- the later one ends, or to one whose end was lost and that was measured by the
-- totaliser. What staff closed as an item is not told for ever. Over a new
-- provisioning only an item tells: what meter hangs there now no table knows.
CREATE VIEW audit_a7_totaliser_continuous AS
WITH pieces AS (
  SELECT e.device, e.epoch, e.journal, e.outlet, e.seq, e.kind, e.order_id, e.status,
    coalesce((e.counters->>'ml')::numeric, 0) AS sold,
    (SELECT sum(t.value::numeric) FROM jsonb_each_text(e.counters->'totaliser') t) AS ml
  FROM evidence e
  WHERE e.kind IN ('executed', 'ended', 'interrupted') AND e.status <> 'waiting' AND e.counters ? 'totaliser'
), steps AS (
  SELECT p.*, lag(p.ml) OVER w AS from_ml, p.ml - lag(p.ml) OVER w AS moved, lag(p.order_id) OVER w AS before
  FROM pieces p WINDOW w AS (PARTITION BY device, epoch, journal, outlet ORDER BY seq)
)
SELECT format('%s outlet %s journal %s number %s', s.device, s.outlet, encode(s.journal, 'hex'), s.seq) AS subject,
  format('%s ml that no sale accounts for', s.moved - x.explained) AS what
FROM steps s LEFT JOIN orders o ON o.id = s.before AND s.kind = 'executed'
  AND o.ended_by = 'found_shut' AND o.usage->>'measured' = 'totaliser',
LATERAL (SELECT CASE WHEN s.kind <> 'executed' AND s.status = 'applied' THEN s.sold
  ELSE coalesce((o.usage->'fuel'->>'millilitres')::numeric, 0) END AS explained) x
WHERE s.moved <> x.explained AND NOT EXISTS (SELECT FROM items i WHERE i.kind = 'totaliser_gap' AND i.closed_at IS NOT NULL
  AND i.subject = format('%s/%s/%s/%s', s.device, s.epoch, s.outlet, s.from_ml));

CREATE VIEW audit_a7_totaliser_grows AS
SELECT format('%s outlet %s nozzle %s number %s', device, outlet, nozzle, seq) AS subject,
  format('fell from %s to %s ml', before, ml) AS what
FROM (SELECT e.device, e.outlet, e.seq, t.key AS nozzle, t.value::numeric AS ml,
    lag(t.value::numeric) OVER (PARTITION BY e.device, e.epoch, e.journal, e.outlet, t.key ORDER BY e.seq) AS before
  FROM evidence e, jsonb_each_text(e.counters->'totaliser') t) p
WHERE ml < before;

-- A bill for fuel copies what the pump stated, and never more than was held.
CREATE VIEW audit_a7_fuel_as_stated AS
SELECT o.id::text AS subject, format('billed %s ml and %s fen of a limit of %s, the pump stated %s ml and %s fen',
  o.usage->'fuel'->>'millilitres', o.quote->>'total_fen', o.hold_fen, e.counters->>'ml', e.counters->>'fen') AS what
FROM orders o JOIN evidence e ON e.order_id = o.id AND e.kind IN ('ended', 'interrupted') AND e.status = 'applied'
WHERE o.state = 'settled' AND o.usage->>'measured' = 'pump' AND NOT o.usage ? 'decided_fen'
  AND ((o.usage->'fuel'->>'millilitres')::bigint <> coalesce((e.counters->>'ml')::bigint, 0)
    OR (o.quote->>'total_fen')::bigint <> least(coalesce((e.counters->>'fen')::bigint, 0), o.hold_fen));

GRANT SELECT ON ALL TABLES IN SCHEMA public TO unlatch_app;
