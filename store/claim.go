package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrBrokerClaimed says that another replica of this installation runs an
// embedded broker; each would see half the fleet.
var ErrBrokerClaimed = errors.New("another replica runs the embedded broker of this database; give this one --nats-url and --mqtt-url")

// BrokerClaim is the installation's one embedded broker, claimed for as long as
// a connection of this process lives, so that a crash gives it up by itself.
type BrokerClaim struct {
	db   *DB
	held *pgx.Conn // out of the pool: its life is the claim's
}

// ClaimBroker claims it; ErrBrokerClaimed.
func (db *DB) ClaimBroker(ctx context.Context) (*BrokerClaim, error) {
	c := &BrokerClaim{db: db}
	return c, c.take(ctx)
}

func (c *BrokerClaim) take(ctx context.Context) error {
	conn, err := c.db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("claim the broker: %w", err)
	}
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('unlatch embedded broker'))`).Scan(&got); err != nil {
		conn.Release()
		return fmt.Errorf("claim the broker: %w", err)
	}
	if !got {
		conn.Release()
		return ErrBrokerClaimed
	}
	c.held = conn.Hijack()
	return nil
}

// Watch keeps the claim until ctx ends, looking at it at each interval: a
// database that failed over or an idle connection that was cut has given it up,
// and it is taken again. ErrBrokerClaimed: somebody else was faster.
func (c *BrokerClaim) Watch(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		look, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := c.look(look)
		cancel()
		if errors.Is(err, ErrBrokerClaimed) {
			return err
		} // any other error: the database is away, and so is everybody's claim
	}
}

func (c *BrokerClaim) look(ctx context.Context) error {
	if c.held != nil && c.held.Ping(ctx) == nil {
		return nil
	}
	c.Release()
	return c.take(ctx)
}

// Release gives the claim up. It must not run beside Watch.
func (c *BrokerClaim) Release() {
	if c.held == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.held.Close(ctx)
	c.held = nil
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
