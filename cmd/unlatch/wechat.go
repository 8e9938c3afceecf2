package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/order"
)

// weChatFlags is what an installation knows of its accounts at WeChat.
type weChatFlags struct {
	AppID  string `name:"wechat-app-id" env:"UNLATCH_WECHAT_APP_ID" help:"The mini-program's app id."`
	Secret string `name:"wechat-secret" env:"UNLATCH_WECHAT_SECRET" help:"The mini-program's secret."`

	MchID       string `name:"wechat-mch-id" env:"UNLATCH_WECHAT_MCH_ID" help:"The merchant number at WeChat Pay; without it riders cannot pay with WeChat."`
	MchSerial   string `name:"wechat-mch-serial" env:"UNLATCH_WECHAT_MCH_SERIAL" help:"Serial number of the merchant's API certificate."`
	MchKey      string `name:"wechat-mch-key" type:"path" env:"UNLATCH_WECHAT_MCH_KEY" placeholder:"FILE" help:"Its private key, apiclient_key.pem."`
	PublicKeyID string `name:"wechat-public-key-id" env:"UNLATCH_WECHAT_PUBLIC_KEY_ID" help:"Id of WeChat Pay's public key; it begins with PUB_KEY_ID_."`
	PublicKey   string `name:"wechat-public-key" type:"path" env:"UNLATCH_WECHAT_PUBLIC_KEY" placeholder:"FILE" help:"WeChat Pay's public key, pub_key.pem."`
	APIv3Key    string `name:"wechat-api-v3-key" env:"UNLATCH_WECHAT_API_V3_KEY" help:"The 32 characters that open notifications."`
	NotifyURL   string `name:"wechat-notify-url" env:"UNLATCH_WECHAT_NOTIFY_URL" help:"Where WeChat sends notifications; https://DOMAIN/v1/wechat/notify unless given."`

	ServiceID string `name:"wechat-service-id" env:"UNLATCH_WECHAT_SERVICE_ID" help:"Pay Score's service id, 32 digits; without it nobody rides on Pay Score."`
	RiskCap   int64  `name:"wechat-risk-cap" default:"10000" env:"UNLATCH_WECHAT_RISK_CAP" help:"Fen that one Pay Score order may come to, as agreed with WeChat; what is above is a debt."`
	RiskFund  string `name:"wechat-risk-fund" default:"DEPOSIT" enum:"DEPOSIT,ADVANCE,CASH_DEPOSIT,ESTIMATE_ORDER_COST" env:"UNLATCH_WECHAT_RISK_FUND" help:"What the risk fund is called, as agreed for the service id (${enum})."`

	NamePayer bool `name:"wechat-name-payer" env:"UNLATCH_WECHAT_NAME_PAYER" help:"Name the rider when a Pay Score order is made, where the service id's rule asks for it; WeChat then refuses at once, not on its own page."`

	BalanceCap int64 `default:"10000" env:"UNLATCH_BALANCE_CAP" help:"Fen that a top-up may bring a wallet to; -1 for no limit. Rules for shared bikes say 100 yuan."`

	TemplateEnded  string `name:"wechat-template-ended" env:"UNLATCH_WECHAT_TEMPLATE_ENDED" help:"Template of the message that a use ended."`
	TemplateRefund string `name:"wechat-template-refund" env:"UNLATCH_WECHAT_TEMPLATE_REFUND" help:"Template of the message that a refund arrived."`
	TemplateUnpaid string `name:"wechat-template-unpaid" env:"UNLATCH_WECHAT_TEMPLATE_UNPAID" help:"Template of the message that a use is unpaid."`

	Link string `name:"wechat-link" env:"UNLATCH_WECHAT_LINK" placeholder:"URL" help:"Opens WeChat from the page behind a code: your URL Link (https) or URL Scheme (weixin); {code} in it becomes the scanned address, escaped for the parameter query. Without it the page says how to scan."`

	Verification []string `name:"wechat-verification" type:"path" env:"UNLATCH_WECHAT_VERIFICATION" placeholder:"FILE" help:"Files by which WeChat checks the domain, as downloaded; they are served at the root and beside the codes."`
}

// unset tells whether there is no merchant.
func (f weChatFlags) unset() bool { return f.MchID == "" }

// notifyURL is where WeChat is told to send notifications.
func (f weChatFlags) notifyURL(domain string) string {
	if f.NotifyURL != "" {
		return f.NotifyURL
	}
	return "https://" + domain + "/v1/wechat/notify"
}

// pay reads the keys and returns the merchant's account. base and client are WeChat's
// own where empty.
func (f weChatFlags) pay(domain string) (wechat.PayConfig, error) {
	c := wechat.PayConfig{AppID: f.AppID, MchID: f.MchID, MerchantSerial: f.MchSerial, PublicKeyID: f.PublicKeyID,
		APIv3Key: f.APIv3Key, NotifyURL: f.notifyURL(domain), ServiceID: f.ServiceID, RiskFundName: f.RiskFund, NamePayer: f.NamePayer}
	for _, missing := range []struct{ value, flag string }{{f.MchSerial, "--wechat-mch-serial"}, {f.MchKey, "--wechat-mch-key"},
		{f.PublicKeyID, "--wechat-public-key-id"}, {f.PublicKey, "--wechat-public-key"}, {f.APIv3Key, "--wechat-api-v3-key"}} {
		if missing.value == "" {
			return c, fmt.Errorf("with --wechat-mch-id give %s too; all are on the merchant platform under API security", missing.flag)
		}
	}
	text, err := os.ReadFile(f.MchKey)
	if err != nil {
		return c, fmt.Errorf("--wechat-mch-key: %w", err)
	}
	if c.MerchantKey, err = wechat.ParseMerchantKey(text); err != nil {
		return c, fmt.Errorf("--wechat-mch-key %s: %w", f.MchKey, err)
	}
	if text, err = os.ReadFile(f.PublicKey); err != nil {
		return c, fmt.Errorf("--wechat-public-key: %w", err)
	}
	if c.PublicKey, err = wechat.ParsePublicKey(text); err != nil {
		return c, fmt.Errorf("--wechat-public-key %s: %w", f.PublicKey, err)
	}
	return c, nil
}

// orders is what orders must know of it.
func (f weChatFlags) orders(c order.Config) (order.Config, error) {
	c.WeChatPay = !f.unset()
	c.BalanceCap = billing.Fen(f.BalanceCap)
	c.Messages = f.TemplateEnded+f.TemplateRefund+f.TemplateUnpaid != ""
	switch {
	case f.BalanceCap == 0 || f.BalanceCap < -1:
		return c, errors.New("--balance-cap is an amount in fen above zero, or -1 for no limit")
	case f.Link != "" && !strings.HasPrefix(f.Link, "https://") && !strings.HasPrefix(f.Link, "weixin://"):
		return c, errors.New("--wechat-link begins with https:// (a URL Link) or weixin:// (a URL Scheme)")
	case f.ServiceID != "" && f.RiskCap <= 0:
		return c, errors.New("--wechat-risk-cap is an amount in fen above zero: the most that one Pay Score order may come to")
	case f.ServiceID != "" && f.unset():
		return c, errors.New("with --wechat-service-id give --wechat-mch-id and the merchant's keys")
	case f.ServiceID != "":
		c.RiskCap = billing.Fen(f.RiskCap)
	}
	return c, nil
}

// verificationName is what WeChat calls such files; anything else could hide a page.
var verificationName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.txt$`)

// verification reads the files by which WeChat checks the domain.
func (f weChatFlags) verification() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, path := range f.Verification {
		name := filepath.Base(path)
		if !verificationName.MatchString(name) {
			return nil, fmt.Errorf("--wechat-verification %s: such files are called like MP_verify_x1.txt; keep the name that it was downloaded with", path)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--wechat-verification: %w", err)
		}
		if len(content) > 4096 {
			return nil, fmt.Errorf("--wechat-verification %s: it has %d bytes, which is no verification file", path, len(content))
		}
		files[name] = content
	}
	return files, nil
}

// fill gives a node all that the flags say.
func (f weChatFlags) fill(c *nodeConfig) error {
	login, err := wechat.New(wechat.Config{AppID: f.AppID, Secret: f.Secret})
	if err != nil {
		return err
	}
	c.Login = weChatLogin{login}
	if c.Orders, err = f.orders(c.Orders); err != nil {
		return err
	}
	if c.Verification, err = f.verification(); err != nil {
		return err
	}
	app, err := wechat.NewApp(wechat.Config{AppID: f.AppID, Secret: f.Secret})
	if err != nil {
		return err
	}
	c.Phone = phoneOf(app)
	messenger, err := wechat.NewMessenger(app, "")
	if err != nil {
		return err
	}
	c.Teller = teller{messenger, map[order.MessageKind]string{order.TellEnded: f.TemplateEnded,
		order.TellRefund: f.TemplateRefund, order.TellUnpaid: f.TemplateUnpaid}}
	if f.unset() {
		return nil
	}
	pay, err := f.pay(c.Domain)
	if err != nil {
		return err
	}
	c.Cashier, err = wechat.NewCashier(pay)
	return err
}

// notices tells the API what WeChat's notifications say, in its own words.
type notices struct{ *wechat.Cashier }

func (n notices) Open(ctx context.Context, header http.Header, body []byte) (billing.Said, string, error) {
	said, event, err := n.Cashier.Open(ctx, header, body)
	switch {
	case errors.Is(err, wechat.ErrIgnored):
		err = fmt.Errorf("%w: %w", api.ErrNoticeIgnored, err)
	case errors.Is(err, wechat.ErrForged):
		err = fmt.Errorf("%w: %w", api.ErrNoticeForged, err)
	case err != nil:
		err = fmt.Errorf("%w: %w", api.ErrNoticeStrange, err)
	}
	return said, event, err
}

// bills gives the reconciler the bills, in its own words.
type bills struct{ *wechat.Cashier }

func (b bills) TradeBill(ctx context.Context, day string) ([]billing.BillLine, error) {
	lines, err := b.Cashier.TradeBill(ctx, day)
	switch {
	case errors.Is(err, wechat.ErrNoBill):
		err = fmt.Errorf("%w: %w", order.ErrNoBill, err)
	case errors.Is(err, wechat.ErrBillNotReady):
		err = fmt.Errorf("%w: %w", order.ErrBillNotReady, err)
	}
	return lines, err
}

// teller sends messages by their templates. The keys are those of the sample templates
// in docs/wechat.md.
type teller struct {
	messenger *wechat.Messenger
	templates map[order.MessageKind]string
}

func (t teller) Tell(ctx context.Context, to billing.Payer, m order.Message) error {
	template := t.templates[m.Kind]
	if template == "" {
		return order.ErrNotWanted
	}
	data := map[string]string{"amount1": m.Amount.String() + "元", "time2": m.At.In(order.China).Format("2006-01-02 15:04"),
		"thing3": map[order.MessageKind]string{order.TellEnded: "使用已结束,费用见详情", order.TellRefund: "退款已到账",
			order.TellUnpaid: "有一笔费用待支付"}[m.Kind]}
	page := "pages/order/order?id=" + m.Order
	if m.Order == "" {
		page = "pages/wallet/wallet"
	}
	err := t.messenger.Send(ctx, wechat.Message{To: to, Template: template, Page: page, Data: data})
	if errors.Is(err, wechat.ErrNotWanted) {
		return fmt.Errorf("%w: %w", order.ErrNotWanted, err)
	}
	return err
}
