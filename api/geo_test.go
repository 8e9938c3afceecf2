package api

import (
	"math"
	"testing"
)

// The pairs are those that the public implementations of GCJ-02 test themselves
// with: Shanghai, Shenzhen, Beijing.
var gcjPairs = []struct{ wgs, gcj point }{
	{point{31.1774276, 121.5272106}, point{31.17530398364597, 121.531541859215}},
	{point{22.543847, 113.912316}, point{22.540796131694766, 113.9171764808363}},
	{point{39.911954, 116.377817}, point{39.91334545536069, 116.38404722455657}},
}

func TestGCJ02ThereAndBack(t *testing.T) {
	for _, c := range gcjPairs {
		if d := metres(toGCJ02(c.wgs), c.gcj); d > 0.01 {
			t.Errorf("toGCJ02(%v) = %v, want %v: %.3f m off", c.wgs, toGCJ02(c.wgs), c.gcj, d)
		}
		if d := metres(fromGCJ02(c.gcj), c.wgs); d > 0.01 {
			t.Errorf("fromGCJ02(%v) = %v, want %v: %.3f m off", c.gcj, fromGCJ02(c.gcj), c.wgs, d)
		}
		if d := metres(c.wgs, c.gcj); d < 100 {
			t.Errorf("%v and its GCJ-02 position are only %.0f m apart", c.wgs, d)
		}
	}
}

func TestGCJ02IsPlainOutsideChina(t *testing.T) {
	for _, p := range []point{{48.8566, 2.3522}, {-33.8688, 151.2093}, {0, 0}} {
		if toGCJ02(p) != p || fromGCJ02(p) != p {
			t.Errorf("%v moved", p)
		}
	}
}

func TestLocationInEitherDatumIsTheSamePlace(t *testing.T) {
	c := gcjPairs[0]
	a := Location{Lat: c.wgs.lat, Lng: c.wgs.lng, Datum: WGS84}.wgs84()
	b := Location{Lat: c.gcj.lat, Lng: c.gcj.lng, Datum: GCJ02}.wgs84()
	if d := metres(a, b); d > 0.01 {
		t.Errorf("the two are %.3f m apart", d)
	}
	if d := metres(a.in(GCJ02), c.gcj); d > 0.01 {
		t.Errorf("shown %.3f m off", d)
	}
}

func TestMetres(t *testing.T) {
	for _, c := range []struct {
		a, b point
		want float64
	}{
		{point{31, 121}, point{31, 121}, 0},
		{point{0, 0}, point{0, 1}, 111195},       // one degree of the equator
		{point{31, 121}, point{32, 121}, 111195}, // one degree of a meridian
		{point{0, 0}, point{0, 180}, math.Pi * earthRadius},
	} {
		if got := metres(c.a, c.b); math.Abs(got-c.want) > 1 {
			t.Errorf("metres(%v, %v) = %.0f, want %.0f", c.a, c.b, got, c.want)
		}
	}
}
