-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, and what is there already stays: see 00013.

-- Since when a device is at its venue: members of that venue alone see nothing of before.
-- NULL = it never was elsewhere, as far as is known.
ALTER TABLE devices ADD COLUMN IF NOT EXISTS venue_since timestamptz;

-- Here and not in a program, so that the one of before notes it as well.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION device_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.venue_since := now();
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER devices_moved BEFORE UPDATE OF venue ON devices FOR EACH ROW
  WHEN (NEW.venue IS DISTINCT FROM OLD.venue) EXECUTE FUNCTION device_moved();

-- What the audit knows of moves before.
UPDATE devices d SET venue_since = a.at FROM (
  SELECT object, max(at) AS at FROM audits WHERE act = 'device.transfer' GROUP BY object) a
WHERE a.object = 'device ' || d.id AND d.venue_since IS NULL;

-- And what orders know: new keys may have moved a device, too.
UPDATE devices d SET venue_since = o.at FROM (
  SELECT o.device, max(coalesce(o.done_at, o.created_at)) AS at FROM orders o JOIN devices x ON x.id = o.device AND x.venue <> o.venue GROUP BY o.device) o
WHERE o.device = d.id AND (d.venue_since IS NULL OR d.venue_since < o.at);
