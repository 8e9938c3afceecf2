// Package wechat is the only code that speaks to WeChat's servers.
//
// It owns the translation of their answers into facts: who a rider is (Login), how
// a payment stands (Cashier), what a day brought in (TradeBill), what riders are told
// (Messenger) and whether an installation is set up (Examine). It refuses to keep
// what the product has no use for: a rider's session key is dropped before the
// answer is looked at.
//
// # Invariants
//
//   - No secret, key, token, login code, openid, phone number or body of a request or
//     an answer appears in an error or a log.
//   - The api host says what happened in errcode; there HTTP status and the wording
//     of errmsg decide nothing. The pay host says it in status, code and the number
//     of the refusal.
//   - A payment is believed to stand somewhere only by WeChat's signature, or by one
//     of the refusals that refusal.go lists. Everything else is billing.ErrUnsure.
//   - Nothing is tried twice in here but the one call that a dead access token spoilt.
//     Who calls knows what a repetition costs.
//   - A pay request leaves for one host and no other.
//
// # Words
//
// The api host is api.weixin.qq.com, the pay host api.mch.weixin.qq.com. A number is
// ours, an id is WeChat's. A word is what WeChat states about one payment.
package wechat
