package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
)

// What staff see of the whole fleet at once, and how it changes.

func (a *API) liveRoutes(h huma.API) {
	op := answersOf(forStaff("get-fleet", http.MethodGet, "/v1/operator/fleet", "Every device at a glance, in columns"),
		http.StatusOK, "application/json", schemaOf[FleetColumns](a))
	op.Description += " The n-th entry of each column is of the n-th device, by id. The changes since then are those of" +
		" /v1/operator/updates after the cursor. Compressed where Accept-Encoding takes gzip."
	register(a, h, op, a.getFleet)
	op = answersOf(forStaff(followFleetID, http.MethodGet, "/v1/operator/updates", "Follow the fleet, server-sent"),
		http.StatusOK, "text/event-stream", &huma.Schema{Type: huma.TypeString})
	op.Description += " Events: device (the whole rows of devices that changed, as objects with the columns' names; kind, venue and firmware" +
		" are words), order, item, alarm, pump (what displays show; unsigned), and resync: get the fleet again, this stream goes on." +
		" Connect again with Last-Event-ID, or after, and nothing is missing or repeated; what this server cannot go on from begins with a resync." +
		" The stream ends when this server shuts down or the login does."
	op.Description += " It counts as no use of a login."
	register(a, h, op, a.followFleet)
}

const followFleetID = "follow-fleet"

// FleetColumns is the fleet as columns of one length.
type FleetColumns struct {
	At        time.Time `json:"at"`
	Cursor    string    `json:"cursor" doc:"For /v1/operator/updates"`
	Kinds     []string  `json:"kinds" doc:"What column kind counts in"`
	Venues    []string  `json:"venues" doc:"What column venue counts in"`
	Firmwares []string  `json:"firmwares" doc:"What column firmware counts in"`
	Failing   int       `json:"failures_per_day" doc:"From how many failures on they are a problem"`
	N         int       `json:"n" doc:"How many devices"`
	ID        []string  `json:"id"`
	Kind      []int     `json:"kind"`
	Venue     []int     `json:"venue"`
	Service   []int     `json:"service" doc:"0 in_service, 1 maintenance, 2 out_of_service, 3 retired"`
	State     []int     `json:"state" doc:"0 available, 1 in use, 2 reserved, 3 unresolved, 4 blocked, 5 offline, 6 in maintenance, 7 stopped, 8 never heard, 9 out of service, 10 retired"`
	Battery   []int     `json:"battery" doc:"Percent as last told, unsigned; -1 not known"`
	Lat       []*int    `json:"lat" doc:"Millionths of a degree, WGS-84"`
	Lng       []*int    `json:"lng"`
	Heard     []int64   `json:"heard" doc:"Unix seconds; 0 never"`
	Firmware  []int     `json:"firmware"`
	Outlets   []int     `json:"outlets"`
	Orders    []int     `json:"orders" doc:"Live ones"`
	Problems  []int     `json:"problems" doc:"Bits: 1 offline, 2 unresolved, 4 low battery, 8 evidence behind a gap, 16 unlock failures, 32 clock drift, 64 outside of the venue, 128 open item, 256 stopped, 512 out of service, 1024 behind the signing key, 2048 in maintenance, 4096 its bolt jammed when it was last to open"`
	Failures  []int     `json:"failures" doc:"Unlocks of the venue's day that came to nothing; not those that riders cancelled"`
	Since     []int64   `json:"since" doc:"Unix seconds at which the state began; 0 not known"`
}

var errFleetUnread = errors.New("the fleet cannot be read now; try again in a moment")

type getFleetInput struct {
	Accept string `header:"Accept-Encoding" maxLength:"200"`
}

// bytesOutput is an answer that is there as bytes.
type bytesOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Encoding    string `header:"Content-Encoding" hidden:"true"`
	Vary        string `header:"Vary" hidden:"true"`
	Body        []byte
}

func (a *API) getFleet(ctx context.Context, in *getFleetInput) (*bytesOutput, error) {
	if a.Hub == nil {
		return nil, errFleetUnread
	}
	plain, small, err := a.Hub.Snapshot(ctx, live.ScopeOf(venuesOf(ctx)))
	if err != nil {
		return nil, unread(err)
	}
	out := &bytesOutput{ContentType: "application/json", Vary: "Accept-Encoding", Body: plain}
	if takesGzip(in.Accept) {
		out.Encoding, out.Body = "gzip", small
	}
	return out, nil
}

// unread is errFleetUnread in place of the hub's error.
func unread(err error) error {
	if errors.Is(err, live.ErrUnread) {
		return errFleetUnread
	}
	return err
}

// takesGzip reads an Accept-Encoding.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return !slices.Contains([]string{"q=0", "q=0.0", "q=0.00", "q=0.000"}, strings.ReplaceAll(quality, " ", ""))
		}
	}
	return false
}

type followFleetInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"100" doc:"The newest id that the client has; before after"`
	After       string `query:"after" maxLength:"100" doc:"A cursor of /v1/operator/fleet; without either the stream begins now"`
}

func (a *API) followFleet(ctx context.Context, in *followFleetInput) (*huma.StreamResponse, error) {
	if a.Hub == nil {
		return nil, errFleetUnread
	}
	staff := staffOf(ctx)
	after := in.LastEventID
	if after == "" {
		after = in.After
	}
	f, err := a.Hub.Follow(ctx, after, live.ScopeOf(staff.Venues))
	if err != nil {
		return nil, unread(err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer f.Close()
		r, w := humago.Unwrap(hctx)
		s := stream{w: w, control: http.NewResponseController(w)}
		if err := a.streamFleet(r, &s, f, staff); err != nil && r.Context().Err() == nil {
			a.Log.Info("stream of the fleet broke off", "err", err)
		}
		s.release()
	}}, nil
}

// streamFleet sends events until the caller hangs up, the process drains or the login
// ends.
func (a *API) streamFleet(r *http.Request, s *stream, f *live.Follower, staff order.Staff) error {
	ctx, cancel := context.WithCancel(r.Context())
	var drained sync.WaitGroup
	defer drained.Wait()
	defer cancel()
	drained.Go(func() { // the drain ends Next
		select {
		case <-a.waits.draining:
			cancel()
		case <-ctx.Done():
		}
	})
	s.begin()
	// At once, so that the browser knows that it is connected.
	if err := s.write(": here\n\n"); err != nil {
		return err
	}
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	checked := time.Now()
	var b strings.Builder
	for {
		events, more := f.Next(ctx, beat.C)
		if !more {
			return nil
		}
		if time.Since(checked) >= streamBeat {
			if !a.mayFollow(r, staff) {
				return nil
			}
			checked = time.Now()
		}
		b.Reset()
		for _, e := range events {
			b.WriteString("id: " + e.ID + "\n")
			if e.Name == "" { // no data: it moves the id alone
				b.WriteString(": still here\n\n")
				continue
			}
			b.WriteString("event: " + e.Name + "\ndata: ")
			b.Write(e.Data)
			b.WriteString("\n\n")
		}
		if err := s.write(b.String()); err != nil {
			return err
		}
	}
}

// mayFollow tells whether the stream's member still may see what they see. Looking is no
// use of their login: an open page must not keep it from going idle.
func (a *API) mayFollow(r *http.Request, was order.Staff) bool {
	now, err := a.authenticateStaff(r, false)
	if err != nil { // a database that is away ends no stream
		return !errors.Is(err, errUnauthenticated)
	}
	return now.ID == was.ID && allows(now.Role, leastRole[followFleetID]) && (now.Venues == nil) == (was.Venues == nil) &&
		slices.Equal(now.Venues, was.Venues)
}
