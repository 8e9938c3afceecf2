package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
)

// street is a fleet of one bike, and the member who looks at it.
type street struct {
	emptyStore
	mu     sync.Mutex
	member order.Staff
	err    error
}

func (s *street) StaffByKey(context.Context, [32]byte) (order.Staff, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member, s.err
}

func (s *street) change(member order.Staff, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.member, s.err = member, err
}

func (*street) FleetRows(context.Context, []device.ID) ([]order.FleetRow, time.Time, error) {
	return []order.FleetRow{{ID: "bike", Kind: device.Lock, Venue: "campus", Service: device.InService}}, time.Now(), nil
}

func (*street) Venues(context.Context) ([]order.Venue, error) { return nil, nil }

func (*street) Preferences(context.Context) (order.Preferences, error) {
	return order.DefaultPreferences(), nil
}

func (*street) Listen(func(string, []byte)) func() { return func() {} }

// reader is a browser at the end of a stream.
type reader struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (r *reader) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(b)
}

func (r *reader) WriteString(s string) (int, error) { return r.Write([]byte(s)) }

// TestAStreamEndsWhenItsMemberMayNoMore: at the next heartbeat, whatever of them changed;
// a database that is away ends none.
func TestAStreamEndsWhenItsMemberMayNoMore(t *testing.T) {
	viewer := order.Staff{ID: "s1", Role: order.Viewer}
	for name, c := range map[string]struct {
		now  order.Staff
		err  error
		ends bool
	}{
		"revoked":         {order.Staff{}, order.ErrNotFound, true},
		"of some venues":  {order.Staff{ID: "s1", Role: order.Viewer, Venues: []string{"campus"}}, nil, true},
		"without a role":  {order.Staff{ID: "s1"}, nil, true},
		"another's":       {order.Staff{ID: "s2", Role: order.Viewer}, nil, true},
		"promoted":        {order.Staff{ID: "s1", Role: order.Admin}, nil, false},
		"as before":       {viewer, nil, false},
		"database away":   {order.Staff{}, context.DeadlineExceeded, false},
		"the node drains": {viewer, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				town := &street{member: viewer}
				hub, err := live.New(live.Config{Fleet: town, Updates: town})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { _ = hub.Run(ctx) })
				a := newTestAPI(t)
				a.Store, a.Hub = town, hub
				f, err := hub.Follow(ctx, "", nil)
				if err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/operator/updates", nil)
				r.Header.Set("Authorization", "Bearer "+keyPrefix+strings.Repeat("x", secretLength))
				w := &reader{ResponseRecorder: httptest.NewRecorder()}
				var ended time.Time
				running.Go(func() {
					if err := a.streamFleet(r, &stream{w: w, control: http.NewResponseController(w)}, f, viewer); err != nil {
						t.Error(err)
					}
					ended = time.Now()
					f.Close()
				})
				time.Sleep(streamBeat / 2)
				if name == "the node drains" {
					a.waits.drain()
				}
				town.change(c.now, c.err)
				changed := time.Now()
				time.Sleep(2*streamBeat + time.Second)
				synctest.Wait()
				if over := !ended.IsZero(); over != c.ends {
					t.Errorf("ended: %v, want %v", over, c.ends)
				}
				if c.ends && ended.Sub(changed) > streamBeat {
					t.Errorf("ended %v after", ended.Sub(changed))
				}
				cancel()
				running.Wait()
				body := w.Body.String()
				if !strings.HasPrefix(body, ": here\n\n") || !c.ends && strings.Count(body, ": still here\n") < 2 || !c.ends && !strings.Contains(body, "id: ") {
					t.Errorf("the stream was %q", body)
				}
			})
		})
	}
}

// watched is a street whose member came with a cookie; it counts what is use of it.
type watched struct {
	*street
	looked, used int
}

func (s *watched) StaffByLogin(_ context.Context, _ [32]byte, _ time.Duration, used bool) (order.Staff, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked++
	if used {
		s.used++
	}
	return s.member, nil
}

// TestAStreamIsNoUseOfALogin: neither when it begins nor at its heartbeats, or an open
// page would keep a login from going idle.
func TestAStreamIsNoUseOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := &watched{street: &street{member: order.Staff{ID: "s1", Role: order.Viewer, Login: "l1"}}}
		hub, err := live.New(live.Config{Fleet: town, Updates: town})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = hub.Run(ctx) })
		a := newTestAPI(t)
		a.Store, a.Hub = town, hub
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/operator/updates", nil)
		r.AddCookie(&http.Cookie{Name: consoleCookie, Value: strings.Repeat("x", secretLength)})
		running.Go(func() { a.Handler().ServeHTTP(&reader{ResponseRecorder: httptest.NewRecorder()}, r) })
		time.Sleep(3*streamBeat + time.Second)
		synctest.Wait()
		town.mu.Lock()
		if town.used != 0 || town.looked < 3 {
			t.Errorf("looked at %d times, used %d times; want at least 3, and 0", town.looked, town.used)
		}
		town.mu.Unlock()
		cancel()
		running.Wait()
	})
}

func TestAFleetThatCannotBeReadIsAProblem(t *testing.T) {
	a := newTestAPI(t)
	for _, ask := range []func() error{
		func() error { _, err := a.getFleet(t.Context(), &getFleetInput{}); return err },
		func() error { _, err := a.followFleet(t.Context(), &followFleetInput{}); return err },
		func() error {
			_, err := a.picked(t.Context(), DeviceFilter{State: "offline"}, "", 10)
			return err
		},
	} {
		if err := ask(); err != errFleetUnread {
			t.Errorf("without a hub: %v", err)
		}
	}
}

func TestGzipIsSentToWhoTakesIt(t *testing.T) {
	for accept, want := range map[string]bool{"": false, "gzip": true, "br, gzip;q=0.5": true, "GZIP": true, "gzip; q=0": false, "gzip;q=0.000": false, "deflate": false,
		"x-gzip": false, "*": false} {
		if got := takesGzip(accept); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestAPlaceInEvidenceComesOnlyOutOfACursor(t *testing.T) {
	at, err := evidenceAt("7-0102030405060708-42")
	if want := (order.EvidenceAt{Epoch: 7, Journal: device.Journal{1, 2, 3, 4, 5, 6, 7, 8}, Seq: 42}); err != nil || at != want {
		t.Errorf("%+v, %v", at, err)
	}
	if at, err := evidenceAt(""); err != nil || at != (order.EvidenceAt{}) {
		t.Errorf("the head: %+v, %v", at, err)
	}
	for _, bad := range []string{"7", "7-01-42", "0-0102030405060708-42", "x-0102030405060708-42", "7-0102030405060708-x", "7-0102030405060708-18446744073709551615",
		"99999999999-0102030405060708-1", "7-0102030405060708-42-1"} {
		if _, err := evidenceAt(bad); err == nil {
			t.Errorf("%q is taken for a place", bad)
		}
	}
}

func TestDigitsAreReadAsTheyAreTypedOrScanned(t *testing.T) {
	for text, want := range map[string]string{"1234-5678-9012-34": "12345678901234", "1234 56": "123456", "bike-1": "", "": "",
		"https://elsewhere.example/d/12345678901234-998877": "12345678901234", "bike-12/3": "3"} {
		if got := digitsOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if !slices.Equal([]string{digitsOf("１２３４")}, []string{""}) {
		t.Error("other digits than those of codes are taken")
	}
}
