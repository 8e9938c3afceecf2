package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
)

// reserved is a reservation as a rider sees it.
type reserved struct {
	ID, Device, State, Number, Order string
	Venue                            struct{ Name string }
	Fee                              int64     `json:"fee_fen"`
	ExpiresAt                        time.Time `json:"expires_at"`
	FreeUntil                        time.Time `json:"free_until"`
}

func (v *venue) reserve(c client, bike, key string) (int, string, reserved) {
	v.t.Helper()
	status, code, body := v.ask(c, http.MethodPost, "/v1/reservations", key, fmt.Sprintf(`{"device": %q, "outlet": 1}`, bike))
	var r reserved
	_ = json.Unmarshal(body, &r)
	return status, code, r
}

// lapse lets a reservation's time pass.
func (v *venue) lapse(id string) {
	v.t.Helper()
	conn, err := pgx.Connect(v.ctx, v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(v.ctx, `WITH r AS (UPDATE reservations SET expires_at = now() WHERE id = $1 RETURNING device, outlet)
		UPDATE outlets o SET reserved_until = now() FROM r WHERE o.device = r.device AND o.n = r.outlet`, id); err != nil {
		v.t.Fatal(err)
	}
}

func TestTwoRidersRaceForAReservation(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada", "ben"}, Replicas: 2})
	riders := []client{v.rider("ada", 0, 10_000), v.rider("ben", 1, 10_000)}
	got := [2]reserved{}
	codes := [2]string{}
	var both sync.WaitGroup
	for i, c := range riders {
		both.Go(func() { _, codes[i], got[i] = v.reserve(c, "bike-1", "race") })
	}
	both.Wait()
	won, lost := 0, 1
	if got[0].ID == "" {
		won, lost = 1, 0
	}
	if got[won].ID == "" || got[lost].ID != "" || codes[lost] != "outlet_reserved" {
		t.Fatalf("two riders at once: %+v, codes %q; want one reservation and outlet_reserved", got, codes)
	}
	r, holder, other := got[won], riders[won], riders[lost]
	if r.State != "held" || r.Number == "" || r.Venue.Name != "Campus" || r.ExpiresAt.Sub(r.FreeUntil) != 5*time.Minute {
		t.Errorf("reserved: %+v", r)
	}
	if _, _, again := v.reserve(holder, "bike-1", "race"); again != r {
		t.Errorf("the same request: %+v, want %+v", again, r)
	}
	if status, code, again := v.reserve(holder, "bike-1", "tapped-twice"); status != http.StatusCreated || again.ID != r.ID || !again.ExpiresAt.Equal(r.ExpiresAt) {
		t.Errorf("the same bike, asked for anew: %d %q %+v, want %+v", status, code, again, r)
	}
	if _, code, _ := v.reserve(holder, "bike-2", "second"); code != "reservation_held" {
		t.Errorf("a second bike: %q, want reservation_held", code)
	}
	scan := fmt.Sprintf(`{"url": %q}`, v.codes["bike-1"])
	if status, code, _ := v.ask(other, http.MethodPost, "/v1/scans", "", scan); code != "outlet_reserved" {
		t.Errorf("the other's scan: %d %q, want outlet_reserved", status, code)
	}
	if status, code, _ := v.ask(other, http.MethodGet, "/v1/reservations/"+r.ID, "", ""); status != http.StatusNotFound || code != "reservation_unknown" {
		t.Errorf("the other's look at it: %d %q", status, code)
	}
	var me struct{ Reservation *reserved }
	if err := holder.do(v.ctx, http.MethodGet, "/v1/me", "", nil, &me); err != nil || me.Reservation == nil || me.Reservation.ID != r.ID {
		t.Errorf("me: %+v, %v; want the reservation", me, err)
	}
	o, err := v.start(holder, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(holder, o.ID, "active", 30*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(holder, o.ID, "settled", 30*time.Second)
	var used reserved
	if err := holder.do(v.ctx, http.MethodGet, "/v1/reservations/"+r.ID, "", nil, &used); err != nil || used.State != "used" || used.Order != o.ID || used.Fee != 0 {
		t.Errorf("used: %+v, %v", used, err)
	}
	var none struct{ Reservation *reserved }
	if err := holder.do(v.ctx, http.MethodGet, "/v1/me", "", nil, &none); err != nil || none.Reservation != nil {
		t.Errorf("me: %+v, %v; want no reservation", none, err)
	}
	v.judge("bike-1")
}

// TestAReservedBikeIsShownAsReserved: riders' maps leave it out, the public feed and staff
// are told, and what it costs is on the receipt of the order that uses it.
func TestAReservedBikeIsShownAsReserved(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada"}, FeedEmail: "feed@example.com"})
	n, c, staff := v.nodes[0], v.rider("ada", 0, 10_000), v.staff()
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/tariffs", "t2", map[string]any{"id": "kept", "name": "kept", "venue": demoVenue, "kind": "lock", "unlock_fee_fen": 100,
		"block_ms": 1000, "block_fee_fen": 0, "ride_cap_fen": 2000, "reserve_free_minutes": -1, "reserve_fen_per_minute": 30}, nil); err != nil {
		t.Fatal(err)
	}
	for i, id := range []device.ID{"bike-1", "bike-2"} {
		if err := n.db.PlaceDevice(v.ctx, id, 30+float64(i)/1000, 120); err != nil {
			t.Fatal(err)
		}
	}
	_, code, r := v.reserve(c, "bike-1", "one")
	if r.ID == "" || r.FreeUntil.After(time.Now().Add(time.Second)) {
		t.Fatalf("reserved: %+v, %q", r, code)
	}
	var near struct{ Devices []struct{ ID string } }
	if err := c.do(v.ctx, http.MethodGet, "/v1/nearby?lat=30&lng=120&radius_m=5000", "", nil, &near); err != nil || len(near.Devices) != 1 || near.Devices[0].ID != "bike-2" {
		t.Errorf("nearby: %+v, %v; want bike-2 alone", near, err)
	}
	var feed struct {
		Data struct {
			Vehicles []struct {
				Lat      float64
				Reserved bool `json:"is_reserved"`
				Disabled bool `json:"is_disabled"`
			}
		}
	}
	if _, err := (feedReader{n.url(), feedSchemas(t)}).file("/gbfs/3.0/"+demoVenue+"/vehicle_status.json", &feed); err != nil || len(feed.Data.Vehicles) != 2 {
		t.Fatalf("the feed: %+v, %v", feed, err)
	}
	for _, x := range feed.Data.Vehicles {
		if x.Reserved != (x.Lat < 30.0005) || x.Disabled {
			t.Errorf("the feed says of the bike at %v: reserved %v, disabled %v", x.Lat, x.Reserved, x.Disabled)
		}
	}
	var detail struct {
		Outlets []struct {
			Availability string
			Reserved     struct{ ID, Rider string }
		}
	}
	if err := staff.do(v.ctx, http.MethodGet, "/v1/operator/devices/bike-1", "", nil, &detail); err != nil || detail.Outlets[0].Availability != "reserved" ||
		detail.Outlets[0].Reserved.ID != r.ID || detail.Outlets[0].Reserved.Rider != c.id {
		t.Errorf("staff see %+v, %v", detail, err)
	}
	o, err := v.start(c, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(c, o.ID, "active", 30*time.Second)
	v.direct("bike-1", "close", nil)
	if o := v.reaches(c, o.ID, "settled", 30*time.Second); o.Charged != 130 || o.Quote.Lines[2].Kind != "reservation" {
		t.Errorf("the receipt: %+v; want one begun minute of 0.30", o)
	}
	v.judge("bike-1")
}

func TestAReservationEndsByTheClockAlone(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada", "ben"}})
	ada, ben := v.rider("ada", 0, 10_000), v.rider("ben", 0, 10_000)
	_, _, r := v.reserve(ada, "bike-1", "one")
	if _, err := v.start(ben, "bike-1"); err == nil {
		t.Error("somebody else took a reserved bike")
	}
	v.lapse(r.ID)
	var over reserved
	if err := ada.do(v.ctx, http.MethodGet, "/v1/reservations/"+r.ID, "", nil, &over); err != nil || over.State != "expired" || over.Fee != 0 {
		t.Errorf("after its time: %+v, %v", over, err)
	}
	o, err := v.start(ben, "bike-1")
	if err != nil {
		t.Fatalf("after its time: %v", err)
	}
	v.reaches(ben, o.ID, "active", 30*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(ben, o.ID, "settled", 30*time.Second)
	// The next one makes room for itself; given back, it is free at once.
	v.until("it can be reserved again", 10*time.Second, func() bool {
		_, _, r = v.reserve(ada, "bike-1", fmt.Sprint("again-", time.Now().UnixNano()))
		return r.ID != ""
	})
	for range 2 {
		if status, code, _ := v.ask(ada, http.MethodPost, "/v1/reservations/"+r.ID+"/cancel", "", ""); status != http.StatusOK {
			t.Errorf("cancel: %d %q", status, code)
		}
	}
	_, _, r = v.reserve(ada, "bike-1", "third")
	v.lapse(r.ID)
	if status, code, _ := v.reserve(ada, "bike-1", "fourth"); status != http.StatusTooManyRequests || code != "too_many_reservations" {
		t.Errorf("after three that went unused: %d %q", status, code)
	}
	var mine struct{ Reservations []reserved }
	if err := ada.do(v.ctx, http.MethodGet, "/v1/me/export", "", nil, &mine); err != nil || len(mine.Reservations) != 3 {
		t.Errorf("what is kept about her: %+v, %v; want three reservations", mine, err)
	}
	for _, r := range mine.Reservations {
		if r.Venue.Name != "Campus" || r.Fee != 0 {
			t.Errorf("a reservation that went unused, in the export: %+v; want its venue's name and no fee", r)
		}
	}
	if status, code, _ := v.ask(ada, http.MethodPost, "/v1/me/erase", "", ""); code != "wallet_not_empty" {
		t.Errorf("erase: %d %q", status, code)
	}
	v.judge("bike-1")
}
