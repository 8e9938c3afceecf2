package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// The public feed of bikes by the General Bikeshare Feed Specification, version 3.0
// (https://github.com/MobilityData/gbfs/blob/v3.0/gbfs.md): one system per venue with
// locks, since zone, hours and prices are a venue's, and a manifest that lists them.

const (
	feedVersion = "3.0"
	// feedTTL is how long a reader may keep what moves, feedSlowTTL what is set by staff.
	feedTTL     = 30 * time.Second
	feedSlowTTL = 5 * time.Minute
	// feedType is the only vehicle type of a system: the
	// venue's bikes.
	feedType = "bike"
	// feedMost bounds a venue's bikes in the feed.
	feedMost = 20_000
)

// feed is a file of a system. Slow ones change when staff change something.
type feed struct {
	slow bool
	data func(ctx context.Context, v order.Venue) (any, error)
}

// feeds are the files of a system besides its index, by name.
func (a *API) feeds() map[string]feed {
	return map[string]feed{
		"gbfs_versions":        {true, a.feedVersions},
		"system_information":   {true, a.feedSystem},
		"vehicle_types":        {true, a.feedTypes},
		"station_information":  {true, a.feedStation},
		"system_pricing_plans": {true, a.feedPrices},
		"geofencing_zones":     {true, a.feedZones},
		"station_status":       {false, a.feedStationStatus},
		"vehicle_status":       {false, a.feedVehicles},
	}
}

// feedFile is a file as readers get it.
type feedFile struct {
	Updated time.Time `json:"last_updated"`
	TTL     int       `json:"ttl"` // seconds
	Version string    `json:"version"`
	Data    any       `json:"data"`
}

// feedWord is a text in the languages of the feed.
type feedWord struct {
	Text     string `json:"text"`
	Language string `json:"language"`
}

// slowFeeds remembers when what staff set changed last, so that last_updated tells it.
type slowFeeds struct {
	mu   sync.Mutex
	seen map[string]slowFeed
}

type slowFeed struct {
	sum [32]byte
	at  time.Time
}

// changed is the moment at which a file began to say what it says.
func (s *slowFeeds) changed(path string, data []byte, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]slowFeed{}
	}
	sum := sha256.Sum256(data)
	if had, ok := s.seen[path]; ok && had.sum == sum {
		return had.at
	}
	s.seen[path] = slowFeed{sum, now}
	return now
}

// gbfs serves GET /gbfs/3.0/manifest.json and GET /gbfs/3.0/{venue}/{feed}.json.
func (a *API) gbfs(w http.ResponseWriter, r *http.Request) {
	if a.Feed.Email == "" {
		a.refuse(w, r, "gbfs", errRoute)
		return
	}
	venue, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/gbfs/"+feedVersion+"/"), "/")
	if !ok {
		venue, name = "", venue
	}
	name, isJSON := strings.CutSuffix(name, ".json")
	var data any
	slow := true
	err := errRoute
	file, known := a.feeds()[name]
	if name == "gbfs" {
		file, known = feed{true, a.feedIndex}, true
	}
	switch {
	case !isJSON:
	case venue == "" && name == "manifest":
		data, err = a.feedManifest(r.Context())
	case venue != "" && known:
		var v order.Venue
		if v, err = a.feedVenue(r.Context(), venue); err == nil {
			slow = file.slow
			data, err = file.data(r.Context(), v)
		}
	}
	if err != nil {
		a.refuse(w, r, "gbfs", err)
		return
	}
	a.writeFeed(w, r, slow, data)
}

func (a *API) writeFeed(w http.ResponseWriter, r *http.Request, slow bool, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		a.refuse(w, r, "gbfs", err)
		return
	}
	now := time.Now().UTC().Truncate(time.Second)
	f := feedFile{Updated: now, TTL: int(feedTTL / time.Second), Version: feedVersion, Data: json.RawMessage(text)}
	if slow {
		f.TTL, f.Updated = int(feedSlowTTL/time.Second), a.slow.changed(r.URL.Path, text, now)
	}
	// The tag is of what is said, not of when: who has it needs nothing new.
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Last-Modified", f.Updated.Format(http.TimeFormat))
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(f.TTL))
	h.Set("Access-Control-Allow-Origin", "*") // it is public, and read by web pages
	if slices.ContainsFunc(strings.Split(r.Header.Get("If-None-Match"), ","), func(t string) bool {
		return strings.TrimPrefix(strings.TrimSpace(t), "W/") == tag
	}) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		a.refuse(w, r, "gbfs", err)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

func (a *API) feedURL(venue, name string) string {
	if venue != "" {
		venue += "/"
	}
	return a.Scheme + "://" + a.Domain + "/gbfs/" + feedVersion + "/" + venue + name + ".json"
}

// feedVenue finds a venue that sells rides; errRoute else.
func (a *API) feedVenue(ctx context.Context, id string) (order.Venue, error) {
	all, err := a.Store.Venues(ctx)
	if err != nil {
		return order.Venue{}, err
	}
	for _, v := range all {
		if v.ID == id {
			if _, err = a.Orders.Catalog.TariffFor(ctx, id, device.Lock, ""); errors.Is(err, order.ErrNoTariff) {
				err = errRoute
			}
			return v, err
		}
	}
	return order.Venue{}, errRoute
}

// feedVenues are those with a tariff for locks: a venue without sells no rides.
func (a *API) feedVenues(ctx context.Context) ([]order.Venue, error) {
	all, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	var found []order.Venue
	for _, v := range all {
		switch _, err := a.Orders.Catalog.TariffFor(ctx, v.ID, device.Lock, ""); {
		case err == nil:
			found = append(found, v)
		case !errors.Is(err, order.ErrNoTariff):
			return nil, err
		}
	}
	return found, nil
}

func (a *API) feedManifest(ctx context.Context) (any, error) {
	type version struct {
		Version string `json:"version"`
		URL     string `json:"url"`
	}
	type dataset struct {
		System   string    `json:"system_id"`
		Versions []version `json:"versions"`
	}
	venues, err := a.feedVenues(ctx)
	return map[string]any{"datasets": each(venues, func(v order.Venue) dataset {
		return dataset{a.systemID(v), []version{{feedVersion, a.feedURL(v.ID, "gbfs")}}}
	})}, err
}

// systemID is world-wide the venue's own, and stays while domain and id do.
func (a *API) systemID(v order.Venue) string {
	return strings.NewReplacer(".", "_", ":", "_").Replace(a.Domain) + "_" + v.ID
}

func (a *API) feedIndex(_ context.Context, v order.Venue) (any, error) {
	type entry struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	var all []entry
	for name := range a.feeds() {
		all = append(all, entry{name, a.feedURL(v.ID, name)})
	}
	slices.SortFunc(all, func(x, y entry) int { return strings.Compare(x.Name, y.Name) })
	return map[string]any{"feeds": all}, nil
}

func (a *API) feedVersions(_ context.Context, v order.Venue) (any, error) {
	return map[string]any{"versions": []map[string]string{{"version": feedVersion, "url": a.feedURL(v.ID, "gbfs")}}}, nil
}

func (a *API) feedSystem(_ context.Context, v order.Venue) (any, error) {
	hours := v.Hours.String()
	if hours == "" {
		hours = "24/7"
	}
	return map[string]any{"system_id": a.systemID(v), "languages": []string{"zh-CN", "en"},
		"name":     []feedWord{{v.Name, "zh-CN"}, {v.Name, "en"}},
		"operator": []feedWord{{a.DisplayName, "zh-CN"}, {a.DisplayName, "en"}}, "opening_hours": hours, "timezone": v.TimeZone,
		"feed_contact_email": a.Feed.Email, "manifest_url": a.feedURL("", "manifest"), "url": a.Scheme + "://" + a.Domain + "/"}, nil
}

func (a *API) feedTypes(ctx context.Context, v order.Venue) (any, error) {
	t, err := a.Orders.Catalog.TariffFor(ctx, v.ID, device.Lock, "")
	if err != nil {
		return nil, err
	}
	returns := "free_floating"
	if len(v.Fence) > 0 {
		returns = "any_station" // the venue is the station
	}
	return map[string]any{"vehicle_types": []any{map[string]any{"vehicle_type_id": feedType, "form_factor": "bicycle", "propulsion_type": "human",
		"name": []feedWord{{"共享单车", "zh-CN"}, {"Shared bike", "en"}}, "wheel_count": 2, "return_constraint": returns,
		"default_pricing_plan_id": t.ID, "pricing_plan_ids": []string{t.ID}}}}, nil
}

// feedStation is the venue, as a virtual station whose area is its geofence. Without
// a position there is nothing to show.
func (a *API) feedStation(_ context.Context, v order.Venue) (any, error) {
	stations := []any{}
	if at, ok := centre(v); ok {
		s := map[string]any{"station_id": v.ID, "name": []feedWord{{v.Name, "zh-CN"}, {v.Name, "en"}}, "lat": degrees(at.lat), "lon": degrees(at.lng),
			"is_virtual_station": true}
		if area := areaOf(v.Fence); area != nil {
			s["station_area"] = area
		}
		if h := v.Hours.String(); h != "" {
			s["station_opening_hours"] = h
		}
		stations = append(stations, s)
	}
	return map[string]any{"stations": stations}, nil
}

// centre is where a venue stands: its position, or the middle of its geofence.
func centre(v order.Venue) (point, bool) {
	if v.Lat != 0 || v.Lng != 0 {
		return point{v.Lat, v.Lng}, true
	}
	if len(v.Fence) == 0 {
		return point{}, false
	}
	low, high := point{90, 180}, point{-90, -180}
	for _, polygon := range v.Fence {
		for _, p := range polygon[0] {
			low = point{min(low.lat, p.Lat), min(low.lng, p.Lng)}
			high = point{max(high.lat, p.Lat), max(high.lng, p.Lng)}
		}
	}
	return point{(low.lat + high.lat) / 2, (low.lng + high.lng) / 2}, true
}

// degrees has six decimals, as the specification wants: a tenth of a metre.
func degrees(v float64) float64 { return math.Round(v*1e6) / 1e6 }

func (a *API) feedPrices(ctx context.Context, v order.Venue) (any, error) {
	t, err := a.Orders.Catalog.TariffFor(ctx, v.ID, device.Lock, "")
	if err != nil {
		return nil, err
	}
	text := tariffText(t)
	plan := map[string]any{"plan_id": t.ID, "name": []feedWord{{t.Name, "zh-CN"}, {t.Name, "en"}}, "currency": "CNY", "price": 0.0, "is_taxable": false,
		"description": []feedWord{{strings.Join(text.ZH, "；"), "zh-CN"}, {strings.Join(text.EN, "; "), "en"}}}
	if rule := t.TimeRule; rule != nil {
		plan["price"] = yuan(rule.UnlockFee)
		// Whole minutes are all that the feed can say; the text says the rest.
		if rule.BlockFee > 0 && rule.BlockMS%60_000 == 0 {
			plan["per_min_pricing"] = []any{map[string]any{"start": rule.FreeMS / 60_000, "rate": yuan(rule.BlockFee), "interval": rule.BlockMS / 60_000}}
		}
	}
	return map[string]any{"plans": []any{plan}}, nil
}

func yuan(f billing.Fen) float64 { return float64(f) / 100 }

func (a *API) feedZones(_ context.Context, v order.Venue) (any, error) {
	rule := func(end bool) map[string]any {
		return map[string]any{"ride_start_allowed": true, "ride_end_allowed": end, "ride_through_allowed": true}
	}
	features, global := []any{}, []any{rule(true)}
	if area := areaOf(v.Fence); area != nil {
		features = append(features, map[string]any{"type": "Feature", "geometry": area,
			"properties": map[string]any{"name": []feedWord{{v.Name, "zh-CN"}, {v.Name, "en"}}, "rules": []any{rule(true)}}})
		global = []any{rule(false)}
	}
	return map[string]any{"geofencing_zones": map[string]any{"type": "FeatureCollection", "features": features}, "global_rules": global}, nil
}

// vehicle is a bike that nobody rides.
type vehicle struct {
	ID       string    `json:"vehicle_id"`
	Type     string    `json:"vehicle_type_id"`
	Lat      *float64  `json:"lat,omitempty"`
	Lng      *float64  `json:"lon,omitempty"`
	Station  string    `json:"station_id,omitempty"`
	Reserved bool      `json:"is_reserved"`
	Disabled bool      `json:"is_disabled"`
	Reported time.Time `json:"last_reported"`
	Plan     string    `json:"pricing_plan_id"`
}

// vehicles are read for each request, those who ask at once sharing one read that
// began after they asked: a bike that was just taken must not be there.
func (a *API) vehicles(ctx context.Context, v order.Venue) ([]vehicle, error) {
	t, err := a.Orders.Catalog.TariffFor(ctx, v.ID, device.Lock, "")
	if err != nil {
		return nil, err
	}
	rows, err := a.feedReads.read(ctx, v.ID, func(ctx context.Context) ([]feedRow, error) { return a.locksOf(ctx, v.ID) })
	if err != nil {
		return nil, err
	}
	found := []vehicle{}
	now := time.Now()
	_, hasStation := centre(v)
	for _, row := range rows {
		d := row.Device
		if d.Kind != device.Lock || d.Service == device.Retired || d.HeardAt.IsZero() || len(row.Outlets) != 1 {
			continue
		}
		o := row.Outlets[0]
		// In use, about to be, or perhaps: an order, a block, a bolt that is not stated shut.
		if o.Order != "" || o.Block != device.NotBlocked || !o.Stated.Known || !o.Stated.Closed {
			continue
		}
		reserved := o.Reservation.Holds(now)
		o.Reservation = device.Reservation{} // kept for somebody, it is in order all the same
		x := vehicle{ID: a.vehicleID(d, o), Type: feedType, Reserved: reserved, Disabled: !v.Serves(now) || d.Availability(o, false, now) != device.Available,
			Reported: d.HeardAt.UTC().Truncate(time.Second), Plan: t.ID}
		// A place noted before the newest use is not where the bike is, and would tell which
		// bike it was.
		placed := row.Lat != nil && row.Lng != nil && (row.used.IsZero() || row.PlacedAt != nil && row.PlacedAt.After(row.used))
		if placed {
			lat, lng := degrees(*row.Lat), degrees(*row.Lng)
			x.Lat, x.Lng = &lat, &lng
		}
		if hasStation && (!placed || len(v.Fence) > 0 && v.Fence.Holds(order.Point{Lat: *row.Lat, Lng: *row.Lng})) {
			x.Station = v.ID
		}
		if placed || x.Station != "" {
			found = append(found, x)
		}
	}
	// By their ids, which say nothing: the order of devices would.
	slices.SortFunc(found, func(x, y vehicle) int { return strings.Compare(x.ID, y.ID) })
	return found, nil
}

// feedRow is a device with when its newest use began; zero = there was none.
type feedRow struct {
	order.DeviceRow
	used time.Time
}

func (a *API) locksOf(ctx context.Context, venue string) ([]feedRow, error) {
	var all []feedRow
	for after := device.ID(""); len(all) < feedMost; {
		rows, err := a.Store.Devices(ctx, "", venue, after, fleetPage)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			all = append(all, feedRow{DeviceRow: r})
		}
		if len(rows) < fleetPage {
			break
		}
		after = rows[len(rows)-1].Device.ID
	}
	uses, err := a.Store.LastUses(ctx, venue) // after the devices: a use that began meanwhile hides a place, and shows none
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].used = uses[all[i].Device.ID]
	}
	return all, nil
}

// vehicleID names a bike between two rides and nothing else: it is keyed, and changes
// with each opening of the bolt, so that nobody can follow a bike through a ride.
func (a *API) vehicleID(d device.Device, o device.Outlet) string {
	mac := hmac.New(sha256.New, a.Feed.Key)
	fmt.Fprintf(mac, "%s/%d/%d", d.ID, d.Epoch, o.Opens)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (a *API) feedVehicles(ctx context.Context, v order.Venue) (any, error) {
	found, err := a.vehicles(ctx, v)
	return map[string]any{"vehicles": found}, err
}

func (a *API) feedStationStatus(ctx context.Context, v order.Venue) (any, error) {
	if _, ok := centre(v); !ok {
		return map[string]any{"stations": []any{}}, nil
	}
	found, err := a.vehicles(ctx, v)
	if err != nil {
		return nil, err
	}
	free, disabled := 0, 0
	reported := time.Unix(0, 0).UTC()
	for _, x := range found {
		if x.Reported.After(reported) {
			reported = x.Reported
		}
		switch {
		case x.Station == "", x.Reserved:
		case x.Disabled:
			disabled++
		default:
			free++
		}
	}
	return map[string]any{"stations": []any{map[string]any{"station_id": v.ID, "num_vehicles_available": free, "num_vehicles_disabled": disabled,
		"vehicle_types_available": []any{map[string]any{"vehicle_type_id": feedType, "count": free}},
		"is_installed":            true, "is_renting": v.Serves(time.Now()), "is_returning": true, "last_reported": reported}}}, nil
}

// sharedReads lets who asks for the same at once share a read: the next one that
// begins after they came.
type sharedReads struct {
	mu   sync.Mutex
	keys map[string]*sharedRead
}

type sharedRead struct {
	turn chan struct{} // held by who reads
	next *sharedResult // of those who came since the running read began
}

type sharedResult struct {
	done chan struct{}
	rows []feedRow
	err  error
}

// readPatience bounds a shared read, which may outlive the request that runs it.
const readPatience = 10 * time.Second

func (s *sharedReads) read(ctx context.Context, key string, read func(context.Context) ([]feedRow, error)) ([]feedRow, error) {
	s.mu.Lock()
	if s.keys == nil {
		s.keys = map[string]*sharedRead{}
	}
	k := s.keys[key]
	if k == nil {
		k = &sharedRead{turn: make(chan struct{}, 1)}
		s.keys[key] = k
	}
	if k.next == nil {
		k.next = &sharedResult{done: make(chan struct{})}
	}
	mine := k.next
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.rows, mine.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case k.turn <- struct{}{}:
	}
	defer func() { <-k.turn }()
	s.mu.Lock()
	if k.next != mine { // somebody else had the turn and read it
		s.mu.Unlock()
		return mine.rows, mine.err
	}
	k.next = nil
	s.mu.Unlock()
	defer close(mine.done)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), readPatience)
	defer cancel()
	mine.rows, mine.err = read(bounded)
	return mine.rows, mine.err
}
