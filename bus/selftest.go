package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// selfTestPatience bounds the self-test, which takes some 10 ms.
const selfTestPatience = 20 * time.Second

// SelfTest logs in as two made-up devices through the MQTT listener and proves
// that the broker keeps them apart: neither a wrong password nor the other's
// client id gets in, the one logged in stays so meanwhile, and what one sends to
// the other's topics arrives nowhere. It changes nothing and may run at any time.
//
// Errors: ErrSelfTest with what was possible, or without an answer in time.
func (s *Server) SelfTest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, selfTestPatience)
	defer cancel()
	victim, intruder := s.addGuest(), s.addGuest()
	defer s.removeGuests(victim, intruder)
	if err := s.selfTest(ctx, victim, intruder); err != nil {
		return fmt.Errorf("%w: %w", ErrSelfTest, err)
	}
	return nil
}

type guest struct{ id, password string }

func (s *Server) addGuest() guest {
	g := guest{selfTestPrefix + rand.Text()[:12], rand.Text()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guests[g.id] = g.password
	return g
}

func (s *Server) removeGuests(guests ...guest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range guests {
		delete(s.guests, g.id)
	}
}

func (s *Server) selfTest(ctx context.Context, victim, intruder guest) error {
	nc, gone, err := Dial{Server: s}.connect("self-test", s.log)
	if err != nil {
		return err
	}
	defer func() { nc.Close(); <-gone }()
	seen, err := nc.SubscribeSync("ul.1.>")
	if err != nil {
		return err
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return err
	}

	first, err := s.loginRaw(ctx, victim.id, victim.id, victim.password)
	if err != nil {
		return fmt.Errorf("a device cannot log in: %w", err)
	}
	defer first.close()
	for _, attempt := range []struct{ what, client, user, password string }{
		{"a wrong password", victim.id, victim.id, intruder.password},
		{"another device's client id", victim.id, intruder.id, intruder.password},
		{"no client id", "", intruder.id, intruder.password},
		{"a gateway's name", gatewayPrefix + victim.id, gatewayPrefix + victim.id, intruder.password},
		{"the bus' own name", busUser, busUser, s.busPassword},
	} {
		c, err := s.loginRaw(ctx, attempt.client, attempt.user, attempt.password)
		if err == nil {
			c.close()
			return fmt.Errorf("a login with %s was let in", attempt.what)
		}
		if !errors.Is(err, errLoginRefused) {
			return fmt.Errorf("a login with %s was not answered: %w", attempt.what, err)
		}
	}
	if err := first.ping(); err != nil {
		return fmt.Errorf("a refused login cut the device off: %w", err)
	}

	// Messages of one connection arrive in order: when its own arrives, the ones
	// before it have been thrown away.
	for _, topic := range []string{
		"ul/1/" + intruder.id + "/cmd", "ul/1/" + victim.id + "/cmd", "ul/1/" + intruder.id + "/up/evt",
		"ul/1/" + victim.id + "/up/evt",
	} {
		if err := first.publish(topic, "self-test"); err != nil {
			return err
		}
	}
	own := "ul.1." + victim.id + ".up.evt"
	for {
		m, err := seen.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("a device's own message does not arrive: %w", err)
		}
		switch {
		case m.Subject == own:
			return nil
		case bytes.Contains([]byte(m.Subject), []byte(victim.id)), bytes.Contains([]byte(m.Subject), []byte(intruder.id)):
			return fmt.Errorf("a device's message to %s got through", m.Subject)
		}
	}
}

// errLoginRefused: the broker answered the login with a refusal.
var errLoginRefused = errors.New("login refused")

// rawClient speaks the few packets of MQTT 3.1.1 that the self-test needs.
type rawClient struct{ conn net.Conn }

func (c rawClient) close() { _ = c.conn.Close() }

// loginRaw connects to our own listener.
func (s *Server) loginRaw(ctx context.Context, client, user, password string) (rawClient, error) {
	s.mu.Lock()
	opts := s.opts
	s.mu.Unlock()
	if opts == nil {
		return rawClient{}, ErrNotConnected
	}
	host := opts.MQTT.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(opts.MQTT.Port)))
	if err != nil {
		return rawClient{}, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if s.cfg.MQTTTLS != nil {
		// Our own listener, and made-up passwords: the name in the certificate
		// does not matter here.
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	c := rawClient{conn}
	if err := c.login(client, user, password); err != nil {
		c.close()
		return rawClient{}, err
	}
	return c, nil
}

func (c rawClient) login(client, user, password string) error {
	body := mqttString("MQTT")
	// Level 4; user name, password, clean session; keep alive in seconds.
	body = append(body, 4, 0xc2, 0, 60)
	for _, field := range []string{client, user, password} {
		body = append(body, mqttString(field)...)
	}
	if err := c.send(0x10, body); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c.conn, answer); err != nil {
		return err
	}
	if answer[0] != 0x20 || answer[1] != 2 {
		return fmt.Errorf("answer %x to a login", answer)
	}
	if answer[3] != 0 {
		return fmt.Errorf("%w: code %d", errLoginRefused, answer[3])
	}
	return nil
}

func (c rawClient) ping() error {
	if err := c.send(0xc0, nil); err != nil {
		return err
	}
	answer := make([]byte, 2)
	if _, err := io.ReadFull(c.conn, answer); err != nil {
		return err
	}
	if answer[0] != 0xd0 {
		return fmt.Errorf("answer %x to a ping", answer)
	}
	return nil
}

// publish sends with QoS 0.
func (c rawClient) publish(topic, payload string) error {
	return c.send(0x30, append(mqttString(topic), payload...))
}

func (c rawClient) send(header byte, body []byte) error {
	packet := binary.AppendUvarint([]byte{header}, uint64(len(body))) // MQTT's lengths are these
	_, err := c.conn.Write(append(packet, body...))
	return err
}

func mqttString(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}
