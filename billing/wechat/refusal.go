package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/consts"
)

// meaning is what a refusal says about a step.
type meaning struct {
	stands billing.Standing
	why    string // of StandsRefused; "" = WeChat's code
}

func refusedFor(why string) meaning { return meaning{billing.StandsRefused, why} }

// byNumber is WeChat's own numbering of refusals: finer than the codes, of which
// INVALID_REQUEST covers half of these. A number comes as the end of the Request-Id,
// as the code or within the message.
var byNumber = map[string]meaning{
	"268512771": {stands: billing.StandsUnknown},    // transaction not found
	"271317510": {stands: billing.StandsUnknown},    // score order not found
	"268449538": refusedFor(billing.WhyState),       // already paid
	"271316592": refusedFor(billing.WhyState),       // not in a state to be cancelled
	"271302262": refusedFor(billing.WhyState),       // not in a state to be completed
	"271316657": refusedFor(billing.WhyState),       // not in a state to be paid
	"271316754": {stands: billing.StandsCollecting}, // a debit is under way
	"271316574": {stands: billing.StandsCollecting}, // the debit failed; WeChat goes on trying
	"268498688": refusedFor(billing.WhyFigures),     // transaction known with other figures
	"271316598": refusedFor(billing.WhyFigures),     // score order known with other figures
	"271300099": refusedFor(billing.WhyRisk),        // risk assessment
	"268560785": refusedFor(billing.WhyRisk),        // teen mode
	"268503786": refusedFor(billing.WhySetup),       // no permission, or a rider outside of the white list of a service under test
	"271299627": refusedFor(billing.WhyArrears),     // unpaid score orders
	"271316656": refusedFor(billing.WhySetup),       // risk fund above the cap of the service id
	"271302144": refusedFor(billing.WhySetup),       // merchant not of the service id
	"271302149": refusedFor(billing.WhySetup),       // app not bound
	"268445527": refusedFor(billing.WhySetup),       // app and merchant not bound
	"268443699": refusedFor(billing.WhySetup),       // signature
	"270924332": refusedFor(billing.WhySetup),       // Authorization header
	"271316637": {stands: billing.StandsRefused},    // end not after start, or in the future
	"268501013": {stands: billing.StandsRefused},    // no payer
	"268435464": {stands: billing.StandsRefused},    // a value is out of its range
	"268435472": {},                                 // too frequent
}

// byCode is the rest. What is not in either table is not understood. A code that
// stands for itself is a definite refusal that no word of ours fits.
var byCode = map[string]meaning{
	"ORDER_NOT_EXIST": {stands: billing.StandsUnknown}, "ORDERNOTEXIST": {stands: billing.StandsUnknown},
	"ORDER_NOT_EXISTS":    {stands: billing.StandsUnknown},
	"RESOURCE_NOT_EXISTS": {stands: billing.StandsUnknown}, "RESOURCE_NOT_EXIST": {stands: billing.StandsUnknown},
	"ORDER_CLOSED": {stands: billing.StandsClosed}, "ORDERCLOSED": {stands: billing.StandsClosed},
	"ORDER_PAID": refusedFor(billing.WhyState), "ORDERPAID": refusedFor(billing.WhyState),
	"OUT_TRADE_NO_USED":      refusedFor(billing.WhyFigures),
	"NOT_ENOUGH":             refusedFor(billing.WhyFunds),
	"SIGN_ERROR":             refusedFor(billing.WhySetup),
	"NO_AUTH":                refusedFor(billing.WhySetup),
	"APPID_MCHID_NOT_MATCH":  refusedFor(billing.WhySetup),
	"MCH_NOT_EXISTS":         refusedFor(billing.WhySetup),
	"PERMISSION_DENIED":      refusedFor(billing.WhySetup),
	"PARAM_ERROR":            {stands: billing.StandsRefused},
	"INVALID_REQUEST":        {stands: billing.StandsRefused},
	"INVALID_PARAMETER":      {stands: billing.StandsRefused},
	"RULE_LIMIT":             {stands: billing.StandsRefused},
	"TRADE_ERROR":            {stands: billing.StandsRefused},
	"ACCOUNT_ERROR":          {stands: billing.StandsRefused},
	"USER_ACCOUNT_ABNORMAL":  {stands: billing.StandsRefused},
	"OPENID_MISMATCH":        {stands: billing.StandsRefused},
	"INVALID_TRANSACTIONID":  {stands: billing.StandsRefused},
	"INVALID_TRANSACTION_ID": {stands: billing.StandsRefused},
}

var (
	// tail is the number at the end of a Request-Id.
	tail = regexp.MustCompile(`-([0-9]{9})$`)
	// numbers finds numbers of refusals within a message, and not within a number of ours.
	numbers = regexp.MustCompile(`(?:^|[^0-9A-Za-z])(2[67][0-9]{7})(?:[^0-9A-Za-z]|$)`)
	// codeText is what a code looks like; anything else is not repeated.
	codeText = regexp.MustCompile(`^[0-9A-Z_]{1,64}$`)
	// requestText is what a Request-Id looks like.
	requestText = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)
)

// refused reads a refusal: what it means, WeChat's code ("" where none can be read)
// and whether a number said it.
func refused(e *core.APIError) (m meaning, code string, numbered, known bool) {
	if !codeText.MatchString(e.Code) {
		return meaning{}, "", false, false
	}
	found := []string{e.Code}
	if t := tail.FindStringSubmatch(e.Header.Get(consts.RequestID)); t != nil {
		found = append(found, t[1])
	}
	for _, n := range numbers.FindAllStringSubmatch(e.Message, 4) {
		found = append(found, n[1])
	}
	for _, number := range found {
		if m, known = byNumber[number]; known {
			return m, e.Code, true, m != meaning{}
		}
	}
	m, known = byCode[e.Code]
	if !known && e.StatusCode == http.StatusUnauthorized {
		m, known = refusedFor(billing.WhySetup), true
	}
	return m, e.Code, false, known
}

// verdict turns the error of one call into a word or an error of ours. The SDK's
// own texts hold headers and bodies and go no further.
func verdict(ctx context.Context, a billing.Ask, err error) (billing.Said, error) {
	if errors.Is(err, ErrBadAsk) || errors.Is(err, billing.ErrUnsure) {
		return billing.Said{}, err
	}
	var answer *core.APIError
	if !errors.As(err, &answer) {
		return billing.Said{}, unsure(ctx, err)
	}
	said := billing.Said{Road: a.Road, Number: a.Number}
	m, code, numbered, known := refused(answer)
	// A server that is in trouble may have done the step and stumbled after.
	if !known || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode < 400 || answer.StatusCode >= 500 {
		return billing.Said{}, notUnderstood(answer)
	}
	said.Stands, said.Why = m.stands, m.why
	switch {
	case a.Step == billing.AskQuery && m.stands != billing.StandsUnknown:
		// Whatever keeps us from asking says nothing about the payment.
		return billing.Said{}, notUnderstood(answer)
	case a.Step == billing.AskCreate && m.stands == billing.StandsUnknown:
		// What is not known is something that the new payment hangs on: of a refund, the
		// transaction.
		said.Stands, said.Why = billing.StandsRefused, code
	case a.Road == billing.Refund && m.stands == billing.StandsClosed:
		said.Stands, said.Why = billing.StandsRefused, code // it is the transaction that is closed
	case m.stands == billing.StandsCollecting && a.Step != billing.AskCollect:
		said.Stands, said.Why = billing.StandsRefused, billing.WhyState
	case a.Road != billing.Score && (m.why == billing.WhyRisk || m.why == billing.WhyArrears), m.why == billing.WhyRisk && a.Step != billing.AskCreate:
		said.Why = billing.WhySetup // a rider's risk is no matter of these steps
	case m.stands == billing.StandsRefused && m.why == "":
		said.Why = code
		if code == "INVALID_REQUEST" && !numbered && a.Road != billing.Refund {
			// It also stands for states, such as paid. Of a refund it is a rule of business,
			// since a repeated refund number is taken as it was the first time.
			said.Why = billing.WhyState
		}
	}
	return said, nil
}

// notUnderstood names what support needs and nothing else.
func notUnderstood(e *core.APIError) error {
	code := "no code"
	if codeText.MatchString(e.Code) {
		code = "code " + e.Code
	}
	if id := e.Header.Get(consts.RequestID); requestText.MatchString(id) {
		return fmt.Errorf("%w (status %d, %s, request %s)", billing.ErrUnsure, e.StatusCode, code, id)
	}
	return fmt.Errorf("%w (status %d, %s)", billing.ErrUnsure, e.StatusCode, code)
}

// unsure says why there was no answer, without quoting errors of the network or the
// SDK, which hold addresses and bodies.
func unsure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errStamp), errors.Is(err, errOtherHost), errors.Is(err, errTooLong):
		return fmt.Errorf("%w: %s", billing.ErrUnsure, ours(err))
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%w: %w", billing.ErrUnsure, cause)
	}
	return fmt.Errorf("%w: %s", billing.ErrUnsure, strings.TrimPrefix(notReached(ctx, err).Error(), ErrBusy.Error()+": "))
}

// ours digs the text of an error of this package out of those around it.
func ours(err error) string {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
		text := next.Error()
		for _, own := range []error{errStamp, errOtherHost, errTooLong} {
			if strings.HasPrefix(text, own.Error()) {
				return text
			}
		}
	}
	return "the answer is not trusted"
}
