package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) staffRoutes(h huma.API) {
	register(a, h, forStaff("list-staff", http.MethodGet, "/v1/operator/staff", "All members"), a.listStaff)
	op := forStaff("list-staff-names", http.MethodGet, "/v1/operator/staff/names", "Who the ids of members stand for")
	op.Description += " What staff did names them by their ids."
	register(a, h, op, a.listStaffNames)
	op = forStaff("add-staff", http.MethodPost, "/v1/operator/staff", "Make a member with a first key, or with an invite")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addStaff)
	op = forStaff("change-staff", http.MethodPut, "/v1/operator/staff/{id}", "Replace what a member may, or disable them")
	op.Description += " It acts at once on their keys and logins. Who is disabled is signed out."
	register(a, h, op, a.changeStaff)
	op = forStaff("invite-staff", http.MethodPost, "/v1/operator/staff/{id}/invite", "Draw a link by which a member sets their password")
	op.Description += " It works once, for a day, in the place of any before it; used, it ends every login of the member."
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.inviteStaff)
	register(a, h, forStaff("list-keys", http.MethodGet, "/v1/operator/keys", "All API keys, newest first"), a.listKeys)
	op = forStaff("add-key", http.MethodPost, "/v1/operator/keys", "Give a member another key")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addKey)
	register(a, h, forStaff("revoke-key", http.MethodPost, "/v1/operator/keys/{id}/revoke", "End a key"), a.revokeKey)
	op = forStaff("first-run", http.MethodPost, "/v1/operator/first-run", "Spend the one-time link: make the first admin")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.firstRun)
}

var errStaffUnknown = errors.New("there is no such member")

// inviteLife is for how long an invite works.
const inviteLife = 24 * time.Hour

// Member is a person or program that works for the operator.
type Member struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Role     string     `json:"role" enum:"viewer,field,finance,admin"`
	Venues   []string   `json:"venues" nullable:"true" doc:"Only what belongs to them is shown and done; null: everything"`
	Disabled *time.Time `json:"disabled_at,omitempty"`
	Password bool       `json:"has_password"`
	Passkeys int        `json:"passkeys"`
	Seen     *time.Time `json:"seen_at,omitempty" doc:"Newest use of a login or key, to the minute"`
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

func memberOf(s order.Staff) Member {
	return Member{ID: s.ID, Name: s.Name, Role: string(s.Role), Venues: s.Venues, Disabled: s.Disabled, Password: s.Password,
		Passkeys: s.Passkeys, Seen: s.Seen}
}

// memberFacts is what the audit keeps of a member.
func memberFacts(s order.Staff, disabled bool) any {
	return map[string]any{"name": s.Name, "role": s.Role, "venues": s.Venues, "disabled": disabled}
}

// drawKey makes a key for a member, not stored yet.
func drawKey(staff, label string, role order.Role, venues []string) (key order.APIKey, text string, hash [32]byte) {
	now := time.Now()
	text, hash = NewSecret(keyPrefix)
	return order.APIKey{ID: newID(now), Staff: staff, Label: label, Role: role, Venues: venues, Created: now}, text, hash
}

type listStaffOutput struct{ Body MemberList }

func (a *API) listStaff(ctx context.Context, _ *struct{}) (*listStaffOutput, error) {
	rows, err := a.Store.StaffList(ctx)
	if err != nil {
		return nil, err
	}
	return &listStaffOutput{MemberList{each(rows, memberOf)}}, nil
}

// MemberName is who a member's id stands for.
type MemberName struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

// MemberNames is the names of all members.
type MemberNames struct {
	Staff []MemberName `json:"staff"`
}

type listStaffNamesOutput struct{ Body MemberNames }

func (a *API) listStaffNames(ctx context.Context, _ *struct{}) (*listStaffNamesOutput, error) {
	rows, err := a.Store.StaffNames(ctx)
	if err != nil {
		return nil, err
	}
	return &listStaffNamesOutput{MemberNames{each(rows, func(s order.StaffName) MemberName { return MemberName(s) })}}, nil
}

// VenueScope is what a member or key is bounded to.
type VenueScope struct {
	Venues []string `json:"venues,omitempty" nullable:"true" minItems:"1" maxItems:"1000" uniqueItems:"true" doc:"Only what belongs to them; null or absent: everything"`
}

// StaffBody is a new member's request.
type StaffBody struct {
	Name   string `json:"name" minLength:"1" maxLength:"100" pattern:"\\S"`
	Role   string `json:"role" enum:"viewer,field,finance,admin"`
	Invite bool   `json:"invite,omitempty" doc:"A link by which they set a password, in the place of a key"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
	VenueScope
}

// NewMember is a member who was made just now.
type NewMember struct {
	ID      string     `json:"id" doc:"Of the key; with an invite, of the member"`
	APIKey  string     `json:"api_key,omitempty" doc:"Shown this once"`
	Staff   Member     `json:"staff"`
	Link    string     `json:"invite_link,omitempty" doc:"Shown this once"`
	Expires *time.Time `json:"expires_at,omitempty" doc:"Of the link"`
}

type addStaffInput struct{ Body StaffBody }

type newMemberOutput struct{ Body NewMember }

func (a *API) addStaff(ctx context.Context, in *addStaffInput) (*newMemberOutput, error) {
	s := order.Staff{ID: newID(time.Now()), Name: strings.TrimSpace(in.Body.Name), Role: order.Role(in.Body.Role), Venues: in.Body.Venues}
	act := audit(ctx, "staff.add", "staff "+s.ID, in.Body.Reason, memberFacts(s, false))
	if in.Body.Invite {
		link, hash := NewSecret("")
		until := time.Now().Add(inviteLife)
		if err := a.Store.AddInvited(ctx, s, hash, inviteLife, act); err != nil {
			return nil, err
		}
		return &newMemberOutput{NewMember{ID: s.ID, Staff: memberOf(s), Link: a.inviteLink(ctx, link), Expires: &until}}, nil
	}
	key, text, hash := drawKey(s.ID, "first key", s.Role, nil)
	if err := a.Store.AddStaff(ctx, s, key, hash, act); err != nil {
		return nil, err
	}
	return &newMemberOutput{NewMember{ID: key.ID, APIKey: text, Staff: memberOf(s)}}, nil
}

// inviteLink is the address of an invite, where the asking admin reached this
// installation.
func (a *API) inviteLink(ctx context.Context, secret string) string {
	r := visitorOf(ctx).r
	scheme := "http"
	if a.secured(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + "/invite?link=" + secret
}

// StaffChange replaces what a member may.
type StaffChange struct {
	Role     string `json:"role" enum:"viewer,field,finance,admin"`
	Disabled bool   `json:"disabled"`
	Reason   string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S" doc:"Kept in the audit"`
	// It is demanded: leaving it out by mistake would open everything.
	Venues []string `json:"venues" nullable:"true" minItems:"1" maxItems:"1000" uniqueItems:"true" doc:"Only what belongs to them; null: everything"`
}

type changeStaffInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body StaffChange
}

type memberOutput struct{ Body Member }

func (a *API) changeStaff(ctx context.Context, in *changeStaffInput) (*memberOutput, error) {
	was, err := a.Store.StaffByID(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errStaffUnknown)
	}
	s := order.Staff{ID: was.ID, Name: was.Name, Role: order.Role(in.Body.Role), Venues: in.Body.Venues}
	act := audit(ctx, "staff.change", "staff "+s.ID, in.Body.Reason, memberFacts(s, in.Body.Disabled))
	if err := a.Store.ChangeStaff(ctx, s, in.Body.Disabled, act); err != nil {
		return nil, instead(err, errStaffUnknown)
	}
	now, err := a.Store.StaffByID(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	return &memberOutput{memberOf(now)}, nil
}

// Invite is a link by which a member sets their password.
type Invite struct {
	Link    string    `json:"invite_link" doc:"Shown this once"`
	Expires time.Time `json:"expires_at"`
}

type inviteStaffInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

type inviteOutput struct{ Body Invite }

func (a *API) inviteStaff(ctx context.Context, in *inviteStaffInput) (*inviteOutput, error) {
	if _, err := a.Store.StaffByID(ctx, in.ID); err != nil {
		return nil, instead(err, errStaffUnknown)
	}
	link, hash := NewSecret("")
	until, err := a.Store.Invite(ctx, in.ID, "", hash, inviteLife, audit(ctx, "staff.invite", "", in.Body.Reason, nil))
	if err != nil {
		return nil, instead(err, errStaffUnknown)
	}
	return &inviteOutput{Invite{a.inviteLink(ctx, link), until}}, nil
}

// Key is an API key; the key's text is not known any more.
type Key struct {
	ID       string     `json:"id"`
	Staff    string     `json:"staff"`
	Label    string     `json:"label"`
	Role     string     `json:"role" enum:"viewer,field,finance,admin"`
	Venues   []string   `json:"venues" nullable:"true" doc:"null: all of its owner's"`
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
		return Key{ID: k.ID, Staff: k.Staff, Label: k.Label, Role: string(k.Role), Venues: k.Venues, Created: k.Created, LastUsed: k.LastUsed,
			Revoked: k.Revoked}
	})}}, nil
}

// KeyBody is a new key's request.
type KeyBody struct {
	Staff  string `json:"staff" format:"uuid" doc:"The member's id"`
	Label  string `json:"label" minLength:"1" maxLength:"100"`
	Role   string `json:"role" enum:"viewer,field,finance,admin" doc:"At most its owner's"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
	VenueScope
}

type addKeyInput struct{ Body KeyBody }

func (a *API) addKey(ctx context.Context, in *addKeyInput) (*newKeyOutput, error) {
	key, text, hash := drawKey(in.Body.Staff, in.Body.Label, order.Role(in.Body.Role), in.Body.Venues)
	act := audit(ctx, "key.add", "staff "+in.Body.Staff, in.Body.Reason,
		map[string]any{"key": key.ID, "label": key.Label, "role": in.Body.Role, "venues": key.Venues})
	if err := a.Store.AddAPIKey(ctx, key, hash, act); err != nil {
		return nil, err
	}
	member := Member{ID: in.Body.Staff, Role: in.Body.Role}
	if s, err := a.Store.StaffByID(ctx, member.ID); err != nil { // the key is shown only now, so its owner's name must not lose it
		a.Log.Warn("name of a new key's owner not read", "err", err)
	} else {
		member = memberOf(s)
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
	key, text, hash := drawKey(s.ID, "first key", s.Role, nil)
	if err := a.Store.UseFirstRun(ctx, HashSecret(linkSecret(link)), s, key, hash, auditFirstRun(ctx, s)); err != nil {
		return NewKey{}, instead(err, errFirstRun)
	}
	return NewKey{ID: key.ID, APIKey: text, Staff: memberOf(s)}, nil
}

func auditFirstRun(ctx context.Context, s order.Staff) order.Audit {
	act := audit(ctx, "staff.first_run", "staff "+s.ID, "first run", memberFacts(s, false))
	act.Staff = s.ID // nobody is there before the first
	return act
}

// linkSecret is the secret of a link that was pasted as a whole, or alone.
func linkSecret(link string) string {
	if _, secret, ok := strings.Cut(link, "link="); ok {
		return secret
	}
	return link
}
