package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
)

// The accounts at the WeChat double.
const (
	demoAppID     = "wxdemo0000000000"
	demoSecret    = "demo-secret-of-the-double"
	demoMchID     = "1900000109"
	demoSerial    = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	demoKeyID     = "PUB_KEY_ID_0119000001092026112200000000000001"
	demoAPIv3     = "demo-api-v3-key-of-the-double-32"
	demoServiceID = "00004000000000160000000000000109"
	demoRiskCap   = 100_00 // fen
	demoNotify    = "https://notify.example.com/v1/wechat/notify"
)

// demoKeys are drawn once per process: the merchant's, and the double's own.
var demoKeys = sync.OnceValues(func() (keys [2]*rsa.PrivateKey, err error) {
	for i := range keys {
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return keys, fmt.Errorf("make the double's keys: %w", err)
		}
	}
	return keys, nil
})

// double is WeChat as the demo and tests have it: its servers, and the merchant's side
// of them. Only the way of notifications is bent: they are addressed as real ones are,
// and carried to where the node listens.
type double struct {
	fake    *fakewechat.Server
	url     string
	login   weChatLogin
	cashier *wechat.Cashier
	teller  order.Teller
	app     *wechat.App

	mu     sync.Mutex
	notify string // URL of the node
}

// newDouble starts WeChat's servers for riders of these names. bend changes the
// double's configuration before it is made.
func newDouble(ctx context.Context, group *errgroup.Group, address string, names []string, bend func(*fakewechat.Config)) (*double, error) {
	keys, err := demoKeys()
	if err != nil {
		return nil, err
	}
	d := &double{}
	c := fakewechat.Config{AppID: demoAppID, Secret: demoSecret, Riders: names, Now: time.Now, Rand: rand.Reader,
		Pay: &fakewechat.PayConfig{MchID: demoMchID, MerchantSerial: demoSerial, MerchantKey: &keys[0].PublicKey, KeyID: demoKeyID,
			Key: keys[1], APIv3Key: demoAPIv3, ServiceID: demoServiceID, RiskCap: demoRiskCap, BikeRules: true, Callbacks: d}}
	if bend != nil {
		bend(&c)
	}
	if d.fake, err = fakewechat.New(c); err != nil {
		return nil, err
	}
	if d.url, err = listen(ctx, group, address, d.fake.Handler()); err != nil {
		return nil, err
	}
	group.Go(func() error { return d.fake.Run(ctx) })
	account := wechat.Config{AppID: demoAppID, Secret: demoSecret, BaseURL: d.url}
	login, err := wechat.New(account)
	if err != nil {
		return nil, err
	}
	d.login = weChatLogin{login}
	app, err := wechat.NewApp(account)
	if err != nil {
		return nil, err
	}
	d.app = app
	messenger, err := wechat.NewMessenger(app, "")
	if err != nil {
		return nil, err
	}
	d.teller = teller{messenger, map[order.MessageKind]string{order.TellEnded: "demo-ended", order.TellRefund: "demo-refund", order.TellUnpaid: "demo-unpaid"}}
	d.cashier, err = wechat.NewCashier(wechat.PayConfig{AppID: demoAppID, MchID: demoMchID, MerchantSerial: demoSerial, MerchantKey: keys[0],
		PublicKeyID: demoKeyID, PublicKey: &keys[1].PublicKey, APIv3Key: demoAPIv3, NotifyURL: demoNotify, ServiceID: demoServiceID, BaseURL: d.url})
	return d, err
}

// fill gives a node the merchant's side of the double.
func (d *double) fill(c *nodeConfig) {
	c.Login, c.Cashier, c.Teller, c.Phone = d.login, d.cashier, d.teller, phoneOf(d.app)
	c.Orders.WeChatPay, c.Orders.Messages = true, true
	if c.Orders.RiskCap == 0 {
		c.Orders.RiskCap = demoRiskCap
	}
}

// notifies says where the node listens.
func (d *double) notifies(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notify = node
}

// RoundTrip carries a notification to the node.
func (d *double) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	node := d.notify
	d.mu.Unlock()
	to, err := url.Parse(node)
	if err != nil || node == "" {
		return nil, fmt.Errorf("no node listens for notifications yet: %w", http.ErrServerClosed)
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = to.Scheme, to.Host, to.Host
	return http.DefaultTransport.RoundTrip(r)
}
