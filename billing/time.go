package billing

// StartedBlocks bills each block that was begun: ceil(time / block).
const StartedBlocks Rounding = "started_blocks"

// TimeRule prices the length of a use: bikes, lockers, machines that run by the
// minute.
type TimeRule struct {
	UnlockFee Fen   `json:"unlock_fee_fen"`
	FreeMS    int64 `json:"free_ms"`  // billed time begins after this; the unlock fee does not
	BlockMS   int64 `json:"block_ms"` // length of one block
	BlockFee  Fen   `json:"block_fee_fen"`
	RideCap   Fen   `json:"ride_cap_fen"` // most that one ride costs, unlock fee included; > 0
	DayCap    Fen   `json:"day_cap_fen"`  // most per rider and day of the venue; 0 = none

	// Of reservations, in minutes: free ones, 0 = 5, -1 = none; and all for which one is
	// held, 0 = 10, -1 = there are no reservations. A tariff that says nothing of them is
	// stored as it was before they were known.
	ReserveFree int64 `json:"reserve_free_minutes,omitempty"`
	ReserveFee  Fen   `json:"reserve_fen_per_minute,omitempty"`
	ReserveMost int64 `json:"reserve_most_minutes,omitempty"`
}

// The lines of a use that is billed by time, in this order.
const (
	LineUnlock  LineKind = "unlock"
	LineTime    LineKind = "time"
	LineRideCap LineKind = "ride_cap"
	LineDayCap  LineKind = "day_cap"
)

func (t *TimeRule) check(r Rounding) error {
	switch {
	case t.UnlockFee < 0 || t.BlockFee < 0 || t.RideCap < 0 || t.DayCap < 0 || t.ReserveFee < 0:
		return bad("an amount is negative")
	case max(t.UnlockFee, t.BlockFee, t.RideCap, t.DayCap, t.ReserveFee) > maxAmount:
		return bad("an amount is beyond 2^53 fen")
	case t.FreeMS < 0 || t.FreeMS > 24*3600_000:
		return bad("free_ms must be 0 to 24 hours")
	case t.BlockMS < 1000 || t.BlockMS > 24*3600_000:
		return bad("block_ms must be one second to 24 hours")
	case r != StartedBlocks:
		return bad("rounding %q is unknown; use %q", r, StartedBlocks)
	case t.ReserveFree < -1 || t.ReserveFree > 24*60 || t.ReserveMost < -1 || t.ReserveMost > 24*60:
		return bad("reserve_free_minutes and reserve_most_minutes are minutes, at most a day; 0 = as usual, -1 = none")
	case t.RideCap == 0 && t.UnlockFee+t.BlockFee+t.ReserveFee > 0:
		return bad("ride_cap_fen is needed: a hold has to cover the dearest ride")
	case t.RideCap < t.UnlockFee:
		return bad("ride_cap_fen is below unlock_fee_fen")
	}
	return nil
}

// least is the unlock fee plus the first block, at most the ride's cap.
func (t *TimeRule) least() Fen { return (*PassUse)(nil).least(t) }

// allow holds min(balance, the ride's cap).
func (t *TimeRule) allow(p Preset, pass *PassUse, balance Fen) (Allowance, error) {
	if p != (Preset{}) {
		return Allowance{}, ErrPreset
	}
	if balance < pass.least(t) {
		return Allowance{}, ErrNoMoney
	}
	return Allowance{Hold: min(balance, t.RideCap)}, nil
}

// over is how much of a use is billed, ms: what goes beyond the free time.
func (t *TimeRule) over(u Usage) int64 { return max(max(u.BilledMS, 0)-t.FreeMS, 0) }

// blocksOf counts the blocks that were begun.
func blocksOf(ms, block int64) int64 {
	if ms <= 0 {
		return 0
	}
	return (ms-1)/block + 1 // not ms+block-1, which a device's clock could overflow
}

// timed is the price of so many blocks. A product that no receipt could show is cut; the
// ride's cap follows anyway.
func (t *TimeRule) timed(blocks int64) Fen { return min(t.BlockFee.times(blocks), maxAmount) }

func (t *TimeRule) quote(q *bill, u Usage) {
	q.add(Line{Kind: LineUnlock, Quantity: 1, Unit: t.UnlockFee, Amount: t.UnlockFee})
	over := t.over(u)
	blocks := blocksOf(over, t.BlockMS)
	q.add(Line{Kind: LineTime, Quantity: blocks, Unit: t.BlockFee, Amount: t.timed(blocks), Note: string(u.Measured)})
	if fee := u.Reserved.Fen(); fee > 0 {
		q.add(Line{Kind: LineReservation, Quantity: u.Reserved.Minutes, Unit: u.Reserved.Fee, Amount: fee})
	}
	if u.Pass != nil {
		ride, budget := t.paid(u)
		off := t.timed(blocks) - t.timed(blocksOf(over-ride-budget, t.BlockMS))
		if u.Pass.UnlockFree {
			off += t.UnlockFee
		}
		q.add(Line{Kind: LinePass, Quantity: 1, Unit: off, Amount: -off, Note: u.Pass.Name})
	}
	if q.Total > t.RideCap {
		q.add(Line{Kind: LineRideCap, Quantity: 1, Unit: t.RideCap, Amount: t.RideCap - q.Total})
	}
	if t.DayCap > 0 {
		left := max(t.DayCap-max(u.DaySpent, 0), 0)
		if q.Total > left {
			q.add(Line{Kind: LineDayCap, Quantity: 1, Unit: t.DayCap, Amount: left - q.Total})
		}
	}
}
