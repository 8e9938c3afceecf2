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
	case t.UnlockFee < 0 || t.BlockFee < 0 || t.RideCap < 0 || t.DayCap < 0:
		return bad("an amount is negative")
	case max(t.UnlockFee, t.BlockFee, t.RideCap, t.DayCap) > maxAmount:
		return bad("an amount is beyond 2^53 fen")
	case t.FreeMS < 0 || t.FreeMS > 24*3600_000:
		return bad("free_ms must be 0 to 24 hours")
	case t.BlockMS < 1000 || t.BlockMS > 24*3600_000:
		return bad("block_ms must be one second to 24 hours")
	case r != StartedBlocks:
		return bad("rounding %q is unknown; use %q", r, StartedBlocks)
	case t.RideCap == 0 && t.UnlockFee+t.BlockFee > 0:
		return bad("ride_cap_fen is needed: a hold has to cover the dearest ride")
	case t.RideCap < t.UnlockFee:
		return bad("ride_cap_fen is below unlock_fee_fen")
	}
	return nil
}

// least is the unlock fee plus the first block, at most the ride's cap.
func (t *TimeRule) least() Fen { return min(t.UnlockFee+t.BlockFee, t.RideCap) }

// allow holds min(balance, the ride's cap).
func (t *TimeRule) allow(p Preset, balance Fen) (Allowance, error) {
	if p != (Preset{}) {
		return Allowance{}, ErrPreset
	}
	if balance < t.least() {
		return Allowance{}, ErrNoMoney
	}
	return Allowance{Hold: min(balance, t.RideCap)}, nil
}

func (t *TimeRule) quote(q *bill, u Usage) {
	q.add(Line{Kind: LineUnlock, Quantity: 1, Unit: t.UnlockFee, Amount: t.UnlockFee})
	blocks := int64(0)
	if over := max(u.BilledMS, 0) - t.FreeMS; over > 0 {
		blocks = (over-1)/t.BlockMS + 1 // not over+BlockMS-1, which a device's clock could overflow
	}
	// A product that no receipt could show is cut; the ride's cap follows anyway.
	q.add(Line{Kind: LineTime, Quantity: blocks, Unit: t.BlockFee, Amount: min(t.BlockFee.times(blocks), maxAmount),
		Note: string(u.Measured)})
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
