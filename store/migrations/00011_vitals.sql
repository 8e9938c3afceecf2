-- +goose Up

-- What the metrics count at each scrape is a small part of a table that grows for years.
CREATE INDEX orders_open ON orders (state) WHERE state IN ('pending', 'starting', 'unresolved', 'active', 'ended');
