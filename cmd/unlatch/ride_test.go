package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/gateway"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/store"
)

// scenario is a ride with a piece of bad luck. Each has a bike and a rider of
// its own, so that all of them run at once on one installation.
type scenario struct {
	name string
	// before spoils what the start will meet; after is what the world does once
	// the order is placed. Both may be nil.
	before func(v *venue, bike string)
	after  func(v *venue, bike string, c client, o seen)
	ends   string // the state in which the order must end
	reason string // why, where it is voided
	moves  int    // how often the bolt must have moved
}

func ride(v *venue, bike string, c client, o seen) {
	v.t.Helper()
	v.reaches(c, o.ID, "active", 60*time.Second)
	v.direct(bike, "close", nil)
}

var scenarios = []scenario{
	{name: "nothing goes wrong", after: ride, ends: "settled", moves: 1},
	{name: "the answer is lost", ends: "settled", moves: 1,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "drop", "direction": "up", "count": 1})
		}, after: ride},
	{name: "the answer is 20 s late", ends: "settled", moves: 1,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "delay", "direction": "up", "millis": 20_000})
		}, after: func(v *venue, bike string, c client, o seen) {
			v.reaches(c, o.ID, "unresolved", 19*time.Second)
			v.reaches(c, o.ID, "active", 60*time.Second)
			v.direct(bike, "network", map[string]any{"do": "on"})
			v.direct(bike, "close", nil)
		}},
	{name: "power is cut between burning the number and moving", ends: "voided", reason: "power", moves: 0,
		before: func(v *venue, bike string) {
			v.direct(bike, "power", map[string]any{"do": "cut", "at": "burned"})
		}, after: restored},
	{name: "power is cut between moving and the journal", ends: "settled", moves: 1,
		before: func(v *venue, bike string) {
			v.direct(bike, "power", map[string]any{"do": "cut", "at": "moved"})
		}, after: func(v *venue, bike string, c client, o seen) {
			restored(v, bike, c, o)
			ride(v, bike, c, o)
		}},
	{name: "a bit-flipped copy of the command arrives first", ends: "settled", moves: 1,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "flip", "direction": "down", "count": 1})
		}, after: func(v *venue, bike string, c client, o seen) {
			ride(v, bike, c, o)
			if got := v.body(bike).Rejected; got < 1 {
				v.t.Errorf("the bike refused %d messages, want the flipped one", got)
			}
		}},
	{name: "a refusal is lost and its number sent again", ends: "voided", reason: "low_battery", moves: 0,
		before: func(v *venue, bike string) {
			// The news of the battery is lost as well, or the server would refuse.
			v.direct(bike, "network", map[string]any{"do": "off", "direction": "up"})
			v.direct(bike, "battery", map[string]any{"percent": 1})
		}, after: func(v *venue, bike string, _ client, _ seen) {
			v.until("the number was sent again", 10*time.Second, func() bool { return v.body(bike).Repeated > 0 })
			v.direct(bike, "network", map[string]any{"do": "on"})
		}},
	// The lock refuses what comes late, unless a beat of its own, made by chance behind
	// the expiry and heard before, has proved already that it never will.
	{name: "the command is delivered after its expiry", ends: "voided", reason: "expired or not_executed", moves: 0,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "delay", "direction": "down", "millis": 17_000})
		}, after: func(v *venue, bike string, c client, o seen) {
			v.reaches(c, o.ID, "unresolved", 19*time.Second)
		}},
	{name: "evidence comes twice and out of order", ends: "settled", moves: 1,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "duplicate", "direction": "up"})
			v.direct(bike, "network", map[string]any{"do": "reorder", "direction": "up", "millis": 1500})
		}, after: ride},
	{name: "unresolved turns out opened", ends: "settled", moves: 1,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "off", "direction": "up"})
		}, after: func(v *venue, bike string, c client, o seen) {
			v.reaches(c, o.ID, "unresolved", 19*time.Second)
			v.direct(bike, "network", map[string]any{"do": "on"})
			ride(v, bike, c, o)
		}},
	{name: "unresolved turns out shut", ends: "voided", reason: "not_executed", moves: 0,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "off", "direction": "both"})
		}, after: func(v *venue, bike string, c client, o seen) {
			v.reaches(c, o.ID, "unresolved", 19*time.Second)
			v.direct(bike, "network", map[string]any{"do": "on"})
		}},
	{name: "the rider cancels before the bike hears of it", ends: "voided", reason: "cancelled", moves: 0,
		before: func(v *venue, bike string) {
			v.direct(bike, "network", map[string]any{"do": "off", "direction": "both"})
		}, after: func(v *venue, bike string, c client, o seen) {
			if err := c.do(v.ctx, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", "", nil, nil); err != nil {
				v.t.Fatal(err)
			}
			v.reaches(c, o.ID, "unresolved", 19*time.Second) // until the start can no longer be heard
			v.direct(bike, "network", map[string]any{"do": "on"})
		}},
	{name: "the bolt is jammed", ends: "voided", reason: "failed_jam", moves: 0,
		before: func(v *venue, bike string) { v.direct(bike, "jam", map[string]any{"jammed": true}) }},
	{name: "the bike restarts during the ride", ends: "settled", moves: 1,
		after: func(v *venue, bike string, c client, o seen) {
			v.reaches(c, o.ID, "active", 60*time.Second)
			v.direct(bike, "power", map[string]any{"do": "cut"})
			v.direct(bike, "power", map[string]any{"do": "restore"})
			v.until("the bike has said that it started again", 30*time.Second, func() bool {
				return v.body(bike).Journal.Acked >= 3
			})
			if o := v.order(c, o.ID); o.State != "active" {
				v.t.Errorf("a restart alone made the order %s", o.State)
			}
			v.direct(bike, "close", nil)
		}},
}

// restored gives a bike its power back once the cut that was armed has happened.
func restored(v *venue, bike string, _ client, _ seen) {
	v.until("the bike lost power", 30*time.Second, func() bool { return !v.body(bike).Powered })
	v.direct(bike, "power", map[string]any{"do": "restore"})
}

func TestWholeRides(t *testing.T) {
	t.Parallel()
	var bikes, riders []string
	for i := range scenarios {
		bikes, riders = append(bikes, fmt.Sprintf("bike-%d", i)), append(riders, fmt.Sprintf("rider-%d", i))
	}
	v := newVenue(t, venueConfig{Bikes: bikes, Riders: riders})
	t.Run("bad luck", func(t *testing.T) {
		for i, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				v := *v
				v.t = t
				s.play(&v, bikes[i], riders[i])
			})
		}
	})
	v.judge(bikes...)
}

func (s scenario) play(v *venue, bike, rider string) {
	c := v.rider(rider, 0, 10_000)
	if s.before != nil {
		s.before(v, bike)
	}
	o, err := v.start(c, bike)
	if err != nil {
		v.t.Fatalf("start: %v", err)
	}
	if o.State != "starting" {
		v.t.Errorf("the answer says %s, want starting: nothing is opened before the bike said so", o.State)
	}
	if s.after != nil {
		s.after(v, bike, c, o)
	}
	got := v.reaches(c, o.ID, s.ends, 90*time.Second)
	if s.ends == "voided" && !slices.Contains(strings.Split(s.reason, " or "), got.Reason) {
		v.t.Errorf("voided because of %q, want %q", got.Reason, s.reason)
	}
	if moved := len(v.body(bike).Movements); moved != s.moves {
		v.t.Errorf("the bolt moved %d times, want %d", moved, s.moves)
	}
	var wallet struct {
		Balance int64 `json:"balance_fen"`
		Held    int64 `json:"held_fen"`
	}
	if err := c.do(v.ctx, http.MethodGet, "/v1/me/wallet", "", nil, &wallet); err != nil {
		v.t.Fatal(err)
	}
	if wallet.Balance != 10_000-got.Charged || wallet.Held != 0 {
		v.t.Errorf("the wallet holds %d (%d held) after a charge of %d of 10000", wallet.Balance, wallet.Held, got.Charged)
	}
	if s.ends == "voided" && got.Charged != 0 || s.ends == "settled" && (got.Charged < 100 || got.Charged != got.Quote.Total) {
		v.t.Errorf("charged %d for an order that was %s and quoted %d", got.Charged, s.ends, got.Quote.Total)
	}
	for _, line := range got.Quote.Lines {
		if s.ends == "settled" && (len(line.Evidence) == 0 || line.Tariff != "test@1") {
			v.t.Errorf("line %s names evidence %v and tariff %q, want some and test@1", line.Kind, line.Evidence, line.Tariff)
		}
	}
	v.judge(bike)
}

// TestProcessKilledBetweenCommitAndSend lets a process of its own place an order
// and die by SIGKILL the moment its commit is done; the running replica must
// find the command and the ride go on.
func TestProcessKilledBetweenCommitAndSend(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada"}})
	c := v.rider("ada", 0, 10_000)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDieAfterCommit$")
	code, err := qr.Parse(v.codes["bike-1"], "q.test")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "UNLATCH_DIE_AFTER_COMMIT="+v.url, "UNLATCH_DIE_RIDER="+c.id, "UNLATCH_DIE_CODE="+string(code.Number),
		fmt.Sprintf("UNLATCH_DIE_KEYS=%x", append(v.keys.Signing, v.keys.Secret...)))
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended with %v and not by SIGKILL:\n%s", err, out)
	}
	var list struct {
		Orders []seen `json:"orders"`
	}
	if err := c.do(t.Context(), http.MethodGet, "/v1/me/orders", "", nil, &list); err != nil || len(list.Orders) != 1 {
		t.Fatalf("orders after the kill: %+v, %v; want the committed one", list, err)
	}
	o := v.reaches(c, list.Orders[0].ID, "active", 30*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(c, o.ID, "settled", 30*time.Second)
	v.judge("bike-1")
}

// dying is a Dispatcher that is killed when the first command reaches it.
type dying struct{}

func (dying) Dispatch(c []device.Command) {
	if len(c) > 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// TestDieAfterCommit is the process of TestProcessKilledBetweenCommitAndSend; run
// by itself it has nothing to do.
func TestDieAfterCommit(t *testing.T) {
	url := os.Getenv("UNLATCH_DIE_AFTER_COMMIT")
	if url == "" {
		return
	}
	var k keys
	var raw []byte
	if _, err := fmt.Sscanf(os.Getenv("UNLATCH_DIE_KEYS"), "%x", &raw); err != nil || len(raw) != 64 {
		t.Fatalf("keys: %d bytes, %v", len(raw), err)
	}
	k.Signing, k.Secret = raw[:32], raw[32:]
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{URL: url, IdentityKey: k.derive("identity")})
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := k.signer()
	tickets := order.Tickets{Secret: k.derive("ticket")}
	s, err := order.New(order.ServiceConfig{Store: db, Catalog: db, Due: db, Stops: db, Dispatcher: dying{}, Tickets: tickets,
		Env: order.Env{Rand: rand.Reader, Sealer: gateway.Sealer{Signer: signer}}})
	if err != nil {
		t.Fatal(err)
	}
	rider := os.Getenv("UNLATCH_DIE_RIDER")
	scanned, err := s.Scan(ctx, rider, os.Getenv("UNLATCH_DIE_CODE"), "")
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := tickets.Open(scanned.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Place(ctx, order.Place{Rider: rider, Ticket: ticket, PayWith: order.PayWallet, Key: order.KeyRef{Principal: "rider:" + rider, Key: "k"},
		Answer: func(order.Order) (int, []byte, error) { return 201, []byte("{}"), nil }})
	t.Fatalf("still alive after placing: %v", err)
}
