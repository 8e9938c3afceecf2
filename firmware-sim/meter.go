package sim

import (
	"math"
	"math/bits"
	"time"
)

// A pump's arithmetic: money from volume, and volume from time. All of it is in
// integers, so that it comes out the same however often it is asked.

// fenOf is what ml cost at price, in milli-yuan per litre: rounded half up to
// the Fen (P6.14). Beyond 2^63-1 Fen it stays there.
func fenOf(ml, price int64) int64 {
	hi, lo := bits.Mul64(uint64(ml), uint64(price))
	lo, carry := bits.Add64(lo, 5000, 0)
	if hi += carry; hi >= 10_000 {
		return math.MaxInt64
	}
	fen, _ := bits.Div64(hi, lo, 10_000)
	return int64(min(fen, math.MaxInt64))
}

// limitOf is the greatest volume in ml that is at most maxMl and costs at most
// maxFen at price (P6.12). maxFen 0: no such limit.
func limitOf(price, maxMl, maxFen int64) int64 {
	if maxFen == 0 || price == 0 {
		return maxMl
	}
	// fenOf(ml) <= maxFen is ml x price <= maxFen x 10000 + 4999.
	hi, lo := bits.Mul64(uint64(maxFen), 10_000)
	lo, carry := bits.Add64(lo, 4999, 0)
	if hi += carry; hi >= uint64(price) {
		return maxMl
	}
	ml, _ := bits.Div64(hi, lo, uint64(price))
	return int64(min(ml, uint64(maxMl)))
}

// The first stage of the valve: for a while after the motor starts it lets only
// a part of the flow through, so that a hose that leaks or a nozzle that lies on
// the ground with its trigger stuck does little harm. All of it passes the meter.
const (
	firstStage        = 2 * time.Second
	firstStagePercent = 20
)

// mlUnits is how many units of flow make a ml: a flow of 1 ml/s through a hand of
// 1 percent and a valve of 1 percent passes one unit in 1 us.
const mlUnits = 1_000_000 * 100 * 100

// longest is the span of time that is added up at once: 24 h of maxRate fit 63 bits.
const (
	longest = 24 * time.Hour
	maxRate = 5000 // ml per s
)

// flow is a nozzle while its motor runs. What passes is a function of time and
// of the hand alone.
type flow struct {
	rate   int64     // ml per s, fully open
	hand   int64     // how far the hand opens it, 0 to 100 percent
	fullAt time.Time // the end of the first stage
	since  time.Time // counted up to here
	rest   int64     // units that passed and make no whole ml yet
}

func startFlow(now time.Time, rate int64, hand int) *flow {
	return &flow{rate: rate, hand: int64(hand), fullAt: now.Add(firstStage), since: now}
}

// speed is in units per us, until when it holds, zero for ever.
func (f *flow) speed() (units int64, until time.Time) {
	if f.since.Before(f.fullAt) {
		return f.rate * f.hand * firstStagePercent, f.fullAt
	}
	return f.rate * f.hand * 100, time.Time{}
}

// pass lets time go on to now and returns the whole ml that passed.
func (f *flow) pass(now time.Time) (ml int64) {
	for {
		speed, until := f.speed()
		end := now
		if !until.IsZero() && until.Before(end) {
			end = until
		}
		span := min(end.Sub(f.since), longest).Truncate(time.Microsecond)
		if span <= 0 {
			return ml
		}
		f.rest += speed * span.Microseconds()
		ml += f.rest / mlUnits
		f.rest %= mlUnits
		f.since = f.since.Add(span)
	}
}

// when is the time at which ml more will have passed if the hand stays as it is;
// zero: never, or not within the lives of men.
func (f *flow) when(ml int64) time.Time {
	if f.hand == 0 {
		return time.Time{}
	}
	if ml <= 0 {
		return f.since
	}
	hi, lo := bits.Mul64(uint64(ml), mlUnits)
	lo, borrow := bits.Sub64(lo, uint64(f.rest), 0)
	hi -= borrow
	at := *f
	if speed, until := at.speed(); !until.IsZero() {
		span := until.Sub(at.since).Microseconds()
		if all := uint64(speed * span); hi > 0 || lo > all {
			lo, borrow = bits.Sub64(lo, all, 0)
			hi -= borrow
			at.since = at.since.Add(time.Duration(span) * time.Microsecond)
			at.fullAt = at.since
		}
	}
	speed, _ := at.speed()
	if hi >= uint64(speed) {
		return time.Time{}
	}
	us, rest := bits.Div64(hi, lo, uint64(speed))
	if rest > 0 {
		us++
	}
	if us > 1<<52 {
		return time.Time{}
	}
	return at.since.Add(time.Duration(us) * time.Microsecond)
}
