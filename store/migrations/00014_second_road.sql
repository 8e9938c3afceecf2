-- +goose NO TRANSACTION
-- +goose Up

-- Each statement by itself: together their locks could meet a reader that takes the
-- tables the other way round.

-- Whether a rider's phone can carry commands and words for a device, and whether an
-- order's may: '' = over the device's own connection alone.
ALTER TABLE devices ADD COLUMN IF NOT EXISTS bluetooth boolean NOT NULL DEFAULT false;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS road text NOT NULL DEFAULT '';
ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_road,
  ADD CONSTRAINT orders_road CHECK (road IN ('', 'bluetooth')) NOT VALID;
-- Under a lock that lets readers and writers through.
ALTER TABLE orders VALIDATE CONSTRAINT orders_road;
