package order

import (
	"errors"
	"io"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/qr"
)

// Codes are printed, bound to outlets, moved and revoked by staff. No decision about
// an order needs that: a ticket names an outlet and not a code.

// What staff may be refused.
var (
	ErrCodeBound = errors.New("the code is bound to another outlet; say move (--move) to take it from there")
	ErrCodeVenue = errors.New("the code was printed for another venue than the device's")
)

// MostBatch is the most codes of one batch.
const MostBatch = 100_000

// mintTries is how often a number that is taken already is drawn anew; of a thousand
// million, ten in a row are never all taken.
const mintTries = 10

// DrawNumber draws numbers until keep takes one; keep's ErrExists says that it is
// taken. Any other error of keep ends it.
func DrawNumber(m *qr.Minter, random io.Reader, keep func(number string) error) error {
	var err error
	for range mintTries {
		number, mintErr := m.Mint(random)
		if mintErr != nil {
			return mintErr
		}
		if err = keep(string(number)); !errors.Is(err, ErrExists) {
			return err
		}
	}
	return err
}

// CodeBatch is codes that were minted to be printed together, for a venue, before
// anybody knew their devices.
type CodeBatch struct {
	ID        string // UUIDv7
	Venue     string
	VenueName string
	Count     int    // of its labels
	Caption   string // as printed; may be empty
	By        string // the staff member's id
	At        time.Time
	// How many of its codes are in use, wait for a device, or were revoked. A revoked
	// code that was replaced is counted beside the one in its place.
	Bound, Unbound, Revoked int
}

// AddBatch mints a batch, once per key.
type AddBatch struct {
	ID, Venue, Caption string
	Count              int  // 1 to MostBatch
	Kiosk              bool // they will hang at the kiosk
	Mint               func() (number string, err error)
	Key                KeyRef
	Route              string
	Hash               [32]byte // of the request's body
	Staff              Audit
	// Answer renders what the key is answered with, now and later.
	Answer func(CodeBatch) (status int, body []byte, err error)
}

// BindCode hangs a code on an outlet.
type BindCode struct {
	Number string
	Device device.ID
	Outlet uint8
	// Move takes it off the outlet that it hangs on; without it that is refused.
	Move  bool
	Staff Audit // Act, Object, Before and After are set by the store
}
