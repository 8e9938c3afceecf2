package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

func codeAudit(act string) order.Audit {
	return order.Audit{ID: uuid.Must(uuid.NewV7()).String(), Staff: "s1", Act: act, Object: "x", Reason: "the test says so", At: time.Now()}
}

// numbers hands out numbers in their order, each of the first few again and again.
func numbers(from int) func() (string, error) {
	n := from
	return func() (string, error) {
		n++
		return fmt.Sprintf("%014d", from+(n-from)/3), nil
	}
}

func newBatch(venue, key string, count int, mint func() (string, error)) order.AddBatch {
	return order.AddBatch{ID: uuid.Must(uuid.NewV7()).String(), Venue: venue, Caption: "Scan", Count: count, Mint: mint,
		Key: order.KeyRef{Principal: "staff:s1", Key: key}, Route: "test", Staff: codeAudit("code.batch"),
		Answer: func(b order.CodeBatch) (int, []byte, error) {
			body, err := json.Marshal(b)
			return 201, body, err
		}}
}

func TestTakenNumbersOfABatchAreDrawnAgain(t *testing.T) {
	db, _ := open(t)
	testkit.ThreeOrders(t, db)
	venues, err := db.Venues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	venue := venues[0].ID
	// The second batch draws mostly what the first has, and both repeat themselves.
	var batches []order.CodeBatch
	for i, key := range []string{"one", "two"} {
		status, body, err := db.AddBatch(t.Context(), newBatch(venue, key, 500, numbers(100*i)))
		if err != nil || status != 201 {
			t.Fatal(status, err)
		}
		var b order.CodeBatch
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	seen := map[string]bool{}
	for _, b := range batches {
		codes, err := db.BatchCodes(t.Context(), b.ID, 0, "", 1000)
		if err != nil || len(codes) != 500 {
			t.Fatalf("%d codes, %v", len(codes), err)
		}
		for i, c := range codes {
			if seen[c.Number] || c.Label != i+1 || c.Venue != venue || c.Device != "" {
				t.Fatalf("code %d: %+v", i, c)
			}
			seen[c.Number] = true
		}
		rest, err := db.BatchCodes(t.Context(), b.ID, codes[489].Label, codes[489].Number, 1000)
		if err != nil || len(rest) != 10 {
			t.Errorf("behind label 490: %d codes, %v", len(rest), err)
		}
	}
	broken := errors.New("no random numbers")
	if _, _, err := db.AddBatch(t.Context(), newBatch(venue, "three", 10, func() (string, error) { return "", broken })); !errors.Is(err, broken) {
		t.Errorf("a source that breaks off: %v", err)
	}
	if list, err := db.Batches(t.Context(), nil, "", 10); err != nil || len(list) != 2 || list[0].ID != batches[1].ID || list[0].Unbound != 500 {
		t.Errorf("batches: %+v, %v", list, err)
	}
	for _, f := range audit(t, db).Findings {
		t.Errorf("audit: %+v", f)
	}
}

func TestOneKeyMintsOneBatchHoweverOftenItIsAsked(t *testing.T) {
	db, _ := open(t)
	testkit.ThreeOrders(t, db)
	venues, err := db.Venues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	answers := make([]string, 6)
	for i := range answers {
		wait.Go(func() {
			_, body, err := db.AddBatch(t.Context(), newBatch(venues[0].ID, "same", 300, numbers(1000*i)))
			if err != nil {
				t.Error(err)
			}
			answers[i] = string(body)
		})
	}
	wait.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("two answers to one key: %s and %s", a, answers[0])
		}
	}
	if list, err := db.Batches(t.Context(), []string{venues[0].ID}, "", 10); err != nil || len(list) != 1 {
		t.Errorf("%d batches, %v", len(list), err)
	}
}

// TestOfManyBindsAtOnceOneWins: a code hangs on one outlet, whoever binds it.
func TestOfManyBindsAtOnceOneWins(t *testing.T) {
	db, _ := open(t)
	testkit.ThreeOrders(t, db)
	rows, err := db.Devices(t.Context(), "", "", "", 10)
	if err != nil || len(rows) < 2 {
		t.Fatal(len(rows), err)
	}
	if _, _, err := db.AddBatch(t.Context(), newBatch(rows[0].Device.Venue, "k", 1, numbers(7))); err != nil {
		t.Fatal(err)
	}
	const number = "00000000000007"
	var wait sync.WaitGroup
	var mu sync.Mutex
	won, refused := 0, 0
	for i := range 8 {
		wait.Go(func() {
			_, err := db.BindCode(t.Context(), order.BindCode{Number: number, Device: rows[i%2].Device.ID, Outlet: 1, Staff: codeAudit("")})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, order.ErrCodeBound):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won != 4 || refused != 4 {
		t.Errorf("%d bound it and %d were refused; want those of one device and those of the other", won, refused)
	}
	acts, err := db.AuditPage(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	binds := 0
	for _, a := range acts {
		if a.Act == "code.bind" {
			binds++
		}
	}
	if binds != 1 {
		t.Errorf("%d audit rows, want one", binds)
	}
	for _, f := range audit(t, db).Findings {
		t.Errorf("audit: %+v", f)
	}
}
