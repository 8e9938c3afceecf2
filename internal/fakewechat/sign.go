package fakewechat

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	signatureScheme = "WECHATPAY2-SHA256-RSA2048"
	// stampWindow is how far a stamp may be from the time of arrival.
	stampWindow = 5 * time.Minute
	// probePrefix marks the signatures that WeChat sends to see whether a receiver
	// checks them at all.
	probePrefix = "WECHATPAY/SIGNTEST/"
)

// authorization is the Authorization header of a request to the pay host.
type authorization struct {
	mchID, nonce, timestamp, serial, signature string
}

var errAuthorization = errors.New("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")

// parseAuthorization takes the attributes in any order, each once.
func parseAuthorization(header string) (a authorization, err error) {
	rest, ok := strings.CutPrefix(header, signatureScheme+" ")
	if !ok {
		return a, errAuthorization
	}
	fields := map[string]*string{
		"mchid": &a.mchID, "nonce_str": &a.nonce, "timestamp": &a.timestamp, "serial_no": &a.serial, "signature": &a.signature,
	}
	for attribute := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(attribute), "=")
		target := fields[name]
		if !ok || target == nil || *target != "" || len(value) < 3 || value[0] != '"' || value[len(value)-1] != '"' {
			return a, errAuthorization
		}
		*target = value[1 : len(value)-1]
	}
	if a.mchID == "" || a.nonce == "" || a.timestamp == "" || a.serial == "" || a.signature == "" {
		return a, errAuthorization
	}
	return a, nil
}

// requestURI is path and query as they were sent. A transport that calls the handler
// within the process leaves RequestURI empty.
func requestURI(r *http.Request) string {
	uri := r.RequestURI
	if uri == "" {
		return r.URL.RequestURI()
	}
	if !strings.HasPrefix(uri, "/") { // the absolute form that is sent to proxies
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				return rest[i:]
			}
		}
	}
	return uri
}

// lines is what is signed: each part ends with a line feed, the last one too.
func lines(parts ...string) []byte {
	size := len(parts)
	for _, p := range parts {
		size += len(p)
	}
	b := make([]byte, 0, size)
	for _, p := range parts {
		b = append(append(b, p...), '\n')
	}
	return b
}

// authenticate checks who sent a request. Its message is that of the real host.
func (m *merchant) authenticate(r *http.Request, body []byte, stamp time.Time) error {
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	if a.mchID != m.MchID {
		return errors.New("商户号与签名中的商户号不一致")
	}
	if a.serial != m.MerchantSerial {
		return errors.New("商户证书序列号有误")
	}
	seconds, err := strconv.ParseInt(a.timestamp, 10, 64)
	if err != nil || stamp.Sub(time.Unix(seconds, 0)).Abs() > stampWindow {
		return errors.New("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
	}
	if m.Verify(lines(r.Method, requestURI(r), a.timestamp, a.nonce, string(body)), a.signature) != nil {
		return errors.New("签名错误，请检查后再试")
	}
	return nil
}

// verifyWith checks with an RSA key.
func verifyWith(key *rsa.PublicKey) func([]byte, string) error {
	return func(message []byte, signature string) error {
		raw, err := base64.StdEncoding.Strict().DecodeString(signature)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(message)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw)
	}
}

// signWith signs with an RSA key.
func signWith(key *rsa.PrivateKey) func([]byte) (string, error) {
	return func(message []byte) (string, error) {
		sum := sha256.Sum256(message)
		raw, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		return base64.StdEncoding.EncodeToString(raw), err
	}
}

// stampHeaders signs an answer or a callback: stamp, nonce and body.
func (m *merchant) stampHeaders(h http.Header, stamp time.Time, nonce string, body []byte) error {
	timestamp := strconv.FormatInt(stamp.Unix(), 10)
	signature, err := m.Sign(lines(timestamp, nonce, string(body)))
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	h.Set("Wechatpay-Timestamp", timestamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", m.KeyID)
	h.Set("Wechatpay-Signature", signature)
	h.Set("Wechatpay-Signature-Type", signatureScheme)
	return nil
}

// otherBytes is a body that differs, to sign in place of the one that is sent.
func otherBytes(body []byte) []byte { return append(bytes.Clone(body), ' ') }
