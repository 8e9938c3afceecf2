package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Passes are what riders may buy for a while, and what they hold.
type Passes interface {
	// Passes are the rider's that are not over, AllPasses every one, newest first.
	Passes(ctx context.Context, rider string) ([]order.HeldPass, error)
	AllPasses(ctx context.Context, rider string) ([]order.HeldPass, error)
	// PassesOffered is the newest version of every pass.
	PassesOffered(ctx context.Context) ([]order.PassRow, error)
	AddPass(ctx context.Context, p order.PassRow, a order.Audit) (order.PassRow, error)
	// GroupRider puts a rider into a group, "" for none.
	GroupRider(ctx context.Context, rider, group string, a order.Audit) error
	RiderGroup(ctx context.Context, rider string) (string, error)
}

// PassTerms is what a pass costs and takes off.
type PassTerms struct {
	Price      int64 `json:"price_fen" minimum:"0" doc:"Of the wallet; 0 = given away"`
	Days       int   `json:"days" minimum:"1" maximum:"366" doc:"Valid for so many times 24 hours"`
	UnlockFree bool  `json:"unlock_free,omitempty" doc:"No unlock fee"`
	RideFreeMS int64 `json:"ride_free_ms,omitempty" minimum:"0" doc:"Free of each ride, after the tariff's own free time"`
	BudgetMS   int64 `json:"budget_ms,omitempty" minimum:"0" doc:"Free in all; a ride takes no more of it than lowers its price"`
}

func (t PassTerms) pass(id, name string) billing.Pass {
	return billing.Pass{ID: id, Name: name, Price: billing.Fen(t.Price), Days: t.Days,
		PassTerms: billing.PassTerms{UnlockFree: t.UnlockFree, RideFreeMS: t.RideFreeMS, BudgetMS: t.BudgetMS}}
}

func passTermsOf(p billing.Pass) PassTerms {
	return PassTerms{Price: int64(p.Price), Days: p.Days, UnlockFree: p.UnlockFree, RideFreeMS: p.RideFreeMS, BudgetMS: p.BudgetMS}
}

// Pass is what riders may buy for a while.
type Pass struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Name    string `json:"name"`
	Venue   string `json:"venue"`
	Kind    Kind   `json:"kind"`
	Group   string `json:"group,omitempty" doc:"Only riders of this group may buy it"`
	OnSale  bool   `json:"on_sale"`
	PassTerms
}

func passOf(r order.PassRow) Pass {
	return Pass{ID: r.Pass.ID, Version: r.Pass.Version, Name: r.Pass.Name, Venue: r.Venue, Kind: kindOf(r.Kind), Group: r.Group,
		OnSale: r.OnSale, PassTerms: passTermsOf(r.Pass)}
}

// HeldPass is a pass that a rider bought or was given.
type HeldPass struct {
	ID      string     `json:"id"`
	Pass    string     `json:"pass"`
	Name    string     `json:"name"`
	Venue   string     `json:"venue"`
	Kind    Kind       `json:"kind"`
	From    time.Time  `json:"from"`
	Until   time.Time  `json:"until" doc:"Rides that start before it meet the pass"`
	Left    *int64     `json:"budget_left_ms,omitempty" doc:"Of a pass with a budget"`
	Revoked *time.Time `json:"revoked_at,omitempty"`
	PassTerms
}

func heldPassOf(h order.HeldPass) HeldPass {
	v := HeldPass{ID: h.ID, Pass: h.Pass.ID, Name: h.Pass.Name, Venue: h.Venue, Kind: kindOf(h.Kind), From: h.From, Until: h.Until,
		Revoked: optionalTime(h.Revoked), PassTerms: passTermsOf(h.Pass)}
	if h.Pass.BudgetMS > 0 {
		left := h.Left()
		v.Left = &left
	}
	return v
}

func (a *API) passRoutes(h huma.API) {
	register(a, h, forRiders("list-my-passes", http.MethodGet, "/v1/me/passes", "My passes, and what I may buy"), a.listMyPasses)
	buy := answersOf(forRiders("buy-pass", http.MethodPost, "/v1/me/passes", "Buy a pass of my wallet"), http.StatusCreated,
		"application/json", schemaOf[HeldPass](a))
	buy.Description = "One of the same sort that I hold is extended: the new one begins where it ends."
	register(a, h, buy, a.buyPass)
}

func (a *API) operatorPassRoutes(h huma.API) {
	register(a, h, forStaff("list-passes", http.MethodGet, "/v1/operator/passes", "The newest version of every pass"), a.listPasses)
	add := forStaff("add-pass", http.MethodPost, "/v1/operator/passes", "Add the next version of a pass")
	add.DefaultStatus = http.StatusCreated
	add.Description += " Passes that riders hold keep their version. To withdraw one, add a version with on_sale false."
	register(a, h, add, a.addPass)
	register(a, h, forStaff("list-rider-passes", http.MethodGet, "/v1/operator/riders/{id}/passes", "Every pass that a rider held"), a.listRiderPasses)
	register(a, h, answersOf(forStaff("grant-pass", http.MethodPost, "/v1/operator/riders/{id}/passes", "Give a rider a pass for nothing"),
		http.StatusCreated, "application/json", schemaOf[HeldPass](a)), a.grantPass)
	register(a, h, forStaff("revoke-pass", http.MethodPost, "/v1/operator/riders/{id}/passes/{held}/revoke", "End a rider's pass"), a.revokePass)
	group := forStaff("group-rider", http.MethodPost, "/v1/operator/riders/{id}/group", "Put a rider into a group, or into none")
	group.Description += " Tariffs and passes may be for a group. Orders keep the tariff of their ticket."
	register(a, h, group, a.groupRider)
}

// MyPasses is what a rider holds and may buy.
type MyPasses struct {
	Held    []HeldPass `json:"held" doc:"Not over yet"`
	Offered []Pass     `json:"offered"`
}

type myPassesOutput struct{ Body MyPasses }

func (a *API) listMyPasses(ctx context.Context, _ *struct{}) (*myPassesOutput, error) {
	rider := riderOf(ctx).rider
	held, err := a.Store.Passes(ctx, rider)
	if err != nil {
		return nil, err
	}
	offered, err := a.Store.PassesOffered(ctx)
	if err != nil {
		return nil, err
	}
	group, err := a.Store.RiderGroup(ctx, rider)
	if err != nil {
		return nil, err
	}
	v := MyPasses{Held: each(held, heldPassOf), Offered: []Pass{}}
	for _, p := range offered {
		if p.OnSale && (p.Group == "" || p.Group == group) {
			v.Offered = append(v.Offered, passOf(p))
		}
	}
	return &myPassesOutput{v}, nil
}

// BuyPassBody names a pass and what the rider saw it cost.
type BuyPassBody struct {
	Pass  string `json:"pass" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Price int64  `json:"price_fen" minimum:"0" doc:"As offered; refused when it costs another amount by now"`
}

type buyPassInput struct {
	Keyed
	RawBody []byte
	Body    BuyPassBody
}

func (a *API) buyPass(ctx context.Context, in *buyPassInput) (*rawAnswer, error) {
	rider := riderOf(ctx).rider
	key, err := in.keyFor("rider:" + rider)
	if err != nil {
		return nil, err
	}
	placed, err := a.Orders.BuyPass(ctx, order.BuyPass{Rider: rider, Pass: in.Body.Pass, Price: billing.Fen(in.Body.Price), Key: key,
		Route: "POST /v1/me/passes", Hash: sha256.Sum256(in.RawBody),
		Answer: heldPassAnswer})
	if err != nil {
		return nil, err
	}
	return &rawAnswer{Status: placed.Status, ContentType: "application/json", Body: placed.Answer}, nil
}

// PassList is passes by id.
type PassList struct {
	Passes []Pass `json:"passes"`
}

type passListOutput struct{ Body PassList }

func (a *API) listPasses(ctx context.Context, _ *struct{}) (*passListOutput, error) {
	rows, err := a.Store.PassesOffered(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r order.PassRow) bool { return !keeps(ctx, r.Venue) })
	return &passListOutput{PassList{each(rows, passOf)}}, nil
}

// PassBody is a new version's request.
type PassBody struct {
	ID     string `json:"id" pattern:"^[A-Za-z0-9_-]{1,32}$" doc:"The same id makes the next version"`
	Name   string `json:"name" minLength:"1" maxLength:"100"`
	Venue  string `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Kind   Kind   `json:"kind"`
	Group  string `json:"group,omitempty" pattern:"^[A-Za-z0-9_-]{0,32}$" doc:"Only riders of this group may buy it"`
	OnSale *bool  `json:"on_sale,omitempty" doc:"true, unless given"`
	PassTerms
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type addPassInput struct{ Body PassBody }

type passOutput struct{ Body Pass }

func (a *API) addPass(ctx context.Context, in *addPassInput) (*passOutput, error) {
	b := in.Body
	row := order.PassRow{Pass: b.PassTerms.pass(b.ID, b.Name), Venue: b.Venue, Kind: device.Kind(b.Kind), Group: b.Group,
		OnSale: b.OnSale == nil || *b.OnSale}
	if err := order.CheckPass(row); err != nil {
		return nil, err
	}
	added, err := a.Store.AddPass(ctx, row, audit(ctx, "pass.add", "pass "+b.ID, b.Reason, passOf(row)))
	if err != nil {
		return nil, err
	}
	return &passOutput{passOf(added)}, nil
}

// HeldPassList is the passes of a rider, newest first.
type HeldPassList struct {
	Group  string     `json:"group,omitempty" doc:"That the rider is in"`
	Passes []HeldPass `json:"passes"`
}

type heldPassListOutput struct{ Body HeldPassList }

func (a *API) listRiderPasses(ctx context.Context, in *riderPath) (*heldPassListOutput, error) {
	rows, err := a.Store.AllPasses(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	group, err := a.Store.RiderGroup(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return &heldPassListOutput{HeldPassList{group, each(rows, heldPassOf)}}, nil
}

// GrantPassBody names a pass and says why it is given.
type GrantPassBody struct {
	Pass   string `json:"pass" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type grantPassInput struct {
	Keyed
	ID      string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	RawBody []byte
	Body    GrantPassBody
}

type heldPassOutput struct{ Body HeldPass }

func (a *API) grantPass(ctx context.Context, in *grantPassInput) (*rawAnswer, error) {
	key, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	placed, err := a.Orders.GrantPass(ctx, order.GrantPass{Rider: in.ID, Pass: in.Body.Pass, Key: key,
		Route: "POST /v1/operator/riders/" + in.ID + "/passes", Hash: sha256.Sum256(in.RawBody),
		Staff:  audit(ctx, "pass.grant", "rider "+in.ID, in.Body.Reason, nil),
		Answer: heldPassAnswer})
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return &rawAnswer{Status: placed.Status, ContentType: "application/json", Body: placed.Answer}, nil
}

// heldPassAnswer is what a pass's key replays.
func heldPassAnswer(h order.HeldPass) (int, []byte, error) {
	body, err := json.Marshal(heldPassOf(h))
	return http.StatusCreated, body, err
}

type revokePassInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Held string `path:"held" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

func (a *API) revokePass(ctx context.Context, in *revokePassInput) (*heldPassOutput, error) {
	h, err := a.Orders.RevokePass(ctx, order.RevokePass{Rider: in.ID, Held: in.Held,
		Staff: audit(ctx, "pass.revoke", "rider "+in.ID, in.Body.Reason, nil)})
	if err != nil {
		return nil, err
	}
	return &heldPassOutput{heldPassOf(h)}, nil
}

// GroupBody names a group.
type GroupBody struct {
	Group  string `json:"group" pattern:"^[A-Za-z0-9_-]{0,32}$" doc:"Empty = none"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type groupRiderInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body GroupBody
}

func (a *API) groupRider(ctx context.Context, in *groupRiderInput) (*struct{}, error) {
	act := audit(ctx, "rider.group", "rider "+in.ID, in.Body.Reason, map[string]string{"group": in.Body.Group})
	return nil, instead(a.Store.GroupRider(ctx, in.ID, in.Body.Group, act), errRiderUnknown)
}
