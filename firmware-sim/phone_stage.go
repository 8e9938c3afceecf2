package sim

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// phoneStays is how long a phone is taken to be there after its last call of
// Bluetooth; mostFrames bounds one call.
const (
	phoneStays = 10 * time.Second
	mostFrames = 256
)

// Bluetooth is a phone beside the device: it connects where none is connected, writes
// frames, and returns those that the device notified since the last call. The network
// has no part in it. A phone that does not call for 10 s has left. Errors:
// ErrImpossible where the device has no power or no Bluetooth, ErrStopped, ctx's.
func (d *Device) Bluetooth(ctx context.Context, frames [][]byte) (notified [][]byte, err error) {
	var refused error
	err = d.do(ctx, func(now time.Time) []Packet {
		switch {
		case !d.c.Bluetooth:
			refused = impossible("%s has no Bluetooth", d.ID())
			return nil
		case !d.c.Powered():
			refused = impossible("%s has no power", d.ID())
			return nil
		}
		d.forgetPhone(now)
		d.phoneUntil = now.Add(phoneStays)
		out := d.c.PhoneConnect(now)
		for _, frame := range frames {
			out = append(out, d.c.PhoneWrite(now, frame)...)
		}
		return out
	})
	if err != nil || refused != nil {
		return nil, errors.Join(err, refused)
	}
	// Run stores what changed before it takes the next action, so that nothing is told
	// that the memory could still lose.
	err = d.do(ctx, func(time.Time) []Packet { notified = d.c.PhoneRead(); return nil })
	return notified, err
}

// forgetPhone lets go of a phone that has not come back.
func (d *Device) forgetPhone(now time.Time) {
	if d.phoneUntil.IsZero() || now.Before(d.phoneUntil) {
		return
	}
	d.phoneUntil = time.Time{}
	d.c.PhoneDisconnect()
}

// bluetooth is the stage direction of that name.
func (f *Fleet) bluetooth(w http.ResponseWriter, r *http.Request) {
	d := f.devices[r.PathValue("id")]
	if d == nil {
		problem(w, fmt.Errorf("%w: %q", errNoDevice, r.PathValue("id")))
		return
	}
	type frames struct {
		Frames []string `json:"frames"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		problem(w, fmt.Errorf("%w: %w", errDirection, err))
		return
	}
	var in frames
	if err := parse(body, &in); err != nil {
		problem(w, err)
		return
	}
	if len(in.Frames) > mostFrames {
		problem(w, fmt.Errorf("%w: %d frames, want at most %d", errDirection, len(in.Frames), mostFrames))
		return
	}
	var written [][]byte
	for i, text := range in.Frames {
		frame, err := hex.DecodeString(text)
		if err != nil {
			problem(w, fmt.Errorf("%w: frame %d: %w", errDirection, i, err))
			return
		}
		written = append(written, frame)
	}
	notified, err := d.Bluetooth(r.Context(), written)
	if err != nil {
		problem(w, refused(err))
		return
	}
	out := frames{Frames: []string{}}
	for _, frame := range notified {
		out.Frames = append(out.Frames, hex.EncodeToString(frame))
	}
	respond(w, out)
}
