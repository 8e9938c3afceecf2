// Package testkit gives tests the real things that they need to run against.
//
// It owns what a whole test binary shares and what each test gets for itself. It
// refuses to be imported by anything but tests. What it starts ends with the test
// binary, however that ends.
package testkit

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unlatch/unlatch/internal/localpg"
)

// startPatience bounds one cluster start and one database statement; initdb takes
// half a second on an idle machine and far longer beside a parallel build.
const startPatience = 2 * time.Minute

// sharedCluster is the binary's cluster, started by the first test that asks. It
// is never stopped: the server dies with this process, and the next binary that
// starts one removes the folder.
var sharedCluster = sync.OnceValues(func() (*localpg.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	return localpg.Start(ctx, localpg.Config{MaxConnections: 300})
})

var databases atomic.Int64

// Database returns the URL of an empty database that is the test's own and is
// dropped, together with whoever is still connected, when the test ends. The test
// fails at once when there is no Postgres on the machine.
func Database(t testing.TB) string {
	t.Helper()
	return database(t, (*localpg.Cluster).CreateDatabase)
}

// template is the binary's database that is copied for each test that wants one with
// its tables.
var template struct {
	sync.Once
	name string
	err  error
}

// Migrated is Database with the tables that migrate makes. It runs once per test binary:
// a copy takes a tenth of the time of all migrations.
func Migrated(t testing.TB, migrate func(ctx context.Context, url string) (int, error)) string {
	t.Helper()
	return database(t, func(cluster *localpg.Cluster, ctx context.Context, name string) error {
		template.Do(func() {
			template.name = name + "_template"
			if template.err = cluster.CreateDatabase(ctx, template.name); template.err == nil {
				_, template.err = migrate(ctx, cluster.URL(template.name))
			}
		})
		if template.err != nil {
			return template.err
		}
		return cluster.CopyDatabase(ctx, name, template.name)
	})
}

func database(t testing.TB, make func(*localpg.Cluster, context.Context, string) error) string {
	t.Helper()
	cluster, err := sharedCluster()
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if err := make(cluster, ctx, name); err != nil {
		t.Fatalf("test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		if err := cluster.DropDatabase(ctx, name); err != nil {
			t.Errorf("test database: %v", err)
		}
	})
	return cluster.URL(name)
}

// IgnoreCluster tells goleak about the goroutines that guard the shared cluster.
func IgnoreCluster() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/unlatch/unlatch/internal/localpg.(*server).run")
}
