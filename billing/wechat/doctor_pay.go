package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
)

// What the checks of WeChat Pay are called.
const (
	checkedAPIv3   = "APIv3 key"
	checkedNotify  = "notify URL"
	checkedAccount = "merchant number"
	checkedSerial  = "merchant certificate serial"
	checkedPrivate = "merchant private key"
	checkedBinding = "merchant account"
	checkedPublic  = "WeChat Pay public key"
	checkedAnswers = "signature of WeChat's answers"
	checkedScore   = "Pay Score service"
)

// nobody is a number that no payment of ours can have: theirs are hexadecimal.
const nobody = "doctor0000000000000000000nobody0"

func (d *doctor) checkAPIv3Key(context.Context) []Finding {
	if len(d.APIv3Key) != 32 {
		return []Finding{bad(checkedAPIv3, fmt.Sprintf("it has %d bytes", len(d.APIv3Key)),
			"set a key of exactly 32 characters on the merchant platform under API security and copy it, without a line break")}
	}
	// Only a notification proves that it is the right one.
	return []Finding{good(checkedAPIv3, "it has 32 bytes; the first notification proves it")}
}

// checkNotify sends what nobody signed. Only our own answer to that shows that the
// way in is open, and closed to forgers.
func (d *doctor) checkNotify(ctx context.Context) []Finding {
	if wrong := checkNotifyURL(d.NotifyURL); wrong != "" {
		return []Finding{bad(checkedNotify, wrong, "set the public https address of /v1/wechat/notify")}
	}
	if u, err := url.Parse(d.NotifyURL); err == nil && u.Port() != "" && u.Port() != "443" {
		return []Finding{bad(checkedNotify, "it names port "+u.Port(), "serve notifications on port 443; WeChat does not promise to call others")}
	}
	status, body, _, err := d.visit(ctx, http.MethodPost, d.NotifyURL, `{"event_type":"UNLATCH.PROBE"}`)
	fix := "let " + d.NotifyURL + " reach this installation from outside, with its method, headers and body untouched"
	if err != nil {
		return []Finding{bad(checkedNotify, "it is not reachable: "+err.Error(), fix)}
	}
	var problem struct {
		Code string `json:"code"`
	}
	switch {
	case json.Unmarshal(body, &problem) == nil && problem.Code == "notice_forged" && status == http.StatusUnauthorized:
		return []Finding{good(checkedNotify, "it is reachable and refuses what is not signed")}
	case status < 300:
		return []Finding{bad(checkedNotify, fmt.Sprintf("it answers %d to an unsigned probe: something else answers there, and WeChat takes that for received", status), fix)}
	case status < 400:
		return []Finding{bad(checkedNotify, fmt.Sprintf("it answers %d: WeChat does not follow redirects", status), fix)}
	}
	return []Finding{bad(checkedNotify, fmt.Sprintf("it answers %d, and not as unlatch answers an unsigned probe", status), fix)}
}

// checkMerchant reads ids and keys, each by itself, and then asks WeChat about a
// number that cannot exist: only one who is who they say hears that it does not.
func (d *doctor) checkMerchant(ctx context.Context) []Finding {
	found := d.readMerchant()
	for _, f := range found {
		if !f.OK {
			return append(found, bad(checkedBinding, "not checked while its keys cannot be used", "repair the findings above"))
		}
	}
	cashier, last, err := d.newCashier("")
	if err != nil {
		return append(found, bad(checkedBinding, strings.TrimPrefix(err.Error(), ErrPayConfig.Error()+": "), "correct the field"))
	}
	said, err := cashier.Do(ctx, billing.Ask{Step: billing.AskQuery, Road: billing.Transaction, Number: nobody})
	heard := last.answer()
	switch {
	case err == nil && said.Stands == billing.StandsUnknown:
		found = append(found, good(checkedBinding, "WeChat Pay knows the merchant, the certificate and the app"))
	case heard == nil:
		return append(found, bad(checkedBinding, "the pay host is not reachable", "let this server reach "+payURL))
	case heard.status == http.StatusUnauthorized:
		found = append(found, unauthorised(heard))
	case heard.status == http.StatusForbidden, heard.code == "APPID_MCHID_NOT_MATCH", heard.code == "MCH_NOT_EXISTS", heard.code == "NO_AUTH":
		found = append(found, bad(checkedBinding, fmt.Sprintf("WeChat Pay refuses it (%s)", heard.name()),
			"check the merchant number, bind the app id to it on the merchant platform and apply for JSAPI payment"))
	default:
		found = append(found, bad(checkedBinding, fmt.Sprintf("WeChat Pay gives no usable answer (%s)", heard.name()), "wait and try again"))
	}
	return append(found, d.checkAnswers(ctx, cashier)...)
}

// unauthorised tells apart what a 401 may mean. WeChat says it in words only.
func unauthorised(h *heard) Finding {
	switch {
	case strings.Contains(h.message, "序列号") || strings.Contains(h.message, "serial"):
		return bad(checkedSerial, "WeChat Pay does not know the serial number",
			"copy the serial number of the merchant's API certificate from the merchant platform under API security; it changes with each new certificate")
	case strings.Contains(h.message, "时间戳") || strings.Contains(h.message, "timestamp"):
		return bad(checkedClock, "WeChat Pay refuses the time of our signature", "synchronise this server's clock by NTP")
	case strings.Contains(h.message, "商户号") || strings.Contains(h.message, "mchid"):
		return bad(checkedAccount, "WeChat Pay does not know the merchant number", "copy the merchant number from the merchant platform")
	}
	return bad(checkedPrivate, "WeChat Pay refuses our signature",
		"give the private key of the certificate whose serial number is set; both belong to one API certificate of this merchant")
}

// readMerchant reads what can be read without asking anybody.
func (d *doctor) readMerchant() []Finding {
	var found []Finding
	look := func(what string, ok bool, detail, fix string) {
		if ok {
			found = append(found, good(what, ""))
		} else {
			found = append(found, bad(what, detail, fix))
		}
	}
	look(checkedAccount, mchText.MatchString(d.MchID), "it is missing or has other characters than digits", "copy the merchant number from the merchant platform")
	look(checkedSerial, serialText.MatchString(d.MerchantSerial), "it is missing or not hexadecimal",
		"copy the serial number of the merchant's API certificate, hexadecimal digits without colons")
	_, err := ParseMerchantKey(d.MerchantKey)
	look(checkedPrivate, err == nil, keyDetail(err), "give apiclient_key.pem of the merchant's API certificate")
	_, err = ParsePublicKey(d.PublicKey)
	ok, detail := err == nil, keyDetail(err)
	if ok && !publicKeyText.MatchString(d.PublicKeyID) {
		ok, detail = false, "its id does not begin with PUB_KEY_ID_"
	}
	look(checkedPublic, ok, detail, "download pub_key.pem and copy its id PUB_KEY_ID_... on the merchant platform under API security")
	return found
}

func keyDetail(err error) string {
	if err == nil {
		return ""
	}
	_, detail, _ := strings.Cut(err.Error(), ErrKey.Error()+": ")
	return detail
}

// newCashier is a cashier of the given settings whose last answer can be looked at.
// What its other checks found wrong is put right, so that each is told once.
func (d *doctor) newCashier(service string) (*Cashier, *recorder, error) {
	private, err := ParseMerchantKey(d.MerchantKey)
	if err != nil {
		return nil, nil, err
	}
	public, err := ParsePublicKey(d.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	client := http.Client{}
	if d.HTTP != nil {
		client = *d.HTTP
	}
	last := &recorder{next: transport(d.HTTP)}
	client.Transport = last
	cashier, err := NewCashier(PayConfig{
		AppID: d.AppID, MchID: d.MchID, MerchantSerial: d.MerchantSerial, MerchantKey: private,
		PublicKeyID: d.PublicKeyID, PublicKey: public, ServiceID: service, BaseURL: d.PayBaseURL,
		NotifyURL: "https://unlatch.invalid/notify", APIv3Key: strings.Repeat("0", 32), HTTP: &client, Now: d.Now,
	})
	return cashier, last, err
}

// checkAnswers proves the public key. Refusals carry no signature that must hold, so
// it asks for bills: a day that has one is answered with a signature. Without any, it
// closes the number that cannot exist, which by most reports is a signed success too.
func (d *doctor) checkAnswers(ctx context.Context, c *Cashier) []Finding {
	proved := good(checkedAnswers, "the public key verifies them")
	wrong := func(err error) []Finding {
		return []Finding{bad(checkedAnswers, ours(err), "download pub_key.pem again and copy the id that stands beside it")}
	}
	for back := 2; back <= 4; back++ {
		day := d.Now().In(china).AddDate(0, 0, -back).Format("2006-01-02")
		query := url.Values{"bill_date": {day}, "bill_type": {"ALL"}, "tar_type": {"GZIP"}}
		_, err := c.client.Get(ctx, payURL+"/v3/bill/tradebill?"+query.Encode())
		if err == nil {
			return []Finding{proved}
		}
		if errors.Is(err, errStamp) {
			return wrong(err)
		}
		var refused *core.APIError
		if !errors.As(err, &refused) || refused.Code != "NO_STATEMENT_EXIST" {
			break
		}
	}
	switch _, err := c.closeTransaction(ctx, billing.Ask{Number: nobody}); {
	case err == nil:
		return []Finding{proved}
	case errors.Is(err, errStamp):
		return wrong(err)
	}
	return []Finding{{What: checkedAnswers, OK: true, Detail: "not proved: WeChat gave no signed answer, as there is no bill yet",
		Fix: "examine again after the first day with payments"}}
}

// checkScore asks for a score order that cannot exist.
func (d *doctor) checkScore(ctx context.Context) []Finding {
	if d.ServiceID == "" {
		return nil
	}
	if !serviceText.MatchString(d.ServiceID) {
		return []Finding{bad(checkedScore, "a service id has 32 digits", "copy the service id from WeChat's approval of Pay Score, or leave it empty")}
	}
	c, last, err := d.newCashier(d.ServiceID)
	if err != nil {
		return []Finding{bad(checkedScore, "not checked while the merchant's keys cannot be used", "repair the findings about the merchant")}
	}
	said, err := c.Do(ctx, billing.Ask{Step: billing.AskQuery, Road: billing.Score, Number: nobody})
	heard := last.answer()
	switch {
	case err == nil && said.Stands == billing.StandsUnknown:
		return []Finding{good(checkedScore, "the service is approved")}
	case heard == nil:
		return []Finding{bad(checkedScore, "the pay host is not reachable", "let this server reach "+payURL)}
	case heard.status == http.StatusUnauthorized:
		return []Finding{bad(checkedScore, "not checked while WeChat Pay refuses our signature", "repair the findings about the merchant")}
	case heard.status == http.StatusForbidden, heard.status == http.StatusBadRequest, heard.code == "NO_AUTH":
		return []Finding{bad(checkedScore, fmt.Sprintf("WeChat refuses it (%s)", heard.name()),
			"check that Pay Score was approved for this merchant, this app and this service id")}
	}
	return []Finding{bad(checkedScore, fmt.Sprintf("WeChat Pay gives no usable answer (%s)", heard.name()), "wait and try again")}
}
