package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/unlatch/unlatch/device/wire"
)

const (
	keepAlive      = 45 * time.Second
	connectTimeout = 15 * time.Second
	writeTimeout   = 5 * time.Second
)

// link is one MQTT connection of a device, used once and thrown away: paho
// neither reconnects nor resends by itself.
type link struct {
	client mqtt.Client

	mu   sync.Mutex
	conn net.Conn
}

// linkConfig is what a device needs to connect (docs/protocol.md, section 2).
type linkConfig struct {
	broker, device, password string
	will                     Packet
	tls                      *tls.Config
	// message is called with each command, from paho's goroutines; it must not block.
	message func(payload []byte)
	// lost is called at most once, when an established connection breaks.
	lost func(error)
}

// dial connects and subscribes. It gives up with ctx.
func dial(ctx context.Context, c linkConfig) (*link, error) {
	l := &link{}
	opts := mqtt.NewClientOptions().
		AddBroker(c.broker).
		SetClientID(c.device).SetUsername(c.device).SetPassword(c.password).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetAutoReconnect(false).SetConnectRetry(false).
		SetOrderMatters(false).
		SetKeepAlive(keepAlive).SetConnectTimeout(connectTimeout).SetWriteTimeout(writeTimeout).
		SetBinaryWill(c.will.Topic, c.will.Payload, c.will.QoS, c.will.Retained).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.lost(err) }).
		SetCustomOpenConnectionFn(func(uri *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conn, err := openConn(ctx, uri, c.tls)
			if err != nil {
				return nil, err
			}
			l.mu.Lock()
			l.conn = conn
			l.mu.Unlock()
			return conn, nil
		})
	if c.tls != nil {
		opts.SetTLSConfig(c.tls)
	}
	l.client = mqtt.NewClient(opts)
	if err := wait(ctx, l.client.Connect()); err != nil {
		l.cut()
		return nil, fmt.Errorf("connect %s to %s: %w", c.device, c.broker, err)
	}
	token := l.client.Subscribe(wire.CommandTopic(c.device), 0, func(_ mqtt.Client, m mqtt.Message) { c.message(m.Payload()) })
	err := wait(ctx, token)
	if granted, ok := token.(*mqtt.SubscribeToken); ok && err == nil && granted.Result()[wire.CommandTopic(c.device)] == 0x80 {
		err = errors.New("broker refused the subscription")
	}
	if err != nil {
		l.cut()
		return nil, fmt.Errorf("subscribe %s: %w", c.device, err)
	}
	return l, nil
}

// wait waits for a token, but no longer than ctx or the connect time-out.
func wait(ctx context.Context, t mqtt.Token) error {
	timer := time.NewTimer(connectTimeout)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-timer.C:
		return errors.New("no answer from the broker")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openConn opens the connection ourselves, so that cut can tear it.
func openConn(ctx context.Context, uri *url.URL, config *tls.Config) (net.Conn, error) {
	d := &net.Dialer{Timeout: connectTimeout}
	switch uri.Scheme {
	case "mqtt", "tcp":
		return d.DialContext(ctx, "tcp", withPort(uri, "1883"))
	case "mqtts", "ssl", "tls":
		return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, "tcp", withPort(uri, "8883"))
	}
	return nil, fmt.Errorf("broker URL has scheme %q, want mqtt, tcp, mqtts, ssl or tls", uri.Scheme)
}

func withPort(uri *url.URL, port string) string {
	if uri.Port() != "" {
		return uri.Host
	}
	return net.JoinHostPort(uri.Hostname(), port)
}

// publish hands a packet to the broker; whether it arrives is not known (S13).
func (l *link) publish(p Packet) { l.client.Publish(p.Topic, p.QoS, p.Retained, p.Payload) }

// cut tears the connection as a power cut does: the broker will send the will.
func (l *link) cut() {
	l.mu.Lock()
	if l.conn != nil {
		l.conn.Close()
	}
	l.mu.Unlock()
	l.client.Disconnect(0)
}

// reconnectWait is the wait before attempt k, from 0 on (P8.2).
func reconnectWait(r *rand.Rand, k int) time.Duration {
	return time.Duration(r.Int64N(int64(min(time.Second<<min(k, 6), 60*time.Second))))
}
