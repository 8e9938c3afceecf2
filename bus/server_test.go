package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func TestDeviceSpeaksAndHearsUnderItsOwnNameOnly(t *testing.T) {
	b := startBroker(t, nil)
	up := b.uplinks(t)
	gateway := b.gateway(t)
	bike, _ := b.device(t, "bike-1")
	for qos := range byte(2) {
		// The broker acknowledges what it throws away, so only arrival counts:
		// messages of one connection stay in order.
		publish(t, bike, "ul/1/bike-2/up/evt", qos, "forged")
		publish(t, bike, "ul/1/bike-1/cmd", qos, "forged")
		publish(t, bike, "ul/1/bike-1/up", qos, "forged")
		publish(t, bike, "unlatch/order/o1", qos, "forged")
		publish(t, bike, "ul/1/bike-1/up/evt", qos, "own")
		if got := next(t, "own message", up); got != "ul/1/bike-1/up/evt own" {
			t.Errorf("QoS %d: got %s, want the device's own message", qos, got)
		}
		heard, granted := listen(t, bike, "ul/1/bike-1/cmd", qos)
		if !granted {
			t.Fatalf("QoS %d: subscription to its own commands is refused", qos)
		}
		for _, topic := range []string{"ul/1/bike-2/cmd", "ul/1/+/cmd", "#", "ul/#", "unlatch/#", "ul/1/bike-1/up/evt", "$SYS/#"} {
			foreign, granted := listen(t, bike, topic, qos)
			if granted || len(foreign) > 0 {
				t.Errorf("QoS %d: subscription to %s is granted", qos, topic)
			}
		}
		publish(t, gateway, "ul/1/bike-2/cmd", qos, "foreign")
		publish(t, gateway, "ul/1/bike-1/cmd", qos, "own")
		if got := next(t, "own command", heard); got != "ul/1/bike-1/cmd own" {
			t.Errorf("QoS %d: got %s, want the device's own command", qos, got)
		}
		if token := bike.Unsubscribe("ul/1/bike-1/cmd"); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
}

func TestLastWillOfADeviceArrives(t *testing.T) {
	b := startBroker(t, nil)
	up := b.uplinks(t)
	conn, err := net.Dial("tcp", b.MQTTAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := rawClient{conn}
	body := append(mqttString("MQTT"), 4, 0xc6, 0, 60)
	for _, field := range []string{"bike-1", "ul/1/bike-1/up/pre", "gone", "bike-1", "pw-bike-1"} {
		body = append(body, mqttString(field)...)
	}
	if err := c.send(0x10, body); err != nil {
		t.Fatal(err)
	}
	if err := c.ping(); err == nil || err.Error() != "answer 2002 to a ping" { // the login's answer comes first
		t.Fatalf("login: %v", err)
	}
	c.close()
	if got := next(t, "last will", up); got != "ul/1/bike-1/up/pre gone" {
		t.Errorf("got %s", got)
	}
}

func TestGatewayMayCommandAllAndHearAllButNothingElse(t *testing.T) {
	b := startBroker(t, nil)
	up := b.uplinks(t)
	gateway := b.gateway(t)
	heard, granted := listen(t, gateway, "ul/1/+/up/#", 0)
	if !granted {
		t.Fatal("subscription to all uplinks is refused")
	}
	if _, granted := listen(t, gateway, "unlatch/#", 0); granted {
		t.Error("subscription to states is granted")
	}
	bike, _ := b.device(t, "bike-1")
	publish(t, gateway, "ul/1/bike-1/up/evt", 1, "forged")
	publish(t, bike, "ul/1/bike-1/up/tel", 0, "own")
	for name, ch := range map[string]<-chan string{"gateway": heard, "uplinks": up} {
		if got := next(t, name, ch); got != "ul/1/bike-1/up/tel own" {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestTakeoverIsRefusedAndTheVictimStays(t *testing.T) {
	b := startBroker(t, nil)
	bike, lost := b.device(t, "bike-1")
	heard, _ := listen(t, bike, "ul/1/bike-1/cmd", 0)
	for _, try := range [][3]string{
		{"bike-1", "bike-2", "pw-bike-2"}, // another's client id
		{"bike-2", "bike-1", "pw-bike-1"}, // another's user name
		{"bike-1", "bike-1", "wrong"},
		{"", "bike-2", "pw-bike-2"},
		{"gateway-evil", "gateway-evil", "pw-gateway-evil"},
		{"selftest-evil", "selftest-evil", "pw-selftest-evil"},
		{"unlatch-auth", "unlatch-auth", b.authPassword},
		{"unlatch-bus", "unlatch-bus", b.busPassword},
		{"a-device-id-of-25-letters", "a-device-id-of-25-letters", "pw-a-device-id-of-25-letters"},
	} {
		if _, _, err := b.client(t, try[0], try[1], try[2]); err == nil {
			t.Errorf("login as client %q, user %q was let in", try[0], try[1])
		}
	}
	publish(t, b.gateway(t), "ul/1/bike-1/cmd", 0, "still there")
	if got := next(t, "command", heard); got != "ul/1/bike-1/cmd still there" {
		t.Errorf("got %s", got)
	}
	select {
	case <-lost:
		t.Error("the victim was cut off")
	default:
	}
	if got := b.Stats(); got.Refused < 6 || got.Logins != 2 || got.AuthErrors != 0 || got.Connections < 2 {
		t.Errorf("stats: got %+v, want 2 logins and at least 6 refused", got)
	}
}

func TestSameDeviceMayReplaceItsOwnConnection(t *testing.T) {
	b := startBroker(t, nil)
	_, lost := b.device(t, "bike-1")
	b.device(t, "bike-1")
	within(t, "the old connection is cut", lost)
}

func TestRevokedDeviceIsKickedAndStaysOut(t *testing.T) {
	b := startBroker(t, nil)
	_, lost := b.device(t, "bike-1")
	_, otherLost := b.device(t, "bike-2")
	b.auth.set(func(p *passwords) { p.revoked["bike-1"] = true })
	if err := b.KickDevice("bike-1"); err != nil {
		t.Fatal(err)
	}
	within(t, "the revoked device is cut", lost)
	if _, _, err := b.client(t, "bike-1", "bike-1", "pw-bike-1"); err == nil {
		t.Error("the revoked device came back")
	}
	if err := b.KickDevice("bike-9"); err != nil {
		t.Errorf("kick of nobody: %v", err)
	}
	select {
	case <-otherLost:
		t.Error("another device was cut")
	default:
	}
}

func TestUncheckableLoginIsCutWithoutAnAnswer(t *testing.T) {
	b := startBroker(t, nil)
	b.auth.set(func(p *passwords) { p.broken = errors.New("cannot tell") })
	_, err := b.loginRaw(t.Context(), "bike-1", "bike-1", "pw-bike-1")
	if err == nil || errors.Is(err, errLoginRefused) {
		t.Errorf("got %v, want a cut connection", err)
	}
	if got := b.Stats().AuthErrors; got != 1 {
		t.Errorf("auth errors: got %d, want 1", got)
	}
	b.auth.set(func(p *passwords) { p.broken = nil })
	b.device(t, "bike-1")
}

// TestADeviceComesOnceItIsHeard: what it says first is never lost, and a start is no
// fault.
func TestADeviceComesOnceItIsHeard(t *testing.T) {
	b := startBroker(t, nil)
	b.auth.set(func(p *passwords) { p.broken = fmt.Errorf("starting: %w", ErrNotYet) })
	if _, err := b.loginRaw(t.Context(), "bike-1", "bike-1", "pw-bike-1"); err == nil || errors.Is(err, errLoginRefused) {
		t.Errorf("got %v, want a cut connection", err)
	}
	if got := b.Stats(); got.AuthErrors != 0 || got.Refused != 0 {
		t.Errorf("a start counts as a fault: %+v", got)
	}
	b.auth.set(func(p *passwords) { p.broken = nil })
	b.device(t, "bike-1")
}

// TestADeviceLeavesLittleBehind: a device must not fill the store, which would
// keep every other device from logging in.
func TestADeviceLeavesLittleBehind(t *testing.T) {
	b := startBroker(t, nil)
	up := b.uplinks(t)
	bike, lost := b.device(t, "bike-1")
	publish(t, bike, "ul/1/bike-1/up/other", 1, "a topic that is not of the contract")
	publish(t, bike, "ul/1/bike-1/up/tel", 1, "one that is")
	if got := next(t, "own message", up); got != "ul/1/bike-1/up/tel one that is" {
		t.Errorf("got %s, want only what the contract names", got)
	}
	bike.Publish("ul/1/bike-1/up/evt", 2, false, "half sent")
	within(t, "who publishes with QoS 2 is cut", lost)
}

func TestOversizedMessageCutsItsSender(t *testing.T) {
	b := startBroker(t, func(c *ServerConfig) { c.MaxPayload = 4096 })
	bike, lost := b.device(t, "bike-1")
	bike.Publish("ul/1/bike-1/up/evt", 0, false, make([]byte, 200_000))
	within(t, "the sender is cut", lost)
}

func TestWipedStoreIsMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for range 2 {
		b := startBroker(t, func(c *ServerConfig) { c.StoreDir = dir })
		up := b.uplinks(t)
		bike, _ := b.device(t, "bike-1")
		publish(t, bike, "ul/1/bike-1/up/evt", 1, "hello")
		if got := next(t, "message", up); got != "ul/1/bike-1/up/evt hello" {
			t.Errorf("got %s", got)
		}
		c := startConn(t, Dial{Server: b.Server})
		if err := c.SetLast(t.Context(), "bike-1", []byte("{}")); err != nil {
			t.Error(err)
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReplicaComesBackAfterTheServerLostAll(t *testing.T) {
	const password = "a password of replicas"
	open := func(addr string) func(*ServerConfig) {
		return func(c *ServerConfig) { c.NATSAddr, c.NATSPassword = addr, password }
	}
	b := startBroker(t, open("127.0.0.1:0"))
	addr := b.NATSAddr()
	dial := Dial{URL: "nats://" + addr, User: "unlatch-bus", Password: password}
	c := startConn(t, dial)
	if err := c.SetLast(t.Context(), "bike-1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	c.mu.RLock()
	nc := c.nc
	c.mu.RUnlock()
	away, back := nc.StatusChanged(nats.RECONNECTING), nc.StatusChanged(nats.CONNECTED)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	next(t, "connection is away", away)
	if err := c.Publish(OrderSubject("o1"), nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("publish while away: got %v, want ErrNotConnected", err)
	}
	fresh := startBroker(t, open(addr)) // another store, empty
	next(t, "connection is back", back)
	if _, err := c.Last(t.Context(), "bike-1"); !errors.Is(err, ErrNotKnown) {
		t.Errorf("last state: got %v, want ErrNotKnown", err)
	}
	ch, cancel := c.Watch(OrderSubject("o1"))
	defer cancel()
	other := startConn(t, Dial{Server: fresh.Server})
	if err := nc.Flush(); err != nil { // the repeated subscription has arrived
		t.Fatal(err)
	}
	if err := other.PublishOrder(t.Context(), "o1", []byte("active")); err != nil {
		t.Fatal(err)
	}
	if got := string(next(t, "state", ch)); got != "active" {
		t.Errorf("got %s", got)
	}
	if _, err := nats.Connect("nats://"+addr, nats.UserInfo("unlatch-bus", "wrong")); err == nil {
		t.Error("a wrong password opens the NATS port")
	}
	if _, err := nats.Connect("nats://"+addr, nats.UserInfo("bike-1", "pw-bike-1")); err == nil {
		t.Error("a device's password opens the NATS port")
	}
}

func TestReplicaCannotOverhearLogins(t *testing.T) {
	b := startBroker(t, nil)
	denied := make(chan error, 1)
	nc, gone, err := Dial{Server: b.Server}.connect("curious", logger(t),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { nc.Close(); <-gone }()
	if _, err := nc.SubscribeSync(server.AuthCalloutSubject); err != nil {
		t.Fatal(err)
	}
	if err := next(t, "refusal", denied); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("got %v, want a permission violation", err)
	}
}

func TestNoNATSPortIsOpenUnlessAskedFor(t *testing.T) {
	b := startBroker(t, nil)
	if got := b.NATSAddr(); got != "" {
		t.Errorf("NATS address: got %s, want none", got)
	}
}

func TestConnectionMayStartBeforeTheServer(t *testing.T) {
	auth := &passwords{}
	s, err := NewServer(ServerConfig{StoreDir: t.TempDir(), MQTTAddr: "127.0.0.1:0", Authenticator: auth, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConn(ConnConfig{Dial: Dial{Server: s}, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	runs(t, c.Run)
	runs(t, s.Run)
	within(t, "connection is ready", c.Ready())
}

func TestTLSListenersPassTheSelfTest(t *testing.T) {
	certificate := httptest.NewTLSServer(nil)
	t.Cleanup(certificate.Close)
	listener := &tls.Config{Certificates: certificate.TLS.Certificates}
	const password = "a password of replicas"
	b := startBroker(t, func(c *ServerConfig) {
		c.MQTTTLS, c.NATSTLS = listener, listener
		c.NATSAddr, c.NATSPassword = "127.0.0.1:0", password
	})
	startConn(t, Dial{Server: b.Server})
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate.Certificate())
	startConn(t, Dial{
		URL: "tls://" + b.NATSAddr(), User: "unlatch-bus", Password: password, TLS: &tls.Config{RootCAs: trusted},
	})
}

func TestSelfTestSeesAnOpenBroker(t *testing.T) {
	s, err := NewServer(ServerConfig{StoreDir: t.TempDir(), MQTTAddr: "127.0.0.1:0", Authenticator: &passwords{}})
	if err != nil {
		t.Fatal(err)
	}
	opts, err := s.options()
	if err != nil {
		t.Fatal(err)
	}
	opts.Users, opts.AuthCallout = nil, nil // everybody may do everything
	open, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	open.Start()
	t.Cleanup(func() { open.Shutdown(); open.WaitForShutdown() })
	if !open.ReadyForConnections(patience) {
		t.Fatal("the open broker does not start")
	}
	s.mu.Lock()
	s.live, s.opts = open, opts
	s.mu.Unlock()
	if err := s.SelfTest(t.Context()); !errors.Is(err, ErrSelfTest) {
		t.Errorf("got %v, want ErrSelfTest", err)
	}
}

func TestSelfTestSeesMissingPermissions(t *testing.T) {
	b := startBroker(t, nil)
	if err := b.SelfTest(t.Context()); err != nil {
		t.Errorf("self-test on a good broker: %v", err)
	}
	if len(b.guests) != 0 {
		t.Errorf("guests left: %d", len(b.guests))
	}
	// The right people, and nothing forbidden to them.
	b.permit = func(string) jwt.Permissions { return jwt.Permissions{} }
	if err := b.SelfTest(t.Context()); !errors.Is(err, ErrSelfTest) {
		t.Errorf("self-test without permissions: got %v, want ErrSelfTest", err)
	}
}

func TestTakenAddressIsReported(t *testing.T) {
	b := startBroker(t, nil)
	s, err := NewServer(ServerConfig{StoreDir: t.TempDir(), MQTTAddr: b.MQTTAddr(), Authenticator: &passwords{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); !errors.Is(err, ErrServerFailed) {
		t.Errorf("got %v, want ErrServerFailed", err)
	}
	if err := s.Run(context.Background()); !errors.Is(err, ErrServerFailed) {
		t.Errorf("second run: got %v, want ErrServerFailed", err)
	}
	if err := s.KickDevice("x"); !errors.Is(err, ErrNotConnected) {
		t.Errorf("kick without a server: got %v, want ErrNotConnected", err)
	}
}

func BenchmarkLogin(b *testing.B) {
	s, err := NewServer(ServerConfig{StoreDir: b.TempDir(), MQTTAddr: "127.0.0.1:0", Authenticator: &passwords{revoked: map[string]bool{}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-s.Ready()
	i := 0
	for b.Loop() {
		i++
		id := fmt.Sprintf("bike-%d", i)
		c, err := s.loginRaw(ctx, id, id, "pw-"+id)
		if err != nil {
			b.Fatal(err)
		}
		c.close()
	}
}
