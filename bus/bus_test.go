package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience bounds every wait; nothing waits for it to pass.
const patience = 30 * time.Second

// passwords is an Authenticator: every device's password is "pw-" and its id.
type passwords struct {
	mu      sync.Mutex
	revoked map[string]bool
	broken  error
}

func (p *passwords) Device(user, password string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if p.revoked[user] || password != "pw-"+user {
		return ErrDenied
	}
	return nil
}

func (p *passwords) set(change func(*passwords)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// runs starts a Run and ends it with the test.
func runs(t *testing.T, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-result })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return stop
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type broker struct {
	*Server
	auth *passwords
	stop func() error
}

func startBroker(t *testing.T, bend func(*ServerConfig)) broker {
	t.Helper()
	auth := &passwords{revoked: map[string]bool{}}
	cfg := ServerConfig{StoreDir: t.TempDir(), MQTTAddr: "127.0.0.1:0", Authenticator: auth, Log: logger(t)}
	if bend != nil {
		bend(&cfg)
	}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := runs(t, s.Run)
	within(t, "broker is ready", s.Ready())
	return broker{s, auth, stop}
}

// client logs in with paho; lost is closed when the broker cuts it.
func (b broker) client(t *testing.T, clientID, user, password string) (c mqtt.Client, lost <-chan struct{}, err error) {
	t.Helper()
	gone := make(chan struct{})
	options := mqtt.NewClientOptions().AddBroker("tcp://" + b.MQTTAddr()).
		SetClientID(clientID).SetUsername(user).SetPassword(password).
		SetAutoReconnect(false).SetConnectRetry(false).SetCleanSession(true).SetConnectTimeout(patience).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(gone) })
	c = mqtt.NewClient(options)
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		t.Fatalf("login of %s: no answer", clientID)
	}
	if token.Error() == nil {
		t.Cleanup(func() { c.Disconnect(0) })
	}
	return c, gone, token.Error()
}

func (b broker) device(t *testing.T, id string) (mqtt.Client, <-chan struct{}) {
	t.Helper()
	c, lost, err := b.client(t, id, id, "pw-"+id)
	if err != nil {
		t.Fatalf("login of %s: %v", id, err)
	}
	return c, lost
}

func (b broker) gateway(t *testing.T) mqtt.Client {
	t.Helper()
	user, password := b.Gateway("test")
	c, _, err := b.client(t, user, user, password)
	if err != nil {
		t.Fatalf("login of the gateway: %v", err)
	}
	return c
}

func publish(t *testing.T, c mqtt.Client, topic string, qos byte, payload string) {
	t.Helper()
	token := c.Publish(topic, qos, false, payload)
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("publish %s: %v", topic, token.Error())
	}
}

// listen subscribes and returns what arrives; granted is false when the broker
// refused.
func listen(t *testing.T, c mqtt.Client, topic string, qos byte) (messages <-chan string, granted bool) {
	t.Helper()
	arrived := make(chan string, 100)
	token := c.Subscribe(topic, qos, func(_ mqtt.Client, m mqtt.Message) {
		arrived <- m.Topic() + " " + string(m.Payload())
	})
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscribe to %s: %v", topic, token.Error())
	}
	// A refused subscription is no error to paho; the answer's byte says it.
	const refused = 0x80
	return arrived, token.(*mqtt.SubscribeToken).Result()[topic] != refused
}

func next[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing within %s", what, patience)
		panic("unreachable")
	}
}

// uplinks runs an Uplinks whose messages arrive on the channel.
func (b broker) uplinks(t *testing.T) <-chan string {
	t.Helper()
	arrived := make(chan string, 1000)
	u, err := NewUplinks(UplinksConfig{
		Dial: Dial{Server: b.Server}, Log: logger(t),
		Handle: func(topic string, payload []byte) { arrived <- topic + " " + string(payload) },
	})
	if err != nil {
		t.Fatal(err)
	}
	runs(t, u.Run)
	within(t, "uplinks are ready", u.Ready())
	return arrived
}

func startConn(t *testing.T, dial Dial) *Conn {
	t.Helper()
	c, err := NewConn(ConnConfig{Dial: dial, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	runs(t, c.Run)
	within(t, "connection is ready", c.Ready())
	return c
}

func TestBadConfigIsRefused(t *testing.T) {
	good := ServerConfig{StoreDir: t.TempDir(), MQTTAddr: "127.0.0.1:0", Authenticator: &passwords{}}
	for name, bend := range map[string]func(*ServerConfig){
		"no store":               func(c *ServerConfig) { c.StoreDir = "" },
		"no authenticator":       func(c *ServerConfig) { c.Authenticator = nil },
		"no address":             func(c *ServerConfig) { c.MQTTAddr = "" },
		"bad port":               func(c *ServerConfig) { c.MQTTAddr = "127.0.0.1:99999" },
		"bad NATS address":       func(c *ServerConfig) { c.NATSAddr = "nonsense" },
		"port without password":  func(c *ServerConfig) { c.NATSAddr = "127.0.0.1:0" },
		"short gateway password": func(c *ServerConfig) { c.GatewayPassword = "short" },
		"tiny messages":          func(c *ServerConfig) { c.MaxPayload = 10 },
		"negative connections":   func(c *ServerConfig) { c.MaxConnections = -1 },
	} {
		cfg := good
		bend(&cfg)
		if _, err := NewServer(cfg); !errors.Is(err, ErrBadConfig) {
			t.Errorf("%s: got %v, want ErrBadConfig", name, err)
		}
	}
	if _, err := NewConn(ConnConfig{}); !errors.Is(err, ErrBadConfig) {
		t.Errorf("connection to nowhere: got %v, want ErrBadConfig", err)
	}
	if _, err := NewConn(ConnConfig{Dial: Dial{URL: "nats://x"}, Replicas: 9}); !errors.Is(err, ErrBadConfig) {
		t.Errorf("nine replicas: got %v, want ErrBadConfig", err)
	}
	if _, err := NewUplinks(UplinksConfig{Dial: Dial{URL: "nats://x"}}); !errors.Is(err, ErrBadConfig) {
		t.Errorf("uplinks without handler: got %v, want ErrBadConfig", err)
	}
}

func TestSubjectsWithSyntaxAreRefused(t *testing.T) {
	c, err := NewConn(ConnConfig{Dial: Dial{URL: "nats://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{
		"", "unlatch", "unlatch.", "other.order.1", "unlatch.order.*", "unlatch.>", "unlatch..1", "unlatch.order.a b",
		"unlatch.order." + strings.Repeat("a", 65),
	} {
		if err := c.Publish(subject, nil); !errors.Is(err, ErrBadSubject) {
			t.Errorf("%q: got %v, want ErrBadSubject", subject, err)
		}
	}
	for _, device := range []string{"", "a.b", "*", "a/b"} {
		if err := c.SetLast(t.Context(), device, nil); !errors.Is(err, ErrBadSubject) {
			t.Errorf("last state of %q: got %v, want ErrBadSubject", device, err)
		}
		if _, err := c.Last(t.Context(), device); !errors.Is(err, ErrBadSubject) {
			t.Errorf("last state of %q: got %v, want ErrBadSubject", device, err)
		}
	}
	if !Reserved("gateway-1") || !Reserved("selftest-1") || Reserved("bike-1") {
		t.Error("reserved names are not told apart")
	}
}

func TestWatcherIsWokenByThisReplicaAndByOthers(t *testing.T) {
	b := startBroker(t, nil)
	one, two := startConn(t, Dial{Server: b.Server}), startConn(t, Dial{Server: b.Server})
	mine, cancelMine := one.Watch(OrderSubject("o1"))
	defer cancelMine()
	theirs, cancelTheirs := two.Watch(OrderSubject("o1"))
	defer cancelTheirs()
	other, cancelOther := two.Watch(OrderSubject("o2"))
	defer cancelOther()
	if err := one.PublishOrder(t.Context(), "o1", []byte("active")); err != nil {
		t.Fatal(err)
	}
	for name, ch := range map[string]<-chan []byte{"publisher": mine, "other replica": theirs} {
		if got := string(next(t, name, ch)); got != "active" {
			t.Errorf("%s: got %q, want active", name, got)
		}
	}
	if err := one.Publish(DeviceSubject("d1"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if len(other) != 0 || len(mine) != 0 {
		t.Error("a watcher heard of another subject, or twice")
	}
	if got := two.Stats(); got.Watchers != 2 || !got.Connected {
		t.Errorf("stats: got %+v, want 2 watchers and a connection", got)
	}
}

func TestLateWatcherFindsTheNewestMessageOnly(t *testing.T) {
	c, err := NewConn(ConnConfig{Dial: Dial{URL: "nats://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	ch, cancel := c.Watch(OrderSubject("o1"))
	for i := range 10 {
		// Not connected: this replica's waiters are told all the same.
		if err := c.Publish(OrderSubject("o1"), fmt.Appendf(nil, "v%d", i)); !errors.Is(err, ErrNotConnected) {
			t.Fatalf("publish: got %v, want ErrNotConnected", err)
		}
	}
	if got := string(<-ch); got != "v9" || len(ch) != 0 {
		t.Errorf("got %s and %d more, want v9 alone", got, len(ch))
	}
	cancel()
	cancel()
	_ = c.Publish(OrderSubject("o1"), nil)
	if len(ch) != 0 || c.Stats().Watchers != 0 {
		t.Errorf("after cancel: %d messages, %d watchers, want none", len(ch), c.Stats().Watchers)
	}
	if got := c.Stats(); got.Failed != 11 || got.Connected {
		t.Errorf("stats: got %+v, want 11 failed and no connection", got)
	}
}

func TestConcurrentWakersNeverBlock(t *testing.T) {
	c, err := NewConn(ConnConfig{Dial: Dial{URL: "nats://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 500 {
				ch, cancel := c.Watch(OrderSubject("o1"))
				_ = c.Publish(OrderSubject("o1"), []byte("x"))
				<-ch
				cancel()
			}
		})
	}
	wait.Wait()
	if got := c.Stats().Watchers; got != 0 {
		t.Errorf("watchers: got %d, want 0", got)
	}
}

func TestLastStateIsSharedAndReplaced(t *testing.T) {
	b := startBroker(t, nil)
	one, two := startConn(t, Dial{Server: b.Server}), startConn(t, Dial{Server: b.Server})
	if _, err := two.Last(t.Context(), "bike-1"); !errors.Is(err, ErrNotKnown) {
		t.Errorf("before: got %v, want ErrNotKnown", err)
	}
	for _, state := range []string{`{"v":1}`, `{"v":2}`} {
		if err := one.SetLast(t.Context(), "bike-1", []byte(state)); err != nil {
			t.Fatal(err)
		}
		if got, err := two.Last(t.Context(), "bike-1"); err != nil || string(got) != state {
			t.Errorf("got %s, %v, want %s", got, err, state)
		}
	}
}

func TestWipedBucketIsMadeAnew(t *testing.T) {
	b := startBroker(t, nil)
	c := startConn(t, Dial{Server: b.Server})
	if err := c.SetLast(t.Context(), "bike-1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	wipe := func() {
		t.Helper()
		js, err := jetstream.New(c.nc)
		if err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteKeyValue(t.Context(), lastBucket); err != nil {
			t.Fatal(err)
		}
	}
	wipe()
	if _, err := c.Last(t.Context(), "bike-1"); !errors.Is(err, ErrNotKnown) {
		t.Errorf("read after the wipe: got %v, want ErrNotKnown", err)
	}
	wipe()
	if err := c.SetLast(t.Context(), "bike-1", []byte("new")); err != nil {
		t.Errorf("write after the wipe: %v", err)
	}
	if got, err := c.Last(t.Context(), "bike-1"); err != nil || string(got) != "new" {
		t.Errorf("got %s, %v, want new", got, err)
	}
}

func TestLastStateWithoutAConnectionFailsAtOnce(t *testing.T) {
	c, err := NewConn(ConnConfig{Dial: Dial{URL: "nats://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetLast(t.Context(), "bike-1", nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v, want ErrNotConnected", err)
	}
}
