package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// Order is what a rider sees of an order. Amounts are Fen, hundredths of a yuan.
type Order struct {
	ID         string       `json:"id"`
	State      string       `json:"state" enum:"pending,starting,unresolved,active,ended,settled,voided"`
	Kind       Kind         `json:"kind"`
	Device     string       `json:"device"`
	Outlet     int          `json:"outlet"`
	Venue      string       `json:"venue"`
	VenueCard  *VenueCard   `json:"venue_card,omitempty" doc:"Its name and phone number; absent in lists and stored answers"`
	PayWith    string       `json:"pay_with" enum:"wallet,prepay,pay_score,service"`
	Payments   []Payment    `json:"payments,omitempty" doc:"With WeChat, oldest first; absent in lists"`
	Hold       int64        `json:"hold_fen" doc:"Held while the order is live, to be paid or confirmed while it is pending; fuel never costs more"`
	Preset     *Preset      `json:"preset,omitempty"`
	Live       *LiveFigures `json:"live,omitempty" doc:"What the display shows now; not yet proven"`
	Running    *Running     `json:"running,omitempty" doc:"Of an active order that is billed by time, absent in lists"`
	Fuel       *Fuel        `json:"fuel,omitempty" doc:"What flowed, by the pump's signed word"`
	Quote      Quote        `json:"quote" doc:"Until the order has ended: what the least use would cost"`
	Charged    int64        `json:"charged_fen" doc:"Taken of the hold"`
	Debt       int64        `json:"debt_fen" doc:"What the hold did not cover"`
	Refunded   int64        `json:"refunded_fen"`
	Reason     string       `json:"reason,omitempty" doc:"Why it was voided or ended, a stable word"`
	EndedBy    string       `json:"ended_by,omitempty" doc:"Which input ended it"`
	Measured   string       `json:"measured,omitempty" doc:"How it was measured: within_boot, across_boots, shortest, last_proven; of fuel: pump, totaliser"`
	Unproven   bool         `json:"unproven" doc:"Voided, but the device has not said whether it opened"`
	Cancelling bool         `json:"cancelling" doc:"A cancellation waits for the device's word"`
	CreatedAt  time.Time    `json:"created_at"`
	ActiveAt   *time.Time   `json:"active_at,omitempty"`
	EndedAt    *time.Time   `json:"ended_at,omitempty"`
	DoneAt     *time.Time   `json:"done_at,omitempty" doc:"Settled or voided"`
	Timeline   []Step       `json:"timeline,omitempty" doc:"Oldest first; absent in lists"`
	Next       Next         `json:"next"`
	Pause      *Pause       `json:"pause,omitempty" doc:"Of a lock that is closed for a while, or about to be"`
	Relay      *Relay       `json:"relay,omitempty" doc:"What my phone may carry to the device over Bluetooth; absent where it has none, in lists, and some time after the end"`
	Version    int64        `json:"version"`
}

// Running is what an order would cost if it ended now. It is no bill: that goes by what
// the device proves.
type Running struct {
	Seconds int64     `json:"seconds"`
	Fen     int64     `json:"fen"`
	At      time.Time `json:"at"`
}

// Quote is what an order costs.
type Quote struct {
	Total int64       `json:"total_fen"`
	Lines []QuoteLine `json:"lines"`
}

// QuoteLine is one line of a receipt; its words are the client's.
type QuoteLine struct {
	Kind      string   `json:"kind" doc:"unlock, time, reservation, pass, ride_cap, day_cap, fuel, above_limit or staff_decision"`
	Quantity  int64    `json:"quantity"`
	Unit      int64    `json:"unit_fen"`
	UnitPrice int64    `json:"unit_price,omitempty" doc:"Of fuel: milli-yuan per litre; quantity is ml then"`
	Grade     string   `json:"grade,omitempty"`
	Amount    int64    `json:"amount_fen" doc:"quantity x unit_fen, or volume x unit_price half up; of a cap what it takes off"`
	Note      string   `json:"note,omitempty"`
	Tariff    string   `json:"tariff" doc:"id@version"`
	Evidence  []string `json:"evidence" doc:"References of the device's signed words that prove the line"`
}

// Step is one move of an order.
type Step struct {
	At    time.Time `json:"at"`
	State string    `json:"state"`
	From  string    `json:"from,omitempty"`
	Input string    `json:"input"`
	By    string    `json:"by" doc:"The evidence, person or rule behind it"`
}

// Next is what happens by itself, or what is waited for.
type Next struct {
	What  string     `json:"what" enum:"wait_for_payment,wait_for_confirmation,wait_for_relay,wait_for_device,wait_for_cancellation,void_unless_device_answers,ride_until_closed,close_to_pause,resume_or_end,fuel_until_hung_up,use_until_ended,staff_decide,nothing"`
	DueAt *time.Time `json:"due_at,omitempty" doc:"When it happens unless the device speaks before"`
}

// quoteOf shows a quote.
func quoteOf(q billing.Quote) Quote {
	return Quote{Total: int64(q.Total), Lines: each(q.Lines, func(l billing.Line) QuoteLine {
		return QuoteLine{Kind: string(l.Kind), Quantity: l.Quantity, Unit: int64(l.Unit), UnitPrice: l.UnitPrice,
			Grade: l.Grade, Amount: int64(l.Amount), Note: l.Note, Tariff: l.Tariff, Evidence: each(l.Evidence, func(s string) string { return s })}
	})}
}

// orderOf shows an order; moves are nil in lists.
func orderOf(o order.Order, moves []order.Move, by func(string) string) Order {
	v := Order{ID: o.ID, State: string(o.State), Kind: kindOf(o.Kind), Device: string(o.Device), Outlet: int(o.Outlet),
		Venue: o.Venue, PayWith: string(o.PayWith), Hold: int64(o.HoldFen), Quote: quoteOf(o.Quote),
		Charged: int64(o.Charged), Debt: int64(o.Debt), Refunded: int64(o.Refunded), Reason: o.Reason,
		EndedBy: string(o.EndedBy), Unproven: o.Unproven, Cancelling: o.Cancelling && o.State.Live(), CreatedAt: o.CreatedAt,
		ActiveAt: optionalTime(o.ActiveAt), EndedAt: optionalTime(o.EndedAt), DoneAt: optionalTime(o.DoneAt),
		Preset: presetOf(o.Preset), Fuel: fuelOf(o.Usage), Next: nextOf(o), Pause: pauseOf(o), Version: o.Version}
	if o.Usage != nil {
		v.Measured = string(o.Usage.Measured)
	}
	for _, m := range moves {
		v.Timeline = append(v.Timeline, Step{At: m.At, State: string(m.To), From: string(m.From), Input: string(m.Input),
			By: by(m.By)})
	}
	return v
}

// nextOf names what happens next in one stable word.
func nextOf(o order.Order) Next {
	n := Next{What: "nothing", DueAt: optionalTime(o.DueAt)}
	switch o.State {
	case order.Pending:
		n.What = "wait_for_payment"
		switch {
		case o.DueAt.IsZero(): // WeChat has yet to say that nobody paid
			n.What = "wait_for_cancellation"
		case o.PayWith == order.PayScore:
			n.What = "wait_for_confirmation"
		case o.Payment == "": // only the device's word is missing
			n.What = waitForRelay
		}
	case order.Starting:
		n.What = "wait_for_device"
		if o.Cancelling {
			n.What = "wait_for_cancellation"
		}
	case order.Unresolved:
		n.What = "void_unless_device_answers"
	case order.Active:
		n.What = cmp.Or(untilPaused(o), untilEnded(o.Kind))
		if o.Pause != nil && o.Pause.State != order.PauseResuming { // then it is the start's own
			n.DueAt = optionalTime(o.Pause.Until)
		}
		if o.Cancelling {
			n.What = "wait_for_cancellation"
		}
	case order.Ended:
		n.What = "staff_decide"
	}
	return n
}

// byForRiders hides which member of staff it was.
func byForRiders(by string) string {
	for _, word := range []string{"staff", "rider"} {
		if strings.HasPrefix(by, word) {
			return word
		}
	}
	return by
}

// byForStaff shows everything.
func byForStaff(by string) string { return by }

// newOrderAnswer renders an order that is about to be stored: its first version
// and its first step.
func newOrderAnswer(by string) func(order.Order) (int, []byte, error) {
	return func(o order.Order) (int, []byte, error) {
		o.Version++
		first := order.Move{Order: o.ID, To: o.State, Input: order.Authorised, At: o.CreatedAt, By: by}
		if o.State == order.Pending {
			first.Input = order.Ordered
		}
		body, err := json.Marshal(orderOf(o, []order.Move{first}, byForRiders))
		return http.StatusCreated, body, err
	}
}

func (a *API) orderRoutes(h huma.API) {
	place := answersOf(forRiders("place-order", http.MethodPost, "/v1/orders", "Order what a ticket allows"),
		http.StatusCreated, "application/json", schemaOf[Order](a))
	place.Description = "Commits the start and answers at once; wait for its outcome with GET. The same key and body" +
		" give the same bytes again."
	register(a, h, place, a.placeOrder)
	get := forRiders("get-order", http.MethodGet, "/v1/orders/{id}", "Read an order, or wait for it to move")
	get.Description = "With Prefer: wait=N (at most 25) and a current If-None-Match, answers when the order moves: 200," +
		" or 304 when the time is over."
	get.Responses = map[string]*huma.Response{"304": {Description: "Not modified"}}
	register(a, h, get, a.getOrder)
	register(a, h, forRiders("end-order", http.MethodPost, "/v1/orders/{id}/end",
		"End a ride whose lock is proved closed, or stop a pump"), a.endOrder)
	register(a, h, forRiders("cancel-order", http.MethodPost, "/v1/orders/{id}/cancel",
		"Cancel an order that has not started, or stop a pump"), a.cancelOrder)
	ring := forRiders("ring-order", http.MethodPost, "/v1/orders/{id}/ring", "Make what I use ring, so that I find it")
	ring.DefaultStatus = http.StatusAccepted
	register(a, h, ring, a.ringOrder)
	a.pauseRoutes(h)
	a.relayRoutes(h)
	a.updateRoutes(h)
}

// PlaceBody is an order's request.
type PlaceBody struct {
	Ticket  string  `json:"ticket" minLength:"1" maxLength:"512"`
	PayWith string  `json:"pay_with" maxLength:"32" doc:"wallet, prepay (pay with WeChat before; the rest comes back by itself) or pay_score (confirm in WeChat, pay after)"`
	Preset  *Preset `json:"preset,omitempty" doc:"Of fuel; absent for locks"`
	Road    string  `json:"road,omitempty" enum:"bluetooth" doc:"My phone reaches the device so; one that was not heard lately is then waited for"`
}

type placeOrderInput struct {
	Keyed
	RawBody []byte
	Body    PlaceBody
}

func (a *API) placeOrder(ctx context.Context, in *placeOrderInput) (*rawAnswer, error) {
	rider := riderOf(ctx).rider
	key, err := in.keyFor("rider:" + rider)
	if err != nil {
		return nil, err
	}
	ticket, err := a.Orders.Tickets.Open(in.Body.Ticket)
	if err != nil {
		return nil, err
	}
	placed, err := a.Orders.Place(ctx, order.Place{Rider: rider, Ticket: ticket, PayWith: order.PayWith(in.Body.PayWith),
		Preset: in.Body.Preset.preset(), Road: order.Road(in.Body.Road), Key: key, Route: "POST /v1/orders", Hash: sha256.Sum256(in.RawBody), Answer: newOrderAnswer(key.Principal)})
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return rawJSON(placed.Status, placed.Answer), nil
}

// orderPath names an order.
type orderPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

// orderAnswer is an order with its headers.
type orderAnswer struct {
	Status            int
	ETag              string `header:"ETag"`
	CacheControl      string `header:"Cache-Control"`
	PreferenceApplied string `header:"Preference-Applied"`
	Body              *Order
}

// mine reads an order of this rider; another's does not exist.
func (a *API) mine(ctx context.Context, rider, id string) (order.Order, error) {
	o, err := a.Store.Order(ctx, id)
	if err == nil && o.Rider != rider {
		return order.Order{}, order.ErrNotFound
	}
	return o, err
}

// shown adds the timeline and the headers.
func (a *API) shown(ctx context.Context, o order.Order) (*orderAnswer, error) {
	moves, err := a.Store.Moves(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	v := orderOf(o, moves, byForRiders)
	v.Live = a.liveOf(o)
	if v.VenueCard, err = a.cards.card(ctx, o.Venue); err != nil {
		return nil, err
	}
	if r, err := a.Orders.Running(ctx, o); err != nil {
		return nil, err
	} else if r != nil {
		v.Running = &Running{Seconds: r.Seconds, Fen: int64(r.Total), At: r.At}
	}
	if err := a.addPayments(ctx, o, &v, a.paymentOf); err != nil {
		return nil, err
	}
	if err := a.addRelay(ctx, o, &v); err != nil {
		return nil, err
	}
	return &orderAnswer{Status: http.StatusOK, ETag: tagOf(o, v.Live), CacheControl: "private, no-cache", Body: &v}, nil
}

type getOrderInput struct {
	ID          string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	IfNoneMatch string `header:"If-None-Match" maxLength:"1000"`
	Prefer      string `header:"Prefer" maxLength:"1000" doc:"wait=N, seconds"`
}

func (a *API) getOrder(ctx context.Context, in *getOrderInput) (*orderAnswer, error) {
	wait := waitOf(in.Prefer, a.WaitMax)
	o, current, err := a.await(ctx, riderOf(ctx).rider, in.ID, in.IfNoneMatch, wait)
	if err != nil {
		return nil, err
	}
	answer := &orderAnswer{Status: http.StatusNotModified, ETag: a.etagOf(o), CacheControl: "private, no-cache"}
	if !current {
		if answer, err = a.shown(ctx, o); err != nil {
			return nil, err
		}
	}
	if wait > 0 {
		answer.PreferenceApplied = preferenceOf(wait)
	}
	return answer, nil
}

// await reads an order and, as long as known names its current state, waits for
// another one. current tells that it still does.
func (a *API) await(ctx context.Context, rider, id, known string, wait time.Duration) (o order.Order, current bool, err error) {
	if wait <= 0 || known == "" {
		o, err = a.mine(ctx, rider, id)
		return o, err == nil && known != "" && matches(known, a.etagOf(o)), err
	}
	f, err := a.follow(rider, id)
	if err != nil {
		return o, false, err
	}
	defer f.close()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	if o, err = a.mine(ctx, rider, id); err != nil {
		return o, false, err
	}
	f.watchLive(o)
	for matches(known, a.etagOf(o)) {
		switch why, fresh := f.next(ctx, timer.C); why {
		case moved:
			if o, err = a.mine(ctx, rider, id); err != nil {
				return o, false, err
			}
		case seen:
			o = newer(o, fresh)
		case stirred:
		default: // of a caller that hung up nobody reads the answer
			return o, true, nil
		}
	}
	return o, false, nil
}

// newer keeps the later state of two reads of one order: the shared re-read may
// have begun before our own.
func newer(a, b order.Order) order.Order {
	if b.Version > a.Version {
		return b
	}
	return a
}

func (a *API) endOrder(ctx context.Context, in *orderPath) (*orderAnswer, error) {
	return a.act(ctx, in.ID, order.Act{Input: order.End})
}

func (a *API) ringOrder(ctx context.Context, in *orderPath) (*struct{}, error) {
	_, err := a.act(ctx, in.ID, order.Act{Input: order.RingIt})
	return nil, err
}

// CancelBody says how to go on, where that is wanted.
type CancelBody struct {
	Instead string `json:"instead,omitempty" enum:"prepay" doc:"Pay before, in the same order: for a rider who could not confirm in Pay Score"`
}

type cancelOrderInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body *CancelBody
}

func (a *API) cancelOrder(ctx context.Context, in *cancelOrderInput) (*orderAnswer, error) {
	instead := ""
	if in.Body != nil {
		instead = in.Body.Instead
	}
	return a.act(ctx, in.ID, order.Act{Input: order.Cancel, Instead: order.PayWith(instead)})
}

// act does what the rider asks and shows what became of the order. It is read
// again, since the use case returns the row before its version was raised.
func (a *API) act(ctx context.Context, id string, act order.Act) (*orderAnswer, error) {
	rider := riderOf(ctx).rider
	if rider == "" {
		return nil, errors.New("a rider's act without a rider") // an empty one would mean staff
	}
	act.Order, act.Rider = id, rider
	if _, err := a.Orders.Act(ctx, act); err != nil {
		return nil, err
	}
	o, err := a.mine(ctx, rider, id)
	if err != nil {
		return nil, err
	}
	return a.shown(ctx, o)
}
