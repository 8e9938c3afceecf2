package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unlatch/unlatch/bus"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/gateway"
	"github.com/unlatch/unlatch/store"
)

// authenticator lets devices into the embedded broker, once they are heard: the beat
// that a device sends when it comes is its only one for minutes.
type authenticator struct {
	logins  *gateway.Logins
	hearing *atomic.Bool
}

func (a authenticator) Device(user, password string) error {
	if err := a.logins.Check(user, password); err != nil {
		return fmt.Errorf("%w: %w", bus.ErrDenied, err)
	}
	if !a.hearing.Load() {
		return bus.ErrNotYet
	}
	return nil
}

func (n *node) dial() bus.Dial {
	if n.server != nil {
		return bus.Dial{Server: n.server}
	}
	return bus.Dial{URL: n.c.NATSURL}
}

// startBus runs the embedded server unless NATS and broker are outside. The
// claim on it lives as long as a database connection, so a crash gives it up.
func (n *node) startBus(ctx context.Context) error {
	c := n.c
	if c.NATSURL != "" {
		if c.MQTTURL == "" {
			return errors.New("with --nats-url give --mqtt-url too: without the embedded server there is no embedded broker")
		}
		return nil
	}
	claim, err := n.db.ClaimBroker(ctx)
	if err != nil {
		return err
	}
	n.release = claim.Release
	n.group.Go(func() error { return claim.Watch(ctx, 10*time.Second) })
	natsPassword := hex.EncodeToString(c.Keys.derive("nats"))
	n.server, err = bus.NewServer(bus.ServerConfig{StoreDir: filepath.Join(c.StoreDir, "nats"), MQTTAddr: c.MQTT, MQTTTLS: c.TLS,
		NATSAddr: c.NATS, NATSPassword: natsPassword, NATSTLS: natsTLS(c), GatewayPassword: hex.EncodeToString(c.Keys.derive("gateway")),
		Authenticator: authenticator{n.logins, &n.hearing}, MaxPayload: maxPayload, Log: c.Log})
	if err != nil {
		return err
	}
	n.group.Go(func() error { return n.server.Run(ctx) })
	if err := ready(ctx, "embedded broker", n.server.Ready()); err != nil {
		return err
	}
	n.group.Go(func() error { return n.probeBroker(ctx) })
	n.MQTTAddr = n.server.MQTTAddr()
	if a := n.server.NATSAddr(); a != "" {
		n.NATSAddr = fmt.Sprintf("nats://unlatch-bus:%s@%s", natsPassword, a)
	}
	return nil
}

// maxPayload bounds a message on the embedded broker; the contract's largest is
// 1 KiB and no update of ours comes near this.
const maxPayload = 16 << 10

func natsTLS(c nodeConfig) *tls.Config {
	if c.NATS == "" {
		return nil
	}
	return c.TLS
}

// probeBroker logs in to the embedded broker as a device would, now and then: a
// broker that keeps its clients and takes no new one looks healthy otherwise.
func (n *node) probeBroker(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := n.server.SelfTest(attempt)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			n.trouble.Store(nil)
			continue
		}
		n.trouble.Store(&err)
		n.c.Log.Error("devices cannot log in to the embedded broker", "err", err)
	}
}

// brokerIsNATS tells whether an outside broker is the MQTT listener of the
// outside NATS, whose uplinks come by a queue group: such a broker takes shared
// subscriptions and delivers nothing. The address says so: mqtt+nats://.
func brokerIsNATS(address string) bool { return strings.HasPrefix(address, "mqtt+nats://") }

func (n *node) newLink() error {
	c := n.c
	lc := gateway.LinkConfig{Log: c.Log, TLS: c.TLS}
	if c.MQTTURL == "" {
		var instance [6]byte
		rand.Read(instance[:])
		user, password := n.server.Gateway(hex.EncodeToString(instance[:]))
		scheme := "tcp"
		if c.TLS != nil {
			scheme = "ssl"
			lc.TLS = &tls.Config{InsecureSkipVerify: true} // our own listener, in this process
		}
		lc.URL, lc.User, lc.Password = scheme+"://"+n.MQTTAddr, user, password
	} else {
		u, err := url.Parse(c.MQTTURL)
		if err != nil { // the error would quote the password
			return errors.New("--mqtt-url is no address; write it as ssl://user:password@host:port, with special characters percent-encoded")
		}
		n.MQTTAddr = u.Host
		lc.User = u.User.Username()
		lc.Password, _ = u.User.Password()
		u.User = nil
		if brokerIsNATS(c.MQTTURL) {
			// The embedded server of another replica: each client is its own gateway.
			var instance [6]byte
			rand.Read(instance[:])
			lc.User, lc.Password = "gateway-"+hex.EncodeToString(instance[:]), hex.EncodeToString(c.Keys.derive("gateway"))
			u.Scheme = "tcp"
			if c.TLS != nil { // its listener speaks TLS, with a certificate that names its host
				u.Scheme = "ssl"
				lc.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			}
		} else {
			lc.Uplinks = func(topic string, payload []byte) bool { return n.ingest.Offer(topic, payload) }
		}
		lc.URL = u.String()
	}
	var err error
	n.link, err = gateway.NewLink(lc)
	return err
}

func (n *node) startUplinks(ctx context.Context) error {
	up, err := bus.NewUplinks(bus.UplinksConfig{Dial: n.dial(), Log: n.c.Log,
		Handle: func(topic string, payload []byte) { n.ingest.Take(ctx, topic, payload) }})
	if err != nil {
		return err
	}
	n.group.Go(func() error { return up.Run(ctx) })
	if err := ready(ctx, "device messages", up.Ready()); err != nil {
		return err
	}
	n.hearing.Store(true)
	return nil
}

// deviceKeys gives the gateway the keys of devices that are not retired.
type deviceKeys struct{ db *store.DB }

func (d deviceKeys) Keys(ctx context.Context, id device.ID) ([]gateway.Key, error) {
	all, err := d.db.DeviceKeys(ctx, id)
	if err != nil {
		return nil, err
	}
	var found []gateway.Key
	for _, k := range all {
		if k.Service != device.Retired {
			found = append(found, gateway.Key{Epoch: k.Epoch, Public: k.PublicKey})
		}
	}
	return found, nil
}
