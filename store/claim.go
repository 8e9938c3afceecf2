package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrBrokerClaimed says that another replica of this installation runs an
// embedded broker; each would see half the fleet.
var ErrBrokerClaimed = errors.New("another replica runs the embedded broker of this database; give this one --nats-url and --mqtt-url")

// ClaimBroker claims the installation's one embedded broker for as long as a
// connection of this process lives, so that a crash gives it up by itself.
func (db *DB) ClaimBroker(ctx context.Context) (release func(), err error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("claim the broker: %w", err)
	}
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('unlatch embedded broker'))`).Scan(&got); err != nil {
		conn.Release()
		return nil, fmt.Errorf("claim the broker: %w", err)
	}
	if !got {
		conn.Release()
		return nil, ErrBrokerClaimed
	}
	held := conn.Hijack() // out of the pool: its life is the claim's
	return func() { _ = held.Close(context.WithoutCancel(ctx)) }, nil
}

// Pending tells whether the database still needs migrations.
func Pending(ctx context.Context, url string) (bool, error) {
	p, done, err := provider(url)
	if err != nil {
		return false, err
	}
	defer done()
	pending, err := p.HasPending(ctx)
	if err != nil {
		return false, fmt.Errorf("look for migrations: %w", err)
	}
	return pending, nil
}
