package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// owner is a connection to the database beside the installation.
func (v *venue) owner() *pgx.Conn {
	v.t.Helper()
	db, err := pgx.Connect(v.ctx, v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = db.Close(context.Background()) })
	return db
}

// signedIn is a browser in which a member of staff has signed in for that long; how is
// not asked.
func (v *venue) signedIn(t *testing.T, db *pgx.Conn, staff string, since time.Duration) *browser {
	t.Helper()
	secret, hash := api.NewSecret("")
	if _, err := db.Exec(v.ctx, `INSERT INTO logins (id, hash, staff, how, created_at, seen_at, expires_at, agent, address)
		VALUES ($1, $2, $3, 'password', now() - $4::interval, now(), now() + interval '1 day', 'test', '')`, newUUID(), hash[:], staff, since); err != nil {
		t.Fatal(err)
	}
	b := v.browser(t)
	at, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: "unlatch_console", Value: secret}})
	return b
}

// asks are refunds of one settled ride, above what one member may give alone: 60 fen.
type asks struct {
	*venue
	t        *testing.T
	db       *pgx.Conn
	order    string
	rider    string
	before   billing.Fen // in the wallet
	charged  int
	ann, bob client
}

func newAsks(t *testing.T) *asks {
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada"}})
	a := &asks{venue: v, t: t, db: v.owner(), ann: v.staffed(order.Finance), bob: v.staffed(order.Finance)}
	a.limit(60)
	ada := v.rider("ada", 0, 5000)
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	v.direct("bike-1", "close", nil)
	o = v.reaches(ada, o.ID, "settled", 30*time.Second)
	a.order, a.rider, a.charged = o.ID, ada.id, int(o.Charged)
	a.before = a.balance()
	return a
}

func (a *asks) limit(alone billing.Fen) {
	a.t.Helper()
	p, err := a.nodes[0].db.Preferences(a.ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	p.RefundAlone = alone
	if err := a.nodes[0].db.PutPreferences(a.ctx, p, seedAudit("settings.put", "settings")); err != nil {
		a.t.Fatal(err)
	}
}

func (a *asks) balance() billing.Fen {
	a.t.Helper()
	w, err := a.nodes[0].db.Wallet(a.ctx, a.rider)
	if err != nil {
		a.t.Fatal(err)
	}
	return w.Balance
}

// refund asks with a key of ann's; want is the status.
func (a *asks) refund(key string, fen, want int) (r api.RefundRequest) {
	a.t.Helper()
	body, _ := json.Marshal(map[string]any{"order": a.order, "amount_fen": fen, "reason": "it rained"})
	status, code, raw := a.ask(a.ann, http.MethodPost, "/v1/operator/refunds", key, string(body))
	if status != want {
		a.t.Fatalf("refund of %d fen: %d %s %s, want %d", fen, status, code, raw, want)
	}
	_ = json.Unmarshal(raw, &r)
	return r
}

// decide approves or declines a request in a browser of that member.
func (a *asks) decide(by client, r api.RefundRequest, what string, want int) (after api.RefundRequest) {
	a.t.Helper()
	status, code, raw := a.signedIn(a.t, a.db, by.id, 0).ask(http.MethodPost, "/refunds/"+r.ID+"/"+what, map[string]string{"reason": "no"})
	if status != want {
		a.t.Fatalf("%s: %d %s %s, want %d", what, status, code, raw, want)
	}
	_ = json.Unmarshal(raw, &after)
	return after
}

func (a *asks) holds(what string, given billing.Fen) {
	a.t.Helper()
	if got := a.balance(); got != a.before+given {
		a.t.Errorf("%s: the wallet holds %d, want %d", what, got, a.before+given)
	}
}

// TestALargeRefundNeedsTwoPeople: nobody gives back above the limit alone, in one piece or
// in several, and a second person's yes moves the money once.
func TestALargeRefundNeedsTwoPeople(t *testing.T) {
	t.Parallel()
	a := newAsks(t)
	a.refund("k1", 50, 201)
	asked := a.refund("k2", 20, 202) // 70 in all
	if again := a.refund("k2", 20, 202); again != asked {
		t.Errorf("the same request again: %+v, first %+v", again, asked)
	}
	a.refund("k3", 21, 409) // another one waits
	a.holds("while it waits", 50)
	if asked.State != "waiting" || asked.GivenAt != nil {
		t.Errorf("asked: %+v", asked)
	}
	a.decide(a.ann, asked, "approve", 403)
	a.decide(a.staffed(order.Field), asked, "approve", 403)
	if status, code, _ := a.ask(a.bob, http.MethodPost, "/v1/operator/refunds/"+asked.ID+"/approve", "", ""); status != 403 || code != "login_needed" {
		t.Errorf("a key that approves: %d %s, want 403 login_needed", status, code)
	}
	first := a.decide(a.bob, asked, "approve", 200)
	if again := a.decide(a.bob, asked, "approve", 200); first.GivenAt == nil || !first.GivenAt.Equal(*again.GivenAt) {
		t.Errorf("approved again: %+v, first %+v", again, first)
	}
	a.decide(a.staffed(order.Finance), asked, "approve", 200)
	a.decide(a.bob, asked, "decline", 409)
	a.holds("approved", 70)
	asked = a.refund("k4", 20, 202)
	a.decide(a.bob, asked, "decline", 200)
	a.decide(a.bob, asked, "approve", 409)
	var page api.RefundRequestPage
	if err := a.ann.do(a.ctx, http.MethodGet, "/v1/operator/refunds?order="+a.order, "", nil, &page); err != nil || len(page.Refunds) != 2 ||
		page.Refunds[0].State != "declined" || page.Refunds[1].State != "approved" || page.Refunds[1].DecidedBy != a.bob.id {
		t.Errorf("requests: %+v, %v", page.Refunds, err)
	}
	a.judge("bike-1")
}

// crashed is a request that the version before approved, and whose money did not move.
func (a *asks) crashed(key string, fen int) api.RefundRequest {
	a.t.Helper()
	r := a.refund(key, fen, 202)
	if tag, err := a.db.Exec(a.ctx, `UPDATE refund_requests SET state = 'approved', decided_at = now(), decided_by = $2 WHERE id = $1`, r.ID, a.bob.id); err != nil || tag.RowsAffected() != 1 {
		a.t.Fatal(tag, err)
	}
	return r
}

// TestAnApprovedRefundIsOpenUntilItsMoneyMoved: nobody asks for another one of its order
// meanwhile; it is approved again, which carries on, or declined, after which it can
// never be given.
func TestAnApprovedRefundIsOpenUntilItsMoneyMoved(t *testing.T) {
	t.Parallel()
	a := newAsks(t)
	cut := a.crashed("k1", 61)
	a.refund("k2", 62, 409)
	var page api.RefundRequestPage
	if err := a.ann.do(a.ctx, http.MethodGet, "/v1/operator/refunds?state=open", "", nil, &page); err != nil || len(page.Refunds) != 1 || page.Refunds[0].ID != cut.ID {
		t.Errorf("open: %+v, %v", page.Refunds, err)
	}
	a.decide(a.ann, cut, "approve", 403)
	if r := a.decide(a.staffed(order.Finance), cut, "approve", 200); r.GivenAt == nil || r.DecidedBy != a.bob.id {
		t.Errorf("carried on: %+v", r)
	}
	a.holds("carried on", 61)

	cut = a.crashed("k3", 10)
	a.refund("k4", 11, 409)
	a.decide(a.bob, cut, "decline", 200)
	a.decide(a.bob, cut, "approve", 409)
	// Somebody who approved it and slept since.
	_, err := a.nodes[0].orders.Money(a.ctx, order.Money{Order: a.order, Amount: 10, Key: order.RefundKey(cut.ID), Request: cut.ID, Route: "r",
		Hash: sha256.Sum256(nil), Staff: order.Audit{Staff: a.bob.id, Act: "money.refund", Reason: "late"},
		Answer: func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
			return 200, []byte("{}"), nil
		}})
	if !errors.Is(err, order.ErrBusy) {
		t.Errorf("the money of a declined request: %v, want ErrBusy", err)
	}
	a.holds("declined", 61)
	a.refund("k5", 11, 202)
	a.judge("bike-1")
}

// TestAGivenRefundStaysGiven: approving it again answers so, even when its key is
// forgotten and the order has nothing left to give.
func TestAGivenRefundStaysGiven(t *testing.T) {
	t.Parallel()
	a := newAsks(t)
	asked := a.refund("k1", 61, 202)
	first := a.decide(a.bob, asked, "approve", 200)
	a.limit(0)
	a.refund("k2", a.charged-61, 201)
	if tag, err := a.db.Exec(a.ctx, `DELETE FROM idempotency_keys WHERE principal = $1 AND key = $2`, order.RefundPrincipal, asked.ID); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("the key of a given refund: %v, %v", tag, err)
	}
	if again := a.decide(a.bob, asked, "approve", 200); again.State != "approved" || again.GivenAt == nil || !again.GivenAt.Equal(*first.GivenAt) {
		t.Errorf("approved again: %+v, first %+v", again, first)
	}
	a.holds("all of it", billing.Fen(a.charged))
	acts := a.actsOf("money.", "refund.")
	if !slices.Equal(acts, []string{"refund.ask", "money.refund", "money.refund"}) {
		t.Errorf("audit rows: %v", acts)
	}
	a.judge("bike-1")
}

// TestARefundThatCannotBeGivenEndsDeclined, with an audit row, and lets another one in.
func TestARefundThatCannotBeGivenEndsDeclined(t *testing.T) {
	t.Parallel()
	a := newAsks(t)
	asked := a.refund("k1", a.charged, 202)
	a.refund("k2", 60, 201)
	a.decide(a.bob, asked, "approve", 422)
	a.decide(a.bob, asked, "approve", 409)
	a.holds("the small one", 60)
	if acts := a.actsOf("refund."); !slices.Equal(acts, []string{"refund.ask", "refund.fail"}) {
		t.Errorf("audit rows: %v", acts)
	}
	a.refund("k3", 10, 202)
	a.judge("bike-1")
}

// TestSeveralWhoApproveAtOnce: one gives it, and all are told the same.
func TestSeveralWhoApproveAtOnce(t *testing.T) {
	t.Parallel()
	a := newAsks(t)
	asked := a.refund("k1", 61, 202)
	var browsers []*browser
	for range 6 {
		browsers = append(browsers, a.signedIn(t, a.db, a.staffed(order.Finance).id, 0))
	}
	var wg sync.WaitGroup
	answers := make([]string, len(browsers))
	for i, b := range browsers {
		wg.Go(func() {
			status, code, raw := b.ask(http.MethodPost, "/refunds/"+asked.ID+"/approve", nil)
			if status != 200 {
				t.Errorf("one of several: %d %s", status, code)
			}
			answers[i] = string(raw)
		})
	}
	wg.Wait()
	if slices.Sort(answers); answers[0] != answers[len(answers)-1] {
		t.Errorf("they are told\n%s\n%s", answers[0], answers[len(answers)-1])
	}
	a.holds("approved by several", 61)
	a.judge("bike-1")
}
