package qr

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"
)

const (
	// MinDisplaySecret is the least length of a display's secret in bytes.
	MinDisplaySecret = 17
	// The limits of a rotation, and what its zero values mean.
	minValidity, maxValidity, defaultValidity = 6 * time.Second, time.Hour, time.Minute
	minLength, maxLength, defaultLength       = 6, sha256.Size, 8
)

// rotatingAlphabet is base 62 in the order of OCPP.
const rotatingAlphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Rotation is how one display makes its one-time passwords and how the server
// checks them: OCPP 2.1 part 2, use case C25, "TOTP algorithm, version 1" and
// "Validation of TOTP". It is RFC 6238 with HMAC-SHA256 and another truncation:
//
//	interval    = floor(Unix time in s / Validity in s)
//	hash        = HMAC-SHA256(Secret, interval as 8 bytes, big endian)
//	offset      = last byte of hash & 0x0f
//	character i = alphabet[hash[(offset+i) mod 32] mod 62]
//
// The alphabet is 0-9a-zA-Z. 62 does not divide 256, so the first eight characters
// come 5 times in 256 and the others 4 times; the likeliest password of 8 is guessed
// once in 10^13.
//
// A Rotation is safe for concurrent use as long as nobody writes to Secret.
type Rotation struct {
	// Secret is shared with the display; at least MinDisplaySecret bytes. OCPP
	// carries it as text and keys with the bytes of that text as they stand, so
	// for a foreign display these are the characters, not what they might encode.
	Secret []byte
	// Validity is how long one password is shown: 6 s to 1 h in whole seconds; 0
	// means 60 s. It is also by how much the two clocks may differ.
	Validity time.Duration
	// Length of a password: 6 to 32 characters; 0 means 8. Beyond 32 a password
	// would repeat itself.
	Length int
}

// Check says whether the rotation can be meant, and otherwise names the field:
// ErrSecret (Secret is too short) or ErrRotation (Validity or Length).
func (r Rotation) Check() error {
	if len(r.Secret) < MinDisplaySecret {
		return fmt.Errorf("%w: Secret has %d bytes, want at least %d", ErrSecret, len(r.Secret), MinDisplaySecret)
	}
	if v := r.validity(); v < minValidity || v > maxValidity || v%time.Second != 0 {
		return fmt.Errorf("%w: Validity is %v, want %v to %v in whole seconds", ErrRotation, v, minValidity, maxValidity)
	}
	if n := r.length(); n < minLength || n > maxLength {
		return fmt.Errorf("%w: Length is %d, want %d to %d", ErrRotation, n, minLength, maxLength)
	}
	return nil
}

// Code is the password that the display shows at a time. It is empty when Check
// refuses the rotation: a password under no secret would look like a good one.
func (r Rotation) Code(at time.Time) string {
	if r.Check() != nil {
		return ""
	}
	return r.code(r.interval(at))
}

// Accepts says whether a password is that of the interval of a time, of the one
// before or of the one after. So with equal clocks a photograph of the screen is
// good for one to two validities, and with clocks that differ by d for up to d
// longer or shorter; within that time it is good as often as it is presented.
//
// False is also the answer to every password when Check refuses the rotation. How
// long it takes depends on the password's length alone.
func (r Rotation) Accepts(otp string, at time.Time) bool {
	if r.Check() != nil || len(otp) != r.length() {
		return false
	}
	now, match := r.interval(at), 0
	for _, interval := range [...]int64{now - 1, now, now + 1} {
		match |= subtle.ConstantTimeCompare([]byte(r.code(interval)), []byte(otp))
	}
	return match == 1
}

// LogValue shows the settings without the secret.
func (r Rotation) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("%d characters every %v", r.length(), r.validity()))
}

func (r Rotation) validity() time.Duration {
	if r.Validity == 0 {
		return defaultValidity
	}
	return r.Validity
}

func (r Rotation) length() int {
	if r.Length == 0 {
		return defaultLength
	}
	return r.Length
}

// interval is the number of the interval that a time lies in, also before 1970,
// where a division alone would round up.
func (r Rotation) interval(at time.Time) int64 {
	s, v := at.Unix(), int64(r.validity()/time.Second)
	n := s / v
	if s%v < 0 {
		n--
	}
	return n
}

// code is the scheme itself; it checks nothing. The interval before 1970 is 2^64-1,
// as in the published vectors.
func (r Rotation) code(interval int64) string {
	mac := hmac.New(sha256.New, r.Secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(interval)))
	hash := mac.Sum(nil)
	offset := int(hash[len(hash)-1] & 0x0f)
	otp := make([]byte, r.length())
	for i := range otp {
		otp[i] = rotatingAlphabet[int(hash[(offset+i)%len(hash)])%len(rotatingAlphabet)]
	}
	return string(otp)
}

// DisplaySecret derives the secret of one outlet's display from the installation's
// display key, so that no server stores any: 32 bytes,
//
//	HMAC-SHA256(key, "display" 0x00 device 0x00 outlet (1 byte) epoch (4 bytes, big endian))
//
// The epoch is how often the device was provisioned: what an earlier provisioning
// file said is void after the next. What stands behind the device's name has a fixed
// length, so no two displays share a secret, whatever the name holds.
//
// The bytes are the secret: where a file or a wire carries them as text, the display
// decodes them before it keys. The key has at least MinSecret bytes; changing it voids
// every display's secret until the device is provisioned anew. The only error is
// ErrSecret (the key is too short).
func DisplaySecret(key []byte, device string, outlet uint8, epoch uint32) ([]byte, error) {
	if len(key) < MinSecret {
		return nil, fmt.Errorf("%w: display key has %d bytes, want at least %d", ErrSecret, len(key), MinSecret)
	}
	mac := hmac.New(sha256.New, key)
	message := append([]byte("display\x00"), device...)
	message = append(message, 0, outlet)
	mac.Write(binary.BigEndian.AppendUint32(message, epoch))
	return mac.Sum(nil), nil
}
