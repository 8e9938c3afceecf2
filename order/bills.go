package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// China is the time zone of WeChat's bills, whatever the zones of venues are. It has
// had no summer time since 1991.
var China = time.FixedZone("UTC+8", 8*3600)

// BillDay is a day of WeChat's bill as it was held against the ledger.
type BillDay struct {
	Day         string // China time, 2006-01-02
	State       string // waiting, matched, differs
	Lines       int
	Came, Went  billing.Fen
	Differences int
	Tries       int
	DueAt       time.Time
	At          time.Time
}

// ErrNoBill says that nothing moved on a day; ErrBillNotReady that its bill is being
// made.
var (
	ErrNoBill       = errors.New("there is no bill of this day: nothing moved")
	ErrBillNotReady = errors.New("the bill of this day is not ready")
)

// Bills fetches the bill of a day, China time. ErrNoBill, ErrBillNotReady.
type Bills interface {
	TradeBill(ctx context.Context, day string) ([]billing.BillLine, error)
}

// BillBook keeps what was fetched.
type BillBook interface {
	// DueBills adds the days up to last that are not there yet, from the first payment
	// on, claims those that are due for an hour and returns them, oldest first.
	DueBills(ctx context.Context, last string) ([]BillDay, error)
	// MatchBill holds a day's lines against the payments, line by line and both ways,
	// and opens an item for each difference, in one transaction. Doing it again changes
	// nothing.
	MatchBill(ctx context.Context, day string, lines []billing.BillLine) (BillDay, error)
	// OpenItem opens an item unless it is open already.
	OpenItem(ctx context.Context, i Item) error
	// Clock is the database's.
	Clock(ctx context.Context) (time.Time, error)
}

// Reconciler holds each day's bill against the ledger. Any number may run.
type Reconciler struct {
	Bills Bills
	Book  BillBook
	Env   Env
	Log   *slog.Logger
}

// Run looks every ten minutes until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		if err := r.Turn(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("bills not reconciled", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// billReady is when WeChat has yesterday's bill, China time.
const billReady = 10 * time.Hour

// Turn deals with every day whose bill is due.
func (r *Reconciler) Turn(ctx context.Context) error {
	now, err := r.Book.Clock(ctx)
	if err != nil {
		return err
	}
	last := now.In(China).Add(-billReady).AddDate(0, 0, -1).Format(time.DateOnly)
	due, err := r.Book.DueBills(ctx, last)
	if err != nil {
		return err
	}
	var failed []error
	for _, d := range due {
		if err := r.day(ctx, d, now); err != nil {
			failed = append(failed, fmt.Errorf("bill of %s: %w", d.Day, err))
		}
	}
	return errors.Join(failed...)
}

func (r *Reconciler) day(ctx context.Context, d BillDay, now time.Time) error {
	lines, err := r.Bills.TradeBill(ctx, d.Day)
	if errors.Is(err, ErrNoBill) {
		lines, err = nil, nil
	}
	if err != nil {
		if d.Tries < 12 { // half a day
			return err
		}
		id, idErr := r.Env.newID(now)
		if idErr != nil {
			return idErr
		}
		return errors.Join(err, r.Book.OpenItem(ctx, Item{ID: id, Kind: ItemBillMissing, Subject: d.Day,
			Detail: "the bill could not be had for half a day: " + err.Error(), At: now}))
	}
	matched, err := r.Book.MatchBill(ctx, d.Day, lines)
	if err != nil {
		return err
	}
	r.Log.Info("bill matched", "day", matched.Day, "lines", matched.Lines, "differences", matched.Differences)
	return nil
}
