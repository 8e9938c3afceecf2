-- +goose Up

-- The application works as unlatch_app, which cannot change what is history.
-- +goose StatementBegin
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unlatch_app') THEN
    CREATE ROLE unlatch_app NOLOGIN;
  END IF;
  EXECUTE format('GRANT unlatch_app TO %I', current_user);
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database of the cluster was faster
END $$;
-- +goose StatementEnd

-- guard raises UL001 unless exactly one row was replaced: the version in WHERE is
-- the lock, and a missed row aborts the whole pipelined transaction.
-- +goose StatementBegin
CREATE FUNCTION guard(replaced bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF replaced <> 1 THEN
    RAISE EXCEPTION 'stale %', what USING ERRCODE = 'UL001';
  END IF;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% rows are never changed', TG_TABLE_NAME USING ERRCODE = 'UL002';
END $$;
-- +goose StatementEnd

CREATE TABLE settings (
  name  text PRIMARY KEY,
  value text NOT NULL
);

CREATE TABLE venues (
  id           text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,32}$'),
  name         text NOT NULL,
  time_zone    text NOT NULL,
  open         boolean NOT NULL DEFAULT true,
  lat          double precision NOT NULL DEFAULT 0,
  lng          double precision NOT NULL DEFAULT 0,
  start_radius integer NOT NULL DEFAULT 0 CHECK (start_radius >= 0),
  phone        text NOT NULL DEFAULT ''
);

CREATE TABLE tariffs (
  id           text NOT NULL,
  version      integer NOT NULL CHECK (version > 0),
  venue        text NOT NULL REFERENCES venues,
  kind         text NOT NULL CHECK (kind IN ('lock', 'pump')),
  rule         jsonb NOT NULL,
  effective_at timestamptz NOT NULL,
  PRIMARY KEY (id, version)
);
CREATE INDEX tariffs_in_force ON tariffs (venue, kind, effective_at DESC);

CREATE TABLE riders (
  id         uuid PRIMARY KEY,
  openid_mac bytea NOT NULL UNIQUE, -- keyed hash, to find a rider by
  openid_box bytea NOT NULL,        -- encrypted, to write to a rider with
  blocked    boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL
);

CREATE TABLE rider_tokens (
  hash       bytea PRIMARY KEY, -- SHA-256 of the token
  rider      uuid NOT NULL REFERENCES riders,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX rider_tokens_rider ON rider_tokens (rider);

CREATE TABLE devices (
  id             text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,24}$'),
  kind           text NOT NULL CHECK (kind IN ('lock', 'pump')),
  venue          text NOT NULL REFERENCES venues,
  epoch          bigint NOT NULL CHECK (epoch > 0),
  public_key     bytea NOT NULL CHECK (octet_length(public_key) = 32),
  service        text NOT NULL CHECK (service IN ('in_service', 'maintenance', 'out_of_service', 'retired')),
  service_reason text NOT NULL,
  journal        bytea NOT NULL CHECK (octet_length(journal) = 8),
  applied        bigint NOT NULL,
  lost_up_to     bigint NOT NULL,
  boots          jsonb NOT NULL,
  head           jsonb NOT NULL,
  sample         jsonb NOT NULL,
  heard_at       timestamptz,
  firmware       text NOT NULL,
  lat            double precision,
  lng            double precision,
  version        bigint NOT NULL
) WITH (fillfactor = 80);

-- Keys of earlier epochs stay: late evidence is still verified by them.
CREATE TABLE device_keys (
  device     text NOT NULL,
  epoch      bigint NOT NULL,
  public_key bytea NOT NULL,
  PRIMARY KEY (device, epoch)
);

CREATE TABLE outlets (
  device        text NOT NULL,
  n             smallint NOT NULL CHECK (n BETWEEN 1 AND 255),
  order_id      uuid,
  block         text NOT NULL CHECK (block IN ('', 'unproven', 'await_closed')),
  next_seq      bigint NOT NULL CHECK (next_seq > 0),
  last_seq      bigint NOT NULL,
  stated_known  boolean NOT NULL,
  stated_closed boolean NOT NULL,
  stated_boot   bytea NOT NULL,
  stated_uptime bigint NOT NULL,
  opens         bigint NOT NULL,
  version       bigint NOT NULL,
  PRIMARY KEY (device, n),
  CONSTRAINT outlets_order_not_blocked CHECK (order_id IS NULL OR block = ''),
  CONSTRAINT outlets_numbers CHECK (next_seq > last_seq)
) WITH (fillfactor = 80);

CREATE TABLE codes (
  number     text PRIMARY KEY CHECK (number ~ '^[0-9]{14}$'),
  device     text REFERENCES devices,
  outlet     smallint,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX codes_device ON codes (device, outlet);

CREATE TABLE orders (
  id         uuid PRIMARY KEY,
  rider      text NOT NULL,
  venue      text NOT NULL,
  day        text NOT NULL,
  device     text NOT NULL REFERENCES devices,
  outlet     smallint NOT NULL,
  kind       text NOT NULL,
  state      text NOT NULL CHECK (state IN ('pending', 'starting', 'unresolved', 'active', 'ended', 'settled', 'voided')),
  slot       smallint NOT NULL,
  pay_with   text NOT NULL CHECK (pay_with IN ('wallet', 'service')),
  ticket     text NOT NULL,
  tariff     jsonb NOT NULL,
  hold_id    uuid,
  hold_fen   bigint NOT NULL CHECK (hold_fen >= 0),
  command_id uuid,
  seq        bigint NOT NULL,
  due_at     timestamptz,
  cancelling boolean NOT NULL,
  created_at timestamptz NOT NULL,
  active_at  timestamptz,
  ended_at   timestamptz,
  done_at    timestamptz,
  spans      jsonb NOT NULL,
  evidence   jsonb NOT NULL,
  ended_by   text NOT NULL,
  usage      jsonb,
  quote      jsonb NOT NULL,
  charged    bigint NOT NULL,
  debt       bigint NOT NULL,
  refunded   bigint NOT NULL,
  reason     text NOT NULL,
  unproven   boolean NOT NULL,
  version    bigint NOT NULL,
  CONSTRAINT orders_ticket UNIQUE (ticket),
  CONSTRAINT orders_capture_within_hold CHECK (charged BETWEEN 0 AND hold_fen),
  CONSTRAINT orders_refund_within_bill CHECK (debt >= 0 AND refunded BETWEEN 0 AND charged + debt),
  CONSTRAINT orders_due_while_live CHECK ((state IN ('starting', 'unresolved', 'active')) = (due_at IS NOT NULL) OR state = 'pending')
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX orders_one_live_per_outlet ON orders (device, outlet)
  WHERE state IN ('pending', 'starting', 'unresolved', 'active');
CREATE UNIQUE INDEX orders_slot ON orders (rider, kind, slot) WHERE slot > 0;
CREATE INDEX orders_due ON orders (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX orders_rider ON orders (rider, id DESC);
CREATE INDEX orders_day ON orders (rider, day);
CREATE INDEX orders_device ON orders (device, id DESC);

-- The state table once more, where no program can forget it.
-- +goose StatementBegin
CREATE FUNCTION orders_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state IN ('settled', 'voided') THEN
    IF NEW.state <> OLD.state OR NEW.charged <> OLD.charged OR NEW.debt <> OLD.debt OR NEW.quote <> OLD.quote
       OR NEW.refunded < OLD.refunded THEN
      RAISE EXCEPTION 'order % is terminal', OLD.id USING ERRCODE = 'UL003';
    END IF;
  ELSIF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state = ANY ('{pending>starting,pending>voided,
      starting>active,starting>voided,starting>unresolved,unresolved>active,unresolved>voided,active>ended,
      active>settled,starting>settled,unresolved>settled,ended>settled}'::text[])) THEN
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'UL003';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER orders_legal BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_legal();

CREATE TABLE order_moves (
  order_id   uuid NOT NULL,
  n          integer NOT NULL, -- orders the history; grows with the order's version
  at         timestamptz NOT NULL,
  from_state text NOT NULL,
  to_state   text NOT NULL,
  input      text NOT NULL,
  by         text NOT NULL,
  PRIMARY KEY (order_id, n)
);

CREATE TABLE commands (
  id         uuid PRIMARY KEY,
  device     text NOT NULL,
  outlet     smallint NOT NULL,
  epoch      bigint NOT NULL,
  seq        bigint NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('start', 'ring', 'probe', 'stop', 'config')),
  order_id   uuid,
  boot       bytea NOT NULL,
  not_after  bigint NOT NULL,
  deadline   timestamptz,
  journal    bytea NOT NULL,
  floor      bigint NOT NULL,
  state      text NOT NULL CHECK (state IN ('published', 'unresolved', 'executed', 'rejected', 'not_executed', 'outcome_unknown', 'spent')),
  bytes      bytea NOT NULL,
  created_at timestamptz NOT NULL,
  done_at    timestamptz,
  version    bigint NOT NULL,
  due_at     timestamptz, -- of the next send; NULL = never again
  sends      integer NOT NULL,
  CONSTRAINT commands_number UNIQUE (device, outlet, epoch, seq)
);
CREATE UNIQUE INDEX commands_one_open_start ON commands (device, outlet)
  WHERE kind = 'start' AND state IN ('published', 'unresolved');
CREATE INDEX commands_open ON commands (device) WHERE state IN ('published', 'unresolved');
CREATE INDEX commands_due ON commands (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX commands_order ON commands (order_id);

CREATE TABLE evidence (
  device      text NOT NULL,
  epoch       bigint NOT NULL,
  journal     bytea NOT NULL,
  seq         bigint NOT NULL CHECK (seq > 0),
  boot        bytea NOT NULL,
  uptime      bigint NOT NULL,
  kind        text NOT NULL,
  outlet      smallint NOT NULL,
  last_seq    bigint NOT NULL,
  command_seq bigint NOT NULL,
  command_id  uuid,
  order_id    uuid,
  closed      boolean NOT NULL,
  counters    jsonb NOT NULL,
  reason      text NOT NULL,
  unknown     jsonb,
  received_at timestamptz NOT NULL,
  status      text NOT NULL CHECK (status IN ('waiting', 'applied', 'quarantined')),
  raw         bytea NOT NULL,
  version     bigint NOT NULL,
  PRIMARY KEY (device, epoch, journal, seq)
);
CREATE INDEX evidence_waiting ON evidence (device) WHERE status = 'waiting';
CREATE INDEX evidence_order ON evidence (order_id);

CREATE TABLE accounts (
  id      text PRIMARY KEY,
  posted  bigint NOT NULL,
  held    bigint NOT NULL,
  version bigint NOT NULL,
  CONSTRAINT accounts_wallet_covers CHECK (id NOT LIKE 'wallet:%' OR (held >= 0 AND posted - held >= 0)),
  CONSTRAINT accounts_receivable_owed CHECK (id NOT LIKE 'receivable:%' OR (held = 0 AND posted <= 0))
) WITH (fillfactor = 80);

CREATE TABLE transfers (
  id       uuid PRIMARY KEY,
  kind     text NOT NULL CHECK (kind IN ('single', 'pending', 'post', 'void')),
  debit    text NOT NULL,
  credit   text NOT NULL,
  amount   bigint NOT NULL CHECK (amount > 0),
  purpose  text NOT NULL,
  order_id uuid,
  hold_id  uuid,
  key      text NOT NULL,
  at       timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT transfers_two_parties CHECK (debit <> credit),
  CONSTRAINT transfers_hold_named CHECK ((kind IN ('post', 'void')) = (hold_id IS NOT NULL))
);
CREATE UNIQUE INDEX transfers_hold_resolves_once ON transfers (hold_id) WHERE kind IN ('post', 'void');
CREATE UNIQUE INDEX transfers_one_per_order ON transfers (order_id, purpose)
  WHERE purpose IN ('hold', 'capture', 'release', 'debt');
CREATE UNIQUE INDEX transfers_once_per_key ON transfers (purpose, credit, key) WHERE key <> '';
CREATE INDEX transfers_debit ON transfers (debit);
CREATE INDEX transfers_credit ON transfers (credit);
CREATE INDEX transfers_order ON transfers (order_id);

CREATE TABLE idempotency_keys (
  principal text NOT NULL,
  key       text NOT NULL,
  route     text NOT NULL,
  body_hash bytea NOT NULL,
  status    smallint NOT NULL,
  answer    bytea NOT NULL,
  order_id  uuid,
  at        timestamptz NOT NULL,
  PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

CREATE TABLE items (
  id        uuid PRIMARY KEY,
  kind      text NOT NULL,
  subject   text NOT NULL,
  device    text NOT NULL,
  order_id  uuid,
  venue     text NOT NULL,
  detail    text NOT NULL,
  at        timestamptz NOT NULL,
  closed_at timestamptz,
  closed_by text
);
CREATE UNIQUE INDEX items_open_once ON items (kind, subject) WHERE closed_at IS NULL;

-- The outbox: written with the state it tells of, deleted when it was routed.
CREATE TABLE updates (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text NOT NULL,
  payload jsonb NOT NULL
);

CREATE TABLE audits (
  id     uuid PRIMARY KEY,
  staff  text NOT NULL,
  act    text NOT NULL,
  object text NOT NULL,
  reason text NOT NULL,
  before jsonb,
  after  jsonb,
  at     timestamptz NOT NULL
);
CREATE INDEX audits_at ON audits (at DESC);

CREATE TABLE staff (
  id         uuid PRIMARY KEY,
  name       text NOT NULL UNIQUE,
  role       text NOT NULL CHECK (role IN ('viewer', 'field', 'finance', 'admin')),
  created_at timestamptz NOT NULL,
  disabled_at timestamptz
);

CREATE TABLE api_keys (
  id           uuid PRIMARY KEY,
  hash         bytea NOT NULL UNIQUE, -- SHA-256 of the key
  staff        uuid NOT NULL REFERENCES staff,
  label        text NOT NULL,
  role         text NOT NULL CHECK (role IN ('viewer', 'field', 'finance', 'admin')),
  created_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at   timestamptz
);

CREATE TABLE first_run_links (
  hash       bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);

-- History is only ever added to.
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER order_moves_append_only BEFORE UPDATE OR DELETE ON order_moves FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audits_append_only BEFORE UPDATE OR DELETE ON audits FOR EACH ROW EXECUTE FUNCTION refuse_change();

GRANT USAGE ON SCHEMA public TO unlatch_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO unlatch_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unlatch_app;
REVOKE UPDATE, DELETE ON transfers, order_moves, audits FROM unlatch_app;
