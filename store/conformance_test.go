package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// open returns a migrated database that holds what the conformance suite needs,
// and its URL.
func open(t *testing.T) (*store.DB, string) {
	t.Helper()
	url := testkit.Migrated(t, store.Migrate)
	db, err := store.Open(t.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	audit := func(n string) order.Audit {
		return order.Audit{ID: "01900000-0000-7000-8000-00000000000" + n, Staff: "test", Act: "seed", At: time.Now()}
	}
	if err := db.PutVenue(t.Context(), testkit.Venue, audit("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddTariff(t.Context(), order.TariffRow{Tariff: testkit.Tariff, Venue: testkit.Venue.ID, Kind: device.Lock,
		EffectiveAt: time.Now().Add(-time.Hour)}, audit("2")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddTariff(t.Context(), order.TariffRow{Tariff: testkit.Fuel, Venue: testkit.Venue.ID, Kind: device.Pump,
		EffectiveAt: time.Now().Add(-time.Hour)}, audit("3")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddPass(t.Context(), testkit.Pass, audit("4")); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `INSERT INTO riders (id, openid_mac, openid_box, created_at)
		VALUES ($1, '\x01', '\x02', now())`, testkit.Rider.ID); err != nil {
		t.Fatal(err)
	}
	return db, url
}

func TestPostgresKeepsTheStoresPromises(t *testing.T) {
	testkit.StoreConformance(t, func(t *testing.T) testkit.Subject {
		db, _ := open(t)
		return db
	})
}
