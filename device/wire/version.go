// Package wire is the contract between unlatch and the controllers at a venue:
// the MQTT topics, the messages and the way they are signed.
//
// It owns the bytes and nothing else. It opens no connection, reads no clock
// and keeps no state; what a message means to an order is the server's
// business, what it does to a bolt is the device's. It imports no package of
// ours, so that a firmware team can read it alone, next to docs/protocol.md,
// unlatch.cddl and testdata/vectors.json.
//
// # Invariants
//
//   - A size is checked before a byte is decoded.
//   - A signature is checked before a field is decoded.
//   - Encoding is deterministic: the same message gives the same bytes.
//   - A decoder refuses indefinite lengths, duplicate keys, tags, null and
//     trailing bytes; it ignores keys that it does not know.
//   - The device id is signed (as COSE external data) and never repeated inside.
//   - A label means one thing in every message; see unlatch.cddl.
//
// # Absence
//
// A field with its zero value is not sent, and an absent field has its zero
// value, but for outlet, whose absence means 1. Each field says what its zero
// value means. There is no null.
package wire

import "fmt"

// Version is the protocol version that this package speaks. It only grows.
// It stands in every message (label 0) and in every topic.
//
// History:
//
//	1  2026-11-22  locks complete; pump fields defined and reserved to pumps:
//	               start arguments, totaliser, millilitres, fen.
//	1  2026-11-22  pumps complete: closed means the safe state of any kind; the
//	               wall time of a config is tied to a boot and its uptime;
//	               parameters 4 and 5; reasons 8, 37, 50, 51 and 52; the state
//	               of an outlet in its meter. A config with wall_ms alone is now
//	               malformed; no device had a use for one.
//	1  2026-11-23  Bluetooth as a second road, for locks: the same messages in
//	               frames; see frame.go.
//
// Adding a label, a reason or a parameter that old firmware may ignore keeps
// the version. Changing the meaning of a label, or adding a rule that a device
// must obey for safety, raises it.
const Version = 1

// absent marks a kind that a payload did not have; no kind reaches it.
const absent = 1<<64 - 1

// head is what every signed payload says about itself: its version, and which
// kind of message it is, under one label for commands and another for uplinks,
// so that neither can ever be read as the other.
type head struct {
	Version uint64 `cbor:"0,keyasint"`
	Command uint64 `cbor:"5,keyasint"`
	Uplink  uint64 `cbor:"12,keyasint"`
}

// decodeHead reads the head before anything else, so that a message from a
// newer peer is told from a broken one. Errors: ErrMalformed, ErrVersion.
func decodeHead(payload []byte) (head, error) {
	h := head{Command: absent, Uplink: absent}
	if err := decode.Unmarshal(payload, &h); err != nil {
		return head{}, malformed("%w", err)
	}
	if h.Version != Version {
		return head{}, fmt.Errorf("%w: message has version %d, want %d", ErrVersion, h.Version, Version)
	}
	return h, nil
}
