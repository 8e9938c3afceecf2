// Package qr owns codes: the fourteen digits behind every sticker, the address
// that carries them, the symbol that carries the address, and the printed label
// around the symbol.
//
// A code identifies an outlet and never authorises anything. It is public, since
// anybody can photograph a sticker; it holds no serial number, so it tells nothing
// about how many there are; and it is refused without a database look-up when it
// was mistyped or made up.
//
// # Words
//
//   - number: 9 random digits, 1 Damm check digit over them, 4 digits keyed by a
//     secret over the first ten. Printed as 1234-5678-9012-34.
//   - code: a number, or a number with the one-time password that a screen shows.
//   - rotation: how one screen makes its passwords, and how they are checked.
//   - symbol: the square of modules; a matrix is a symbol without its quiet zone.
//   - label: a symbol with the number and words for people; a sheet is the template
//     by which labels lie on paper.
//
// # Invariants
//
//   - All numbers of one domain give symbols of one version, so that a sheet of
//     stickers has one grid. Digits only: see Encode.
//   - No SVG, PNG, PDF or ZPL leaves the package before its own modules were read
//     back and said what was meant.
//   - On a label nothing but the symbol has ink within four modules of it.
//   - A number never shows in a log beyond its last four digits, and a password or
//     a secret not at all.
package qr

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Errors that callers tell apart.
var (
	// ErrMistyped: not 14 digits, or the check digit says that one of the first
	// ten digits is wrong or that two neighbours among them were swapped.
	ErrMistyped = errors.New("code is mistyped")
	// ErrForged: the last four digits were not made with our secret. A slip in
	// them looks the same, on purpose: telling the two apart would help to guess.
	ErrForged = errors.New("code is forged")
	// ErrForeign: an address of another domain.
	ErrForeign = errors.New("code is of another domain")
	// ErrNotACode: neither an address of ours nor digits.
	ErrNotACode = errors.New("not a code")
	// ErrStale: the password behind the number is not one that the screen shows
	// about now; it is too old, a photograph or made up, and the rider scans again.
	// Rotation.Accepts says no more than false: who refuses a code for it returns
	// this.
	ErrStale = errors.New("code is stale")
	// ErrSecret: a secret is too short or given twice.
	ErrSecret = errors.New("bad code secret")
	// ErrRotation: a rotation's validity or length is out of range.
	ErrRotation = errors.New("bad rotation")
)

const (
	randomDigits = 9
	checkAt      = randomDigits // index of the Damm digit
	keyedAt      = checkAt + 1  // index of the first keyed digit
	// Digits is the length of a number.
	Digits = 14
	// MinSecret is the least length of a secret in bytes.
	MinSecret = 16
)

// Number is a code's fourteen ASCII digits. A value from Mint or Parse has that
// shape; only Minter.Check says that the number was minted.
type Number string

// LogValue shows the last four digits alone.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.masked()) }

func (n Number) masked() string {
	if !shaped(n) {
		return "**********----"
	}
	return "**********" + string(n[keyedAt:])
}

// Format gives the number as it is printed and typed: 1234-5678-9012-34. A number
// of another shape comes back as it is.
func Format(n Number) string {
	if !shaped(n) {
		return string(n)
	}
	return string(n[0:4] + "-" + n[4:8] + "-" + n[8:12] + "-" + n[12:14])
}

// URL is the address that a printed symbol holds. The domain is a host name,
// with a port if need be, without scheme or slash.
func URL(domain string, n Number) string { return "https://" + domain + "/d/" + string(n) }

func shaped(n Number) bool {
	if len(n) != Digits {
		return false
	}
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return true
}

// MinterConfig holds the secrets that key the last four digits.
type MinterConfig struct {
	// Secret keys new numbers; at least MinSecret bytes.
	Secret []byte
	// Previous secrets are still good for stickers in the field. Each one more
	// makes a guessed number pass once more in 10,000.
	Previous [][]byte
}

// Minter makes and checks numbers. It is safe for concurrent use.
type Minter struct {
	secrets [][]byte // current first
}

// NewMinter checks the secrets and copies them. Its only error is ErrSecret.
func NewMinter(cfg MinterConfig) (*Minter, error) {
	m := &Minter{}
	for i, secret := range append([][]byte{cfg.Secret}, cfg.Previous...) {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("%w: number %d has %d bytes, want at least %d", ErrSecret, i, len(secret), MinSecret)
		}
		for j, other := range m.secrets {
			if hmac.Equal(secret, other) {
				return nil, fmt.Errorf("%w: numbers %d and %d are equal", ErrSecret, j, i)
			}
		}
		m.secrets = append(m.secrets, append([]byte(nil), secret...))
	}
	return m, nil
}

// Mint makes a number from the random source, which is read 4 bytes at a time.
// Numbers may repeat (a thousand million exist): the table that stores them has
// a unique key. Its only error is the source's.
func (m *Minter) Mint(random io.Reader) (Number, error) {
	const many = 1_000_000_000
	var b [4]byte
	var v uint32
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("mint code: %w", err)
		}
		// 30 bits are hardly more than many: what is above is drawn again, so
		// that all numbers are equally likely.
		if v = binary.BigEndian.Uint32(b[:]) >> 2; v < many {
			break
		}
	}
	var digits [Digits]byte
	for i := randomDigits - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	digits[checkAt] = '0' + damm(digits[:checkAt])
	keyed := keyedDigits(m.secrets[0], digits[:keyedAt])
	copy(digits[keyedAt:], keyed[:])
	return Number(digits[:]), nil
}

// Check says whether the number was minted with one of the secrets: nil,
// ErrMistyped or ErrForged. Nil does not promise that the number is in use.
func (m *Minter) Check(n Number) error {
	if !shaped(n) || damm([]byte(n[:keyedAt])) != 0 {
		return ErrMistyped
	}
	match := 0
	for _, secret := range m.secrets {
		keyed := keyedDigits(secret, []byte(n[:keyedAt]))
		match |= subtle.ConstantTimeCompare(keyed[:], []byte(n[keyedAt:]))
	}
	if match == 0 {
		return ErrForged
	}
	return nil
}

// keyedDigits reduces an HMAC-SHA256 of the first ten digits to four. The first
// 64 bits modulo 10,000 favour no value by more than one part in 10^15.
func keyedDigits(secret, first []byte) [Digits - keyedAt]byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(first)
	v := binary.BigEndian.Uint64(mac.Sum(nil)) % 10_000
	return [4]byte{byte('0' + v/1000), byte('0' + v/100%10), byte('0' + v/10%10), byte('0' + v%10)}
}

// dammTable is the totally anti-symmetric quasigroup of order 10 from H. M. Damm,
// "Total anti-symmetrische Quasigruppen" (Marburg, 2004): every wrong digit and
// every swap of neighbours changes the result.
var dammTable = [10][10]byte{
	{0, 3, 1, 7, 5, 9, 8, 6, 4, 2},
	{7, 0, 9, 2, 1, 5, 4, 8, 6, 3},
	{4, 2, 0, 6, 8, 7, 1, 3, 5, 9},
	{1, 7, 5, 0, 9, 8, 3, 4, 2, 6},
	{6, 1, 2, 3, 0, 4, 5, 9, 7, 8},
	{3, 6, 7, 4, 2, 0, 9, 5, 8, 1},
	{5, 8, 6, 9, 7, 2, 0, 1, 3, 4},
	{8, 9, 4, 5, 3, 6, 2, 0, 1, 7},
	{9, 4, 3, 8, 6, 1, 7, 2, 0, 5},
	{2, 5, 8, 1, 4, 3, 6, 7, 9, 0},
}

// damm is the check digit of ASCII digits, and 0 for digits that end in theirs.
func damm(digits []byte) byte {
	var state byte
	for _, d := range digits {
		state = dammTable[state][d-'0']
	}
	return state
}
