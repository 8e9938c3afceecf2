package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) itemRoutes(h huma.API) {
	register(a, h, forStaff("list-open-items", http.MethodGet, "/v1/operator/open-items",
		"What staff must look at, oldest first; with all, the closed ones too, newest first"), a.listItems)
	register(a, h, forStaff("close-open-item", http.MethodPost, "/v1/operator/open-items/{id}/close",
		"Note that an item was dealt with"), a.closeItem)
	register(a, h, forStaff("assign-open-item", http.MethodPost, "/v1/operator/open-items/{id}/assign",
		"Say who deals with an item"), a.assignItem)
}

// OpenItem is something that staff must look at.
type OpenItem struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Subject  string     `json:"subject"`
	Device   string     `json:"device,omitempty"`
	Order    string     `json:"order,omitempty"`
	Venue    string     `json:"venue,omitempty"`
	Detail   string     `json:"detail"`
	At       time.Time  `json:"at"`
	Owner    string     `json:"owner,omitempty" doc:"The member who deals with it"`
	Named    string     `json:"owner_name,omitempty"`
	Age      int64      `json:"age_s" doc:"Whole seconds since at, when this was answered"`
	ClosedAt *time.Time `json:"closed_at,omitempty"`
	ClosedBy string     `json:"closed_by,omitempty"`
}

// OpenItemList is open items.
type OpenItemList struct {
	Items []OpenItem `json:"items"`
}

type listItemsInput struct {
	All   bool   `query:"all"`
	Kind  string `query:"kind" pattern:"^[a-z_]{1,40}$" doc:"Such as totaliser_gap"`
	Venue string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type listItemsOutput struct{ Body OpenItemList }

func (a *API) listItems(ctx context.Context, in *listItemsInput) (*listItemsOutput, error) {
	rows, err := a.Store.Items(ctx, in.All, in.Kind, venuesAsked(ctx, in.Venue), in.Limit)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &listItemsOutput{OpenItemList{each(rows, func(i order.ItemRow) OpenItem {
		return OpenItem{ID: i.ID, Kind: i.Kind, Subject: i.Subject, Device: string(i.Device), Order: i.Order, Venue: i.Venue,
			Detail: i.Detail, At: i.At, Owner: i.Owner, Named: i.OwnerName,
			Age: max(int64(now.Sub(i.At)/time.Second), 0), ClosedAt: i.ClosedAt, ClosedBy: i.ClosedBy}
	})}}, nil
}

type closeItemInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

func (a *API) closeItem(ctx context.Context, in *closeItemInput) (*struct{}, error) {
	act := audit(ctx, "item.close", "open item "+in.ID, in.Body.Reason, nil)
	return nil, instead(a.Store.CloseItem(ctx, in.ID, act), errItemUnknown)
}

// AssignBody is who deals with an item.
type AssignBody struct {
	Staff  string `json:"staff,omitempty" maxLength:"64" doc:"A member's id, or me; absent: nobody"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type assignItemInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body AssignBody
}

func (a *API) assignItem(ctx context.Context, in *assignItemInput) (*struct{}, error) {
	owner := in.Body.Staff
	if owner == "me" {
		owner = staffOf(ctx).ID
	}
	act := audit(ctx, "item.assign", "open item "+in.ID, in.Body.Reason, map[string]string{"owner": owner})
	return nil, instead(a.Store.AssignItem(ctx, in.ID, owner, act), errItemUnknown)
}
