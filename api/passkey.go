package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/unlatch/unlatch/order"
)

// ceremonyLife is for how long a passkey ceremony may be finished.
const ceremonyLife = 5 * time.Minute

// passkeysMost is how many passkeys a member may have in force.
const passkeysMost = 20

var (
	errPasskey        = errors.New("the passkey was not accepted; begin again")
	errPasskeyPlace   = errors.New("passkeys work at the installation's own domain by https, or at localhost")
	errPasskeyUnknown = errors.New("there is no such passkey")
	errPasskeyMany    = fmt.Errorf("a member has at most %d passkeys; revoke one: %w", passkeysMost, order.ErrInvalid)
)

// Passkeys are members' WebAuthn credentials, and the ceremonies that are under way.
type Passkeys interface {
	// BeginCeremony keeps data; login names whose registration it is, "" is a sign-in.
	BeginCeremony(ctx context.Context, id, login string, data []byte, life time.Duration) error
	// EndCeremony returns the data once; order.ErrNotFound.
	EndCeremony(ctx context.Context, id, login string) ([]byte, error)
	Passkeys(ctx context.Context, staff string) ([]order.Passkey, error)
	// AddPasskey returns order.ErrExists for a credential that is known.
	AddPasskey(ctx context.Context, p order.Passkey, a order.Audit) error
	// RevokePasskey ends one, of that member unless staff is empty; order.ErrNotFound,
	// order.ErrLastAdmin.
	RevokePasskey(ctx context.Context, id, staff string, a order.Audit) error
	// PasskeyLogin replaces the record that the proof was compared with, before, and signs
	// in; order.ErrNotFound when that is not the record any more.
	PasskeyLogin(ctx context.Context, p order.Passkey, before []byte, l order.NewLogin, a order.Audit) error
}

// passkeys knows at which addresses browsers may be asked for one: a credential belongs
// to the host that it was made at.
type passkeys struct {
	scheme, domain, host, name string
}

func newPasskeys(scheme, domain, name string) *passkeys {
	return &passkeys{scheme, domain, hostOf(domain), name}
}

func hostOf(domain string) string {
	if host, _, err := net.SplitHostPort(domain); err == nil {
		return host
	}
	return domain
}

// at is the ceremony's other side for a browser at this address; errPasskeyPlace where
// browsers refuse.
func (p *passkeys) at(r *http.Request) (*webauthn.WebAuthn, error) {
	host := hostOf(r.Host)
	origin := p.scheme + "://" + p.domain
	if host != p.host {
		if host != "localhost" {
			return nil, errPasskeyPlace
		}
		origin = "http://" + r.Host
		if r.TLS != nil {
			origin = "https://" + r.Host
		}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, errPasskeyPlace // an address is no domain to browsers
	}
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: ceremonyLife, TimeoutUVD: ceremonyLife}
	w, err := webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: p.name, RPOrigins: []string{origin},
		AttestationPreference:  protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired},
		Timeouts:               webauthn.TimeoutsConfig{Login: limit, Registration: limit}})
	if err != nil {
		return nil, errors.Join(errPasskeyPlace, err)
	}
	return w, nil
}

// holder is a member as the ceremonies know one.
type holder struct {
	id, name string
	keys     []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return []byte(h.id) }
func (h holder) WebAuthnName() string                       { return h.name }
func (h holder) WebAuthnDisplayName() string                { return h.name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// holderOf reads a member's passkeys in force.
func (a *API) holderOf(ctx context.Context, staff, name string) (h holder, rows []order.Passkey, err error) {
	all, err := a.Store.Passkeys(ctx, staff)
	if err != nil {
		return h, nil, err
	}
	h = holder{id: staff, name: name}
	for _, p := range all {
		if p.Revoked != nil {
			continue
		}
		var c webauthn.Credential
		if err := json.Unmarshal(p.Record, &c); err != nil {
			return h, nil, fmt.Errorf("read passkey %s: %w", p.ID, err)
		}
		h.keys, rows = append(h.keys, c), append(rows, p)
	}
	return h, rows, nil
}

func (a *API) passkeyRoutes(h huma.API) {
	op := forStaff("begin-passkey", http.MethodPost, "/v1/operator/passkeys/options", "Begin to register a passkey")
	op.Description += " It needs a login of the last ten minutes, or the password. The answer is for navigator.credentials.create; what that returns is for POST /v1/operator/passkeys, within five minutes."
	register(a, h, op, a.beginPasskey)
	op = forStaff("add-passkey", http.MethodPost, "/v1/operator/passkeys", "Register a passkey")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addPasskey)
	register(a, h, forStaff("list-passkeys", http.MethodGet, "/v1/operator/passkeys", "Passkeys, newest first"), a.listPasskeys)
	register(a, h, forStaff("revoke-passkey", http.MethodPost, "/v1/operator/passkeys/{id}/revoke", "End a passkey"), a.revokePasskey)
	op = forStaff("begin-passkey-login", http.MethodPost, "/v1/operator/logins/passkey/options", "Begin to sign in with a passkey")
	op.Description = "The answer is for navigator.credentials.get; what that returns is for POST /v1/operator/logins/passkey, within five minutes."
	register(a, h, op, a.beginPasskeyLogin)
	op = forStaff("add-passkey-login", http.MethodPost, "/v1/operator/logins/passkey", "Sign in with a passkey")
	op.Description = "The answer sets the cookie, as POST /v1/operator/logins does."
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addPasskeyLogin)
}

// PasskeyOptions is what a browser is asked.
type PasskeyOptions struct {
	PublicKey any `json:"publicKey" doc:"As PublicKeyCredential.parseCreationOptionsFromJSON takes it"`
}

type passkeyOptionsOutput struct{ Body PasskeyOptions }

// ProofBody shows that who asks is more than a cookie.
type ProofBody struct {
	Password string `json:"password,omitempty" maxLength:"256" doc:"My own; needed unless the login is of the last ten minutes"`
}

type beginPasskeyInput struct{ Body *ProofBody }

// beginPasskey asks for a fresh proof: a passkey outlives the login that it was made in,
// so that a stolen cookie must not be enough.
func (a *API) beginPasskey(ctx context.Context, in *beginPasskeyInput) (*passkeyOptionsOutput, error) {
	s := staffOf(ctx)
	if in.Body != nil && in.Body.Password != "" {
		if _, err := a.provePassword(ctx, s, in.Body.Password); err != nil {
			return nil, err
		}
	} else if s.LoginAge > loginFresh {
		return nil, errProofNeeded
	}
	w, err := a.passkeys.at(visitorOf(ctx).r)
	if err != nil {
		return nil, err
	}
	h, _, err := a.holderOf(ctx, s.ID, s.Name)
	if err != nil {
		return nil, err
	}
	if len(h.keys) >= passkeysMost {
		return nil, errPasskeyMany
	}
	creation, session, err := w.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return nil, fmt.Errorf("begin passkey: %w", err)
	}
	data, err := json.Marshal(session)
	if err != nil {
		return nil, fmt.Errorf("begin passkey: %w", err)
	}
	if err := a.Store.BeginCeremony(ctx, newID(time.Now()), s.Login, data, ceremonyLife); err != nil {
		return nil, err
	}
	return &passkeyOptionsOutput{PasskeyOptions{creation.Response}}, nil
}

// NewPasskey is what a browser answered.
type NewPasskey struct {
	Label      string          `json:"label" minLength:"1" maxLength:"100" pattern:"\\S"`
	Credential json.RawMessage `json:"credential" doc:"What navigator.credentials.create returned, as its toJSON gives it"`
}

// Passkey is a member's WebAuthn credential.
type Passkey struct {
	ID       string     `json:"id"`
	Staff    string     `json:"staff"`
	Label    string     `json:"label"`
	Created  time.Time  `json:"created_at"`
	LastUsed *time.Time `json:"last_used_at,omitempty"`
	Revoked  *time.Time `json:"revoked_at,omitempty"`
}

func passkeyOf(p order.Passkey) Passkey {
	return Passkey{p.ID, p.Staff, p.Label, p.Created, p.LastUsed, p.Revoked}
}

type addPasskeyInput struct{ Body NewPasskey }

type passkeyOutput struct{ Body Passkey }

func (a *API) addPasskey(ctx context.Context, in *addPasskeyInput) (*passkeyOutput, error) {
	s := staffOf(ctx)
	w, err := a.passkeys.at(visitorOf(ctx).r)
	if err != nil {
		return nil, err
	}
	session, err := a.ended(ctx, "", s.Login)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(in.Body.Credential)
	if err != nil {
		return nil, refusedPasskey(err)
	}
	credential, err := w.CreateCredential(holder{id: s.ID, name: s.Name}, session, parsed)
	if err != nil {
		return nil, refusedPasskey(err)
	}
	credential.Attestation = webauthn.CredentialAttestation{} // nobody asks what it was made by
	record, err := json.Marshal(credential)
	if err != nil {
		return nil, fmt.Errorf("add passkey: %w", err)
	}
	now := time.Now()
	p := order.Passkey{ID: newID(now), Staff: s.ID, Label: in.Body.Label, Credential: credential.ID, Record: record, Created: now}
	act := audit(ctx, "passkey.add", "staff "+s.ID, "", map[string]string{"passkey": p.ID, "label": p.Label})
	if err := a.Store.AddPasskey(ctx, p, act); err != nil {
		return nil, err
	}
	return &passkeyOutput{passkeyOf(p)}, nil
}

// ended takes a ceremony that was begun; errPasskey when there is none.
func (a *API) ended(ctx context.Context, id, login string) (s webauthn.SessionData, err error) {
	data, err := a.Store.EndCeremony(ctx, id, login)
	if err != nil {
		return s, instead(err, errPasskey)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read ceremony: %w", err)
	}
	return s, nil
}

// refusedPasskey keeps the cause, which the answer does not tell.
func refusedPasskey(err error) error { return fmt.Errorf("%w: %w", errPasskey, err) }

// PasskeyList is passkeys.
type PasskeyList struct {
	Passkeys []Passkey `json:"passkeys"`
}

type listPasskeysInput struct {
	Staff string `query:"staff" format:"uuid" doc:"A member's id: for admins of all venues. My own, unless given"`
}

type listPasskeysOutput struct{ Body PasskeyList }

func (a *API) listPasskeys(ctx context.Context, in *listPasskeysInput) (*listPasskeysOutput, error) {
	of, err := askedOf(staffOf(ctx), in.Staff)
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Passkeys(ctx, of)
	if err != nil {
		return nil, err
	}
	return &listPasskeysOutput{PasskeyList{each(rows, passkeyOf)}}, nil
}

func (a *API) revokePasskey(ctx context.Context, in *revokeLoginInput) (*struct{}, error) {
	of := staffOf(ctx).ID
	if overOthers(staffOf(ctx)) {
		of = ""
	}
	act := audit(ctx, "passkey.revoke", "passkey "+in.ID, reasonOf(in.Body), nil)
	return nil, instead(a.Store.RevokePasskey(ctx, in.ID, of, act), errPasskeyUnknown)
}

// PasskeyQuestion is what a browser is asked to sign in.
type PasskeyQuestion struct {
	Ceremony  string `json:"ceremony" doc:"Send it back with the answer"`
	PublicKey any    `json:"publicKey" doc:"As PublicKeyCredential.parseRequestOptionsFromJSON takes it"`
}

type passkeyQuestionOutput struct{ Body PasskeyQuestion }

func (a *API) beginPasskeyLogin(ctx context.Context, _ *struct{}) (*passkeyQuestionOutput, error) {
	v := visitorOf(ctx)
	if err := a.tries.take(sourceOf(v.r, a.TrustProxy), time.Now()); err != nil { // each is a row
		return nil, err
	}
	w, err := a.passkeys.at(v.r)
	if err != nil {
		return nil, err
	}
	assertion, session, err := w.BeginDiscoverableLogin()
	if err != nil {
		return nil, fmt.Errorf("begin passkey login: %w", err)
	}
	data, err := json.Marshal(session)
	if err != nil {
		return nil, fmt.Errorf("begin passkey login: %w", err)
	}
	id := newID(time.Now())
	if err := a.Store.BeginCeremony(ctx, id, "", data, ceremonyLife); err != nil {
		return nil, err
	}
	return &passkeyQuestionOutput{PasskeyQuestion{id, assertion.Response}}, nil
}

// PasskeyAnswer is what a browser answered.
type PasskeyAnswer struct {
	Ceremony   string          `json:"ceremony" format:"uuid"`
	Credential json.RawMessage `json:"credential" doc:"What navigator.credentials.get returned, as its toJSON gives it"`
}

type passkeyLoginInput struct{ Body PasskeyAnswer }

func (a *API) addPasskeyLogin(ctx context.Context, in *passkeyLoginInput) (*struct{}, error) {
	v := visitorOf(ctx)
	w, err := a.passkeys.at(v.r)
	if err != nil {
		return nil, err
	}
	session, err := a.ended(ctx, in.Body.Ceremony, "")
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(in.Body.Credential)
	if err != nil {
		return nil, refusedPasskey(err)
	}
	var held []order.Passkey
	_, credential, err := w.ValidatePasskeyLogin(func(_, staff []byte) (webauthn.User, error) {
		h, rows, err := a.holderOf(ctx, string(staff), "")
		held = rows
		return h, err
	}, session, parsed)
	if err != nil {
		return nil, refusedPasskey(err)
	}
	if credential.Authenticator.CloneWarning {
		a.Log.Warn("a passkey's counter went back: it may have been copied", "by", "staff "+string(parsed.Response.UserHandle))
		return nil, errPasskey
	}
	for _, p := range held {
		if subtle.ConstantTimeCompare(p.Credential, credential.ID) != 1 {
			continue
		}
		before := p.Record
		if p.Record, err = json.Marshal(credential); err != nil {
			return nil, fmt.Errorf("add passkey login: %w", err)
		}
		l, secret := a.newLogin(v.r, p.Staff, order.LoginPasskey)
		if err := a.Store.PasskeyLogin(ctx, p, before, l, auditLogin(l)); err != nil {
			return nil, instead(err, errPasskey)
		}
		a.setCookie(v.w, v.r, secret)
		return nil, nil
	}
	return nil, errPasskey
}
