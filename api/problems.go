package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// What a Login may answer.
var (
	ErrLoginCode    = errors.New("the login code is unknown, used or too old; ask for a new one")
	ErrLoginBusy    = errors.New("the login provider does not answer; try again")
	ErrLoginRefused = errors.New("the login provider refuses this person")
)

// What the API itself refuses.
var (
	errUnauthenticated    = errors.New("a valid token or key is needed in the Authorization header")
	errRole               = errors.New("the key's role does not allow this")
	errBadRequest         = errors.New("the request does not have the shape that this operation takes")
	errBodyTooLarge       = errors.New("the body is larger than this address takes")
	errMediaType          = errors.New("the body is of another media type than this address takes; see /openapi.json")
	errNotAcceptable      = errors.New("answers are application/json only")
	errSlowBody           = errors.New("the body did not arrive in time")
	errRoute              = errors.New("there is no such address here")
	errMethod             = errors.New("this address does not take this method; see the Allow header")
	errCursor             = errors.New("the cursor was not given out by this list")
	errKeyMissing         = errors.New("this operation needs an Idempotency-Key header of 1 to 255 visible characters")
	errTooFar             = errors.New("the device is too far away; go nearer")
	errTooMany            = errors.New("too many requests; wait as Retry-After says")
	errTooManyWaits       = errors.New("too many open waits and streams of one rider")
	errFirstRun           = errors.New("the link is unknown, used or too old, or the installation is set up already")
	errCodeUnknown        = errors.New("the code names nothing here")
	errDeviceUnknown      = errors.New("there is no such device or outlet")
	errVenueUnknown       = errors.New("there is no such venue")
	errRiderUnknown       = errors.New("there is no such rider")
	errItemUnknown        = errors.New("there is no such open item")
	errFaultUnknown       = errors.New("there is no such report, or it is dealt with, or it has no photo")
	errPaymentUnknown     = errors.New("there is no such payment")
	errReservationUnknown = errors.New("there is no such reservation")
	errAPIKeyUnknown      = errors.New("there is no such API key")
	errPhoneOff           = errors.New("this installation does not ask for phone numbers")
	errAlarmUnknown       = errors.New("there is no such alarm")
	errWebhookUnknown     = errors.New("there is no such webhook, or it is switched off")
	errDeliveryUnknown    = errors.New("there is no such delivery")
	errRefundUnknown      = errors.New("there is no such refund request")
	errRefundWaits        = errors.New("another refund of this order waits for a second person or for its money; decide that one first")
	errBulkUnknown        = errors.New("there is no such bulk")
	errBulkSet            = errors.New("the filter finds other devices than the preview did; look at the preview again")
	errVenueImageUnknown  = errors.New("there is no image of this venue")
	errSettingsChanged    = errors.New("somebody else has set them since they were read; read them again")
	errConfirm            = errors.New("ask for the stop again and confirm within 30 seconds")
	errInternal           = errors.New("something went wrong on our side; it is in our log")
)

// problemRow is one line of the table.
type problemRow struct {
	Status int
	Code   string // stable: clients branch on it
	Title  string // the same for every occurrence
	Errs   []error
	Retry  time.Duration // Retry-After; 0 = none
	Tell   bool          // the detail is the whole error text, which names a value that staff entered
}

// problems is the one table from errors to answers. The first row of which the
// error is one wins, so that what is more precise comes first: a handler that
// knows which thing is missing wraps order.ErrNotFound in it.
var problems = []problemRow{
	{Status: 400, Code: "bad_request", Title: "Bad request", Errs: []error{errBadRequest}},
	{Status: 400, Code: "cursor_invalid", Title: "Cursor is invalid", Errs: []error{errCursor}},
	{Status: 400, Code: "idempotency_key_missing", Title: "Idempotency-Key is missing", Errs: []error{errKeyMissing}},
	{Status: 401, Code: "unauthenticated", Title: "Not logged in", Errs: []error{errUnauthenticated}},
	{Status: 401, Code: "notice_forged", Title: "Not WeChat's word", Errs: []error{ErrNoticeForged}},
	{Status: 400, Code: "notice_strange", Title: "Notification cannot be understood", Errs: []error{ErrNoticeStrange}},
	{Status: 401, Code: "login_code_invalid", Title: "Login code is invalid", Errs: []error{ErrLoginCode}},
	{Status: 403, Code: "login_refused", Title: "Login was refused", Errs: []error{ErrLoginRefused}},
	{Status: 503, Code: "login_unavailable", Title: "Login is unavailable", Errs: []error{ErrLoginBusy}, Retry: 3 * time.Second},
	{Status: 403, Code: "role_insufficient", Title: "Role does not allow this", Errs: []error{errRole}},
	{Status: 401, Code: "sign_in_refused", Title: "Sign-in was refused", Errs: []error{errSignIn}},
	{Status: 403, Code: "cross_origin", Title: "Request of another page", Errs: []error{errCrossOrigin}},
	{Status: 403, Code: "venue_scope", Title: "Not within your venues", Errs: []error{errVenueScope}},
	{Status: 403, Code: "login_needed", Title: "Sign-in is needed", Errs: []error{errLoginNeeded}},
	{Status: 403, Code: "proof_needed", Title: "Password or a new sign-in is needed", Errs: []error{errProofNeeded}},
	{Status: 503, Code: "fleet_unread", Title: "Fleet cannot be read now", Errs: []error{errFleetUnread}, Retry: 2 * time.Second},
	{Status: 404, Code: "route_unknown", Title: "No such address", Errs: []error{errRoute}},
	{Status: 405, Code: "method_not_allowed", Title: "Method not allowed", Errs: []error{errMethod}},
	{Status: 406, Code: "not_acceptable", Title: "Not acceptable", Errs: []error{errNotAcceptable}},
	{Status: 408, Code: "body_too_slow", Title: "Body too slow", Errs: []error{errSlowBody}},
	{Status: 413, Code: "body_too_large", Title: "Body too large", Errs: []error{errBodyTooLarge}},
	{Status: 415, Code: "media_type_unsupported", Title: "Media type is not supported", Errs: []error{errMediaType}},
	{Status: 429, Code: "too_many_requests", Title: "Too many requests", Errs: []error{errTooMany}, Retry: time.Second},
	{Status: 429, Code: "too_many_waits", Title: "Too many waits", Errs: []error{errTooManyWaits}, Retry: 5 * time.Second},

	{Status: 422, Code: "code_mistyped", Title: "Code is mistyped", Errs: []error{qr.ErrMistyped}},
	{Status: 422, Code: "code_forged", Title: "Code is forged", Errs: []error{qr.ErrForged}},
	{Status: 422, Code: "code_foreign", Title: "Code belongs to somebody else", Errs: []error{qr.ErrForeign}},
	{Status: 410, Code: "code_stale", Title: "Code on the screen is too old", Errs: []error{qr.ErrStale}},
	{Status: 422, Code: "not_a_code", Title: "Not a code", Errs: []error{qr.ErrNotACode}},
	{Status: 404, Code: "code_unknown", Title: "Code is unknown", Errs: []error{errCodeUnknown}},
	{Status: 410, Code: "code_revoked", Title: "Code is no longer in use", Errs: []error{order.ErrCodeRevoked}},
	{Status: 409, Code: "code_unbound", Title: "Code is not bound to a device", Errs: []error{order.ErrCodeUnbound}},
	{Status: 409, Code: "code_bound", Title: "Code hangs elsewhere", Errs: []error{order.ErrCodeBound}, Tell: true},
	{Status: 409, Code: "code_of_other_venue", Title: "Code was printed for another venue", Errs: []error{order.ErrCodeVenue}},
	{Status: 404, Code: "code_batch_unknown", Title: "Batch is unknown", Errs: []error{errBatchUnknown}},
	{Status: 422, Code: "code_batch_too_large", Title: "Batch is too large to render here", Errs: []error{errBatchTooLarge}},
	{Status: 422, Code: "label_invalid", Title: "Label cannot be printed so",
		Errs: []error{qr.ErrSheet, qr.ErrFont, qr.ErrPrint, qr.ErrVersions}, Tell: true},
	{Status: 403, Code: "too_far", Title: "Too far away", Errs: []error{errTooFar}},

	{Status: 422, Code: "ticket_invalid", Title: "Ticket is invalid", Errs: []error{order.ErrTicketInvalid}},
	{Status: 410, Code: "ticket_expired", Title: "Ticket has expired", Errs: []error{order.ErrTicketExpired}},
	{Status: 409, Code: "ticket_used", Title: "Ticket was used", Errs: []error{order.ErrTicketUsed}},
	{Status: 403, Code: "ticket_foreign", Title: "Ticket belongs to another rider", Errs: []error{order.ErrTicketForeign}},
	{Status: 409, Code: "ticket_stale", Title: "Ticket is out of date", Errs: []error{order.ErrTicketStale}},
	{Status: 422, Code: "preset_not_taken", Title: "This cannot be chosen here", Errs: []error{billing.ErrPreset}, Tell: true},
	{Status: 403, Code: "spending_cap", Title: "Day's limit for printed codes is reached", Errs: []error{order.ErrSpendingCap}},
	{Status: 403, Code: "kiosk_only", Title: "Start at the kiosk", Errs: []error{order.ErrKioskOnly}},
	{Status: 422, Code: "pay_with_not_offered", Title: "Way to pay is not offered", Errs: []error{order.ErrPayWith}},
	{Status: 422, Code: "idempotency_key_reused", Title: "Idempotency-Key was used for another request", Errs: []error{order.ErrKeyReused}},

	{Status: 409, Code: "outlet_busy", Title: "Outlet is in use", Errs: []error{order.ErrOutletBusy}},
	{Status: 409, Code: "outlet_reserved", Title: "Outlet is kept for somebody else", Errs: []error{order.ErrReserved}},
	{Status: 409, Code: "reservation_held", Title: "A reservation exists", Errs: []error{order.ErrReserving}},
	{Status: 429, Code: "too_many_reservations", Title: "Too many reservations went unused today", Errs: []error{order.ErrReserveMost}, Retry: time.Hour},
	{Status: 409, Code: "reservations_not_offered", Title: "There are no reservations here", Errs: []error{order.ErrNoReservations}},
	{Status: 409, Code: "outlet_open", Title: "Outlet is open", Errs: []error{order.ErrOutletOpen}},
	{Status: 409, Code: "outlet_blocked", Title: "Outlet is blocked", Errs: []error{order.ErrOutletBlocked}},
	{Status: 409, Code: "emergency_stop", Title: "Emergency stop", Errs: []error{order.ErrStopped}},
	{Status: 409, Code: "not_in_service", Title: "Device is not in service", Errs: []error{order.ErrNotInService}},
	{Status: 409, Code: "venue_closed", Title: "Venue is closed", Errs: []error{order.ErrVenueClosed}},
	{Status: 409, Code: "device_offline", Title: "Device cannot be reached", Errs: []error{order.ErrOffline}},
	{Status: 409, Code: "battery_low", Title: "Battery is too low", Errs: []error{order.ErrBatteryLow}},
	{Status: 409, Code: "no_tariff", Title: "No tariff is in force", Errs: []error{order.ErrNoTariff}},

	{Status: 402, Code: "balance_too_low", Title: "Balance is too low", Errs: []error{order.ErrNoMoney, billing.ErrNoMoney}},
	{Status: 429, Code: "too_many_payments", Title: "Too many payments are open", Errs: []error{order.ErrTooManyPayments}, Retry: 5 * time.Second},
	{Status: 409, Code: "balance_cap", Title: "Wallet would hold too much", Errs: []error{order.ErrBalanceCap}},
	{Status: 402, Code: "debt_unpaid", Title: "A debt is unpaid", Errs: []error{order.ErrDebt}},
	{Status: 403, Code: "rider_blocked", Title: "Rider is blocked", Errs: []error{order.ErrRiderBlocked}},
	{Status: 410, Code: "rider_erased", Title: "Rider was erased", Errs: []error{order.ErrRiderErased}},
	{Status: 409, Code: "order_not_over", Title: "An order is not over", Errs: []error{order.ErrEraseLive}},
	{Status: 409, Code: "wallet_not_empty", Title: "There is money in the wallet", Errs: []error{order.ErrEraseMoney}},
	{Status: 409, Code: "payment_open", Title: "A payment is under way", Errs: []error{order.ErrErasePayment}},
	{Status: 409, Code: "too_many_live_orders", Title: "A live order exists", Errs: []error{order.ErrTooManyLive}},
	{Status: 422, Code: "too_many", Title: "Too many for one answer", Errs: []error{order.ErrTooMany}, Tell: true},
	{Status: 404, Code: "pass_unknown", Title: "No such pass", Errs: []error{order.ErrPassUnknown}},
	{Status: 409, Code: "pass_price_changed", Title: "Pass has another price by now", Errs: []error{order.ErrPassPrice}, Tell: true},
	{Status: 409, Code: "too_many_passes", Title: "As many passes as a rider may hold", Errs: []error{order.ErrPassMany}},
	{Status: 409, Code: "still_open", Title: "Lock is not proved closed", Errs: []error{order.ErrStillOpen}},
	{Status: 409, Code: "last_admin_key", Title: "It is the last key of an admin", Errs: []error{order.ErrLastAdmin}},
	{Status: 409, Code: "confirmation_expired", Title: "Confirmation is needed", Errs: []error{errConfirm}},
	{Status: 409, Code: "wrong_state", Title: "State does not allow this", Errs: []error{order.ErrWrongState, device.ErrBadInput}},

	{Status: 422, Code: "reason_missing", Title: "Reason is missing", Errs: []error{order.ErrReason}},
	{Status: 422, Code: "refund_too_large", Title: "Refund is too large", Errs: []error{order.ErrOverRefund, billing.ErrOverRefund}, Tell: true},
	{Status: 422, Code: "amount_invalid", Title: "Amount is invalid", Errs: []error{billing.ErrBadAmount, order.ErrTopUp}},
	{Status: 422, Code: "tariff_invalid", Title: "Tariff is invalid", Errs: []error{billing.ErrBadTariff}, Tell: true},
	{Status: 422, Code: "value_invalid", Title: "Value is invalid",
		Errs: []error{order.ErrInvalid, device.ErrBadID, qr.ErrScale, qr.ErrLabel, qr.ErrUnencodable}, Tell: true},
	{Status: 422, Code: "reference_unknown", Title: "A named thing does not exist", Errs: []error{order.ErrUnknown}, Tell: true},
	{Status: 409, Code: "exists", Title: "It exists already", Errs: []error{order.ErrExists}},
	{Status: 422, Code: "word_refused", Title: "No word of the device", Errs: []error{errWordRefused}},
	{Status: 410, Code: "first_run_link_invalid", Title: "First-run link is invalid", Errs: []error{errFirstRun}},

	{Status: 410, Code: "invite_invalid", Title: "Invite link is invalid", Errs: []error{errInvite}},
	{Status: 422, Code: "password_weak", Title: "Password is too weak", Errs: []error{errPasswordWeak}},
	{Status: 422, Code: "password_wrong", Title: "Password is wrong", Errs: []error{errOldPassword}},
	{Status: 422, Code: "passkey_refused", Title: "Passkey was refused", Errs: []error{errPasskey}},
	{Status: 409, Code: "passkeys_elsewhere", Title: "Passkeys do not work at this address", Errs: []error{errPasskeyPlace}},
	{Status: 404, Code: "login_unknown", Title: "Login is unknown", Errs: []error{errLoginUnknown}},
	{Status: 404, Code: "passkey_unknown", Title: "Passkey is unknown", Errs: []error{errPasskeyUnknown}},
	{Status: 404, Code: "staff_unknown", Title: "Member is unknown", Errs: []error{errStaffUnknown}},

	{Status: 404, Code: "device_unknown", Title: "Device is unknown", Errs: []error{errDeviceUnknown}},
	{Status: 404, Code: "venue_unknown", Title: "Venue is unknown", Errs: []error{errVenueUnknown}},
	{Status: 404, Code: "rider_unknown", Title: "Rider is unknown", Errs: []error{errRiderUnknown}},
	{Status: 404, Code: "reservation_unknown", Title: "Reservation is unknown", Errs: []error{errReservationUnknown}},
	{Status: 404, Code: "payment_unknown", Title: "Payment is unknown", Errs: []error{errPaymentUnknown}},
	{Status: 404, Code: "fault_unknown", Title: "Report is unknown", Errs: []error{errFaultUnknown}},
	{Status: 422, Code: "photo_invalid", Title: "Photo cannot be taken", Errs: []error{errPhoto}, Tell: true},
	{Status: 409, Code: "phone_not_asked", Title: "Phone numbers are not asked for", Errs: []error{errPhoneOff}},
	{Status: 404, Code: "alarm_unknown", Title: "Alarm is unknown", Errs: []error{errAlarmUnknown}},
	{Status: 404, Code: "webhook_unknown", Title: "Webhook is unknown", Errs: []error{errWebhookUnknown}},
	{Status: 404, Code: "delivery_unknown", Title: "Delivery is unknown", Errs: []error{errDeliveryUnknown}},
	{Status: 404, Code: "refund_unknown", Title: "Refund request is unknown", Errs: []error{errRefundUnknown}},
	{Status: 409, Code: "refund_waits", Title: "A refund waits already", Errs: []error{errRefundWaits}},
	{Status: 403, Code: "second_person_needed", Title: "A second person is needed", Errs: []error{order.ErrSecondPerson}},
	{Status: 404, Code: "bulk_unknown", Title: "Bulk is unknown", Errs: []error{errBulkUnknown}},
	{Status: 409, Code: "bulk_set_changed", Title: "The filter finds other devices by now", Errs: []error{errBulkSet}, Tell: true},
	{Status: 404, Code: "venue_image_unknown", Title: "There is no image", Errs: []error{errVenueImageUnknown}},
	{Status: 409, Code: "settings_changed", Title: "Settings were changed by somebody else", Errs: []error{errSettingsChanged}},
	{Status: 404, Code: "open_item_unknown", Title: "Open item is unknown", Errs: []error{errItemUnknown}},
	{Status: 404, Code: "close_unknown", Title: "Close is unknown", Errs: []error{errCloseUnknown}},
	{Status: 404, Code: "api_key_unknown", Title: "API key is unknown", Errs: []error{errAPIKeyUnknown}},
	{Status: 404, Code: "order_unknown", Title: "Order is unknown", Errs: []error{order.ErrNotFound}},

	{Status: 503, Code: "installation_full", Title: "No room for anything new", Errs: []error{order.ErrFull}, Retry: 30 * time.Second},
	{Status: 503, Code: "busy", Title: "Busy", Errs: []error{order.ErrBusy, order.ErrStale, order.ErrUncertain}, Retry: time.Second},
	{Status: 500, Code: "internal", Title: "Internal error", Errs: []error{errInternal}},
}

// ofHuma is what huma's own refusals mean; a status that is missing is internal.
// Its 422 is a body or parameter of the wrong shape, which is our bad_request.
var ofHuma = map[int]error{
	http.StatusBadRequest:            errBadRequest,
	http.StatusUnprocessableEntity:   errBadRequest,
	http.StatusRequestEntityTooLarge: errBodyTooLarge,
	http.StatusUnsupportedMediaType:  errMediaType,
	http.StatusRequestTimeout:        errSlowBody,
	http.StatusNotAcceptable:         errNotAcceptable,
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type   string       `json:"type" doc:"urn:unlatch:problem: followed by the code"`
	Title  string       `json:"title" doc:"The same for every problem of this code"`
	Status int          `json:"status" doc:"The HTTP status"`
	Code   string       `json:"code" doc:"Stable; branch on this"`
	Detail string       `json:"detail" doc:"A sentence for people"`
	Errors []FieldError `json:"errors,omitempty" doc:"What is wrong where, for bad_request"`

	retry time.Duration
}

// FieldError is one thing that is wrong with a request's shape.
type FieldError struct {
	Location string `json:"location,omitempty" doc:"Such as body.url or header.Idempotency-Key"`
	Message  string `json:"message"`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// TransformSchema lists the codes in the OpenAPI document.
func (p *Problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	if code := s.Properties["code"]; code != nil {
		for _, row := range problems {
			code.Enum = append(code.Enum, row.Code)
		}
	}
	return s
}

// rowOf finds the first row of which err is one.
func rowOf(err error) (row problemRow, sentinel error, ok bool) {
	for _, row := range problems {
		for _, sentinel := range row.Errs {
			if errors.Is(err, sentinel) {
				return row, sentinel, true
			}
		}
	}
	return problemRow{}, nil, false
}

func (row problemRow) problem(detail string) *Problem {
	return &Problem{Type: "urn:unlatch:problem:" + row.Code, Title: row.Title, Status: row.Status, Code: row.Code,
		Detail: detail, retry: row.Retry}
}

// problemOf turns an error into its answer; known is false for what the table
// does not have.
func problemOf(err error) (p *Problem, known bool) {
	row, sentinel, known := rowOf(err)
	if !known {
		row, sentinel, _ = rowOf(errInternal)
	}
	detail := sentinel.Error()
	if row.Tell {
		detail = order.Plain(err)
	}
	p = row.problem(detail)
	var late *limited
	if errors.As(err, &late) {
		p.retry = late.after
	}
	return p, known
}

// Explain is the code and the words of an error that no request waits for.
func (a *API) Explain(err error) (code, detail string) {
	p := a.problem(context.Background(), "bulk", err)
	return p.Code, p.Detail
}

// problem is problemOf with the cause of an unknown error in the log. what names
// the operation.
func (a *API) problem(ctx context.Context, what string, err error) *Problem {
	p, known := problemOf(err)
	if !known && ctx.Err() == nil { // of a caller that hung up nothing is to be said
		a.Log.Error("request failed", "operation", what, "err", err)
	}
	return p
}

// refuse writes a problem outside of huma.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, what string, err error) {
	p := a.problem(r.Context(), what, err)
	a.countRefusal(p.Code)
	body, _ := json.Marshal(p) // of plain fields: cannot fail
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// speakProblems makes huma's own refusals problems with a code. huma offers no
// other place for this than a variable of its package, which every API of the
// process shares; it is set once, always to the same function, so that the order
// in which APIs are made does not matter.
var speakProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		sentinel, ok := ofHuma[status]
		if !ok {
			sentinel = errInternal
		}
		p, _ := problemOf(sentinel)
		if sentinel == errInternal {
			return p // what happened may hold what must not be shown
		}
		if len(errs) == 0 && sentinel == errBadRequest {
			p.Errors = []FieldError{{Location: "body", Message: message}}
		}
		for _, err := range errs {
			if err == nil {
				continue
			}
			field := FieldError{Message: err.Error()}
			if d, ok := err.(huma.ErrorDetailer); ok {
				// The value stays out: the caller has it, and logs of proxies should not.
				field = FieldError{Location: d.ErrorDetail().Location, Message: d.ErrorDetail().Message}
			}
			p.Errors = append(p.Errors, field)
		}
		return p
	}
})

// instead says that what was not found is the thing that missing names; any other
// error stays as it is.
func instead(err, missing error) error {
	if errors.Is(err, order.ErrNotFound) {
		return fmt.Errorf("%w: %w", missing, err)
	}
	return err
}
