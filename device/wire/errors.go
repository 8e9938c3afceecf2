package wire

import (
	"errors"
	"fmt"
)

// The reasons for which a message is refused. Match them with errors.Is.
var (
	// ErrTooLarge: longer than the cap of its kind; nothing was decoded.
	ErrTooLarge = errors.New("wire: message too large")
	// ErrMalformed: not the bytes, or not the fields, that the contract asks
	// for. Sealing returns it too, for a message that no peer would accept.
	ErrMalformed = errors.New("wire: malformed message")
	// ErrSignature: the signature does not fit the device, the message and the key.
	ErrSignature = errors.New("wire: signature does not verify")
	// ErrUnknownKey: signed under a key id, or an algorithm, that the verifier does not hold.
	ErrUnknownKey = errors.New("wire: unknown signing key")
	// ErrVersion: rightly signed, of another protocol version.
	ErrVersion = errors.New("wire: unknown protocol version")
	// ErrUnknownKind matches every *UnknownKindError.
	ErrUnknownKind = errors.New("wire: unknown message kind")
)

// UnknownKindError reports a message rightly signed, of our version and of a
// kind that we cannot read: a peer newer than us. It matches ErrUnknownKind.
type UnknownKindError struct {
	// Kind is the number found; 0 where the message had none.
	Kind uint64
}

// Error says which number was found.
func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("wire: unknown message kind %d", e.Kind)
}

// Is reports whether target is ErrUnknownKind.
func (e *UnknownKindError) Is(target error) bool { return target == ErrUnknownKind }

// malformed wraps ErrMalformed with what was wrong.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}
