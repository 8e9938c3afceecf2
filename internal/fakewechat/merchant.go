package fakewechat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// PayConfig describes the merchant.
type PayConfig struct {
	// MchID is the merchant number, 8 to 10 digits.
	MchID string
	// MerchantSerial is the serial number of the merchant's API certificate, as
	// requests name it in serial_no.
	MerchantSerial string
	// MerchantKey checks requests and paySign; required unless Verify is set.
	MerchantKey *rsa.PublicKey
	// KeyID is the id of the WeChat Pay public key, PUB_KEY_ID_ and digits.
	KeyID string
	// Key signs answers and callbacks; required unless Sign is set.
	Key *rsa.PrivateKey
	// APIv3Key encrypts callbacks; 32 bytes.
	APIv3Key string
	// ServiceID is the Pay Score service, 32 digits; empty means that Pay Score was
	// not granted.
	ServiceID string
	// RiskCap is the most in fen that the service lets an order risk or cost.
	RiskCap int64
	// BikeRules asks what bike sharing must show: the names of what is paid for, and
	// the device at the start.
	BikeRules bool
	// Verify checks a signature as it stands in a header or in paySign; nil means RSA
	// PKCS #1 v1.5 with SHA-256 and MerchantKey. A simulation puts a keyed hash here.
	Verify func(message []byte, signature string) error
	// Sign is Verify's opposite for answers and callbacks; nil means RSA with Key.
	Sign func(message []byte) (string, error)
	// Callbacks carries callbacks to their notify_url; nil means a transport of the
	// Server's own. Whoever wants them elsewhere rewrites the host here, so that a
	// notify_url is https always.
	Callbacks http.RoundTripper
	// RefundTime is from the acceptance of a refund to its end; 0 means 2 s.
	RefundTime time.Duration
	// DebitTime is from the completion of a score order to the first debit, and from
	// there to the next, twice as long each time up to 6 h; 0 means 1 s.
	DebitTime time.Duration
}

// merchant is what the pay host remembers.
type merchant struct {
	PayConfig
	aead, otherAEAD cipher.AEAD

	serial         int64 // of the last number that was made
	orders         map[string]*order
	prepays        map[string]*prepay
	transactions   map[string]*transaction // by transaction_id
	ledger         []*transaction          // as they happened
	refunds        map[string]*refund      // by out_refund_no
	refundsByID    map[string]*refund
	refundList     []*refund // as they were accepted
	scores         map[string]*scoreOrder
	scoresByPack   map[string]*scoreOrder
	scoresByQuery  map[string]*scoreOrder
	scoresByOpenID map[string][]*scoreOrder
	bills          map[string]*billFile // by download token
	deliveries     []Delivery
}

func newMerchant(cfg PayConfig) (*merchant, error) {
	switch {
	case !digits(cfg.MchID, 8, 10):
		return nil, errors.New("a merchant number has 8 to 10 digits")
	case cfg.MerchantSerial == "":
		return nil, errors.New("the merchant certificate's serial number is required")
	case !strings.HasPrefix(cfg.KeyID, "PUB_KEY_ID_"):
		return nil, errors.New("the id of the WeChat Pay key begins with PUB_KEY_ID_")
	case len(cfg.APIv3Key) != 32:
		return nil, fmt.Errorf("the APIv3 key has %d bytes, want 32", len(cfg.APIv3Key))
	case cfg.Verify == nil && cfg.MerchantKey == nil, cfg.Sign == nil && cfg.Key == nil:
		return nil, errors.New("the merchant's public key and WeChat Pay's private key are required")
	case cfg.ServiceID != "" && !digits(cfg.ServiceID, 32, 32):
		return nil, errors.New("a service id has 32 digits")
	case cfg.RiskCap < 0 || cfg.RefundTime < 0 || cfg.DebitTime < 0:
		return nil, errors.New("risk cap, refund time and debit time are not negative")
	}
	if cfg.Verify == nil {
		cfg.Verify = verifyWith(cfg.MerchantKey)
	}
	if cfg.Sign == nil {
		cfg.Sign = signWith(cfg.Key)
	}
	if cfg.Callbacks == nil {
		// Kept connections would outlive the Server, which has no end of its own.
		cfg.Callbacks = &http.Transport{DisableKeepAlives: true}
	}
	if cfg.RefundTime == 0 {
		cfg.RefundTime = 2 * time.Second
	}
	if cfg.DebitTime == 0 {
		cfg.DebitTime = time.Second
	}
	m := &merchant{
		PayConfig: cfg,
		orders:    map[string]*order{}, prepays: map[string]*prepay{}, transactions: map[string]*transaction{},
		refunds: map[string]*refund{}, refundsByID: map[string]*refund{}, scores: map[string]*scoreOrder{},
		scoresByPack: map[string]*scoreOrder{}, scoresByQuery: map[string]*scoreOrder{},
		scoresByOpenID: map[string][]*scoreOrder{}, bills: map[string]*billFile{},
	}
	other := []byte(cfg.APIv3Key)
	other[0] ^= 1
	var err error
	if m.aead, err = sealer([]byte(cfg.APIv3Key)); err == nil {
		m.otherAEAD, err = sealer(other)
	}
	return m, err
}

func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// digits reports whether s is that many digits.
func digits(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// china is the time zone of every date and time that WeChat Pay writes.
var china = time.FixedZone("CST", 8*60*60)

func inChina(t time.Time) string { return t.In(china).Format(time.RFC3339) }

// number makes a number of one kind: its prefix, today's date and a counter.
func (m *merchant) number(prefix string, now time.Time, width int) string {
	m.serial++
	return fmt.Sprintf("%s%s%0*d", prefix, now.In(china).Format("20060102"), width, m.serial)
}
