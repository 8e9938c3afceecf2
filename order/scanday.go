package order

import (
	"time"

	"github.com/unlatch/unlatch/device"
)

// ScanNote is one scan of a code that was known. Metres is how far the phone was from the
// device; below zero: one of the two places was not known.
type ScanNote struct {
	Number string
	At     time.Time
	Metres float64
}

// FarScan is from how far away, in metres, a scan is odd: phones in a city err by less.
const FarScan = 200

// Suspect is a code whose sticker may hang elsewhere, be pasted over, or be copied.
type Suspect struct {
	Number   string
	Device   device.ID
	Venue    string
	Reasons  []string // of the words below
	Scans    int      // within the span
	Located  int      // with both places
	Far      int
	FarMean  int       // metres, of the far ones
	Starts   int       // orders on its outlet within the span
	LastScan time.Time // zero: never
}

// Why a code is suspect.
const (
	// FarScans: at least three scans, and half of those whose place is known, were far away.
	FarScans = "far_scans"
	// NoUnlocks: at least five scans, and no order of its outlet came of them.
	NoUnlocks = "no_unlocks"
	// Silence: it was scanned daily, and not at all for three days while its device was to
	// be had.
	Silence = "silence"
)
