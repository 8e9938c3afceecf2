package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/veraison/go-cose"
)

// The caps on whole messages, in bytes, checked before anything is decoded.
const (
	MaxCommand   = 512  // commands, sealed
	MaxUplink    = 1024 // evidence and beats, sealed
	MaxTelemetry = 256  // telemetry and presence
)

// KeyIDSize is the length of a key id in bytes.
const KeyIDSize = 8

// A Signer signs for one key. An implementation that is not EdDSA over Ed25519
// also has a method Algorithm() int64 that returns its COSE algorithm.
type Signer interface {
	// KeyID returns the KeyIDSize bytes by which a verifier finds the key.
	KeyID() []byte
	// Sign returns the signature of message, at most 255 bytes. An error means
	// that nothing was signed. It must not keep message.
	Sign(message []byte) (signature []byte, err error)
}

// A Verifier checks signatures of the keys it holds. An implementation that is
// not EdDSA over Ed25519 also has a method Algorithm() int64.
type Verifier interface {
	// Verify returns nil only where signature is that of message under the key
	// that keyID names; ErrUnknownKey or ErrSignature otherwise. nil says
	// nothing about age: an old message verifies for ever.
	Verify(keyID, message, signature []byte) error
}

// KeyID returns the id of a public key: the first 8 bytes of its SHA-256.
func KeyID(pub ed25519.PublicKey) []byte {
	sum := sha256.Sum256(pub)
	return sum[:KeyIDSize:KeyIDSize]
}

type ed25519Signer struct {
	key ed25519.PrivateKey
	id  []byte
}

// NewSigner signs with an Ed25519 key. The key must be one that
// ed25519.GenerateKey or ed25519.NewKeyFromSeed made; the Signer keeps it.
func NewSigner(key ed25519.PrivateKey) Signer {
	return &ed25519Signer{key: key, id: KeyID(key.Public().(ed25519.PublicKey))}
}

func (s *ed25519Signer) KeyID() []byte { return s.id }

func (s *ed25519Signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(s.key, message), nil
}

type ed25519Verifier map[[KeyIDSize]byte]ed25519.PublicKey

// NewVerifier accepts signatures of any of keys. A key of a wrong length is
// held by no Verifier: what it signs is ErrUnknownKey.
func NewVerifier(keys ...ed25519.PublicKey) Verifier {
	v := make(ed25519Verifier, len(keys))
	for _, key := range keys {
		if len(key) == ed25519.PublicKeySize {
			v[[KeyIDSize]byte(KeyID(key))] = bytes.Clone(key)
		}
	}
	return v
}

func (v ed25519Verifier) Verify(keyID, message, signature []byte) error {
	if len(keyID) != KeyIDSize {
		return ErrUnknownKey
	}
	key, ok := v[[KeyIDSize]byte(keyID)]
	if !ok {
		return ErrUnknownKey
	}
	if !ed25519.Verify(key, message, signature) {
		return ErrSignature
	}
	return nil
}

// A KeyedHash is both ends of one shared key. See NewKeyedHash.
type KeyedHash interface {
	Signer
	Verifier
}

// algorithmKeyedHash lies in COSE's range for private use: no device and no
// server takes it for a signature.
const algorithmKeyedHash int64 = -65537

type keyedHash struct {
	key []byte
	id  []byte
}

// NewKeyedHash signs with HMAC-SHA256 cut to 16 bytes. It is for simulations,
// which want millions of messages and have no enemy; its algorithm in the
// header is not EdDSA, so every Verifier of NewVerifier refuses what it signs.
func NewKeyedHash(key []byte) KeyedHash {
	sum := sha256.Sum256(key)
	return &keyedHash{key: bytes.Clone(key), id: sum[:KeyIDSize:KeyIDSize]}
}

func (h *keyedHash) KeyID() []byte { return h.id }

// Algorithm is COSE private use -65537.
func (h *keyedHash) Algorithm() int64 { return algorithmKeyedHash }

func (h *keyedHash) Sign(message []byte) ([]byte, error) {
	mac := hmac.New(sha256.New, h.key)
	mac.Write(message)
	return mac.Sum(nil)[:16], nil
}

func (h *keyedHash) Verify(keyID, message, signature []byte) error {
	if !bytes.Equal(keyID, h.id) {
		return ErrUnknownKey
	}
	want, _ := h.Sign(message)
	if subtle.ConstantTimeCompare(want, signature) != 1 {
		return ErrSignature
	}
	return nil
}

// algorithm is the COSE algorithm of a Signer or Verifier.
func algorithm(of any) int64 {
	if a, ok := of.(interface{ Algorithm() int64 }); ok {
		return a.Algorithm()
	}
	return int64(cose.AlgorithmEdDSA)
}

// A sealed message is one COSE_Sign1_Tagged (RFC 9052) of one shape:
//
//	d2 84                tag 18, array of 4
//	bstr {1: alg, 4: kid}  protected header, nothing else in it
//	a0                   unprotected header, empty
//	bstr payload
//	bstr signature
//
// Because nothing in the frame is free, it is written and read here by hand:
// every byte outside payload and signature is compared with the only value
// that it may have. The tests hold it against go-cose in both directions.
const (
	frameTag   = 0xc0 + cose.CBORTagSign1Message
	frameArray = 0x84
	emptyMap   = 0xa0
)

// seal signs payload for device. It fails with ErrMalformed for a device id
// that no topic takes, with ErrTooLarge beyond max bytes, and as s does.
func seal(s Signer, device string, payload []byte, max int) ([]byte, error) {
	if !ValidDevice(device) {
		return nil, malformed("device id %q", device)
	}
	kid := s.KeyID()
	if len(kid) != KeyIDSize {
		return nil, malformed("key id of %d bytes, want %d", len(kid), KeyIDSize)
	}
	protected := appendProtected(make([]byte, 0, 24), algorithm(s), kid)
	signature, err := s.Sign(toBeSigned(protected, device, payload))
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(payload)+len(protected)+len(signature)+12)
	b = append(b, frameTag, frameArray)
	b = appendBytes(b, protected)
	b = append(b, emptyMap)
	b = appendBytes(b, payload)
	b = appendBytes(b, signature)
	if len(b) > max {
		return nil, ErrTooLarge
	}
	return b, nil
}

// open returns the payload of a message that v's key signed for device. The
// payload shares b's memory. Errors: ErrTooLarge, ErrMalformed, ErrUnknownKey,
// ErrSignature, found in that order.
func open(v Verifier, device string, b []byte, max int) ([]byte, error) {
	if len(b) > max {
		return nil, ErrTooLarge
	}
	if !ValidDevice(device) {
		return nil, malformed("device id %q", device)
	}
	if len(b) < 2 || b[0] != frameTag || b[1] != frameArray {
		return nil, malformed("no COSE_Sign1")
	}
	protected, rest, ok := cutBytes(b[2:])
	if !ok || len(rest) == 0 || rest[0] != emptyMap {
		return nil, malformed("headers")
	}
	payload, rest, ok := cutBytes(rest[1:])
	if !ok {
		return nil, malformed("payload")
	}
	signature, rest, ok := cutBytes(rest)
	if !ok || len(rest) != 0 {
		return nil, malformed("signature")
	}
	if len(protected) < KeyIDSize {
		return nil, malformed("protected header")
	}
	kid := protected[len(protected)-KeyIDSize:]
	var want [24]byte
	if !bytes.Equal(protected, appendProtected(want[:0], algorithm(v), kid)) {
		// Another algorithm, or a header that is not exactly {alg, kid}: in
		// either case a key that this verifier does not hold.
		return nil, ErrUnknownKey
	}
	if err := v.Verify(kid, toBeSigned(protected, device, payload), signature); err != nil {
		return nil, err
	}
	return payload, nil
}

// appendProtected appends the protected header {1: alg, 4: kid}; alg is negative.
func appendProtected(b []byte, alg int64, kid []byte) []byte {
	b = append(b, 0xa2, byte(cose.HeaderLabelAlgorithm))
	b = appendHead(b, 1<<5, uint64(-1-alg))
	b = append(b, byte(cose.HeaderLabelKeyID))
	return appendBytes(b, kid)
}

// toBeSigned is RFC 9052's Sig_structure:
// ["Signature1", protected, external data (the device id), payload].
func toBeSigned(protected []byte, device string, payload []byte) []byte {
	const context = "\x84\x6aSignature1"
	b := make([]byte, 0, len(context)+len(protected)+len(device)+len(payload)+9)
	b = append(b, context...)
	b = appendBytes(b, protected)
	b = appendHead(b, 2<<5, uint64(len(device)))
	b = append(b, device...)
	return appendBytes(b, payload)
}

// appendBytes appends a CBOR byte string.
func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, 2<<5, uint64(len(s))), s...)
}

// appendHead appends a CBOR head in its shortest form; n is below 2^32.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return append(b, major|25, byte(n>>8), byte(n))
	default:
		return append(b, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// cutBytes takes a CBOR byte string off the front of b. It accepts only the
// shortest head, so that one message has one form, and at most 65,535 bytes.
func cutBytes(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0]>>5 != 2 {
		return nil, nil, false
	}
	n, head := int(b[0]&31), 1
	switch {
	case n < 24:
	case n == 24 && len(b) >= 2:
		if n, head = int(b[1]), 2; n < 24 {
			return nil, nil, false
		}
	case n == 25 && len(b) >= 3:
		if n, head = int(b[1])<<8|int(b[2]), 3; n < 1<<8 {
			return nil, nil, false
		}
	default:
		return nil, nil, false
	}
	if len(b)-head < n {
		return nil, nil, false
	}
	return b[head : head+n : head+n], b[head+n:], true
}
