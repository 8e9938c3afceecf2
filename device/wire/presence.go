package wire

// Presence is a device's birth (online) and last will (offline). Brokers drop
// and repeat wills; it is for display only.
type Presence struct {
	// Online is true in the birth message. Absent is false: the will.
	Online bool `cbor:"1,keyasint,omitempty"`
	// Boot is the run that speaks; never absent, so that the late will of an
	// earlier run can be told from news.
	Boot Boot `cbor:"2,keyasint"`
}

// presenceMessage is what is sent, plain.
type presenceMessage struct {
	Version uint64 `cbor:"0,keyasint"`
	Presence
}

// EncodePresence encodes p. It returns ErrMalformed for a Presence without Boot.
func EncodePresence(p Presence) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return encodePlain(presenceMessage{Version, p})
}

// DecodePresence decodes what anyone who can publish may have made up. Errors:
// ErrTooLarge, ErrVersion, ErrMalformed.
func DecodePresence(b []byte) (Presence, error) {
	var m presenceMessage
	if err := decodePlain(b, &m, &m.Version); err != nil {
		return Presence{}, err
	}
	if err := m.check(); err != nil {
		return Presence{}, err
	}
	return m.Presence, nil
}

func (p *Presence) check() error {
	if p.Boot.IsZero() {
		return malformed("presence without a boot")
	}
	return nil
}
