package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

const schemaFolder = "../../api/testdata/gbfs-3.0"

// feedSchemas compiles the published schemas, after holding them against their sums.
func feedSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(schemaFolder, "README"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(schemaFolder, "*.json"))
	if err != nil || len(files) != 10 {
		t.Fatalf("%d schemas, %v; want 10", len(files), err)
	}
	all := map[string]*jsonschema.Schema{}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if !strings.Contains(string(sums), hex.EncodeToString(sum[:])+"  "+filepath.Base(path)) {
			t.Errorf("%s is not the published one", path)
		}
		text, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("file:///"+filepath.Base(path), text); err != nil {
			t.Fatal(err)
		}
		if all[strings.TrimSuffix(filepath.Base(path), ".json")], err = c.Compile("file:///" + filepath.Base(path)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// feedReader reads the feed as the public does.
type feedReader struct {
	base    string
	schemas map[string]*jsonschema.Schema
}

// file fetches one file, valid by its schema.
func (f feedReader) file(path string, into any) (*http.Response, error) {
	answer, err := http.Get(f.base + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d: %s", path, answer.StatusCode, b)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.schemas[strings.TrimSuffix(filepath.Base(path), ".json")].Validate(v); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path, err, b)
	}
	return answer, json.Unmarshal(b, into)
}

type feedVehicle struct {
	ID       string   `json:"vehicle_id"`
	LatJSON  *float64 `json:"lat"`
	Disabled bool     `json:"is_disabled"`
	Reserved bool     `json:"is_reserved"`
	Station  string   `json:"station_id"`
}

type vehicleStatus struct {
	Updated time.Time `json:"last_updated"`
	TTL     int
	Data    struct{ Vehicles []feedVehicle }
}

// bikeWatch is what the test itself knows of one bike.
type bikeWatch struct {
	rides  int       // that were begun; odd numbers while an order is on its way
	rented time.Time // since the answer to the order; zero = not
	ids    map[string]int
}

// TestTheFeedHidesRentedBikesAndRotatesTheirIdsThroughAThousandRides. Every file of
// every read is valid by the published schemas.
func TestTheFeedHidesRentedBikesAndRotatesTheirIdsThroughAThousandRides(t *testing.T) {
	t.Parallel()
	const bikes, ridesEach = 25, 40
	var ids, riders []string
	for i := range bikes {
		ids, riders = append(ids, fmt.Sprintf("bike-%02d", i)), append(riders, fmt.Sprintf("rider-%02d", i))
	}
	v := newVenue(t, venueConfig{Bikes: ids, Riders: riders, FeedEmail: "feed@example.com"})
	n := v.nodes[0]
	fence := order.Fence{{{{Lat: 29, Lng: 119}, {Lat: 29, Lng: 122}, {Lat: 32, Lng: 122}, {Lat: 32, Lng: 119}, {Lat: 29, Lng: 119}}}}
	if err := n.db.PutVenue(v.ctx, order.Venue{ID: demoVenue, Name: "Campus", TimeZone: "Asia/Shanghai", Open: true, Lat: 30, Lng: 120, Fence: fence},
		seedAudit("a", "b")); err != nil {
		t.Fatal(err)
	}
	// The public sees positions alone: each bike has one of its own.
	at := map[float64]string{}
	for i, id := range ids {
		lat := 30 + float64(i)/1000
		at[lat] = id
		if err := n.db.PlaceDevice(v.ctx, device.ID(id), lat, 120); err != nil {
			t.Fatal(err)
		}
	}
	feed := feedReader{n.url(), feedSchemas(t)}
	readStaticFeed(t, feed)

	var mu sync.Mutex
	watch := map[string]*bikeWatch{}
	for _, id := range ids {
		watch[id] = &bikeWatch{ids: map[string]int{}}
	}
	var passes, hidden, nowhere atomic.Int64
	done, failed := make(chan struct{}), make(chan struct{}) // failed: riders must not wait for the watcher
	owner := map[string]string{}
	var watching errgroup.Group
	watching.Go(func() error {
		defer close(failed)
		for {
			select {
			case <-done:
				return nil
			default:
			}
			before := map[string]int{}
			mu.Lock()
			for id, w := range watch {
				before[id] = w.rides
			}
			mu.Unlock()
			sent := time.Now()
			var s vehicleStatus
			if _, err := feed.file("/gbfs/3.0/campus/vehicle_status.json", &s); err != nil {
				return err
			}
			if age := time.Since(s.Updated); age > 5*time.Second || age < -time.Second || s.TTL != 30 {
				return fmt.Errorf("last_updated is %v old, ttl %d", age, s.TTL)
			}
			mu.Lock()
			listed := map[string]bool{}
			for _, x := range s.Data.Vehicles {
				bike := owner[x.ID] // who is nowhere yet was ridden since somebody said where it is
				if x.LatJSON != nil {
					bike = at[*x.LatJSON]
				} else if bike == "" {
					nowhere.Add(1)
					continue
				}
				w := watch[bike]
				listed[bike] = true
				if w == nil || x.Reserved || x.Disabled || x.Station != demoVenue {
					mu.Unlock()
					return fmt.Errorf("listed %+v", x)
				}
				if !w.rented.IsZero() && w.rented.Before(sent) {
					mu.Unlock()
					return fmt.Errorf("%s is rented since %v and listed in an answer to a question of %v", bike, w.rented, sent)
				}
				if had, ok := owner[x.ID]; ok && had != bike {
					mu.Unlock()
					return fmt.Errorf("vehicle %s is %s and was %s", x.ID, bike, had)
				}
				owner[x.ID] = bike
				if w.rides != before[bike] || w.rides%2 == 1 { // a ride began meanwhile: which side this is nobody knows
					continue
				}
				if ride, ok := w.ids[x.ID]; ok && ride != w.rides {
					mu.Unlock()
					return fmt.Errorf("%s had vehicle id %s after ride %d and has it after ride %d", bike, x.ID, ride, w.rides)
				}
				w.ids[x.ID] = w.rides
			}
			for id, w := range watch {
				if !w.rented.IsZero() && w.rented.Before(sent) && !listed[id] {
					hidden.Add(1)
				}
			}
			mu.Unlock()
			passes.Add(1)
		}
	})
	var riding errgroup.Group
	for i, id := range ids {
		c := v.rider(riders[i], 0, 100_000)
		riding.Go(func() error {
			for range ridesEach {
				seenPasses := passes.Load()
				v.until("the feed was read twice", 60*time.Second, func() bool { return passes.Load() >= seenPasses+2 || closed(failed) })
				mu.Lock()
				watch[id].rides++ // odd: whether the ride has begun nobody can tell
				mu.Unlock()
				o, err := v.start(c, id)
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				mu.Lock()
				watch[id].rented = time.Now()
				watch[id].rides++
				mu.Unlock()
				v.reaches(c, o.ID, "active", 60*time.Second)
				seenPasses = passes.Load()
				v.until("the feed was read during the ride", 60*time.Second, func() bool { return passes.Load() >= seenPasses+1 || closed(failed) })
				mu.Lock()
				watch[id].rented = time.Time{}
				mu.Unlock()
				v.direct(id, "close", nil)
				v.reaches(c, o.ID, "settled", 60*time.Second)
				// The bike tells where it stands, some reads of the feed later.
				seenPasses = passes.Load()
				v.until("the feed was read after the ride", 60*time.Second, func() bool { return passes.Load() >= seenPasses+1 || closed(failed) })
				if err := n.db.PlaceDevice(v.ctx, device.ID(id), 30+float64(i)/1000, 120); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := riding.Wait()
	close(done)
	if e := watching.Wait(); e != nil {
		t.Fatal(e)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, w := range watch {
		seen += len(w.ids)
	}
	t.Logf("%d rides, %d reads of the feed, %d vehicle ids, %d times a rented bike was not listed, %d times one of an unknown place",
		bikes*ridesEach, passes.Load(), seen, hidden.Load(), nowhere.Load())
	if nowhere.Load() == 0 {
		t.Error("no bike was listed without a place after its ride: an old place tells which bike it was")
	}
	if seen < bikes*ridesEach*9/10 || hidden.Load() < bikes*ridesEach {
		t.Error("the feed was not read between the rides, or not during them: the test proves nothing")
	}
	readStaticFeed(t, feed)
}

// closed tells whether a channel is.
func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// readStaticFeed reads every file that the manifest leads to.
func readStaticFeed(t *testing.T, feed feedReader) {
	t.Helper()
	var manifest struct {
		Data struct {
			Datasets []struct {
				System   string `json:"system_id"`
				Versions []struct{ URL string }
			}
		}
	}
	if _, err := feed.file("/gbfs/3.0/manifest.json", &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Data.Datasets) != 1 || manifest.Data.Datasets[0].Versions[0].URL != "https://q.test/gbfs/3.0/campus/gbfs.json" {
		t.Fatalf("manifest: %+v", manifest)
	}
	var index struct {
		Data struct {
			Feeds []struct{ Name, URL string }
		}
	}
	if _, err := feed.file("/gbfs/3.0/campus/gbfs.json", &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Data.Feeds) != 8 {
		t.Errorf("%d files, want 8", len(index.Data.Feeds))
	}
	for _, f := range index.Data.Feeds {
		var any struct{ Data json.RawMessage }
		path := strings.TrimPrefix(f.URL, "https://q.test")
		answer, err := feed.file(path, &any)
		if err != nil {
			t.Error(err)
			continue
		}
		tag := answer.Header.Get("ETag")
		again, err := http.NewRequest(http.MethodGet, feed.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		again.Header.Set("If-None-Match", tag)
		same, err := http.DefaultClient.Do(again)
		if err != nil {
			t.Fatal(err)
		}
		_ = same.Body.Close()
		if same.StatusCode != http.StatusNotModified || same.Header.Get("ETag") != tag || same.Header.Get("Cache-Control") == "" {
			t.Errorf("%s again with its tag %s: %d, want 304", path, tag, same.StatusCode)
		}
	}
	var prices struct {
		Data struct {
			Plans []struct {
				Price    float64
				Currency string
			}
		}
	}
	if _, err := feed.file("/gbfs/3.0/campus/system_pricing_plans.json", &prices); err != nil || len(prices.Data.Plans) != 1 || prices.Data.Plans[0].Price != 1 || prices.Data.Plans[0].Currency != "CNY" {
		t.Errorf("prices: %+v, %v", prices, err)
	}
}

// TestTheFeedLeavesOutWhatMayBeInUseAndMarksWhatNobodyCanTake, and is not there unless
// somebody answers for it.
func TestTheFeedLeavesOutWhatMayBeInUseAndMarksWhatNobodyCanTake(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2", "bike-3"}, Riders: []string{"ada"}, FeedEmail: "feed@example.com", Pumps: []string{"pump-1"}})
	n, staff := v.nodes[0], v.staff()
	feed := feedReader{n.url(), feedSchemas(t)}
	var s vehicleStatus
	if _, err := feed.file("/gbfs/3.0/campus/vehicle_status.json", &s); err != nil || len(s.Data.Vehicles) != 0 {
		t.Errorf("bikes that are nobody knows where: %+v, %v", s.Data.Vehicles, err)
	}
	for i, id := range []string{"bike-1", "bike-2", "bike-3"} {
		if err := n.db.PlaceDevice(v.ctx, device.ID(id), 30+float64(i), 120); err != nil {
			t.Fatal(err)
		}
	}
	// One is ended by staff while its bolt is open: whoever sat on it may still.
	ada := v.rider("ada", 0, 5000)
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	if err := n.db.PlaceDevice(v.ctx, "bike-1", 30, 120); err != nil { // it tells where it goes
		t.Fatal(err)
	}
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/orders/"+o.ID+"/end", "k1", map[string]string{"reason": "lost"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/devices/bike-2/service", "", map[string]string{"service": "maintenance", "reason": "brakes"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.file("/gbfs/3.0/campus/vehicle_status.json", &s); err != nil {
		t.Fatal(err)
	}
	got := map[float64]bool{}
	for _, x := range s.Data.Vehicles {
		got[*x.LatJSON] = x.Disabled
	}
	if disabled, listed := got[31]; len(got) != 2 || !listed || !disabled || got[32] {
		t.Errorf("by latitude, disabled or not: %v; want 31 disabled and 32 free", got)
	}
	for path, want := range map[string]int{"/gbfs/3.0/station/gbfs.json": 404, "/gbfs/3.0/campus/nothing.json": 404, "/gbfs/3.0/campus/gbfs": 404, "/gbfs/2.3/gbfs.json": 404} {
		if status, _ := get(t, n.url()+path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	if status, _ := get(t, newVenue(t, venueConfig{}).nodes[0].url()+"/gbfs/3.0/manifest.json"); status != 404 {
		t.Errorf("a feed that nobody answers for: %d, want 404", status)
	}
}
