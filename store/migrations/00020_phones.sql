-- +goose Up

-- A rider's phone number, if they gave it: staff find them by it. Encrypted as the
-- identity is, under a key of its own name, so that an older binary that moves
-- identities leaves it alone.
ALTER TABLE riders ADD COLUMN IF NOT EXISTS phone_mac bytea;
ALTER TABLE riders ADD COLUMN IF NOT EXISTS phone_box bytea;
ALTER TABLE riders ADD COLUMN IF NOT EXISTS phone_key text;
CREATE INDEX IF NOT EXISTS riders_phone ON riders (phone_mac) WHERE phone_mac IS NOT NULL;
ALTER TABLE riders DROP CONSTRAINT IF EXISTS riders_phone_whole,
  ADD CONSTRAINT riders_phone_whole CHECK ((phone_mac IS NULL) = (phone_box IS NULL) AND (phone_mac IS NULL) = (phone_key IS NULL)
    AND (erased_at IS NULL OR phone_mac IS NULL)) NOT VALID;
ALTER TABLE riders VALIDATE CONSTRAINT riders_phone_whole;
