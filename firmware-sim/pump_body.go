package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// What a pump's maker declares, where nothing else is said.
const (
	// DefaultRate is what a nozzle gives, fully open, in ml per s: 36 litres a minute.
	DefaultRate = 600
	// DefaultResidual is the most that still flows when a valve shuts in full flow, in ml.
	DefaultResidual = 20
)

// Pump is a pump's body: what is physically true, whatever any message says.
// Tests hold the evidence against it. It keeps its state without power, and no
// formatting touches it.
type Pump struct {
	// Sides are the outlets, rising.
	Sides []*Side `json:"sides"`
	// Residual is declared: the most that still flows when a valve shuts, in ml.
	// What really flows then is drawn evenly from 0 to that.
	Residual int64 `json:"residual_ml"`
	// ShutDown is the safety relay: ReasonEmergencyStop or ReasonGas, whichever
	// struck last, until a hand releases it. 0: not shut down.
	ShutDown wire.Reason `json:"shut_down,omitempty"`
	// Armings are the armings by command, in order.
	Armings []Movement `json:"armings"`
	// Sales are the uses, in the order in which they began.
	Sales []*Sale `json:"sales"`
	// Unauthorised is what passed the meters in no use, in ml (Crank).
	Unauthorised int64 `json:"unauthorised_ml"`
}

// Side is one outlet of a pump.
type Side struct {
	Outlet  uint8     `json:"outlet"`
	Nozzles []*Nozzle `json:"nozzles"`
	// Up is the nozzle that is out of its holder; 0: none.
	Up uint8 `json:"up,omitempty"`
	// Hand is how far the hand opens that nozzle, 0 to 100 percent.
	Hand int `json:"hand,omitempty"`
	// Broken: the pump finds a fault of its own on this side.
	Broken bool `json:"broken,omitempty"`
	// Sticky is how much more than the declared residual flows when the valve shuts,
	// in ml. Wrong is what the pump's computer gets an amount wrong by, in Fen. Both
	// are faults that it does not find.
	Sticky int64 `json:"sticky_ml,omitempty"`
	Wrong  int64 `json:"wrong_fen,omitempty"`
	// State is what the display and telemetry say; 0 without power.
	State wire.MeterState `json:"state,omitempty"`
	// ShownMl and ShownFen are the display's: of the use that goes on, and of the
	// last one until a nozzle is lifted or a start is obeyed.
	ShownMl  int64 `json:"shown_ml"`
	ShownFen int64 `json:"shown_fen"`
}

// Nozzle is one hose with its meter.
type Nozzle struct {
	Number uint8  `json:"nozzle"`
	Grade  string `json:"grade"` // for display only
	// Totaliser is all that ever passed, in ml. It only grows.
	Totaliser uint64 `json:"totaliser_ml"`
	// Rate is what it gives fully open, in ml per s, 1 to 5000.
	Rate int64 `json:"rate"`
}

// Sale is the body's own record of one use. It is made when the pump arms.
type Sale struct {
	Device string  `json:"device"`
	Outlet uint8   `json:"outlet"`
	Epoch  uint32  `json:"epoch"`
	Seq    uint64  `json:"seq"`
	Order  wire.ID `json:"order"`
	// Nozzle is the one that was lifted; 0: none.
	Nozzle uint8 `json:"nozzle"`
	// Ml and Fen are what passed, and what that costs.
	Ml  int64 `json:"ml"`
	Fen int64 `json:"fen"`
	// MaxMl and MaxFen are the start's limits; MaxFen 0: none.
	MaxMl  int64 `json:"max_ml"`
	MaxFen int64 `json:"max_fen"`
	// Limit is what they come to for the nozzle, in ml; 0 without a nozzle.
	Limit int64 `json:"limit_ml"`
	// Price is that of the nozzle, in milli-yuan per litre.
	Price int64 `json:"price"`
	// Residual is the declared one, in ml.
	Residual int64 `json:"residual_ml"`
	// ArmedAt and EndedAt are true times; EndedAt is when the valve shut, zero
	// while the use goes on.
	ArmedAt time.Time `json:"armed_at"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	// How it ended: the reason's word, power where the power went. The evidence of
	// an end that the power cut short says interrupted: power all the same.
	How string `json:"how"`
}

// NewPump is a pump as it leaves the works, with these sides; see NewSide.
func NewPump(sides ...*Side) *Pump {
	slices.SortFunc(sides, func(a, b *Side) int { return int(a.Outlet) - int(b.Outlet) })
	return &Pump{Sides: sides, Residual: DefaultResidual}
}

// NewSide is an outlet with these nozzles: number to grade.
func NewSide(outlet uint8, nozzles map[uint8]string) *Side {
	s := &Side{Outlet: outlet}
	for n, grade := range nozzles {
		s.Nozzles = append(s.Nozzles, &Nozzle{Number: n, Grade: grade, Rate: DefaultRate})
	}
	slices.SortFunc(s.Nozzles, func(a, b *Nozzle) int { return int(a.Number) - int(b.Number) })
	return s
}

// Side finds an outlet; nil: there is none.
func (p *Pump) Side(outlet uint8) *Side {
	i := slices.IndexFunc(p.Sides, func(s *Side) bool { return s.Outlet == outlet })
	if i < 0 {
		return nil
	}
	return p.Sides[i]
}

// Nozzle finds a nozzle of the side; nil: there is none.
func (s *Side) Nozzle(number uint8) *Nozzle {
	i := slices.IndexFunc(s.Nozzles, func(n *Nozzle) bool { return n.Number == number })
	if i < 0 {
		return nil
	}
	return s.Nozzles[i]
}

// open is the side's sale that goes on; nil: none does.
func (p *Pump) open(outlet uint8) *Sale {
	for _, sale := range slices.Backward(p.Sales) {
		if sale.Outlet == outlet {
			if sale.EndedAt.IsZero() {
				return sale
			}
			return nil
		}
	}
	return nil
}

// adopt takes over what an earlier life of the same pump counted and did; what
// is only in was is gone from the station.
func (p *Pump) adopt(was *Pump) {
	if was == nil {
		return
	}
	p.ShutDown, p.Armings, p.Sales, p.Unauthorised = was.ShutDown, was.Armings, was.Sales, was.Unauthorised
	for _, s := range p.Sides {
		old := was.Side(s.Outlet)
		if old == nil {
			continue
		}
		s.Broken, s.ShownMl, s.ShownFen = old.Broken, old.ShownMl, old.ShownFen
		if s.Nozzle(old.Up) != nil {
			s.Up = old.Up
		}
		for _, n := range s.Nozzles {
			if before := old.Nozzle(n.Number); before != nil {
				n.Totaliser = before.Totaliser
			}
		}
	}
}

// check is what a pump must be made of.
func (p *Pump) check() error {
	if len(p.Sides) == 0 || len(p.Sides) > 16 || p.Sides[0].Outlet != 1 {
		return fmt.Errorf("a pump of %d outlets, want 1 to 16, the first being 1", len(p.Sides))
	}
	if p.Residual < 0 {
		return fmt.Errorf("a residual flow of %d ml", p.Residual)
	}
	last := uint8(0)
	for _, s := range p.Sides {
		if s.Outlet <= last {
			return fmt.Errorf("outlet %d after %d", s.Outlet, last)
		}
		last = s.Outlet
		if len(s.Nozzles) == 0 || len(s.Nozzles) > 16 {
			return fmt.Errorf("outlet %d has %d nozzles, want 1 to 16", s.Outlet, len(s.Nozzles))
		}
		before := uint8(0)
		for _, n := range s.Nozzles {
			if n.Number <= before || n.Rate < 1 || n.Rate > maxRate {
				return fmt.Errorf("outlet %d: nozzle %d after %d, with a rate of %d ml/s", s.Outlet, n.Number, before, n.Rate)
			}
			before = n.Number
		}
	}
	return nil
}
