-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, and what is there already stays: see 00013.

-- A lock's newest word on a start was that its bolt would not move; until it opens, or
-- staff put it into service again.
ALTER TABLE outlets ADD COLUMN IF NOT EXISTS jammed boolean NOT NULL DEFAULT false;

-- What orders and the audit know of before.
UPDATE outlets u SET jammed = true FROM devices d CROSS JOIN LATERAL (
  SELECT o.active_at, o.done_at FROM orders o WHERE o.device = d.id
    AND (o.active_at IS NOT NULL OR o.state = 'voided' AND (o.reason = 'jam' OR o.reason LIKE 'failed\_%'))
  ORDER BY o.id DESC LIMIT 1) last
WHERE u.device = d.id AND u.n = 1 AND d.kind = 'lock' AND d.service <> 'retired' AND last.active_at IS NULL AND NOT u.jammed
  AND NOT EXISTS (SELECT FROM audits a WHERE a.object = 'device ' || d.id AND a.act IN ('device.service', 'device.provision')
    AND a.at > last.done_at AND a.after->>'service' = 'in_service');

-- What staff did to one order is read with it.
-- +goose StatementBegin
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('audits_object')) THEN
    DROP INDEX audits_object; -- a build that broke off
  END IF;
END $$;
-- +goose StatementEnd
CREATE INDEX CONCURRENTLY IF NOT EXISTS audits_object ON audits (object);
