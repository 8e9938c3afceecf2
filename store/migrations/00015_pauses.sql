-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, and what is there already stays: see 00013.

-- How far the temporary lock of an order is; what the reservation costs that it used.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS pause jsonb;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS reserved jsonb;

-- For whom an outlet is kept. It lapses by the clock: nobody has to clear it.
ALTER TABLE outlets ADD COLUMN IF NOT EXISTS reservation_id uuid;
ALTER TABLE outlets ADD COLUMN IF NOT EXISTS reserved_for text;
ALTER TABLE outlets ADD COLUMN IF NOT EXISTS reserved_until timestamptz;

-- What is known of reservations for longer. One that is held and past expires_at has
-- expired; its row is told so when its rider makes the next, since one of a rider's is
-- open.
CREATE TABLE IF NOT EXISTS reservations (
  id         uuid PRIMARY KEY,
  rider      text NOT NULL,
  venue      text NOT NULL,
  day        text NOT NULL,
  device     text NOT NULL,
  outlet     smallint NOT NULL,
  kind       text NOT NULL,
  state      text NOT NULL CHECK (state IN ('held', 'used', 'cancelled', 'expired')),
  tariff     text NOT NULL,
  fee        bigint NOT NULL CHECK (fee >= 0), -- fen per minute begun beyond free_until
  order_id   uuid,
  created_at timestamptz NOT NULL,
  free_until timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  done_at    timestamptz,
  version    bigint NOT NULL,
  CONSTRAINT reservations_used_by_order CHECK ((state = 'used') = (order_id IS NOT NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS reservations_one_open ON reservations (rider) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS reservations_rider ON reservations (rider, id DESC);
CREATE INDEX IF NOT EXISTS reservations_created ON reservations (created_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON reservations TO unlatch_app;

-- Who was erased reserves nothing.
CREATE OR REPLACE TRIGGER reservations_rider_is_there BEFORE INSERT ON reservations FOR EACH ROW EXECUTE FUNCTION rider_is_there();

-- An order may have several starts, one after the other: a paused one has none that may
-- still move, one that is resuming has exactly its own.
CREATE OR REPLACE VIEW audit_a6_pause_and_its_start AS
SELECT o.id::text AS subject, format('its pause is %s, and its newest start is %s', o.pause->>'state', coalesce(c.state, 'none')) AS what
FROM orders o LEFT JOIN commands c ON c.id = o.command_id
WHERE o.state = 'active' AND o.pause IS NOT NULL
  AND (c.id IS NULL OR (o.pause->>'state' = 'resuming') <> (c.state IN ('published', 'unresolved')));

-- What opened after its order was over is told to staff.
CREATE OR REPLACE VIEW audit_m6_late_start_is_told AS
SELECT c.id::text AS subject, 'executed after its order was settled, and no item says so' AS what
FROM commands c JOIN orders o ON o.id = c.order_id
WHERE c.kind = 'start' AND c.state = 'executed' AND o.state = 'settled' AND c.done_at > o.done_at
  AND NOT EXISTS (SELECT FROM items i WHERE i.order_id = o.id AND i.kind = 'executed_after_void');

-- What is kept for a rider now is so by the outlet and by the reservation alike.
CREATE OR REPLACE VIEW audit_a4_reservation_keeps_its_outlet AS
SELECT r.id::text AS subject, format('held, and %s outlet %s is kept for reservation %s', r.device, r.outlet, coalesce(u.reservation_id::text, 'none')) AS what
FROM reservations r LEFT JOIN outlets u ON u.device = r.device AND u.n = r.outlet
WHERE r.state = 'held' AND r.expires_at > now()
  AND (u.reservation_id IS DISTINCT FROM r.id OR u.reserved_for IS DISTINCT FROM r.rider OR u.reserved_until IS DISTINCT FROM r.expires_at)
UNION ALL
SELECT format('%s outlet %s', u.device, u.n), 'kept for a reservation that is not held'
FROM outlets u LEFT JOIN reservations r ON r.id = u.reservation_id AND r.state = 'held'
WHERE u.reserved_until > now() AND r.id IS NULL;

-- A reservation is billed to the order that used it, at its own price, and to no other.
CREATE OR REPLACE VIEW audit_m5_reservation_is_billed_once AS
SELECT r.id::text AS subject, format('used by order %s, which bills %s', r.order_id, coalesce(o.reserved::text, 'nothing')) AS what
FROM reservations r LEFT JOIN orders o ON o.id = r.order_id
WHERE r.state = 'used' AND (o.id IS NULL OR o.rider <> r.rider OR o.device <> r.device
  OR coalesce((o.reserved->>'minutes')::bigint * (o.reserved->>'minute_fen')::bigint, 0)
    <> r.fee * greatest(ceil(floor(extract(epoch FROM r.done_at - r.free_until) * 1000) / 60000), 0))
UNION ALL
SELECT o.id::text, 'its bill does not say what its reservation costs' FROM orders o
WHERE o.state = 'settled' AND o.reserved IS DISTINCT FROM o.usage->'reserved';

GRANT SELECT ON audit_a6_pause_and_its_start, audit_m6_late_start_is_told, audit_a4_reservation_keeps_its_outlet,
  audit_m5_reservation_is_billed_once TO unlatch_app;
