package order_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// bank is WeChat as far as its words go: it keeps one entry per number and moves
// money only as its rules say. It is the oracle of what moved.
type bank struct {
	s       *scene
	entries map[string]*entry
	asked   []billing.Ask
	// lost: the next step happens and its answer does not come. down: nothing happens.
	lost, down int
	refuse     string                  // why score orders are not made
	slow       bool                    // refunds stay in processing, debits are not made
	no         map[billing.Step]string // why a step is refused, without anything happening
	parts      []billing.Fen           // a score order is debited in these; nil = at once
	words      []word                  // notifications that were sent
}

type entry struct {
	road   billing.Road
	stands billing.Standing
	amount billing.Fen
	moved  billing.Fen
	key    string
	of     string
	back   billing.Fen
	debits []*entry // of a score order that was debited in parts
}

type word struct {
	said  billing.Said
	event string
}

func (b *bank) said(number string) billing.Said {
	e := b.entries[number]
	if e == nil {
		return billing.Said{Number: number, Stands: billing.StandsUnknown}
	}
	said := billing.Said{Road: e.road, Number: number, Stands: e.stands, Amount: e.amount, Moved: e.moved, ID: "wx" + number}
	for i, d := range e.debits {
		said.Debits = append(said.Debits, billing.Debit{ID: fmt.Sprintf("wx%s/%d", number, i), Amount: d.amount})
	}
	return said
}

// tell sends a notification of how a number stands.
func (b *bank) tell(number string) {
	said := b.said(number)
	b.words = append(b.words, word{said, string(said.Stands)})
}

// Do takes one step, as order.Cashier says.
func (b *bank) Do(_ context.Context, a billing.Ask) (billing.Said, error) {
	b.asked = append(b.asked, a)
	if b.down > 0 {
		b.down--
		return billing.Said{}, billing.ErrUnsure
	}
	said := b.step(a)
	said.Road, said.Number = a.Road, a.Number
	if b.lost > 0 {
		b.lost--
		return billing.Said{}, billing.ErrUnsure
	}
	return said, nil
}

func (b *bank) step(a billing.Ask) billing.Said {
	if why := b.no[a.Step]; why != "" {
		return billing.Said{Stands: billing.StandsRefused, Why: why}
	}
	e := b.entries[a.Number]
	state := billing.Said{Stands: billing.StandsRefused, Why: billing.WhyState}
	switch a.Step {
	case billing.AskQuery:
		return b.said(a.Number)
	case billing.AskCreate:
		if a.Road == billing.Refund {
			return b.refund(a)
		}
		if a.Payer != "openid-"+billing.Payer(ann.ID) {
			b.s.Errorf("asked to charge %q", string(a.Payer))
		}
		if e == nil {
			if a.Road == billing.Score && b.refuse != "" {
				return billing.Said{Stands: billing.StandsRefused, Why: b.refuse}
			}
			e = &entry{road: a.Road, stands: billing.StandsOpen, amount: a.Amount}
			b.entries[a.Number] = e
		}
		if e.amount != a.Amount {
			return billing.Said{Stands: billing.StandsRefused, Why: billing.WhyFigures}
		}
		if e.stands != billing.StandsOpen {
			return state
		}
		e.key = fmt.Sprintf("key-%s", a.Number)
		s := b.said(a.Number)
		s.Key = e.key
		return s
	case billing.AskClose:
		switch {
		case e == nil:
		case e.stands == billing.StandsOpen, e.stands == billing.StandsConfirmed:
			e.stands = billing.StandsClosed
		case e.stands != billing.StandsClosed:
			return state
		}
		return billing.Said{Stands: billing.StandsClosed}
	case billing.AskComplete:
		if e == nil || e.stands != billing.StandsConfirmed {
			return state
		}
		if a.Amount > e.amount || a.Amount <= 0 {
			b.s.Errorf("completed with %d of a fund of %d", a.Amount, e.amount)
		}
		e.stands, e.amount = billing.StandsCollecting, a.Amount
		return b.said(a.Number)
	case billing.AskModify:
		if e == nil || e.stands != billing.StandsCollecting {
			return state
		}
		if a.Amount >= e.amount {
			b.s.Errorf("modified from %d to %d", e.amount, a.Amount)
		}
		e.amount = a.Amount
		return b.said(a.Number)
	case billing.AskCollect:
		if !b.slow {
			b.collect(a.Number)
		}
		return billing.Said{Stands: billing.StandsCollecting} // WeChat only echoes the order
	}
	b.s.Errorf("asked for %s of a %s", a.Step, a.Road)
	return state
}

func (b *bank) refund(a billing.Ask) billing.Said {
	if e := b.entries[a.Number]; e != nil {
		return b.said(a.Number)
	}
	number := a.Of
	if a.OfTransaction != "" {
		number = a.OfTransaction[len("wx"):]
	}
	name, part, partly := strings.Cut(number, "/")
	of := b.entries[name]
	if partly {
		i, _ := strconv.Atoi(part)
		of = of.debits[i]
		of.stands = billing.StandsPaid
	}
	number = name
	if of != nil && a.Paid != of.moved {
		b.s.Errorf("refund of a transaction of %d, told as one of %d", of.moved, a.Paid)
	}
	if of == nil || of.stands != billing.StandsPaid || of.back+a.Amount > of.moved {
		b.s.Errorf("refund of %d of %+v", a.Amount, of)
		return billing.Said{Stands: billing.StandsRefused, Why: billing.WhyState}
	}
	of.back += a.Amount
	b.entries[a.Number] = &entry{road: billing.Refund, stands: billing.StandsProcessing, amount: a.Amount, of: number}
	return b.said(a.Number)
}

// pays is the rider paying a transaction.
func (b *bank) pays(number string) {
	if e := b.entries[number]; e != nil && e.stands == billing.StandsOpen && e.road == billing.Transaction && e.key != "" {
		e.stands, e.moved = billing.StandsPaid, e.amount
		b.tell(number)
	}
}

// confirms is the rider agreeing to pay after.
func (b *bank) confirms(number string) {
	if e := b.entries[number]; e != nil && e.stands == billing.StandsOpen && e.road == billing.Score && e.key != "" {
		e.stands = billing.StandsConfirmed
		b.tell(number)
	}
}

// collect is WeChat debiting the rider.
func (b *bank) collect(number string) {
	if e := b.entries[number]; e != nil && e.road == billing.Score && e.stands == billing.StandsCollecting {
		e.stands, e.moved = billing.StandsPaid, e.amount
		for _, part := range b.parts {
			e.debits = append(e.debits, &entry{amount: part, moved: part})
		}
		b.tell(number)
	}
}

// works lets refunds arrive and debits happen.
func (b *bank) works() {
	if b.slow {
		return
	}
	for _, number := range b.numbers() {
		if e := b.entries[number]; e.road == billing.Refund && e.stands == billing.StandsProcessing {
			e.stands, e.moved = billing.StandsPaid, e.amount
			b.tell(number)
		}
		b.collect(number)
	}
}

func (b *bank) numbers() []string {
	var all []string
	for number := range b.entries {
		all = append(all, number)
	}
	slices.Sort(all)
	return all
}

// only is the one number of a road.
func (b *bank) only(road billing.Road) string {
	b.s.Helper()
	found := ""
	for _, number := range b.numbers() {
		if b.entries[number].road == road {
			if found != "" {
				b.s.Fatalf("two numbers of road %s", road)
			}
			found = number
		}
	}
	if found == "" {
		b.s.Fatalf("no number of road %s", road)
	}
	return found
}

// net is what the operator's account there stands at.
func (b *bank) net() billing.Fen {
	total := billing.Fen(0)
	for _, e := range b.entries {
		if e.road == billing.Refund {
			total -= e.moved
		} else {
			total += e.moved
		}
	}
	return total
}

// counter is a scene whose riders can pay with WeChat.
type counter struct {
	*scene
	bank *bank
	till *order.Collector
}

func withWeChat(c *order.ServiceConfig) {
	c.Env.Config.WeChatPay, c.Env.Config.RiskCap, c.Env.Config.Messages = true, 800, true
}

func till(s *scene) *counter {
	s.Helper()
	b := &bank{s: s, entries: map[string]*entry{}}
	col, err := order.NewCollector(order.CollectorConfig{Service: s.svc, Cashier: b, Purses: s.store})
	if err != nil {
		s.Fatal(err)
	}
	return &counter{s, b, col}
}

func atCounter(t rapid.TB) *counter {
	t.Helper()
	return till(ready(t, withWeChat))
}

// turn lets the collector do what is due, as often as something new becomes due now.
func (c *counter) turn() {
	c.Helper()
	for range 12 {
		c.once()
	}
}

// once is one round of order.Collector.Run, one thing after the other.
func (c *counter) once() {
	c.Helper()
	notices, err := c.store.Notices(context.Background(), 200)
	if err != nil {
		c.Fatal(err)
	}
	for _, n := range notices {
		if err := c.till.Hear(context.Background(), n); err != nil {
			c.Fatalf("hear %+v: %v", n.Said, err)
		}
	}
	due, err := c.store.DuePayments(context.Background(), 30*time.Second, 200)
	if err != nil {
		c.Fatal(err)
	}
	for _, id := range due {
		if err := c.till.Advance(context.Background(), id); err != nil {
			c.Fatalf("advance payment %s: %v", id, err)
		}
	}
}

// after lets time pass in steps, with a turn and a beat of the bike at each.
func (c *counter) after(d time.Duration) {
	c.Helper()
	for ; d > 0; d -= 10 * time.Second {
		c.pass(10 * time.Second)
		c.elapse()
		c.turn()
	}
}

// elapse is what Service.Run does.
func (c *counter) elapse() {
	c.Helper()
	due, err := c.store.Due(context.Background(), 100)
	if err != nil {
		c.Fatal(err)
	}
	for _, id := range due {
		if _, err := c.act(id, order.Elapse); err != nil {
			c.Fatalf("elapse: %v", err)
		}
	}
}

// deliver hands every notification that was sent to the inbox.
func (c *counter) deliver() {
	c.Helper()
	for _, w := range c.bank.words {
		if err := c.store.AddNotice(context.Background(), w.said, w.event); err != nil {
			c.Fatal(err)
		}
	}
	c.bank.words = nil
}

// mend is staff; it returns the payment's id.
func (c *counter) mend(id string, giveUp bool, key string) (string, error) {
	done, err := c.svc.Mend(context.Background(), order.Mend{Payment: id, GiveUp: giveUp, Route: "mend", Staff: staff,
		Key:    order.KeyRef{Principal: "staff:s1", Key: key},
		Answer: func(p order.Payment) (int, []byte, error) { return 200, []byte(p.ID), nil }})
	return string(done.Answer), err
}

func paying(w order.PayWith) func(*order.Place) { return func(p *order.Place) { p.PayWith = w } }

// pending orders in a way that waits for WeChat, and lets WeChat hear of it.
func (c *counter) pending(bend ...func(*order.Place)) order.Order {
	c.Helper()
	p := c.placing()
	for _, f := range bend {
		f(&p)
	}
	c.dispatched()
	placed, err := c.svc.Place(context.Background(), p)
	if err != nil {
		c.Fatalf("place: %v", err)
	}
	if placed.Order.State != order.Pending || len(c.dispatched()) != 0 {
		c.Fatalf("placed %s, want pending and no command", placed.Order.State)
	}
	c.turn()
	return c.wants(placed.Order.ID, order.Pending)
}

// started is the start that was dispatched when the money was there.
func (c *counter) started(id string) device.Command {
	c.Helper()
	o := c.wants(id, order.Starting)
	sent := c.dispatched()
	if len(sent) != 1 || sent[0].ID != o.Command {
		c.Fatalf("dispatched %+v, want the start of the order", sent)
	}
	return sent[0]
}

// agree holds the ledger against the bank and looks for money that is nobody's.
func (c *counter) agree() {
	c.Helper()
	transfers, accounts := c.store.Ledger()
	net := billing.Fen(0)
	for _, t := range transfers {
		moves := t.Kind == billing.Single || t.Kind == billing.Post
		if moves && t.Debit == billing.WeChat {
			net += t.Amount
		}
		if moves && t.Credit == billing.WeChat {
			net -= t.Amount
		}
	}
	if net != c.bank.net() {
		c.Errorf("the ledger has %d fen at WeChat, WeChat has %d", net, c.bank.net())
	}
	for _, a := range accounts {
		if a.Posted < 0 && a.Debt() == 0 || a.Held < 0 {
			c.Errorf("account %+v", a)
		}
	}
	for _, p := range c.store.Payments() {
		e := c.bank.entries[p.Number()]
		switch {
		case e == nil && p.Moved != 0:
			c.Errorf("payment %+v, which WeChat does not know", p)
		case e != nil && p.Moved != e.moved && p.State.Done():
			c.Errorf("payment %s %s %s moved %d, WeChat says %d", p.Road, p.State, p.For, p.Moved, e.moved)
		}
	}
}

// resting wants every payment to be over and nothing prepaid to be left.
func (c *counter) resting() {
	c.Helper()
	for _, p := range c.store.Payments() {
		if !p.State.Done() {
			c.Errorf("payment %s of %d fen for %s is still %s (due %v)", p.Road, p.Amount, p.For, p.State, p.DueAt)
		}
	}
	_, accounts := c.store.Ledger()
	for _, a := range accounts {
		if len(a.ID) > 8 && a.ID[:8] == "prepaid:" && (a.Posted != 0 || a.Held != 0) {
			c.Errorf("%s still has %d fen, %d held; items %+v; payments %+v", a.ID, a.Posted, a.Held, c.store.Items(), c.store.Payments())
		}
	}
	c.agree()
}

func (c *counter) topUpByWeChat(fen billing.Fen) (string, error) {
	c.drawn++
	id := ""
	_, err := c.svc.TopUp(context.Background(), order.TopUp{Rider: ann.ID, Amount: fen, Route: "topups",
		Key:    order.KeyRef{Principal: "rider:" + ann.ID, Key: fmt.Sprint("topup-", c.drawn)},
		Answer: func(p order.Payment) (int, []byte, error) { id = p.ID; return 201, []byte(p.ID), nil }})
	return id, err
}

func (c *counter) payment(id string) order.Payment {
	for _, p := range c.store.Payments() {
		if p.ID == id {
			return p
		}
	}
	return order.Payment{}
}
