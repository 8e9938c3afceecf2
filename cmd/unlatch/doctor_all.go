package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/gateway"
)

// finding is what one check found; see wechat.Finding.
type finding = wechat.Finding

func fine(what, detail string) finding       { return finding{What: what, OK: true, Detail: detail} }
func wrong(what, detail, fix string) finding { return finding{What: what, Detail: detail, Fix: fix} }

// soon is what works today and should be seen to.
func soon(what, detail, fix string) finding {
	return finding{What: what, OK: true, Detail: detail, Fix: fix}
}

type doctorAllCmd struct {
	Serve serveCmd `embed:""`
	Page  string   `name:"page" help:"The mini-program's page behind the codes, to hold the rule against; empty: not checked."`
	JSON  bool     `name:"json" help:"Findings as JSON."`
}

// Help teaches how it is used.
func (doctorAllCmd) Help() string {
	return `Takes the flags and the environment of serve and looks at everything that serve needs, beside a running installation or before the
first start: database, keys, disk, clocks, certificate, broker, the tools for backups, the addresses in codes as a stranger reaches
them, and WeChat. It changes nothing. Exit code 1 when something is wrong; each finding says what to do.`
}

// Run examines and prints.
func (d doctorAllCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	return printFindings(out, d.examine(ctx, log, site{client: http.DefaultClient, resolve: net.DefaultResolver.LookupHost}), d.JSON, "")
}

// site is how the doctor reaches the installation's own addresses.
type site struct {
	client  *http.Client
	resolve func(ctx context.Context, host string) ([]string, error)
}

// checkPatience bounds each check.
const checkPatience = 20 * time.Second

func (d doctorAllCmd) examine(ctx context.Context, log *slog.Logger, s site) []finding {
	var all []finding
	bounded := func(check func(context.Context) []finding) {
		ctx, cancel := context.WithTimeout(ctx, checkPatience)
		defer cancel()
		all = append(all, check(ctx)...)
	}
	known := map[string]string{} // the database's settings
	bounded(func(ctx context.Context) []finding { return d.checkDatabase(ctx, log, known) })
	all = append(all, checkKeys(d.Serve, known)...)
	all = append(all, checkDisk(d.Serve.Data, d.Serve.DiskReserve, freeBytes)...)
	all = append(all, checkTimeZones()...)
	all = append(all, checkTLS(d.Serve, time.Now())...)
	bounded(d.checkServing)
	bounded(d.checkBroker)
	bounded(func(ctx context.Context) []finding { return checkDomainReached(ctx, d.Serve.Domain, s) })
	all = append(all, d.checkWeChat(ctx)...)
	return all
}

// checkWeChat is doctor wechat.
func (d doctorAllCmd) checkWeChat(ctx context.Context) []finding {
	const what = "WeChat"
	if d.Serve.WeChat.AppID == "" {
		return []finding{wrong(what, "no --wechat-app-id", "give serve the mini-program's app id and secret from its console")}
	}
	c, err := doctorWeChatCmd{weChatFlags: d.Serve.WeChat, Domain: d.Serve.Domain, Page: d.Page}.examination()
	if err != nil {
		return []finding{wrong(what, err.Error(), "")}
	}
	return wechat.Examine(ctx, c)
}

// checkServing asks an installation on this machine whether it is ready.
func (d doctorAllCmd) checkServing(ctx context.Context) []finding {
	const what = "service"
	scheme, client := "http", &http.Client{}
	if d.Serve.TLSCert != "" {
		scheme, client = "https", unverified() // its certificate is another check
	}
	address := scheme + "://" + localAddress(d.Serve.HTTP) + "/readyz"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return []finding{wrong(what, "--http is no address", "write it as host:port")}
	}
	answer, err := client.Do(r)
	if err != nil {
		return []finding{soon(what, "nobody serves on "+d.Serve.HTTP, "fine before the first start; otherwise look at why serve ended")}
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if answer.StatusCode != http.StatusOK {
		return []finding{wrong(what, fmt.Sprintf("%s answers %d: %s", address, answer.StatusCode, strings.TrimSpace(string(text))), "mend the part that it names")}
	}
	return []finding{fine(what, "ready on "+d.Serve.HTTP)}
}

// localAddress is where this machine reaches a listener.
func localAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// checkBroker reaches the broker: the embedded one's port, or an outside one as a
// replica would use it.
func (d doctorAllCmd) checkBroker(ctx context.Context) []finding {
	const what = "broker"
	s := d.Serve
	if s.MQTTURL == "" {
		if err := dial(ctx, localAddress(s.MQTT)); err != nil {
			return []finding{soon(what, "nobody listens on "+s.MQTT, "fine while serve does not run; otherwise devices cannot come in")}
		}
		return []finding{fine(what, "devices find "+s.MQTT+" open")}
	}
	u, err := url.Parse(s.MQTTURL)
	if err != nil || u.Host == "" { // the error would quote the password
		return []finding{wrong(what, "--mqtt-url is no address", "write it as ssl://user:password@host:port, with special characters percent-encoded")}
	}
	if brokerIsNATS(s.MQTTURL) {
		if err := dial(ctx, u.Host); err != nil {
			return []finding{wrong(what, u.Host+" is not reachable: "+err.Error(), "start the replica that runs the broker, and open its port to this machine")}
		}
		return []finding{fine(what, u.Host+" is reachable")}
	}
	c := gateway.LinkConfig{User: u.User.Username()}
	c.Password, _ = u.User.Password()
	u.User = nil
	c.URL = u.String()
	switch err := gateway.Examine(ctx, c); {
	case errors.Is(err, gateway.ErrNoShare):
		return []finding{wrong(what, u.Host+" takes shared subscriptions and delivers nothing",
			"use Mosquitto 2 or EMQX, or mqtt+nats:// where it is another replica's embedded broker")}
	case err != nil:
		return []finding{wrong(what, u.Host+": "+err.Error(), "check address, user and password, and that it may publish and subscribe below ul/1/")}
	}
	return []finding{fine(what, u.Host+" delivers shared subscriptions")}
}

func dial(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// checkDomainReached looks at the addresses in printed codes as a stranger does.
func checkDomainReached(ctx context.Context, domain string, s site) []finding {
	const what = "code domain"
	if domain == "" {
		return []finding{wrong(what, "no --domain", "give the host name that printed codes carry; it can never change for codes in the field")}
	}
	if err := checkDomain(domain); err != nil {
		return []finding{wrong(what, err.Error(), "")}
	}
	addresses, err := s.resolve(ctx, domain)
	if err != nil {
		return []finding{wrong(what, domain+" does not resolve: "+err.Error(), "make an A or AAAA record for it")}
	}
	target := "https://" + domain + "/livez"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return []finding{wrong(what, err.Error(), "")}
	}
	before := time.Now()
	answer, err := s.client.Do(r)
	if err != nil {
		return []finding{wrong(what, fmt.Sprintf("%s (%s) is not reachable: %v", target, strings.Join(addresses, ", "), errors.Unwrap(err)),
			"let HTTPS through to this installation, with a certificate that phones trust")}
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return []finding{wrong(what, fmt.Sprintf("%s answers %d", target, answer.StatusCode), "let whatever stands in front pass requests on to serve")}
	}
	found := []finding{fine(what, domain+" answers")}
	if theirs, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		found = append(found, checkApart("clock of the code domain", theirs.Sub(before), time.Since(before)+2*time.Second))
	}
	return found
}
