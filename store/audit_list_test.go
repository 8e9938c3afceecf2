package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/order"
)

func TestActsAreFoundByWhoWhatWhereAndWhen(t *testing.T) {
	db, _ := open(t)
	base := time.Now().Add(time.Hour).Truncate(time.Second)
	for i, a := range []order.Audit{
		{Staff: "s1", Act: "venue.put", Object: "venue north", Reason: "100% sure", After: []byte(`{"phone":"400"}`)},
		{Staff: "s1", Act: "venues", Object: "venue north_gate"},
		{Staff: "s2", Act: "code.revoke", Object: "code of device bike-001", Reason: "worn"},
	} {
		a.ID, a.At = uuid.Must(uuid.NewV7()).String(), base.Add(time.Duration(i)*time.Minute)
		if err := db.PutVenue(t.Context(), order.Venue{ID: "v", Name: "V", TimeZone: "UTC"}, a); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		q    order.AuditQuery
		want []string
	}{
		"everything since, newest first": {order.AuditQuery{From: base}, []string{"code.revoke", "venues", "venue.put"}},
		"a member":                       {order.AuditQuery{Staff: "s2"}, []string{"code.revoke"}},
		"how an act begins":              {order.AuditQuery{Act: "venue."}, []string{"venue.put"}},
		"part of an object, any capital": {order.AuditQuery{Object: "BIKE-0"}, []string{"code.revoke"}},
		"an underscore is no wildcard":   {order.AuditQuery{Object: "north_"}, []string{"venues"}},
		"a per cent is no wildcard":      {order.AuditQuery{Text: "0% s"}, []string{"venue.put"}},
		"what came after":                {order.AuditQuery{Text: `"400"`}, []string{"venue.put"}},
		"from then":                      {order.AuditQuery{From: base.Add(time.Minute)}, []string{"code.revoke", "venues"}},
		"until before then":              {order.AuditQuery{From: base, To: base.Add(time.Minute)}, []string{"venue.put"}},
	} {
		rows, err := db.Audits(t.Context(), c.q, 10)
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.Act)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestActsOnAnOrdersMoneyAreReadWithIt: refunds too, and what became of those that needed a
// second person, whose decision names the request alone.
func TestActsOnAnOrdersMoneyAreReadWithIt(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	exec := func(sql string, args ...any) { t.Helper(); run(t, conn, sql, args...) }
	exec(`SET session_replication_role = replica`) // their orders are not needed
	one, other, asked, others := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	for request, of := range map[string]string{asked: one, others: other} {
		exec(`INSERT INTO refund_requests (id, order_id, venue, amount, reason, staff, state, at) VALUES ($1, $2, 'campus', 5, 'r', 'ann', 'waiting', now())`, request, of)
	}
	base := time.Now().Truncate(time.Second)
	for i, a := range []order.Audit{
		{Staff: "ann", Act: "money.refund", Object: "order " + one, Reason: "wet", After: []byte(`{"amount_fen":50}`)},
		{Staff: "ann", Act: "refund.ask", Object: "order " + one, Reason: "all of it"},
		{Staff: "bob", Act: "refund.decline", Object: "refund " + others, Reason: "of another"},
		{Staff: "bob", Act: "refund.decline", Object: "refund " + asked, Reason: "once is enough"},
		{Staff: "ann", Act: "money.refund", Object: "order " + other, Reason: "of another"},
	} {
		a.ID, a.At = uuid.Must(uuid.NewV7()).String(), base.Add(time.Duration(i)*time.Minute)
		exec(`INSERT INTO audits (id, staff, act, object, reason, after, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`, a.ID, a.Staff, a.Act, a.Object, a.Reason, a.After, a.At)
	}
	rows, err := db.OrderActs(t.Context(), one)
	var got []string
	for _, r := range rows {
		got = append(got, r.Act+" "+r.Staff+" "+r.Reason)
	}
	if want := []string{"money.refund ann wet", "refund.ask ann all of it", "refund.decline bob once is enough"}; err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q, %v, want %q", got, err, want)
	}
	if !strings.Contains(string(rows[0].After), "50") || rows[2].Object != "refund "+asked {
		t.Errorf("%+v: no amount, or not whose request it was", rows)
	}
}

// TestActsOnAnOrderAreReadWithIt: with the reasons that staff gave, the oldest first, and
// nothing that was done to another.
func TestActsOnAnOrderAreReadWithIt(t *testing.T) {
	db, _ := open(t)
	base := time.Now().Truncate(time.Second)
	for i, a := range []order.Audit{
		{Staff: "s1", Act: "order.unlock", Object: "order o1", Reason: "the brake squeaks"},
		{Staff: "s2", Act: "order.end", Object: "order o1", Reason: "left open"},
		{Staff: "s2", Act: "order.end", Object: "order o11", Reason: "of another"},
		{Staff: "s2", Act: "code.revoke", Object: "order o1", Reason: "of another kind"},
	} {
		a.ID, a.At = uuid.Must(uuid.NewV7()).String(), base.Add(time.Duration(i)*time.Minute)
		if err := db.PutVenue(t.Context(), order.Venue{ID: "v", Name: "V", TimeZone: "UTC"}, a); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := db.OrderActs(t.Context(), "o1")
	if err != nil || len(rows) != 2 || rows[0].Reason != "the brake squeaks" || rows[0].Staff != "s1" || !rows[0].At.Equal(base) || rows[1].Act != "order.end" {
		t.Errorf("%+v, %v", rows, err)
	}
}
