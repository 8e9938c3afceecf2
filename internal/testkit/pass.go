package testkit

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Pass is on offer in a seeded store.
var Pass = order.PassRow{Pass: billing.Pass{ID: "month", Version: 1, Name: "Month", Price: 1900, Days: 30,
	PassTerms: billing.PassTerms{UnlockFree: true, RideFreeMS: 1000, BudgetMS: 600_000}}, Venue: Venue.ID, Kind: device.Lock, OnSale: true}

// Buy lets Rider buy Pass of their wallet.
func Buy(t *testing.T, s order.Store) order.HeldPass {
	t.Helper()
	act(t, s, order.UseCase[order.Placed](order.BuyPass{Rider: Rider.ID, Pass: Pass.Pass.ID, Price: Pass.Pass.Price, Route: "passes",
		Key: order.KeyRef{Principal: "rider:" + Rider.ID, Key: "pass"}, Hash: sha256.Sum256(nil),
		Answer: func(h order.HeldPass) (int, []byte, error) { return 201, []byte(h.ID), nil }}))
	snap, err := s.Load(t.Context(), order.Query{Rider: Rider.ID})
	if err != nil || len(snap.Passes) != 1 {
		t.Fatalf("passes of a rider who bought one: %+v, %v", snap.Passes, err)
	}
	return snap.Passes[0]
}

func passes(t *testing.T, s Subject) {
	snap, err := s.Load(t.Context(), order.Query{Rider: Rider.ID, Pass: Pass.Pass.ID})
	if err != nil || snap.Offer == nil || len(snap.Passes) != 0 {
		t.Fatalf("on offer: %+v, held: %+v, %v; want one and none", snap.Offer, snap.Passes, err)
	}
	if diff := cmp.Diff(Pass, *snap.Offer); diff != "" {
		t.Errorf("offer read back (-want +got):\n%s", diff)
	}
	topUp(t, s, "k1", 5000)
	h := Buy(t, s)
	if h.Version != 1 || h.Rider != Rider.ID || h.Drawn != 0 || !h.Revoked.IsZero() {
		t.Errorf("held: %+v", h)
	}
	provision(t, s, "bike-1")
	p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	if p.Order.Pass != h.ID {
		t.Fatalf("the order met pass %q, want %s", p.Order.Pass, h.ID)
	}
	revoke := order.UseCase[order.HeldPass](order.RevokePass{Rider: Rider.ID, Held: h.ID, Staff: order.Audit{Staff: "1", Act: "revoke", Reason: "test"}})
	stale, _ := decide(t, s, revoke)
	act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 1, device.SeenExecuted, 2000)))
	act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 2, device.SaidEnded, 63_000)))
	// The ride drew of the budget: who decided on the older row is refused.
	if err := s.Apply(t.Context(), stale); !errors.Is(err, order.ErrStale) {
		t.Errorf("a revocation decided before the ride drew: %v, want ErrStale", err)
	}
	snap, err = s.Load(t.Context(), order.Query{Order: p.Order.ID})
	if err != nil || len(snap.Passes) != 1 || snap.Passes[0].Drawn != 60_000 || snap.Orders[0].Usage.Pass == nil || snap.Orders[0].Quote.Total != 0 {
		t.Errorf("after the ride: %+v, %+v, %v; want a free one that drew a minute", snap.Passes, snap.Orders[0].Usage, err)
	}
	act(t, s, revoke)
	if snap, err = s.Load(t.Context(), order.Query{Rider: Rider.ID}); err != nil || len(snap.Passes) != 0 {
		t.Errorf("revoked, and still: %+v, %v", snap.Passes, err)
	}
	if snap, err = s.Load(t.Context(), order.Query{Order: p.Order.ID}); err != nil || len(snap.Passes) != 1 || snap.Passes[0].Revoked.IsZero() {
		t.Errorf("an order's pass that was revoked: %+v, %v; want it, revoked", snap.Passes, err)
	}
}
