package billing

import "fmt"

// Usage is what the evidence measured, the only input of a quote besides the
// tariff. It is stored in the order, so that the quote can be computed again.
type Usage struct {
	BilledMS int64 `json:"billed_ms"` // length of the use that is billed, >= 0
	DaySpent Fen   `json:"day_spent_fen"`
	// Measured says how the use was measured; it becomes the receipt's note.
	Measured Measured  `json:"measured"`
	Evidence []string  `json:"evidence"` // references of the pieces that prove it
	Fuel     *Fuel     `json:"fuel,omitempty"`
	Pass     *PassUse  `json:"pass,omitempty"` // what the rider's pass took off
	Reserved *Reserved `json:"reserved,omitempty"`
	// Decided is what staff set the bill to, where evidence and rule do not agree.
	Decided *Fen `json:"decided_fen,omitempty"`
}

// Measured is how a use was measured.
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

// LineKind names a line of a receipt; the client chooses the words. The lines of
// a rule stand beside it.
type LineKind string

// LineDecision is what a decision of staff adds or, mostly, takes off.
const LineDecision LineKind = "staff_decision"

// Line is one line of a quote: Quantity x Unit = Amount, except for the caps and
// the like, whose Amount is what they take off, and for fuel, whose Quantity is
// ml and whose price is UnitPrice.
type Line struct {
	Kind      LineKind `json:"kind"`
	Quantity  int64    `json:"quantity"`
	Unit      Fen      `json:"unit_fen"`
	UnitPrice int64    `json:"unit_price,omitempty"` // milli-yuan per litre
	Grade     string   `json:"grade,omitempty"`
	Amount    Fen      `json:"amount_fen"`
	Note      string   `json:"note,omitempty"`
	Tariff    string   `json:"tariff"`   // "{id}@{version}"
	Evidence  []string `json:"evidence"` // "{journal}/{seq}", or "beat/{boot}/{uptime}"
}

// Quote is a tariff's result for one order. Total is the sum of the lines.
type Quote struct {
	Total Fen    `json:"total_fen"`
	Lines []Line `json:"lines"`
}

// bill is a quote in the making.
type bill struct {
	Quote
	tariff   string
	evidence []string
}

func (b *bill) add(l Line) {
	l.Tariff, l.Evidence = b.tariff, b.evidence
	b.Lines = append(b.Lines, l)
	b.Total += l.Amount
}

// Quote prices a use. It is pure: the same tariff and usage give the same quote.
func (t Tariff) Quote(u Usage) Quote {
	b := bill{tariff: fmt.Sprintf("%s@%d", t.ID, t.Version), evidence: u.Evidence}
	t.rule().quote(&b, u)
	if u.Decided != nil && *u.Decided != b.Total {
		b.add(Line{Kind: LineDecision, Quantity: 1, Unit: *u.Decided, Amount: *u.Decided - b.Total})
	}
	return b.Quote
}
