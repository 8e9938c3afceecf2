package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/bus"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/gateway"
	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/rider"
	"github.com/unlatch/unlatch/store"
	"github.com/unlatch/unlatch/webhook"
)

// nodeConfig is one replica of unlatch: where its parts are and what it listens
// on. Addresses may have port 0.
type nodeConfig struct {
	DatabaseURL  string
	Keys         keys
	StoreDir     string // of the embedded NATS server
	HTTP         string
	Metrics      string // "" = none
	MQTT         string // of the embedded broker
	NATS         string // opened for other replicas; "" = none
	NATSURL      string // an outside NATS; "" = embedded
	MQTTURL      string // an outside broker; "" = embedded
	PublicMQTT   string // what provisioning files name; "" = where the broker listens
	TLS          *tls.Config
	Domain       string // host in printed codes; "" = the HTTP address
	CodeScheme   string // of the addresses in codes: https, but for demo and tests
	Operator     string
	LabelFont    string // for Chinese text on labels; "" = looked for
	TrustProxy   bool
	WeChatLink   string                                              // see api.Config
	CodePage     func(http.ResponseWriter, string, rider.View) error // nil: rider.Page
	Around       func(http.Handler) http.Handler                     // the API's handler becomes what it returns; nil: it stays
	Login        api.Login
	Cashier      *wechat.Cashier                                                          // nil: riders cannot pay with WeChat
	Teller       order.Teller                                                             // nil: riders are told nothing
	Phone        func(ctx context.Context, code string, of billing.Payer) (string, error) // nil: riders cannot give their number
	Verification map[string][]byte                                                        // files by which WeChat checks the domain, by name
	Orders       order.Config
	Codes        qr.Rotation // validity and length of the codes on screens
	Limits       api.Limits
	// WebhooksPrivate lets webhooks reach this machine and private networks.
	WebhooksPrivate bool
	AlarmEvery      time.Duration   // between two looks; 0 = the default
	Room            *room           // on the disk that this replica writes to; nil: it is not watched
	FeedEmail       string          // contact in the public feed of bikes; "" = no feed
	AuditEvery      time.Duration   // 0 = never by itself
	Keep            store.Retention // zero: the defaults
	Log             *slog.Logger
}

// node is a running replica.
type node struct {
	c          nodeConfig
	group      *errgroup.Group
	stop       context.CancelFunc
	beside     func(func(context.Context) error) // runs something with the node's parts; it ends with them
	db         *store.DB
	orders     *order.Service
	collector  *order.Collector // nil without a cashier
	reconciler *order.Reconciler
	api        *api.API
	minter     *qr.Minter
	logins     *gateway.Logins
	server     *bus.Server // nil with an outside NATS
	link       *gateway.Link
	ingest     *gateway.Ingest
	seen       *gateway.LastSeen
	live       *live.Hub
	hops       *gateway.Hops
	dispatch   *gateway.Dispatcher
	bulks      *order.Bulks
	webhooks   *webhook.Sender
	kickRelay  func() // has updates routed at once
	timings    *timings
	release    func()                // of the claim on the embedded broker
	trouble    atomic.Pointer[error] // why devices cannot log in to it now; nil: they can
	hearing    atomic.Bool           // what devices say is taken in: they may come

	HTTPAddr, MetricsAddr, MQTTAddr, NATSAddr string
}

// startNode starts a replica and returns when it serves. It runs until ctx ends;
// wait then returns when everything has stopped.
func startNode(ctx context.Context, c nodeConfig) (n *node, err error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Keep == (store.Retention{}) {
		c.Keep = store.DefaultRetention
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	n = &node{c: c, group: group, stop: cancel, release: func() {}, timings: newTimings()}
	n.beside = func(run func(context.Context) error) { group.Go(func() error { return run(ctx) }) }
	defer func() {
		if err != nil { // what runs already must not outlive the error
			cancel()
			_ = group.Wait()
			n.close()
		}
	}()
	if n.db, err = store.Open(ctx, store.Config{URL: c.DatabaseURL, MaxConns: 24, IdentityKeys: c.Keys.identities()}); err != nil {
		return n, err
	}
	if err := n.checkKeys(ctx); err != nil {
		return n, err
	}
	if err := n.checkDomain(ctx); err != nil {
		return n, err
	}
	if err := n.db.CheckIdentityKey(ctx); err != nil {
		return n, err
	}
	if err := n.takeIn(ctx); err != nil {
		return n, err
	}
	n.logins = &gateway.Logins{Secret: c.Keys.derive("mqtt"), List: n.db, Log: c.Log, Gone: n.kick}
	if err := n.logins.Refresh(ctx); err != nil {
		return n, err
	}
	group.Go(func() error { return n.logins.Run(ctx) })
	if err := n.startBus(ctx); err != nil {
		return n, err
	}
	conn, err := bus.NewConn(bus.ConnConfig{Dial: n.dial(), Log: c.Log})
	if err != nil {
		return n, err
	}
	group.Go(func() error { return conn.Run(ctx) })
	if err := ready(ctx, "NATS", conn.Ready()); err != nil {
		return n, err
	}
	if err := n.startOrders(ctx, conn); err != nil {
		return n, err
	}
	return n, n.startHTTP(ctx, conn)
}

// checkKeys refuses a signing key that the database does not know: devices would
// refuse every command.
func (n *node) checkKeys(ctx context.Context) error {
	known, err := n.db.ClaimSetting(ctx, "signing_key", n.c.Keys.keyID())
	if err != nil {
		return err
	}
	if n.c.Keys.rotated(known) {
		n.c.Log.Warn("the signing key was rotated; devices learn the new one as they are heard", "from", known, "to", n.c.Keys.keyID())
		known = n.c.Keys.keyID()
	}
	if known == n.c.Keys.keyID() {
		return n.db.AdoptKey(ctx, known)
	}
	return fmt.Errorf("the database belongs to signing key %s, and this one is %s; put the right %s in place", known,
		n.c.Keys.keyID(), keyFile)
}

// keyLook is how often a replica looks whether the installation's signing key is still
// its own; well below the two minutes in which order's rekey undoes nothing.
const keyLook = 10 * time.Second

// watchKey ends a replica that was not told of a rotation: devices that have changed
// refuse what it signs, and it must not bring them back.
func (n *node) watchKey(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		known, err := n.db.Setting(ctx, "signing_key")
		if err != nil {
			if ctx.Err() == nil {
				n.c.Log.Warn("signing key not compared", "err", err)
			}
			continue
		}
		if known != n.c.Keys.keyID() {
			return fmt.Errorf("the installation's signing key was rotated to %s, and this replica signs with %s; put a copy of the new %s here and start again",
				known, n.c.Keys.keyID(), keyFile)
		}
	}
}

// checkDomain refuses another domain than the one that codes were minted for:
// every sticker in the field would be foreign.
func (n *node) checkDomain(ctx context.Context) error {
	if n.c.CodeScheme == "http" { // a demo's address changes, and its stickers are on a screen
		return nil
	}
	known, err := n.db.ClaimSetting(ctx, "domain", n.c.Domain)
	if err != nil {
		return err
	}
	if known != n.c.Domain {
		return fmt.Errorf("codes of this installation carry %s, and --domain says %s; every sticker in the field would be refused", known, n.c.Domain)
	}
	return nil
}

// takeIn makes a database that came out of a backup safe before anything serves from it.
func (n *node) takeIn(ctx context.Context) error {
	restored, err := n.db.TakeIn(ctx)
	if restored != nil {
		n.c.Log.Warn("this database came out of a backup; devices start again once they have told what happened since",
			"backup_at", restored.BackupAt, "restored_at", restored.RestoredAt)
	}
	return err
}

// askAround probes the devices that have not said where they stand since this database
// came out of a backup: the beat that each sends as it connects may have met nobody, and
// the next one comes minutes later. A few hundred at a time, until all have spoken.
func (n *node) askAround(ctx context.Context) error {
	restored, err := n.db.Setting(ctx, "restored")
	if restored == "" || err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ask, left, err := n.db.Unbeaten(ctx, 200)
		if err != nil && ctx.Err() == nil {
			n.c.Log.Warn("silent devices not asked", "err", err)
			continue
		}
		if err == nil && left == 0 {
			return nil
		}
		for _, u := range ask {
			if err := n.orders.Ask(ctx, u.Device, u.Outlet); err != nil && ctx.Err() == nil {
				n.c.Log.Warn("silent device not asked", "device", u.Device, "err", err)
			}
		}
	}
}

// kick cuts the connection of a device that may no longer have one.
func (n *node) kick(id device.ID) {
	if n.server == nil {
		return
	}
	if err := n.server.KickDevice(string(id)); err != nil {
		n.c.Log.Warn("device not disconnected", "device", id, "err", err)
	}
}

// ready waits for a part to be up; the group's context ends when a part failed.
func ready(ctx context.Context, what string, up <-chan struct{}) error {
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	case <-timeout.C:
		return fmt.Errorf("%s was not ready within 30 s", what)
	}
}

// startOrders joins the device side and the use cases.
func (n *node) startOrders(ctx context.Context, conn *bus.Conn) error {
	c := n.c
	signer, public := c.Keys.signer()
	sealer := gateway.Sealer{Signer: signer, Name: c.Keys.keyID(), Others: c.Keys.others()}
	tracks := &gateway.Tracks{Store: n.db, History: c.Keep.Positions > 0, Log: c.Log}
	n.group.Go(func() error { return tracks.Run(ctx) })
	seen := &gateway.LastSeen{Store: conn, Track: tracks, Moved: func(id device.ID) {
		_ = conn.Publish("unlatch.live."+string(id), nil) // who waits looks again within seconds
	}}
	n.seen = seen
	n.group.Go(func() error { return seen.Run(ctx) })
	var err error
	if err = n.newLink(); err != nil {
		return err
	}
	if n.dispatch, err = gateway.NewDispatcher(n.db, n.link, c.Log); err != nil {
		return err
	}
	hops := &gateway.Hops{Store: n.db, Log: c.Log}
	n.hops = hops
	n.group.Go(func() error { return hops.Run(ctx) })
	n.dispatch.Left = func(c device.Command) { n.timings.left(c); hops.Left(c) }
	if c.Room != nil {
		c.Room.changed = n.roomChanged
		c.Room.look()
		n.group.Go(func() error { return c.Room.Run(ctx) })
	}
	kick := make(chan struct{}, 1)
	n.kickRelay = func() {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	n.orders, err = order.New(order.ServiceConfig{Store: n.timings.store(n.db), Catalog: n.db, Due: n.db, Dispatcher: n.dispatch, LastKnown: seen,
		Stops: n.db, Carrier: n.db, Displays: displays{c.Keys.derive("display"), c.Codes}, Tickets: order.Tickets{Secret: c.Keys.derive("ticket")}, Log: c.Log,
		Env: order.Env{Rand: rand.Reader, Sealer: sealer, Config: c.Orders,
			Keys: order.ServerKeys{Name: c.Keys.keyID(), Public: public}},
		Full: n.full,
		Committed: func(c order.Changes) {
			n.timings.committed(c)
			n.kickRelay()
			if len(c.Payments) > 0 {
				n.noticed()
			}
		}})
	if err != nil {
		return err
	}
	if err := n.startPayments(ctx); err != nil {
		return err
	}
	n.ingest, err = gateway.NewIngest(gateway.IngestConfig{Hearer: n.timings.hearer(n.orders), Keys: deviceKeys{n.db}, Publisher: n.link,
		Sealer: sealer, Seen: seen, Acked: hops.Acked, Log: c.Log})
	if err != nil {
		return err
	}
	n.group.Go(func() error { return n.ingest.Run(ctx) })
	connect, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := n.link.Connect(connect); err != nil {
		return err
	}
	n.group.Go(func() error { return n.link.Run(ctx) })
	n.group.Go(func() error { return n.dispatch.Run(ctx) })
	n.beside(n.askAround)
	n.beside(func(ctx context.Context) error { return n.watchKey(ctx, keyLook) })
	n.group.Go(func() error { return n.orders.Run(ctx) })
	n.group.Go(func() error { return relay(ctx, n.db, conn, kick, c.Log) })
	if c.MQTTURL == "" || c.NATSURL != "" && brokerIsNATS(c.MQTTURL) {
		return n.startUplinks(ctx)
	}
	return nil
}

// startPayments runs what deals with WeChat Pay, on every replica.
func (n *node) startPayments(ctx context.Context) error {
	c := n.c
	if c.Teller != nil && c.Orders.Messages {
		herald := &order.Herald{Teller: c.Teller, Letters: n.db, Log: c.Log}
		n.beside(herald.Run)
	}
	if c.Cashier == nil {
		left, err := n.db.PaymentsLeft(ctx)
		if err == nil && left > 0 {
			c.Log.Error("payments wait and nothing deals with them: start with the merchant's keys, --wechat-mch-id", "payments", left)
		}
		return err
	}
	collector, err := order.NewCollector(order.CollectorConfig{Service: n.orders, Cashier: c.Cashier, Purses: n.db, Log: c.Log})
	if err != nil {
		return err
	}
	n.collector = collector
	n.beside(collector.Run)
	n.reconciler = &order.Reconciler{Bills: bills{c.Cashier}, Book: n.db, Env: n.orders.Env, Log: c.Log}
	n.beside(n.reconciler.Run)
	return nil
}

// noticed wakes the collector: something is due, or a notification came.
func (n *node) noticed() {
	if n.collector != nil {
		n.collector.Wake()
	}
}

// relay carries the outbox to NATS: at once when this replica committed, and
// every second for what a crash left behind.
func relay(ctx context.Context, db *store.DB, conn *bus.Conn, kick <-chan struct{}, log *slog.Logger) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-kick:
		case <-tick.C:
		}
		for {
			routed, err := db.Relay(ctx, 500, func(updates []order.Update) error {
				for _, u := range updates {
					if err := conn.Publish("unlatch."+u.Subject, u.Payload); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				log.Warn("updates not routed yet", "err", err)
			}
			if err != nil || routed < 500 {
				break
			}
		}
	}
}

// startHTTP serves riders, staff and, on a second port, metrics.
func (n *node) startHTTP(ctx context.Context, conn *bus.Conn) error {
	c := n.c
	l, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	n.HTTPAddr = l.Addr().String()
	if c.TLS != nil {
		l = tls.NewListener(l, c.TLS)
	}
	if c.Domain == "" {
		c.Domain = n.HTTPAddr
	}
	n.c.Domain = c.Domain
	if n.minter, err = qr.NewMinter(qr.MinterConfig{Secret: c.Keys.derive("code")}); err != nil {
		return err
	}
	var pay api.WeChatPay
	if c.Cashier != nil {
		pay = notices{c.Cashier}
	}
	if err := n.startLive(conn); err != nil {
		return err
	}
	pages, err := n.console(ctx)
	if err != nil {
		return err
	}
	n.bulks = order.NewBulks(n.db, n.orders, func(err error) (code, detail string) { return n.api.Explain(err) }, c.Log)
	var phones api.Phones
	if c.Phone != nil {
		phones = givenPhones{c.Phone, n.db}
	}
	n.api, err = api.New(api.Config{Phones: phones, BulkAdded: n.bulks.Wake, Pay: pay, Orders: n.orders, Store: n.db, Login: c.Login, Minter: n.minter, Domain: c.Domain, Scheme: c.CodeScheme,
		Watcher: watcher{conn}, Battery: n.seen, Live: n.seen, Hub: n.live, Words: n.ingest, BluetoothService: wire.ServiceUUID,
		Noticed: n.noticed, Verification: c.Verification,
		StopKey: c.Keys.derive("stop"), Provision: n.provision, DisplayName: c.Operator, LabelFont: c.LabelFont, Limits: c.Limits,
		WeChatLink: c.WeChatLink, CodePage: c.CodePage, Version: version, Console: pages,
		TrustProxy: c.TrustProxy, Log: c.Log, Observe: n.timings.answered, Feed: api.FeedConfig{Email: c.FeedEmail, Key: c.Keys.derive("feed")},
		Ready: map[string]func(context.Context) error{
			"database": n.db.Ping,
			"broker": func(context.Context) error {
				if !n.link.Connected() {
					return gateway.ErrNotConnected
				}
				if trouble := n.trouble.Load(); trouble != nil {
					return *trouble
				}
				return nil
			},
			"nats": func(context.Context) error {
				if !conn.Stats().Connected {
					return bus.ErrNotConnected
				}
				return nil
			},
		}})
	if err != nil {
		return err
	}
	n.group.Go(func() error { return n.api.Run(ctx) })
	n.startWatch()
	n.beside(n.auditing)
	n.beside(n.sweeping)
	h := n.api.Handler()
	if c.Around != nil {
		h = c.Around(h)
	}
	n.serve(ctx, l, h)
	if c.Metrics == "" {
		return nil
	}
	m, err := net.Listen("tcp", c.Metrics)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	n.MetricsAddr = m.Addr().String()
	n.serve(ctx, m, n.metrics(conn))
	return nil
}

// watcher gives the API the bus's fan-out by the subjects that orders use.
type watcher struct{ conn *bus.Conn }

func (w watcher) Watch(subject string) (<-chan []byte, func()) {
	return w.conn.Watch("unlatch." + subject)
}

// drain is how long requests may take to end after a stop was asked for.
const drain = 10 * time.Second

func (n *node) serve(ctx context.Context, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(n.c.Log.Handler(), slog.LevelDebug)}
	n.group.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	n.group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := s.Shutdown(stop); err != nil {
			return s.Close()
		}
		return nil
	})
}

// wait returns when every part has stopped, with the first error that stopped
// them.
func (n *node) wait() error {
	err := n.group.Wait()
	n.close()
	return err
}

// end stops every part and waits for it; it may follow wait.
func (n *node) end() {
	n.stop()
	_ = n.wait()
}

func (n *node) close() {
	n.release()
	n.release = func() {}
	if n.db != nil {
		n.db.Close()
	}
}
