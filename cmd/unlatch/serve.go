package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/store"
)

type serveCmd struct {
	database `embed:""`

	HTTP    string `default:"127.0.0.1:8080" env:"UNLATCH_HTTP" help:"Address for riders and staff."`
	Metrics string `default:"127.0.0.1:9090" env:"UNLATCH_METRICS" help:"Address for metrics; empty for none."`
	MQTT    string `name:"mqtt" default:"127.0.0.1:1883" env:"UNLATCH_MQTT" help:"Address of the embedded broker for devices."`
	NATS    string `name:"nats" env:"UNLATCH_NATS" help:"Open the embedded NATS server for other replicas on this address."`
	NATSURL string `name:"nats-url" env:"UNLATCH_NATS_URL" help:"Use this NATS instead of the embedded server."`
	MQTTURL string `name:"mqtt-url" env:"UNLATCH_MQTT_URL" help:"Use this broker: tcp:// or ssl:// for Mosquitto 2 or EMQX, mqtt+nats:// for another replica's embedded one."`

	PublicMQTT string `name:"public-mqtt" env:"UNLATCH_PUBLIC_MQTT" help:"Broker address that devices are told, such as mqtts://mqtt.example.cn:8883."`
	Domain     string `env:"UNLATCH_DOMAIN" help:"Host name in printed codes, such as q.example.cn. It can never change for codes in the field."`
	Operator   string `default:"unlatch" env:"UNLATCH_OPERATOR" help:"The operator's name, as riders read it."`
	LabelFont  string `type:"path" env:"UNLATCH_LABEL_FONT" placeholder:"FILE" help:"A .ttf for Chinese text on labels that staff fetch from here. Unless given, looked for where systems keep them."`

	TLSCert     string `name:"tls-cert" type:"existingfile" env:"UNLATCH_TLS_CERT" help:"Certificate chain for HTTP, MQTT and NATS."`
	TLSKey      string `name:"tls-key" type:"existingfile" env:"UNLATCH_TLS_KEY" help:"Its private key."`
	BehindProxy bool   `env:"UNLATCH_BEHIND_PROXY" help:"A proxy in front ends TLS and sets X-Forwarded-For."`

	CodeValidity time.Duration `default:"60s" env:"UNLATCH_CODE_VALIDITY" help:"How long a device's screen shows one code, 6s to 1h. Screens learn it when they are provisioned."`
	CodeLength   int           `default:"8" env:"UNLATCH_CODE_LENGTH" help:"Characters of that code, 6 to 32."`
	PauseMost    time.Duration `default:"15m" env:"UNLATCH_PAUSE_MOST" help:"How long a ride may be paused before it ends by itself."`
	UnusedMost   int           `name:"unused-reservations" default:"3" env:"UNLATCH_UNUSED_RESERVATIONS" help:"Reservations that a rider may leave unused per day."`
	PrintedCap   int64         `default:"50000" env:"UNLATCH_PRINTED_CAP" help:"Fen that a rider may spend per day on printed codes; -1 for no limit. Codes on a screen have none."`

	FeedEmail  string        `env:"UNLATCH_FEED_EMAIL" help:"Publish the bikes as a GBFS 3.0 feed at /gbfs/3.0/manifest.json, with this address of whoever answers for it; empty: no feed."`
	AuditEvery time.Duration `default:"6h" env:"UNLATCH_AUDIT_EVERY" help:"How often one of the replicas runs the audit by itself, for the metrics; 0 for never."`

	WebhooksPrivate bool `env:"UNLATCH_WEBHOOKS_PRIVATE" help:"Let webhooks reach this machine and private networks, and http without TLS."`

	DiskReserve int64 `name:"disk-reserve" env:"UNLATCH_DISK_RESERVE" placeholder:"MIB" help:"Free MiB on the data folder's disk below which riders start nothing new, while what runs goes on and ends; -1 never refuses. Unless given 512, or 5 % of a disk below 10 GiB."`

	Keep retention `embed:""`

	WeChat weChatFlags `embed:""`

	SigningKey string `env:"UNLATCH_SIGNING_KEY" help:"The signing key in base64, in place of the key file."`
	Secret     string `env:"UNLATCH_SECRET" help:"The installation's secret in base64, in place of the key file."`
	Migrate    bool   `env:"UNLATCH_MIGRATE" help:"Bring the schema up to date first."`
}

// Help teaches the first start.
func (serveCmd) Help() string {
	return `The first start on an empty database prints a one-time link that makes the first member of staff. Replicas share the
database, NATS and the broker: start the first with --nats, the others with --nats-url and --mqtt-url, all with the
same keys.

Beyond loopback every listener needs --tls-cert and --tls-key, or --behind-proxy.`
}

// Run serves until it is told to stop.
func (s serveCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	c, db, err := s.prepare(ctx, log)
	if err != nil {
		return err
	}
	return joinStop(s.serve(ctx, c, db, out), db.stop)
}

func (s serveCmd) serve(ctx context.Context, c nodeConfig, db opened, out io.Writer) error {
	n, err := startNode(ctx, c)
	if err != nil {
		return err
	}
	defer n.end()
	n.beside(db.watch)
	link, err := n.firstRun(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Serving riders and staff on %s, devices on %s.\n", n.url(), n.broker())
	if n.NATSAddr != "" {
		fmt.Fprintf(out, "Other replicas may use the NATS port with user unlatch-bus; its password is derived from the key file.\n")
	}
	if c.Cashier == nil {
		fmt.Fprintf(out, "Riders cannot pay with WeChat: no --wechat-mch-id. What is missing: unlatch doctor wechat\n")
	}
	if link != "" {
		fmt.Fprintf(out, "Nobody works here yet. Open this link once, within an hour, to make the first member of staff:\n  %s\n", link)
	}
	return n.wait()
}

// prepare checks everything that can be wrong before anything listens.
func (s serveCmd) prepare(ctx context.Context, log *slog.Logger) (nodeConfig, opened, error) {
	c := nodeConfig{HTTP: s.HTTP, Metrics: s.Metrics, MQTT: s.MQTT, NATS: s.NATS, NATSURL: s.NATSURL, MQTTURL: s.MQTTURL,
		PublicMQTT: s.PublicMQTT, Domain: s.Domain, Operator: s.Operator, LabelFont: s.LabelFont, TrustProxy: s.BehindProxy, Log: log, StoreDir: s.Data, AuditEvery: s.AuditEvery, FeedEmail: s.FeedEmail, WebhooksPrivate: s.WebhooksPrivate, WeChatLink: s.WeChat.Link,
		Codes:  qr.Rotation{Validity: s.CodeValidity, Length: s.CodeLength},
		Orders: order.Config{PrintedCap: billing.Fen(s.PrintedCap), PauseMost: s.PauseMost, ReserveUnused: s.UnusedMost}}
	fail := func(err error) (nodeConfig, opened, error) { return c, opened{}, err }
	switch {
	case s.Data == "" && (s.DatabaseURL == "" || s.SigningKey == ""):
		return fail(errors.New("give --data DIR for the database and the keys, or --database-url with UNLATCH_SIGNING_KEY and UNLATCH_SECRET"))
	case s.Data == "" && s.NATSURL == "":
		return fail(errors.New("the embedded broker keeps its state in a folder: give --data DIR"))
	case s.Domain == "":
		return fail(errors.New("give --domain, the host name that printed codes carry; it can never change for codes in the field"))
	case s.WeChat.AppID == "" || s.WeChat.Secret == "":
		return fail(errors.New("give --wechat-app-id and --wechat-secret from the mini-program's console; to try without WeChat run: unlatch demo"))
	case s.PauseMost <= 0 || s.UnusedMost < 1:
		return fail(errors.New("--pause-most is above zero, --unused-reservations 1 or more; a tariff says whether there are reservations"))
	case s.PrintedCap == 0 || s.PrintedCap < -1:
		return fail(errors.New("--printed-cap is an amount in fen above zero, or -1 for no limit"))
	case (s.TLSCert == "") != (s.TLSKey == ""):
		return fail(errors.New("--tls-cert and --tls-key go together"))
	}
	var err error
	if c.Keep, err = s.Keep.times(); err != nil {
		return fail(err)
	}
	if c.Room, err = newRoom(s.Data, s.DiskReserve, log); err != nil {
		return fail(err)
	}
	if s.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
		if err != nil {
			return fail(fmt.Errorf("TLS certificate: %w", err))
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	} else if !s.BehindProxy {
		for _, a := range []string{s.HTTP, s.MQTT, s.NATS, s.Metrics} {
			if a != "" && !loopback(a) {
				return fail(fmt.Errorf("%s can be reached from outside: give --tls-cert and --tls-key, or --behind-proxy when a proxy ends TLS", a))
			}
		}
	}
	if err := (displays{make([]byte, 32), c.Codes}).check(); err != nil {
		return fail(fmt.Errorf("--code-validity, --code-length: %w", err))
	}
	if err := checkDomain(s.Domain); err != nil {
		return fail(err)
	}
	if err := s.WeChat.fill(&c); err != nil {
		return fail(err)
	}
	db, err := s.open(ctx, log, false)
	if err != nil {
		return fail(err)
	}
	c.DatabaseURL = db.url
	if err := s.keysAndSchema(ctx, &c); err != nil {
		return fail(joinStop(err, db.stop))
	}
	return c, db, nil
}

// keysAndSchema makes a signing key only for a database that knows none.
func (s serveCmd) keysAndSchema(ctx context.Context, c *nodeConfig) error {
	if s.Migrate {
		if _, err := store.Migrate(ctx, c.DatabaseURL); err != nil {
			return err
		}
	}
	pending, err := store.Pending(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	if pending {
		return errors.New("the database's schema is not up to date; run: unlatch migrate, or add --migrate")
	}
	k, made, err := loadKeys(s.SigningKey, s.Secret, s.Data)
	if err != nil {
		return err
	}
	c.Keys = k
	if !made {
		return nil
	}
	db, err := store.Open(ctx, store.Config{URL: c.DatabaseURL, MaxConns: 1, IdentityKey: make([]byte, 32)})
	if err != nil {
		return err
	}
	defer db.Close()
	known, err := db.Setting(ctx, "signing_key")
	if err != nil {
		return err
	}
	if known != "" {
		return errors.Join(fmt.Errorf("the database knows signing key %s and %s holds none; put your backup of %s there", known, s.Data, keyFile),
			removeKeys(s.Data))
	}
	return nil
}

// hostName is a host as a sticker may carry it: lower case, with dots.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`)

func checkDomain(domain string) error {
	if len(domain) > 60 || !hostName.MatchString(domain) {
		return fmt.Errorf("--domain %q: give a plain lower-case host name such as q.example.cn, without https:// and without a path", domain)
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// weChatLogin tells the API what WeChat said of a login code, in its own words.
type weChatLogin struct{ login *wechat.Login }

func (w weChatLogin) Exchange(ctx context.Context, code string) (string, error) {
	openid, _, err := w.login.Exchange(ctx, code)
	switch {
	case errors.Is(err, wechat.ErrBadCode):
		return "", fmt.Errorf("%w: %w", api.ErrLoginCode, err)
	case errors.Is(err, wechat.ErrRefused):
		return "", fmt.Errorf("%w: %w", api.ErrLoginRefused, err)
	case errors.Is(err, wechat.ErrBusy):
		return "", fmt.Errorf("%w: %w", api.ErrLoginBusy, err)
	case err != nil:
		return "", err
	}
	return string(openid), nil
}

// url is where people find the API.
func (n *node) url() string {
	if n.c.TLS != nil {
		return "https://" + n.HTTPAddr
	}
	return "http://" + n.HTTPAddr
}

// firstRun returns a one-time link that makes the first member of staff, or ""
// when there are staff.
func (n *node) firstRun(ctx context.Context) (string, error) {
	var secret [24]byte
	rand.Read(secret[:])
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	needed, err := n.db.AddFirstRun(ctx, sha256.Sum256([]byte(text)), time.Hour)
	if err != nil || !needed {
		return "", err
	}
	return n.url() + "/first-run?link=" + text, nil
}

// seedAudit is the row of what the program itself puts in place.
func seedAudit(act, object string) order.Audit {
	return order.Audit{ID: newUUID(), Staff: "unlatch", Act: act, Object: object, Reason: "set up by the program", At: time.Now().UTC()}
}
