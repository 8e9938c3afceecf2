package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Handler lets a test, or a person, direct the play: hands, power, network. It
// has no login; never listen with it beyond loopback.
//
//	GET  /devices                   every device's state
//	GET  /devices/{id}              what the device and its body really are and did
//	POST /devices/{id}/open         {"how": "force" (locks) | "tamper"}
//	POST /devices/{id}/power        {"do": "cut" | "restore", "at": step}
//	POST /devices/{id}/network      NetworkOrder
//
// With Bluetooth alone; see Device.Bluetooth:
//
//	POST /devices/{id}/bluetooth    {"frames": ["<hex>", ...]}, at most 256; answers {"frames": [...]}
//
// Locks alone:
//
//	POST /devices/{id}/close        push the bolt home
//	POST /devices/{id}/battery      {"percent": 0 to 100}
//	POST /devices/{id}/jam          {"jammed": true | false}
//
// Pumps alone; outlet absent means 1:
//
//	POST /devices/{id}/nozzle       {"outlet": n, "do": "lift" | "hang_up", "nozzle": n}
//	POST /devices/{id}/squeeze      {"outlet": n, "percent": 0 to 100}
//	POST /devices/{id}/stop         {"outlet": n}: its own stop button
//	POST /devices/{id}/emergency    {"do": "press" | "release"}
//	POST /devices/{id}/gas          the detector strikes
//	POST /devices/{id}/fault        {"outlet": n, "broken": true | false} or {"outlet": n, "sticky_ml": n, "wrong_fen": n}
//	POST /devices/{id}/crank        {"outlet": n, "nozzle": n, "ml": n}: past the meter in no use
//
// A cut with "at" is armed for the next time that the device passes that Step.
// Other POSTs answer with the state after them. Errors are RFC 9457 problems; what no
// hand can do to the device as it is (ErrImpossible) is one of status 400.
func (f *Fleet) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /devices", func(w http.ResponseWriter, r *http.Request) {
		states := make([]DeviceState, 0, len(f.ids))
		for _, id := range f.ids {
			s, err := f.devices[id].State(r.Context())
			if err != nil {
				problem(w, err)
				return
			}
			states = append(states, s)
		}
		respond(w, states)
	})
	mux.HandleFunc("GET /devices/{id}", f.direct(func(*Device, string) (stageFunc, error) {
		return func(context.Context, *Device, []byte) error { return nil }, nil
	}))
	mux.HandleFunc("POST /devices/{id}/bluetooth", f.bluetooth)
	mux.HandleFunc("POST /devices/{id}/{direction}", f.direct(direction))
	return mux
}

// anyStage are the stage directions that a device of any kind takes.
var anyStage = map[string]stageFunc{"open": stageOpen, "power": stagePower, "network": stageNetwork}

// direction finds a stage direction for a device.
func direction(d *Device, name string) (stageFunc, error) {
	if act := anyStage[name]; act != nil {
		return act, nil
	}
	if act := kinds[d.cfg.Provision.Kind].stage[name]; act != nil {
		return act, nil
	}
	for kind, row := range kinds {
		if row.stage[name] != nil {
			return nil, fmt.Errorf("%w: %s is for a %s, and %s is a %s", errDirection, name, kind, d.ID(), d.cfg.Provision.Kind)
		}
	}
	return nil, fmt.Errorf("%w: %q", errNoDirection, name)
}

func stageOpen(ctx context.Context, d *Device, body []byte) error {
	var in struct {
		How string `json:"how"`
	}
	if err := parse(body, &in); err != nil {
		return err
	}
	switch in.How {
	case "force":
		return refused(d.ForceOpen(ctx))
	case "tamper":
		return d.Tamper(ctx)
	}
	return fmt.Errorf("%w: how is %q, want force or tamper", errDirection, in.How)
}

func stagePower(ctx context.Context, d *Device, body []byte) error {
	var in struct {
		Do string `json:"do"`
		At Step   `json:"at"`
	}
	if err := parse(body, &in); err != nil {
		return err
	}
	switch {
	case in.Do == "cut":
		return refused(d.CutPower(ctx, in.At))
	case in.Do == "restore" && in.At == "":
		return d.RestorePower(ctx)
	}
	return fmt.Errorf("%w: do is %q, want cut (at a step, or now) or restore", errDirection, in.Do)
}

func stageNetwork(ctx context.Context, d *Device, body []byte) error {
	var in NetworkOrder
	if err := parse(body, &in); err != nil {
		return err
	}
	return refused(d.OrderNetwork(ctx, in))
}

var (
	errDirection   = errors.New("bad stage direction")
	errNoDevice    = errors.New("no such device")
	errNoDirection = errors.New("no such stage direction")
)

// refused marks an error about the direction itself as the director's fault.
func refused(err error) error {
	if err == nil || errors.Is(err, ErrStopped) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", errDirection, err)
}

// direct finds the device and what to do, does it and answers with the state.
func (f *Fleet) direct(find func(d *Device, name string) (stageFunc, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := f.devices[r.PathValue("id")]
		if d == nil {
			problem(w, fmt.Errorf("%w: %q", errNoDevice, r.PathValue("id")))
			return
		}
		act, err := find(d, r.PathValue("direction"))
		if err != nil {
			problem(w, err)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
		if err != nil {
			problem(w, fmt.Errorf("%w: %w", errDirection, err))
			return
		}
		if err := act(r.Context(), d, body); err != nil {
			problem(w, err)
			return
		}
		s, err := d.State(r.Context())
		if err != nil {
			problem(w, err)
			return
		}
		respond(w, s)
	}
}

func parse(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", errDirection, err)
	}
	return nil
}

func respond(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	body, err := json.Marshal(v)
	if err != nil {
		problem(w, err)
		return
	}
	_, _ = w.Write(append(body, '\n')) // a client that left needs no answer
}

// problem answers with an RFC 9457 problem.
func problem(w http.ResponseWriter, err error) {
	status, code := http.StatusInternalServerError, "internal"
	switch {
	case errors.Is(err, errNoDevice):
		status, code = http.StatusNotFound, "device_unknown"
	case errors.Is(err, errNoDirection):
		status, code = http.StatusNotFound, "direction_unknown"
	case errors.Is(err, errDirection):
		status, code = http.StatusBadRequest, "direction_bad"
	case errors.Is(err, ErrStopped):
		status, code = http.StatusServiceUnavailable, "device_stopped"
	}
	body, marshalErr := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "code": code, "detail": err.Error()})
	if marshalErr != nil {
		body = []byte(`{"title":"Internal Server Error","status":500,"code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
