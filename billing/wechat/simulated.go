package wechat

import (
	"context"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core/auth"
)

// WithSignatures replaces RSA by the two functions, one for what we sign and one for
// what WeChat signs, as a simulation of many payments wants. Everything else about
// signatures is as strict as before: headers, stamps and the key's id. Ids and clocks
// must be set before.
func (c PayConfig) WithSignatures(sign func(message []byte) (string, error), verify func(message []byte, signature string) error) PayConfig {
	now := c.Stamp
	if now == nil {
		now = c.Now
	}
	if now == nil {
		now = time.Now
	}
	c.Signer = &functionSigner{mchID: c.MchID, serial: c.MerchantSerial, sign: sign}
	c.Validator = &stamps{keyID: c.PublicKeyID, now: now, verifier: functionVerifier{c.PublicKeyID, verify}}
	return c
}

type functionSigner struct {
	mchID, serial string
	sign          func([]byte) (string, error)
}

// Algorithm names the scheme in the Authorization header, which stays WeChat's.
func (*functionSigner) Algorithm() string { return "SHA256-RSA2048" }

func (s *functionSigner) Sign(_ context.Context, message string) (*auth.SignatureResult, error) {
	signature, err := s.sign([]byte(message))
	if err != nil {
		return nil, err
	}
	return &auth.SignatureResult{MchID: s.mchID, CertificateSerialNo: s.serial, Signature: signature}, nil
}

type functionVerifier struct {
	keyID  string
	verify func([]byte, string) error
}

func (v functionVerifier) GetSerial(context.Context) (string, error) { return v.keyID, nil }

func (v functionVerifier) Verify(_ context.Context, _, message, signature string) error {
	return v.verify([]byte(message), signature)
}
