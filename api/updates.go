package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/order"
)

const (
	// streamBeat is how often a quiet stream shows that it lives, so that proxies
	// keep it and the phone notices a dead one.
	streamBeat = 15 * time.Second
	// streamPatience bounds one write to a phone that does not read.
	streamPatience = 10 * time.Second
)

func (a *API) updateRoutes(h huma.API) {
	op := answersOf(forRiders("follow-order", http.MethodGet, "/v1/orders/{id}/updates", "Follow an order, server-sent"),
		http.StatusOK, "text/event-stream", &huma.Schema{Type: huma.TypeString})
	op.Description = "Each event is named order, has the entity tag as its id and the order as its data. The stream" +
		" ends when the order is settled or voided, or when this server shuts down: then connect again."
	register(a, h, op, a.followOrder)
}

type followOrderInput struct {
	ID          string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	LastEventID string `header:"Last-Event-ID" maxLength:"100" doc:"The newest id that the client has; that state is not sent again"`
}

func (a *API) followOrder(ctx context.Context, in *followOrderInput) (*huma.StreamResponse, error) {
	rider := riderOf(ctx).rider
	f, err := a.follow(rider, in.ID)
	if err != nil {
		return nil, err
	}
	o, err := a.mine(ctx, rider, in.ID)
	if err != nil {
		f.close()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer f.close()
		r, w := humago.Unwrap(hctx)
		s := stream{w: w, control: http.NewResponseController(w)}
		if err := a.stream(r.Context(), &s, f, o, in.LastEventID); err != nil && r.Context().Err() == nil {
			a.Log.Warn("stream of an order broke off", "order", in.ID, "err", err)
		}
		s.release()
	}}, nil
}

// stream sends the order's states until it is terminal, the caller hangs up or
// the process drains.
func (a *API) stream(ctx context.Context, s *stream, f *follower, o order.Order, sent string) error {
	s.begin()
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		f.watchLive(o)
		if tag := a.etagOf(o); tag != sent {
			answer, err := a.shown(ctx, o)
			if err != nil {
				return err
			}
			if err := s.order(answer.ETag, *answer.Body); err != nil {
				return err
			}
			sent = answer.ETag
		}
		if o.State == order.Settled || o.State == order.Voided {
			return nil
		}
		switch why, fresh := f.next(ctx, beat.C); why {
		case moved:
			again, err := a.Store.Order(ctx, o.ID)
			if err != nil {
				return err
			}
			o = newer(o, again)
		case seen:
			o = newer(o, fresh)
		case stirred:
		case elapsed:
			if err := s.write(": still here\n\n"); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// stream writes server-sent events, each with a deadline of its own.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) begin() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	s.w.WriteHeader(http.StatusOK)
}

func (s *stream) order(tag string, o Order) error {
	data, err := json.Marshal(o) // one line: JSON escapes line feeds
	if err != nil {
		return fmt.Errorf("write order %s: %w", o.ID, err)
	}
	return s.write(fmt.Sprintf("id: %s\nevent: order\ndata: %s\n\n", tag, data))
}

func (s *stream) write(text string) error {
	// Writers that know no deadline (in tests) are written to all the same.
	_ = s.control.SetWriteDeadline(time.Now().Add(streamPatience))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}

// release takes the deadline off, since the connection may serve another request.
func (s *stream) release() { _ = s.control.SetWriteDeadline(time.Time{}) }
