package order

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// Preferences are what the operator sets while the installation runs. Nothing that an
// order depends on is among them but RefundAlone.
type Preferences struct {
	// RefundAlone is the most, in Fen, that one member of staff may give back of an order
	// without a second one; 0 = no limit.
	RefundAlone billing.Fen `json:"refund_alone_fen"`
	// OfflineAfter is for how long a device in service may be silent; 1 minute to 7 days.
	OfflineAfter time.Duration `json:"offline_after"`
	// LowBattery is the percentage below which a battery is low; 1 to 90.
	LowBattery int `json:"low_battery_percent"`
	// Failures is how many failed unlocks within a day make a device suspect; 1 to 100.
	Failures int      `json:"failures_per_day"`
	Map      MapTiles `json:"map"`

	Version int64 `json:"-"` // of the row; 0 = the defaults, never set
}

// MapTiles is what is laid under the fleet's map besides what unlatch draws itself. The
// zero value asks no server for anything.
type MapTiles struct {
	Tiles       string `json:"tiles"` // an address with {z}, {x} and {y}; "" = none
	Attribution string `json:"attribution"`
	Datum       Datum  `json:"datum"`
}

// Datum is the coordinate system in which a map is drawn. Positions are stored as WGS-84.
type Datum string

// The datums of maps in use: GPS, China's maps, Baidu's.
const (
	WGS84 Datum = "wgs84"
	GCJ02 Datum = "gcj02"
	BD09  Datum = "bd09"
)

// DefaultPreferences are in force until somebody sets others.
func DefaultPreferences() Preferences {
	return Preferences{OfflineAfter: 10 * time.Minute, LowBattery: 20, Failures: 3, Map: MapTiles{Datum: WGS84}}
}

// Check returns ErrInvalid, saying what to do.
func (p Preferences) Check() error {
	bad := func(text string) error { return fmt.Errorf("%s: %w", text, ErrInvalid) }
	switch {
	case p.RefundAlone < 0:
		return bad("refund_alone_fen must not be below zero; 0 means no limit")
	case p.OfflineAfter < time.Minute || p.OfflineAfter > 7*24*time.Hour:
		return bad("offline_after_s must be from 60 to 604800")
	case p.LowBattery < 1 || p.LowBattery > 90:
		return bad("low_battery_percent must be from 1 to 90")
	case p.Failures < 1 || p.Failures > 100:
		return bad("failures_per_day must be from 1 to 100")
	}
	return p.Map.check()
}

func (m MapTiles) check() error {
	bad := func(text string) error { return fmt.Errorf("%s: %w", text, ErrInvalid) }
	switch m.Datum {
	case WGS84, GCJ02, BD09:
	default:
		return bad("datum must be wgs84, gcj02 or bd09")
	}
	if m.Tiles == "" {
		return nil
	}
	if _, err := m.Origin(); err != nil {
		return err
	}
	for _, part := range []string{"{z}", "{x}", "{y}"} {
		if !strings.Contains(m.Tiles, part) {
			return bad("tiles needs {z}, {x} and {y} in its path or query")
		}
	}
	return nil
}

// Origin is the scheme and host of the tiles, for a page's policy; "" without tiles. A
// {s} in front of the host becomes *. ErrInvalid: it is no address of tiles.
func (m MapTiles) Origin() (string, error) {
	if m.Tiles == "" {
		return "", nil
	}
	u, err := url.Parse(strings.NewReplacer("{s}.", "wildcard-", "{z}", "0", "{x}", "0", "{y}", "0").Replace(m.Tiles))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(u.Host, "{}*;, '\"") {
		return "", fmt.Errorf("tiles must be an http or https address with {z}, {x} and {y}, and {s} at most in front of the host: %w", ErrInvalid)
	}
	if rest, ok := strings.CutPrefix(u.Host, "wildcard-"); ok {
		return u.Scheme + "://*." + rest, nil
	}
	return u.Scheme + "://" + u.Host, nil
}

// VenueMap is what an operator lays over the map of a venue.
type VenueMap struct {
	// Plan is where the image's corners are, WGS-84 degrees: top left, bottom right; nil:
	// there is nothing to lay it by.
	Plan *[2]Point `json:"plan,omitempty"`
	// GeoJSON is a FeatureCollection in Datum; nil = none.
	GeoJSON json.RawMessage `json:"geojson,omitempty"`
	Datum   Datum           `json:"datum,omitempty"` // of GeoJSON; "" = wgs84

	ImageType string `json:"-"` // image/png, image/jpeg; "" = there is none
	Version   int64  `json:"-"`
}
