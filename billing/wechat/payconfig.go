package wechat

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wechatpay-apiv3/wechatpay-go/core/auth"
)

// ErrPayConfig names the field of a PayConfig that cannot be meant, and what to do.
var ErrPayConfig = errors.New("WeChat Pay is misconfigured")

// PayConfig is the merchant's account.
type PayConfig struct {
	// AppID is the mini-program's, MchID the merchant's; the merchant platform binds
	// them to each other.
	AppID, MchID string
	// MerchantSerial is the serial number of the merchant's API certificate, MerchantKey
	// the private key of the same certificate.
	MerchantSerial string
	MerchantKey    *rsa.PrivateKey
	// PublicKeyID begins with PUB_KEY_ID_; PublicKey is WeChat Pay's public key of that
	// id. Platform certificates, which new merchants do not have, are not supported.
	PublicKeyID string
	PublicKey   *rsa.PublicKey
	APIv3Key    string // 32 bytes; opens notifications
	// NotifyURL is https, public and without a query.
	NotifyURL string
	// ServiceID is Pay Score's, 32 digits; "" = no Pay Score.
	ServiceID string
	// RiskFundName is what the risk fund of a score order is called: DEPOSIT, ADVANCE or
	// CASH_DEPOSIT where it is waived, ESTIMATE_ORDER_COST where the use comes first.
	// "" = DEPOSIT.
	RiskFundName string
	// NamePayer also names the rider when a score order is created, so that a refusal of
	// theirs comes back at once and not on WeChat's page alone. By WeChat's older pages
	// an order that its rider confirms comes without; ask for the service id's rule.
	NamePayer bool
	// ServiceIntroduction heads a score order on the rider's phone, 20 characters at
	// most; "" = 共享单车骑行.
	ServiceIntroduction string
	// Descriptions says on the rider's bill what a payment was for, by kind of device;
	// "" is a top-up. 127 characters each. What is missing has a word of its own.
	Descriptions map[string]string
	// ClientIP goes out as the payer's address, which WeChat demands as soon as it is
	// told the place; the rider's own is not known here. "" = 127.0.0.1.
	ClientIP string
	// BaseURL is the real pay host when empty. Else every request is rewritten to it.
	BaseURL string
	// HTTP makes the calls; nil means a plain client. Redirects are never followed.
	HTTP *http.Client
	// Signer and Validator replace RSA; nil = RSA with the keys above, which are then
	// required. The validator also judges notifications, as an answer with their headers
	// and body. See WithSignatures.
	Signer    auth.Signer
	Validator auth.Validator
	// Now is the clock; nil = time.Now. Stamp is the clock that signature headers are
	// compared with; nil = Now. The official SDK stamps requests with time.Now.
	Now, Stamp func() time.Time
}

// defaultDescriptions are the words of a rider's bill.
var defaultDescriptions = map[string]string{"": "钱包充值", "lock": "共享单车骑行", "pump": "加油"}

// payURL is the host that the SDK signs for.
const payURL = "https://api.mch.weixin.qq.com"

func (c PayConfig) bad(field, fix string) error {
	return fmt.Errorf("%w: %s: %s", ErrPayConfig, field, fix)
}

var (
	serialText    = regexp.MustCompile(`^[0-9A-Fa-f]{8,64}$`)
	publicKeyText = regexp.MustCompile(`^PUB_KEY_ID_[0-9A-Za-z_]{1,100}$`)
	serviceText   = regexp.MustCompile(`^[0-9]{32}$`)
	mchText       = regexp.MustCompile(`^[0-9]{6,32}$`)
)

// check names the first field that cannot be meant.
func (c PayConfig) check() error {
	switch {
	case c.AppID == "" || len(c.AppID) > 32:
		return c.bad("AppID", "copy the mini-program's app id from its console")
	case !mchText.MatchString(c.MchID):
		return c.bad("MchID", "copy the merchant number, all digits, from the merchant platform")
	case len(c.APIv3Key) != 32:
		return c.bad("APIv3Key", fmt.Sprintf("it has %d bytes and must have 32: set one on the merchant platform under API security", len(c.APIv3Key)))
	case checkNotifyURL(c.NotifyURL) != "":
		return c.bad("NotifyURL", checkNotifyURL(c.NotifyURL))
	case c.ServiceID != "" && !serviceText.MatchString(c.ServiceID):
		return c.bad("ServiceID", "a Pay Score service id has 32 digits; leave it empty to go without Pay Score")
	case c.Signer == nil && (c.MerchantKey == nil || c.MerchantKey.Validate() != nil):
		return c.bad("MerchantKey", "give the private key apiclient_key.pem of the merchant's API certificate")
	case c.Signer == nil && !serialText.MatchString(c.MerchantSerial):
		return c.bad("MerchantSerial", "copy the serial number of the merchant's API certificate: hexadecimal digits without colons")
	case c.Validator == nil && c.PublicKey == nil:
		return c.bad("PublicKey", "give WeChat Pay's public key pub_key.pem from the merchant platform under API security")
	case c.Validator == nil && !publicKeyText.MatchString(c.PublicKeyID):
		return c.bad("PublicKeyID", "copy the public key's id from the merchant platform: it begins with PUB_KEY_ID_")
	}
	return c.checkWords()
}

func (c PayConfig) checkWords() error {
	switch c.RiskFundName {
	case "", "DEPOSIT", "ADVANCE", "CASH_DEPOSIT", "ESTIMATE_ORDER_COST":
	default:
		return c.bad("RiskFundName", "use DEPOSIT, ADVANCE, CASH_DEPOSIT or ESTIMATE_ORDER_COST, as agreed for the service id")
	}
	if utf8.RuneCountInString(c.ServiceIntroduction) > 20 {
		return c.bad("ServiceIntroduction", "20 characters at most")
	}
	for kind, text := range c.Descriptions {
		if text == "" || utf8.RuneCountInString(text) > 127 {
			return c.bad("Descriptions", fmt.Sprintf("the words for %q must have 1 to 127 characters", kind))
		}
	}
	if c.ClientIP != "" {
		if _, err := netip.ParseAddr(c.ClientIP); err != nil {
			return c.bad("ClientIP", "give an IP address")
		}
	}
	if c.BaseURL != "" {
		base, err := url.Parse(c.BaseURL)
		if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
			return c.bad("BaseURL", "give a scheme and a host and nothing else, or leave it empty for the real host")
		}
	}
	return nil
}

// checkNotifyURL says what is wrong with a notify URL; "" = nothing.
func checkNotifyURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "give the public address of this installation's WeChat notifications"
	case err != nil || u.Host == "":
		return "it is no address"
	case u.Scheme != "https":
		return "WeChat only calls https addresses"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "WeChat cuts queries and fragments off: give an address without"
	case u.User != nil:
		return "WeChat does not log in: give an address without a user"
	case len(text) > 255:
		return "255 characters at most"
	}
	return ""
}

// filled puts the defaults in.
func (c PayConfig) filled() PayConfig {
	words := map[string]string{}
	for kind, text := range defaultDescriptions {
		words[kind] = text
	}
	for kind, text := range c.Descriptions {
		words[kind] = text
	}
	c.Descriptions = words
	for field, value := range map[*string]string{&c.RiskFundName: "DEPOSIT", &c.ServiceIntroduction: "共享单车骑行", &c.ClientIP: "127.0.0.1"} {
		if *field == "" {
			*field = value
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Stamp == nil {
		c.Stamp = c.Now
	}
	return c
}
