package order

import (
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// StatisticsQuery picks the orders of riders that were made in [From, To). An empty venue
// or kind filters nothing.
type StatisticsQuery struct {
	Venue    string
	Kind     device.Kind
	From, To time.Time
}

// StatisticsMost is the longest span that statistics are read for.
const StatisticsMost = 92 * 24 * time.Hour

// Statistics is what riders did and how well devices served them. Orders are counted where
// they were made, also those that are not over.
type Statistics struct {
	Days     []DayStatistics // in order; days without orders are left out
	Unlock   []time.Duration // p50, p95, p99 from the committed start to the device's proof that it was executed; nil: no start
	Reasons  []Count         // why orders were voided, the most frequent first
	Firmware []FirmwareStatistics
	// Outlets are those of devices that are in service now; Used is the time for which
	// outlets were in use, within the span.
	Outlets int64
	Used    time.Duration
}

// DayStatistics is a day of the start, in the time zone of its venue.
type DayStatistics struct {
	Day      string // 2006-01-02
	Orders   int64
	Settled  int64
	Voided   int64
	Billed   billing.Fen // captured or owed, before refunds
	Refunded billing.Fen
	Used     time.Duration
}

// FirmwareStatistics is how starts went on devices that run a firmware now. A start failed
// when its order was voided for another reason than that its rider cancelled it.
type FirmwareStatistics struct {
	Firmware string
	Devices  int64 // that were started
	Starts   int64
	Failed   int64
}

// Count is how often something was.
type Count struct {
	What string
	N    int64
}
