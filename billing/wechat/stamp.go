package wechat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core/auth"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/consts"
)

// errStamp says why WeChat's signature was not accepted. Its text holds nothing that
// came in.
var errStamp = errors.New("the signature does not hold")

// stampLife is how far a stamp may be from our clock, either way.
const stampLife = 5 * time.Minute

// stamps checks the four signature headers of answers and notifications. It is the
// SDK's validator but for three things: it uses the given clock, it refuses headers
// that come twice, and it says what is wrong without repeating what came in.
type stamps struct {
	keyID    string
	verifier auth.Verifier
	now      func() time.Time
}

func newStamps(cfg PayConfig) *stamps {
	return &stamps{keyID: cfg.PublicKeyID, now: cfg.Stamp,
		verifier: verifiers.NewSHA256WithRSAPubkeyVerifier(cfg.PublicKeyID, *cfg.PublicKey)}
}

// GetAcceptSerial asks WeChat to sign with the public key.
func (s *stamps) GetAcceptSerial(context.Context) (string, error) { return s.keyID, nil }

// Validate reads the body and puts it back.
func (s *stamps) Validate(ctx context.Context, answer *http.Response) error {
	var body []byte
	if answer.Body != nil {
		var err error
		body, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		answer.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil {
			return err
		}
	}
	return s.check(ctx, answer.Header, body)
}

func (s *stamps) check(ctx context.Context, header http.Header, body []byte) error {
	one := func(name string) (string, error) {
		values := header.Values(name)
		if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
			return "", fmt.Errorf("%w: %d headers %s, want one", errStamp, len(values), name)
		}
		return strings.TrimSpace(values[0]), nil
	}
	var text [4]string
	for i, name := range []string{consts.WechatPaySerial, consts.WechatPayTimestamp, consts.WechatPayNonce, consts.WechatPaySignature} {
		var err error
		if text[i], err = one(name); err != nil {
			return err
		}
	}
	serial, stamp, nonce, signature := text[0], text[1], text[2], text[3]
	if kinds := header.Values("Wechatpay-Signature-Type"); len(kinds) > 1 || len(kinds) == 1 && kinds[0] != "WECHATPAY2-SHA256-RSA2048" {
		return fmt.Errorf("%w: it is of a type that is not supported", errStamp)
	}
	if serial != s.keyID {
		if !strings.HasPrefix(serial, "PUB_KEY_ID_") {
			return fmt.Errorf("%w: it is by a platform certificate, not by the public key: finish the merchant's change to the public key", errStamp)
		}
		return fmt.Errorf("%w: it is by another public key than the configured one", errStamp)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: the time stamp is no number", errStamp)
	}
	// Compared in seconds: a made-up stamp would overflow a Duration.
	if off := s.now().Unix() - seconds; off >= int64(stampLife/time.Second) || off <= -int64(stampLife/time.Second) {
		return fmt.Errorf("%w: the time stamp is more than five minutes from our clock", errStamp)
	}
	if s.verifier.Verify(ctx, serial, stamp+"\n"+nonce+"\n"+string(body)+"\n", signature) != nil {
		return fmt.Errorf("%w: it is not of these bytes", errStamp)
	}
	return nil
}
