package api

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"
)

func TestBucketRefusesAfterItsBurstAndSaysWhenToComeBack(t *testing.T) {
	b := newBuckets(Limit{PerSecond: 2, Burst: 3}, 10)
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 {
		if err := b.take("a", now); err != nil {
			t.Fatalf("request %d of the burst: %v", i+1, err)
		}
	}
	err := b.take("a", now)
	var late *limited
	if !errors.As(err, &late) || !errors.Is(err, errTooMany) {
		t.Fatalf("request 4 got %v, want a refusal", err)
	}
	if late.after <= 0 || late.after > time.Second {
		t.Errorf("come back after %v, want about half a second", late.after)
	}
	if err := b.take("b", now); err != nil {
		t.Errorf("another party got %v", err)
	}
	if err := b.take("a", now.Add(late.after)); err != nil {
		t.Errorf("after the wait it got %v", err)
	}
}

func TestRefusedRequestsDoNotLengthenTheWait(t *testing.T) {
	b := newBuckets(Limit{PerSecond: 1, Burst: 1}, 10)
	now := time.Unix(1_700_000_000, 0)
	if err := b.take("a", now); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if b.take("a", now) == nil {
			t.Fatal("a request passed above the limit")
		}
	}
	if err := b.take("a", now.Add(time.Second)); err != nil {
		t.Errorf("after one second it got %v", err)
	}
}

func TestManyTokensAreTakenTogetherOrNotAtAll(t *testing.T) {
	now := time.Now()
	b := newBuckets(Limit{8, 64}, 10)
	for range 4 {
		if err := b.takeMany("ada", 16, now); err != nil {
			t.Fatalf("within the burst: %v", err)
		}
	}
	if err := b.takeMany("ada", 16, now.Add(time.Second)); err == nil {
		t.Error("16 more were given after a second, want 8 at most")
	}
	if err := b.takeMany("ada", 8, now.Add(time.Second)); err != nil {
		t.Errorf("the refused request took some: %v", err)
	}
}

func TestBucketsAreBoundedAndForgetTheSilentFirst(t *testing.T) {
	b := newBuckets(Limit{PerSecond: 0.001, Burst: 1}, 3)
	now := time.Unix(1_700_000_000, 0)
	for i := range 100 {
		if err := b.take(fmt.Sprint(i), now); err != nil {
			t.Fatal(err)
		}
		_ = b.take("busy", now) // keeps itself from being forgotten
		if b.size() > 3 {
			t.Fatalf("%d parties are kept, want at most 3", b.size())
		}
	}
	if b.take("busy", now) == nil {
		t.Error("the busy party was forgotten and got a full bucket")
	}
}

func TestSourceOf(t *testing.T) {
	for _, c := range []struct {
		remote, forwarded string
		trust             bool
		want              string
	}{
		{"192.0.2.1:1234", "", false, "192.0.2.1"},
		{"192.0.2.1:1234", "198.51.100.7", false, "192.0.2.1"},
		{"192.0.2.1:1234", "203.0.113.9, 198.51.100.7", true, "198.51.100.7"},
		{"192.0.2.1:1234", "", true, "192.0.2.1"},
		{"192.0.2.1:1234", "nonsense", true, "unknown"},
		{"[2001:db8:1:2:3:4:5:6]:1234", "", false, "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.1]:1234", "", false, "192.0.2.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := sourceOf(r, c.trust); got != c.want {
			t.Errorf("%s forwarded %q, trusted %v: got %s, want %s", c.remote, c.forwarded, c.trust, got, c.want)
		}
	}
}
