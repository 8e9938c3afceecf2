package billing_test

import (
	"math"
	"testing"

	"github.com/unlatch/unlatch/billing"
)

func TestFenReadsAsYuan(t *testing.T) {
	for f, want := range map[billing.Fen]string{
		0: "0.00", 1: "0.01", 9: "0.09", 10: "0.10", 99: "0.99", 100: "1.00", 150: "1.50", 123456: "1234.56",
		-1: "-0.01", -100: "-1.00", -12345: "-123.45",
		math.MaxInt64: "92233720368547758.07", math.MinInt64: "-92233720368547758.08",
	} {
		if got := f.String(); got != want {
			t.Errorf("%d fen: got %q, want %q", int64(f), got, want)
		}
	}
}
