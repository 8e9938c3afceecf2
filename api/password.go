package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The second recommended option of RFC 9106 section 4: 64 MiB, three passes, four
// lanes, a salt of 128 bits, a tag of 256.
const (
	argonMemory = 64 << 10 // KiB
	argonPasses = 3
	argonLanes  = 4
	argonSalt   = 16
	argonTag    = 32
)

// hashesAtOnce bounds what passwords take of the memory: 64 MiB each.
const hashesAtOnce = 2

// hashPatience is for how long a request waits for its turn.
const hashPatience = 5 * time.Second

// passwordLeast and passwordMost bound a password, in characters and in bytes.
const (
	passwordLeast = 12
	passwordMost  = 256
)

var errPasswordWeak = errors.New("a password has at least 12 characters, at most 256 bytes, and is not the name")

// checkPassword is errPasswordWeak for what is too easy or too long.
func checkPassword(name, password string) error {
	if utf8.RuneCountInString(password) < passwordLeast || len(password) > passwordMost || !utf8.ValidString(password) ||
		strings.EqualFold(strings.TrimSpace(password), strings.TrimSpace(name)) || strings.Trim(password, password[:1]) == "" {
		return errPasswordWeak
	}
	return nil
}

// hashes encodes and compares passwords, few at a time.
type hashes struct {
	turns chan struct{}
	dummy string // of no password: compared where a name has none, so that both take as long
}

func newHashes() *hashes {
	b := make([]byte, argonSalt+argonTag)
	_, _ = rand.Read(b)
	return &hashes{make(chan struct{}, hashesAtOnce), encodeHash(b[:argonSalt], b[argonSalt:])}
}

func encodeHash(salt, tag []byte) string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonLanes,
		e.EncodeToString(salt), e.EncodeToString(tag))
}

// turn waits for a place; a *limited error when too many wait.
func (h *hashes) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, hashPatience)
	defer cancel()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, &limited{hashPatience}
	}
}

// encode is a password as it is stored, with a salt of its own.
func (h *hashes) encode(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonLanes, argonTag)), nil
}

// matches compares a password with a stored one; with "" it takes as long and is false.
func (h *hashes) matches(ctx context.Context, password, encoded string) (bool, error) {
	known := encoded != ""
	if !known {
		encoded = h.dummy
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	var version int
	var memory, passes uint32
	var lanes uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errors.New("a stored password is of another form than $argon2id$v=..$m=..,t=..,p=..$salt$tag")
	}
	_, errV := fmt.Sscanf(parts[2], "v=%d", &version)
	_, errP := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes)
	salt, errS := base64.RawStdEncoding.DecodeString(parts[4])
	tag, errT := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(errV, errP, errS, errT); err != nil || version != argon2.Version || passes == 0 || lanes == 0 || len(tag) == 0 || memory > 1<<20 {
		return false, fmt.Errorf("a stored password cannot be read: %w", errors.Join(err, errInternal))
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(tag)))
	return subtle.ConstantTimeCompare(got, tag) == 1 && known, nil
}
