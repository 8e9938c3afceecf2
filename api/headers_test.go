package api

import (
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// display shows the same on every outlet.
type display order.Live

func (d display) Live(device.ID) map[uint8]order.Live { return map[uint8]order.Live{0: order.Live(d)} }

func TestETag(t *testing.T) {
	a := &API{Config: Config{Live: display{State: "fuelling", Uptime: 1234, At: time.Unix(100, 0)}}}
	for want, o := range map[string]order.Order{
		`"v7.0"`:    {Version: 7},
		`"v7.1234"`: {Version: 7, State: order.Active, ActiveAt: time.Unix(99, 0)},
		`"v8.0"`:    {Version: 8, State: order.Active, ActiveAt: time.Unix(102, 0)}, // it shows the use before
		`"v9.0"`:    {Version: 9, State: order.Settled, ActiveAt: time.Unix(99, 0)},
	} {
		if got := a.etagOf(o); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if live := a.liveOf(order.Order{State: order.Active, ActiveAt: time.Unix(99, 0)}); !live.Stale {
		t.Error("figures of 1970 are not stale")
	}
	a.Live = display{State: "fuelling", At: time.Now()}
	if live := a.liveOf(order.Order{State: order.Active}); live.Stale {
		t.Error("figures of now are stale")
	}
	a.Live = display{State: "idle", Uptime: 2345, At: time.Unix(100, 0)}
	if got := a.etagOf(order.Order{Version: 7, State: order.Active, ActiveAt: time.Unix(99, 0)}); got != `"v7.0"` {
		t.Errorf("hung up, and the end not told: got %s", got)
	}
	if got := (&API{}).etagOf(order.Order{Version: 7, State: order.Active}); got != `"v7.0"` {
		t.Errorf("without displays: got %s", got)
	}
}

func TestMatches(t *testing.T) {
	const tag = `"v7.0"`
	for header, want := range map[string]bool{
		``:                       false,
		`"v7.0"`:                 true,
		`W/"v7.0"`:               true,
		`"v6.0", "v7.0"`:         true,
		`"v6.0",W/"v7.0" `:       true,
		`*`:                      true,
		`"v7.1"`:                 false,
		`v7.0`:                   false,
		`"v77.0"`:                false,
		`"v6.0", W/"v8.0", nope`: false,
	} {
		if got := matches(header, tag); got != want {
			t.Errorf("matches(%s) = %v, want %v", header, got, want)
		}
	}
}

func TestWaitOf(t *testing.T) {
	for header, want := range map[string]time.Duration{
		``:                          0,
		`wait=10`:                   10 * time.Second,
		`Wait = 10`:                 10 * time.Second,
		`wait="10"`:                 10 * time.Second,
		`respond-async, wait=5`:     5 * time.Second,
		`wait=5; x=1, wait=9`:       5 * time.Second,
		`wait=100`:                  25 * time.Second,
		`wait=4294967295`:           25 * time.Second,
		`wait=99999999999999999999`: 0,
		`wait=-1`:                   0,
		`wait=1.5`:                  0,
		`wait`:                      0,
		`waiting=5`:                 0,
		`wait=`:                     0,
	} {
		if got := waitOf(header, 25*time.Second); got != want {
			t.Errorf("waitOf(%s) = %v, want %v", header, got, want)
		}
	}
	if got := preferenceOf(25 * time.Second); got != "wait=25" {
		t.Errorf("preferenceOf(25 s) = %s", got)
	}
}

func TestCursor(t *testing.T) {
	rows := []string{"c", "b", "a"}
	page, next := cut(rows, 2, func(s string) string { return s })
	if len(page) != 2 || next == "" {
		t.Fatalf("got %v and cursor %q, want two rows and a cursor", page, next)
	}
	if after, err := (PageQuery{Cursor: next}).after(); err != nil || after != "b" {
		t.Errorf("cursor gave %q, %v; want b", after, err)
	}
	if _, next := cut(rows, 3, func(s string) string { return s }); next != "" {
		t.Errorf("the last page has cursor %q", next)
	}
	for _, bad := range []string{"x", "!!", "MTo", "MTowMCc7"} {
		if after, err := (PageQuery{Cursor: bad}).after(); err == nil {
			t.Errorf("cursor %q gave %q, want errCursor", bad, after)
		}
	}
}
