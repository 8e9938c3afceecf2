package qr

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const domain = "q.example.cn"

var (
	secretA = []byte("0123456789abcdef")
	secretB = []byte("fedcba9876543210")
)

func minter(t testing.TB, secret []byte, previous ...[]byte) *Minter {
	t.Helper()
	m, err := NewMinter(MinterConfig{Secret: secret, Previous: previous})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// drawn is a number minted from rapid's bytes.
func drawn(t *rapid.T, m *Minter) Number {
	// 256 draws of 7 in 8 never all fail.
	seed := rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "seed")
	n, err := m.Mint(bytes.NewReader(append(seed, 0, 0, 0, 0)))
	if err != nil {
		t.Fatalf("mint: %v", err)
	}
	return n
}

func TestGoldenNumbersStayGood(t *testing.T) {
	m := minter(t, secretA)
	for _, tc := range []struct {
		random []byte
		want   Number
	}{
		{[]byte{0, 0, 0, 0}, "00000000006091"},
		{[]byte{0x1d, 0x6f, 0x34, 0x54}, "12345678949573"},
		// The first draw is above a thousand million and is drawn again.
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xee, 0x6b, 0x27, 0xff}, "99999999901530"},
	} {
		got, err := m.Mint(bytes.NewReader(tc.random))
		if err != nil || got != tc.want {
			t.Errorf("mint from %x: got %s, %v, want %s", tc.random, string(got), err, string(tc.want))
		}
	}
}

func TestDammKnownVector(t *testing.T) {
	if got := damm([]byte("572")); got != 4 {
		t.Errorf("check digit of 572: got %d, want 4", got)
	}
}

func TestMintedNumberChecks(t *testing.T) {
	m := minter(t, secretA)
	rapid.Check(t, func(t *rapid.T) {
		if n := drawn(t, m); m.Check(n) != nil {
			t.Fatalf("check %s: %v", string(n), m.Check(n))
		}
	})
}

func TestEverySlipInTheFirstTenDigitsIsMistyped(t *testing.T) {
	m := minter(t, secretA)
	rapid.Check(t, func(t *rapid.T) {
		n := drawn(t, m)
		for i := range keyedAt {
			for d := byte('0'); d <= '9'; d++ {
				if d == n[i] {
					continue
				}
				wrong := n[:i] + Number(d) + n[i+1:]
				if err := m.Check(wrong); !errors.Is(err, ErrMistyped) {
					t.Fatalf("digit %d of %s as %c: got %v, want ErrMistyped", i, string(n), d, err)
				}
			}
		}
		// The swap over the border, too, changes one of the first ten.
		for i := range keyedAt {
			if n[i] == n[i+1] {
				continue
			}
			wrong := n[:i] + n[i+1:i+2] + n[i:i+1] + n[i+2:]
			if err := m.Check(wrong); !errors.Is(err, ErrMistyped) {
				t.Fatalf("digits %d and %d of %s swapped: got %v, want ErrMistyped", i, i+1, string(n), err)
			}
		}
	})
}

func TestEveryOtherKeyIsForged(t *testing.T) {
	m := minter(t, secretA)
	n, err := m.Mint(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for guess := range 10_000 {
		wrong := n[:keyedAt] + Number(fmt.Sprintf("%04d", guess))
		if wrong == n {
			continue
		}
		if err := m.Check(wrong); !errors.Is(err, ErrForged) {
			t.Fatalf("%s: got %v, want ErrForged", string(wrong), err)
		}
	}
}

func TestWrongShapesAreMistyped(t *testing.T) {
	m := minter(t, secretA)
	for _, n := range []Number{"", "1", "123456789012345", "1234567890123x", "1234-5678-9012"} {
		if err := m.Check(n); !errors.Is(err, ErrMistyped) {
			t.Errorf("%q: got %v, want ErrMistyped", string(n), err)
		}
	}
}

func TestRotationKeepsOldStickersAndMintsWithTheNewSecret(t *testing.T) {
	before, after := minter(t, secretA), minter(t, secretB, secretA)
	rapid.Check(t, func(t *rapid.T) {
		if err := after.Check(drawn(t, before)); err != nil {
			t.Fatalf("old sticker: %v", err)
		}
	})
	fresh, err := after.Mint(bytes.NewReader(make([]byte, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if err := minter(t, secretB).Check(fresh); err != nil {
		t.Errorf("new number under the new secret: %v", err)
	}
	if err := before.Check(fresh); !errors.Is(err, ErrForged) {
		t.Errorf("new number under the old secret: got %v, want ErrForged", err)
	}
}

func TestBadSecretsAreRefused(t *testing.T) {
	for name, cfg := range map[string]MinterConfig{
		"none":           {},
		"short":          {Secret: secretA[:15]},
		"short previous": {Secret: secretA, Previous: [][]byte{secretB[:3]}},
		"twice":          {Secret: secretA, Previous: [][]byte{secretA}},
	} {
		if _, err := NewMinter(cfg); !errors.Is(err, ErrSecret) {
			t.Errorf("%s: got %v, want ErrSecret", name, err)
		}
	}
}

func TestMintGivesBackTheSourcesError(t *testing.T) {
	if n, err := minter(t, secretA).Mint(bytes.NewReader(nil)); err == nil || n != "" {
		t.Errorf("got %q, %v, want an error", string(n), err)
	}
}

func TestLogsShowTheLastFourDigitsAlone(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "number", Number("12345678971552"), "code", Code{"12345678971552", "canary"}, "bad", Number("canary"))
	got := out.String()
	if !strings.Contains(got, "number=**********1552 code=**********1552-*** bad=**********----") || strings.Contains(got, "canary") || strings.Contains(got, "12345") {
		t.Errorf("log line: got %s", got)
	}
}

func TestFormatIsReadBackByParse(t *testing.T) {
	m := minter(t, secretA)
	if got, want := Format("12345678971552"), "1234-5678-9715-52"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := drawn(t, m)
		for _, s := range []string{Format(n), string(n), URL(domain, n), URL(strings.ToUpper(domain), n)} {
			if got, err := Parse(s, "other.cn", domain); err != nil || got != (Code{Number: n}) {
				t.Fatalf("parse %s: got %v, %v", s, got, err)
			}
		}
	})
}

func TestParse(t *testing.T) {
	const n = "12345678971552"
	good := Code{Number: n}
	for _, tc := range []struct {
		in   string
		want Code
		err  error
	}{
		{"https://q.example.cn/d/" + n, good, nil},
		{" https://q.example.cn/d/" + n + "\n", good, nil},
		{"http://Q.Example.cn/d/" + n, good, nil},
		{"q.example.cn/d/" + n, good, nil},
		{"https://q.example.cn/d/" + n + "?from=album#x", good, nil},
		{"https%3A%2F%2Fq.example.cn%2Fd%2F" + n, good, nil},
		{"https%3a%2f%2fq.example.cn%2fd%2f" + n + "-Ab_9-z", Code{n, "Ab_9-z"}, nil},
		{"https://q.example.cn/d/" + n + "-123456", Code{n, "123456"}, nil},
		{"http://127.0.0.1:8080/d/" + n, good, nil},
		{"1234-5678-9715-52", good, nil},
		{"1234 5678 9715 52", good, nil},
		{"1234　5678—9715–52", good, nil},
		{"１２３４－５６７８－９７１５－５２", good, nil},
		{"12345678971552 ", good, nil},

		{"1234-5678-9715-5", Code{}, ErrMistyped},
		{"1234-5678-9715-523", Code{}, ErrMistyped},
		{"https://q.example.cn/d/1234", Code{}, ErrMistyped},

		{"https://evil.cn/d/" + n, Code{}, ErrForeign},
		{"https://q.example.cn.evil.cn/d/" + n, Code{}, ErrForeign},
		{"https://q.example.cn:444/d/" + n, Code{}, ErrForeign},
		{"https%3A%2F%2Fevil.cn%2Fd%2F" + n, Code{}, ErrForeign},
		{"https://evil.cn/", Code{}, ErrForeign},

		{"", Code{}, ErrNotACode},
		{" - ", Code{}, ErrNotACode},
		{"hello", Code{}, ErrNotACode},
		{"wxp://f2f0abc", Code{}, ErrNotACode},
		{"ftp://q.example.cn/d/" + n, Code{}, ErrNotACode},
		{"https://q.example.cn", Code{}, ErrNotACode},
		{"https:///d/" + n, Code{}, ErrNotACode},
		{"https://me@q.example.cn/d/" + n, Code{}, ErrNotACode},
		{"https://q.example.cn/e/" + n, Code{}, ErrNotACode},
		{"https://q.example.cn/d/", Code{}, ErrNotACode},
		{"https://q.example.cn/d/" + n + "/", Code{}, ErrNotACode},
		{"https://q.example.cn/d/" + n + "-", Code{}, ErrNotACode},
		{"https://q.example.cn/d/" + n + "-a.b", Code{}, ErrNotACode},
		{"https://q.example.cn/d/" + n + "-" + strings.Repeat("a", 45), Code{}, ErrNotACode},
		{"https://q.example.cn/d/%31" + n[1:], Code{}, ErrNotACode},
		{"https%253A%252F%252Fq.example.cn%252Fd%252F" + n, Code{}, ErrNotACode},
		{"https%3A%2F%2Fq.example.cn%2Fd%2F%2531" + n[1:], Code{}, ErrNotACode},
		{"%zz", Code{}, ErrNotACode},
		{n + strings.Repeat(" ", 600), Code{}, ErrNotACode},
		{n + "x", Code{}, ErrNotACode},
	} {
		got, err := Parse(tc.in, domain, "127.0.0.1:8080")
		if got != tc.want || !errors.Is(err, tc.err) || (tc.err == nil && err != nil) {
			t.Errorf("parse %q: got %s %q, %v, want %s %q, %v", tc.in, string(got.Number), got.OTP, err, string(tc.want.Number), tc.want.OTP, tc.err)
		}
	}
}

func TestWithoutDomainsEveryAddressIsForeign(t *testing.T) {
	if _, err := Parse("https://q.example.cn/d/12345678971552"); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"https://q.example.cn/d/12345678971552-x", "https%3A%2F%2Fq.example.cn%2Fd%2F12345678971552",
		"１２３４－５６７８－９７１５－５２", "1234-5678-9715-52", "https://[::1]:80/d/1", "\xff%",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, err := Parse(s, domain)
		if err != nil {
			if code != (Code{}) {
				t.Errorf("%q: an error and a code", s)
			}
			return
		}
		if !shaped(code.Number) || (code.OTP != "" && !isOTP(code.OTP)) {
			t.Errorf("%q: got %s %q", s, string(code.Number), code.OTP)
		}
		again := URL(domain, code.Number)
		if code.OTP != "" {
			again += "-" + code.OTP
		}
		if back, err := Parse(again, domain); err != nil || back != code {
			t.Errorf("%q: canonical %s reads back as %v, %v", s, again, back, err)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	m := minter(b, secretA)
	for b.Loop() {
		if _, err := m.Mint(rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	m := minter(b, secretA, secretB)
	n, err := m.Mint(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := m.Check(n); err != nil {
			b.Fatal(err)
		}
	}
}
