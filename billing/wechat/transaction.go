package wechat

import (
	"context"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/jsapi"
)

// createTransaction answers the key of a payment that waits. The same ask again is
// answered with a fresh key.
func (c *Cashier) createTransaction(ctx context.Context, a billing.Ask) (billing.Said, error) {
	words, known := c.cfg.Descriptions[a.Kind]
	switch {
	case a.Amount < 1:
		return billing.Said{}, fmt.Errorf("%w: a transaction is of one fen or more", ErrBadAsk)
	case a.Payer == "":
		return billing.Said{}, fmt.Errorf("%w: a transaction needs its payer", ErrBadAsk)
	case !known:
		return billing.Said{}, fmt.Errorf("%w: Descriptions has no words for kind %.32q", ErrBadAsk, a.Kind)
	}
	request := jsapi.PrepayRequest{
		Appid: &c.cfg.AppID, Mchid: &c.cfg.MchID, Description: &words, OutTradeNo: &a.Number,
		NotifyUrl: &c.cfg.NotifyURL, Attach: core.String(attach(a)),
		Amount: &jsapi.Amount{Total: core.Int64(int64(a.Amount)), Currency: core.String(currency)},
		Payer:  &jsapi.Payer{Openid: core.String(string(a.Payer))},
	}
	if !a.Expires.IsZero() {
		request.TimeExpire = core.Time(a.Expires.In(china))
	}
	if a.Venue != "" || a.Device != "" {
		request.SceneInfo = &jsapi.SceneInfo{PayerClientIp: &c.cfg.ClientIP}
		if a.Device != "" {
			request.SceneInfo.DeviceId = &a.Device
		}
		if a.Venue != "" {
			request.SceneInfo.StoreInfo = &jsapi.StoreInfo{Id: &a.Venue}
		}
	}
	answer, _, err := c.jsapi().Prepay(ctx, request)
	if err != nil {
		return billing.Said{}, err
	}
	key := value(answer.PrepayId)
	if !keyText.MatchString(key) {
		return billing.Said{}, fmt.Errorf("%w: the answer has no prepay_id", billing.ErrUnsure)
	}
	return billing.Said{Road: billing.Transaction, Number: a.Number, Stands: billing.StandsOpen, Key: key}, nil
}

// attach is written into the day's bill beside the payment.
func attach(a billing.Ask) string {
	if a.Kind == "" {
		return "topup"
	}
	return a.Kind
}

func (c *Cashier) queryTransaction(ctx context.Context, a billing.Ask) (billing.Said, error) {
	answer, _, err := c.jsapi().QueryOrderByOutTradeNo(ctx, jsapi.QueryOrderByOutTradeNoRequest{OutTradeNo: &a.Number, Mchid: &c.cfg.MchID})
	if err != nil {
		return billing.Said{}, err
	}
	return c.transactionSaid(answer)
}

// closeTransaction answers StandsClosed: WeChat takes no payment for the number any
// more. It does the same for a number that it has never seen.
func (c *Cashier) closeTransaction(ctx context.Context, a billing.Ask) (billing.Said, error) {
	_, err := c.jsapi().CloseOrder(ctx, jsapi.CloseOrderRequest{OutTradeNo: &a.Number, Mchid: &c.cfg.MchID})
	if err != nil {
		return billing.Said{}, err
	}
	return billing.Said{Road: billing.Transaction, Number: a.Number, Stands: billing.StandsClosed}, nil
}

func (c *Cashier) jsapi() *jsapi.JsapiApiService { return &jsapi.JsapiApiService{Client: c.client} }

// tradeStates translates trade_state. REFUND means that it was paid and that some of
// it is on its way back. The last four belong to payment codes that a till scans,
// which we never ask for; a merchant's other shops are none of our numbers.
var tradeStates = map[string]billing.Standing{
	"SUCCESS": billing.StandsPaid, "REFUND": billing.StandsPaid,
	"NOTPAY": billing.StandsOpen, "CLOSED": billing.StandsClosed,
	"USERPAYING": billing.StandsOpen, "ACCEPT": billing.StandsOpen, "REVOKED": billing.StandsClosed, "PAYERROR": billing.StandsOpen,
}

// transactionSaid is the word of a query's answer or a notification.
func (c *Cashier) transactionSaid(t *payments.Transaction) (billing.Said, error) {
	said := billing.Said{Road: billing.Transaction, Number: value(t.OutTradeNo), ID: value(t.TransactionId)}
	var known bool
	if said.Stands, known = tradeStates[value(t.TradeState)]; !known {
		return billing.Said{}, fmt.Errorf("%w: trade_state is not one that is known", billing.ErrUnsure)
	}
	if !numberText.MatchString(said.Number) {
		return billing.Said{}, fmt.Errorf("%w: the word names no number", billing.ErrUnsure)
	}
	said.Foreign = foreign([3]string{"mchid", value(t.Mchid), c.cfg.MchID}, [3]string{"appid", value(t.Appid), c.cfg.AppID})
	if t.Amount != nil {
		said.Amount = billing.Fen(value(t.Amount.Total))
		if said.Foreign == "" {
			said.Foreign = foreignMoney(value(t.Amount.Currency), value(t.Amount.PayerCurrency))
		}
	}
	if said.Amount < 0 {
		return billing.Said{}, fmt.Errorf("%w: an amount is below zero", billing.ErrUnsure)
	}
	if said.Stands != billing.StandsPaid {
		return said, nil
	}
	// payer_total is lower where WeChat gave a coupon; the merchant gets the total.
	said.Moved = said.Amount
	var err error
	if said.At, err = time.Parse(time.RFC3339, value(t.SuccessTime)); err != nil || said.Moved == 0 || said.ID == "" {
		return billing.Said{}, fmt.Errorf("%w: a paid transaction lacks its id, amount or time", billing.ErrUnsure)
	}
	said.At = said.At.UTC()
	return said, nil
}

// foreignMoney names a currency that is not ours; an absent one is.
func foreignMoney(currencies ...string) string {
	for _, text := range currencies {
		if text != "" && text != currency {
			return fmt.Sprintf("currency %.10q", text)
		}
	}
	return ""
}
