package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

func TestVitalsCountWhatIsLive(t *testing.T) {
	db, _ := open(t)
	if v, err := db.Vitals(t.Context()); err != nil || len(v.Orders) != 0 || !v.Audit.At.IsZero() {
		t.Fatalf("of an empty installation: %+v, %v", v, err)
	}
	testkit.ThreeOrders(t, db)
	v, err := db.Vitals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Orders[order.Starting] != 1 || len(v.Orders) != 1 || v.Devices["in_service"] != 3 || v.Silent != 0 || v.Outbox == 0 || v.Behind != 0 {
		t.Errorf("one order starts on one of three devices, and the vitals are %+v", v)
	}
}

func TestOneReplicaAuditsForAll(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	first, ran, err := db.AuditAlone(t.Context(), time.Hour)
	if err != nil || !ran || first.Findings["audit_m2_balance_is_sum"] != 0 || len(first.Findings) < 20 {
		t.Fatalf("the first: %+v, %v, %v", first, ran, err)
	}
	if _, ran, err = db.AuditAlone(t.Context(), time.Hour); err != nil || ran {
		t.Errorf("a second within the hour ran: %v, %v", ran, err)
	}
	if _, ran, err = db.AuditAlone(t.Context(), 0); err != nil || !ran {
		t.Errorf("one that is due: %v, %v", ran, err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	// A replica began one an hour ago and died.
	if _, err := conn.Exec(t.Context(), `UPDATE settings SET value = (extract(epoch FROM now()) - 3600)::text WHERE name = 'audit_begun';
		UPDATE settings SET value = jsonb_set(value::jsonb, '{At}', to_jsonb(now() - interval '2 hours'))::text WHERE name = 'audit'`); err != nil {
		t.Fatal(err)
	}
	if _, ran, err = db.AuditAlone(t.Context(), 6*time.Hour); err != nil || !ran {
		t.Errorf("after a replica that died over it: %v, %v; want another to run it", ran, err)
	}
	if _, err := conn.Exec(t.Context(), `ALTER VIEW audit_m2_balance_is_sum RENAME COLUMN subject TO other`); err != nil {
		t.Fatal(err)
	}
	if _, _, err = db.AuditAlone(t.Context(), 0); err == nil {
		t.Error("an audit over a broken view succeeded")
	}
	if _, err := conn.Exec(t.Context(), `ALTER VIEW audit_m2_balance_is_sum RENAME COLUMN other TO subject`); err != nil {
		t.Fatal(err)
	}
	if _, ran, err = db.AuditAlone(t.Context(), time.Hour); err != nil || !ran {
		t.Errorf("after one that failed: %v, %v; want another at once", ran, err)
	}
	if v, err := db.Vitals(t.Context()); err != nil || v.Audit.At.Before(first.At) || len(v.Audit.Findings) != len(first.Findings) {
		t.Errorf("what everybody sees: %+v, %v", v.Audit, err)
	}
}
