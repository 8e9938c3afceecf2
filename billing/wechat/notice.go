package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"
)

// Errors of notifications that their sender is to be told.
var (
	// ErrForged: the signature is not WeChat Pay's, or too old. WeChat now and then
	// sends such a one on purpose; the answer is always 401.
	ErrForged = errors.New("the notification is not signed by WeChat Pay")
	// ErrNotice: it is signed and cannot be read: for a 400, upon which it comes again.
	ErrNotice = errors.New("the notification is not understood")
	// ErrIgnored: it is signed and of a kind that we have no use for: for a 200.
	ErrIgnored = errors.New("the notification is of a kind that is not used")
)

const (
	noticeAlgorithm = "AEAD_AES_256_GCM"
	// noticeNonce is the only length with which AES-GCM opens anything. With another one
	// it panics, and the SDK does not look.
	noticeNonce = 12
)

// eventText is what an event type looks like; anything else is not repeated.
var eventText = regexp.MustCompile(`^[A-Z0-9_.]{1,64}$`)

// events is what each kind of notification holds.
var events = map[string]func(*Cashier, []byte) (billing.Said, error){
	"TRANSACTION.SUCCESS":   (*Cashier).hearTransaction,
	"REFUND.SUCCESS":        (*Cashier).hearRefund,
	"REFUND.ABNORMAL":       (*Cashier).hearRefund,
	"REFUND.CLOSED":         (*Cashier).hearRefund,
	"PAYSCORE.USER_CONFIRM": (*Cashier).hearScoreNotice,
	"PAYSCORE.USER_PAID":    (*Cashier).hearScoreNotice,
}

// Open verifies a notification on the bytes as they came, decrypts it and returns the
// same word that a query would give, with its event type. The caller limits the
// length of body. It may come twice, late and in any order.
//
// Errors: ErrForged, ErrNotice, ErrIgnored (with the event type), the context's. None
// of them holds anything that came in.
func (c *Cashier) Open(ctx context.Context, header http.Header, body []byte) (billing.Said, string, error) {
	said, kind, err := c.open(ctx, header, body)
	if err != nil {
		return billing.Said{}, kind, fmt.Errorf("open a WeChat notification: %w", err)
	}
	return said, kind, nil
}

func (c *Cashier) open(ctx context.Context, header http.Header, body []byte) (billing.Said, string, error) {
	// Answers and notifications carry the same four headers over the same text.
	err := c.validator.Validate(ctx, &http.Response{Header: header, Body: io.NopCloser(bytes.NewReader(body))})
	if cause := ctx.Err(); err != nil && cause != nil {
		return billing.Said{}, "", cause
	}
	if errors.Is(err, errStamp) {
		return billing.Said{}, "", fmt.Errorf("%w: %w", ErrForged, err)
	}
	if err != nil {
		return billing.Said{}, "", ErrForged
	}
	var notice notify.Request
	if json.Unmarshal(body, &notice) != nil {
		return billing.Said{}, "", fmt.Errorf("%w: it is no JSON of the known form", ErrNotice)
	}
	kind := notice.EventType
	if !eventText.MatchString(kind) {
		return billing.Said{}, "", fmt.Errorf("%w: it has no event type", ErrNotice)
	}
	hear := events[kind]
	if hear == nil {
		return billing.Said{}, kind, ErrIgnored
	}
	plain, err := c.decrypt(notice.Resource)
	if err != nil {
		return billing.Said{}, kind, err
	}
	said, err := hear(c, plain)
	if err != nil {
		return billing.Said{}, kind, fmt.Errorf("%w: %s", ErrNotice, heardWrong(err))
	}
	said.Key = ""
	return said, kind, nil
}

func (c *Cashier) decrypt(r *notify.EncryptedResource) ([]byte, error) {
	switch {
	case r == nil:
		return nil, fmt.Errorf("%w: it has no resource", ErrNotice)
	case r.Algorithm != noticeAlgorithm:
		return nil, fmt.Errorf("%w: its algorithm is not supported", ErrNotice)
	case len(r.Nonce) != noticeNonce:
		return nil, fmt.Errorf("%w: its nonce has %d bytes, want %d", ErrNotice, len(r.Nonce), noticeNonce)
	}
	plain, err := utils.DecryptAES256GCM(c.cfg.APIv3Key, r.AssociatedData, r.Nonce, r.Ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: the APIv3 key does not open it", ErrNotice)
	}
	return []byte(plain), nil
}

// heardWrong says what is wrong with a decrypted body without quoting it: errors of
// encoding/json do.
func heardWrong(err error) string {
	if errors.Is(err, billing.ErrUnsure) {
		return err.Error()
	}
	return "its decrypted content is no JSON of the known form"
}

func (c *Cashier) hearTransaction(plain []byte) (billing.Said, error) {
	var t payments.Transaction
	if err := json.Unmarshal(plain, &t); err != nil {
		return billing.Said{}, err
	}
	return c.transactionSaid(&t)
}

func (c *Cashier) hearRefund(plain []byte) (billing.Said, error) {
	var w refundWord
	if err := json.Unmarshal(plain, &w); err != nil {
		return billing.Said{}, err
	}
	return c.refundHeard(w)
}

func (c *Cashier) hearScoreNotice(plain []byte) (billing.Said, error) {
	if c.cfg.ServiceID == "" {
		return billing.Said{}, fmt.Errorf("%w: Pay Score is not configured", billing.ErrUnsure)
	}
	var w scoreWord
	if err := json.Unmarshal(plain, &w); err != nil {
		return billing.Said{}, err
	}
	said, err := c.scoreHeard(w)
	if err == nil && said.Stands == "" {
		return billing.Said{}, fmt.Errorf("%w: it names no state", billing.ErrUnsure)
	}
	return said, err
}
