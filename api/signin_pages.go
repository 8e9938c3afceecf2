package api

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/rider"
)

// consoleHome is where the console begins.
const consoleHome = "/console/"

// signInPageRoutes are the pages that lead into the console. They work without a script.
func (a *API) signInPageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sign-in", a.signInPage)
	mux.HandleFunc("POST /sign-in", a.ownForm(a.signInForm))
	mux.HandleFunc("GET /sign-in.js", a.signInScript)
	mux.HandleFunc("POST /sign-out", a.ownForm(a.signOutForm))
	mux.HandleFunc("GET /invite", a.invitePage)
	mux.HandleFunc("POST /invite", a.ownForm(a.inviteForm))
	mux.HandleFunc("GET /first-run", a.firstRunPage)
	mux.HandleFunc("POST /first-run", a.ownForm(a.firstRunForm))
	mux.HandleFunc("GET /welcome", a.welcomePage)
	mux.HandleFunc("GET /console", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, consoleHome, http.StatusSeeOther) })
	mux.HandleFunc("GET /console/", a.console)
}

// pageFor is a page in the reader's language.
func pageFor(r *http.Request) pageView {
	language := rider.Language(r.Header.Get("Accept-Language"))
	return pageView{Language: language, Say: pageWords[language]}
}

// wrong puts a problem on the page it happened on, in its language.
func (a *API) wrong(r *http.Request, v *pageView, what string, err error) (status int) {
	p := a.problem(r.Context(), what, err)
	a.countRefusal(p.Code)
	if v.Error = v.Say[p.Code]; v.Error == "" {
		v.Error = p.Detail
	}
	return p.Status
}

// ownForm lets forms through that this host's own pages sent, and reads them. Another
// page must not sign anybody in: they would work as somebody else without knowing.
func (a *API) ownForm(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := a.sameOrigin(r); err != nil {
			a.refuse(w, r, "form", err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			a.refuse(w, r, "form", errBadRequest)
			return
		}
		next(w, r)
	}
}

// consolePath returns a path of the console, and its beginning for anything else: what is
// asked for comes from an address that anybody may have made.
func consolePath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(to, "\\\r\n\t\x00") {
		return consoleHome
	}
	clean := path.Clean("/" + u.Path)
	if !strings.HasPrefix(u.Path, consoleHome) || !strings.HasPrefix(clean+"/", consoleHome) {
		return consoleHome
	}
	if clean+"/" == consoleHome {
		clean = consoleHome
	}
	return (&url.URL{Path: clean, RawQuery: u.RawQuery}).String()
}

func (a *API) signInPage(w http.ResponseWriter, r *http.Request) {
	v := pageFor(r)
	v.To, v.Script = consolePath(r.URL.Query().Get("to")), true
	a.page(w, r, http.StatusOK, "sign-in.html", v)
}

func (a *API) signInForm(w http.ResponseWriter, r *http.Request) {
	v := pageFor(r)
	v.To, v.Script, v.Name = consolePath(r.PostForm.Get("to")), true, strings.TrimSpace(r.PostForm.Get("name"))
	if v.Name == "" || len([]rune(v.Name)) > 100 || strings.ContainsRune(v.Name, 0) {
		v.Name, v.Error = "", v.Say["sign_in_refused"]
		a.page(w, r, http.StatusUnauthorized, "sign-in.html", v)
		return
	}
	secret, err := a.signIn(r.Context(), r, v.Name, r.PostForm.Get("password"))
	if err != nil {
		a.page(w, r, a.wrong(r, &v, "sign-in", err), "sign-in.html", v)
		return
	}
	a.setCookie(w, r, secret)
	http.Redirect(w, r, v.To, http.StatusSeeOther)
}

func (a *API) signInScript(w http.ResponseWriter, _ *http.Request) {
	body, _ := pageFiles.ReadFile("pages/sign-in.js") // embedded
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body)
}

// signOutForm is for pages without a script; it does what POST /v1/operator/logout does.
func (a *API) signOutForm(w http.ResponseWriter, r *http.Request) {
	if s, ok := a.signedIn(w, r); ok {
		act := audit(r.Context(), "login.end", "staff "+s.ID, "", map[string]string{"login": s.Login})
		act.Staff = s.ID
		if err := a.Store.RevokeLogin(r.Context(), s.Login, s.ID, act); err != nil {
			a.refuse(w, r, "sign-out", err)
			return
		}
		a.setCookie(w, r, "")
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	}
}

// signedIn is whose login the cookie holds; without one it has answered already, with
// the way to the sign-in page.
func (a *API) signedIn(w http.ResponseWriter, r *http.Request) (order.Staff, bool) {
	hash, ok := cookieOf(r)
	err := error(order.ErrNotFound)
	var s order.Staff
	if ok {
		s, err = a.Store.StaffByLogin(r.Context(), hash, loginIdle, true)
	}
	switch {
	case errors.Is(err, order.ErrNotFound):
		to := url.Values{}
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, consoleHome) {
			to.Set("to", r.URL.RequestURI())
		}
		where := url.URL{Path: "/sign-in", RawQuery: to.Encode()}
		http.Redirect(w, r, where.String(), http.StatusSeeOther)
		return s, false
	case err != nil:
		a.refuse(w, r, "console", err)
		return s, false
	}
	return s, true
}

// console serves the console's files to who is signed in. They hold no secret, but
// whoever sees them should not have to wonder why nothing works.
func (a *API) console(w http.ResponseWriter, r *http.Request) {
	if a.Console == nil {
		a.refuse(w, r, "console", errRoute)
		return
	}
	if strings.HasPrefix(r.URL.Path, consoleHome+"a/") { // immutable files, the same for everybody
		a.Console.ServeHTTP(w, r)
		return
	}
	if _, ok := a.signedIn(w, r); ok {
		a.Console.ServeHTTP(w, r)
	}
}

// invitePage shows the form. It does not look at the link, so that a preview of the
// address in a chat spends and tells nothing.
func (a *API) invitePage(w http.ResponseWriter, r *http.Request) {
	v := pageFor(r)
	v.Link = r.URL.Query().Get("link")
	a.page(w, r, http.StatusOK, "invite.html", v)
}

func (a *API) inviteForm(w http.ResponseWriter, r *http.Request) {
	v := pageFor(r)
	v.Link = r.PostForm.Get("link")
	secret, err := a.useInvite(r, v.Link, r.PostForm.Get("password"))
	if err != nil {
		a.page(w, r, a.wrong(r, &v, "invite", err), "invite.html", v)
		return
	}
	a.setCookie(w, r, secret)
	http.Redirect(w, r, "/welcome", http.StatusSeeOther)
}

// useInvite sets a member's password and signs them in; errInvite.
func (a *API) useInvite(r *http.Request, link, password string) (secret string, err error) {
	if err := a.tries.take(sourceOf(r, a.TrustProxy), time.Now()); err != nil {
		return "", err
	}
	hash := HashSecret(linkSecret(link))
	s, err := a.Store.Invited(r.Context(), hash)
	if err != nil {
		return "", instead(err, errInvite)
	}
	if err := checkPassword(s.Name, password); err != nil {
		return "", err
	}
	encoded, err := a.hashes.encode(r.Context(), password)
	if err != nil {
		return "", err
	}
	l, secret := a.newLogin(r, s.ID, order.LoginPassword)
	act := audit(r.Context(), "staff.password_by_invite", "staff "+s.ID, "", map[string]string{"login": l.ID})
	act.Staff = s.ID
	return secret, instead(a.Store.UseInvite(r.Context(), hash, encoded, l, act), errInvite)
}

// firstRunPage shows the form. It does not look at the link, so that a preview of
// the address in a chat spends and tells nothing.
func (a *API) firstRunPage(w http.ResponseWriter, r *http.Request) {
	v := pageFor(r)
	v.Link = r.URL.Query().Get("link")
	a.page(w, r, http.StatusOK, "first-run.html", v)
}

// firstRunForm spends the link: it makes the first admin and signs them in.
func (a *API) firstRunForm(w http.ResponseWriter, r *http.Request) {
	v := pageFor(r)
	v.Link, v.Name = r.PostForm.Get("link"), strings.TrimSpace(r.PostForm.Get("name"))
	if v.Name == "" || len([]rune(v.Name)) > 100 || strings.ContainsRune(v.Name, 0) || len(v.Link) > 400 {
		v.Error = v.Say["badName"]
		a.page(w, r, http.StatusBadRequest, "first-run.html", v)
		return
	}
	secret, err := a.setUpByPassword(r, v.Link, v.Name, r.PostForm.Get("password"))
	if err != nil {
		a.page(w, r, a.wrong(r, &v, "first-run", err), "first-run.html", v)
		return
	}
	a.setCookie(w, r, secret)
	http.Redirect(w, r, "/welcome", http.StatusSeeOther)
}

// setUpByPassword makes the first admin, signed in; errFirstRun when the link does not
// allow it.
func (a *API) setUpByPassword(r *http.Request, link, name, password string) (secret string, err error) {
	if err := a.tries.take(sourceOf(r, a.TrustProxy), time.Now()); err != nil {
		return "", err
	}
	hash := HashSecret(linkSecret(link))
	// First what is cheap: a stranger must not make this server compute.
	if err := a.Store.FirstRunOpen(r.Context(), hash); err != nil {
		return "", instead(err, errFirstRun)
	}
	if err := checkPassword(name, password); err != nil {
		return "", err
	}
	encoded, err := a.hashes.encode(r.Context(), password)
	if err != nil {
		return "", err
	}
	s := order.Staff{ID: newID(time.Now()), Name: name, Role: order.Admin}
	l, secret := a.newLogin(r, s.ID, order.LoginPassword)
	err = a.Store.SetUp(r.Context(), hash, s, encoded, l, auditFirstRun(r.Context(), s))
	return secret, instead(err, errFirstRun)
}

// welcomePage follows a first sign-in: it says where the console is, and where keys are
// made.
func (a *API) welcomePage(w http.ResponseWriter, r *http.Request) {
	s, ok := a.signedIn(w, r)
	if !ok {
		return
	}
	v := pageFor(r)
	v.Name, v.Admin = s.Name, overOthers(s)
	a.page(w, r, http.StatusOK, "welcome.html", v)
}
