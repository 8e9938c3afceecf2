package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

func erasure(rider string) order.Erase {
	return order.Erase{Rider: rider, Audit: order.Audit{ID: uuid.Must(uuid.NewV7()).String(), Staff: "s1", Act: "rider.erase", Object: "rider " + rider, Reason: "asked", At: time.Now()}}
}

func TestARiderIsErasedOnceNothingIsOpen(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	ctx, rider := t.Context(), testkit.Rider.ID
	erase := func() error { return db.EraseRider(ctx, erasure(rider)) }
	wants := func(want error) {
		t.Helper()
		if err := erase(); !errors.Is(err, want) {
			t.Errorf("erase: %v, want %v", err, want)
		}
	}
	if err := db.EraseRider(ctx, erasure(uuid.NewString())); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("somebody who is not there: %v", err)
	}
	testkit.ThreeOrders(t, db) // the third is live, and there is money
	wants(order.ErrEraseLive)

	// Everything else of a rider that is over, and a stranger's beside it.
	openid := "oA-Rider-Of-This-Test"
	other, err := db.RiderByIdentity(ctx, openid)
	if err != nil {
		t.Fatal(err)
	}
	rider = other
	hash := [32]byte{1}
	if err := db.AddToken(ctx, rider, hash, time.Hour); err != nil {
		t.Fatal(err)
	}
	run(t, conn, `UPDATE riders SET rider_group = 'teachers' WHERE id = $1`, rider)
	run(t, conn, `INSERT INTO rider_passes SELECT gen_random_uuid(), $1, 'campus', 'lock', 'month', '{"price_fen": 0}', now(), now() + interval '1 day', 0, NULL, 'staff 1', now(), 1`, rider)
	run(t, conn, `INSERT INTO messages (id, rider, kind, amount, at) VALUES (gen_random_uuid(), $1, 'k', 0, now())`, rider)
	run(t, conn, `INSERT INTO items (id, kind, subject, device, venue, detail, at) VALUES
		(gen_random_uuid(), 'fault_reported', 'bike-1/1/other/' || $1::text, 'bike-1', 'campus', 'other: call me: 13800000000', now()),
		(gen_random_uuid(), 'fault_reported', 'bike-1/1/other/' || $2::text, 'bike-1', 'campus', 'other: a stranger wrote this', now())`, rider, testkit.Rider.ID)
	run(t, conn, `INSERT INTO idempotency_keys (principal, key, route, body_hash, status, answer, at) VALUES ('rider:' || $1::text, 'k', 'r', '', 200, '', now())`, rider)
	// A ride that is over: the stranger's first becomes this rider's.
	run(t, conn, `SET session_replication_role = replica`)
	run(t, conn, `UPDATE orders SET rider = $1, active_at = now() - interval '2 hours', ended_at = now() - interval '1 hour' WHERE state = 'settled'`, rider)
	run(t, conn, `RESET session_replication_role`)
	run(t, conn, `INSERT INTO positions SELECT 'bike-1', now() - m * interval '1 minute', 31, 121 FROM unnest(ARRAY[150, 90, 30]) m`)

	f, err := db.RiderFile(ctx, rider, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Identified || f.Group != "teachers" || len(f.Logins) != 1 || len(f.Faults) != 1 || f.Faults[0].Detail != "other: call me: 13800000000" ||
		len(f.Tracks) != 1 || f.Messages != 1 || f.Erased != nil {
		t.Errorf("the file: %+v", f)
	}

	account := func(id billing.AccountID, posted int) {
		run(t, conn, `INSERT INTO accounts VALUES ($1, $2, 0, 1) ON CONFLICT (id) DO UPDATE SET posted = $2`, string(id), posted)
	}
	account(billing.Wallet(rider), 1)
	wants(order.ErrEraseMoney)
	account(billing.Wallet(rider), 0)
	account(billing.Receivable(rider), -1)
	wants(order.ErrDebt)
	account(billing.Receivable(rider), 0)
	run(t, conn, aPayment+`('01900000-0000-7000-8000-0000000000f1', 'transaction', 'topup', '`+rider+`', '', '', '', 'open', 5, 0, 0, 0, 0, false, NULL, NULL, '', '', '', 0, now(), '', 1)`)
	wants(order.ErrErasePayment)
	run(t, conn, `DELETE FROM payments`)
	if _, err := db.RiderByToken(ctx, hash); err != nil {
		t.Errorf("after four refusals the login is gone: %v", err)
	}

	wants(nil)
	wants(order.ErrRiderErased)
	if _, err := db.RiderByToken(ctx, hash); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("the old token: %v, want %v", err, order.ErrNotFound)
	}
	if err := db.AddToken(ctx, rider, [32]byte{2}, time.Hour); !errors.Is(err, order.ErrRiderErased) {
		t.Errorf("a token of a login that was under way: %v, want %v", err, order.ErrRiderErased)
	}
	if err := db.GroupRider(ctx, rider, "teachers", erasure(rider).Audit); !errors.Is(err, order.ErrRiderErased) {
		t.Errorf("a group: %v, want %v", err, order.ErrRiderErased)
	}
	if _, err := db.Payer(ctx, rider); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("their identity: %v, want %v", err, order.ErrNotFound)
	}
	if f, err = db.RiderFile(ctx, rider, nil); err != nil || f.Identified || f.Group != "" || f.Erased == nil || len(f.Faults) != 1 ||
		f.Faults[0].Detail != "other" || len(f.Tracks) != 0 || f.Messages != 0 {
		t.Errorf("the file afterwards: %+v, %v", f, err)
	}
	for what, sql := range map[string]string{
		"passes in force": `SELECT count(*) FROM rider_passes WHERE rider = $1 AND revoked_at IS NULL`,
		"request keys":    `SELECT count(*) FROM idempotency_keys WHERE principal = 'rider:' || $1::text`,
	} {
		var n int
		if err := conn.QueryRow(ctx, sql, rider).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d %s are left, %v", n, what, err)
		}
	}
	var orders, positions, strangers int
	if err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM orders WHERE rider = $1), (SELECT count(*) FROM positions),
		(SELECT count(*) FROM items WHERE detail = 'other: a stranger wrote this')`, rider).Scan(&orders, &positions, &strangers); err != nil ||
		orders != 1 || positions != 2 || strangers != 1 {
		t.Errorf("%d orders, %d positions of other times, %d texts of strangers are left, %v; want 1, 2 and 1", orders, positions, strangers, err)
	}
	anew, err := db.RiderByIdentity(ctx, openid)
	if err != nil || anew == rider {
		t.Errorf("logging in again gives %s, %v; want another rider", anew, err)
	}
	for _, f := range audit(t, db).Findings {
		if f.View == "audit_s6_erased_is_gone" {
			t.Errorf("the audit finds %+v", f)
		}
	}
}

// TestNothingBeginsForARiderWhoIsBeingErased: erasures and payments, which guard no row
// that an erasure replaces, race; whoever is second sees what the first did.
func TestNothingBeginsForARiderWhoIsBeingErased(t *testing.T) {
	db, _ := open(t)
	ctx := t.Context()
	both := map[string]int{}
	for i := range 30 {
		rider, err := db.RiderByIdentity(ctx, fmt.Sprint("o", i))
		if err != nil {
			t.Fatal(err)
		}
		var begun, erased error
		var wait sync.WaitGroup
		wait.Go(func() { erased = db.EraseRider(context.WithoutCancel(ctx), erasure(rider)) })
		wait.Go(func() {
			s, err := db.Load(ctx, order.Query{Rider: rider})
			if err != nil || s.Rider == nil || s.Rider.Erased {
				begun = errors.Join(err, order.ErrRiderErased)
				return
			}
			id := uuid.Must(uuid.NewV7()).String()
			begun = db.Apply(ctx, order.Changes{Payments: []order.Payment{{ID: id, Road: billing.Transaction, For: order.ForTopUp, Rider: rider, Kind: device.Lock,
				State: order.PaymentCreated, Amount: 5, CreatedAt: s.Now, DueAt: s.Now}}})
		})
		wait.Wait()
		switch {
		case begun == nil && errors.Is(erased, order.ErrErasePayment):
			both["the payment was first"]++
		case erased == nil && (errors.Is(begun, order.ErrRiderErased) || errors.Is(begun, order.ErrStale)):
			both["the erasure was first"]++
		default:
			t.Errorf("rider %d: begun %v, erased %v", i, begun, erased)
		}
	}
	t.Log(both)
}

func TestIdentitiesMoveToANewKeyWhileRidersLogIn(t *testing.T) {
	ctx := t.Context()
	url := testkit.Database(t)
	if _, err := store.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	old, next := store.IdentityKey{Key: make([]byte, 32)}, store.IdentityKey{ID: "00000000000000aa", Key: append(make([]byte, 31), 1)}
	with := func(keys ...store.IdentityKey) *store.DB {
		t.Helper()
		db, err := store.Open(ctx, store.Config{URL: url, IdentityKeys: keys})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	before, during, after := with(old), with(next, old), with(next)
	const riders = 450
	name := func(i int) string { return fmt.Sprintf("o%08d", i) }
	ids := make([]string, riders)
	for i := range ids {
		var err error
		if ids[i], err = before.RiderByIdentity(ctx, name(i)); err != nil {
			t.Fatal(err)
		}
	}
	number := func(i int) string { return fmt.Sprintf("+861380000%04d", i) }
	phones := func(db *store.DB, what string, which ...int) {
		t.Helper()
		for _, i := range which {
			if got, err := db.Phone(ctx, ids[i]); err != nil || got != number(i) {
				t.Errorf("%s: the number of rider %d is %q, %v", what, i, got, err)
			}
			found, err := db.FindRiders(ctx, order.RiderQuery{Phone: number(i), Limit: 9}, order.Audit{ID: uuid.NewString(), Act: "rider.find", At: time.Now()})
			if err != nil || len(found) != 1 || found[0].ID != ids[i] {
				t.Errorf("%s: by the number of rider %d: %+v, %v", what, i, found, err)
			}
		}
	}
	for _, i := range []int{0, 199, 200, riders - 1} {
		if err := before.SetPhone(ctx, ids[i], number(i)); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := before.RiderByIdentity(ctx, "gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := before.SetPhone(ctx, gone, number(9000)); err != nil {
		t.Fatal(err)
	}
	if err := before.EraseRider(ctx, erasure(gone)); err != nil {
		t.Fatal(err)
	}
	logsIn := func(db *store.DB, what string, which ...int) {
		t.Helper()
		for _, i := range which {
			if id, err := db.RiderByIdentity(ctx, name(i)); err != nil || id != ids[i] {
				t.Errorf("%s: rider %d is %s, %v; want %s", what, i, id, err, ids[i])
			}
			if p, err := db.Payer(ctx, ids[i]); err != nil || string(p) != name(i) {
				t.Errorf("%s: the identity of rider %d: %v", what, i, err)
			}
		}
	}
	logsIn(during, "before", 0, riders-1)
	phones(during, "before", 0, riders-1)
	if got, err := before.Phone(ctx, gone); err != nil || got != "" {
		t.Errorf("an erased rider's number is %q, %v", got, err)
	}
	if err := before.SetPhone(ctx, gone, number(9000)); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("an erased rider gives a number: %v", err)
	}
	if err := after.CheckIdentityKey(ctx); !errors.Is(err, store.ErrIdentityKey) {
		t.Errorf("a replica with the new key alone may start: %v", err)
	}

	// It is stopped after the first batch.
	stopped, stop := context.WithCancel(ctx)
	if _, err := during.MoveIdentities(stopped, next.ID, func(int) { stop() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("the stopped move: %v", err)
	}
	current, by, err := during.IdentityCount(ctx)
	if err != nil || current != next.ID || by[next.ID] != 200 || by[""] != riders-200 {
		t.Fatalf("half-way: %s, %v, %v", current, by, err)
	}
	logsIn(during, "half-way", 0, 199, 200, riders-1)
	phones(during, "half-way", 0, 199, 200, riders-1)
	// A replica with the old key alone finds whom it can and makes nobody twice.
	if id, err := before.RiderByIdentity(ctx, name(riders-1)); err != nil || id != ids[riders-1] {
		t.Errorf("by the old key alone, not moved yet: %s, %v", id, err)
	}
	for _, who := range []string{name(0), "somebody new"} {
		if id, err := before.RiderByIdentity(ctx, who); !errors.Is(err, store.ErrIdentityKey) {
			t.Errorf("by the old key alone, %s: %s, %v; want %v", who, id, err, store.ErrIdentityKey)
		}
	}
	newcomer, err := during.RiderByIdentity(ctx, "newcomer")
	if err != nil {
		t.Fatal(err)
	}
	if _, by, err = during.IdentityCount(ctx); err != nil || by[next.ID] != 201 {
		t.Errorf("a newcomer half-way is under the old key: %v, %v", by, err)
	}

	if unreadable, err := during.MoveIdentities(ctx, next.ID, nil); err != nil || len(unreadable) != 0 {
		t.Fatalf("the rest: %v, %v", unreadable, err)
	}
	if _, by, err = during.IdentityCount(ctx); err != nil || len(by) != 1 || by[next.ID] != riders+1 {
		t.Errorf("in the end: %v, %v; want everybody under the new key", by, err)
	}
	logsIn(after, "after", 0, 199, 200, riders-1)
	phones(after, "after", 0, 199, 200, riders-1)
	if id, err := after.RiderByIdentity(ctx, "newcomer"); err != nil || id != newcomer {
		t.Errorf("the newcomer is %s, %v; want %s", id, err, newcomer)
	}
	if _, err := before.Payer(ctx, ids[0]); !errors.Is(err, store.ErrIdentityKey) {
		t.Errorf("by the old key alone an identity reads: %v", err)
	}
	// The old key under the new one's name opens nothing either.
	if _, err := with(store.IdentityKey{ID: next.ID, Key: old.Key}).Payer(ctx, ids[0]); err == nil {
		t.Error("a forgotten key opens a box")
	}
	// What cannot be read stays and is named.
	run(t, owner(t, url), `UPDATE riders SET openid_box = '\x02', openid_key = '' WHERE id = $1`, ids[7])
	if unreadable, err := during.MoveIdentities(ctx, next.ID, nil); err != nil || len(unreadable) != 1 || unreadable[0] != ids[7] {
		t.Errorf("unreadable: %v, %v; want %s", unreadable, err, ids[7])
	}
}

// TestNobodyIsMadeTwiceWhileTheKeyChanges: many log in for the first time, at two
// replicas each, while the key changes under them.
func TestNobodyIsMadeTwiceWhileTheKeyChanges(t *testing.T) {
	ctx := t.Context()
	url := testkit.Database(t)
	if _, err := store.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	keys := []store.IdentityKey{{Key: make([]byte, 32)}, {ID: "00000000000000aa", Key: append(make([]byte, 31), 1)}}
	var dbs [2]*store.DB
	for i := range dbs {
		var err error
		if dbs[i], err = store.Open(ctx, store.Config{URL: url, IdentityKeys: keys}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(dbs[i].Close)
	}
	var wait sync.WaitGroup
	const people = 120
	var got [2][people]string
	for replica, db := range dbs {
		wait.Go(func() {
			for i := range people {
				id, err := db.RiderByIdentity(ctx, fmt.Sprint("o", i))
				if err != nil {
					t.Errorf("login %d: %v", i, err)
				}
				got[replica][i] = id
			}
		})
	}
	wait.Go(func() {
		for i := range 20 {
			if _, err := dbs[0].MoveIdentities(ctx, keys[(i+1)%2].ID, nil); err != nil {
				t.Errorf("move %d: %v", i, err)
			}
		}
	})
	wait.Wait()
	if got[0] != got[1] {
		t.Errorf("somebody is two riders")
	}
}
