package sim

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFenIsRoundedHalfUp(t *testing.T) { // P6.14
	for _, test := range []struct{ ml, price, want int64 }{
		{0, 7_850, 0}, {1, 7_850, 1}, {1_000, 7_850, 785}, {12_340, 7_850, 9_687}, {31_240, 7_850, 24_523},
		{1, 5_000, 1}, {1, 4_999, 0}, {1_000_000, 0, 0}, {math.MaxInt64, math.MaxInt64, math.MaxInt64}, {math.MaxInt64, 10_000, math.MaxInt64},
	} {
		if got := fenOf(test.ml, test.price); got != test.want {
			t.Errorf("%d ml at %d: got %d Fen, want %d", test.ml, test.price, got, test.want)
		}
	}
}

func TestLimitIsTheGreatestThatFitsBoth(t *testing.T) { // P6.12
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(1, 100_000), rapid.Int64Range(1, math.MaxInt64))
		price, maxMl, maxFen := rapid.OneOf(rapid.Int64Range(0, 20_000), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "price"), amount.Draw(t, "ml"), amount.Draw(t, "fen")
		fits := func(ml int64) bool { // by the rule itself, in numbers without an end
			cost := new(big.Int).Mul(big.NewInt(ml), big.NewInt(price))
			cost.Add(cost, big.NewInt(5_000)).Div(cost, big.NewInt(10_000))
			return ml <= maxMl && cost.Cmp(big.NewInt(maxFen)) <= 0
		}
		limit := limitOf(price, maxMl, maxFen)
		if limit < 0 || !fits(limit) || limit < maxMl && fits(limit+1) {
			t.Fatalf("limit %d of %d ml, %d Fen at %d", limit, maxMl, maxFen, price)
		}
		if got := limitOf(price, maxMl, 0); got != maxMl {
			t.Fatalf("without a limit in Fen: %d, want %d", got, maxMl)
		}
	})
}

func TestFlowIsAFunctionOfTimeHoweverOftenItIsAsked(t *testing.T) { // P6.11
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_800_000_000, rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		rate, hand := rapid.Int64Range(1, maxRate).Draw(t, "rate"), rapid.IntRange(0, 100).Draw(t, "hand")
		once, often := startFlow(start, rate, hand), startFlow(start, rate, hand)
		var sum int64
		at := start
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "later")))
			sum += often.pass(at)
		}
		if all := once.pass(at); all != sum {
			t.Fatalf("%d ml at once, %d ml in steps", all, sum)
		}
		want := rapid.Int64Range(1, 1_000_000).Draw(t, "ml")
		f := startFlow(start, rate, hand)
		f.pass(start.Add(time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(t, "before"))))
		when := f.when(want)
		if when.IsZero() != (hand == 0) {
			t.Fatalf("%d ml at %v", want, when)
		}
		if before := *f; hand > 0 && before.pass(when.Add(-time.Microsecond)) >= want {
			t.Fatalf("%d ml have passed before %v", want, when)
		}
		if got := f.pass(when); hand > 0 && got != want {
			t.Fatalf("%d ml have passed at %v, want %d", got, when, want)
		}
	})
	if at := startFlow(time.Unix(0, 0), 1, 1).when(math.MaxInt64); !at.IsZero() {
		t.Errorf("2^63 ml at %v, want never", at)
	}
	long := startFlow(time.Unix(0, 0), maxRate, 100)
	if got, want := long.pass(time.Unix(10*86_400, 0)), int64(maxRate*(10*86_400-2)+maxRate*2*firstStagePercent/100); got != want {
		t.Errorf("ten days: %d ml, want %d", got, want)
	}
}

// exampleCode was made by other means than this package: Python's hmac.
const exampleCode = "SjXgpYH2"

func TestCodeOfTheExample(t *testing.T) { // P6.33, the example of docs/protocol.md
	secret := []byte("0123456789abcdefghij")
	for unix, want := range map[int64]string{1_795_000_000: exampleCode, 1_794_999_960: exampleCode, 1_795_000_019: exampleCode} {
		if got := rotatingCode(secret, unix, 60, 8); got != want {
			t.Errorf("at %d: %s, want %s", unix, got, want)
		}
	}
	if got := rotatingCode(secret, 1_795_000_020, 60, 8); got == exampleCode {
		t.Error("the next interval has the same code")
	}
	if got := rotatingCode(secret, 1_795_000_000, 60, 32); len(got) != 32 || got[:8] != exampleCode {
		t.Errorf("32 characters: %s", got)
	}
}
