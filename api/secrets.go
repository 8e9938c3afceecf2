package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"
)

// keyPrefix begins an operator's API key, so that scanners find leaked ones.
const keyPrefix = "ul_"

// NewSecret draws a token, key or one-time link: 256 random bits as base64url
// after the prefix. Only the hash is ever stored.
func NewSecret(prefix string) (text string, hash [32]byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	text = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, HashSecret(text)
}

// HashSecret is the SHA-256 of the secret's text, by which it is stored. A secret
// is 256 random bits, so no slower hash is needed.
func HashSecret(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// newID draws a UUIDv7 (RFC 9562 section 5.7).
func newID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[0:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:32]
}
