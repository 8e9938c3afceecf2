package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

// operatorRoutes registers all that staff may ask.
func (a *API) operatorRoutes(h huma.API) {
	a.venueRoutes(h)
	a.stopRoutes(h)
	a.deviceRoutes(h)
	a.codeRoutes(h)
	a.bindRoutes(h)
	a.tariffRoutes(h)
	a.priceRoutes(h)
	a.replayRoutes(h)
	a.closeRoutes(h)
	a.taxRoutes(h)
	a.operatorOrderRoutes(h)
	a.moneyRoutes(h)
	a.operatorPaymentRoutes(h)
	a.riderRowRoutes(h)
	a.operatorPassRoutes(h)
	a.itemRoutes(h)
	a.operatorFaultRoutes(h)
	a.statisticsRoutes(h)
	a.staffRoutes(h)
	register(a, h, forStaff("list-audit", http.MethodGet, "/v1/operator/audit", "Privileged acts, newest first"), a.listAudit)
}

// audit is the row of a privileged act by the member who asks. What order.Service
// carries out gets its ID, Object, Before, After and At anew, in its transaction.
func audit(ctx context.Context, act, object, reason string, after any) order.Audit {
	now := time.Now()
	r := order.Audit{ID: newID(now), Staff: staffOf(ctx).ID, Act: act, Object: object, Reason: reason, At: now}
	if after != nil {
		r.After, _ = json.Marshal(after) // of plain values: cannot fail
	}
	return r
}

// ReasonBody is why something is done.
type ReasonBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S" doc:"Kept in the audit"`
}

// OptionalReasonBody is why something is done, where a reason is not demanded.
type OptionalReasonBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Kept in the audit"`
}

// reasonOf reads a body that may be absent.
func reasonOf(b *OptionalReasonBody) string {
	if b == nil {
		return ""
	}
	return b.Reason
}

// AuditPage is one page of privileged acts.
type AuditPage struct {
	Acts       []AuditRow `json:"acts"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

// AuditRow is one privileged act.
type AuditRow struct {
	ID     string          `json:"id"`
	Staff  string          `json:"staff"`
	Act    string          `json:"act"`
	Object string          `json:"object"`
	Reason string          `json:"reason"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	At     time.Time       `json:"at"`
}

type listAuditInput struct{ PageQuery }

type listAuditOutput struct{ Body AuditPage }

func (a *API) listAudit(ctx context.Context, in *listAuditInput) (*listAuditOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.AuditPage(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.Audit) string { return r.ID })
	return &listAuditOutput{AuditPage{NextCursor: next, Acts: each(rows, func(r order.Audit) AuditRow {
		return AuditRow{ID: r.ID, Staff: r.Staff, Act: r.Act, Object: r.Object, Reason: r.Reason, Before: r.Before,
			After: r.After, At: r.At}
	})}}, nil
}
