package wechat_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// keyed signs and checks with a hash of the given key.
func keyed(key string) (func([]byte) (string, error), func([]byte, string) error) {
	sign := func(message []byte) (string, error) {
		h := hmac.New(sha256.New, []byte(key))
		_, _ = h.Write(message)
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	return sign, func(message []byte, signature string) error {
		if want, _ := sign(message); want != signature {
			return errors.New("wrong hash")
		}
		return nil
	}
}

func TestSimulationPaysWithoutRSA(t *testing.T) {
	ourSign, ourVerify := keyed("merchant")
	theirSign, theirVerify := keyed("wechat")
	s := newShop(t, func(c *wechat.PayConfig, f *fakewechat.Config) {
		c.MerchantKey, c.PublicKey = nil, nil
		*c = c.WithSignatures(ourSign, theirVerify)
		f.Pay.MerchantKey, f.Pay.Key, f.Pay.Verify, f.Pay.Sign = nil, nil, ourVerify, theirSign
	})
	a := s.ask(billing.Transaction, billing.AskCreate, 2000)
	s.pay("ann", s.do(a).Key)
	s.provoke(fakewechat.FaultForged, fakewechat.GroupCallback)
	s.pass(time.Minute)
	heard := s.notices()
	if len(heard) != 2 || !errors.Is(heard[0].err, wechat.ErrForged) || heard[1].said.Stands != billing.StandsPaid {
		t.Errorf("heard %+v, want a forged one and the honest one", heard)
	}
	s.want(s.then(a, billing.AskQuery), billing.StandsPaid, 2000, 2000)
	s.provoke(fakewechat.FaultBadSignature, fakewechat.GroupPay)
	a.Step = billing.AskQuery
	s.unsure(a)
}
