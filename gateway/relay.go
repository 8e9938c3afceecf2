package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Words takes in what a rider's phone heard of a device: the very bytes that the device
// also publishes, verified by the same keys and heard by the same use case. They need no
// trust in the phone. Words that are forged, broken or of another device are counted,
// change nothing and are left out of good; what was heard before counts as good and
// changes nothing either. An error means that we could not tell; words before it stand.
func (in *Ingest) Words(ctx context.Context, id device.ID, words [][]byte) (good int, err error) {
	for _, payload := range words {
		ours, err := in.word(ctx, id, payload, true)
		if err != nil {
			return good, fmt.Errorf("relayed word of device %s: %w", id, err)
		}
		if ours {
			good++
		}
	}
	return good, nil
}

// SealAck signs an ack for a phone to carry.
func (in *Ingest) SealAck(id device.ID, epoch uint32, ack device.Ack) ([]byte, error) {
	return in.c.Sealer.SealAck(id, epoch, ack)
}

// word works one piece of evidence or beat to its end, by whatever road it came. ours
// tells that the device signed it. An error is our fault and says nothing of the word.
func (in *Ingest) word(ctx context.Context, id device.ID, payload []byte, relayed bool) (ours bool, err error) {
	up, err := in.open(ctx, id, payload)
	if errors.Is(err, errKeys) {
		return false, err
	}
	if err != nil {
		in.count(err)
		in.c.Log.Debug("uplink refused", "device", id, "err", err)
		return false, nil
	}
	word := Word(id, up, payload)
	heard, err := in.c.Hearer.Hear(ctx, order.Hear{Device: id, Word: word, Relayed: relayed})
	if err != nil {
		return true, err
	}
	in.counts.Heard.Add(1)
	in.counts.Quarantined.Add(int64(heard.Quarantined))
	if heard.Ack != nil {
		in.acks.add(id, epochOf(up), *heard.Ack, answers(word.Evidence, *heard.Ack))
	}
	return true, nil
}

// answers is the command that a piece of evidence answers, "" unless the ack covers it.
func answers(e *device.Evidence, ack device.Ack) string {
	if e != nil && e.Seq <= ack.N && (e.Kind == device.SeenExecuted || e.Kind == device.SaidRejected || e.Kind == device.SaidFailed) {
		return e.CommandID
	}
	return ""
}
