-- +goose NO TRANSACTION
-- +goose Up

-- Statement by statement, and what is there already stays: see 00013.

-- What the operator may set while it runs; one row. See order.Preferences.
CREATE TABLE IF NOT EXISTS preferences (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  value   jsonb NOT NULL,
  version bigint NOT NULL
);

-- A condition that staff must know of, once per entry into it. See order.Alarm.
CREATE TABLE IF NOT EXISTS alarms (
  id            uuid PRIMARY KEY,
  kind          text NOT NULL,
  subject       text NOT NULL, -- unique together with kind while it is open
  device        text NOT NULL,
  venue         text NOT NULL,
  detail        text NOT NULL,
  raised_at     timestamptz NOT NULL,
  seen_at       timestamptz NOT NULL, -- when the condition last held
  times         integer NOT NULL CHECK (times > 0),
  acked_at      timestamptz,
  acked_by      text NOT NULL DEFAULT '',
  snoozed_until timestamptz,
  cleared_at    timestamptz,
  cleared_by    text NOT NULL DEFAULT '', -- '' = the condition ended
  comment       text NOT NULL DEFAULT '',
  version       bigint NOT NULL,
  CONSTRAINT alarms_acked CHECK ((acked_at IS NULL) = (acked_by = ''))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX IF NOT EXISTS alarms_open_once ON alarms (kind, subject) WHERE cleared_at IS NULL;
CREATE INDEX IF NOT EXISTS alarms_cleared ON alarms (cleared_at) WHERE cleared_at IS NOT NULL;

-- Whom to tell over HTTP, as Standard Webhooks has it.
CREATE TABLE IF NOT EXISTS webhooks (
  id         uuid PRIMARY KEY,
  label      text NOT NULL,
  url        text NOT NULL,
  events     text[] NOT NULL,
  secret     bytea NOT NULL CHECK (octet_length(secret) = 32),
  old_secret bytea,           -- signs too until old_until
  old_until  timestamptz,
  enabled    boolean NOT NULL,
  failing    integer NOT NULL DEFAULT 0, -- deliveries given up since one arrived
  strikes    integer NOT NULL DEFAULT 0, -- tries that failed since one arrived, those of one rest as one
  rest_until timestamptz,     -- nothing is tried before; NULL = its newest try arrived
  dropped    bigint NOT NULL DEFAULT 0, -- deliveries that waited in too long a queue, since it was last changed
  removed_at timestamptz,     -- staff see it no more; it goes once its deliveries are gone
  created_at timestamptz NOT NULL,
  version    bigint NOT NULL
);

-- Each event for each webhook: the outbox of the sender.
CREATE TABLE IF NOT EXISTS webhook_deliveries (
  id         uuid PRIMARY KEY,
  webhook    uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  event      uuid NOT NULL,  -- the same for every webhook and every replay
  type       text NOT NULL,
  body       jsonb NOT NULL,
  at         timestamptz NOT NULL,
  due_at     timestamptz,     -- of the next try; NULL = never again
  taken      boolean NOT NULL DEFAULT false, -- a try is under way until due_at
  tries      integer NOT NULL DEFAULT 0,
  status     integer NOT NULL DEFAULT 0, -- of the newest answer; 0 = none
  error      text NOT NULL DEFAULT '',
  done_at    timestamptz      -- it arrived
);
CREATE INDEX IF NOT EXISTS webhook_deliveries_due ON webhook_deliveries (webhook, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS webhook_deliveries_taken ON webhook_deliveries (webhook) WHERE taken;
CREATE INDEX IF NOT EXISTS webhook_deliveries_of ON webhook_deliveries (webhook, at DESC, id DESC);

-- One act on many devices. See order.Bulk.
CREATE TABLE IF NOT EXISTS bulks (
  id         uuid PRIMARY KEY,
  act        text NOT NULL,
  args       jsonb NOT NULL,
  filter     jsonb NOT NULL,
  reason     text NOT NULL,
  staff      text NOT NULL,
  venues     text[],          -- of who asked; NULL = all
  total      integer NOT NULL CHECK (total > 0),
  at         timestamptz NOT NULL,
  halted_at  timestamptz,
  halted_by  text NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS bulk_results (
  bulk    uuid NOT NULL REFERENCES bulks ON DELETE CASCADE,
  n       integer NOT NULL,
  device  text NOT NULL,
  state   text NOT NULL CHECK (state IN ('waiting', 'doing', 'done', 'failed', 'halted')),
  code    text NOT NULL DEFAULT '', -- of the problem
  detail  text NOT NULL DEFAULT '',
  at      timestamptz,
  PRIMARY KEY (bulk, n)
);
CREATE INDEX IF NOT EXISTS bulk_results_waiting ON bulk_results (bulk, n) WHERE state IN ('waiting', 'doing');

-- A refund that one person may not give alone.
CREATE TABLE IF NOT EXISTS refund_requests (
  id         uuid PRIMARY KEY,
  order_id   uuid NOT NULL REFERENCES orders,
  venue      text NOT NULL,
  amount     bigint NOT NULL CHECK (amount > 0),
  reason     text NOT NULL,
  staff      text NOT NULL,
  state      text NOT NULL CHECK (state IN ('waiting', 'approved', 'declined')),
  at         timestamptz NOT NULL,
  decided_at timestamptz,
  decided_by text NOT NULL DEFAULT '',
  answer     text NOT NULL DEFAULT '', -- why it was declined
  CONSTRAINT refund_requests_two CHECK (state <> 'approved' OR decided_by <> staff),
  CONSTRAINT refund_requests_decided CHECK ((state = 'waiting') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS refund_requests_waiting ON refund_requests (order_id) WHERE state = 'waiting';

-- How often a code was scanned on a day of the installation's clock, and from how far.
CREATE TABLE IF NOT EXISTS scan_days (
  number  text NOT NULL,
  day     date NOT NULL,
  scans   integer NOT NULL,
  located integer NOT NULL, -- with the phone's position and the device's
  far     integer NOT NULL, -- of those, further away than 200 m
  far_m   bigint NOT NULL,  -- sum of their distances
  last_at timestamptz NOT NULL,
  PRIMARY KEY (number, day)
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS scan_days_day ON scan_days (day);

-- What an operator lays over a venue's map.
CREATE TABLE IF NOT EXISTS venue_maps (
  venue   text PRIMARY KEY REFERENCES venues,
  value   jsonb NOT NULL,
  image   bytea,
  type    text NOT NULL DEFAULT '',
  version bigint NOT NULL
);

ALTER TABLE items ADD COLUMN IF NOT EXISTS owner text NOT NULL DEFAULT '';

GRANT SELECT, INSERT, UPDATE, DELETE ON preferences, alarms, webhooks, webhook_deliveries, bulks, bulk_results, refund_requests,
  scan_days, venue_maps TO unlatch_app;
REVOKE DELETE ON refund_requests FROM unlatch_app;

-- A refund that needed two people was given by two: its money and its audit row are one
-- transaction, which names the request.
CREATE OR REPLACE VIEW audit_m7_second_person AS
SELECT r.id::text AS subject, CASE WHEN r.state = 'approved' AND a.staff IS NULL THEN 'approved, and nothing was given back'
    WHEN a.staff = r.staff THEN 'asked for and given by the same person' ELSE 'given back, and ' || r.state END AS what
FROM refund_requests r LEFT JOIN audits a ON a.act = 'money.refund' AND a.after->>'request' = r.id::text
WHERE CASE WHEN a.staff IS NULL THEN r.state = 'approved' ELSE r.state = 'declined' OR a.staff = r.staff END;
GRANT SELECT ON audit_m7_second_person TO unlatch_app;
