package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

// Pause is the temporary lock of a ride.
type Pause struct {
	State  string    `json:"state" enum:"asked,paused,resuming" doc:"asked: close the lock before until. paused: it is locked and mine. resuming: another start is on its way"`
	Until  time.Time `json:"until" doc:"asked: by when to close it, later a closing ends the ride; else when the ride ends by itself, billed up to the closing"`
	Reason string    `json:"reason,omitempty" doc:"Why it did not open again when it was last tried, a stable word"`
}

// pauseOf shows an active order's pause, nil where there is none.
func pauseOf(o order.Order) *Pause {
	if o.State != order.Active || o.Pause == nil {
		return nil
	}
	return &Pause{State: string(o.Pause.State), Until: o.Pause.Until, Reason: o.Pause.Reason}
}

// untilPaused names what an active order with a pause waits for, "" where it goes on.
func untilPaused(o order.Order) string {
	switch p := pauseOf(o); {
	case p == nil:
		return ""
	case p.State == string(order.PauseAsked):
		return "close_to_pause"
	case p.State == string(order.PauseResuming):
		return "wait_for_device"
	}
	return "resume_or_end"
}

func (a *API) pauseRoutes(h huma.API) {
	pause := forRiders("pause-order", http.MethodPost, "/v1/orders/{id}/pause", "Lock for a while without ending the ride")
	pause.Description = "Close the lock by hand before pause.until; then it is paused instead of ended. Paused time counts like riding."
	register(a, h, pause, a.pauseOrder)
	resume := forRiders("resume-order", http.MethodPost, "/v1/orders/{id}/resume", "Open a paused ride's lock again, or take a pause back")
	resume.Description = "Publishes another start of the same order; wait for its outcome with GET. While the pause was only asked" +
		" for, takes that back. A late copy of a request with the same key opens nothing."
	register(a, h, answersOf(resume, http.StatusOK, "application/json", schemaOf[Order](a)), a.resumeOrder)
}

func (a *API) pauseOrder(ctx context.Context, in *orderPath) (*orderAnswer, error) {
	return a.act(ctx, in.ID, order.Act{Input: order.PauseIt})
}

type resumeInput struct {
	Keyed
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

// resumeOrder answers the order without its timeline: the bytes are stored with the key.
func (a *API) resumeOrder(ctx context.Context, in *resumeInput) (*rawAnswer, error) {
	rider := riderOf(ctx).rider
	key, err := in.keyFor("rider:" + rider)
	if err != nil {
		return nil, err
	}
	acted, err := a.Orders.Act(ctx, order.Act{Order: in.ID, Rider: rider, Input: order.ResumeIt, Once: &order.Once{Key: key,
		Route: "POST /v1/orders/" + in.ID + "/resume", Hash: sha256.Sum256(nil), Answer: func(o order.Order) (int, []byte, error) {
			body, err := json.Marshal(orderOf(o, nil, byForRiders))
			return http.StatusOK, body, err
		}}})
	if err != nil {
		return nil, err
	}
	return rawJSON(acted.Status, acted.Answer), nil
}
