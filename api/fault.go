package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

// itemFault is the kind of open item that a rider's report makes.
const itemFault = "fault_reported"

func (a *API) faultRoutes(h huma.API) {
	op := forRiders("report-fault", http.MethodPost, "/v1/faults", "Report that something is wrong with a device")
	op.Description = "Reporting the same fault of the same device again changes nothing."
	register(a, h, op, a.reportFault)
}

// FaultBody is a fault's report: exactly one of url and number.
type FaultBody struct {
	URL    string `json:"url,omitempty" maxLength:"512"`
	Number string `json:"number,omitempty" maxLength:"64"`
	Kind   string `json:"kind" enum:"wont_open,wont_close,damaged,misplaced,code_unreadable,other"`
	Text   string `json:"text,omitempty" maxLength:"500"`
}

type faultInput struct{ Body FaultBody }

func (a *API) reportFault(ctx context.Context, in *faultInput) (*struct{}, error) {
	scanned, err := a.presented(in.Body.URL, in.Body.Number)
	if err != nil {
		return nil, err
	}
	code, err := a.resolved(ctx, scanned.Number)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	item := order.Item{ID: newID(now), Kind: itemFault, Device: code.Device, At: now,
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
	return nil, a.Store.OpenItem(ctx, item)
}
