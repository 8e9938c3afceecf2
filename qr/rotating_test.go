package qr

import (
	"bytes"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// screen is a good rotation of 30 s and 12 characters, the defaults of the
// published vectors, and midSlot a time within one of its intervals.
var (
	screen  = Rotation{Secret: []byte("0ZPatRVe1DTLBHRipD5cyOU9d1TCsdLLYhtLXGajUATuOwaVSVFPnbUAJyTFrPFI"), Validity: 30 * time.Second, Length: 12}
	midSlot = time.Unix(1_716_423_785, 0)
)

// TestPublishedVectors has numbers of two sources that share no code: first the
// annex to "Open Charging Technology TOTP Token Format" 1.0, named as there
// (github.com/OpenChargingTechnology/Whitepapers at 3832041,
// TimeBasedOneTimePasswords/test-vectors/totp-test-vectors.json), whose profile of
// SHA-256 and base 62 is that of OCPP 2.1; then those with which CitrineOS's tests
// of its C25 check the sample in the standard (github.com/citrineos/citrineos-core).
//
// Most of their secrets are shorter than Check allows, hence code.
func TestPublishedVectors(t *testing.T) {
	const short = "secure!Charging!"
	for _, tc := range []struct {
		name                    string
		secret                  string
		millis                  int64
		validity                int // seconds
		previous, current, next string
	}{
		{"defaults-slot-boundary", short, 1_718_611_200_000, 30, "QT1cCdKsIb9e", "akF3c7qY2uiu", "1U70OgaBA48M"},
		{"defaults-mid-slot", short, 1_716_423_785_000, 30, "MdPU0jCm5tXz", "CN63y502maVh", "dI54vnA25m2h"},
		{"length-23", short, 1_716_423_785_000, 30, "MdPU0jCm5tXzkaPrPj61KwI", "CN63y502maVhAsv27Sd7JlE", "dI54vnA25m2hWW3bUcdY13q"},
		{"validity-60", short, 1_716_423_785_000, 60, "nTdkiuG6yUyg", "XJZr0L1DGKn0", "ft0ONZ62MdMj"},
		{"validity-7", short, 1_716_423_785_000, 7, "9tmY7YPiGS9k", "RpYIMd0IlQCZ", "ihflnOIQeXKG"},
		{"remaining-1-second", short, 1_716_423_779_000, 30, "nl0iABVo6jRY", "MdPU0jCm5tXz", "CN63y502maVh"},
		{"milliseconds-floor-slot-edge", short, 1_716_423_809_999, 30, "MdPU0jCm5tXz", "CN63y502maVh", "dI54vnA25m2h"},
		{"epoch-previous-slot-wraps", short, 0, 30, "SzcwtcR5qcY7", "u5CoKdo5HUS1", "tVGiyLys7Y1V"},
		{"timestamp-y2038", short, 2_147_483_647_000, 30, "jf6k3NFpulnR", "cSNjvhC7U5UN", "ozVde74ViFzJ"},
		{"timestamp-year-9999", short, 253_402_300_768_000, 30, "nYAGviXNwhe0", "9ko7CWj5OI4E", "qt0uZS0w35J0"},
		{"secret-utf8", "sécürè!Chärgîng!", 1_716_423_785_000, 30, "2z9YFjk3E4Cs", "SLuwWQOYh3g0", "gG7F7AI3znvY"},
		{"secret-64-chars", string(screen.Secret), 1_716_423_785_000, 30, "zxI4teacfH85", "9Sk0VMKOc9nx", "WOdiJz2UlhES"},
		{"ocpp-v1-length-8", short, 1_716_423_785_000, 30, "MdPU0jCm", "CN63y502", "dI54vnA2"},
		{"ocpp-v1-min-profile", short, 1_716_423_785_000, 3600, "kDDM3V", "Ik0dNs", "7eNFbx"},

		{"citrineos, 30 s", "mysharedsecret", 1_700_000_000_000, 30, "XI92DWtM", "Mrc351Gu", "e1cMer4s"},
		{"citrineos, 300 s", "mysharedsecret", 1_700_000_000_000, 300, "", "jiphb6DeeG", ""},
	} {
		r := Rotation{Secret: []byte(tc.secret), Validity: time.Duration(tc.validity) * time.Second, Length: len(tc.current)}
		now := r.interval(time.UnixMilli(tc.millis))
		for i, want := range []string{tc.previous, tc.current, tc.next} {
			if got := r.code(now - 1 + int64(i)); want != "" && got != want {
				t.Errorf("%s: interval %+d: got %s, want %s", tc.name, i-1, got, want)
			}
		}
	}
}

func TestCodeAndAcceptsAgreeWithAPublishedVector(t *testing.T) {
	const previous, current, next = "zxI4teacfH85", "9Sk0VMKOc9nx", "WOdiJz2UlhES"
	if got := screen.Code(midSlot); got != current {
		t.Errorf("code: got %s, want %s", got, current)
	}
	for _, otp := range []string{previous, current, next} {
		if !screen.Accepts(otp, midSlot) {
			t.Errorf("%s: got refused, want accepted", otp)
		}
	}
}

func TestTimesBefore1970LieInWholeIntervals(t *testing.T) {
	for s, want := range map[int64]int64{-31: -2, -30: -1, -1: -1, 0: 0, 29: 0, 30: 1} {
		if got := screen.interval(time.Unix(s, 0)); got != want {
			t.Errorf("second %d: got interval %d, want %d", s, got, want)
		}
	}
}

// The window is three intervals wide and ends on the second: what is shown in one
// is accepted from the first second of the interval before to the last of the next.
func TestAcceptedFromThePreviousToTheNextInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rotation{
			Secret:   rapid.SliceOfN(rapid.Byte(), MinDisplaySecret, 64).Draw(t, "secret"),
			Validity: time.Duration(rapid.IntRange(6, 3600).Draw(t, "validity")) * time.Second,
			// Of fewer characters two intervals might share a password by chance.
			Length: rapid.IntRange(12, 32).Draw(t, "length"),
		}
		start := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "interval")*int64(r.Validity/time.Second), 0)
		otp := r.Code(start)
		if last := r.Code(start.Add(r.Validity - 1)); last != otp {
			t.Fatalf("got %s and %s in one interval", otp, last)
		}
		for _, tc := range []struct {
			at   time.Duration
			want bool
		}{
			{-r.Validity - 1, false}, {-r.Validity, true}, {-1, true}, {0, true}, {r.Validity - 1, true},
			{r.Validity, true}, {2*r.Validity - 1, true}, {2 * r.Validity, false}, {3 * r.Validity, false},
		} {
			if got := r.Accepts(otp, start.Add(tc.at)); got != tc.want {
				t.Fatalf("%v after its interval began: got %t, want %t", tc.at, got, tc.want)
			}
		}
	})
}

func TestOtherPasswordsAreRefused(t *testing.T) {
	good := screen.Code(midSlot)
	for _, otp := range []string{
		"", good[:11], good + "0", good + good, strings.ToLower(good), strings.ToUpper(good), " " + good[1:],
		good[:11] + "-", strings.Repeat("0", 12), strings.Repeat("\x00", 12), strings.Repeat("é", 6),
	} {
		if screen.Accepts(otp, midSlot) {
			t.Errorf("%q: got accepted, want refused", otp)
		}
	}
}

func TestZeroRotationIsAMinuteAndEightCharacters(t *testing.T) {
	short := Rotation{Secret: screen.Secret}
	long := Rotation{Secret: screen.Secret, Validity: time.Minute, Length: 8}
	if err := short.Check(); err != nil {
		t.Fatal(err)
	}
	if got, want := short.Code(midSlot), long.Code(midSlot); got != want || len(got) != 8 || !short.Accepts(want, midSlot) {
		t.Errorf("got %q, want %q, accepted", got, want)
	}
}

func TestRotationsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, tc := range []struct {
		field string
		r     Rotation
		want  error
	}{
		{"Secret", Rotation{}, ErrSecret},
		{"Secret", Rotation{Secret: screen.Secret[:16]}, ErrSecret},
		{"Validity", Rotation{Secret: screen.Secret, Validity: 5 * time.Second}, ErrRotation},
		{"Validity", Rotation{Secret: screen.Secret, Validity: time.Hour + time.Second}, ErrRotation},
		{"Validity", Rotation{Secret: screen.Secret, Validity: 6500 * time.Millisecond}, ErrRotation},
		{"Validity", Rotation{Secret: screen.Secret, Validity: -time.Minute}, ErrRotation},
		{"Validity", Rotation{Secret: screen.Secret, Validity: 1}, ErrRotation},
		{"Length", Rotation{Secret: screen.Secret, Length: 5}, ErrRotation},
		{"Length", Rotation{Secret: screen.Secret, Length: 33}, ErrRotation},
		{"Length", Rotation{Secret: screen.Secret, Length: -1}, ErrRotation},
	} {
		err := tc.r.Check()
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.field) {
			t.Errorf("%v: got %v, want %v that names %s", tc.r.LogValue(), err, tc.want, tc.field)
		}
		if otp := tc.r.Code(midSlot); otp != "" || tc.r.Accepts(otp, midSlot) {
			t.Errorf("%v: got code %q, want none and none accepted", tc.r.LogValue(), otp)
		}
	}
	for _, r := range []Rotation{
		{Secret: screen.Secret[:17], Validity: 6 * time.Second, Length: 6},
		{Secret: screen.Secret, Validity: time.Hour, Length: 32},
	} {
		if err := r.Check(); err != nil || len(r.Code(midSlot)) != r.Length {
			t.Errorf("%v: got %v, code %q", r.LogValue(), err, r.Code(midSlot))
		}
	}
}

func TestLogsShowNoDisplaySecret(t *testing.T) {
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "rotation", screen)
	if got := out.String(); !strings.Contains(got, `rotation="12 characters every 30s"`) {
		t.Errorf("log line: got %s", got)
	}
}

// Computed with another HMAC: a changed derivation voids every display in the field.
func TestGoldenDisplaySecretsStayGood(t *testing.T) {
	for _, tc := range []struct {
		outlet uint8
		epoch  uint32
		want   string
	}{
		{1, 1, "ee7cc1f9425a550f6798a7f99e06a0931e5560c2d621097d50a41d757bfb3aa4"},
		{255, 0x01020304, "7b9a4ab997c832f689a5da94a5936a917b03f61119c7aa75d898b0e9c3c98145"},
	} {
		got, err := DisplaySecret(secretA, "pump-1", tc.outlet, tc.epoch)
		if err != nil || hex.EncodeToString(got) != tc.want {
			t.Errorf("outlet %d, epoch %d: got %x, %v, want %s", tc.outlet, tc.epoch, got, err, tc.want)
		}
	}
}

func TestDisplaySecretWantsAKey(t *testing.T) {
	for _, key := range [][]byte{nil, secretA[:15]} {
		if got, err := DisplaySecret(key, "pump-1", 1, 1); !errors.Is(err, ErrSecret) || got != nil {
			t.Errorf("%d bytes: got %x, %v, want ErrSecret", len(key), got, err)
		}
	}
}

// Whoever differs in key, device, outlet or epoch can neither show nor reuse
// another's password, also where one name begins another or holds the separator.
func TestDisplaysDoNotShareCodes(t *testing.T) {
	type display struct {
		key    string
		device string
		outlet uint8
		epoch  uint32
	}
	some := rapid.Custom(func(t *rapid.T) display {
		return display{
			rapid.SampledFrom([]string{string(secretA), string(secretB)}).Draw(t, "key"),
			rapid.StringMatching(`[ab\x00\x01]{0,8}`).Draw(t, "device"),
			rapid.SampledFrom([]uint8{0, 1, 2, 255}).Draw(t, "outlet"),
			rapid.SampledFrom([]uint32{0, 1, 2, 256, 1 << 24, 1<<32 - 1}).Draw(t, "epoch"),
		}
	})
	rotation := func(t *rapid.T, d display) Rotation {
		secret, err := DisplaySecret([]byte(d.key), d.device, d.outlet, d.epoch)
		if err != nil {
			t.Fatal(err)
		}
		r := Rotation{Secret: secret}
		if err := r.Check(); err != nil {
			t.Fatalf("%+v: a derived secret is refused: %v", d, err)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := some.Draw(t, "a"), some.Draw(t, "b")
		one, other := rotation(t, a), rotation(t, b)
		same := a == b
		if got := bytes.Equal(one.Secret, other.Secret); got != same {
			t.Fatalf("%+v and %+v: same secret: got %t, want %t", a, b, got, same)
		}
		if got := other.Accepts(one.Code(midSlot), midSlot); got != same {
			t.Fatalf("%+v and %+v: password accepted by the other: got %t, want %t", a, b, got, same)
		}
	})
}

func TestRotatingCodesAreParsed(t *testing.T) {
	mint := minter(t, secretA)
	rapid.Check(t, func(t *rapid.T) {
		n := drawn(t, mint)
		r := Rotation{Secret: rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"), Length: rapid.IntRange(6, 32).Draw(t, "length")}
		address := URL(domain, n) + "-" + r.Code(midSlot)
		for _, s := range []string{address, url.QueryEscape(address), strings.TrimPrefix(address, "https://"), address + "?v=v1"} {
			got, err := Parse(s, domain)
			if err != nil || got.Number != n || !r.Accepts(got.OTP, midSlot) {
				t.Fatalf("parse %s: got %s %q, %v", s, string(got.Number), got.OTP, err)
			}
		}
		// The number beside the symbol is typed without the password.
		for _, s := range []string{Format(n), string(n), URL(domain, n)} {
			if got, err := Parse(s, domain); err != nil || got != (Code{Number: n}) {
				t.Fatalf("parse %s: got %s %q, %v", s, string(got.Number), got.OTP, err)
			}
		}
	})
}

func TestEveryCharacterOfARotationIsParsed(t *testing.T) {
	const n = "12345678971552"
	for i := range len(rotatingAlphabet) {
		// Passwords of digits alone are rare and stay apart from the number.
		otp := strings.Repeat(rotatingAlphabet[i:i+1], 8)
		if got, err := Parse(URL(domain, n)+"-"+otp, domain); err != nil || got != (Code{n, otp}) {
			t.Errorf("%s: got %s %q, %v", otp, string(got.Number), got.OTP, err)
		}
	}
	// Typed, dashes mean nothing, so nothing typed has a password.
	for s, want := range map[string]error{n + "-12345678": ErrMistyped, n + "-9Sk0VMKO": ErrNotACode} {
		if got, err := Parse(s, domain); !errors.Is(err, want) || got != (Code{}) {
			t.Errorf("%s: got %s %q, %v, want %v", s, string(got.Number), got.OTP, err, want)
		}
	}
}

func BenchmarkAccepts(b *testing.B) {
	r := Rotation{Secret: screen.Secret}
	otp := r.Code(midSlot)
	b.ReportAllocs()
	for b.Loop() {
		if !r.Accepts(otp, midSlot) {
			b.Fatal("refused")
		}
	}
}
