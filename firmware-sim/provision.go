package sim

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/unlatch/unlatch/device/wire"
)

// Provision is a device's provisioning file, as the server writes it
// (docs/protocol.md, section 2).
type Provision struct {
	Device string `json:"device"`
	Kind   string `json:"kind"` // "lock" or "pump"
	Epoch  uint32 `json:"epoch"`
	// Key is the 32-byte Ed25519 seed, base64 in JSON.
	Key          []byte `json:"device_key"`
	MQTTPassword string `json:"mqtt_password"`
	// Broker is a URL: mqtt, tcp, mqtts, ssl or tls.
	Broker string `json:"broker"`
	// ServerKeys are Ed25519 public keys, one or two, base64 in JSON.
	ServerKeys [][]byte `json:"server_keys"`
	// Lat and Lng are degrees WGS-84; both 0: unknown.
	Lat float64 `json:"lat,omitempty"`
	Lng float64 `json:"lng,omitempty"`
	// Outlets are a pump's; none for a lock.
	Outlets []ProvisionOutlet `json:"outlets,omitempty"`
	// CodeSeconds and CodeLength are the parameters 4 and 5 of a flash that is
	// formatted; 0: their defaults.
	CodeSeconds int64 `json:"code_seconds,omitempty"`
	CodeLength  int64 `json:"code_length,omitempty"`
	// Bluetooth: it has the second road.
	Bluetooth bool `json:"bluetooth,omitempty"`
}

// ReadProvision reads and checks one provisioning file.
func ReadProvision(r io.Reader) (Provision, error) {
	var p Provision
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		return Provision{}, fmt.Errorf("read provisioning file: %w", err)
	}
	return p, p.check()
}

func (p *Provision) check() error {
	if !wire.ValidDevice(p.Device) {
		return fmt.Errorf("provisioning file: device id %q is not 1 to 24 of [A-Za-z0-9_-]", p.Device)
	}
	wrap := func(err error) error { return fmt.Errorf("provisioning file of %s: %w", p.Device, err) }
	row, ok := kinds[p.Kind]
	if !ok {
		return wrap(fmt.Errorf("kind %q cannot be simulated, only lock and pump", p.Kind))
	}
	if row.provision != nil {
		if err := row.provision(p, &Config{}); err != nil {
			return wrap(err)
		}
	} else if len(p.Outlets) > 0 {
		return wrap(fmt.Errorf("a %s with outlets", p.Kind))
	}
	if len(p.Key) != ed25519.SeedSize {
		return wrap(fmt.Errorf("device_key has %d bytes, want %d", len(p.Key), ed25519.SeedSize))
	}
	if len(p.ServerKeys) == 0 || len(p.ServerKeys) > 2 {
		return wrap(fmt.Errorf("%d server_keys, want one or two", len(p.ServerKeys)))
	}
	for _, key := range p.ServerKeys {
		if len(key) != ed25519.PublicKeySize {
			return wrap(fmt.Errorf("a server key of %d bytes, want %d", len(key), ed25519.PublicKeySize))
		}
	}
	if math.Abs(p.Lat) > 90 || math.Abs(p.Lng) > 180 {
		return wrap(errors.New("lat and lng are outside the globe"))
	}
	return nil
}

// Config is the controller's share of a file that ReadProvision took.
func (p *Provision) Config() Config {
	c := Config{
		Kind:   p.Kind,
		Device: p.Device,
		Epoch:  p.Epoch,
		Key:    wire.NewSigner(ed25519.NewKeyFromSeed(p.Key)),

		Bluetooth: p.Bluetooth,
	}
	for _, key := range p.ServerKeys {
		c.ServerKeys = append(c.ServerKeys, key)
	}
	if row := kinds[p.Kind]; row.provision != nil {
		_ = row.provision(p, &c) // cannot fail: the file was checked
	}
	if p.Lat != 0 || p.Lng != 0 {
		c.Position = &wire.Position{Lat: int32(math.Round(p.Lat * 1e6)), Lng: int32(math.Round(p.Lng * 1e6))}
	}
	return c
}
