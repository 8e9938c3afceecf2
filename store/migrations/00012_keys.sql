-- +goose Up

-- The server's key that each device is proved to accept, by its id in hex; '' = the
-- only one there is. rekey is how far its change to another one is.
ALTER TABLE devices ADD COLUMN server_key text NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN rekey jsonb;
