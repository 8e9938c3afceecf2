package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

// operatorRoutes registers all that staff may ask.
func (a *API) operatorRoutes(h huma.API) {
	a.venueRoutes(h)
	a.stopRoutes(h)
	a.deviceRoutes(h)
	a.liveRoutes(h)
	a.searchRoutes(h)
	a.devicePageRoutes(h)
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
	a.alarmRoutes(h)
	a.preferenceRoutes(h)
	a.webhookRoutes(h)
	a.refundRequestRoutes(h)
	a.suspectRoutes(h)
	a.bulkRoutes(h)
	a.signInRoutes(h)
	a.passkeyRoutes(h)
	a.auditRoutes(h)
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
