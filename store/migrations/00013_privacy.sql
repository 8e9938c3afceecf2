-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, so that no two locks that programs take the other way round
-- are held at once; what is there already stays, so that it may be run again.

-- Where devices said that they are, for a while: see store.Retention. What was said
-- last is in devices.lat and lng, placed_at says when, by whoever said it.
CREATE TABLE IF NOT EXISTS positions (
  device text NOT NULL,
  at     timestamptz NOT NULL,
  lat    double precision NOT NULL CHECK (lat BETWEEN -90 AND 90), -- WGS-84 degrees
  lng    double precision NOT NULL CHECK (lng BETWEEN -180 AND 180),
  PRIMARY KEY (device, at)
);
CREATE INDEX IF NOT EXISTS positions_at ON positions (at);
ALTER TABLE devices ADD COLUMN IF NOT EXISTS placed_at timestamptz;
GRANT SELECT, INSERT, DELETE ON positions TO unlatch_app;

-- Dealt-with notifications go after their time.
GRANT DELETE ON notices TO unlatch_app;

-- openid_key: the key that mac and box are made with, '' = the one that follows from
-- the installation's secret. A rider who is erased has a random mac and an empty box.
ALTER TABLE riders ADD COLUMN IF NOT EXISTS openid_key text NOT NULL DEFAULT '' CHECK (openid_key ~ '^([0-9a-f]{16})?$');
ALTER TABLE riders ADD COLUMN IF NOT EXISTS erased_at timestamptz;
-- The key that new riders are written with. Who writes one holds this row, so that
-- nobody is written with the old key once it has changed.
INSERT INTO settings (name, value) VALUES ('identity_key', '') ON CONFLICT DO NOTHING;

-- An erased rider begins nothing any more. The lock makes an erasure and what begins
-- at the same time wait for each other; UL001 has the use case decide again.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rider_is_there() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  gone timestamptz;
BEGIN
  SELECT erased_at INTO gone FROM riders
    WHERE id = CASE WHEN NEW.rider::text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN NEW.rider::text::uuid END FOR KEY SHARE;
  IF gone IS NOT NULL THEN
    RAISE EXCEPTION 'stale rider' USING ERRCODE = 'UL001';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER orders_rider_is_there BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.pay_with <> 'service')
  EXECUTE FUNCTION rider_is_there();
CREATE OR REPLACE TRIGGER payments_rider_is_there BEFORE INSERT ON payments FOR EACH ROW WHEN (NEW.purpose <> 'payback')
  EXECUTE FUNCTION rider_is_there();
CREATE OR REPLACE TRIGGER rider_passes_rider_is_there BEFORE INSERT ON rider_passes FOR EACH ROW EXECUTE FUNCTION rider_is_there();

-- Who was erased cannot be found, cannot log in and uses nothing, and somebody asked
-- for it.
CREATE OR REPLACE VIEW audit_s6_erased_is_gone AS
SELECT r.id::text AS subject, CASE
    WHEN r.openid_box <> '' OR r.rider_group <> '' THEN 'was erased, and their identity or group is there'
    WHEN EXISTS (SELECT FROM rider_tokens t WHERE t.rider = r.id AND t.revoked_at IS NULL) THEN 'was erased, and a login of theirs is in force'
    WHEN NOT EXISTS (SELECT FROM audits a WHERE a.act = 'rider.erase' AND a.object = 'rider ' || r.id) THEN 'was erased without an audit row'
    ELSE 'was erased, and uses something' END AS what
FROM riders r WHERE r.erased_at IS NOT NULL AND (r.openid_box <> '' OR r.rider_group <> ''
  OR EXISTS (SELECT FROM rider_tokens t WHERE t.rider = r.id AND t.revoked_at IS NULL)
  OR EXISTS (SELECT FROM orders o WHERE o.rider = r.id::text AND o.state NOT IN ('settled', 'voided'))
  OR NOT EXISTS (SELECT FROM audits a WHERE a.act = 'rider.erase' AND a.object = 'rider ' || r.id));

GRANT SELECT ON audit_s6_erased_is_gone TO unlatch_app;
