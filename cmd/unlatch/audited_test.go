package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// unaudited are writes that change nothing that anybody answers for, each with why.
var unaudited = map[string]string{
	"replay-tariff": "it computes, and stores nothing",
	"begin-passkey": "a question to a browser, forgotten after five minutes",
}

// notHere are writes that this stage cannot make succeed, each with what does. What
// order.Service carries out has its audit row among the Changes of one Apply.
var notHere = map[string]string{
	"void-order":      "order: TestAnActIsRefusedWhereTheStateDoesNotAllowIt",
	"decide-order":    "TestAnAmountThatIsNotVolumeTimesPriceWaitsForStaff",
	"retry-payment":   "order.Mend",
	"give-up-payment": "order.Mend",
	"begin-passkey":   "TestAPasskeySignsInOncePerQuestion",
	"add-passkey":     "TestAPasskeySignsInOncePerQuestion",
	"change-password": "TestAPasswordChangeEndsOtherLogins",
	"stop-venue":      "TestStopsAreLiftedByAHandAtThePumpAlone",
	"halt-bulk":       "a bulk of one device is over at once",
}

// alone are audit rows beside which no new row stands, each with why.
var alone = map[string]string{
	"find-riders":     "it reads",
	"command-device":  "its row changes again as soon as the device answers",
	"interlock-venue": "its row is marked as reached a moment later",
}

// moving are columns that change by themselves while devices speak and members ask; a
// table without columns is left out.
var moving = map[string]string{
	"devices": "id, venue, service, service_reason, epoch", "outlets": "device, n, order_id, block", "commands": "id, kind, order_id",
	"api_keys": "id, role, venues, revoked_at", "logins": "id, revoked_at", "codes": "number, device, outlet, revoked_at",
	"alarms": "id, acked_at, snoozed_until, cleared_by", "audits": "", "updates": "", "positions": "", "goose_db_version": "",
	"messages": "", "evidence": "", "command_hops": "", "vitals": "", "scan_days": "", "instances": "", "webhook_deliveries": "id",
	"webhooks": "id, label, url, events, enabled, secret, version",
}

// tables lists what the database holds.
func (s *stage) tables() []string {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) < 20 {
		s.t.Fatalf("tables: %v, %v", all, err)
	}
	return all
}

// digest is a hash of each table's rows.
func (s *stage) digest(tables []string) map[string]string {
	s.t.Helper()
	var parts []string
	for _, t := range tables {
		columns, listed := moving[t]
		if listed && columns == "" {
			continue
		}
		from := t
		if listed {
			from = "(SELECT " + columns + " FROM " + t + ")"
		}
		parts = append(parts, fmt.Sprintf(`SELECT '%s', coalesce(md5(string_agg(md5(x::text), '' ORDER BY md5(x::text))), '') FROM %s x`, t, from))
	}
	rows, err := s.db.Query(s.ctx, strings.Join(parts, " UNION ALL "))
	if err != nil {
		s.t.Fatal(err)
	}
	sums := map[string]string{}
	var name, sum string
	if _, err := pgx.ForEachRow(rows, []any{&name, &sum}, func() error { sums[name] = sum; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return sums
}

// TestWritesAreAudited makes each write of staff twice: while no audit row can be
// written, when it must fail and change nothing else; and then as it is, when exactly
// one audit row must come out of the transaction that changed the rest.
func TestWritesAreAudited(t *testing.T) {
	s := newStage(t)
	s.exec(`CREATE FUNCTION no_audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM no_audits n WHERE n.staff = NEW.staff) THEN
			RAISE EXCEPTION 'no audit row for %', NEW.act; END IF; RETURN NEW; END $$`)
	s.exec(`CREATE TABLE no_audits (staff text)`)
	s.exec(`GRANT SELECT ON no_audits TO unlatch_app`)
	s.exec(`CREATE TRIGGER no_audit BEFORE INSERT ON audits FOR EACH ROW EXECUTE FUNCTION no_audit()`)
	all := slices.DeleteFunc(s.tables(), func(t string) bool { return t == "no_audits" })
	for _, op := range s.operations() {
		if op.Method == http.MethodGet || op.Least == "anybody" {
			continue
		}
		if _, listed := writes[op.ID]; !listed {
			t.Errorf("%s writes, and there is no example of it in writes", op.ID)
			continue
		}
		if notHere[op.ID] != "" {
			continue
		}
		s.set()
		admin := s.member("admin "+newUUID(), order.Admin, "all", nil)
		by := "key"
		if slices.Contains(needsLogin, op.ID) {
			by = "login"
		}
		path, body := s.address(op), s.filled(writes[op.ID])
		s.exec(`INSERT INTO no_audits VALUES ($1)`, admin.id)
		before := s.digest(all)
		status, code, raw := s.send(op, admin, by, path, body)
		after := s.digest(all)
		s.exec(`DELETE FROM no_audits`)
		if unaudited[op.ID] == "" {
			if status < 500 {
				t.Errorf("%s without an audit row: %d %s, want a failure\n%.300s", op.ID, status, code, raw)
			}
			for table, sum := range before {
				if after[table] != sum {
					t.Errorf("%s changed %s and left no audit row", op.ID, table)
				}
			}
		}
		newest := s.text(`SELECT coalesce(max(id::text), '') FROM audits WHERE staff = $1`, admin.id)
		status, code, raw = s.send(op, admin, by, path, body)
		if status >= 300 {
			t.Errorf("%s: %d %s, and nothing is proved of it\n%.300s", op.ID, status, code, raw)
			continue
		}
		want := "1"
		if unaudited[op.ID] != "" {
			want = "0"
		}
		if got := s.text(`SELECT count(*)::text FROM audits WHERE staff = $1 AND id::text > $2`, admin.id, newest); got != want {
			t.Errorf("%s left %s audit rows, want %s", op.ID, got, want)
		}
		if want == "1" && alone[op.ID] == "" && !s.beside(all, admin.id) {
			t.Errorf("%s: nothing else was changed in its audit row's transaction", op.ID)
		}
	}
}

// beside tells whether the transaction of a member's newest audit row left rows in
// another table.
func (s *stage) beside(tables []string, staff string) bool {
	s.t.Helper()
	var parts []string
	for _, t := range tables {
		if t != "audits" {
			parts = append(parts, fmt.Sprintf(`EXISTS (SELECT FROM %s WHERE xmin = (SELECT xmin FROM audits WHERE staff = $1 ORDER BY id DESC LIMIT 1))`, t))
		}
	}
	return s.text(`SELECT (`+strings.Join(parts, " OR ")+`)::text`, staff) == "true"
}
