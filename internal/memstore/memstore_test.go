package memstore_test

import (
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/memstore"
	"github.com/unlatch/unlatch/internal/testkit"
)

func TestMemoryKeepsTheStoresPromises(t *testing.T) {
	testkit.StoreConformance(t, func(t *testing.T) testkit.Subject {
		s := memstore.New(time.Now)
		s.Seed(testkit.Venue, testkit.Tariff, testkit.Rider)
		s.Seed(testkit.Venue, testkit.Fuel)
		s.SeedPass(testkit.Pass)
		return s
	})
}
