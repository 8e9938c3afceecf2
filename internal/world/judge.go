package world

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// open is for how long a lock was truly used for an order up to now: from its first
// movement to the first hand that shut it after the newest one that is proved; what lies
// between is pauses, which count. ok is false where it never moved.
func (o *oracle) open(id string) (m movement, open time.Duration, shut, ok bool) {
	moves := o.byOrder[id]
	if len(moves) == 0 {
		return movement{}, 0, false, false
	}
	m = moves[0]
	last, proved := o.opening(id)
	if !proved {
		last = m
	}
	if at, shut := m.by.shutSince(last.at); shut {
		return m, at - m.at, true, true
	}
	return m, o.w.at - m.at, false, true
}

// settled holds an order's bill against its bolt at the moment of settlement.
func (o *oracle) settled(x order.Order) {
	m, open, shut, ok := o.open(x.ID)
	name := o.name(x.ID)
	if x.Usage == nil {
		o.violation("M5: %s is settled without a measured use", name)
		return
	}
	if !ok {
		if x.Charged+x.Debt > 0 {
			o.violation("A5: %s is billed %d fen and its lock never opened", name, x.Charged+x.Debt)
		}
		return
	}
	billed := time.Duration(x.Usage.BilledMS) * time.Millisecond
	slack := time.Millisecond + open/5000 // one tick, and the drift that the contract allows
	if x.Usage.Measured == billing.AcrossBoots || len(x.Spans) > 1 {
		// A later boot is placed on server time by its fastest word.
		last := m.by.boots[x.Spans[len(x.Spans)-1].Boot]
		slack += last.fresh + o.w.at/2500 + 2*time.Millisecond
	}
	if billed > open+slack {
		o.violation("M5: %s is billed %s and %s was open for it for %s", name, billed, m.by.id, open)
	}
	end := m.at + open
	if (x.EndedBy == order.DeviceEnded || x.Shut()) && shut && !m.by.lossy && len(x.Spans) == 1 && o.sameRun(m, end) && billed < open-slack {
		o.violation("M5: %s is billed %s only, %s was open for it for %s", name, billed, m.by.id, open)
	}
	if want := o.price(x); x.Quote.Total != want {
		o.violation("M5: %s costs %d fen, its tariff says %d for %d ms", name, x.Quote.Total, want, x.Usage.BilledMS)
	}
}

// sameRun tells whether a lock kept its power from a movement to a moment.
func (o *oracle) sameRun(m movement, end time.Duration) bool {
	for _, b := range m.by.boots {
		if b.at >= m.at && b.at <= end {
			return false
		}
	}
	return true
}

// price is the tariff in the oracle's own words: unlock fee, each started block
// of the time that is not free, what a reservation costs, at most the ride's cap and what the day's cap
// leaves.
func (o *oracle) price(x order.Order) billing.Fen {
	if x.PayWith == order.PayService {
		return 0
	}
	ms, spent := x.Usage.BilledMS, x.Usage.DaySpent
	t := o.w.tariff
	total := t.UnlockFee
	for left := ms - t.FreeMS; left > 0 && total < t.RideCap; left -= t.BlockMS {
		total += t.BlockFee
	}
	if r := x.Reserved; r != nil {
		total += billing.Fen(r.Minutes) * r.Fee
	}
	return min(total, t.RideCap, max(t.DayCap-spent, 0))
}

// judge is the verdict after the repair.
func (o *oracle) judge() {
	for _, open := range o.unresolved() {
		o.violation("after the repair: %s", open)
	}
	days := map[string]billing.Fen{}
	receipts := map[string]billing.Fen{}
	for _, x := range o.w.store.Orders() {
		o.w.result.Orders[string(x.State)]++
		o.judgeOrder(x)
		receipts[x.Rider] += x.Paid()
		if x.Kind == device.Lock {
			days[x.Rider+" on "+x.Day] += x.Paid()
		}
	}
	for _, day := range sorted(days) {
		if days[day] > o.w.tariff.DayCap {
			o.violation("M5: %s paid %d fen, the day's cap is %d", day, days[day], o.w.tariff.DayCap)
		}
	}
	o.judgeMoney(receipts)
	if o.w.pay != nil {
		o.judgePayments()
	}
	for _, id := range sorted(o.commands) {
		k := o.commands[id]
		moves := o.byNumber[numberKey{k.Device, k.Outlet, k.Epoch, k.Seq}]
		if k.Kind == device.Start && k.State != device.OutcomeUnknown && (k.State == device.Executed) != (moves > 0) {
			o.violation("A5: start #%d of %s is %s and moved %d times", k.Seq, k.Device, k.State, moves)
		}
	}
	for _, m := range o.w.machines {
		if m.pump != nil {
			o.judgePump(m)
			continue
		}
		body := m.lock.body
		if d := m.flash.Outlet.Opens; d > body.Opens {
			o.violation("A7: %s counts %d openings, there were %d", m.id, d, body.Opens)
		}
		if out := o.w.store.Outlets(m.id)[0]; out.Opens > body.Opens || out.Stated.Known && out.Stated.Closed != body.Closed {
			o.violation("E2: of %s the server believes closed %v after %d openings; true is %v after %d", m.id, out.Stated.Closed,
				out.Opens, body.Closed, body.Opens)
		}
	}
}

func (o *oracle) judgeOrder(x order.Order) {
	name := o.name(x.ID)
	moves := o.byOrder[x.ID]
	starts := 0
	for _, k := range o.commands {
		if k.Order == x.ID && k.Kind == device.Start {
			starts++
		}
	}
	if len(moves) > starts || x.Kind == device.Pump && starts > 1 {
		o.violation("M6: %s moved %d times for %d starts", name, len(moves), starts)
	}
	if o.late[x.ID] && !o.items[order.ItemLateExecuted+"/"+x.ID] {
		o.violation("M6: %s opened again after it was settled, and no item says so", name)
	}
	paid := x.Paid()
	switch {
	case len(moves) == 0 && (paid != 0 || x.Charged != 0 || x.Debt != 0):
		o.violation("A5: %s cost %d fen and its %s never opened", name, paid, x.Kind)
	case x.State == order.Voided && (x.Charged != 0 || x.Debt != 0):
		o.violation("M5: %s is voided and cost %d fen", name, paid)
	case x.State == order.Voided && len(moves) > 0 && !o.items[x.ID]:
		o.violation("M6: %s moved and is voided (%s), and no item tells staff", name, x.Reason)
	case x.State == order.Voided && o.commands[x.Command].State == device.Executed && !o.items[order.ItemLateExecuted+"/"+x.ID]:
		o.violation("M6: %s is voided and its start was proved executed, and no item says so", name)
	case x.Charged > x.HoldFen || x.Refunded > x.Charged+x.Debt || x.Refunded < 0:
		o.violation("M8: %s: captured %d of a hold of %d, refunded %d", name, x.Charged, x.HoldFen, x.Refunded)
	}
	if o.ledger.byOrder[x.ID] != paid {
		o.violation("M5: %s says %d fen paid, its transfers say %d", name, paid, o.ledger.byOrder[x.ID])
	}
	if x.Kind == device.Pump {
		o.judgeSale(x)
	}
	if x.State != order.Settled {
		return
	}
	again, _ := json.Marshal(x.Tariff.Quote(*x.Usage))
	if stored, _ := json.Marshal(x.Quote); string(again) != string(stored) {
		o.violation("M5: the quote of %s computed again is %s, stored is %s", name, again, stored)
	}
}

// judgeMoney compares each wallet with its own story: what was put in, less the
// receipts, is there or is owed.
func (o *oracle) judgeMoney(receipts map[string]billing.Fen) {
	for _, err := range o.ledger.judge(o.waits) {
		o.violation("%v", err)
	}
	transfers, accounts := o.w.store.Ledger()
	in := o.broughtIn()
	for _, t := range transfers {
		if t.Purpose == billing.ForTopUp && t.Debit == billing.TopUps {
			in[strings.TrimPrefix(string(t.Credit), "wallet:")] += t.Amount
		}
	}
	if len(transfers) != len(o.ledger.seen) {
		o.violation("M1: the ledger has %d transfers, %d were committed", len(transfers), len(o.ledger.seen))
	}
	have := map[billing.AccountID]billing.Account{}
	for _, a := range accounts {
		have[a.ID] = a
	}
	waiting := map[string]billing.Fen{}
	for _, x := range o.orders {
		if o.undecided(x) && x.PayWith == order.PayWallet {
			waiting[x.Rider] += x.HoldFen
		}
	}
	prepaid := map[string]billing.Fen{}
	for _, x := range o.orders {
		prepaid[x.Rider] += o.ledger.posted[billing.Prepaid(x.ID)]
	}
	for _, p := range o.payments {
		switch {
		case p.Order == "" && o.stuck(p):
			waiting[p.Rider] += p.Amount
		case p.Road == billing.Score && (p.State == order.PaymentCompleting || p.State == order.PaymentCollecting):
			in[p.Rider] += p.Amount - p.Moved // WeChat has yet to collect it
		}
	}
	for _, r := range o.w.riders {
		wallet, owed := have[billing.Wallet(r)], have[billing.Receivable(r)]
		if wallet.Held != waiting[r] || wallet.Posted < 0 || owed.Posted > 0 {
			o.violation("M3: the wallet of %s: %s", r, fmt.Sprintf("%d posted, %d held, %d owed", wallet.Posted, wallet.Held, -owed.Posted))
		}
		if want := in[r] - receipts[r]; wallet.Posted+owed.Posted+prepaid[r] != want {
			o.violation("M2: %s put in %d fen and has receipts over %d; the wallet has %d, the debt is %d and %d are prepaid", r, in[r],
				receipts[r], wallet.Posted, -owed.Posted, prepaid[r])
		}
	}
}
