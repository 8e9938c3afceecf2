package main

import (
	"context"
	"errors"
	"time"

	"github.com/unlatch/unlatch/store"
)

// retention is how long serve keeps what is not of the books.
type retention struct {
	PositionsDays int `default:"30" env:"UNLATCH_POSITIONS_DAYS" help:"Days for which staff may see where devices were; 0 keeps only where they are."`
	LoginsDays    int `default:"30" env:"UNLATCH_LOGINS_DAYS" help:"Days for which a login is kept after it expired or was ended."`
	KeysDays      int `name:"request-keys-days" default:"90" env:"UNLATCH_REQUEST_KEYS_DAYS" help:"Days for which a repeated request gets the answer of the first, 7 at least."`
	NoticesDays   int `default:"90" env:"UNLATCH_NOTICES_DAYS" help:"Days for which WeChat's notifications are kept after they were dealt with, 7 at least."`
	MessagesDays  int `default:"30" env:"UNLATCH_MESSAGES_DAYS" help:"Days for which a message that nobody could be told is kept."`
	PhotosDays    int `default:"90" env:"UNLATCH_PHOTOS_DAYS" help:"Days for which photos of faults are kept, 1 at least."`

	ReservationsDays int `default:"30" env:"UNLATCH_RESERVATIONS_DAYS" help:"Days for which it is kept who reserved what, 3 at least."`
}

func (r retention) times() (store.Retention, error) {
	const day = 24 * time.Hour
	switch {
	case r.PositionsDays < 0 || r.LoginsDays < 0 || r.MessagesDays < 1 || r.PhotosDays < 1:
		return store.Retention{}, errors.New("--positions-days and --logins-days are 0 or more, --messages-days and --photos-days 1 or more")
	case r.ReservationsDays < 3:
		return store.Retention{}, errors.New("--reservations-days is 3 or more: the unused ones of a day are counted")
	case r.KeysDays < 7 || r.NoticesDays < 7:
		return store.Retention{}, errors.New("--request-keys-days and --notices-days are 7 or more: requests and notifications come again for days")
	}
	return store.Retention{Positions: time.Duration(r.PositionsDays) * day, Logins: time.Duration(r.LoginsDays) * day,
		Keys: time.Duration(r.KeysDays) * day, Notices: time.Duration(r.NoticesDays) * day, Messages: time.Duration(r.MessagesDays) * day,
		Photos: time.Duration(r.PhotosDays) * day, Reservations: time.Duration(r.ReservationsDays) * day}, nil
}

// sweeping drops what is past its time, every hour.
func (n *node) sweeping(ctx context.Context) error {
	next := time.NewTimer(time.Minute) // not into the rush of a start
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		if _, err := n.db.Sweep(ctx, n.c.Keep); err != nil && ctx.Err() == nil {
			n.c.Log.Error("what is past its time was not dropped", "err", err)
		}
		next.Reset(time.Hour)
	}
}
