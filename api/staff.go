package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) staffRoutes(h huma.API) {
	register(a, h, forStaff("list-staff", http.MethodGet, "/v1/operator/staff", "All members"), a.listStaff)
	op := forStaff("add-staff", http.MethodPost, "/v1/operator/staff", "Make a member with a first key")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addStaff)
	register(a, h, forStaff("list-keys", http.MethodGet, "/v1/operator/keys", "All API keys, newest first"), a.listKeys)
	op = forStaff("add-key", http.MethodPost, "/v1/operator/keys", "Give a member another key")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addKey)
	register(a, h, forStaff("revoke-key", http.MethodPost, "/v1/operator/keys/{id}/revoke", "End a key"), a.revokeKey)
	op = forStaff("first-run", http.MethodPost, "/v1/operator/first-run", "Spend the one-time link: make the first admin")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.firstRun)
}

// Member is a person or program that works for the operator.
type Member struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role" enum:"viewer,field,finance,admin"`
}

// MemberList is all members.
type MemberList struct {
	Staff []Member `json:"staff"`
}

// NewKey is a key that was made just now.
type NewKey struct {
	ID     string `json:"id"`
	APIKey string `json:"api_key" doc:"Shown this once"`
	Staff  Member `json:"staff"`
}

type newKeyOutput struct{ Body NewKey }

func memberOf(s order.Staff) Member { return Member{ID: s.ID, Name: s.Name, Role: string(s.Role)} }

// drawKey makes a key for a member, not stored yet.
func drawKey(staff, label string, role order.Role) (key order.APIKey, text string, hash [32]byte) {
	now := time.Now()
	text, hash = NewSecret(keyPrefix)
	return order.APIKey{ID: newID(now), Staff: staff, Label: label, Role: role, Created: now}, text, hash
}

type listStaffOutput struct{ Body MemberList }

func (a *API) listStaff(ctx context.Context, _ *struct{}) (*listStaffOutput, error) {
	rows, err := a.Store.StaffList(ctx)
	if err != nil {
		return nil, err
	}
	return &listStaffOutput{MemberList{each(rows, memberOf)}}, nil
}

// StaffBody is a new member's request.
type StaffBody struct {
	Name   string `json:"name" minLength:"1" maxLength:"100" pattern:"\\S"`
	Role   string `json:"role" enum:"viewer,field,finance,admin"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type addStaffInput struct{ Body StaffBody }

func (a *API) addStaff(ctx context.Context, in *addStaffInput) (*newKeyOutput, error) {
	s := order.Staff{ID: newID(time.Now()), Name: in.Body.Name, Role: order.Role(in.Body.Role)}
	key, text, hash := drawKey(s.ID, "first key", s.Role)
	act := audit(ctx, "staff.add", "staff "+s.ID, in.Body.Reason, memberOf(s))
	if err := a.Store.AddStaff(ctx, s, key, hash, act); err != nil {
		return nil, err
	}
	return &newKeyOutput{NewKey{ID: key.ID, APIKey: text, Staff: memberOf(s)}}, nil
}

// Key is an API key; the key's text is not known any more.
type Key struct {
	ID       string     `json:"id"`
	Staff    string     `json:"staff"`
	Label    string     `json:"label"`
	Role     string     `json:"role" enum:"viewer,field,finance,admin"`
	Created  time.Time  `json:"created_at"`
	LastUsed *time.Time `json:"last_used_at,omitempty" doc:"To the minute"`
	Revoked  *time.Time `json:"revoked_at,omitempty"`
}

// KeyList is all keys.
type KeyList struct {
	Keys []Key `json:"keys"`
}

type listKeysOutput struct{ Body KeyList }

func (a *API) listKeys(ctx context.Context, _ *struct{}) (*listKeysOutput, error) {
	rows, err := a.Store.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	return &listKeysOutput{KeyList{each(rows, func(k order.APIKey) Key {
		return Key{ID: k.ID, Staff: k.Staff, Label: k.Label, Role: string(k.Role), Created: k.Created, LastUsed: k.LastUsed,
			Revoked: k.Revoked}
	})}}, nil
}

// KeyBody is a new key's request.
type KeyBody struct {
	Staff  string `json:"staff" format:"uuid" doc:"The member's id"`
	Label  string `json:"label" minLength:"1" maxLength:"100"`
	Role   string `json:"role" enum:"viewer,field,finance,admin"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type addKeyInput struct{ Body KeyBody }

func (a *API) addKey(ctx context.Context, in *addKeyInput) (*newKeyOutput, error) {
	key, text, hash := drawKey(in.Body.Staff, in.Body.Label, order.Role(in.Body.Role))
	act := audit(ctx, "key.add", "staff "+in.Body.Staff, in.Body.Reason,
		map[string]string{"key": key.ID, "label": key.Label, "role": in.Body.Role})
	if err := a.Store.AddAPIKey(ctx, key, hash, act); err != nil {
		return nil, err
	}
	member := Member{ID: in.Body.Staff, Role: in.Body.Role}
	rows, err := a.Store.StaffList(ctx)
	if err != nil { // the key is shown only now, so its owner's name must not lose it
		a.Log.Warn("name of a new key's owner not read", "err", err)
	}
	for _, s := range rows {
		if s.ID == member.ID {
			member.Name = s.Name
		}
	}
	return &newKeyOutput{NewKey{ID: key.ID, APIKey: text, Staff: member}}, nil
}

type revokeKeyInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body *OptionalReasonBody
}

func (a *API) revokeKey(ctx context.Context, in *revokeKeyInput) (*struct{}, error) {
	act := audit(ctx, "key.revoke", "api key "+in.ID, reasonOf(in.Body), nil)
	return nil, instead(a.Store.RevokeAPIKey(ctx, in.ID, act), errAPIKeyUnknown)
}

// FirstRunBody spends the one-time link.
type FirstRunBody struct {
	Link string `json:"link" minLength:"1" maxLength:"400" doc:"The secret at the end of the first-run address"`
	Name string `json:"name" minLength:"1" maxLength:"100" pattern:"\\S"`
}

type firstRunInput struct{ Body FirstRunBody }

func (a *API) firstRun(ctx context.Context, in *firstRunInput) (*newKeyOutput, error) {
	key, err := a.setUp(ctx, in.Body.Link, in.Body.Name)
	if err != nil {
		return nil, err
	}
	return &newKeyOutput{key}, nil
}

// setUp makes the first admin; errFirstRun when the link does not allow it.
func (a *API) setUp(ctx context.Context, link, name string) (NewKey, error) {
	s := order.Staff{ID: newID(time.Now()), Name: name, Role: order.Admin}
	key, text, hash := drawKey(s.ID, "first key", s.Role)
	act := audit(ctx, "staff.first_run", "staff "+s.ID, "first run", memberOf(s))
	act.Staff = s.ID                                     // nobody is there before the first
	if _, secret, ok := strings.Cut(link, "link="); ok { // the whole address was pasted
		link = secret
	}
	if err := a.Store.UseFirstRun(ctx, HashSecret(link), s, key, hash, act); err != nil {
		return NewKey{}, instead(err, errFirstRun)
	}
	return NewKey{ID: key.ID, APIKey: text, Staff: memberOf(s)}, nil
}
