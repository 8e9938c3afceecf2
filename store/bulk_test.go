package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

// TestADeviceOfABulkIsOneReplicasAtATime: each is handed out once; who was slow does not
// overwrite what came of a later taking; and a halt leaves what nobody has in hand.
func TestADeviceOfABulkIsOneReplicasAtATime(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	b := order.Bulk{ID: uuid.NewString(), Act: order.BulkRing, Reason: "r", Filter: []byte(`{}`), Staff: uuid.NewString(), Total: 40, At: time.Now()}
	devices := make([]device.ID, b.Total)
	for i := range devices {
		devices[i] = "bike-1"
	}
	key := order.Key{KeyRef: order.KeyRef{Principal: "staff:x", Key: "k"}, Route: "POST /bulk", Status: 202, Answer: []byte(`{}`), At: time.Now()}
	if _, _, err := db.AddBulk(t.Context(), b, devices, key, hookAudit("bulk.add")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var replicas sync.WaitGroup
	taken := map[int]order.BulkResult{}
	for range 8 {
		replicas.Go(func() {
			for range 4 {
				bulk, r, some, err := db.TakeBulk(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if !some { // the others had the rest in hand at that moment
					continue
				}
				mu.Lock()
				if _, twice := taken[r.N]; twice || bulk.ID != b.ID || r.Device != "bike-1" || !r.Foreign {
					t.Errorf("%+v of %s is taken, before: %v", r, bulk.ID, twice)
				}
				taken[r.N] = r
				mu.Unlock()
			}
		})
	}
	replicas.Wait()
	if len(taken) < 20 || len(taken) > 32 {
		t.Fatalf("%d devices are in hand", len(taken))
	}
	state := func(n int) (state, detail string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT state, detail FROM bulk_results WHERE bulk = $1 AND n = $2`, b.ID, n).Scan(&state, &detail); err != nil {
			t.Fatal(err)
		}
		return state, detail
	}
	did := func(r order.BulkResult, s order.BulkState, detail string) {
		t.Helper()
		r.State, r.Detail = s, detail
		if err := db.BulkDid(t.Context(), b.ID, r); err != nil {
			t.Fatal(err)
		}
	}
	// A minute passes over the first one's taker: another one takes it, and its word counts.
	slow := taken[1]
	run(t, conn, `UPDATE bulk_results SET at = at - interval '61 seconds' WHERE bulk = $1 AND n = 1`, b.ID)
	_, again, some, err := db.TakeBulk(t.Context())
	if err != nil || !some || again.N != 1 {
		t.Fatalf("after a minute %+v is taken, %v", again, err)
	}
	did(slow, order.BulkFailed, "the slow one")
	if s, _ := state(1); s != "doing" {
		t.Errorf("who was slow ended what another one has in hand: %s", s)
	}
	did(again, order.BulkDone, "")
	did(slow, order.BulkFailed, "the slow one")
	if s, detail := state(1); s != "done" || detail != "" {
		t.Errorf("the result is %s %q", s, detail)
	}
	if err := db.HaltBulk(t.Context(), b.ID, hookAudit("bulk.halt")); err != nil {
		t.Fatal(err)
	}
	var halted, doing int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'halted'), count(*) FILTER (WHERE state = 'doing') FROM bulk_results`).Scan(&halted, &doing); err != nil ||
		doing != len(taken)-1 || halted != b.Total-len(taken) {
		t.Errorf("after the halt %d are halted and %d in hand of %d, %v", halted, doing, b.Total, err)
	}
	if _, r, some, err := db.TakeBulk(t.Context()); some || err != nil {
		t.Errorf("of a halted one %+v is taken, %v", r, err)
	}
}

// TestAHaltedBulkEnds: a device that a replica had in hand when it died is over, too.
func TestAHaltedBulkEnds(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	b := order.Bulk{ID: uuid.NewString(), Act: order.BulkRing, Reason: "r", Filter: []byte(`{}`), Staff: uuid.NewString(), Total: 2, At: time.Now()}
	key := order.Key{KeyRef: order.KeyRef{Principal: "staff:x", Key: "k"}, Route: "POST /bulk", Status: 202, Answer: []byte(`{}`), At: time.Now()}
	if _, _, err := db.AddBulk(t.Context(), b, []device.ID{"bike-1", "bike-2"}, key, hookAudit("bulk.add")); err != nil {
		t.Fatal(err)
	}
	_, r, some, err := db.TakeBulk(t.Context())
	if !some || err != nil {
		t.Fatal(some, err)
	} // and the replica dies
	if err := db.HaltBulk(t.Context(), b.ID, hookAudit("bulk.halt")); err != nil {
		t.Fatal(err)
	}
	for _, passed := range []struct {
		by            string
		halted, doing int
	}{{"50 seconds", 1, 1}, {"11 seconds", 2, 0}} {
		run(t, conn, `UPDATE bulk_results SET at = at - $1::interval WHERE bulk = $2 AND n = $3`, passed.by, b.ID, r.N)
		if _, _, some, err := db.TakeBulk(t.Context()); some || err != nil {
			t.Errorf("of a halted one a device is taken: %v, %v", some, err)
		}
		if now, err := db.BulkByID(t.Context(), b.ID); err != nil || now.Counts[order.BulkHalted] != passed.halted || now.Counts[order.BulkDoing] != passed.doing {
			t.Errorf("%s later: %v, %v; want %d halted and %d in hand", passed.by, now.Counts, err, passed.halted, passed.doing)
		}
	}
}
