package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/order"
)

func TestWaitsAreBoundedPerRider(t *testing.T) {
	a := &API{waits: newWaits(2)}
	first, err := a.follow("r", "o")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.follow("r", "o"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.follow("r", "p"); !errors.Is(err, errTooManyWaits) {
		t.Errorf("the third wait got %v", err)
	}
	if _, err := a.follow("s", "o"); err != nil {
		t.Errorf("another rider got %v", err)
	}
	first.close()
	if _, err := a.follow("r", "p"); err != nil {
		t.Errorf("after one ended got %v", err)
	}
}

func TestNewestOfferWinsAndDrainEndsAll(t *testing.T) {
	a := &API{waits: newWaits(2)}
	f, err := a.follow("r", "o")
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	a.waits.offer(order.Order{ID: "o", Version: 1})
	a.waits.offer(order.Order{ID: "o", Version: 2})
	a.waits.offer(order.Order{ID: "other", Version: 3})
	never := make(chan time.Time)
	if why, o := f.next(context.Background(), never); why != seen || o.Version != 2 {
		t.Errorf("got hint %v with version %d, want the newest state", why, o.Version)
	}
	a.waits.drain()
	a.waits.drain()
	if why, _ := f.next(context.Background(), never); why != ended {
		t.Errorf("got hint %v after the drain", why)
	}
}
