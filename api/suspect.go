package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

func (a *API) suspectRoutes(h huma.API) {
	op := forStaff("list-suspect-codes", http.MethodGet, "/v1/operator/codes/suspects", "Codes that may be pasted over, copied or hang elsewhere")
	op.Description += " Of the last 14 days. far_scans: at least three scans, and half of those whose place is known, more than 200 m from the device." +
		" no_unlocks: at least five scans and no order. silence: scanned on six of seven days, then not at all for three, while the device was to be had."
	register(a, h, op, a.listSuspects)
}

// Suspect is a code whose scans look wrong.
type Suspect struct {
	Number   string     `json:"number" doc:"As printed"`
	Device   string     `json:"device"`
	Venue    string     `json:"venue"`
	Reasons  []string   `json:"reasons" doc:"far_scans, no_unlocks, silence"`
	Scans    int        `json:"scans"`
	Located  int        `json:"located" doc:"Scans with the places of phone and device"`
	Far      int        `json:"far_scans"`
	FarMean  int        `json:"far_mean_m" doc:"Of the far ones"`
	Starts   int        `json:"starts" doc:"Orders of its outlet that were not voided"`
	LastScan *time.Time `json:"last_scan_at,omitempty"`
}

// SuspectList is codes whose scans look wrong, the most telling first.
type SuspectList struct {
	Suspects []Suspect `json:"suspects"`
}

type listSuspectsInput struct {
	Venue string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type listSuspectsOutput struct{ Body SuspectList }

func (a *API) listSuspects(ctx context.Context, in *listSuspectsInput) (*listSuspectsOutput, error) {
	rows, err := a.Store.Suspects(ctx, in.Venue, venuesOf(ctx), in.Limit)
	if err != nil {
		return nil, err
	}
	return &listSuspectsOutput{SuspectList{each(rows, func(s order.Suspect) Suspect {
		return Suspect{Number: qr.Format(qr.Number(s.Number)), Device: string(s.Device), Venue: s.Venue, Reasons: s.Reasons, Scans: s.Scans,
			Located: s.Located, Far: s.Far, FarMean: s.FarMean, Starts: s.Starts, LastScan: optionalTime(s.LastScan)}
	})}}, nil
}

const (
	scanQueue = 4096            // scans that wait to be counted; more are dropped
	scanEvery = 5 * time.Second // between two counts
)

// noteScan counts a scan later; one that finds no room is dropped.
func (a *API) noteScan(n order.ScanNote) {
	select {
	case a.scans <- n:
	default:
	}
}

// countScans writes down how often codes are scanned, until ctx ends.
func (a *API) countScans(ctx context.Context) {
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-tick.C:
		}
		var notes []order.ScanNote
		for len(a.scans) > 0 {
			notes = append(notes, <-a.scans)
		}
		if len(notes) == 0 {
			continue
		}
		write, cancel := context.WithTimeout(context.WithoutCancel(ctx), scanEvery)
		if err := a.Store.AddScans(write, notes); err != nil {
			a.Log.Warn("scans not counted", "err", err)
		}
		cancel()
	}
}
