-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, and what is there already stays: see 00013.

-- A rider's phone number, if they gave it: staff find them by it. Encrypted as the
-- identity is, under a key of its own name, so that an older binary that moves
-- identities leaves it alone.
ALTER TABLE riders ADD COLUMN IF NOT EXISTS phone_mac bytea;
ALTER TABLE riders ADD COLUMN IF NOT EXISTS phone_box bytea;
ALTER TABLE riders ADD COLUMN IF NOT EXISTS phone_key text;
-- +goose StatementBegin
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('riders_phone')) THEN
    DROP INDEX riders_phone; -- a build that broke off
  END IF;
END $$;
-- +goose StatementEnd
CREATE INDEX CONCURRENTLY IF NOT EXISTS riders_phone ON riders (phone_mac) WHERE phone_mac IS NOT NULL;
ALTER TABLE riders DROP CONSTRAINT IF EXISTS riders_phone_whole,
  ADD CONSTRAINT riders_phone_whole CHECK ((phone_mac IS NULL) = (phone_box IS NULL) AND (phone_mac IS NULL) = (phone_key IS NULL)
    AND (erased_at IS NULL OR phone_mac IS NULL)) NOT VALID;
-- Under a lock that lets readers and writers through.
ALTER TABLE riders VALIDATE CONSTRAINT riders_phone_whole;
