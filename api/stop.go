package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// confirmLife is how long the question before a venue's stop may be answered.
const confirmLife = 30 * time.Second

func (a *API) stopRoutes(h huma.API) {
	op := forStaff("stop-device", http.MethodPost, "/v1/operator/devices/{id}/stop", "Stop a pump at once, whoever uses it")
	op.Description += " Every valve of the device shuts, running orders settle on what flowed, and nothing starts until a" +
		" hand at the device releases it: there is no way to resume from afar."
	register(a, h, op, a.stopDevice)
	op = forStaff("stop-venue", http.MethodPost, "/v1/operator/venues/{id}/stop", "Stop every pump of a venue, in two steps")
	op.Description += " Without confirm it only counts what would be stopped and answers with a confirm text; sending that" +
		" back within 30 seconds stops everything, whoever it belongs to. Each pump resumes by a hand at it."
	register(a, h, op, a.stopVenue)
	op = forStaff("interlock-venue", http.MethodPost, "/v1/operator/venues/{id}/interlock", "Stop every pump of a venue in one step")
	op.Description += " For a gas alarm or another interlock, called by its controller with a key of its own."
	register(a, h, op, a.interlock)
}

type stopDeviceInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Body ReasonBody
}

func (a *API) stopDevice(ctx context.Context, in *stopDeviceInput) (*deviceOutput, error) {
	id := device.ID(in.ID)
	act := audit(ctx, "device.stop", "device "+in.ID, in.Body.Reason, nil)
	if err := a.Orders.Halt(ctx, order.Halt{Device: id, Reason: in.Body.Reason, Staff: &act}); err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return a.deviceNow(ctx, id)
}

// StopBody is a venue's stop.
type StopBody struct {
	Reason  string `json:"reason" minLength:"1" maxLength:"200" pattern:"\\S" doc:"Kept in the audit"`
	Confirm string `json:"confirm,omitempty" maxLength:"200" doc:"Absent in the first step"`
}

// VenueStop is what a stop would do, or did.
type VenueStop struct {
	Venue   string     `json:"venue"`
	Stopped bool       `json:"stopped"`
	Devices int        `json:"devices" doc:"How many a stop reaches"`
	Running int        `json:"running" doc:"Outlets in use before it"`
	Confirm string     `json:"confirm,omitempty" doc:"Send it back within 30 seconds to stop"`
	Expires *time.Time `json:"expires_at,omitempty"`
}

type stopVenueInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Body StopBody
}

type stopVenueOutput struct{ Body VenueStop }

func (a *API) stopVenue(ctx context.Context, in *stopVenueInput) (*stopVenueOutput, error) {
	v, err := a.stoppable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	staff := staffOf(ctx).ID
	if in.Body.Confirm == "" {
		expires := time.Now().Add(confirmLife).Truncate(time.Second)
		v.Confirm, v.Expires = a.confirmation(in.ID, staff, expires), &expires
		return &stopVenueOutput{v}, nil
	}
	if !a.confirmed(in.Body.Confirm, in.ID, staff, time.Now()) {
		return nil, errConfirm
	}
	return a.stopAll(ctx, v, "venue.stop", in.Body.Reason)
}

type interlockInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Body ReasonBody
}

func (a *API) interlock(ctx context.Context, in *interlockInput) (*stopVenueOutput, error) {
	v, err := a.stoppable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.stopAll(ctx, v, "venue.interlock", in.Body.Reason)
}

func (a *API) stopAll(ctx context.Context, v VenueStop, act, reason string) (*stopVenueOutput, error) {
	if v.Devices == 0 {
		return nil, fmt.Errorf("stop venue %s: nothing there can be stopped: %w", v.Venue, order.ErrWrongState)
	}
	row := audit(ctx, act, "venue "+v.Venue, reason, map[string]int{"devices": v.Devices, "running": v.Running})
	err := a.Orders.StopVenue(ctx, order.Stop{Venue: v.Venue, By: "staff " + row.Staff, Reason: reason, At: row.At}, &row)
	if err != nil {
		return nil, err
	}
	v.Stopped = true
	return &stopVenueOutput{v}, nil
}

// stoppable counts what a stop of a venue would reach; errVenueUnknown.
func (a *API) stoppable(ctx context.Context, id string) (VenueStop, error) {
	if _, err := a.getVenue(ctx, &venuePath{ID: id}); err != nil {
		return VenueStop{}, err
	}
	v := VenueStop{Venue: id}
	for after := device.ID(""); ; {
		rows, err := a.Store.Devices(ctx, "", id, after, 500)
		if err != nil {
			return v, err
		}
		for _, row := range rows {
			if !order.Stops(row.Device.Kind) || row.Device.Service == device.Retired {
				continue
			}
			v.Devices++
			for _, o := range row.Outlets {
				if o.Order != "" {
					v.Running++
				}
			}
		}
		if len(rows) < 500 {
			return v, nil
		}
		after = rows[len(rows)-1].Device.ID
	}
}

// confirmation is "{unix seconds}.{mac}", of one venue and one member of staff.
func (a *API) confirmation(venue, staff string, expires time.Time) string {
	mac := hmac.New(sha256.New, a.StopKey)
	fmt.Fprintf(mac, "stop\x00%s\x00%s\x00%d", venue, staff, expires.Unix())
	return fmt.Sprintf("%d.%s", expires.Unix(), base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]))
}

func (a *API) confirmed(text, venue, staff string, now time.Time) bool {
	at, _, _ := strings.Cut(text, ".")
	unix, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.After(time.Unix(unix, 0)) {
		return false
	}
	return hmac.Equal([]byte(text), []byte(a.confirmation(venue, staff, time.Unix(unix, 0))))
}
