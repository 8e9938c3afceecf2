package sim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// DisplayConfig is a screen that can show a code.
type DisplayConfig struct {
	// URL stands before the rotating part, its dash included.
	URL string
	// Secret keys the codes, at least 16 bytes. It never travels by MQTT.
	Secret []byte
}

// Display is what one outlet's screen shows.
type Display struct {
	Lines []string `json:"lines"`
	// Code is the rotating part, URL is what the symbol on the screen holds. Both
	// are empty where no code may be shown (P6.32).
	Code string `json:"code,omitempty"`
	URL  string `json:"url,omitempty"`
}

// codeAlphabet is that of OCPP 2.1, C25.
const codeAlphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// rotatingCode is the code of the interval of seconds in which unix, in s, lies (P6.33).
func rotatingCode(secret []byte, unix, seconds int64, length int) string {
	var interval [8]byte
	binary.BigEndian.PutUint64(interval[:], uint64(unix/seconds))
	mac := hmac.New(sha256.New, secret)
	mac.Write(interval[:])
	hash := mac.Sum(nil)
	offset := int(hash[len(hash)-1] & 0x0F)
	code := make([]byte, length)
	for i := range code {
		code[i] = codeAlphabet[int(hash[(offset+i)%len(hash)])%len(codeAlphabet)]
	}
	return string(code)
}

// wallTime is the wall time in Unix ms by the newest config of this run (P6.31);
// ok is false where none came.
func (c *Controller) wallTime(now time.Time) (ms int64, ok bool) {
	w := c.flash.Wall
	if !c.powered || w == nil || w.Boot != c.boot {
		return 0, false
	}
	return w.Millis + int64(c.Uptime(now)) - int64(w.Uptime), true
}

// Display is what the screen of a pump's outlet shows at now; zero where there is
// no such outlet, or no power.
func (c *Controller) Display(now time.Time, outlet uint8) (d Display) {
	if c.pump == nil || !c.powered || c.pump.body.Side(outlet) == nil {
		return d
	}
	c.pump.look(now)
	d.Lines = c.pump.lines(c.pump.side(outlet))
	screen, ok := c.Displays[outlet]
	ms, told := c.wallTime(now)
	if ok && told && ms >= 0 && c.connected {
		d.Code = rotatingCode(screen.Secret, ms/1000, c.param(wire.ParamCodeSeconds), int(c.param(wire.ParamCodeLength)))
		d.URL = screen.URL + d.Code
	}
	return d
}

func (p *pump) lines(s *side) (lines []string) {
	shown := []string{
		fmt.Sprintf("%d.%03d L", s.ShownMl/1000, s.ShownMl%1000),
		fmt.Sprintf("%d.%02d yuan", s.ShownFen/100, s.ShownFen%100),
	}
	grade := func() string { return s.Nozzle(s.sale.Nozzle).Grade }
	switch p.state(s) {
	case wire.MeterClosed:
		lines = []string{"Stopped. Ask the staff."}
	case wire.MeterFault:
		lines = []string{"Out of order"}
	case wire.MeterIdle, wire.MeterCalling:
		lines = []string{"Scan to pay"}
	case wire.MeterAuthorised:
		var grades []string
		for _, n := range s.Nozzles {
			if _, ok := p.use(s).Args.UnitPrices[n.Number]; ok {
				grades = append(grades, n.Grade)
			}
		}
		lines = []string{"Lift " + strings.Join(grades, " or ")}
	case wire.MeterStarted:
		lines = append([]string{grade()}, shown...)
	case wire.MeterFuelling:
		lines = append([]string{grade()}, shown...)
	case wire.MeterSuspended:
		lines = append([]string{grade()}, shown...)
	case wire.MeterComplete:
		lines = append(shown, "Hang up the nozzle")
	}
	if !p.c.connected {
		lines = append(lines, "Offline")
	}
	return lines
}

// ProvisionOutlet is one outlet of a pump in a provisioning file.
type ProvisionOutlet struct {
	Outlet uint8 `json:"outlet"`
	// Nozzles maps each nozzle's number to its grade, which is for display only.
	Nozzles map[uint8]string `json:"nozzles"`
	// Display is nil where the outlet shows no code.
	Display *ProvisionDisplay `json:"display,omitempty"`
}

// ProvisionDisplay is DisplayConfig in a provisioning file.
type ProvisionDisplay struct {
	URL string `json:"url"`
	// Secret is base64 in JSON, at least 16 bytes.
	Secret []byte `json:"secret"`
}

// provisionPump checks the keys of a pump and makes its body of them.
func provisionPump(p *Provision, c *Config) error {
	sides := make([]*Side, 0, len(p.Outlets))
	displays := map[uint8]DisplayConfig{}
	for _, o := range p.Outlets {
		sides = append(sides, NewSide(o.Outlet, o.Nozzles))
		if o.Display == nil {
			continue
		}
		if o.Display.URL == "" || len(o.Display.Secret) < 16 {
			return fmt.Errorf("display of outlet %d needs a url and a secret of at least 16 bytes, not %d", o.Outlet, len(o.Display.Secret))
		}
		displays[o.Outlet] = DisplayConfig{URL: o.Display.URL, Secret: slices.Clone(o.Display.Secret)}
	}
	body := NewPump(sides...)
	if err := body.check(); err != nil {
		return err
	}
	params := map[wire.Param]int64{}
	for param, v := range map[wire.Param]int64{wire.ParamCodeSeconds: p.CodeSeconds, wire.ParamCodeLength: p.CodeLength} {
		if v == 0 {
			continue
		}
		if r := paramRanges[param]; v < r[1] || v > r[2] {
			return errors.New("code_seconds must be 6 to 3600, code_length 6 to 32")
		}
		params[param] = v
	}
	c.Pump, c.Displays = body, displays
	if len(params) > 0 {
		c.Params = params
	}
	return nil
}
