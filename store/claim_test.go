package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/store"
)

// TestTheBrokersClaimOutlivesItsConnection cuts the connection that holds the
// claim, as a failover does.
func TestTheBrokersClaimOutlivesItsConnection(t *testing.T) {
	db, url := open(t)
	claim, err := db.ClaimBroker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ClaimBroker(t.Context()); !errors.Is(err, store.ErrBrokerClaimed) {
		t.Errorf("a second claim: got %v, want ErrBrokerClaimed", err)
	}
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	holder := func() (pid int) {
		if err := admin.QueryRow(t.Context(), `SELECT coalesce(max(l.pid), 0) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE l.locktype = 'advisory' AND d.datname = current_database()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := holder()
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- claim.Watch(ctx, 20*time.Millisecond) }()
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, first); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for now := holder(); now == 0 || now == first; now = holder() {
		if time.Now().After(deadline) {
			t.Fatal("the claim was not taken again")
		}
	}
	stop()
	if err := <-watched; err != nil {
		t.Errorf("a clean stop: %v", err)
	}
	claim.Release()
}
