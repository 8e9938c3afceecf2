package order_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// until brings an order of Ann's on bike-1 into a state, with an hour of the
// device's silence at most. The items of the way there are returned.
func until(t *testing.T, state string) (s *scene, l *lock, o order.Order, c device.Command, items []string) {
	t.Helper()
	s = ready(t)
	o, c = s.place()
	l = s.locks["bike-1"]
	s.pass(time.Second)
	switch state {
	case "starting":
	case "unresolved":
		s.pass(15 * time.Second)
		s.must(o.ID, order.Elapse)
		s.wants(o.ID, order.Unresolved)
	case "active":
		s.hear(l.opens(c))
		s.wants(o.ID, order.Active)
	case "settled":
		s.hear(l.opens(c))
		s.pass(90 * time.Second)
		s.hear(l.closes())
		s.wants(o.ID, order.Settled)
	case "voided":
		s.hear(l.rejects(c))
		s.wants(o.ID, order.Voided)
	}
	s.pass(time.Second)
	return s, l, s.order(o.ID), c, s.itemKinds()
}

// TestEvidenceMovesAnOrderAsItsTableSays is the table of DESIGN section 6, row by
// row and column by column.
func TestEvidenceMovesAnOrderAsItsTableSays(t *testing.T) {
	say := func(kind device.EvidenceKind, bend ...func(*device.Evidence)) func(*lock, device.Command) order.Hear {
		return func(l *lock, c device.Command) order.Hear {
			l.burn(c)
			l.closed = kind != device.SeenExecuted
			return l.piece(kind, append([]func(*device.Evidence){about(c)}, bend...)...)
		}
	}
	boot := func(closed bool) func(*lock, device.Command) order.Hear {
		return func(l *lock, _ device.Command) order.Hear {
			l.closed = closed
			return l.reboot()
		}
	}
	type cell struct {
		state  order.State
		item   string // opened by the word, "" = none
		reason string
	}
	same := cell{}
	for _, row := range []struct {
		name string
		word func(*lock, device.Command) order.Hear
		want map[string]cell
	}{
		{"executed", say(device.SeenExecuted), map[string]cell{
			"starting": {state: order.Active}, "unresolved": {state: order.Active}, "active": same,
			"settled": {item: order.ItemLateExecuted}, "voided": {item: order.ItemLateExecuted}}},
		{"rejected", say(device.SaidRejected, because("low_battery")), map[string]cell{
			"starting":   {state: order.Voided, reason: "low_battery"},
			"unresolved": {state: order.Voided, reason: "low_battery"},
			"active":     {item: order.ItemLateRefusal}, "settled": same, "voided": same}},
		{"failed", say(device.SaidFailed, because("jam")), map[string]cell{
			"starting":   {state: order.Voided, reason: "failed_jam"},
			"unresolved": {state: order.Voided, reason: "failed_jam"},
			"active":     {item: order.ItemLateRefusal}, "settled": same, "voided": same}},
		{"ended", say(device.SaidEnded, because("closed_by_hand")), map[string]cell{
			"starting":   {state: order.Settled, reason: "closed_by_hand"},
			"unresolved": {state: order.Settled, reason: "closed_by_hand"},
			"active":     {state: order.Settled, reason: "closed_by_hand"}, "settled": same, "voided": same}},
		{"interrupted", say(device.SaidInterrupted, because("power")), map[string]cell{
			"starting":   {state: order.Settled, reason: "power"},
			"unresolved": {state: order.Settled, reason: "power"},
			"active":     {state: order.Settled, reason: "power"}, "settled": same, "voided": same}},
		{"boot, bolt open", boot(false), map[string]cell{
			"starting": same, "unresolved": same, "active": same, "settled": same, "voided": same}},
		{"boot, bolt shut", boot(true), map[string]cell{
			"starting": same, "unresolved": same, "active": {state: order.Settled}, "settled": same, "voided": same}},
		{"executed naming another order", say(device.SeenExecuted, func(e *device.Evidence) { e.Order = "01900000-0000-7000-8000-00000000ffff" }), map[string]cell{
			"starting": {item: order.ItemQuarantined}, "unresolved": {item: order.ItemQuarantined}, "active": {item: order.ItemQuarantined},
			"settled": {item: order.ItemQuarantined}, "voided": {item: order.ItemQuarantined}}},
		{"ended naming another order", say(device.SaidEnded, func(e *device.Evidence) { e.Order = "01900000-0000-7000-8000-00000000ffff" }), map[string]cell{
			"starting": {item: order.ItemQuarantined}, "unresolved": {item: order.ItemQuarantined}, "active": {item: order.ItemQuarantined},
			"settled": {item: order.ItemQuarantined}, "voided": {item: order.ItemQuarantined}}},
		{"executed naming another start", say(device.SeenExecuted, func(e *device.Evidence) { e.CommandID = "01900000-0000-7000-8000-00000000ffff" }), map[string]cell{
			"starting": {item: order.ItemQuarantined}, "unresolved": {item: order.ItemQuarantined}, "active": {item: order.ItemQuarantined},
			"settled": {item: order.ItemQuarantined}, "voided": {item: order.ItemQuarantined}}},
		{"an unknown kind", say("sang"), map[string]cell{
			"starting": {item: order.ItemQuarantined}, "unresolved": {item: order.ItemQuarantined}, "active": {item: order.ItemQuarantined},
			"settled": {item: order.ItemQuarantined}, "voided": {item: order.ItemQuarantined}}},
		{"alarm", say(device.Alarm, because("tamper"), func(e *device.Evidence) { e.Order = "" }), map[string]cell{
			"starting": {item: order.ItemAlarm}, "unresolved": {item: order.ItemAlarm}, "active": {item: order.ItemAlarm},
			"settled": {item: order.ItemAlarm}, "voided": {item: order.ItemAlarm}}},
	} {
		for column, want := range row.want {
			t.Run(row.name+" in "+column, func(t *testing.T) {
				s, l, before, c, items := until(t, column)
				word := row.word(l, c)
				h := s.hear(word)
				if h.Ack == nil || h.Ack.N != l.seq {
					t.Errorf("ack: got %+v, want %d", h.Ack, l.seq)
				}
				after := s.order(before.ID)
				if want.state == "" {
					want.state = before.State
				}
				if want.reason == "" {
					want.reason = after.Reason // not this table's matter
				}
				if after.State != want.state || after.Reason != want.reason {
					t.Errorf("order: got %s (%s), want %s (%s)", after.State, after.Reason, want.state, want.reason)
				}
				if want.item != "" {
					items = append(items, want.item)
					slices.Sort(items)
				}
				if diff := cmp.Diff(items, s.itemKinds()); diff != "" {
					t.Errorf("open items (-want +got):\n%s", diff)
				}
				if quarantined := want.item == order.ItemQuarantined; quarantined != (h.Quarantined == 1) {
					t.Errorf("quarantined: got %d, want %v", h.Quarantined, quarantined)
				}
				s.books()
				state := s.order(before.ID)
				if again := s.hear(word); again.Ack == nil || again.Ack.N != l.seq {
					t.Errorf("ack of the duplicate: got %+v, want %d", again.Ack, l.seq)
				}
				if diff := cmp.Diff(state, s.order(before.ID)); diff != "" {
					t.Errorf("the duplicate changed the order (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// books checks the promises about money that hold at any moment.
func (s *scene) books() {
	s.Helper()
	transfers, accounts := s.store.Ledger()
	posted, held := map[billing.AccountID]billing.Fen{}, map[billing.AccountID]billing.Fen{}
	holds, resolved := map[string]billing.Transfer{}, map[string]int{}
	for _, t := range transfers {
		switch t.Kind {
		case billing.Pending:
			holds[t.ID] = t
			held[t.Debit] += t.Amount
		case billing.Single, billing.Post:
			posted[t.Debit] -= t.Amount
			posted[t.Credit] += t.Amount
		}
		if t.Amount <= 0 {
			s.Errorf("transfer %+v moves nothing", t)
		}
	}
	for _, t := range transfers {
		if t.Hold == "" {
			continue
		}
		resolved[t.Hold]++
		held[t.Debit] -= holds[t.Hold].Amount
		if t.Amount > holds[t.Hold].Amount || resolved[t.Hold] > 1 {
			s.Errorf("hold %+v is resolved %d times, now by %+v", holds[t.Hold], resolved[t.Hold], t)
		}
	}
	for _, a := range accounts {
		if a.Posted != posted[a.ID] || a.Held != held[a.ID] || a.Available() < 0 && a.ID == billing.Wallet(ann.ID) {
			s.Errorf("balance %+v, the transfers come to %d posted and %d held", a, posted[a.ID], held[a.ID])
		}
	}
	for _, o := range s.store.Orders() {
		live := o.State.Live()
		if out := s.outlet(o.Device); live != (out.Order == o.ID) || live != (o.Slot > 0) && o.PayWith == order.PayWallet {
			s.Errorf("order %s is %s with slot %d, its outlet has %q", o.ID, o.State, o.Slot, out.Order)
		}
		if o.Hold != "" && live == (resolved[o.Hold] > 0) {
			s.Errorf("order %s is %s and its hold is resolved %d times", o.ID, o.State, resolved[o.Hold])
		}
		if o.State == order.Settled {
			if diff := cmp.Diff(o.Tariff.Quote(*o.Usage), o.Quote); diff != "" || o.Charged+o.Debt != o.Quote.Total {
				s.Errorf("order %s: charged %d and owed %d of %d; quote computed again:\n%s", o.ID, o.Charged, o.Debt, o.Quote.Total, diff)
			}
		}
	}
}

func TestEvidenceOfAnotherDevicesOrderIsQuarantined(t *testing.T) {
	s, _, o := riding(t)
	other := s.lock("bike-2")
	h := s.hear(other.piece(device.SaidEnded, func(e *device.Evidence) { e.Order, e.CommandID, e.CommandSeq = o.ID, o.Command, o.Seq }))
	if h.Quarantined != 1 || h.Ack == nil || h.Ack.N != 2 {
		t.Errorf("heard: %+v, want it quarantined and acked", h)
	}
	s.wants(o.ID, order.Active)
}

func TestEvidenceBehindAGapMovesItsOrderWhenTheGapFills(t *testing.T) {
	s := ready(t)
	o, c := s.place()
	l := s.locks["bike-1"]
	opened := l.opens(c)
	s.pass(61 * time.Second)
	ended := l.closes()
	if h := s.hear(ended); h.Ack == nil || h.Ack.N != 1 {
		t.Errorf("ack behind the gap: got %+v, want 1", h.Ack)
	}
	s.wants(o.ID, order.Starting)
	if h := s.hear(opened); h.Ack == nil || h.Ack.N != 3 {
		t.Errorf("ack of the gap: got %+v, want 3", h.Ack)
	}
	if o = s.wants(o.ID, order.Settled); o.Usage.BilledMS != 61_000 || o.Quote.Total != 200 || o.Usage.Measured != billing.WithinBoot {
		t.Errorf("bill: %+v of %+v, want 200 for 61000 ms", o.Quote.Total, o.Usage)
	}
	s.books()
}

func TestALostStartIsBilledFromTheEndThatImpliesIt(t *testing.T) {
	s := ready(t)
	o, c := s.place()
	l := s.locks["bike-1"]
	l.opens(c) // its evidence is never heard
	s.pass(time.Hour)
	ended := l.closes()
	l.lowest = l.seq
	s.hear(l.beat(), ended)
	if o = s.wants(o.ID, order.Settled); o.Quote.Total != bike.UnlockFee {
		t.Errorf("bill: got %d, want the unlock fee %d alone", o.Quote.Total, bike.UnlockFee)
	}
	if diff := cmp.Diff([]string{order.ItemLost}, s.itemKinds()); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func TestWordsOfAnEarlierEpochMoveNothing(t *testing.T) {
	s, l, o := riding(t)
	s.hear(l.closes())
	old := *l
	s.lock("bike-1")
	before := s.store.Devices()
	h := s.hear(old.piece(device.Alarm, because("tamper")), old.piece(device.Alarm, because("tamper")))
	if h.Ack != nil || h.Quarantined != 1 {
		t.Errorf("evidence of the earlier epoch: got %+v, want quarantined and no ack", h)
	}
	if h := s.hear(old.beat()); h.Ack != nil {
		t.Errorf("beat of the earlier epoch: got ack %+v, want none", h.Ack)
	}
	if diff := cmp.Diff(before, s.store.Devices()); diff != "" {
		t.Errorf("the device moved (-before +after):\n%s", diff)
	}
	if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemOldEpoch, order.ItemOldEpoch}) {
		t.Errorf("items: got %v, want one per piece", kinds)
	}
	s.wants(o.ID, order.Settled)
}

func TestADeviceThatContradictsItselfLeavesService(t *testing.T) {
	s := ready(t)
	l := s.locks["bike-1"]
	word := l.piece(device.Alarm)
	s.hear(word)
	bent := *word.Word.Evidence
	bent.Raw = []byte("other bytes")
	h := s.hear(order.Hear{Device: "bike-1", Word: device.Word{Evidence: &bent}})
	if h.Trouble != device.Contradiction || h.Ack != nil {
		t.Errorf("heard: %+v, want a contradiction and no ack", h)
	}
	if d := s.store.Devices()[0]; d.Service != device.OutOfService {
		t.Errorf("service: got %s, want out of service", d.Service)
	}
	if kinds := s.itemKinds(); !slices.Contains(kinds, order.ItemContradiction) {
		t.Errorf("items: got %v, want the contradiction", kinds)
	}
}

func TestABackupThatIsTooOldIsNoticed(t *testing.T) {
	s := ready(t)
	l := s.locks["bike-1"]
	l.last = 40
	s.pass(time.Second)
	s.hear(l.beat())
	if out := s.outlet("bike-1"); out.NextSeq != 41 {
		t.Errorf("next number: got %d, want 41", out.NextSeq)
	}
	if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemRestored}) {
		t.Errorf("items: got %v, want that an older backup runs", kinds)
	}
	if _, c := s.place(); c.Seq != 41 {
		t.Errorf("the next start has number %d, want 41", c.Seq)
	}
}

// TestAResultThatNamesAnotherUseSpoilsTheFence: such a piece is quarantined, and
// it is the very result whose absence a fence would prove.
func TestAResultThatNamesAnotherUseSpoilsTheFence(t *testing.T) {
	for name, order_ := range map[string]string{"another order": "01900000-0000-7000-8000-00000000ffff", "no order": ""} {
		s, l, o, c, _ := until(t, "unresolved")
		l.burn(c)
		l.closed = false // it opened
		s.hear(l.piece(device.SeenExecuted, about(c), func(e *device.Evidence) { e.Order = order_ }))
		for _, probe := range s.store.Commands() {
			if probe.Kind == device.Probe && probe.State.Open() {
				l.burn(probe)
			}
		}
		s.hear(l.beat())
		if got := s.order(o.ID); got.State != order.Unresolved {
			t.Errorf("%s: the order is %s (%s) while its bolt is open, want unresolved", name, got.State, got.Reason)
		}
		if got := s.command(c.ID); got.State == device.NotExecuted {
			t.Errorf("%s: an opened start counts as not executed", name)
		}
	}
}
