package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

const (
	// photosADay is how many reports a rider may send a photo with in 24 hours.
	photosADay = 20
	// photosWaiting is how many photos may wait for the one that is being unfolded.
	photosWaiting = 4
)

// photoLimit is how often a rider may try, whatever comes of it.
var photoLimit = Limit{PerSecond: 0.1, Burst: 5}

func (a *API) faultRoutes(h huma.API) {
	op := forRiders("report-fault", http.MethodPost, "/v1/faults", "Report that something is wrong with a device")
	op.Description = "Reporting the same fault of the same device again answers the report that is open already."
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.reportFault)
	op = forRiders("add-fault-photo", http.MethodPost, "/v1/faults/{id}/photo", "Send a photo with my report")
	op.Description = "A JPEG or PNG of at most 5 MiB as the file field photo. It is kept as a JPEG of at most 1600 pixels, upright," +
		" without the place, time and camera that phones write into photos. Another one takes its place."
	op.MaxBodyBytes = photoMost + 64<<10 // what the form is wrapped in
	op.BodyReadTimeout = time.Minute     // a phone at the edge of coverage
	op.DefaultStatus = http.StatusNoContent
	op.SkipValidateBody = true // which would read it as JSON
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"photo"}, Properties: map[string]*huma.Schema{"photo": {Type: huma.TypeString, Format: "binary"}}}}}}
	register(a, h, op, a.addFaultPhoto)
	photo := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(a, h, answersOf(forRiders("get-my-fault-photo", http.MethodGet, "/v1/faults/{id}/photo", "The photo of my report"),
		http.StatusOK, "image/jpeg", photo), a.myFaultPhoto)
}

func (a *API) operatorFaultRoutes(h huma.API) {
	register(a, h, forStaff("list-faults", http.MethodGet, "/v1/operator/faults",
		"What riders reported, oldest first; with all, what is dealt with too, newest first"), a.listFaults)
	register(a, h, answersOf(forStaff("fault-photo", http.MethodGet, "/v1/operator/faults/{id}/photo", "The photo of a report"),
		http.StatusOK, "image/jpeg", &huma.Schema{Type: huma.TypeString, Format: "binary"}), a.faultPhoto)
}

// FaultBody is a fault's report: exactly one of url and number.
type FaultBody struct {
	URL    string `json:"url,omitempty" maxLength:"512"`
	Number string `json:"number,omitempty" maxLength:"64"`
	Kind   string `json:"kind" enum:"wont_open,wont_close,damaged,misplaced,code_unreadable,other"`
	Text   string `json:"text,omitempty" maxLength:"500"`
}

// FaultRef names a report.
type FaultRef struct {
	ID string `json:"id"`
}

type faultInput struct{ Body FaultBody }

type faultOutput struct{ Body FaultRef }

func (a *API) reportFault(ctx context.Context, in *faultInput) (*faultOutput, error) {
	scanned, err := a.presented(in.Body.URL, in.Body.Number)
	if err != nil {
		return nil, err
	}
	code, err := a.resolved(ctx, scanned.Number)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	item := order.Item{ID: newID(now), Kind: order.ItemFault, Device: code.Device, At: now,
		Subject: fmt.Sprintf("%s/%d/%s/%s", code.Device, code.Outlet, in.Body.Kind, riderOf(ctx).rider),
		Detail:  in.Body.Kind}
	if in.Body.Text != "" {
		item.Detail += ": " + in.Body.Text
	}
	rows, err := a.Store.Devices(ctx, code.Device, "", "", 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 1 {
		item.Venue = rows[0].Device.Venue
	}
	id, err := a.Store.ReportFault(ctx, item)
	if err != nil {
		return nil, err
	}
	return &faultOutput{FaultRef{id}}, nil
}

type faultPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type faultPhotoInput struct {
	ID          string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"multipart/form-data"`
}

// addFaultPhoto makes nothing of what it would not keep: a photo takes a second of a core,
// and whoever may send them could take all.
func (a *API) addFaultPhoto(ctx context.Context, in *faultPhotoInput) (*struct{}, error) {
	rider, now := riderOf(ctx).rider, time.Now()
	if err := a.photos.take(rider, now); err != nil {
		return nil, err
	}
	since := now.Add(-24 * time.Hour)
	if err := a.Store.TakesPhoto(ctx, rider, in.ID, since, photosADay); err != nil {
		return nil, instead(err, errFaultUnknown)
	}
	file, err := photoFrom(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	// One is unfolded at a time, and few wait with their files.
	if a.uploads.Add(1) > photosWaiting {
		a.uploads.Add(-1)
		return nil, order.ErrBusy
	}
	defer a.uploads.Add(-1)
	select {
	case a.unfolding <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	photo, err := plainPhoto(file)
	<-a.unfolding
	if err != nil {
		return nil, err
	}
	return nil, instead(a.Store.KeepPhoto(ctx, rider, in.ID, photo, since, photosADay), errFaultUnknown)
}

func (a *API) myFaultPhoto(ctx context.Context, in *faultPath) (*rawAnswer, error) {
	photo, err := a.Store.Photo(ctx, in.ID, riderOf(ctx).rider)
	return &rawAnswer{Status: http.StatusOK, ContentType: "image/jpeg", Body: photo}, instead(err, errFaultUnknown)
}

func (a *API) faultPhoto(ctx context.Context, in *faultPath) (*rawAnswer, error) {
	photo, err := a.Store.Photo(ctx, in.ID, "")
	return &rawAnswer{Status: http.StatusOK, ContentType: "image/jpeg", Body: photo}, instead(err, errFaultUnknown)
}

// Fault is what a rider reported, as staff see it. Closing it is closing the open item of
// its id.
type Fault struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind" enum:"wont_open,wont_close,damaged,misplaced,code_unreadable,other"`
	Text     string     `json:"text,omitempty"`
	Device   string     `json:"device"`
	Outlet   int        `json:"outlet"`
	Venue    string     `json:"venue,omitempty"`
	Rider    string     `json:"rider"`
	Photo    bool       `json:"photo" doc:"GET /v1/operator/faults/{id}/photo has it"`
	At       time.Time  `json:"at"`
	Age      int64      `json:"age_s" doc:"Whole seconds since at, when this was answered"`
	ClosedAt *time.Time `json:"closed_at,omitempty"`
	ClosedBy string     `json:"closed_by,omitempty"`
}

// FaultList is reports.
type FaultList struct {
	Faults []Fault `json:"faults"`
}

type listFaultsInput struct {
	All   bool   `query:"all"`
	Venue string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type listFaultsOutput struct{ Body FaultList }

func (a *API) listFaults(ctx context.Context, in *listFaultsInput) (*listFaultsOutput, error) {
	rows, err := a.Store.Faults(ctx, in.All, venuesAsked(ctx, in.Venue), in.Limit)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &listFaultsOutput{FaultList{each(rows, func(f order.FaultRow) Fault {
		kind, text, _ := strings.Cut(f.Detail, ": ")
		v := Fault{ID: f.ID, Kind: kind, Text: text, Device: string(f.Device), Outlet: 1, Venue: f.Venue, Photo: f.Photo, At: f.At,
			Age: max(int64(now.Sub(f.At)/time.Second), 0), ClosedAt: f.ClosedAt, ClosedBy: f.ClosedBy}
		if parts := strings.Split(f.Subject, "/"); len(parts) == 4 {
			v.Rider = parts[3]
			if n, err := strconv.Atoi(parts[1]); err == nil {
				v.Outlet = n
			}
		}
		return v
	})}}, nil
}
