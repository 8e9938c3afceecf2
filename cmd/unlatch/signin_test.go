package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/unlatch/unlatch/order"
)

// browser keeps cookies and says where its pages come from.
type browser struct {
	t      *testing.T
	base   string
	origin string
	client *http.Client
}

// browser opens one at an installation. Passkeys know localhost and no address.
func (v *venue) browser(t *testing.T) *browser {
	jar, _ := cookiejar.New(nil)
	base := strings.Replace(v.nodes[0].url(), "127.0.0.1", "localhost", 1)
	return &browser{t, base, base, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// ask sends JSON and returns the status, the problem's code and the body.
func (b *browser) ask(method, path string, body any) (status int, code string, raw []byte) {
	b.t.Helper()
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.send(method, "/v1/operator"+path, "application/json", string(sent))
}

func (b *browser) send(method, path, kind, body string) (status int, code string, raw []byte) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Origin", b.origin)
	r.Header.Set("Accept-Language", "en")
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	if raw, err = io.ReadAll(answer.Body); err != nil {
		b.t.Fatal(err)
	}
	var p struct{ Code string }
	_ = json.Unmarshal(raw, &p)
	if to := answer.Header.Get("Location"); to != "" {
		p.Code = to
	}
	return answer.StatusCode, p.Code, raw
}

// form sends a page's form; code is where it leads.
func (b *browser) form(path string, fields ...string) (status int, to string, page string) {
	b.t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	status, to, raw := b.send(http.MethodPost, path, "application/x-www-form-urlencoded", v.Encode())
	return status, to, string(raw)
}

// is fails the test unless an answer is as wanted.
func (b *browser) is(what string, status int, code string, wantStatus int, wantCode string) {
	b.t.Helper()
	if status != wantStatus || code != wantCode {
		b.t.Errorf("%s: %d %s, want %d %s", what, status, code, wantStatus, wantCode)
	}
}

// who is the member that the browser works as; "" when it is nobody.
func (b *browser) who() string {
	b.t.Helper()
	_, _, raw := b.ask("GET", "/me", nil)
	var me struct{ Name string }
	_ = json.Unmarshal(raw, &me)
	return me.Name
}

const passwordOfLin = "correct horse battery"

// lin is the first admin, made by the first-run page, and the browser they did it with.
func (v *venue) lin(t *testing.T) *browser {
	t.Helper()
	link, err := v.nodes[0].firstRun(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(link, "link=")
	b := v.browser(t)
	if status, to, page := b.form("/first-run", "link", secret, "name", "Lin", "password", passwordOfLin); status != 303 || to != "/welcome" {
		t.Fatalf("the first-run form: %d %s\n%s", status, to, page)
	}
	return b
}

// TestFirstRunPageMakesAnAdminWhoIsSignedIn: no password but the one that they choose.
func TestFirstRunPageMakesAnAdminWhoIsSignedIn(t *testing.T) {
	v := newVenue(t, venueConfig{})
	link, err := v.nodes[0].firstRun(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(link, "link=")
	b := v.browser(t)
	for what, fields := range map[string][]string{
		"a short password":     {"link", secret, "name", "Lin", "password", "elevenchars"},
		"the name as password": {"link", secret, "name", "Lin of the campus", "password", "lin of the campus"},
		"one letter":           {"link", secret, "name", "Lin", "password", "aaaaaaaaaaaaaa"},
		"no name":              {"link", secret, "name", " ", "password", passwordOfLin},
		"another link":         {"link", "x" + secret, "name", "Lin", "password", passwordOfLin},
	} {
		if status, _, page := b.form("/first-run", fields...); status < 400 || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: %d\n%s", what, status, page)
		}
	}
	if b.who() != "" {
		t.Error("a refused form signed somebody in")
	}
	b.origin = "https://elsewhere.example"
	if status, code, _ := b.form("/first-run", "link", secret, "name", "Eve", "password", passwordOfLin); status != 403 || code != "cross_origin" {
		t.Errorf("the form of another page: %d %s", status, code)
	}
	b.origin = b.base
	if status, to, _ := b.send("GET", "/console/devices/x?tab=2", "", ""); status != 303 || to != "/sign-in?to=%2Fconsole%2Fdevices%2Fx%3Ftab%3D2" {
		t.Errorf("the console without a login: %d %s", status, to)
	}
	status, to, _ := b.form("/first-run", "link", "http://x/first-run?link="+secret, "name", "Lin", "password", passwordOfLin)
	b.is("the form", status, to, 303, "/welcome")
	if b.who() != "Lin" {
		t.Errorf("after the form the browser works as %q", b.who())
	}
	if _, _, page := b.send("GET", "/welcome", "", ""); !strings.Contains(string(page), "API keys") || !strings.Contains(string(page), `href="/console/"`) {
		t.Errorf("welcome:\n%s", page)
	}
	if status, _, page := b.send("GET", "/console/", "", ""); status != 200 || !strings.Contains(string(page), "<script") {
		t.Errorf("the console: %d\n%.300s", status, page)
	}
	if status, _, _ := b.form("/first-run", "link", secret, "name", "Eve", "password", passwordOfLin); status != 410 {
		t.Errorf("the link worked twice: %d", status)
	}
}

// TestSignInLeadsIntoTheConsoleAndNowhereElse walks what ?to= may be.
func TestSignInLeadsIntoTheConsoleAndNowhereElse(t *testing.T) {
	v := newVenue(t, venueConfig{})
	v.lin(t)
	for to, want := range map[string]string{
		"/console/devices/bike-1?tab=2":  "/console/devices/bike-1?tab=2",
		"":                               "/console/",
		"/console/":                      "/console/",
		"//evil.example/console/":        "/console/",
		"https://evil.example/console/":  "/console/",
		"/console/../v1/operator/logout": "/console/",
		"/console/..//evil.example":      "/console/",
		"/console//evil.example":         "/console/evil.example",
		`/console/\evil.example`:         "/console/",
		`\\evil.example`:                 "/console/",
		"/consolexyz":                    "/console/",
		"javascript:alert(1)":            "/console/",
		"/console/%2e%2e/%2e%2e/x":       "/console/",
		"/console/\r\nSet-Cookie: a=b":   "/console/",
	} {
		b := v.browser(t)
		status, got, _ := b.form("/sign-in", "name", "Lin", "password", passwordOfLin, "to", to)
		b.is("to "+to, status, got, 303, want)
	}
	b := v.browser(t)
	for what, c := range map[string][2]string{"a wrong password": {"Lin", passwordOfLin + "x"}, "an unknown name": {"Nobody", passwordOfLin},
		"another case": {"lin", passwordOfLin}, "nothing": {"Lin", ""}, "something endless": {"Lin", strings.Repeat("x", 9000)}} {
		status, _, page := b.form("/sign-in", "name", c[0], "password", c[1])
		if status != 401 || !strings.Contains(page, "do not belong together") || b.who() != "" {
			t.Errorf("%s: %d, works as %q\n%s", what, status, b.who(), page)
		}
	}
	b.origin = "https://elsewhere.example"
	if status, code, _ := b.form("/sign-in", "name", "Lin", "password", passwordOfLin); status != 403 || code != "cross_origin" || b.who() != "" {
		t.Errorf("a sign-in by another page: %d %s, works as %q", status, code, b.who())
	}
}

// TestAPasswordChangeEndsOtherLogins, and what else ends a login, at once.
func TestAPasswordChangeEndsOtherLogins(t *testing.T) {
	v := newVenue(t, venueConfig{})
	lin := v.lin(t)
	other, third := v.browser(t), v.browser(t)
	for _, b := range []*browser{other, third} {
		if status, _, raw := b.ask("POST", "/logins", map[string]string{"name": "Lin", "password": passwordOfLin}); status != 201 || b.who() != "Lin" {
			t.Fatalf("sign-in: %d %s", status, raw)
		}
	}
	var list struct {
		Logins []struct {
			ID, How, Agent string
			Current        bool
			Revoked        *string `json:"revoked_at"`
		}
	}
	_, _, raw := third.ask("GET", "/logins", nil)
	if err := json.Unmarshal(raw, &list); err != nil || len(list.Logins) != 3 || !list.Logins[0].Current || list.Logins[2].Current {
		t.Fatalf("logins: %s", raw)
	}
	// A browser that signs in again leaves no second way in behind.
	if status, _, _ := third.ask("POST", "/logins", map[string]string{"name": "Lin", "password": passwordOfLin}); status != 201 {
		t.Fatal(status)
	}
	_, _, raw = lin.ask("GET", "/logins", nil)
	if err := json.Unmarshal(raw, &list); err != nil || len(list.Logins) != 4 || list.Logins[1].Revoked == nil {
		t.Fatalf("logins after another sign-in of the same browser: %s", raw)
	}
	status, code, _ := lin.ask("POST", "/logins/"+list.Logins[2].ID+"/revoke", map[string]string{"reason": "left the desk"})
	lin.is("revoke another", status, code, 204, "")
	if other.who() != "" {
		t.Error("a revoked login still works")
	}
	status, code, _ = lin.ask("POST", "/me/password", map[string]string{"old": "something else entirely", "new": "a new password of lin"})
	lin.is("a wrong old password", status, code, 422, "password_wrong")
	status, code, _ = lin.ask("POST", "/me/password", map[string]string{"old": passwordOfLin, "new": "short"})
	lin.is("a weak new password", status, code, 422, "password_weak")
	status, code, _ = lin.ask("POST", "/me/password", map[string]string{"old": passwordOfLin, "new": "a new password of lin"})
	lin.is("the change", status, code, 204, "")
	if lin.who() != "Lin" || third.who() != "" {
		t.Errorf("after the change this browser works as %q, another as %q", lin.who(), third.who())
	}
	status, code, _ = other.ask("POST", "/logins", map[string]string{"name": "Lin", "password": passwordOfLin})
	other.is("the password of before", status, code, 401, "sign_in_refused")
	status, code, _ = lin.ask("POST", "/logout", nil)
	lin.is("sign out", status, code, 204, "")
	if lin.who() != "" {
		t.Error("signed out, and still there")
	}
	if acts := v.actsOf("login.", "staff."); !slices.Equal(acts, []string{"staff.first_run", "login.add", "login.add", "login.add", "login.revoke", "staff.password", "login.end"}) {
		t.Errorf("audit rows: %v", acts)
	}
}

// actsOf are the acts that begin so, oldest first.
func (v *venue) actsOf(prefixes ...string) (acts []string) {
	v.t.Helper()
	rows, err := v.nodes[0].db.AuditPage(v.ctx, "", 500)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, row := range slices.Backward(rows) {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(row.Act, p) }) {
			acts = append(acts, row.Act)
		}
	}
	return acts
}

var linkSecret = regexp.MustCompile(`link=([A-Za-z0-9_-]+)`)

// TestWhatAMemberMayActsAtOnce on logins and keys alike; and an admin of all venues is
// always left.
func TestWhatAMemberMayActsAtOnce(t *testing.T) {
	v := newVenue(t, venueConfig{})
	lin, mei := v.lin(t), v.browser(t)
	status, code, raw := lin.ask("POST", "/staff", map[string]any{"name": "Mei", "role": "admin", "invite": true})
	lin.is("invite", status, code, 201, "")
	var made struct {
		ID     string
		APIKey string `json:"api_key"`
		Link   string `json:"invite_link"`
	}
	if err := json.Unmarshal(raw, &made); err != nil || made.APIKey != "" || made.Link == "" {
		t.Fatalf("invited: %s", raw)
	}
	secret := linkSecret.FindStringSubmatch(made.Link)[1]
	if status, _, _ := mei.form("/invite", "link", secret, "password", "too short"); status != 422 {
		t.Errorf("a weak password: %d", status)
	}
	status, to, _ := mei.form("/invite", "link", secret, "password", "the password of mei")
	mei.is("the invite", status, to, 303, "/welcome")
	if status, _, _ := v.browser(t).form("/invite", "link", secret, "password", "the password of eve"); status != 410 {
		t.Errorf("the invite worked twice: %d", status)
	}
	if mei.who() != "Mei" {
		t.Fatalf("after the invite the browser works as %q", mei.who())
	}
	_, _, raw = lin.ask("POST", "/keys", map[string]any{"staff": made.ID, "label": "script", "role": "admin"})
	var key struct {
		APIKey string `json:"api_key"`
	}
	if err := json.Unmarshal(raw, &key); err != nil {
		t.Fatal(err)
	}
	script := client{base: v.nodes[0].url(), token: key.APIKey}
	change := func(role string, venues []string, disabled bool) {
		t.Helper()
		status, code, raw := lin.ask("PUT", "/staff/"+made.ID, map[string]any{"role": role, "venues": venues, "disabled": disabled, "reason": "test"})
		if status != 200 {
			t.Fatalf("change to %s %v %v: %d %s %s", role, venues, disabled, status, code, raw)
		}
	}
	both := func(what, path string, status int, code string) {
		t.Helper()
		got, gotCode, _ := mei.ask("GET", path, nil)
		mei.is(what+" with a login", got, gotCode, status, code)
		got, gotCode, _ = v.ask(script, "GET", "/v1/operator"+path, "", "")
		mei.is(what+" with a key", got, gotCode, status, code)
	}
	both("an admin", "/staff", 200, "")
	change("viewer", nil, false)
	both("a viewer", "/staff", 403, "role_insufficient")
	change("admin", []string{demoVenue}, false)
	both("an admin of a venue", "/staff", 403, "venue_scope")
	both("an admin of a venue", "/venues/"+demoVenue, 200, "")
	change("admin", nil, false)
	both("an admin again", "/staff", 200, "")
	change("admin", nil, true)
	both("disabled", "/me", 401, "unauthenticated")
	change("admin", nil, false)
	if got, _, _ := mei.ask("GET", "/me", nil); got != 401 {
		t.Errorf("who was disabled has their login back: %d", got)
	}
	change("admin", []string{demoVenue}, false)
	_, _, raw = lin.ask("GET", "/me", nil)
	var me struct{ ID string }
	if err := json.Unmarshal(raw, &me); err != nil {
		t.Fatal(err)
	}
	for what, body := range map[string]map[string]any{
		"demoted":  {"role": "finance", "venues": nil, "disabled": false, "reason": "r"},
		"scoped":   {"role": "admin", "venues": []string{demoVenue}, "disabled": false, "reason": "r"},
		"disabled": {"role": "admin", "venues": nil, "disabled": true, "reason": "r"},
	} {
		status, code, _ := lin.ask("PUT", "/staff/"+me.ID, body)
		lin.is("the last admin "+what, status, code, 409, "last_admin_key")
	}
	status, code, _ = lin.ask("PUT", "/staff/"+made.ID, map[string]any{"role": "admin", "venues": []string{"nowhere"}, "disabled": false, "reason": "r"})
	lin.is("an unknown venue", status, code, 422, "reference_unknown")
	status, code, _ = lin.ask("PUT", "/staff/"+made.ID, map[string]any{"role": "admin", "disabled": false, "reason": "r"})
	lin.is("a change that forgets the venues", status, code, 400, "bad_request")
}

// TestTheOwnerOfTheMachineLetsALostAdminIn with the command line.
func TestTheOwnerOfTheMachineLetsALostAdminIn(t *testing.T) {
	v := newVenue(t, venueConfig{})
	lin := v.lin(t)
	out, err := v.unlatch(client{}, "staff", "invite", "Lin", "--database-url", v.url, "--at", lin.base)
	if err != nil || !strings.Contains(out, lin.base+"/invite?link=") {
		t.Fatalf("%v\n%s", err, out)
	}
	if list, err := v.unlatch(client{}, "staff", "list", "--database-url", v.url); err != nil || !strings.Contains(list, "Lin\tadmin\tall venues\tpassword") {
		t.Errorf("%v\n%s", err, list)
	}
	if _, err := v.unlatch(client{}, "staff", "invite", "Nobody", "--database-url", v.url); err == nil || !strings.Contains(err.Error(), "nobody is called") {
		t.Errorf("an unknown name: %v", err)
	}
	if lin.who() != "Lin" {
		t.Error("an invite that nobody used ended a login")
	}
	again := v.browser(t)
	status, to, _ := again.form("/invite", "link", linkSecret.FindStringSubmatch(out)[1], "password", "found again after all")
	again.is("the invite", status, to, 303, "/welcome")
	if again.who() != "Lin" || lin.who() != "" {
		t.Errorf("after the invite %q and %q", again.who(), lin.who())
	}
	if acts := v.actsOf("staff."); !slices.Equal(acts, []string{"staff.first_run", "staff.invite", "staff.password_by_invite"}) {
		t.Errorf("audit rows: %v", acts)
	}
}

// softPasskey is an authenticator in software: ES256, always present and verified.
type softPasskey struct {
	key    *ecdsa.PrivateKey
	id     []byte
	rp     string
	origin string
	count  uint32
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *softPasskey) data(flags byte) []byte {
	sum := sha256.Sum256([]byte(a.rp))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), a.count)
}

func (a *softPasskey) clientData(kind, challenge string) []byte {
	return fmt.Appendf(nil, `{"type":"webauthn.%s","challenge":"%s","origin":"%s","crossOrigin":false}`, kind, challenge, a.origin)
}

// made answers a registration (WebAuthn level 3 section 7.1), attestation none.
func (a *softPasskey) made(t *testing.T, challenge string) any {
	t.Helper()
	point, err := a.key.PublicKey.Bytes() // uncompressed: 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		t.Fatal(err)
	}
	data := append(a.data(0x45), make([]byte, 16)...)
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(a.id))), a.id...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": append(data, cose...)})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(a.clientData("create", challenge)), "attestationObject": b64(object)}}
}

// signed answers a sign-in (section 7.2).
func (a *softPasskey) signed(t *testing.T, challenge, staff string) any {
	t.Helper()
	a.count++
	client := a.clientData("get", challenge)
	sum := sha256.Sum256(client)
	whole := sha256.Sum256(append(a.data(0x05), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, whole[:])
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(a.data(0x05)), "signature": b64(signature), "userHandle": b64([]byte(staff))}}
}

// TestAPasskeySignsInOncePerQuestion registers one, signs in, and tries what a thief of
// an answer or a copy of the authenticator would.
func TestAPasskeySignsInOncePerQuestion(t *testing.T) {
	v := newVenue(t, venueConfig{})
	lin := v.lin(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &softPasskey{key: key, id: []byte("a credential of sixteen bytes or more"), rp: "localhost", origin: lin.base}
	var asked struct {
		Ceremony  string
		PublicKey struct {
			Challenge string
			User      struct{ ID string }
		}
	}
	question := func(b *browser, path string) string {
		t.Helper()
		status, code, raw := b.ask("POST", path, nil)
		if err := json.Unmarshal(raw, &asked); err != nil || status != 200 || asked.PublicKey.Challenge == "" {
			t.Fatalf("%s: %d %s %s", path, status, code, raw)
		}
		return asked.PublicKey.Challenge
	}
	answer := a.made(t, question(lin, "/passkeys/options"))
	staff, err := base64.RawURLEncoding.DecodeString(asked.PublicKey.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	status, code, raw := lin.ask("POST", "/passkeys", map[string]any{"label": "desk", "credential": answer})
	lin.is("register: "+string(raw), status, code, 201, "")
	var passkey struct{ ID string }
	_ = json.Unmarshal(raw, &passkey)
	status, code, _ = lin.ask("POST", "/passkeys", map[string]any{"label": "again", "credential": answer})
	lin.is("the same answer again", status, code, 422, "passkey_refused")

	b := v.browser(t)
	signIn := func(b *browser, ceremony string, credential any) (int, string) {
		t.Helper()
		status, code, _ := b.ask("POST", "/logins/passkey", map[string]any{"ceremony": ceremony, "credential": credential})
		return status, code
	}
	challenge := question(b, "/logins/passkey/options")
	good := a.signed(t, challenge, string(staff))
	status, code = signIn(b, asked.Ceremony, good)
	b.is("sign in", status, code, 201, "")
	if b.who() != "Lin" {
		t.Errorf("works as %q", b.who())
	}
	thief := v.browser(t)
	status, code = signIn(thief, asked.Ceremony, good)
	b.is("the same answer to the same question", status, code, 422, "passkey_refused")
	question(thief, "/logins/passkey/options")
	status, code = signIn(thief, asked.Ceremony, good)
	b.is("the same answer to another question", status, code, 422, "passkey_refused")
	copied := &softPasskey{key: a.key, id: a.id, rp: a.rp, origin: a.origin, count: 0}
	spent := asked.Ceremony
	status, code = signIn(thief, spent, a.signed(t, asked.PublicKey.Challenge, string(staff)))
	b.is("a good answer to a question that was spent", status, code, 422, "passkey_refused")
	challenge = question(thief, "/logins/passkey/options")
	status, code = signIn(thief, asked.Ceremony, copied.signed(t, challenge, string(staff)))
	b.is("a copy, whose counter is behind", status, code, 422, "passkey_refused")
	phished := &softPasskey{key: a.key, id: a.id, rp: "localhost", origin: "https://evil.example", count: 100}
	challenge = question(thief, "/logins/passkey/options")
	status, code = signIn(thief, asked.Ceremony, phished.signed(t, challenge, string(staff)))
	b.is("an answer that another page drew", status, code, 422, "passkey_refused")
	elsewhere := &softPasskey{key: a.key, id: a.id, rp: "evil.example", origin: lin.base, count: 300}
	challenge = question(thief, "/logins/passkey/options")
	status, code = signIn(thief, asked.Ceremony, elsewhere.signed(t, challenge, string(staff)))
	b.is("an answer for another host", status, code, 422, "passkey_refused")
	if thief.who() != "" {
		t.Errorf("the thief works as %q", thief.who())
	}
	status, code, _ = lin.ask("POST", "/passkeys/"+passkey.ID+"/revoke", nil)
	lin.is("revoke", status, code, 204, "")
	challenge = question(b, "/logins/passkey/options")
	status, code = signIn(b, asked.Ceremony, a.signed(t, challenge, string(staff)))
	b.is("a revoked passkey", status, code, 422, "passkey_refused")
	if acts := v.actsOf("passkey.", "login."); !slices.Equal(acts, []string{"passkey.add", "login.add", "passkey.revoke"}) {
		t.Errorf("audit rows: %v", acts)
	}
	bare := client{base: v.nodes[0].url(), token: v.staffed(order.Admin).token}
	status, code, _ = v.ask(bare, "POST", "/v1/operator/passkeys/options", "", "")
	b.is("a key that would register a passkey", status, code, 403, "login_needed")
}
