package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// screen is one stream of a fleet as a browser hears it.
type screen struct {
	t      *testing.T
	stop   context.CancelFunc
	events chan screenEvent // closed when the stream is over
	all    []screenEvent    // that await has seen
}

type screenEvent struct{ id, name, data string }

// screen opens a stream behind a cursor; by is how it is told: "after" or "Last-Event-ID".
func (v *venue) screen(t *testing.T, base, key, by, cursor string) *screen {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	path := base + "/v1/operator/updates"
	if by == "after" {
		path += "?after=" + cursor
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if by == "Last-Event-ID" {
		r.Header.Set("Last-Event-ID", cursor)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("the stream is answered %d with %v", answer.StatusCode, answer.Header)
	}
	c := &screen{t: t, stop: cancel, events: make(chan screenEvent, 4096)}
	go func() {
		defer close(c.events)
		defer answer.Body.Close()
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 16<<20)
		var e screenEvent
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.data != "" {
					c.events <- e
				}
				e = screenEvent{}
			}
		}
	}()
	return c
}

// await reads until an event is as wanted.
func (c *screen) await(what string, is func(screenEvent) bool) screenEvent {
	c.t.Helper()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for {
		select {
		case e, open := <-c.events:
			if !open {
				c.t.Fatalf("the stream ended before %s", what)
			}
			c.all = append(c.all, e)
			if is(e) {
				return e
			}
		case <-patience.C:
			c.t.Fatalf("no event says that %s; told %v", what, c.all)
		}
	}
}

// moved is an order's event with that state.
func moved(id, state string) func(screenEvent) bool {
	return func(e screenEvent) bool {
		return e.name == "order" && strings.Contains(e.data, `"id":"`+id+`"`) && strings.Contains(e.data, `"state":"`+state+`"`)
	}
}

// stands is a device's row with that state.
func stands(device string, state int) func(screenEvent) bool {
	return func(e screenEvent) bool {
		var rows []struct {
			ID    string
			State int
		}
		if e.name != "device" || json.Unmarshal([]byte(e.data), &rows) != nil {
			return false
		}
		for _, r := range rows {
			if r.ID == device && r.State == state {
				return true
			}
		}
		return false
	}
}

// TestAConsoleFollowsTheFleetOfEveryReplica: a ride that begins and ends at another
// replica is told to the console here; one whose stream is cut in the middle goes on where
// it was, and hears what the uncut one heard.
func TestAConsoleFollowsTheFleetOfEveryReplica(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Replicas: 2, Bikes: []string{"bike", "spare"}, Riders: []string{"ada"}})
	lin := v.staff()
	here, there := v.nodes[0].url(), v.nodes[1].url()
	var fleet struct {
		Cursor  string
		N       int
		Venues  []string
		ID      []string
		State   []int
		Heard   []int64
		Outlets []int
	}
	if err := lin.do(t.Context(), http.MethodGet, "/v1/operator/fleet", "", nil, &fleet); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fleet.ID, []string{"bike", "spare"}) || !slices.Equal(fleet.State, []int{0, 0}) || !slices.Equal(fleet.Outlets, []int{1, 1}) || fleet.N != 2 ||
		!slices.Equal(fleet.Venues, []string{demoVenue}) || fleet.Heard[0] == 0 {
		t.Fatalf("the fleet is %+v", fleet)
	}
	whole := v.screen(t, here, lin.token, "after", fleet.Cursor)
	cut := v.screen(t, here, lin.token, "after", fleet.Cursor)
	other := v.screen(t, there, lin.token, "", "")

	ada := v.rider("ada", 1, 10_000) // her requests go to the other replica
	o, err := v.start(ada, "bike")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, c := range []*screen{whole, other, cut} { // a row is read again before what moved it is told
		c.await("the bike is in use", stands("bike", 1))
		last = c.await("the ride began", moved(o.ID, "active")).id
	}
	cut.stop()
	v.direct("bike", "close", nil)
	whole.await("the bike is free", stands("bike", 0))
	whole.await("the ride ended", moved(o.ID, "settled"))

	resumed := v.screen(t, here, lin.token, "Last-Event-ID", last)
	resumed.await("the bike is free", stands("bike", 0))
	resumed.await("the ride ended", moved(o.ID, "settled"))
	ids := func(all []screenEvent) (ids []string) {
		for _, e := range all {
			ids = append(ids, e.id+" "+e.name)
		}
		return ids
	}
	// Each of the two has read as far as its own condition: compare what both have.
	pieces := append(ids(cut.all), ids(resumed.all)...)
	uncut := ids(whole.all)
	if n := min(len(pieces), len(uncut)); n < 4 || !slices.Equal(pieces[:n], uncut[:n]) {
		t.Errorf("in pieces it was told %v, without a cut %v", pieces, uncut)
	}
	if slices.ContainsFunc(append(whole.all, resumed.all...), func(e screenEvent) bool { return e.name == "resync" }) {
		t.Error("a stream that could be resumed was told to begin anew")
	}

	// The cursor of one replica means nothing to the other.
	foreign := v.screen(t, there, lin.token, "Last-Event-ID", last)
	if e := foreign.await("anything", func(screenEvent) bool { return true }); e.name != "resync" || e.data != "{}" {
		t.Errorf("at the other replica it is told %+v, want resync", e)
	}
	// What is unsigned comes over too: batteries, whichever replica heard them.
	v.direct("bike", "battery", map[string]int{"percent": 77})
	v.direct("spare", "battery", map[string]int{"percent": 66})
	// What finds NATS busy is dropped, and told again within a minute and a half.
	v.until("the batteries are known at both", 2*time.Minute, func() bool {
		for _, base := range []string{here, there} {
			var fleet struct{ Battery []int }
			if err := (client{base: base, token: lin.token}).do(t.Context(), http.MethodGet, "/v1/operator/fleet", "", nil, &fleet); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(fleet.Battery, []int{77, 66}) {
				return false
			}
		}
		return true
	})
	v.stop(t, 1)
	for open := true; open; {
		select {
		case _, open = <-foreign.events:
		case <-time.After(10 * time.Second):
			t.Fatal("a stream outlives its replica")
		}
	}
	v.judge("bike")
}

// TestTheDevicePageTellsWhatHappenedAndWhy: a ride leaves the times of its start behind;
// notes, the diagnosis, lists, files and the search show what there is.
func TestTheDevicePageTellsWhatHappenedAndWhy(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike", "spare"}, Riders: []string{"ada"}})
	lin := v.staff()
	get := func(path string, into any) {
		t.Helper()
		if err := lin.do(t.Context(), http.MethodGet, "/v1/operator/"+path, "", nil, into); err != nil {
			t.Fatal(err)
		}
	}
	var why struct {
		Opens    string
		Findings []struct {
			Code, Severity string
			Action         *struct {
				Operation string
				Body      map[string]any
			}
		}
	}
	get("devices/bike/diagnosis", &why)
	if why.Opens != "yes" || len(why.Findings) != 1 || why.Findings[0].Code != "all_well" {
		t.Errorf("before the ride it opens %s by %+v", why.Opens, why.Findings)
	}
	ada := v.rider("ada", 0, 10_000)
	o, err := v.start(ada, "bike")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	get("devices/bike/diagnosis", &why)
	if why.Opens != "no" || why.Findings[0].Code != "outlet_busy" || why.Findings[0].Action.Body["id"] != o.ID {
		t.Errorf("during the ride it opens %s by %+v", why.Opens, why.Findings)
	}
	type hops struct {
		Committed time.Time  `json:"committed_at"`
		Handed    *time.Time `json:"handed_at"`
		Answered  *time.Time `json:"answered_at"`
		Acked     *time.Time `json:"acked_at"`
		Sends     int
	}
	var page struct {
		Wanted struct {
			Service   string
			ServerKey string `json:"server_key"`
		}
		Says struct {
			ServerKey string `json:"server_key"`
			Boot      string
			Battery   *int
			Age       *int64 `json:"age_s"`
			Applied   uint64
			Highest   uint64
		}
		Counters struct{ Opens int }
		Gaps     []any `json:"evidence_gaps"`
		Notes    []struct{ Text, Name string }
		Commands []struct {
			ID, Kind, Order string
			Hops            hops
		}
	}
	var way hops
	v.until("the times of the start are written", 30*time.Second, func() bool {
		get("devices/bike", &page)
		for _, c := range page.Commands {
			if c.Kind == "start" && c.Order == o.ID {
				way = c.Hops
			}
		}
		return way.Handed != nil && way.Answered != nil && way.Acked != nil
	})
	// Our clock's distances, put on the database's: to a few milliseconds.
	const slack = 50 * time.Millisecond
	if way.Sends < 1 || way.Handed.Before(way.Committed.Add(-slack)) || way.Answered.Before(way.Handed.Add(-slack)) || way.Acked.Before(way.Answered.Add(-slack)) {
		t.Errorf("the start's way is %+v", way)
	}
	if page.Wanted.Service != "in_service" || page.Wanted.ServerKey == "" || page.Says.ServerKey != page.Wanted.ServerKey || page.Says.Boot == "" || page.Says.Age == nil ||
		page.Says.Battery == nil || page.Says.Applied == 0 || page.Counters.Opens != 1 || page.Gaps == nil || len(page.Gaps) != 0 {
		t.Errorf("the page says %+v", page)
	}
	v.direct("bike", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)

	if status, code, _ := v.ask(lin, http.MethodPost, "/v1/operator/devices/bike/notes", "", `{"text":"brakes squeal"}`); status != 201 {
		t.Errorf("a note is answered %d %s", status, code)
	}
	for path, body := range map[string]string{"devices/bike/notes": `{"text":"  "}`, "devices/nobody/notes": `{"text":"x"}`} {
		if status, code, _ := v.ask(lin, http.MethodPost, "/v1/operator/"+path, "", body); status != 400 && status != 404 {
			t.Errorf("%s with %s is answered %d %s", path, body, status, code)
		}
	}
	get("devices/bike", &page)
	if len(page.Notes) != 1 || page.Notes[0].Text != "brakes squeal" || page.Notes[0].Name == "" {
		t.Errorf("notes %+v", page.Notes)
	}
	var list struct {
		Commands   []struct{ ID string }
		Evidence   []struct{ Seq uint64 }
		NextCursor string `json:"next_cursor"`
	}
	get("devices/bike/evidence?limit=1", &list)
	first := list.Evidence[0].Seq
	get("devices/bike/evidence?limit=1&cursor="+list.NextCursor, &list)
	if list.Evidence[0].Seq != first-1 {
		t.Errorf("after piece %d comes %d", first, list.Evidence[0].Seq)
	}
	get("devices/bike/commands?limit=100", &list)
	if len(list.Commands) == 0 {
		t.Error("no commands")
	}
	if status, code, _ := v.ask(lin, http.MethodGet, "/v1/operator/devices/nobody/evidence", "", ""); status != 404 {
		t.Errorf("the evidence of nobody is answered %d %s", status, code)
	}

	var devices struct{ Devices []struct{ ID string } }
	for query, want := range map[string]int{"q=spa": 1, "kind=lock": 2, "kind=pump": 0, "state=available": 2, "state=offline": 0, "problem=any": 0, "q=CAMPUS&service=in_service": 2} {
		get("devices?"+query, &devices)
		if len(devices.Devices) != want {
			t.Errorf("devices?%s finds %v, want %d", query, devices.Devices, want)
		}
	}
	if status, code, _ := v.ask(lin, http.MethodGet, "/v1/operator/devices?state=asleep", "", ""); status != 422 {
		t.Errorf("a state that is none is answered %d %s", status, code)
	}
	for file, holds := range map[string]string{"devices.csv?q=bike": "\nbike,lock,campus,in_service", "orders.csv?kind=lock": "\n" + o.ID + ",", "open-items.csv": "\ufeffid,kind"} {
		status, _, text := v.ask(lin, http.MethodGet, "/v1/operator/"+file, "", "")
		if status != 200 || !strings.HasPrefix(string(text), "\ufeff") || !strings.Contains(string(text), holds) || strings.Contains(string(text), "spare") {
			t.Errorf("%s is answered %d: %s", file, status, text)
		}
	}
	var found struct{ Hits []struct{ Kind, ID string } }
	for q, want := range map[string]string{"spare": "device", o.ID[:13]: "order", v.codes["bike"]: "code", "campus": "venue", ada.id: "rider"} {
		get("search?q="+url.QueryEscape(q), &found)
		if len(found.Hits) == 0 || found.Hits[0].Kind != want {
			t.Errorf("%q finds %+v, want a %s", q, found.Hits, want)
		}
	}
	v.judge("bike")
}
