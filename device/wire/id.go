package wire

import (
	"encoding/hex"
	"fmt"
)

// Boot names one run of a device, from power-up to the next loss of power (or
// of uptime): 8 bytes from a hardware random source. Zero means absent.
type Boot [8]byte

// Journal names one life of a device's evidence journal: 8 random bytes drawn
// when its flash is formatted. Zero means absent.
type Journal [8]byte

// ID is a UUID's 16 bytes: a command's or an order's. Zero means absent.
type ID [16]byte

// IsZero reports whether b is absent.
func (b Boot) IsZero() bool { return b == Boot{} }

// IsZero reports whether j is absent.
func (j Journal) IsZero() bool { return j == Journal{} }

// IsZero reports whether id is absent.
func (id ID) IsZero() bool { return id == ID{} }

// String is 16 lower-case hex digits.
func (b Boot) String() string { return hex.EncodeToString(b[:]) }

// String is 16 lower-case hex digits.
func (j Journal) String() string { return hex.EncodeToString(j[:]) }

// String is the UUID's text form, lower case: 8-4-4-4-12.
func (id ID) String() string {
	b := make([]byte, 36)
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b)
}

// MarshalText is String.
func (b Boot) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalText is String.
func (j Journal) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// MarshalText is String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 16 hex digits; ErrMalformed otherwise.
func (b *Boot) UnmarshalText(text []byte) error { return fromHex(b[:], text) }

// UnmarshalText reads 16 hex digits; ErrMalformed otherwise.
func (j *Journal) UnmarshalText(text []byte) error { return fromHex(j[:], text) }

// UnmarshalText reads the form that String writes; ErrMalformed otherwise.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return malformed("%q is no UUID", text)
	}
	digits := make([]byte, 0, 32)
	for _, c := range text {
		if c != '-' {
			digits = append(digits, c)
		}
	}
	return fromHex(id[:], digits)
}

// UnmarshalCBOR reads a byte string of exactly 8 bytes.
func (b *Boot) UnmarshalCBOR(data []byte) error { return fromBytes(b[:], data) }

// UnmarshalCBOR reads a byte string of exactly 8 bytes.
func (j *Journal) UnmarshalCBOR(data []byte) error { return fromBytes(j[:], data) }

// UnmarshalCBOR reads a byte string of exactly 16 bytes.
func (id *ID) UnmarshalCBOR(data []byte) error { return fromBytes(id[:], data) }

func fromHex(dst, text []byte) error {
	if len(text) != 2*len(dst) {
		return malformed("%q has %d characters, want %d hex digits", text, len(text), 2*len(dst))
	}
	if _, err := hex.Decode(dst, text); err != nil {
		return malformed("%q: %w", text, err)
	}
	return nil
}

// fromBytes copies a short CBOR byte string (head 0x40 + length) into dst.
func fromBytes(dst, data []byte) error {
	if len(data) != len(dst)+1 || data[0] != 0x40+byte(len(dst)) {
		return fmt.Errorf("want a byte string of %d bytes", len(dst))
	}
	copy(dst, data[1:])
	return nil
}
