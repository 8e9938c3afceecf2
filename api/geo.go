package api

import "math"

// Datum names the ellipsoid, or the deliberate distortion of it, in which a
// position is given.
type Datum string

// WGS84 is what satellites give and what is stored. GCJ02 is what WeChat's map
// and location functions speak in China.
const (
	WGS84 Datum = "wgs84"
	GCJ02 Datum = "gcj02"
)

// Location is where a rider is.
type Location struct {
	Lat   float64 `json:"lat" minimum:"-90" maximum:"90"`
	Lng   float64 `json:"lng" minimum:"-180" maximum:"180"`
	Datum Datum   `json:"datum" enum:"wgs84,gcj02" doc:"wx.getLocation gives gcj02 when asked for it, wgs84 otherwise"`
}

// point is a position in WGS-84 degrees, unless a name says otherwise.
type point struct{ lat, lng float64 }

func (l Location) wgs84() point {
	p := point{l.Lat, l.Lng}
	if l.Datum == GCJ02 {
		return fromGCJ02(p)
	}
	return p
}

// in gives a WGS-84 position in another datum.
func (p point) in(d Datum) point {
	if d == GCJ02 {
		return toGCJ02(p)
	}
	return p
}

// The constants of GCJ-02: the Krasovsky 1940 ellipsoid.
const (
	gcjAxis         = 6378245.0
	gcjEccentricity = 0.00669342162296594323 // squared
)

// outsideChina tells whether the distortion does not apply; the box is the one
// that the public implementations share.
func outsideChina(p point) bool {
	return p.lng < 72.004 || p.lng > 137.8347 || p.lat < 0.8293 || p.lat > 55.8271
}

// gcjOffset is how far GCJ-02 shifts a WGS-84 position, in degrees, by the
// published reverse-engineered polynomial.
func gcjOffset(p point) point {
	x, y := p.lng-105, p.lat-35
	ripple := (20*math.Sin(6*x*math.Pi) + 20*math.Sin(2*x*math.Pi)) * 2 / 3
	lat := -100 + 2*x + 3*y + 0.2*y*y + 0.1*x*y + 0.2*math.Sqrt(math.Abs(x)) + ripple +
		(20*math.Sin(y*math.Pi)+40*math.Sin(y/3*math.Pi))*2/3 +
		(160*math.Sin(y/12*math.Pi)+320*math.Sin(y*math.Pi/30))*2/3
	lng := 300 + x + 2*y + 0.1*x*x + 0.1*x*y + 0.1*math.Sqrt(math.Abs(x)) + ripple +
		(20*math.Sin(x*math.Pi)+40*math.Sin(x/3*math.Pi))*2/3 +
		(150*math.Sin(x/12*math.Pi)+300*math.Sin(x/30*math.Pi))*2/3
	radians := p.lat / 180 * math.Pi
	magic := 1 - gcjEccentricity*math.Sin(radians)*math.Sin(radians)
	root := math.Sqrt(magic)
	return point{
		lat: lat * 180 / (gcjAxis * (1 - gcjEccentricity) / (magic * root) * math.Pi),
		lng: lng * 180 / (gcjAxis / root * math.Cos(radians) * math.Pi),
	}
}

func toGCJ02(p point) point {
	if outsideChina(p) {
		return p
	}
	d := gcjOffset(p)
	return point{p.lat + d.lat, p.lng + d.lng}
}

// fromGCJ02 inverts toGCJ02 by fixed-point iteration. The offset changes by far
// less than one degree per degree, so that each round gains more than two digits;
// five leave less than a millimetre.
func fromGCJ02(p point) point {
	if outsideChina(p) {
		return p
	}
	guess := p
	for range 5 {
		d := gcjOffset(guess)
		guess = point{p.lat - d.lat, p.lng - d.lng}
	}
	return guess
}

// earthRadius is the mean one of IUGG, metres.
const earthRadius = 6371008.8

// metres is the great-circle distance of two WGS-84 positions.
func metres(a, b point) float64 {
	rad := math.Pi / 180
	sinLat := math.Sin((b.lat - a.lat) * rad / 2)
	sinLng := math.Sin((b.lng - a.lng) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*sinLng*sinLng
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}
