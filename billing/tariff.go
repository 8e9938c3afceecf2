package billing

import (
	"errors"
	"fmt"
)

// ErrBadTariff says which rule of a tariff cannot be meant.
var ErrBadTariff = errors.New("tariff cannot be used")

// Rounding names how a started unit counts. It is stored with the tariff
// version, so that a later rule cannot change an old bill.
type Rounding string

// StartedBlocks bills each block that was begun: ceil(time / block).
const StartedBlocks Rounding = "started_blocks"

// Tariff is one version of a price rule for locks, as pinned in an order. Two
// versions of one tariff share ID and differ in Version; neither ever changes.
type Tariff struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Name    string `json:"name"`

	UnlockFee Fen      `json:"unlock_fee_fen"`
	FreeMS    int64    `json:"free_ms"`  // billed time begins after this; the unlock fee does not
	BlockMS   int64    `json:"block_ms"` // length of one block
	BlockFee  Fen      `json:"block_fee_fen"`
	RideCap   Fen      `json:"ride_cap_fen"` // most that one ride costs, unlock fee included; > 0
	DayCap    Fen      `json:"day_cap_fen"`  // most per rider and day of the venue; 0 = none
	Rounding  Rounding `json:"rounding"`
}

// Service is the tariff of a service unlock: nothing, ever.
func Service() Tariff {
	return Tariff{ID: "service", Version: 1, Name: "service", BlockMS: 60_000, Rounding: StartedBlocks}
}

// maxAmount is the most that a tariff or a line of a receipt may name: what a
// client's JSON number still holds. Sums of a few such never pass int64.
const maxAmount Fen = 1 << 53

// Check returns an ErrBadTariff that names the first rule that cannot be meant.
func (t Tariff) Check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrBadTariff, what) }
	switch {
	case t.UnlockFee < 0 || t.BlockFee < 0 || t.RideCap < 0 || t.DayCap < 0:
		return bad("an amount is negative")
	case max(t.UnlockFee, t.BlockFee, t.RideCap, t.DayCap) > maxAmount:
		return bad("an amount is beyond 2^53 fen")
	case t.FreeMS < 0 || t.FreeMS > 24*3600_000:
		return bad("free_ms must be 0 to 24 hours")
	case t.BlockMS < 1000 || t.BlockMS > 24*3600_000:
		return bad("block_ms must be one second to 24 hours")
	case t.Rounding != StartedBlocks:
		return bad(fmt.Sprintf("rounding %q is unknown; use %q", t.Rounding, StartedBlocks))
	case t.RideCap == 0 && t.UnlockFee+t.BlockFee > 0:
		return bad("ride_cap_fen is needed: a hold has to cover the dearest ride")
	case t.RideCap < t.UnlockFee:
		return bad("ride_cap_fen is below unlock_fee_fen")
	}
	return nil
}

// Least is what a rider must be able to pay before a ride may start: the unlock
// fee plus the first block, at most the ride's cap.
func (t Tariff) Least() Fen { return min(t.UnlockFee+t.BlockFee, t.RideCap) }

// Hold is what to hold of a balance: min(balance, the tariff's cap). ok is false
// when the balance does not cover Least.
func (t Tariff) Hold(balance Fen) (hold Fen, ok bool) {
	if balance < t.Least() {
		return 0, false
	}
	return min(balance, t.RideCap), true
}
