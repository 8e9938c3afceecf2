package billing

import "fmt"

// Usage is what the evidence measured, the only input of a quote besides the
// tariff. It is stored in the order, so that the quote can be computed again.
type Usage struct {
	BilledMS int64 `json:"billed_ms"` // length of the ride that is billed, >= 0
	DaySpent Fen   `json:"day_spent_fen"`
	// Measured says how BilledMS was found; it becomes the receipt's note.
	Measured Measured `json:"measured"`
	Evidence []string `json:"evidence"` // references of the pieces that prove it
}

// Measured is how the length of a ride was found.
type Measured string

// WithinBoot: difference of uptimes of one boot. AcrossBoots: each boot placed
// on server time by its fastest message. Shortest: only bounds were known.
// LastProven: the end is the last moment at which the use was proved to go on.
const (
	WithinBoot  Measured = "within_boot"
	AcrossBoots Measured = "across_boots"
	Shortest    Measured = "shortest"
	LastProven  Measured = "last_proven"
)

// LineKind names a line of a receipt; the client chooses the words.
type LineKind string

// The lines that a lock's receipt can have, in this order.
const (
	LineUnlock  LineKind = "unlock"
	LineTime    LineKind = "time"
	LineRideCap LineKind = "ride_cap"
	LineDayCap  LineKind = "day_cap"
)

// Line is one line of a quote: Quantity x Unit = Amount, except for the caps,
// whose Amount is what they take off.
type Line struct {
	Kind     LineKind `json:"kind"`
	Quantity int64    `json:"quantity"`
	Unit     Fen      `json:"unit_fen"`
	Amount   Fen      `json:"amount_fen"`
	Note     string   `json:"note,omitempty"`
	Tariff   string   `json:"tariff"`   // "{id}@{version}"
	Evidence []string `json:"evidence"` // "{journal}/{seq}", or "beat/{boot}/{uptime}"
}

// Quote is a tariff's result for one order. Total is the sum of the lines.
type Quote struct {
	Total Fen    `json:"total_fen"`
	Lines []Line `json:"lines"`
}

// Quote prices a use. It is pure: the same tariff and usage give the same quote.
func (t Tariff) Quote(u Usage) Quote {
	ref := fmt.Sprintf("%s@%d", t.ID, t.Version)
	var q Quote
	add := func(kind LineKind, quantity int64, unit, amount Fen, note string) {
		q.Lines = append(q.Lines, Line{kind, quantity, unit, amount, note, ref, u.Evidence})
		q.Total += amount
	}
	add(LineUnlock, 1, t.UnlockFee, t.UnlockFee, "")
	blocks := int64(0)
	if over := max(u.BilledMS, 0) - t.FreeMS; over > 0 {
		blocks = (over-1)/t.BlockMS + 1 // not over+BlockMS-1, which a device's clock could overflow
	}
	// A product that no receipt could show is cut; the ride's cap follows anyway.
	add(LineTime, blocks, t.BlockFee, min(t.BlockFee.times(blocks), maxAmount), string(u.Measured))
	if q.Total > t.RideCap {
		add(LineRideCap, 1, t.RideCap, t.RideCap-q.Total, "")
	}
	if t.DayCap > 0 {
		left := max(t.DayCap-max(u.DaySpent, 0), 0)
		if q.Total > left {
			add(LineDayCap, 1, t.DayCap, left-q.Total, "")
		}
	}
	return q
}
