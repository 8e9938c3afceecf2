package billing

import (
	"fmt"
	"math"
)

// Fen is money in hundredths of a yuan.
type Fen int64

// String gives yuan with two decimals, as a receipt shows it: "1.50".
func (f Fen) String() string {
	sign := ""
	v := uint64(f)
	if f < 0 {
		sign, v = "-", uint64(-(f+1))+1
	}
	return fmt.Sprintf("%s%d.%02d", sign, v/100, v%100)
}

// times multiplies without wrapping: a product beyond int64 is the largest Fen,
// which every cap then cuts.
func (f Fen) times(n int64) Fen {
	if n == 0 || f == 0 {
		return 0
	}
	if f > 0 && n > math.MaxInt64/int64(f) {
		return math.MaxInt64
	}
	return f * Fen(n)
}
