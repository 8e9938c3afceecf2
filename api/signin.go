package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/order"
)

// consoleCookie holds the secret of a member's login.
const consoleCookie = "unlatch_console"

// A login ends when nobody used it for loginIdle, and after loginLife in any case.
const (
	loginIdle = 12 * time.Hour
	loginLife = 7 * 24 * time.Hour
)

// loginFresh is for how long after a sign-in it proves that its owner is there. A cookie
// may have been stolen since.
const loginFresh = 10 * time.Minute

// unattended marks what a page of the console asks by itself while nobody touches it. It
// does not count as use of a login.
const unattended = "X-Unattended"

// loginsMost is how many logins are shown.
const loginsMost = 500

// Logins are members' sign-ins, known by the SHA-256 of their cookie.
type Logins interface {
	// StaffByLogin returns order.ErrNotFound for what is unknown, over, idle or revoked;
	// used: somebody works with it, so that it is idle later.
	StaffByLogin(ctx context.Context, hash [32]byte, idle time.Duration, used bool) (order.Staff, error)
	// PasswordOf finds a member by id or else by name; order.ErrNotFound.
	PasswordOf(ctx context.Context, id, name string) (staff, encoded string, err error)
	// AddLogin compares the encoded password again; order.ErrNotFound.
	AddLogin(ctx context.Context, l order.NewLogin, encoded string, a order.Audit) error
	// StaffLogins lists newest first; an empty member means everybody's.
	StaffLogins(ctx context.Context, staff string, idle time.Duration, limit int) ([]order.StaffLogin, error)
	// RevokeLogin ends a login, of that member unless staff is empty; order.ErrNotFound.
	RevokeLogin(ctx context.Context, id, staff string, a order.Audit) error
	// ChangePassword ends the member's logins but the one to keep; order.ErrNotFound when
	// before is not the password.
	ChangePassword(ctx context.Context, staff, before, after, keep string, a order.Audit) error
	// FirstRunOpen tells whether the first-run link may be spent; order.ErrNotFound.
	FirstRunOpen(ctx context.Context, link [32]byte) error
	// SetUp spends the first-run link; see Members.UseFirstRun.
	SetUp(ctx context.Context, link [32]byte, s order.Staff, encoded string, l order.NewLogin, a order.Audit) error
	// AddInvited makes a member, and the link that sets their password.
	AddInvited(ctx context.Context, s order.Staff, link [32]byte, life time.Duration, a order.Audit) error
	// Invite stores a link for who is found by id or else by name. order.ErrNotFound;
	// order.ErrWrongState when they are disabled.
	Invite(ctx context.Context, id, name string, link [32]byte, life time.Duration, a order.Audit) (until time.Time, err error)
	// Invited returns whom a link invites; order.ErrNotFound.
	Invited(ctx context.Context, link [32]byte) (order.Staff, error)
	// UseInvite sets the password and ends every login of the member; order.ErrNotFound.
	UseInvite(ctx context.Context, link [32]byte, encoded string, l order.NewLogin, a order.Audit) error
}

var (
	errSignIn       = errors.New("name and password do not belong together")
	errCrossOrigin  = errors.New("the request comes from a page of another address")
	errVenueScope   = errors.New("this is not of one of your venues alone; ask a member who has all of them")
	errLoginNeeded  = errors.New("sign in with a browser for this; an API key is not enough")
	errLoginUnknown = errors.New("there is no such login")
	errOldPassword  = errors.New("the password is another one")
	errProofNeeded  = errors.New("this needs a login of the last ten minutes: sign in again, or send the password where the request takes it")
	errInvite       = errors.New("the link is unknown, used or too old; ask an admin for another one")
)

func (a *API) signInRoutes(h huma.API) {
	op := forStaff("add-login", http.MethodPost, "/v1/operator/logins", "Sign in with name and password")
	op.Description = "For browsers: the answer sets the cookie `" + consoleCookie + "`, which then stands for the member on every operation."
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addLogin)
	op = forStaff("end-login", http.MethodPost, "/v1/operator/logout", "Sign out")
	op.Description += " Ends the login that the cookie holds."
	register(a, h, op, a.endLogin)
	register(a, h, forStaff("list-logins", http.MethodGet, "/v1/operator/logins", "Logins, newest first"), a.listLogins)
	register(a, h, forStaff("revoke-login", http.MethodPost, "/v1/operator/logins/{id}/revoke", "End a login"), a.revokeLogin)
	register(a, h, forStaff("get-staff-me", http.MethodGet, "/v1/operator/me", "Who asks, and what they may"), a.getStaffMe)
	op = forStaff("change-password", http.MethodPost, "/v1/operator/me/password", "Change my password")
	op.Description += " Every other login of mine ends."
	register(a, h, op, a.changePassword)
}

// visitor is who asks, before anybody knows who they are.
type visitor struct {
	r *http.Request
	w http.ResponseWriter
}

type visitorKey struct{}

func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(visitorKey{}).(visitor)
	return v
}

// sameOrigin is errCrossOrigin for a request that a page of another address made a
// browser send. Programs, which name no origin, pass.
func (a *API) sameOrigin(r *http.Request) error {
	if err := a.origins.Check(r); err != nil {
		return errCrossOrigin
	}
	return nil
}

// cookieOf is the hash of the login that a request came with; ok is false without one.
func cookieOf(r *http.Request) (hash [32]byte, ok bool) {
	c, err := r.Cookie(consoleCookie)
	if err != nil || len(c.Value) != secretLength {
		return hash, false
	}
	return HashSecret(c.Value), true
}

// secured tells whether the browser reached this address by TLS.
func (a *API) secured(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	return a.TrustProxy && !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http")
}

// setCookie gives a browser its login; an empty secret takes it away.
func (a *API) setCookie(w http.ResponseWriter, r *http.Request, secret string) {
	c := &http.Cookie{Name: consoleCookie, Value: secret, Path: "/", MaxAge: int(loginLife / time.Second), HttpOnly: true,
		Secure: a.secured(r), SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// newLogin draws a login for a member. It is never the one that the browser came with:
// that one ends.
func (a *API) newLogin(r *http.Request, staff, how string) (l order.NewLogin, secret string) {
	secret, hash := NewSecret("")
	agent := strings.ToValidUTF8(r.UserAgent(), "?")
	if utf8.RuneCountInString(agent) > 300 {
		agent = string([]rune(agent)[:300])
	}
	l = order.NewLogin{StaffLogin: order.StaffLogin{ID: newID(time.Now()), Staff: staff, How: how, Agent: strings.ReplaceAll(agent, "\x00", "?"),
		Address: sourceOf(r, a.TrustProxy)}, Hash: hash, Life: loginLife}
	l.Instead, _ = cookieOf(r)
	return l, secret
}

// auditLogin is the row of a sign-in: whoever asks becomes its member by it.
func auditLogin(l order.NewLogin) order.Audit {
	a := audit(context.Background(), "login.add", "staff "+l.Staff, "", map[string]string{"login": l.ID, "how": l.How})
	a.Staff = l.Staff
	return a
}

// signIn proves a name and a password; errSignIn. An unknown name takes as long as a
// wrong password.
func (a *API) signIn(ctx context.Context, r *http.Request, name, password string) (secret string, err error) {
	now := time.Now()
	if err := a.tries.take(sourceOf(r, a.TrustProxy), now); err != nil {
		return "", err
	}
	if err := a.names.take(name, now); err != nil {
		return "", err
	}
	staff, encoded, err := a.Store.PasswordOf(ctx, "", name)
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		return "", err
	}
	if len(password) > passwordMost {
		password = "" // no password is longer, and none is empty
	}
	ok, err := a.hashes.matches(ctx, password, encoded)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errSignIn
	}
	l, secret := a.newLogin(r, staff, order.LoginPassword)
	if err := a.Store.AddLogin(ctx, l, encoded, auditLogin(l)); err != nil {
		return "", instead(err, errSignIn)
	}
	return secret, nil
}

// SignInBody is name and password.
type SignInBody struct {
	Name     string `json:"name" minLength:"1" maxLength:"100"`
	Password string `json:"password" minLength:"1" maxLength:"256"`
}

type addLoginInput struct{ Body SignInBody }

func (a *API) addLogin(ctx context.Context, in *addLoginInput) (*struct{}, error) {
	v := visitorOf(ctx)
	secret, err := a.signIn(ctx, v.r, strings.TrimSpace(in.Body.Name), in.Body.Password)
	if err != nil {
		return nil, err
	}
	a.setCookie(v.w, v.r, secret)
	return nil, nil
}

func (a *API) endLogin(ctx context.Context, _ *struct{}) (*struct{}, error) {
	s, v := staffOf(ctx), visitorOf(ctx)
	if err := a.Store.RevokeLogin(ctx, s.Login, s.ID, audit(ctx, "login.end", "staff "+s.ID, "", map[string]string{"login": s.Login})); err != nil {
		return nil, err
	}
	a.setCookie(v.w, v.r, "")
	return nil, nil
}

// StaffLogin is a sign-in at one browser.
type StaffLogin struct {
	ID      string     `json:"id"`
	Staff   string     `json:"staff"`
	Name    string     `json:"name"`
	How     string     `json:"how" enum:"password,passkey"`
	Created time.Time  `json:"created_at"`
	Seen    time.Time  `json:"seen_at" doc:"To the minute"`
	Agent   string     `json:"agent" doc:"The browser's own word"`
	Address string     `json:"address"`
	Current bool       `json:"current" doc:"It is the one that asks"`
	Revoked *time.Time `json:"revoked_at,omitempty"`
}

// StaffLoginList is logins.
type StaffLoginList struct {
	Logins []StaffLogin `json:"logins"`
}

type listLoginsInput struct {
	Staff string `query:"staff" pattern:"^(all|[0-9a-fA-F-]{36})$" doc:"A member's id, or all: for admins of all venues. My own, unless given"`
}

type listLoginsOutput struct{ Body StaffLoginList }

// overOthers tells whether the member who asks administers all of the others.
func overOthers(s order.Staff) bool { return s.Role == order.Admin && s.Venues == nil }

// askedOf is the member whom a list is asked of: oneself, or another one, whom admins of
// all venues may name. errRole, errVenueScope.
func askedOf(s order.Staff, other string) (string, error) {
	switch {
	case other == "" || other == s.ID:
		return s.ID, nil
	case s.Role != order.Admin:
		return "", errRole
	case s.Venues != nil:
		return "", errVenueScope
	}
	return other, nil
}

func (a *API) listLogins(ctx context.Context, in *listLoginsInput) (*listLoginsOutput, error) {
	s := staffOf(ctx)
	of, err := askedOf(s, in.Staff)
	if err != nil {
		return nil, err
	}
	if of == "all" {
		of = ""
	}
	rows, err := a.Store.StaffLogins(ctx, of, loginIdle, loginsMost)
	if err != nil {
		return nil, err
	}
	return &listLoginsOutput{StaffLoginList{each(rows, func(l order.StaffLogin) StaffLogin {
		return StaffLogin{ID: l.ID, Staff: l.Staff, Name: l.Name, How: l.How, Created: l.Created, Seen: l.Seen, Agent: l.Agent,
			Address: l.Address, Current: l.ID == s.Login, Revoked: l.Revoked}
	})}}, nil
}

type revokeLoginInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body *OptionalReasonBody
}

func (a *API) revokeLogin(ctx context.Context, in *revokeLoginInput) (*struct{}, error) {
	s := staffOf(ctx)
	of := s.ID
	if overOthers(s) {
		of = ""
	}
	act := audit(ctx, "login.revoke", "login "+in.ID, reasonOf(in.Body), nil)
	return nil, instead(a.Store.RevokeLogin(ctx, in.ID, of, act), errLoginUnknown)
}

// StaffMe is who asks.
type StaffMe struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Role     string    `json:"role" enum:"viewer,field,finance,admin" doc:"What may be done here and now: of a key, at most what its owner may"`
	Venues   []string  `json:"venues" nullable:"true" doc:"Only what belongs to them is shown; null: everything"`
	Login    *MyLogin  `json:"login,omitempty" doc:"Absent with an API key"`
	Password bool      `json:"has_password"`
	Passkeys int       `json:"passkeys" doc:"How many are in force"`
	Operator string    `json:"display_name"`
	Version  string    `json:"version"`
	Time     time.Time `json:"time"`
}

// MyLogin is the login that a cookie holds.
type MyLogin struct {
	ID string `json:"id"`
}

type staffMeOutput struct{ Body StaffMe }

func (a *API) getStaffMe(ctx context.Context, _ *struct{}) (*staffMeOutput, error) {
	s := staffOf(ctx)
	row, err := a.Store.StaffByID(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	v := StaffMe{ID: s.ID, Name: s.Name, Role: string(s.Role), Venues: s.Venues, Password: row.Password, Passkeys: row.Passkeys,
		Operator: a.DisplayName, Version: a.Version, Time: time.Now()}
	if s.Login != "" {
		v.Login = &MyLogin{s.Login}
	}
	return &staffMeOutput{v}, nil
}

// PasswordBody changes a password.
type PasswordBody struct {
	Old string `json:"old" minLength:"1" maxLength:"256"`
	New string `json:"new" minLength:"1" maxLength:"256" doc:"At least 12 characters"`
}

type changePasswordInput struct{ Body PasswordBody }

func (a *API) changePassword(ctx context.Context, in *changePasswordInput) (*struct{}, error) {
	s := staffOf(ctx)
	if err := checkPassword(s.Name, in.Body.New); err != nil {
		return nil, err
	}
	before, err := a.provePassword(ctx, s, in.Body.Old)
	if err != nil {
		return nil, err
	}
	after, err := a.hashes.encode(ctx, in.Body.New)
	if err != nil {
		return nil, err
	}
	return nil, instead(a.Store.ChangePassword(ctx, s.ID, before, after, s.Login, audit(ctx, "staff.password", "staff "+s.ID, "", nil)), errOldPassword)
}

// provePassword compares a member's own password, and returns it as it is stored;
// errOldPassword. It takes one of the tries that sign-ins under the name have: a stolen
// cookie must not guess the password.
func (a *API) provePassword(ctx context.Context, s order.Staff, password string) (encoded string, err error) {
	if err := a.names.take(s.Name, time.Now()); err != nil {
		return "", err
	}
	_, encoded, err = a.Store.PasswordOf(ctx, s.ID, "")
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		return "", err
	}
	ok, err := a.hashes.matches(ctx, password, encoded)
	if err == nil && !ok {
		err = errOldPassword
	}
	return encoded, err
}

// operatorGate lets staff with a valid key or login and a sufficient role through.
func (a *API) operatorGate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	ctx = huma.WithValue(ctx, visitorKey{}, visitor{r, w})
	least, listed := leastRole[ctx.Operation().OperationID]
	if least == anybody {
		// A sign-in that another page makes a browser do would make its owner work as
		// somebody else.
		if err := a.sameOrigin(r); err != nil {
			a.refuse(w, r, "operator gate", err)
			return
		}
		next(ctx)
		return
	}
	id := ctx.Operation().OperationID
	// A stream goes on, and begins again by itself, while nobody is there.
	staff, err := a.authenticateStaff(r, id != followFleetID && r.Header.Get(unattended) == "")
	if err == nil && (!listed || !allows(staff.Role, least)) {
		err = errRole
	}
	if err == nil && staff.Venues != nil {
		if how := scopes[id].how; how == scopeNone || how == scopeWhole {
			err = errVenueScope
		}
	}
	if err == nil && staff.Login == "" && loginNeeded[id] {
		err = errLoginNeeded
	}
	if err == nil && proofNeeded[id] && staff.LoginAge > loginFresh {
		err = errProofNeeded
	}
	if err != nil {
		a.refuse(w, r, "operator gate", err)
		return
	}
	next(huma.WithValue(ctx, staffKey{}, staff))
}

// authenticateStaff reads the key of the Authorization header or, without such a header,
// the login of the cookie, which a page of another address cannot use. Unless it is used,
// a login stays as idle as it is.
func (a *API) authenticateStaff(r *http.Request, used bool) (order.Staff, error) {
	var staff order.Staff
	var err error
	if header := r.Header.Get("Authorization"); header != "" {
		key := bearer(header, keyPrefix)
		if key == "" {
			return staff, errUnauthenticated
		}
		staff, err = a.Store.StaffByKey(r.Context(), HashSecret(key))
	} else {
		hash, ok := cookieOf(r)
		if !ok {
			return staff, errUnauthenticated
		}
		if err := a.sameOrigin(r); err != nil {
			return staff, err
		}
		staff, err = a.Store.StaffByLogin(r.Context(), hash, loginIdle, used)
	}
	if errors.Is(err, order.ErrNotFound) {
		return order.Staff{}, instead(err, errUnauthenticated)
	}
	return staff, err
}
