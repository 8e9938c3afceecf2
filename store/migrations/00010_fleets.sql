-- +goose Up

-- Opening hours in OpenStreetMap's syntax, '' = always; the area as an array of
-- polygons of rings of {"Lat", "Lng"}, NULL = none.
ALTER TABLE venues ADD COLUMN opening_hours text NOT NULL DEFAULT '';
ALTER TABLE venues ADD COLUMN geofence jsonb;

-- Riders may be in one group; tariffs and passes may be for one. '' = everybody.
ALTER TABLE riders ADD COLUMN rider_group text NOT NULL DEFAULT '' CHECK (rider_group ~ '^[A-Za-z0-9_-]{0,32}$');
ALTER TABLE tariffs ADD COLUMN rider_group text NOT NULL DEFAULT '' CHECK (rider_group ~ '^[A-Za-z0-9_-]{0,32}$');
DROP INDEX tariffs_in_force;
CREATE INDEX tariffs_in_force ON tariffs (venue, kind, rider_group, effective_at DESC);

-- What riders may buy for a while. Rows are only inserted: the newest version of an
-- id is on offer, and held passes keep theirs.
CREATE TABLE passes (
  id          text NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{1,32}$'),
  version     integer NOT NULL CHECK (version > 0),
  venue       text NOT NULL REFERENCES venues,
  kind        text NOT NULL,
  rider_group text NOT NULL DEFAULT '' CHECK (rider_group ~ '^[A-Za-z0-9_-]{0,32}$'),
  on_sale     boolean NOT NULL,
  terms       jsonb NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, version)
);
CREATE TRIGGER passes_fixed BEFORE UPDATE OR DELETE ON passes FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE rider_passes (
  id         uuid PRIMARY KEY,
  rider      uuid NOT NULL REFERENCES riders,
  venue      text NOT NULL,
  kind       text NOT NULL,
  pass       text NOT NULL,
  terms      jsonb NOT NULL,
  from_at    timestamptz NOT NULL,
  until_at   timestamptz NOT NULL,
  drawn      bigint NOT NULL CHECK (drawn >= 0), -- ms of the budget
  revoked_at timestamptz,
  by         text NOT NULL,
  at         timestamptz NOT NULL,
  version    bigint NOT NULL,
  CONSTRAINT rider_passes_budget CHECK (drawn <= coalesce((terms->>'budget_ms')::bigint, 0)),
  CONSTRAINT rider_passes_span CHECK (until_at > from_at)
) WITH (fillfactor = 80);
CREATE INDEX rider_passes_rider ON rider_passes (rider, until_at);
GRANT SELECT, INSERT ON passes TO unlatch_app;
GRANT SELECT, INSERT, UPDATE ON rider_passes TO unlatch_app;

ALTER TABLE orders ADD COLUMN pass_id uuid;
CREATE INDEX orders_pass ON orders (pass_id) WHERE pass_id IS NOT NULL;

-- A pass may fund a start in place of a hold.
CREATE OR REPLACE VIEW audit_a3_start_is_funded AS
SELECT c.id::text AS subject, 'a start without an order, or whose order holds no money and is not free' AS what
FROM commands c LEFT JOIN orders o ON o.id = c.order_id
LEFT JOIN transfers h ON h.id = o.hold_id AND h.kind = 'pending' AND h.amount = o.hold_fen
LEFT JOIN rider_passes p ON p.id = o.pass_id AND p.rider::text = o.rider AND p.venue = o.venue AND p.kind = o.kind
  AND p.from_at <= o.created_at AND p.until_at > o.created_at AND (p.revoked_at IS NULL OR p.revoked_at > o.created_at)
  AND o.hold_fen = 0
WHERE c.kind = 'start' AND (o.id IS NULL OR o.pay_with <> 'service' AND h.id IS NULL AND p.id IS NULL
  AND ((o.tariff->>'ride_cap_fen')::bigint > 0 OR o.tariff ? 'grades'));

-- What uses took of a pass's budget is what the pass says was taken, and it was paid
-- for, once, unless staff gave it.
CREATE VIEW audit_m2_pass_is_its_uses AS
SELECT p.id::text AS subject, format('%s ms drawn, its uses say %s', p.drawn, coalesce(u.drawn, 0)) AS what
FROM rider_passes p LEFT JOIN (
  SELECT pass_id, sum((usage->'pass'->>'drawn_ms')::bigint) AS drawn FROM orders
  WHERE pass_id IS NOT NULL AND usage ? 'pass' GROUP BY pass_id) u ON u.pass_id = p.id
WHERE p.drawn <> coalesce(u.drawn, 0)
UNION ALL
SELECT p.id::text, 'bought, and not paid for' FROM rider_passes p
LEFT JOIN transfers t ON t.purpose = 'pass' AND t.key = p.id::text AND t.debit = 'wallet:' || p.rider
  AND t.amount = (p.terms->>'price_fen')::bigint
WHERE p.by LIKE 'rider%' AND (p.terms->>'price_fen')::bigint > 0 AND t.id IS NULL
UNION ALL
SELECT t.id::text, 'a payment for no pass' FROM transfers t LEFT JOIN rider_passes p ON p.id::text = t.key
WHERE t.purpose = 'pass' AND p.id IS NULL;

GRANT SELECT ON audit_m2_pass_is_its_uses TO unlatch_app;
