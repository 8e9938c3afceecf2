package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// list is what the store knows of logins; its zero value knows nobody.
type list struct {
	mu  sync.Mutex
	all []order.Login
	err error
}

func (l *list) Logins(context.Context) ([]order.Login, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all), l.err
}

func (l *list) set(err error, all ...order.Login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all, l.err = all, err
}

func logins(known *list) *Logins {
	return &Logins{Secret: []byte("0123456789abcdef"), List: known, Log: slog.New(slog.DiscardHandler)}
}

func TestADeviceLogsInWithItsOwnCurrentPassword(t *testing.T) {
	known := &list{}
	known.set(nil, order.Login{ID: "bike-1", Epoch: 2}, order.Login{ID: "bike-2", Epoch: 1}, order.Login{ID: "old", Epoch: 5, Retired: true})
	l := logins(known)
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := l.Password("bike-1", 2)
	other := &Logins{Secret: []byte("another secret..")}
	for _, c := range []struct {
		name, user, password string
		ok                   bool
	}{
		{"its own", "bike-1", good, true},
		{"an epoch that the list does not show yet", "bike-1", l.Password("bike-1", 3), true},
		{"a device that the list does not show yet", "bike-7", l.Password("bike-7", 1), true},
		{"an earlier epoch", "bike-1", l.Password("bike-1", 1), false},
		{"another device's", "bike-1", l.Password("bike-2", 2), false},
		{"its own under another name", "bike-2", good, false},
		{"a retired device", "old", l.Password("old", 5), false},
		{"none", "bike-1", "", false},
		{"the epoch alone", "bike-1", "2", false},
		{"the epoch and a dot", "bike-1", "2.", false},
		{"the hash alone", "bike-1", strings.TrimPrefix(good, "2"), false},
		{"the hash of one epoch for another", "bike-1", "3" + strings.TrimPrefix(good, "2"), false},
		{"a zero before the epoch", "bike-1", "0" + good, false},
		{"more than the password", "bike-1", good + "A", false},
		{"less than the password", "bike-1", good[:len(good)-1], false},
		{"an epoch beyond 32 bits", "bike-1", fmt.Sprintf("%d.x", uint64(1)<<40), false},
		{"a negative epoch", "bike-1", "-1.x", false},
		{"a name that is no id", "bike/1", l.Password("bike/1", 1), false},
		{"no name", "", l.Password("", 1), false},
		{"another installation's", "bike-1", other.Password("bike-1", 2), false},
	} {
		if err := l.Check(c.user, c.password); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrLogin) {
			t.Errorf("%s: got %v, want accepted %v", c.name, err, c.ok)
		}
	}
}

func TestWhoMayNoLongerBeConnectedIsNamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &list{}
		known.set(nil, order.Login{ID: "bike-1", Epoch: 1}, order.Login{ID: "bike-2", Epoch: 1}, order.Login{ID: "bike-3", Epoch: 1})
		l := logins(known)
		var mu sync.Mutex
		var gone []device.ID
		l.Gone = func(id device.ID) {
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, id)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(4 * time.Second)
		old := l.Password("bike-1", 1)
		if err := l.Check("bike-1", old); err != nil {
			t.Errorf("before: %v", err)
		}
		known.set(nil, order.Login{ID: "bike-1", Epoch: 2}, order.Login{ID: "bike-2", Epoch: 1, Retired: true}, order.Login{ID: "bike-3", Epoch: 1})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		if !slices.Equal(gone, []device.ID{"bike-1", "bike-2"}) {
			t.Errorf("gone: got %v, want bike-1 and bike-2 once", gone)
		}
		mu.Unlock()
		known.set(errors.New("the database is away"))
		time.Sleep(10 * time.Second)
		if l.Check("bike-1", old) == nil || l.Check("bike-2", l.Password("bike-2", 1)) == nil || l.Check("bike-3", l.Password("bike-3", 1)) != nil {
			t.Error("a database that is away changed who may log in")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a clean stop: got %v, want nil", err)
		}
	})
}
