package live

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// town is a fleet in memory that tells of its changes like the bus does.
type town struct {
	mu      sync.Mutex
	rows    map[device.ID]order.FleetRow
	venues  []order.Venue
	prefs   *order.Preferences // nil: the defaults
	fail    error
	reads   int
	hears   map[int]func(string, []byte)
	known   map[device.ID]order.Glimpse // before anybody follows
	glimpse func(device.ID, order.Glimpse)
}

func newTown(rows ...order.FleetRow) *town {
	t := &town{rows: map[device.ID]order.FleetRow{}, hears: map[int]func(string, []byte){}, venues: []order.Venue{{ID: "campus"}, {ID: "station"}}}
	for _, r := range rows {
		t.rows[r.ID] = r
	}
	return t
}

func (t *town) FleetRows(_ context.Context, ids []device.ID) (all []order.FleetRow, now time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if t.fail != nil {
		return nil, now, t.fail
	}
	for id, r := range t.rows {
		if ids == nil || slices.Contains(ids, id) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b order.FleetRow) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return all, time.Now(), nil
}

func (t *town) Venues(context.Context) ([]order.Venue, error) { return t.venues, nil }

func (t *town) Preferences(context.Context) (order.Preferences, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prefs == nil {
		return order.DefaultPreferences(), nil
	}
	return *t.prefs, nil
}

func (t *town) Listen(hear func(string, []byte)) func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.hears)
	t.hears[n] = hear
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.hears, n)
	}
}

func (t *town) Known(told func(device.ID, order.Glimpse)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, g := range t.known {
		told(id, g)
	}
}

func (t *town) Follow(ctx context.Context, told func(device.ID, order.Glimpse)) error {
	t.mu.Lock()
	t.glimpse = told
	t.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (t *town) say(subject, payload string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, hear := range t.hears {
		hear(subject, []byte(payload))
	}
}

// hint is a word that nobody signed.
func (t *town) hint(id device.ID, g order.Glimpse) {
	t.mu.Lock()
	told := t.glimpse
	t.mu.Unlock()
	told(id, g)
}

func (t *town) fails(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail = err
}

// busy is how often the tables were read, and how many listen now.
func (t *town) busy() (reads, hears int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reads, len(t.hears)
}

// put changes a device and says so.
func (t *town) put(r order.FleetRow) {
	t.mu.Lock()
	t.rows[r.ID] = r
	t.mu.Unlock()
	t.say("device."+string(r.ID), "{}")
}

func bike(id string, venue string) order.FleetRow {
	return order.FleetRow{ID: device.ID(id), Kind: device.Lock, Venue: venue, Service: device.InService, HeardAt: time.Now(), Firmware: "1.0", Outlets: 1}
}

// running starts a hub in a bubble.
func running(t *testing.T, town *town, bend func(*Config)) *Hub {
	t.Helper()
	c := Config{Fleet: town, Updates: town, Glimpses: town}
	if bend != nil {
		bend(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = h.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

type shown struct {
	Cursor   string
	Venues   []string
	N        int
	ID       []string
	State    []int
	Battery  []int
	Problems []int
	Since    []int64
}

func snapshot(t *testing.T, h *Hub, scope Scope) shown {
	t.Helper()
	plain, small, err := h.Snapshot(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if unzipped, err := io.ReadAll(z); err != nil || !bytes.Equal(unzipped, plain) {
		t.Fatalf("the compressed snapshot is another: %v", err)
	}
	var s shown
	if err := json.Unmarshal(plain, &s); err != nil {
		t.Fatalf("%v in %s", err, plain)
	}
	return s
}

func follow(t *testing.T, h *Hub, after string, scope Scope) *Follower {
	t.Helper()
	f, err := h.Follow(t.Context(), after, scope)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	synctest.Wait() // the glimpses are followed too
	return f
}

// heardBy waits for as long and returns what a follower was told, as "name data".
func heardBy(t *testing.T, f *Follower, wait time.Duration) (all []Event) {
	t.Helper()
	beat := make(chan time.Time, 1)
	time.Sleep(wait) // in a bubble
	for {
		select {
		case beat <- time.Now():
		default:
		}
		events, more := f.Next(t.Context(), beat)
		if !more {
			t.Fatal("the stream ended")
		}
		for _, e := range events {
			if e.Name == "" {
				return all
			}
			all = append(all, e)
		}
	}
}

func names(events []Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Name)
	}
	return all
}

func TestChangesAreToldOncePerTickAfterTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("b", "campus"), bike("a", "campus"))
		h := running(t, town, nil)
		first := snapshot(t, h, nil)
		if !slices.Equal(first.ID, []string{"a", "b"}) || !slices.Equal(first.State, []int{available, available}) {
			t.Fatalf("first snapshot %+v", first)
		}
		f := follow(t, h, first.Cursor, nil)
		for n := 1; n <= 3; n++ { // within one tick
			r := bike("a", "campus")
			r.Orders, r.Began, r.Failures = 1, time.Now(), n
			town.put(r)
		}
		events := heardBy(t, f, time.Second)
		if len(events) != 1 || events[0].Name != "device" {
			t.Fatalf("told %v, want one device event", names(events))
		}
		var rows []struct {
			ID       string
			Venue    string
			State    int
			Failures int
		}
		if err := json.Unmarshal(events[0].Data, &rows); err != nil || len(rows) != 1 || rows[0].ID != "a" || rows[0].Venue != "campus" ||
			rows[0].State != inUse || rows[0].Failures != 3 {
			t.Fatalf("rows %s (%v)", events[0].Data, err)
		}
		if second := snapshot(t, h, nil); second.Cursor != events[0].ID || second.State[0] != inUse {
			t.Errorf("the snapshot after it is at %s with %v, want %s", second.Cursor, second.State, events[0].ID)
		}
		town.put(town.rows["a"]) // it says so, and nothing is different
		if again := heardBy(t, f, time.Second); len(again) != 0 {
			t.Errorf("told %v although nothing changed", names(again))
		}
	})
}

func TestAStreamThatWasCutGoesOnWithoutAGapOrARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		h := running(t, town, nil)
		whole := follow(t, h, snapshot(t, h, nil).Cursor, nil)
		cut := follow(t, h, "", nil)
		var last string
		var pieces, all []string
		for n := range 20 {
			town.say("order.o", fmt.Sprintf(`{"id":"o","device":"a","outlet":1,"state":"active","kind":"lock","venue":"campus","version":%d}`, n+1))
			town.say("order.o", fmt.Sprintf(`{"id":"o","device":"a","outlet":1,"state":"active","kind":"lock","venue":"campus","version":%d}`, n+1)) // routed again
			for _, e := range heardBy(t, whole, time.Second) {
				all = append(all, e.ID)
			}
			if n%3 == 0 { // it hears, and is cut
				for _, e := range heardBy(t, cut, 0) {
					pieces, last = append(pieces, e.ID), e.ID
				}
				cut.Close()
				cut = follow(t, h, last, nil)
			}
		}
		for _, e := range heardBy(t, cut, 0) {
			pieces = append(pieces, e.ID)
		}
		if len(all) != 20 || !slices.Equal(all, pieces) {
			t.Errorf("in pieces %v, as a whole %v", pieces, all)
		}
	})
}

func TestWhatCannotBeResumedAsksForANewSnapshotAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		h := running(t, town, func(c *Config) { c.Events = 4 })
		slow := follow(t, h, snapshot(t, h, nil).Cursor, nil)
		old := snapshot(t, h, nil).Cursor
		for n := range 10 {
			r := bike("a", "campus")
			r.Failures = n + 1
			town.put(r)
			time.Sleep(time.Second)
		}
		other := "000000000000-3"
		for name, f := range map[string]*Follower{"slow": slow, "too old": follow(t, h, old, nil), "another replica's": follow(t, h, other, nil),
			"not yet": follow(t, h, h.memory.instance+"-9999", nil), "none of ours": follow(t, h, "nonsense", nil)} {
			events := heardBy(t, f, 0)
			if len(events) != 1 || events[0].Name != resync || string(events[0].Data) != "{}" {
				t.Errorf("%s: told %v, want one resync", name, names(events))
			}
			r := town.rows["a"]
			r.Failures++
			town.put(r)
			if events := heardBy(t, f, time.Second); len(events) != 1 || events[0].Name != "device" {
				t.Errorf("%s: after it told %v, want what came since", name, names(events))
			}
		}
	})
}

func TestAScopeHidesOtherVenues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pump := bike("p", "station")
		pump.Kind = device.Pump
		town := newTown(bike("a", "campus"), pump)
		h := running(t, town, nil)
		scope := ScopeOf([]string{"campus"})
		if s := snapshot(t, h, scope); !slices.Equal(s.ID, []string{"a"}) || !slices.Equal(s.Venues, []string{"campus"}) {
			t.Errorf("sees %v of %v", s.ID, s.Venues)
		}
		if s := snapshot(t, h, ScopeOf([]string{})); s.N != 0 {
			t.Errorf("who has no venue sees %v", s.ID)
		}
		f := follow(t, h, "", scope)
		a, p := town.rows["a"], town.rows["p"]
		a.Failures, p.Failures = 1, 1
		town.put(p)
		town.say("order.x", `{"id":"x","device":"p","venue":"station","version":1}`)
		town.say("item.x", `{"id":"x","kind":"alarm","venue":"station","open":true}`)
		town.say("alarm.y", `{"id":"y","kind":"device_offline","venue":"","state":"raised"}`)
		town.hint("p", order.Glimpse{Meters: map[uint8]order.Live{1: {Fen: 100}}})
		if events := heardBy(t, f, time.Second); len(events) != 0 {
			t.Fatalf("told of another venue: %v %s", names(events), events[0].Data)
		}
		town.put(a)
		town.put(p)
		events := heardBy(t, f, time.Second)
		if len(events) != 1 || bytes.Contains(events[0].Data, []byte("station")) || !bytes.Contains(events[0].Data, []byte(`"id":"a"`)) {
			t.Fatalf("told %v, want its own row alone", names(events))
		}
		a.Venue = "station"
		town.put(a)
		if events := heardBy(t, f, time.Second); len(events) != 1 || events[0].Name != resync {
			t.Errorf("told %v as a device left the venue, want a resync", names(events))
		}
	})
}

func TestTheClockAloneMakesADeviceSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		h := running(t, town, func(c *Config) { c.Reread = time.Hour })
		f := follow(t, h, snapshot(t, h, nil).Cursor, nil)
		if events := heardBy(t, f, 9*time.Minute); len(events) != 0 {
			t.Fatalf("told %v too early", names(events))
		}
		events := heardBy(t, f, 61*time.Second)
		if len(events) != 1 || !bytes.Contains(events[0].Data, []byte(fmt.Sprintf(`"state":%d`, offline))) ||
			!bytes.Contains(events[0].Data, []byte(fmt.Sprintf(`"problems":%d`, ProblemOffline))) {
			t.Fatalf("told %v, want that it is offline", events)
		}
		heard := bike("a", "campus")
		town.put(heard)
		if events := heardBy(t, f, time.Second); len(events) != 1 || !bytes.Contains(events[0].Data, []byte(`"state":0`)) {
			t.Errorf("told %v, want that it is back", events)
		}
	})
}

func TestNewThresholdsShowAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := bike("a", "campus")
		failing.Failures = 2
		town := newTown(failing, bike("b", "campus"))
		h := running(t, town, func(c *Config) { c.Reread = time.Hour })
		f := follow(t, h, snapshot(t, h, nil).Cursor, nil)
		stricter := order.DefaultPreferences()
		stricter.Failures = 2
		town.mu.Lock()
		town.prefs = &stricter
		town.mu.Unlock()
		if events := heardBy(t, f, 2*time.Second); len(events) != 1 || !bytes.Contains(events[0].Data, []byte(fmt.Sprintf(`"problems":%d`, ProblemFailures))) {
			t.Errorf("told %v, want the problem that is one now", names(events))
		}
	})
}

func TestWhatNobodyToldIsFoundByReadingAllAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		h := running(t, town, nil)
		f := follow(t, h, snapshot(t, h, nil).Cursor, nil)
		town.mu.Lock()
		r := town.rows["a"]
		r.Item = true
		town.rows["a"], town.rows["0"] = r, bike("0", "campus")
		town.mu.Unlock()
		if events := heardBy(t, f, 2*time.Minute); len(events) != 1 {
			t.Errorf("told %v, want one event with both", names(events))
		}
		if s := snapshot(t, h, nil); !slices.Equal(s.ID, []string{"0", "a"}) || s.Problems[1] != ProblemItem {
			t.Errorf("snapshot %+v", s)
		}
	})
}

func TestBatteriesAndDisplaysComeFromWhatIsUnsigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pump := bike("p", "station")
		pump.Kind = device.Pump
		town := newTown(bike("a", "campus"), pump)
		h := running(t, town, nil)
		if s := snapshot(t, h, nil); s.Battery[0] != -1 {
			t.Fatalf("battery %d before anybody told", s.Battery[0])
		}
		f := follow(t, h, "", nil)
		low := 7
		town.hint("a", order.Glimpse{Battery: &low})
		town.hint("nobody", order.Glimpse{Battery: &low})
		for fen := range int64(3) {
			town.hint("p", order.Glimpse{Meters: map[uint8]order.Live{2: {State: "fuelling", Millilitres: 10, Fen: fen}}})
		}
		events := heardBy(t, f, time.Second)
		if !slices.Equal(names(events), []string{"device", "pump"}) ||
			!bytes.Contains(events[1].Data, []byte(`{"device":"p","outlets":[{"outlet":2,"live":{"state":"fuelling","ml":10,"fen":2,`)) {
			t.Fatalf("told %v, want the battery and the newest figures", events)
		}
		if s := snapshot(t, h, nil); s.Battery[0] != 7 || s.Problems[0] != ProblemBattery {
			t.Errorf("battery %d, problems %d", s.Battery[0], s.Problems[0])
		}
	})
}

// TestTheFirstSnapshotHasWhatIsKnownUnsigned: a device that told its battery before anybody
// looked is shown with it at once, not when it next tells.
func TestTheFirstSnapshotHasWhatIsKnownUnsigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town, full := newTown(bike("a", "campus"), bike("b", "campus")), 100
		town.known = map[device.ID]order.Glimpse{"b": {Battery: &full}, "nobody": {Battery: &full}}
		if s := snapshot(t, running(t, town, nil), nil); !slices.Equal(s.Battery, []int{-1, 100}) {
			t.Errorf("batteries %v, want those of a, who never told, and b", s.Battery)
		}
	})
}

func TestNothingIsHeldWhileNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		h := running(t, town, nil)
		time.Sleep(time.Hour)
		if reads, hears := town.busy(); reads != 0 || hears != 0 {
			t.Fatalf("%d reads and %d listeners before anybody looked", reads, hears)
		}
		first := snapshot(t, h, nil)
		f := follow(t, h, first.Cursor, nil)
		time.Sleep(time.Hour)
		if h.Size().Devices != 1 {
			t.Fatal("the memory went while a stream was open")
		}
		f.Close()
		time.Sleep(6 * time.Minute)
		if s := h.Size(); s.Devices != 0 {
			t.Fatalf("after all have left it holds %+v", s)
		}
		if _, hears := town.busy(); hears != 0 {
			t.Fatalf("after all have left %d listen", hears)
		}
		again := follow(t, h, first.Cursor, nil)
		if events := heardBy(t, again, 0); len(events) != 1 || events[0].Name != resync {
			t.Errorf("a cursor of the memory before: told %v, want resync", names(events))
		}
	})
}

func TestADatabaseThatIsAwayIsSaidAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		town.fails(errors.New("away"))
		h := running(t, town, nil)
		if _, _, err := h.Snapshot(t.Context(), nil); !errors.Is(err, ErrUnread) {
			t.Fatalf("error %v", err)
		}
		town.fails(nil)
		f := follow(t, h, snapshot(t, h, nil).Cursor, nil)
		town.fails(errors.New("away again"))
		r := bike("a", "campus")
		r.Gap = true
		town.put(r)
		if events := heardBy(t, f, 3*time.Second); len(events) != 0 {
			t.Fatalf("told %v", names(events))
		}
		town.fails(nil)
		if events := heardBy(t, f, time.Second); len(events) != 1 {
			t.Errorf("told %v once it is back, want the change", names(events))
		}
	})
}

func TestAStreamEndsWithTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(bike("a", "campus"))
		h, err := New(Config{Fleet: town, Updates: town})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = h.Run(ctx); close(done) }()
		f := follow(t, h, "", nil)
		cancel()
		<-done
		if _, more := f.Next(t.Context(), nil); more {
			t.Error("it goes on")
		}
		if _, _, err := h.Snapshot(t.Context(), nil); !errors.Is(err, ErrUnread) {
			t.Errorf("a snapshot afterwards: %v", err)
		}
	})
}
