package store_test

import (
	"slices"
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
