package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/unlatch/unlatch/device/wire"
)

// ErrRefused says that a broker does not let us in, or not do what a replica must.
var ErrRefused = errors.New("the broker refuses")

// Examine tells whether a replica could work with an outside broker: it lets us in,
// lets us publish, and delivers shared subscriptions. It listens to a topic of its own
// in a group of its own, so that running replicas miss nothing. Errors: ErrNotConnected,
// ErrRefused, ErrNoShare.
func Examine(ctx context.Context, c LinkConfig) error {
	var suffix [6]byte
	rand.Read(suffix[:])
	o := mqtt.NewClientOptions().AddBroker(c.URL).SetClientID("gateway-doctor-" + hex.EncodeToString(suffix[:])).
		SetUsername(c.User).SetPassword(c.Password).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(5 * time.Second).SetWriteTimeout(5 * time.Second)
	if c.TLS != nil {
		o.SetTLSConfig(c.TLS)
	}
	client := mqtt.NewClient(o)
	defer client.Disconnect(0)
	if err := done(ctx, client.Connect()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	topic := wire.PresenceTopic(selfTest)
	echo := make(chan struct{}, 1)
	subscribed := client.Subscribe("$share/unlatch-doctor-"+hex.EncodeToString(suffix[:])+"/"+topic, 1, func(mqtt.Client, mqtt.Message) {
		select {
		case echo <- struct{}{}:
		default:
		}
	})
	if err := done(ctx, subscribed); err != nil {
		return fmt.Errorf("%w a shared subscription: %w", ErrRefused, err)
	}
	if s, ok := subscribed.(*mqtt.SubscribeToken); ok {
		for topic, granted := range s.Result() {
			if granted > 2 {
				return fmt.Errorf("%w the subscription %s", ErrRefused, topic)
			}
		}
	}
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		client.Publish(topic, 0, false, []byte{0})
		select {
		case <-echo:
			return nil
		case <-again.C:
		case <-deadline.C:
			return ErrNoShare
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func done(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}
