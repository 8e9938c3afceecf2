package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/unlatch/unlatch/device/wire"
)

// ErrNotConnected says that bytes did not leave because the broker is away.
var ErrNotConnected = errors.New("the broker is not connected")

// ErrNoShare says that the broker takes shared subscriptions and delivers nothing.
var ErrNoShare = errors.New("the broker swallows shared subscriptions; use a broker that serves them, such as Mosquitto 2 or EMQX")

// LinkConfig says which broker to speak to and as whom.
type LinkConfig struct {
	URL      string // tcp://host:port or ssl://host:port
	User     string
	Password string
	TLS      *tls.Config
	Log      *slog.Logger
	// Uplinks, when set, is called with what devices publish, from a shared
	// subscription of group "unlatch": the way for external brokers. It must not
	// block. Nil: uplinks come by another road (a NATS queue group).
	Uplinks func(topic string, payload []byte) bool
}

// Link is one MQTT connection of a replica. It implements Publisher.
type Link struct {
	c      LinkConfig
	client mqtt.Client
	echo   atomic.Pointer[chan struct{}]
	self   string
}

// selfTest is the device name under which a link asks itself whether shared
// subscriptions are delivered. Provisioning refuses it.
const selfTest = "_self-test"

// NewLink checks the configuration and connects nothing.
func NewLink(c LinkConfig) (*Link, error) {
	if c.URL == "" {
		return nil, errors.New("gateway.NewLink: the broker's URL is required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var suffix [6]byte
	rand.Read(suffix[:])
	l := &Link{c: c, self: wire.PresenceTopic(selfTest)}
	o := mqtt.NewClientOptions().AddBroker(c.URL).SetClientID("gateway-" + hex.EncodeToString(suffix[:])).
		SetUsername(c.User).SetPassword(c.Password).SetCleanSession(true).SetOrderMatters(false).
		SetAutoReconnect(true).SetMaxReconnectInterval(5 * time.Second).SetConnectRetry(true).
		SetConnectRetryInterval(500 * time.Millisecond).SetKeepAlive(20 * time.Second).SetPingTimeout(10 * time.Second).
		SetWriteTimeout(5 * time.Second).SetStore(mqtt.NewMemoryStore())
	if c.User != "" && c.Uplinks == nil {
		o.SetClientID(c.User) // the embedded broker binds the client id to the user
	}
	if c.TLS != nil {
		o.SetTLSConfig(c.TLS)
	}
	// paho backs off without jitter.
	o.SetReconnectingHandler(func(mqtt.Client, *mqtt.ClientOptions) {
		time.Sleep(time.Duration(mrand.Int64N(int64(300 * time.Millisecond))))
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.Log.Warn("broker connection lost", "err", err) })
	o.SetOnConnectHandler(func(cl mqtt.Client) {
		c.Log.Info("broker connected")
		if c.Uplinks != nil { // a clean session forgets subscriptions with its connection
			cl.Subscribe("$share/unlatch/"+wire.UplinkFilter, 1, l.uplink)
		}
	})
	l.client = mqtt.NewClient(o)
	return l, nil
}

func (l *Link) uplink(_ mqtt.Client, m mqtt.Message) {
	if m.Topic() == l.self {
		if c := l.echo.Load(); c != nil {
			select {
			case *c <- struct{}{}:
			default:
			}
		}
		return
	}
	l.c.Uplinks(m.Topic(), m.Payload())
}

// Connected tells whether the broker can be reached now.
func (l *Link) Connected() bool { return l.client.IsConnectionOpen() }

// Publish hands bytes to the broker at QoS 0 and waits for no answer; on a
// connection that has stalled it may wait for the write time-out of 5 s. Nothing
// is kept for later while the broker is away: a late command is worth nothing.
func (l *Link) Publish(topic string, payload []byte) error {
	if !l.client.IsConnectionOpen() {
		return ErrNotConnected
	}
	l.client.Publish(topic, 0, false, payload)
	return nil
}

// Connect begins connecting and waits until the broker answered or ctx ends;
// after that the link reconnects by itself until Run returns. With Uplinks set
// it then sends itself a message and refuses a broker that swallows it.
func (l *Link) Connect(ctx context.Context) error {
	t := l.client.Connect()
	select {
	case <-t.Done():
	case <-ctx.Done():
		l.client.Disconnect(0)
		return fmt.Errorf("reach broker %s: %w", l.c.URL, ctx.Err())
	}
	if err := t.Error(); err != nil {
		return fmt.Errorf("reach broker %s: %w", l.c.URL, err)
	}
	if l.c.Uplinks == nil {
		return nil
	}
	return l.shareTest(ctx)
}

func (l *Link) shareTest(ctx context.Context) error {
	echo := make(chan struct{}, 1)
	l.echo.Store(&echo)
	defer l.echo.Store(nil)
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		// Every replica listens in one group: the message may go to another one,
		// so ask until one comes back here.
		l.client.Publish(l.self, 0, false, []byte{0})
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

// Run keeps the link until ctx ends and then disconnects.
func (l *Link) Run(ctx context.Context) error {
	<-ctx.Done()
	l.client.Disconnect(250)
	return nil
}
