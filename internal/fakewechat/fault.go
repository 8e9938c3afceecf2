package fakewechat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault asks that the next Times occasions fail in one way.
type Fault struct {
	// Kind is one of the Fault constants.
	Kind string `json:"kind"`
	// On limits the fault to one of the Group constants; empty means wherever the
	// kind applies.
	On string `json:"on,omitempty"`
	// Rider limits a kind that is about somebody to one rider; empty means whoever
	// comes.
	Rider string `json:"rider,omitempty"`
	// Times is 1 when absent; 0 to take a fault back.
	Times *int `json:"times,omitempty"`
	// DelaySeconds is how late FaultDelay delivers; 60 when absent.
	DelaySeconds int `json:"delay_seconds,omitempty"`
}

// Groups of endpoints for Fault.On.
const (
	GroupLogin    = "login"
	GroupToken    = "token"
	GroupPhone    = "phone"
	GroupMessage  = "message"
	GroupCode     = "code" // sun codes, URL schemes and links
	GroupScan     = "scan"
	GroupPay      = "pay" // JSAPI orders
	GroupRefund   = "refund"
	GroupScore    = "score"
	GroupBill     = "bill"
	GroupCallback = "callback"
)

// Kinds of Fault for answers, in the order in which they take effect.
const (
	FaultOutage       = "outage"        // status 502 and a page of HTML
	FaultSignError    = "sign_error"    // pay host: 401 to a request that is in order
	FaultLimited      = "limited"       // pay host: 429 before anything happens
	FaultSystemError  = "system_error"  // pay host: 500 before anything happens
	FaultBusy         = "busy"          // api: errcode -1
	FaultHighRisk     = "high_risk"     // login: errcode 40226; the code is used up
	FaultNotEnough    = "not_enough"    // refund: the merchant's account is empty
	FaultBadSignature = "bad_signature" // pay host: the answer's signature is of other bytes
	FaultLost         = "lost"          // it happens, and the answer is cut off
)

// Kinds of Fault for what becomes of an accepted refund.
const (
	FaultRefundAbnormal = "refund_abnormal"
	FaultRefundClosed   = "refund_closed"
)

// Kinds of Fault for bills; the footer agrees with the bent lines, so that only a
// comparison line by line finds them.
const (
	FaultBillDrop   = "bill_drop"   // the first line is missing
	FaultBillAmount = "bill_amount" // the first line is one fen too much
)

// Kinds of Fault for a notice, that is a callback with all its repeats.
const (
	FaultDrop      = "drop"      // never delivered
	FaultDelay     = "delay"     // delivered late
	FaultReorder   = "reorder"   // held back behind the next notice, or a minute if none comes
	FaultDuplicate = "duplicate" // delivered once more a second later
	FaultProbe     = "probe"     // a delivery with the signature WECHATPAY/SIGNTEST/... goes before it
)

// Kinds of Fault for one delivery of a notice. A receiver must refuse the first six,
// and the delivery counts as failed whatever it answers; the last four are signed in
// order, and their answer counts.
const (
	FaultForged          = "forged"           // the signature is of other bytes
	FaultStale           = "stale"            // stamped ten minutes ago
	FaultUnknownSerial   = "unknown_serial"   // a key id that nobody has
	FaultTruncated       = "truncated"        // the ciphertext lacks its end
	FaultNonceLength     = "nonce_length"     // the resource's nonce has 8 bytes
	FaultOtherKey        = "other_key"        // encrypted with another APIv3 key
	FaultEmptyAssociated = "empty_associated" // no associated data, which is allowed
	FaultOtherAmount     = "other_amount"     // one fen more than was paid
	FaultOtherApp        = "other_app"        // of another appid, or mchid where it has no appid
	FaultOtherMerchant   = "other_merchant"   // of another mchid
)

var (
	apiGroups = []string{GroupLogin, GroupToken, GroupPhone, GroupMessage, GroupCode, GroupScan}
	payGroups = []string{GroupPay, GroupRefund, GroupScore, GroupBill}
)

// faultKind is where a kind applies and whether it can be limited to a rider.
type faultKind struct {
	groups []string
	riders bool
}

var faultKinds = map[string]faultKind{
	FaultOutage:       {slices.Concat(apiGroups, payGroups), false},
	FaultSignError:    {payGroups, false},
	FaultLimited:      {payGroups, false},
	FaultSystemError:  {payGroups, false},
	FaultBusy:         {apiGroups, false},
	FaultHighRisk:     {[]string{GroupLogin}, true},
	FaultNotEnough:    {[]string{GroupRefund}, true},
	FaultBadSignature: {payGroups, false},
	FaultLost:         {slices.Concat(apiGroups, payGroups), false},

	FaultRefundAbnormal: {[]string{GroupRefund}, true},
	FaultRefundClosed:   {[]string{GroupRefund}, true},
	FaultBillDrop:       {[]string{GroupBill}, false},
	FaultBillAmount:     {[]string{GroupBill}, false},

	FaultDrop:            {[]string{GroupCallback}, true},
	FaultDelay:           {[]string{GroupCallback}, true},
	FaultReorder:         {[]string{GroupCallback}, true},
	FaultDuplicate:       {[]string{GroupCallback}, true},
	FaultProbe:           {[]string{GroupCallback}, true},
	FaultForged:          {[]string{GroupCallback}, true},
	FaultStale:           {[]string{GroupCallback}, true},
	FaultUnknownSerial:   {[]string{GroupCallback}, true},
	FaultTruncated:       {[]string{GroupCallback}, true},
	FaultNonceLength:     {[]string{GroupCallback}, true},
	FaultOtherKey:        {[]string{GroupCallback}, true},
	FaultEmptyAssociated: {[]string{GroupCallback}, true},
	FaultOtherAmount:     {[]string{GroupCallback}, true},
	FaultOtherApp:        {[]string{GroupCallback}, true},
	FaultOtherMerchant:   {[]string{GroupCallback}, true},
}

// deliveryFaults is the order in which a delivery looks for a fault, which the same
// randomness must find the same in every run.
var deliveryFaults = []string{
	FaultForged, FaultStale, FaultUnknownSerial, FaultTruncated, FaultNonceLength, FaultOtherKey,
	FaultEmptyAssociated, FaultOtherAmount, FaultOtherApp, FaultOtherMerchant,
}

// mustRefuse are the deliveries that a receiver may not accept.
var mustRefuse = []string{
	FaultProbe, FaultForged, FaultStale, FaultUnknownSerial, FaultTruncated, FaultNonceLength, FaultOtherKey,
}

// Chaos breaks things by chance.
type Chaos struct {
	// Rates is the chance from 0 to 1 of a kind at each occasion on which it could
	// strike; the key is a kind ("lost") or a group and a kind ("pay/lost"), and the
	// second wins.
	Rates map[string]float64 `json:"rates"`
}

// faults is what is still to fail.
type faults map[faultKey]faultLeft

type faultKey struct{ kind, group, rider string }

type faultLeft struct {
	times int
	delay time.Duration
}

// Break provokes a fault, or takes back one of the same kind, group and rider with
// Times 0. Its errors are ErrUnknownRider and complaints about the fault itself.
func (s *Server) Break(f Fault) error {
	kind, known := faultKinds[f.Kind]
	times := 1
	if f.Times != nil {
		times = *f.Times
	}
	switch {
	case !known:
		return errors.New("unknown kind of fault")
	case f.On != "" && !slices.Contains(kind.groups, f.On):
		return fmt.Errorf("a fault of kind %s does not happen on %q", f.Kind, f.On)
	case times < 0 || f.DelaySeconds < 0 || (f.Rider != "" && !kind.riders):
		return errors.New("times or delay is negative, or this kind takes no rider")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Rider != "" && s.riders[f.Rider] == nil {
		return ErrUnknownRider
	}
	left := faultLeft{times: times, delay: time.Duration(f.DelaySeconds) * time.Second}
	if left.delay == 0 {
		left.delay = time.Minute
	}
	s.faults[faultKey{f.Kind, f.On, f.Rider}] = left
	return nil
}

// SetChaos replaces the chances.
func (s *Server) SetChaos(c Chaos) error {
	for key, rate := range c.Rates {
		group, name, both := strings.Cut(key, "/")
		if !both {
			group, name = "", key
		}
		kind, known := faultKinds[name]
		if !known || (both && !slices.Contains(kind.groups, group)) {
			return fmt.Errorf("%q is no kind of fault", key)
		}
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("the rate of %s is %v, want 0 to 1", key, rate)
		}
	}
	rates := make(map[string]float64, len(c.Rates))
	for key, rate := range c.Rates {
		rates[key] = rate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rates = rates
	return nil
}

// strikes uses one failure up, if there is one or chance wants it. The caller holds
// the lock.
func (s *Server) strikes(kind, group, rider string) bool {
	_, struck := s.struck(kind, group, rider)
	return struck
}

func (s *Server) struck(kind, group, rider string) (faultLeft, bool) {
	if len(s.faults) > 0 {
		for _, key := range [...]faultKey{{kind, group, rider}, {kind, group, ""}, {kind, "", rider}, {kind, "", ""}} {
			if left := s.faults[key]; left.times > 0 {
				left.times--
				s.faults[key] = left
				return left, true
			}
		}
	}
	if len(s.rates) == 0 {
		return faultLeft{}, false
	}
	rate, given := s.rates[group+"/"+kind]
	if !given {
		rate = s.rates[kind]
	}
	if rate == 0 || s.chance() >= rate {
		return faultLeft{}, false
	}
	left := faultLeft{delay: time.Minute}
	if kind == FaultDelay { // from one second to about ten minutes
		left.delay = time.Second + time.Duration(s.chance()*float64(10*time.Minute)).Truncate(time.Second)
	}
	return left, true
}

// chance is evenly spread over [0, 1); 1 when there is no randomness left.
func (s *Server) chance() float64 {
	b, err := s.draw(8)
	if err != nil {
		return 1
	}
	return float64(binary.BigEndian.Uint64(b)>>11) / (1 << 53)
}
