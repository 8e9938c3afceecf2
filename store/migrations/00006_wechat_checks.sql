-- +goose Up

-- In a transaction of its own: together with the one on orders the lock on accounts
-- could meet a reader that takes the two the other way round.
ALTER TABLE accounts ADD CONSTRAINT accounts_prepaid_covers
  CHECK (id NOT LIKE 'prepaid:%' OR (held >= 0 AND posted - held >= 0)) NOT VALID;
