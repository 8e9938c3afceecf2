package gateway

import (
	"errors"
	"testing"

	"github.com/unlatch/unlatch/order"
)

func TestOfWordsFromAPhoneOnlyTheDevicesOwnAreHeard(t *testing.T) {
	p := ingest(t)
	p.keys.set("bike-2", Key{1, public(2)})
	flipped := evidence(t, "bike-1", 1, 1, 2)
	flipped[len(flipped)-1] ^= 1
	good, err := p.in.Words(t.Context(), "bike-1", [][]byte{
		beat(t, "bike-1", 1, 1),
		flipped,
		beat(t, "bike-2", 2, 1),                   // another device's own
		evidence(t, "bike-1", 9, 1, 3),            // signed by somebody
		{}, {0xd2}, make([]byte, 1024), {1025: 0}, // no messages
		evidence(t, "bike-1", 1, 1, 4),
	})
	if err != nil || good != 2 {
		t.Fatalf("got %d, %v; want the beat and the last piece", good, err)
	}
	if len(p.ear.heard) != 2 || p.ear.heard[0].Word.Beat == nil || p.ear.heard[1].Word.Evidence.Seq != 4 {
		t.Errorf("heard %+v, want the beat and piece 4", p.ear.heard)
	}
	if c := p.in.Counts(); c.Forged.Load() != 3 || c.Malformed.Load() != 4 || c.Heard.Load() != 2 {
		t.Errorf("counted %d forged, %d malformed, %d heard; want 3, 4, 2", c.Forged.Load(), c.Malformed.Load(), c.Heard.Load())
	}
	p.in.flush()
	if sent := p.air.all(); len(sent) != 1 {
		t.Errorf("%d acks go to the broker, want one: either road may bring it", len(sent))
	}
}

func TestAWordThatCannotBeJudgedIsOurFault(t *testing.T) {
	trouble := errors.New("no database")
	p := ingest(t)
	p.keys.err = trouble
	if good, err := p.in.Words(t.Context(), "bike-1", [][]byte{beat(t, "bike-1", 1, 1)}); good != 0 || !errors.Is(err, trouble) {
		t.Errorf("without keys: %d, %v; want an error", good, err)
	}
	p = ingest(t)
	p.ear.hear = func(order.Hear) (order.Heard, error) { return order.Heard{}, trouble }
	if good, err := p.in.Words(t.Context(), "bike-1", [][]byte{evidence(t, "bike-1", 1, 1, 1)}); good != 0 || !errors.Is(err, trouble) {
		t.Errorf("without a store: %d, %v; want an error", good, err)
	}
	p.in.flush()
	if sent := p.air.all(); len(sent) != 0 {
		t.Errorf("%d acks for what is not committed", len(sent))
	}
}
