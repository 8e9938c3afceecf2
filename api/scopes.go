package api

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/unlatch/unlatch/order"
)

// thing is what an operation names that belongs to a venue.
type thing struct {
	name    string // as Scopes knows it
	unknown error  // what is answered where there is none, and where it is another venue's
}

var (
	theVenue  = thing{"venue", errVenueUnknown}
	theDevice = thing{"device", errDeviceUnknown}
	theOrder  = thing{"order", order.ErrNotFound}
	theCode   = thing{"code", errCodeUnknown}
	theBatch  = thing{"code_batch", errBatchUnknown}
	theItem   = thing{"item", errItemUnknown}
	theFault  = thing{"item", errFaultUnknown}
	theTariff = thing{"tariff", order.ErrExists} // only ever made
	theAlarm  = thing{"alarm", errAlarmUnknown}
	theRefund = thing{"refund", errRefundUnknown}
	thePass   = thing{"pass", order.ErrExists}
)

// scope says how an operation keeps to the venues of a member who has not all of them.
type scope struct {
	how scopeHow
	of  []selector
}

type scopeHow int

const (
	scopeNone   scopeHow = iota // no line: refused to who has not all venues
	scopeOpen                   // nobody is known yet
	scopeOwn                    // it is about the person who asks
	scopeWhole                  // it is about the whole installation: refused to who has not all venues
	scopeListed                 // the handler asks for rows of venuesOf(ctx) alone
	scopeNamed                  // what the request names must belong to an own venue
	scopeFree                   // it holds nothing of any venue
)

// String is the word of the OpenAPI document: x-venues.
func (h scopeHow) String() string {
	return [...]string{"", "open", "own", "whole", "listed", "named", "free"}[h]
}

// selector finds an id in a parsed request: "path.id", "query.venue", "body.device", or
// "body.devices.venue" for a field of each of a list's elements.
type selector struct {
	where string
	what  thing
	made  bool // it may be unknown: the request makes it
	maybe bool // it may be absent
}

func open() scope   { return scope{how: scopeOpen} }
func own() scope    { return scope{how: scopeOwn} }
func whole() scope  { return scope{how: scopeWhole} }
func listed() scope { return scope{how: scopeListed} }
func free() scope   { return scope{how: scopeFree} }

// at begins a line of what a request names; and, made and maybe go on.
func at(where string, what thing) scope { return scope{how: scopeNamed}.and(where, what) }

func (s scope) and(where string, what thing) scope {
	return s.with(selector{where: where, what: what})
}
func (s scope) made(where string, what thing) scope {
	return s.with(selector{where: where, what: what, made: true})
}
func (s scope) maybe(where string, what thing) scope {
	return s.with(selector{where: where, what: what, maybe: true})
}

func (s scope) with(more selector) scope {
	s.of = append(s.of[:len(s.of):len(s.of)], more)
	return s
}

// scopes has a line for every operator's operation; what is missing is refused to who
// has not all venues, and fails a test.
var scopes = map[string]scope{
	"first-run":            open(),
	"add-login":            open(),
	"begin-passkey-login":  open(),
	"add-passkey-login":    open(),
	"get-staff-me":         own(),
	"change-password":      own(),
	"end-login":            own(),
	"list-logins":          own(), // of others: an admin of all venues
	"revoke-login":         own(),
	"begin-passkey":        own(),
	"add-passkey":          own(),
	"list-passkeys":        own(), // of others: an admin of all venues
	"revoke-passkey":       own(),
	"list-venues":          listed(),
	"get-venue":            at("path.id", theVenue),
	"put-venue":            at("path.id", theVenue),
	"list-commands":        at("path.id", theDevice),
	"list-evidence":        at("path.id", theDevice),
	"list-notes":           at("path.id", theDevice),
	"add-note":             at("path.id", theDevice),
	"diagnose-device":      at("path.id", theDevice),
	"devices-csv":          listed(),
	"orders-csv":           listed(),
	"open-items-csv":       listed(),
	"search":               listed(),
	"get-fleet":            listed(),
	"follow-fleet":         listed(),
	"list-devices":         listed(),
	"get-device":           at("path.id", theDevice),
	"provision-devices":    at("body.devices.venue", theVenue).made("body.devices.id", theDevice),
	"set-service":          at("path.id", theDevice),
	"transfer-device":      at("path.id", theDevice).and("body.venue", theVenue),
	"place-device":         at("path.id", theDevice),
	"list-positions":       at("path.id", theDevice),
	"command-device":       at("path.id", theDevice),
	"list-codes":           at("query.device", theDevice),
	"get-code":             at("path.number", theCode),
	"mint-code":            at("body.device", theDevice),
	"bind-code":            at("path.number", theCode).maybe("body.device", theDevice).maybe("body.device_code", theCode),
	"swap-codes":           at("body.a", theCode).and("body.b", theCode),
	"revoke-code":          at("path.number", theCode),
	"remint-code":          at("path.number", theCode),
	"code-symbol-svg":      at("path.number", theCode),
	"code-symbol-png":      at("path.number", theCode),
	"code-label-pdf":       at("path.number", theCode),
	"code-label-zpl":       at("path.number", theCode),
	"list-sheets":          free(),
	"sheet-ruler":          free(),
	"add-code-batch":       at("body.venue", theVenue),
	"list-code-batches":    listed(),
	"get-code-batch":       at("path.id", theBatch),
	"list-batch-codes":     at("path.id", theBatch),
	"batch-sheet-pdf":      at("path.id", theBatch),
	"batch-labels-zpl":     at("path.id", theBatch),
	"batch-labels-zip":     at("path.id", theBatch),
	"batch-codes-csv":      at("path.id", theBatch),
	"list-tariffs":         listed(),
	"add-tariff":           at("body.venue", theVenue).made("body.id", theTariff),
	"replay-tariff":        at("body.venue", theVenue),
	"list-prices":          at("path.id", theVenue),
	"add-close":            at("path.id", theVenue),
	"list-closes":          at("path.id", theVenue),
	"get-close":            at("path.id", theVenue),
	"preview-close":        at("path.id", theVenue),
	"tax-data":             at("path.id", theVenue),
	"list-orders":          listed(),
	"get-operator-order":   at("path.id", theOrder),
	"service-unlock":       at("body.device", theDevice),
	"end-order-by-staff":   at("path.id", theOrder),
	"void-order":           at("path.id", theOrder),
	"decide-order":         at("path.id", theOrder),
	"stop-device":          at("path.id", theDevice),
	"stop-venue":           at("path.id", theVenue),
	"interlock-venue":      at("path.id", theVenue),
	"refund":               at("body.order", theOrder),
	"list-payments":        whole(),
	"retry-payment":        whole(),
	"give-up-payment":      whole(),
	"list-debts":           whole(),
	"list-bill-days":       whole(),
	"list-riders":          whole(), // riders belong to no venue
	"get-rider":            whole(),
	"get-rider-wallet":     whole(),
	"top-up":               whole(),
	"find-riders":          whole(),
	"block-rider":          whole(),
	"list-passes":          listed(),
	"add-pass":             at("body.venue", theVenue).made("body.id", thePass),
	"list-rider-passes":    whole(),
	"grant-pass":           whole(),
	"revoke-pass":          whole(),
	"group-rider":          whole(),
	"export-rider":         whole(),
	"erase-rider":          whole(),
	"list-open-items":      listed(),
	"close-open-item":      at("path.id", theItem),
	"statistics":           at("query.venue", theVenue),
	"list-faults":          listed(),
	"fault-photo":          at("path.id", theFault),
	"list-audit":           whole(),
	"audit-csv":            whole(),
	"list-staff":           whole(),
	"list-staff-names":     free(), // names alone: they stand beside acts at any venue
	"add-staff":            whole(),
	"change-staff":         whole(),
	"invite-staff":         whole(),
	"list-alarms":          listed(),
	"acknowledge-alarm":    at("path.id", theAlarm),
	"snooze-alarm":         at("path.id", theAlarm),
	"clear-alarm":          at("path.id", theAlarm),
	"assign-open-item":     at("path.id", theItem),
	"get-settings":         free(),
	"put-settings":         whole(),
	"get-venue-map":        at("path.id", theVenue),
	"put-venue-map":        at("path.id", theVenue),
	"get-venue-image":      at("path.id", theVenue),
	"add-venue-image":      at("path.id", theVenue),
	"list-suspect-codes":   listed(),
	"list-refund-requests": listed(),
	"approve-refund":       at("path.id", theRefund),
	"decline-refund":       at("path.id", theRefund),
	"list-webhooks":        whole(),
	"add-webhook":          whole(),
	"put-webhook":          whole(),
	"remove-webhook":       whole(),
	"rotate-webhook":       whole(),
	"test-webhook":         whole(),
	"list-deliveries":      whole(),
	"replay-delivery":      whole(),
	"list-bulks":           whole(),
	"add-bulk":             whole(),
	"get-bulk":             whole(),
	"halt-bulk":            whole(),
	"bulk-results-csv":     whole(),
	"list-keys":            whole(),
	"add-key":              whole(),
	"revoke-key":           whole(),
}

// Scopes says what belongs where.
type Scopes interface {
	// VenuesOf returns the venues of a device, order, code, code_batch, item, tariff or
	// pass; "" among them is no venue. order.ErrNotFound.
	VenuesOf(ctx context.Context, thing, id string) ([]string, error)
}

// venuesOf is what the member who asks may see: venues by id, nil for all of them.
// Whatever reads rows for staff hands it on to the query.
func venuesOf(ctx context.Context) []string { return staffOf(ctx).Venues }

// venuesAsked is venuesOf, bounded further by a filter of the request; "" bounds nothing.
func venuesAsked(ctx context.Context, venue string) []string {
	switch {
	case venue == "":
		return venuesOf(ctx)
	case keeps(ctx, venue):
		return []string{venue}
	}
	return []string{}
}

// keeps tells whether the member who asks sees what belongs to the venue.
func keeps(ctx context.Context, venue string) bool { return staffOf(ctx).Within(venue) }

// within refuses what is not of the asking member's venues, by the operation's line.
// What belongs elsewhere is answered like what does not exist.
func (a *API) within(ctx context.Context, operation string, in any) error {
	s := staffOf(ctx)
	if s.ID == "" || s.Venues == nil { // riders, who have no scope, and members of all venues
		return nil
	}
	line := scopes[operation]
	switch line.how {
	case scopeOpen, scopeOwn, scopeListed, scopeFree:
		return nil
	case scopeNamed:
	default:
		return errVenueScope
	}
	for _, sel := range line.of {
		ids, found := selected(reflect.ValueOf(in), strings.Split(sel.where, "."))
		if !found {
			return fmt.Errorf("%s has no %s: %w", operation, sel.where, errVenueScope)
		}
		for _, id := range ids {
			if id == "" && sel.maybe {
				continue
			}
			if id == "" {
				return errVenueScope // of all venues, unless one is named
			}
			if err := a.belongs(ctx, s, sel, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *API) belongs(ctx context.Context, s order.Staff, sel selector, id string) error {
	var venues []string
	var err error
	switch sel.what.name {
	case theVenue.name:
		venues = []string{id}
	case theCode.name:
		number, err := a.numbered(id)
		if err != nil {
			return err // as the operation itself answers: it needs no database for that
		}
		id = string(number)
		fallthrough
	default:
		venues, err = a.Store.VenuesOf(ctx, sel.what.name, id)
	}
	if errors.Is(err, order.ErrNotFound) && sel.made {
		return nil
	}
	if err != nil {
		return instead(err, sel.what.unknown)
	}
	for _, v := range venues {
		if !s.Within(v) {
			return sel.what.unknown
		}
	}
	return nil
}

// misplaced tells what a line of scopes names that the operation's request has not.
func misplaced(operation string, request reflect.Type) error {
	for _, sel := range scopes[operation].of {
		if !hasPlace(request, strings.Split(sel.where, ".")) {
			return fmt.Errorf("scopes: %s has no text at %s", operation, sel.where)
		}
	}
	return nil
}

func hasPlace(t reflect.Type, path []string) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if len(path) == 0 || t.Kind() != reflect.Struct {
		return len(path) == 0 && t.Kind() == reflect.String
	}
	f, rest, found := place(t, path)
	return found && hasPlace(f.Type, rest)
}

// place finds the field that the first steps of a path lead to.
func place(t reflect.Type, path []string) (f reflect.StructField, rest []string, found bool) {
	if path[0] == "body" {
		f, found = t.FieldByName("Body")
		return f, path[1:], found
	}
	tag := "json"
	if len(path) == 2 && (path[0] == "path" || path[0] == "query") {
		tag, path = path[0], path[1:]
	}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); name == path[0] && !f.Anonymous {
			return f, path[1:], true
		}
	}
	return f, nil, false
}

// selected reads the strings at a place of a parsed request; found is false where the
// request has no such place.
func selected(v reflect.Value, path []string) (ids []string, found bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, true
		}
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Slice:
		found = true
		for i := range v.Len() {
			more, ok := selected(v.Index(i), path)
			ids, found = append(ids, more...), found && ok
		}
		return ids, found
	case len(path) == 0:
		return []string{v.String()}, v.Kind() == reflect.String
	case v.Kind() != reflect.Struct:
		return nil, false
	}
	f, rest, found := place(v.Type(), path)
	if !found {
		return nil, false
	}
	return selected(v.FieldByIndex(f.Index), rest)
}
