package testkit

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// withWeChat decides as an installation does whose riders can pay with WeChat.
func withWeChat[R any](t *testing.T, s order.Store, u order.UseCase[R]) R {
	t.Helper()
	snap, err := s.Load(t.Context(), u.Query())
	if err != nil {
		t.Fatalf("load for %T: %v", u, err)
	}
	env := Env
	env.Config.WeChatPay, env.Config.RiskCap = true, 800
	changes, r, err := u.Decide(snap, env)
	if err != nil {
		t.Fatalf("decide %T: %v", u, err)
	}
	if err := s.Apply(t.Context(), changes); err != nil {
		t.Fatalf("apply %T: %v", u, err)
	}
	return r
}

func prepaying(t *testing.T, s Subject, ticket string) (order.Order, order.Payment) {
	t.Helper()
	p := placing("bike-1", ticket, ticket)
	p.PayWith = order.PayBefore
	placed := withWeChat(t, s, order.UseCase[order.Placed](p))
	snap, err := s.Load(t.Context(), order.Query{Order: placed.Order.ID})
	if err != nil || len(snap.Payments) != 1 {
		t.Fatalf("payments of a prepaid order: %+v, %v; want one", snap.Payments, err)
	}
	return placed.Order, snap.Payments[0]
}

func payments(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	o, p := prepaying(t, s, "t1")
	if o.State != order.Pending || p.Order != o.ID || p.Amount != 1000 || p.State != order.PaymentCreated || p.Rider != Rider.ID || p.Device != "bike-1" {
		t.Fatalf("order %s, payment %+v; want a pending order and its created payment of 1000", o.State, p)
	}
	if payer, err := s.Payer(t.Context(), "01900000-0000-7000-8000-00000000dead"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("payer of nobody: %q, %v; want ErrNotFound", string(payer), err)
	}
	due, err := s.DuePayments(t.Context(), time.Minute, 10)
	if err != nil || len(due) != 1 || due[0] != p.ID {
		t.Fatalf("due: %v, %v; want the payment", due, err)
	}
	if again, err := s.DuePayments(t.Context(), time.Minute, 10); err != nil || len(again) != 0 {
		t.Errorf("claimed twice: %v, %v", again, err)
	}
	said := billing.Said{Road: billing.Transaction, Number: p.Number(), Stands: billing.StandsOpen, Amount: 1000, Key: "wx1"}
	withWeChat(t, s, order.UseCase[order.Told](order.Tell{Payment: p.ID, Said: said, Step: billing.AskCreate}))
	stale, err := s.Load(t.Context(), order.Query{Payment: p.ID})
	if err != nil || len(stale.Orders) != 1 || stale.Rider == nil || stale.Device == nil || stale.Payments[0].Key != "wx1" {
		t.Fatalf("a query by payment: %+v, %v; want order, rider, device and the key", stale, err)
	}
	said.Stands, said.Moved, said.ID = billing.StandsPaid, 1000, "wx-id"
	told := withWeChat(t, s, order.UseCase[order.Told](order.Tell{Payment: p.ID, Said: said, Step: billing.AskQuery}))
	if len(told.Send) != 1 {
		t.Errorf("paid, and %d commands follow; want the start", len(told.Send))
	}
	snap, err := s.Load(t.Context(), order.Query{Order: o.ID})
	if err != nil {
		t.Fatal(err)
	}
	want := told.Payment
	want.Version = snap.Payments[0].Version
	if diff := cmp.Diff(want, snap.Payments[0], cmpopts.EquateApproxTime(time.Microsecond)); diff != "" {
		t.Errorf("payment read back (-want +got):\n%s", diff)
	}
	if got := snap.Orders[0]; got.State != order.Starting || got.Hold == "" || got.Payment != p.ID {
		t.Errorf("order %s, hold %q, payment %q; want starting with both", got.State, got.Hold, got.Payment)
	}
	held := false
	for _, a := range snap.Accounts {
		held = held || a.ID == billing.Prepaid(o.ID) && a.Posted == 1000 && a.Held == 1000
	}
	if !held {
		t.Errorf("accounts %+v, want what was prepaid, held", snap.Accounts)
	}
	// What was decided on the older row is refused, and writes nothing.
	env := Env
	env.Config.WeChatPay = true
	changes, _, err := order.Tell{Payment: p.ID, Said: said, Step: billing.AskQuery}.Decide(stale, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), changes); !errors.Is(err, order.ErrStale) {
		t.Errorf("the same word decided on the older payment: %v, want ErrStale", err)
	}
	// A refund loads what it gives back; a top-up that was paid is found again.
	made := withWeChat(t, s, order.UseCase[order.Placed](order.TopUp{Rider: Rider.ID, Amount: 500, Route: "topups",
		Key: order.KeyRef{Principal: "rider:" + Rider.ID, Key: "tu"}, Hash: sha256.Sum256(nil),
		Answer: func(p order.Payment) (int, []byte, error) { return 201, []byte(p.ID), nil }}))
	id := string(made.Answer)
	withWeChat(t, s, order.UseCase[order.Told](order.Tell{Payment: id, Said: billing.Said{Road: billing.Transaction, Number: order.Payment{ID: id}.Number(),
		Stands: billing.StandsPaid, Amount: 500, Moved: 500}, Step: billing.AskQuery}))
	withWeChat(t, s, order.UseCase[order.Placed](order.Withdraw{Rider: Rider.ID, Amount: 200, Route: "withdrawals",
		Key:    order.KeyRef{Principal: "rider:" + Rider.ID, Key: "wd"},
		Answer: func(sent []order.Payment) (int, []byte, error) { id = sent[0].ID; return 201, []byte("{}"), nil }}))
	snap, err = s.Load(t.Context(), order.Query{Payment: id})
	if err != nil || len(snap.Payments) != 2 || snap.Payments[0].Back+snap.Payments[1].Back != 200 {
		t.Errorf("a refund of a top-up: %+v, %v; want it and the top-up", snap.Payments, err)
	}
}

func notices(t *testing.T, s Subject) {
	ctx := context.Background()
	said := billing.Said{Road: billing.Transaction, Number: "01900000000070008000000000000001", Stands: billing.StandsPaid, Amount: 5, Moved: 5}
	for range 3 {
		if err := s.AddNotice(ctx, said, "TRANSACTION.SUCCESS"); err != nil {
			t.Fatal(err)
		}
	}
	part := said
	part.Road = billing.Score
	for _, moved := range []billing.Fen{1, 2, 2} { // each part that was collected is a fact of its own
		part.Moved = moved
		if err := s.AddNotice(ctx, part, "PAYSCORE.USER_PAID"); err != nil {
			t.Fatal(err)
		}
	}
	open, err := s.Notices(ctx, 10)
	if err != nil || len(open) != 3 {
		t.Fatalf("notifications: %+v, %v; want 3", open, err)
	}
	if diff := cmp.Diff(said, open[0].Said); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	for _, n := range open {
		withWeChat(t, s, order.UseCase[order.Told](order.Tell{Payment: order.PaymentOf(n.Said.Number), Said: n.Said, Notice: n.ID}))
	}
	if err := s.AddNotice(ctx, said, "TRANSACTION.SUCCESS"); err != nil {
		t.Fatal(err)
	}
	if left, err := s.Notices(ctx, 10); err != nil || len(left) != 0 {
		t.Errorf("dealt with, and it waits: %+v, %v", left, err)
	}
}
