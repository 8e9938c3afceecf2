package qr

import (
	"log/slog"
	"net/url"
	"strings"
	"unicode"
)

const (
	// maxInput bounds what Parse looks at, in bytes; an address of ours has less
	// than half, percent-encoded.
	maxInput = 512
	// maxOTP bounds the one-time password: the Base64url text of 256 bits.
	maxOTP = 44
)

// Code is what a rider presented.
type Code struct {
	Number Number
	// OTP is the one-time password that a device's screen showed behind the
	// number, of the Base64url alphabet; empty for a printed code. It is not
	// checked here: see Rotation.Accepts, whose passwords have that shape.
	OTP string
}

// LogValue masks the number and says only whether there was a password.
func (c Code) LogValue() slog.Value {
	if c.OTP == "" {
		return c.Number.LogValue()
	}
	return slog.StringValue(c.Number.masked() + "-***")
}

// Parse reads what a rider scanned or typed:
//
//   - an address https://{domain}/d/{14 digits}, with -{otp} behind it if a
//     screen showed it; http and an absent scheme are read the same, a query or
//     fragment is ignored
//   - that address percent-encoded once, as WeChat hands it over in q
//   - the digits alone, with spaces and dashes anywhere, also full-width
//
// An address counts as ours when its host, with its port if any, is one of the
// domains (several while a fleet moves to a new name).
//
// Errors: ErrForeign, ErrMistyped (digits, but not fourteen), ErrNotACode. Nil
// does not promise that the number was minted: see Minter.Check.
func Parse(s string, domains ...string) (Code, error) {
	if len(s) > maxInput {
		return Code{}, ErrNotACode
	}
	s = strings.TrimSpace(s)
	if strings.ContainsRune(s, '%') && !strings.Contains(s, "/") {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return Code{}, ErrNotACode
		}
		s = decoded
	}
	if strings.Contains(s, "/") {
		return parseURL(s, domains)
	}
	return parseTyped(s)
}

func parseURL(s string, domains []string) (Code, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return Code{}, ErrNotACode
	}
	ours := false
	for _, domain := range domains {
		ours = ours || strings.EqualFold(u.Host, domain)
	}
	if !ours {
		return Code{}, ErrForeign
	}
	// The raw path: an address that was encoded twice is not ours.
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/d/")
	if !ok {
		return Code{}, ErrNotACode
	}
	digits, otp, dynamic := strings.Cut(rest, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return Code{}, ErrNotACode
	}
	if dynamic && !isOTP(otp) {
		return Code{}, ErrNotACode
	}
	if len(digits) != Digits {
		return Code{}, ErrMistyped
	}
	return Code{Number: Number(digits), OTP: otp}, nil
}

func isOTP(s string) bool {
	if s == "" || len(s) > maxOTP {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func parseTyped(s string) (Code, error) {
	var digits []byte
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case r >= '０' && r <= '９': // full-width, as Chinese keyboards give them
			digits = append(digits, byte(r-'０'+'0'))
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '−':
		default:
			return Code{}, ErrNotACode
		}
	}
	switch len(digits) {
	case 0:
		return Code{}, ErrNotACode
	case Digits:
		return Code{Number: Number(digits)}, nil
	default:
		return Code{}, ErrMistyped
	}
}
