package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// ErrLogin says that a device's MQTT password is wrong, of an earlier epoch, or
// that the device is retired.
var ErrLogin = errors.New("wrong device or password")

// LoginList lists every device's current epoch.
type LoginList interface {
	Logins(context.Context) ([]order.Login, error)
}

// Logins makes and checks devices' MQTT passwords without the database: a
// password is its epoch and a keyed hash, so a broker that restarts can let a
// whole fleet in at once. What the hash cannot know, a retired device or a newer
// epoch, is kept in memory and read again every few seconds.
type Logins struct {
	Secret []byte // at least 16 bytes
	List   LoginList
	Log    *slog.Logger
	// Gone is called with a device that may no longer be connected.
	Gone func(device.ID)

	mu    sync.RWMutex
	known map[device.ID]order.Login
}

// Password is what a device of this epoch logs in with.
func (l *Logins) Password(id device.ID, epoch uint32) string {
	mac := hmac.New(sha256.New, l.Secret)
	fmt.Fprintf(mac, "mqtt/%s/%d", id, epoch)
	return fmt.Sprintf("%d.%s", epoch, base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]))
}

// Check returns ErrLogin unless the password is this device's and current.
func (l *Logins) Check(user, password string) error {
	id := device.ID(user)
	text, _, _ := strings.Cut(password, ".")
	epoch, err := strconv.ParseUint(text, 10, 32)
	if err != nil || id.Check() != nil || !hmac.Equal([]byte(password), []byte(l.Password(id, uint32(epoch)))) {
		return ErrLogin
	}
	l.mu.RLock()
	known, ok := l.known[id]
	l.mu.RUnlock()
	if ok && (known.Retired || known.Epoch > uint32(epoch)) {
		return ErrLogin
	}
	return nil
}

// Refresh reads the list once and reports who is gone.
func (l *Logins) Refresh(ctx context.Context) error {
	all, err := l.List.Logins(ctx)
	if err != nil {
		return err
	}
	known := make(map[device.ID]order.Login, len(all))
	var gone []device.ID
	l.mu.Lock()
	for _, x := range all {
		known[x.ID] = x
		before, ok := l.known[x.ID]
		if ok && (x.Retired && !before.Retired || x.Epoch > before.Epoch) {
			gone = append(gone, x.ID)
		}
	}
	l.known = known
	l.mu.Unlock()
	for _, id := range gone {
		if l.Gone != nil {
			l.Gone(id)
		}
	}
	return nil
}

// Run refreshes until ctx ends. A database that is away leaves the list as it is.
func (l *Logins) Run(ctx context.Context) error {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := l.Refresh(ctx); err != nil && ctx.Err() == nil {
				l.Log.Warn("list of logins not refreshed", "err", err)
			}
		}
	}
}
