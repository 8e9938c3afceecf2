-- +goose Up

-- Codes that were printed together, before anybody knew which device each will hang
-- on. Never changed: what becomes of a code is in its own row.
CREATE TABLE code_batches (
  id         uuid PRIMARY KEY,
  venue      text NOT NULL REFERENCES venues,
  count      integer NOT NULL CHECK (count BETWEEN 1 AND 100000),
  caption    text NOT NULL CHECK (length(caption) <= 200),
  by         text NOT NULL, -- the staff member's id
  created_at timestamptz NOT NULL
);
CREATE INDEX code_batches_venue ON code_batches (venue, id DESC);
CREATE TRIGGER code_batches_append_only BEFORE UPDATE OR DELETE ON code_batches FOR EACH ROW EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON code_batches TO unlatch_app;

-- venue: where the code may be bound; NULL: anywhere. label: its place in the batch,
-- from 1. A program from before knows none of them and leaves all NULL.
ALTER TABLE codes
  ADD COLUMN venue text REFERENCES venues,
  ADD COLUMN batch uuid REFERENCES code_batches,
  ADD COLUMN label integer CHECK (label > 0),
  ADD CONSTRAINT codes_of_batch CHECK ((batch IS NULL) = (label IS NULL) AND (batch IS NULL OR venue IS NOT NULL)),
  ADD CONSTRAINT codes_bound_whole CHECK ((device IS NULL) = (outlet IS NULL));
-- A code that replaces a revoked one takes its label.
CREATE UNIQUE INDEX codes_label ON codes (batch, label) WHERE batch IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX codes_batch ON codes (batch, label, number) WHERE batch IS NOT NULL;

-- A batch has a code for each label, and every code of it that hangs on a device was
-- put there by an act of staff.
CREATE VIEW audit_s6_batch_is_whole AS
SELECT b.id::text AS subject, format('has %s labels of %s', count(DISTINCT c.label), b.count) AS what
FROM code_batches b LEFT JOIN codes c ON c.batch = b.id AND c.label <= b.count
GROUP BY b.id, b.count HAVING count(DISTINCT c.label) <> b.count;

CREATE VIEW audit_s6_binding_has_row AS
WITH acts AS (
  SELECT DISTINCT code->>'batch' AS batch, (code->>'label')::int AS label, code->>'device' AS device
  FROM audits a, jsonb_array_elements(CASE jsonb_typeof(a.after->'codes') WHEN 'array' THEN a.after->'codes' ELSE '[]' END) code
  WHERE a.act IN ('code.bind', 'code.move', 'code.swap', 'code.remint')
)
SELECT format('batch %s label %s', c.batch, c.label) AS subject, format('hangs on %s without an audit row', c.device) AS what
FROM codes c WHERE c.batch IS NOT NULL AND c.device IS NOT NULL
  AND NOT EXISTS (SELECT FROM acts x WHERE x.batch = c.batch::text AND x.label = c.label AND x.device = c.device);

GRANT SELECT ON audit_s6_batch_is_whole, audit_s6_binding_has_row TO unlatch_app;
