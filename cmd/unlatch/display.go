package main

import (
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/qr"
)

// displays knows the secrets of the screens, which are derived and stored nowhere.
// It implements order.Displays.
type displays struct {
	key  []byte
	code qr.Rotation // validity and length
}

// rotation is the scheme of one outlet's screen.
func (d displays) rotation(id device.ID, outlet uint8, epoch uint32) (qr.Rotation, error) {
	secret, err := qr.DisplaySecret(d.key, string(id), outlet, epoch)
	r := d.code
	r.Secret = secret
	return r, err
}

func (d displays) check() error {
	r, err := d.rotation("any", 1, 1)
	if err != nil {
		return err
	}
	return r.Check()
}

// Accepts implements order.Displays.
func (d displays) Accepts(id device.ID, outlet uint8, epoch uint32, otp string, at time.Time) bool {
	r, err := d.rotation(id, outlet, epoch)
	return err == nil && r.Accepts(otp, at)
}
