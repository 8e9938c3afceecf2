-- +goose NO TRANSACTION
-- +goose Up

-- venues: NULL = all of them. password: argon2id in PHC form, NULL = cannot sign in
-- with one. A program from before knows neither and leaves both NULL.
ALTER TABLE staff
  ADD COLUMN IF NOT EXISTS venues text[] CHECK (cardinality(venues) > 0),
  ADD COLUMN IF NOT EXISTS password text,
  ADD COLUMN IF NOT EXISTS password_at timestamptz;
ALTER TABLE api_keys
  ADD COLUMN IF NOT EXISTS venues text[] CHECK (cardinality(venues) > 0);

-- From here on a key may do at most what its owner may, so an owner gets the role of the
-- strongest key that they have.
UPDATE staff s SET role = k.role FROM (
  SELECT DISTINCT ON (staff) staff, role FROM api_keys WHERE revoked_at IS NULL
  ORDER BY staff, array_position(ARRAY['viewer', 'field', 'finance', 'admin'], role) DESC) k
WHERE k.staff = s.id AND array_position(ARRAY['viewer', 'field', 'finance', 'admin'], k.role)
  > array_position(ARRAY['viewer', 'field', 'finance', 'admin'], s.role);

-- A member's sign-in at one browser, until it is revoked, idle for too long or over.
CREATE TABLE IF NOT EXISTS logins (
  id         uuid PRIMARY KEY,
  hash       bytea NOT NULL UNIQUE, -- SHA-256 of the cookie
  staff      uuid NOT NULL REFERENCES staff,
  how        text NOT NULL CHECK (how IN ('password', 'passkey')),
  created_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL, -- to the minute
  expires_at timestamptz NOT NULL,
  agent      text NOT NULL CHECK (length(agent) <= 300),
  address    text NOT NULL CHECK (length(address) <= 64),
  revoked_at timestamptz
);
CREATE INDEX IF NOT EXISTS logins_staff ON logins (staff, id DESC);
CREATE INDEX IF NOT EXISTS logins_expires ON logins (expires_at);

-- credential is what a ceremony needs again: public key, flags and the sign counter.
CREATE TABLE IF NOT EXISTS passkeys (
  id           uuid PRIMARY KEY,
  staff        uuid NOT NULL REFERENCES staff,
  credential_id bytea NOT NULL,
  label        text NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
  credential   jsonb NOT NULL,
  created_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  CONSTRAINT passkeys_credential UNIQUE (credential_id)
);
CREATE INDEX IF NOT EXISTS passkeys_staff ON passkeys (staff);

-- A passkey ceremony that was begun; who finishes it deletes it, so that it is finished once.
CREATE TABLE IF NOT EXISTS ceremonies (
  id         uuid PRIMARY KEY,
  login      uuid REFERENCES logins ON DELETE CASCADE, -- of a registration; NULL: of a sign-in
  data       jsonb NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS ceremonies_login ON ceremonies (login);
CREATE INDEX IF NOT EXISTS ceremonies_expires ON ceremonies (expires_at);

-- One-time links that set a member's password.
CREATE TABLE IF NOT EXISTS invites (
  hash       bytea PRIMARY KEY, -- SHA-256 of the link's secret
  staff      uuid NOT NULL REFERENCES staff,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);
CREATE INDEX IF NOT EXISTS invites_staff ON invites (staff);

GRANT SELECT, INSERT, UPDATE, DELETE ON logins, passkeys, ceremonies, invites TO unlatch_app;
