package device

import (
	"maps"
	"slices"
)

// Pump is a fuel dispenser: an outlet per side, nozzles with a totaliser each.
const Pump Kind = "pump"

// Meter is what is known of the nozzles of an outlet. Its maps are replaced,
// never changed.
type Meter struct {
	// Grades names the grade of each nozzle, as provisioned; nil: no nozzles.
	Grades map[uint8]string `json:"grades,omitempty"`
	// Stated is the newest signed totaliser of each nozzle, ml.
	Stated map[uint8]uint64 `json:"stated,omitempty"`
	// Explained is the totaliser up to which every millilitre belongs to a use that
	// the journal told of, or to a gap that staff were told of; nil: nothing was
	// heard since the device was provisioned.
	Explained map[uint8]uint64 `json:"explained,omitempty"`
}

// Jump is what a totaliser moved by and nothing explains. Ml is negative where it
// went back.
type Jump struct {
	Nozzle   uint8
	From, To uint64 // ml
	Ml       int64
}

// Jumps compares a totaliser with what is explained, by rising nozzle number.
func (m Meter) Jumps(said map[uint8]uint64) []Jump {
	if m.Explained == nil || said == nil {
		return nil
	}
	var jumps []Jump
	for n := 1; n <= 255; n++ {
		from, to := m.Explained[uint8(n)], said[uint8(n)]
		if from != to {
			jumps = append(jumps, Jump{Nozzle: uint8(n), From: from, To: to, Ml: int64(to) - int64(from)})
		}
	}
	return jumps
}

// Since is how much passed since what is explained, in ml: through the given
// nozzles, and through all others. known is false before anything was heard.
func (m Meter) Since(said map[uint8]uint64, nozzles ...uint8) (ml, others int64, known bool) {
	if m.Explained == nil || said == nil {
		return 0, 0, false
	}
	for _, j := range m.Jumps(said) {
		if slices.Contains(nozzles, j.Nozzle) {
			ml += j.Ml
		} else {
			others += max(j.Ml, -j.Ml) // what went back is no less wrong
		}
	}
	return ml, others, true
}

// Total is the sum of what is explained, ml: the place of a gap in an outlet's life.
func (m Meter) Total() (ml uint64) {
	for _, v := range m.Explained {
		ml += v
	}
	return ml
}

// Explain returns the meter with everything up to said explained.
func (m Meter) Explain(said map[uint8]uint64) Meter {
	if said != nil {
		m.Explained = maps.Clone(said)
	}
	return m
}

// Nozzles returns the nozzles that carry a grade.
func (m Meter) Nozzles(grade string) []uint8 {
	var found []uint8
	for n := 1; n <= 255; n++ {
		if g, ok := m.Grades[uint8(n)]; ok && g == grade {
			found = append(found, uint8(n))
		}
	}
	return found
}
