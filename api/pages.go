package api

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/rider"
)

//go:embed pages/*.html pages/*.js
var pageFiles embed.FS

// pages are the installation's own pages; what a code leads to is package rider's.
var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// pageView is what the installation's own pages say.
type pageView struct {
	Style    template.CSS
	Operator string
	Language string
	Say      map[string]string // texts, by what they are for
	Link     string
	Name     string
	Error    string
	To       string // where a sign-in leads
	Admin    bool
	Script   bool // the page loads one of this host, which it does not need
}

// page writes one of the installation's own pages. They need no script and load
// nothing from elsewhere; their forms go to this host alone.
func (a *API) page(w http.ResponseWriter, r *http.Request, status int, name string, v pageView) {
	v.Style, v.Operator = rider.Style(), a.DisplayName
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		a.refuse(w, r, name, err)
		return
	}
	rider.Headers(w.Header())
	if v.Script {
		w.Header().Set("Content-Security-Policy", w.Header().Get("Content-Security-Policy")+"; script-src 'self'; connect-src 'self'")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (a *API) homePage(w http.ResponseWriter, r *http.Request) {
	a.page(w, r, http.StatusOK, "home.html", pageView{})
}

// codePage is what a phone's own camera opens: it names the device and says how to
// ride. It writes nothing, and probes nothing.
func (a *API) codePage(w http.ResponseWriter, r *http.Request) {
	v, err := a.codeView(r.Context(), r.URL.EscapedPath())
	var late *limited
	if errors.As(err, &late) {
		a.refuse(w, r, "code page", err)
		return
	}
	if err != nil {
		p := a.problem(r.Context(), "code page", err)
		a.countRefusal(p.Code)
		v.Status, v.Wrong = p.Status, wrongWith(err)
	}
	if err := a.CodePage(w, rider.Language(r.Header.Get("Accept-Language")), v); err != nil {
		a.refuse(w, r, "code page", err)
	}
}

// wrongWith picks the page that explains an error.
func wrongWith(err error) rider.Wrong {
	for _, c := range []struct {
		err   error
		wrong rider.Wrong
	}{
		{qr.ErrForged, rider.Forged},
		{qr.ErrMistyped, rider.Mistyped},
		{qr.ErrNotACode, rider.Mistyped},
		{order.ErrCodeRevoked, rider.Revoked},
		{order.ErrCodeUnbound, rider.Unbound},
		{errCodeUnknown, rider.Unknown},
	} {
		if errors.Is(err, c.err) {
			return c.wrong
		}
	}
	return rider.Broken
}

// codeView reads what the page behind a code shows. With an error the view holds
// what is known all the same.
func (a *API) codeView(ctx context.Context, path string) (rider.View, error) {
	v := rider.View{Status: http.StatusOK, Operator: a.DisplayName, Code: a.Scheme + "://" + a.Domain + path}
	code, err := qr.Parse("https://"+a.Domain+path, a.Domain)
	if err != nil {
		return v, err
	}
	if err := a.Minter.Check(code.Number); err != nil {
		return v, err
	}
	v.Number = qr.Format(code.Number)
	if err := a.codes.take(string(code.Number), time.Now()); err != nil {
		return v, err
	}
	found, err := a.Store.Code(ctx, string(code.Number))
	switch {
	case err != nil:
		return v, instead(err, errCodeUnknown)
	case found.Revoked:
		return v, order.ErrCodeRevoked
	case found.Device == "":
		return v, order.ErrCodeUnbound
	}
	rows, err := a.Store.Devices(ctx, found.Device, "", "", 1)
	if err != nil {
		return v, err
	}
	if len(rows) == 0 {
		return v, errCodeUnknown
	}
	venues, err := a.Store.Venues(ctx)
	if err != nil {
		return v, err
	}
	d := rows[0].Device
	v.Kind, v.Device, v.Outlet, v.Outlets = string(d.Kind), string(d.ID), int(found.Outlet), len(rows[0].Outlets)
	v.Bluetooth, v.WeChat = d.Bluetooth, weChatLink(a.WeChatLink, v.Code)
	serves, now := false, time.Now()
	for _, venue := range venues {
		if venue.ID == d.Venue {
			v.Venue, v.Phone, serves = venue.Name, venue.Phone, venue.Serves(now)
		}
	}
	switch t, err := a.Orders.Catalog.TariffFor(ctx, d.Venue, d.Kind, ""); {
	case err == nil:
		text := tariffText(t)
		v.Prices = map[string][]string{rider.Chinese: text.ZH, rider.English: text.EN}
		v.Tariff = fmt.Sprintf("%s@%d", t.ID, t.Version) // as the lines of a quote name it
		if t.TimeRule != nil {
			v.BlockMS = int64(t.BlockMS)
		}
	case !errors.Is(err, order.ErrNoTariff):
		return v, err
	}
	for _, o := range rows[0].Outlets {
		if o.N == found.Outlet {
			availability := d.Availability(o, false, now)
			if availability == device.Available && !serves { // as the scan says
				availability = device.NonOperational
			}
			v.Availability = string(availability)
		}
	}
	return v, nil
}

// weChatLink puts the code into the operator's link: {code} is its address as the value
// of a parameter inside of the parameter query, and so escaped twice.
func weChatLink(link, code string) string {
	return strings.ReplaceAll(link, "{code}", url.QueryEscape(url.QueryEscape(code)))
}
