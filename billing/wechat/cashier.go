package wechat

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/signers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/option"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"
)

// ErrBadAsk: the ask has no meaning at WeChat, and nothing was sent. It is a fault of
// whoever asks.
var ErrBadAsk = errors.New("this cannot be asked of WeChat")

const (
	// askPatience bounds one call; a lost answer is asked for again later.
	askPatience = 10 * time.Second
	// maxPayAnswer is far above the longest answer, an order with its promotions.
	maxPayAnswer = 1 << 20
	currency     = "CNY"
)

// china is the time zone of everything that WeChat Pay writes without one.
var china = time.FixedZone("CST", 8*3600)

// Cashier takes steps of payments at WeChat Pay. It is safe for concurrent use.
type Cashier struct {
	cfg       PayConfig
	client    *core.Client
	files     *core.Client // for bill files, whose answers are long and not signed
	validator auth.Validator
}

// NewCashier checks the configuration and calls nobody. Its only error is
// ErrPayConfig.
func NewCashier(cfg PayConfig) (*Cashier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.filled()
	signer, validator := cfg.Signer, cfg.Validator
	if signer == nil {
		signer = &signers.SHA256WithRSASigner{MchID: cfg.MchID, CertificateSerialNo: cfg.MerchantSerial, PrivateKey: cfg.MerchantKey}
	}
	if validator == nil {
		validator = newStamps(cfg)
	}
	client, err := core.NewClientWithDialSettings(context.Background(),
		&core.DialSettings{HTTPClient: guarded(cfg, maxPayAnswer), Signer: signer, Validator: validator})
	if err != nil {
		return nil, fmt.Errorf("%w: the official SDK refuses it", ErrPayConfig)
	}
	files, err := core.NewClient(context.Background(),
		option.WithHTTPClient(guarded(cfg, 0)), option.WithSigner(signer), option.WithoutValidator())
	if err != nil {
		return nil, fmt.Errorf("%w: the official SDK refuses it", ErrPayConfig)
	}
	return &Cashier{cfg: cfg, client: client, files: files, validator: validator}, nil
}

// numberText is what WeChat takes as a number of ours.
var numberText = regexp.MustCompile(`^[0-9A-Za-z_|*-]{6,32}$`)

// step is one way to ask; its error is WeChat's or the network's, untranslated.
type step func(context.Context, billing.Ask) (billing.Said, error)

// steps is what can be asked on each road.
func (c *Cashier) steps() map[billing.Road]map[billing.Step]step {
	return map[billing.Road]map[billing.Step]step{
		billing.Transaction: {billing.AskCreate: c.createTransaction, billing.AskQuery: c.queryTransaction, billing.AskClose: c.closeTransaction},
		billing.Refund:      {billing.AskCreate: c.createRefund, billing.AskQuery: c.queryRefund},
		billing.Score: {billing.AskCreate: c.createScore, billing.AskQuery: c.queryScore, billing.AskClose: c.cancelScore,
			billing.AskComplete: c.completeScore, billing.AskModify: c.modifyScore, billing.AskCollect: c.collectScore, billing.AskSync: c.syncScore},
	}
}

// Do takes one step of one payment with one call.
//
// Errors: billing.ErrUnsure (together with the context's error when that ended): no
// word came that can be trusted, the step may or may not have happened. ErrBadAsk:
// nothing was sent. A nil error does not promise that the step happened: Stands says
// what WeChat states, and StandsRefused that this step did not change anything.
func (c *Cashier) Do(ctx context.Context, a billing.Ask) (billing.Said, error) {
	said, err := c.do(ctx, a)
	if err != nil {
		return billing.Said{}, fmt.Errorf("%s %s %.64q: %w", a.Step, a.Road, a.Number, err)
	}
	return said, nil
}

func (c *Cashier) do(ctx context.Context, a billing.Ask) (billing.Said, error) {
	ask := c.steps()[a.Road][a.Step]
	switch {
	case ask == nil:
		return billing.Said{}, fmt.Errorf("%w: there is no such step on this road", ErrBadAsk)
	case !numberText.MatchString(a.Number):
		return billing.Said{}, fmt.Errorf("%w: a number has 6 to 32 letters and digits", ErrBadAsk)
	case a.Road == billing.Score && c.cfg.ServiceID == "":
		return billing.Said{}, fmt.Errorf("%w: Pay Score is not configured", ErrBadAsk)
	}
	call, stop := context.WithTimeout(ctx, askPatience)
	defer stop()
	said, err := ask(call, a)
	if err != nil {
		return verdict(ctx, a, err)
	}
	if said.Stands == "" {
		return billing.Said{}, fmt.Errorf("%w: the answer names no state", billing.ErrUnsure)
	}
	if said.Number != a.Number {
		return billing.Said{}, fmt.Errorf("%w: the answer is about another number", billing.ErrUnsure)
	}
	if a.Step != billing.AskCreate {
		said.Key = ""
	}
	return said, nil
}

// keyText is a prepay_id: it is signed in a text of lines.
var keyText = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// Checkout turns a transaction's key into what wx.requestPayment takes. It is signed
// now and good for as long as the key, two hours from its Create.
func (c *Cashier) Checkout(key string) (map[string]string, error) {
	if !keyText.MatchString(key) {
		return nil, fmt.Errorf("sign a checkout: %w: it needs the key of a transaction", ErrBadAsk)
	}
	nonce, err := utils.GenerateNonce()
	if err != nil {
		return nil, errors.New("sign a checkout: no randomness")
	}
	out := map[string]string{"timeStamp": strconv.FormatInt(c.cfg.Now().Unix(), 10), "nonceStr": nonce,
		"package": "prepay_id=" + key, "signType": "RSA"}
	// The app id is signed and not passed.
	signed, err := c.client.Sign(context.Background(),
		c.cfg.AppID+"\n"+out["timeStamp"]+"\n"+out["nonceStr"]+"\n"+out["package"]+"\n")
	if err != nil {
		return nil, errors.New("sign a checkout: the merchant key does not sign")
	}
	out["paySign"] = signed.Signature
	return out, nil
}

// foreign names the first of the given that is not ours: pairs of what it is called,
// what WeChat said and what it is here.
func foreign(said ...[3]string) string {
	for _, s := range said {
		if s[1] != s[2] {
			return fmt.Sprintf("%s %.40q", s[0], s[1])
		}
	}
	return ""
}

// value is what a pointer of the SDK points to; nil is the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// clip cuts a text to so many characters.
func clip(text string, most int) string {
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}
