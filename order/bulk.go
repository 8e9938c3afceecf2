package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
)

// Bulk is one act on many devices. The devices are written down when it is asked for; any
// replica carries it on, device by device, and what became of each is kept.
type Bulk struct {
	ID       string
	Act      BulkAct
	Args     BulkArgs
	Filter   json.RawMessage // as it was asked, for eyes only
	Reason   string
	Staff    string
	Venues   []string // that who asked may touch; nil = all
	Total    int
	At       time.Time
	HaltedAt time.Time
	HaltedBy string
	Counts   map[BulkState]int // of its devices
}

// Over tells whether nothing of it is left to do.
func (b Bulk) Over() bool { return b.Counts[BulkWaiting]+b.Counts[BulkDoing] == 0 }

// BulkAct is what is done to each device.
type BulkAct string

// The acts that may be done in bulk: each is harmless to do twice.
const (
	BulkMaintenance BulkAct = "maintenance"
	BulkInService   BulkAct = "in_service"
	BulkRetire      BulkAct = "retire"
	BulkRing        BulkAct = "ring"
	BulkProbe       BulkAct = "probe"
	BulkTransfer    BulkAct = "transfer"
)

// BulkArgs are what an act needs besides the device.
type BulkArgs struct {
	Venue string `json:"venue,omitempty"` // of transfer
}

// BulkState is how far a device of a bulk is.
type BulkState string

// A device is waiting, being done, or over in one of three ways.
const (
	BulkWaiting BulkState = "waiting"
	BulkDoing   BulkState = "doing"
	BulkDone    BulkState = "done"
	BulkFailed  BulkState = "failed"
	BulkHalted  BulkState = "halted"
)

// BulkMost is how many devices one bulk takes.
const BulkMost = 100_000

// BulkResult is what became of one device.
type BulkResult struct {
	N      int // its place, from 1
	Device device.ID
	State  BulkState
	Code   string    // the problem's, of one that failed
	Detail string    // in words, of one that failed
	At     time.Time // when it was taken, or over
	// Foreign: it is not where who asked may act, by now.
	Foreign bool
}

// Check returns ErrInvalid, saying what to do.
func (b Bulk) Check() error {
	acts := []BulkAct{BulkMaintenance, BulkInService, BulkRetire, BulkRing, BulkProbe, BulkTransfer}
	switch {
	case !slices.Contains(acts, b.Act):
		return fmt.Errorf("act knows maintenance, in_service, retire, ring, probe and transfer: %w", ErrInvalid)
	case (b.Act == BulkTransfer) != (b.Args.Venue != ""):
		return fmt.Errorf("args.venue belongs to transfer, and to nothing else: %w", ErrInvalid)
	case b.Reason == "":
		return ErrReason
	}
	return nil
}

// BulkBook keeps bulks.
type BulkBook interface {
	// TakeBulk hands out one device that is waiting, or was being done for more than a
	// minute, of the oldest bulk that is not over; false: nothing is left to do. It is the
	// taker's for a minute.
	TakeBulk(ctx context.Context) (Bulk, BulkResult, bool, error)
	// BulkDid notes what became of it, unless somebody else has taken it since.
	BulkDid(ctx context.Context, bulk string, result BulkResult) error
}

// Bulks carries bulks out. Any number may run.
type Bulks struct {
	Book    BulkBook
	Service *Service
	// Explain turns an error into a problem's code and words.
	Explain func(error) (code, detail string)
	Log     *slog.Logger
	kick    chan struct{}
}

// bulkPatience is for how long one device may take: half as long as it is its taker's, so
// that no other replica does it beside this one.
const bulkPatience = 30 * time.Second

// NewBulks makes a runner.
func NewBulks(book BulkBook, s *Service, explain func(error) (code, detail string), log *slog.Logger) *Bulks {
	return &Bulks{Book: book, Service: s, Explain: explain, Log: log, kick: make(chan struct{}, 1)}
}

// Wake looks at once.
func (b *Bulks) Wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// Run looks every two seconds, and when woken, until ctx ends.
func (b *Bulks) Run(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if err := b.turn(ctx); err != nil && ctx.Err() == nil {
			b.Log.Error("bulk not carried on", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.kick:
		case <-tick.C:
		}
	}
}

func (b *Bulks) turn(ctx context.Context) error {
	for ctx.Err() == nil {
		bulk, r, some, err := b.Book.TakeBulk(ctx)
		if err != nil || !some {
			return err
		}
		err = ErrNotFound
		if !r.Foreign {
			acting, cancel := context.WithTimeout(ctx, bulkPatience)
			err = b.do(acting, bulk, r.Device)
			late := acting.Err() != nil && err != nil
			cancel()
			if late { // nobody knows whether it was done: it is taken again later
				continue
			}
		}
		r.State = BulkDone
		if err != nil {
			r.State = BulkFailed
			r.Code, r.Detail = b.Explain(err)
		}
		if err := b.Book.BulkDid(context.WithoutCancel(ctx), bulk.ID, r); err != nil {
			return err
		}
	}
	return nil
}

// do acts on one device, with an audit row of its own in the act's transaction. A device
// that is so already is left as it is.
func (b *Bulks) do(ctx context.Context, bulk Bulk, id device.ID) error {
	staff := Audit{Staff: bulk.Staff, Act: "device." + string(bulk.Act), Object: "device " + string(id),
		Reason: bulk.Reason + " (bulk " + bulk.ID + ")"}
	switch bulk.Act {
	case BulkMaintenance, BulkInService, BulkRetire:
		service := map[BulkAct]device.Service{BulkMaintenance: device.Maintenance, BulkInService: device.InService, BulkRetire: device.Retired}[bulk.Act]
		_, err := b.Service.SetService(ctx, SetService{Device: id, Service: service, Already: true, Staff: staff})
		return err
	case BulkRing, BulkProbe:
		_, err := b.Service.Instruct(ctx, Instruct{Device: id, Outlet: 1, Kind: device.CommandKind(bulk.Act), Staff: staff})
		return err
	case BulkTransfer:
		_, err := b.Service.TransferDevice(ctx, TransferDevice{Device: id, Venue: bulk.Args.Venue, Staff: staff})
		return err
	}
	return errors.New("an act that this version does not know")
}
