package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// errWordRefused: of the words that a phone brought none was its device's.
var errWordRefused = errors.New("none of the words was signed by the order's device")

// Words takes in what phones carry; gateway.Ingest does.
type Words interface {
	// Words hears what a device said, as if it had come on its own connection, and
	// returns how many of the words it had signed. An error: we could not tell; what
	// came before it stands.
	Words(ctx context.Context, id device.ID, words [][]byte) (good int, err error)
	// SealAck signs what tells a device how far its words are committed.
	SealAck(id device.ID, epoch uint32, ack device.Ack) ([]byte, error)
}

const (
	// maxRelay is the largest body of relayed words, in bytes: 16 of them, in base64.
	maxRelay = 32 << 10
	// relayLife is how long after its end words may still be brought for an order.
	relayLife = 24 * time.Hour
)

// Bluetooth says where a phone finds a device without coverage.
type Bluetooth struct {
	Service string `json:"service" doc:"UUID of the GATT service"`
	Name    string `json:"name" doc:"Under which the device advertises"`
}

func (a *API) bluetoothOf(d device.Device) *Bluetooth {
	if !d.Bluetooth || a.BluetoothService == "" {
		return nil
	}
	return &Bluetooth{Service: a.BluetoothService, Name: string(d.ID)}
}

// Relay is what the rider's phone may carry to the order's device now.
type Relay struct {
	Send []string `json:"send" nullable:"false" doc:"Signed commands and acks, base64, oldest first; sending one twice, late or never does no harm"`
}

// addRelay shows what may be carried, and that nothing else is waited for.
func (a *API) addRelay(ctx context.Context, o order.Order, v *Order) error {
	for _, p := range v.Payments {
		if o.Road == order.Bluetooth && o.State == order.Pending && !o.DueAt.IsZero() && p.ID == o.Payment &&
			(order.Payment{State: order.PaymentState(p.State)}).Authorised() {
			v.Next.What = waitForRelay
		}
	}
	if a.Words == nil {
		return nil
	}
	carry, err := a.Orders.Carry(ctx, o)
	if err != nil || carry == nil {
		return err
	}
	v.Relay = &Relay{Send: each(carry.Commands, base64.StdEncoding.EncodeToString)}
	if carry.Ack == nil {
		return nil
	}
	ack, err := a.Words.SealAck(o.Device, carry.Epoch, *carry.Ack)
	if err != nil { // this replica lost the key, or was not told of a new one: another acks
		a.Log.Warn("ack for a phone not sealed", "device", o.Device, "err", err)
		return nil
	}
	v.Relay.Send = append(v.Relay.Send, base64.StdEncoding.EncodeToString(ack))
	return nil
}

const waitForRelay = "wait_for_relay"

func (a *API) relayRoutes(h huma.API) {
	op := forRiders("relay-order", http.MethodPost, "/v1/orders/{id}/relay", "Bring what my phone heard of my order's device")
	op.Description = "For a device without coverage, over Bluetooth. The words are signed by the device and are verified as on" +
		" its own connection: a phone is believed nothing, and a word that was heard before changes nothing."
	op.MaxBodyBytes = maxRelay
	register(a, h, op, a.relayOrder)
}

// RelayBody is what a phone heard.
type RelayBody struct {
	Words []string `json:"words" minItems:"1" maxItems:"16" nullable:"false" doc:"Evidence and beats, at most 1024 bytes each, base64, as the device notified them"`
}

type relayOrderInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body RelayBody
}

func (a *API) relayOrder(ctx context.Context, in *relayOrderInput) (*orderAnswer, error) {
	rider := riderOf(ctx).rider
	o, err := a.mine(ctx, rider, in.ID)
	switch {
	case err != nil:
		return nil, err
	case a.Words == nil, !o.DoneAt.IsZero() && time.Since(o.DoneAt) > relayLife:
		return nil, order.ErrWrongState
	}
	var words [][]byte
	for _, text := range in.Body.Words {
		// What is no base64 is as good as forged: it is left out.
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			words = append(words, b)
		}
	}
	if err := a.words.takeMany(rider, len(in.Body.Words), time.Now()); err != nil {
		return nil, err
	}
	good, err := a.Words.Words(ctx, o.Device, words)
	if err != nil {
		return nil, err
	}
	if good == 0 {
		return nil, errWordRefused
	}
	if o, err = a.mine(ctx, rider, in.ID); err != nil {
		return nil, err
	}
	return a.shown(ctx, o)
}
