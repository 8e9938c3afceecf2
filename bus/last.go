package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	lastBucket = "last"
	// lastBytes bounds all last states together; 100,000 devices with 500 bytes
	// each need half.
	lastBytes = 128 << 20
	// lastPatience bounds one read or write; a display does not wait longer.
	lastPatience = 3 * time.Second
)

// SetLast keeps a device's last known state, a JSON document of ours, for whoever
// shows devices. It lives in the memory of NATS and is gone after a wipe or
// restart, until the device speaks again.
//
// Errors: ErrBadSubject, ErrNotConnected, or NATS' own; all may be ignored.
func (c *Conn) SetLast(ctx context.Context, device string, json []byte) error {
	if !validID(device, maxID) {
		return fmt.Errorf("keep last state: %w: device %q", ErrBadSubject, device)
	}
	err := c.withBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, device, json)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep last state of %s: %w", device, err)
	}
	return nil
}

// Last gives what SetLast kept. Another replica's SetLast may show a moment later.
//
// Errors: ErrNotKnown, ErrBadSubject, ErrNotConnected, or NATS' own.
func (c *Conn) Last(ctx context.Context, device string) ([]byte, error) {
	if !validID(device, maxID) {
		return nil, fmt.Errorf("read last state: %w: device %q", ErrBadSubject, device)
	}
	var value []byte
	err := c.withBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		entry, err := kv.Get(ctx, device)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return ErrNotKnown
		}
		if err == nil {
			value = entry.Value()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read last state of %s: %w", device, err)
	}
	return value, nil
}

// followAgain is how long FollowLast waits before it asks NATS anew.
const followAgain = time.Second

// FollowLast hands the last state of every device to told, then each that SetLast keeps,
// by whatever replica, until ctx ends. After a wipe, or when the connection was away, it
// begins anew, so that told may hear the same again and may miss what was superseded.
// told must not block. The document must not be changed. Its error is nil.
func (c *Conn) FollowLast(ctx context.Context, told func(device string, json []byte)) error {
	var failed jetstream.KeyValue
	for ctx.Err() == nil {
		failed = c.followBucket(ctx, failed, told)
		again := time.NewTimer(followAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
	return nil
}

// followLook is how often FollowLast looks whether its bucket is still the same: after a
// wipe NATS says nothing.
const followLook = 5 * time.Second

// followBucket follows one bucket until ctx ends or something fails, and returns it.
func (c *Conn) followBucket(ctx context.Context, failed jetstream.KeyValue, told func(device string, json []byte)) jetstream.KeyValue {
	ask, cancel := context.WithTimeout(ctx, lastPatience)
	kv, err := c.bucket(ask, failed)
	cancel()
	if err != nil {
		return failed
	}
	made, err := bornAt(ctx, kv)
	if err != nil {
		return kv
	}
	watch, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return kv
	}
	defer func() { _ = watch.Stop() }()
	look := time.NewTicker(followLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return kv
		case entry, open := <-watch.Updates():
			if !open {
				return kv
			}
			if entry != nil { // nil: that was what there is
				told(entry.Key(), entry.Value())
			}
		case <-look.C:
			if now, err := bornAt(ctx, kv); err != nil || !now.Equal(made) {
				return nil // what is there now, if anything, is another bucket of that name
			}
		}
	}
}

// bornAt is when a bucket was made, by which it is told from one made anew.
func bornAt(ctx context.Context, kv jetstream.KeyValue) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, lastPatience)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return time.Time{}, err
	}
	s, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return time.Time{}, nil // nothing tells: it counts as the same
	}
	return s.StreamInfo().Created, nil
}

// withBucket runs the operation, and once more with a bucket made anew when it
// failed: the usual reason is that NATS was wiped.
func (c *Conn) withBucket(ctx context.Context, do func(context.Context, jetstream.KeyValue) error) error {
	ctx, cancel := context.WithTimeout(ctx, lastPatience)
	defer cancel()
	kv, err := c.bucket(ctx, nil)
	if err != nil {
		return err
	}
	if err = do(ctx, kv); err == nil || errors.Is(err, ErrNotKnown) || ctx.Err() != nil {
		return err
	}
	if kv, err = c.bucket(ctx, kv); err != nil {
		return err
	}
	return do(ctx, kv)
}

// bucket gives the bucket, made if need be. A bucket that failed is replaced,
// unless another caller has replaced it already.
func (c *Conn) bucket(ctx context.Context, failed jetstream.KeyValue) (jetstream.KeyValue, error) {
	c.mu.RLock()
	nc := c.nc
	c.mu.RUnlock()
	if nc == nil || !nc.IsConnected() {
		return nil, ErrNotConnected
	}
	select { // a caller with little time must not queue behind one that waits for NATS
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.last != nil && c.last != failed {
		return c.last, nil
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:      lastBucket,
		Description: "last known state per device; may be deleted",
		History:     1,
		MaxBytes:    lastBytes,
		Storage:     jetstream.MemoryStorage,
		Replicas:    max(1, c.cfg.Replicas),
	})
	if err != nil {
		return nil, fmt.Errorf("make bucket %s: %w", lastBucket, err)
	}
	c.last = kv
	return kv, nil
}
