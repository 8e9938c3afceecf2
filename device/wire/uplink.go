package wire

// Uplink is what a device signed: exactly one field is set.
type Uplink struct {
	Evidence *Evidence
	Beat     *Beat
}

// OpenUplink checks and decodes a piece of evidence or a beat of device.
// Errors, in the order in which they are looked for: ErrTooLarge, ErrMalformed
// (the frame), ErrUnknownKey, ErrSignature, ErrVersion, *UnknownKindError,
// ErrMalformed.
func OpenUplink(v Verifier, device string, b []byte) (Uplink, error) {
	payload, err := open(v, device, b, MaxUplink)
	if err != nil {
		return Uplink{}, err
	}
	return decodeUplink(payload)
}

func decodeUplink(payload []byte) (Uplink, error) {
	h, err := decodeHead(payload)
	switch {
	case err != nil:
		return Uplink{}, err
	case h.Uplink == absent:
		return Uplink{}, malformed("uplink without a kind")
	case h.Uplink == beatKind:
		b, err := decodeBeat(payload)
		return Uplink{Beat: b}, err
	case h.Uplink > uint64(EvidenceAlarm):
		return Uplink{}, &UnknownKindError{Kind: h.Uplink}
	}
	e, err := decodeEvidence(payload)
	return Uplink{Evidence: e}, err
}
