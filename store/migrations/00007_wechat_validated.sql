-- +goose Up

-- Under a lock that lets readers and writers through.
ALTER TABLE orders VALIDATE CONSTRAINT orders_pay_with_check;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_prepaid_covers;
