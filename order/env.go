package order

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// Config holds the times and counts of an order's life. The zero value means
// the defaults of DESIGN section 6.
type Config struct {
	StartDeadline time.Duration // from commit to unresolved; 15 s
	Patience      time.Duration // of unresolved before the rider is let go; 10 min
	MaxRide       time.Duration // before the watchdog ends a use; 24 h
	ArmTime       time.Duration // for lifting a nozzle; 60 s
	TellTime      time.Duration // between two words of the time to a device with a display; 6 h
	MostTest      int64         // ml of one test delivery of staff; 100 l
	PrintedCap    billing.Fen   // that a rider may spend per day on printed codes; 500 yuan, < 0 = no cap
	TicketLife    time.Duration // 120 s
	LivePerKind   int           // live orders per rider and kind; 1
	MinBattery    int           // percent below which no ride starts; 10
	// WeChatPay tells that riders can pay with WeChat: top-ups and prepay. RiskCap is the
	// most that one Pay Score order may come to, as agreed with WeChat; 0 = no Pay Score.
	WeChatPay  bool
	RiskCap    billing.Fen
	PayTime    time.Duration // for paying or confirming a pending order; 120 s
	TopUpTime  time.Duration // for paying a top-up; 15 min
	BalanceCap billing.Fen   // most that a top-up may bring a wallet to; 100 yuan, < 0 = no cap
	PrepayMost billing.Fen   // most that one order asks for in advance; 500 yuan
	ScoreGrace time.Duration // an uncollected Pay Score order blocks new ones after; 24 h
	Messages   bool          // riders are told what happened by subscribe messages

	ReserveUnused int // reservations that a rider may let lapse or cancel per day; 3

	PauseAsk  time.Duration // from asking for a pause to shutting the lock; 2 min
	PauseMost time.Duration // before an order that is paused ends; 15 min

	// KeyPatience is how long a step of a device's change of the server's keys may go
	// unanswered before another is tried; 1 min.
	KeyPatience time.Duration

	ProbeAfterIdle time.Duration // a word after so long a silence re-sends probes; 10 s
}

// WithDefaults fills what is zero.
func (c Config) WithDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.StartDeadline, 15*time.Second)
	set(&c.Patience, 10*time.Minute)
	set(&c.MaxRide, 24*time.Hour)
	set(&c.TicketLife, 120*time.Second)
	set(&c.ProbeAfterIdle, 10*time.Second)
	set(&c.KeyPatience, time.Minute)
	set(&c.PauseAsk, 2*time.Minute)
	set(&c.PauseMost, 15*time.Minute)
	set(&c.ArmTime, 60*time.Second)
	set(&c.TellTime, 6*time.Hour)
	if c.MostTest == 0 {
		c.MostTest = 100_000
	}
	if c.PrintedCap == 0 {
		c.PrintedCap = 500_00
	}
	set(&c.PayTime, 120*time.Second)
	set(&c.TopUpTime, 15*time.Minute)
	set(&c.ScoreGrace, 24*time.Hour)
	if c.BalanceCap == 0 {
		c.BalanceCap = 100_00
	}
	if c.PrepayMost == 0 {
		c.PrepayMost = 500_00
	}
	if c.LivePerKind == 0 {
		c.LivePerKind = 1
	}
	if c.ReserveUnused == 0 {
		c.ReserveUnused = 3
	}
	if c.MinBattery == 0 {
		c.MinBattery = 10
	}
	return c
}

// Env is what a decision may use besides its snapshot. Now is the snapshot's
// moment of the database's clock; Rand is the only source of chance.
type Env struct {
	Rand   io.Reader
	Sealer Sealer
	Config Config
	Keys   ServerKeys
}

// ServerKeys is which key of the server's devices are to know. The zero value brings
// none to anybody.
type ServerKeys struct {
	Name   string // of Public, as device.Device.ServerKey has it
	Public []byte // Ed25519, 32 bytes
}

// newID draws a UUIDv7 (RFC 9562 section 5.7) for the moment now.
func (e Env) newID(now time.Time) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(e.Rand, b[6:]); err != nil {
		return "", fmt.Errorf("draw an id: %w", err)
	}
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:]), nil
}
