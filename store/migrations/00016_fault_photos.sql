-- +goose NO TRANSACTION
-- +goose Up

-- What riders photographed of a fault, as JPEG without any metadata; see
-- store.Retention for how long.
CREATE TABLE IF NOT EXISTS fault_photos (
  item  uuid PRIMARY KEY REFERENCES items (id) ON DELETE CASCADE,
  rider uuid NOT NULL,
  at    timestamptz NOT NULL DEFAULT now(),
  image bytea NOT NULL CHECK (length(image) BETWEEN 1 AND 2097152)
);
CREATE INDEX IF NOT EXISTS fault_photos_rider ON fault_photos (rider, at);
CREATE INDEX IF NOT EXISTS fault_photos_at ON fault_photos (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON fault_photos TO unlatch_app;
