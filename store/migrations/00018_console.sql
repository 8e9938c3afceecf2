-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, and what is there already stays: see 00013.

-- What staff note about a device for each other.
CREATE TABLE IF NOT EXISTS device_notes (
  id     uuid PRIMARY KEY,
  device text NOT NULL REFERENCES devices,
  staff  text NOT NULL,
  text   text NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
  at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS device_notes_device ON device_notes (device, id DESC);
GRANT SELECT, INSERT ON device_notes TO unlatch_app;

-- When a command left for the broker and when its answer was acked, for eyes only: rows
-- come late, in batches, and some are lost. They stay as long as their commands, which
-- have no timer. No reference: commands are written on the hot path.
CREATE TABLE IF NOT EXISTS command_hops (
  command   uuid PRIMARY KEY,
  handed_at timestamptz,
  acked_at  timestamptz
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE, DELETE ON command_hops TO unlatch_app;

-- Today's failed unlocks and the devices with an open item. Neither holds a row that a
-- start or a ride writes, but for the ones that fail.
-- Built beside writers. A build that broke off leaves an index that nobody may use, and
-- that IF NOT EXISTS would take for a whole one.
-- +goose StatementBegin
DO $$
DECLARE
  broken regclass;
BEGIN
  FOR broken IN SELECT indexrelid::regclass FROM pg_index
    WHERE NOT indisvalid AND indexrelid IN (to_regclass('orders_voided'), to_regclass('items_device')) LOOP
    EXECUTE format('DROP INDEX %s', broken);
  END LOOP;
END $$;
-- +goose StatementEnd
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_voided ON orders (day, device) WHERE state = 'voided';
CREATE INDEX CONCURRENTLY IF NOT EXISTS items_device ON items (device) WHERE closed_at IS NULL;

-- Whoever opens or closes an item, by whatever path, tells it through the outbox.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION item_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO updates (subject, payload) VALUES ('item.' || NEW.id, jsonb_build_object('id', NEW.id, 'kind', NEW.kind,
    'device', NEW.device, 'venue', NEW.venue, 'open', NEW.closed_at IS NULL));
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER items_opened AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION item_update();
CREATE OR REPLACE TRIGGER items_closed AFTER UPDATE OF closed_at ON items FOR EACH ROW
  WHEN (NEW.closed_at IS DISTINCT FROM OLD.closed_at) EXECUTE FUNCTION item_update();
