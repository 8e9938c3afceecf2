// Package bus owns NATS: the subjects, the fan-out of states to those who wait
// for them, the last known state of devices, the way of device messages into this
// process, and the embedded server whose MQTT listener devices may connect to.
//
// It routes and does not remember. It refuses to decide: payloads are bytes to it.
//
// # Invariants
//
//   - Deleting all data of NATS loses wake-ups and displays, never an order, a
//     command or money. What was wiped is made anew when it is needed next.
//   - Every queue in here is bounded. A full one drops and counts: states are
//     superseded or read again, device messages are sent again.
//   - On the embedded server a device is who its client id says, because nobody
//     logs in under a client id that is not also the authenticated user name.
//   - What was published is never delivered late: while the connection is down,
//     publishing fails instead of being buffered.
package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors that callers tell apart.
var (
	// ErrNotConnected: there is no connection to NATS now. It comes back by itself.
	ErrNotConnected = errors.New("not connected to NATS")
	// ErrBadSubject: an id or a subject has characters that NATS reads as syntax.
	ErrBadSubject = errors.New("bad subject")
	// ErrNotKnown: no last state of this device is held, or it was wiped.
	ErrNotKnown = errors.New("no last state known")
	// ErrBadConfig: a configuration lacks something; the text says what.
	ErrBadConfig = errors.New("bad bus configuration")
	// ErrDenied is what an Authenticator answers for a wrong device or password.
	ErrDenied = errors.New("login denied")
	// ErrNotYet is what an Authenticator answers while nobody hears what devices say:
	// the one beat that a device sends when it comes would be lost. It comes again soon.
	ErrNotYet = errors.New("devices are not heard yet")
	// ErrSelfTest: the embedded server lets a client do what it must not.
	ErrSelfTest = errors.New("broker self-test failed")
	// ErrServerFailed: the embedded server could not start or ended by itself.
	ErrServerFailed = errors.New("embedded NATS server failed")
)

const (
	subjectRoot  = "unlatch."
	orderPrefix  = subjectRoot + "order."
	devicePrefix = subjectRoot + "device."

	// maxID is the longest id in a subject; devices have 24, UUIDs 36.
	maxID = 64
	// maxDeviceID is the longest device id.
	maxDeviceID = 24
)

// OrderSubject is where an order's states are published. The id is a UUID.
func OrderSubject(id string) string { return orderPrefix + id }

// DeviceSubject is where a device's states are published.
func DeviceSubject(id string) string { return devicePrefix + id }

// checkSubject admits unlatch.{noun}.{id} and deeper, without wildcards.
func checkSubject(subject string) error {
	rest, ok := strings.CutPrefix(subject, subjectRoot)
	if !ok {
		return fmt.Errorf("%w: %q is not below %s", ErrBadSubject, subject, subjectRoot)
	}
	for level := range strings.SplitSeq(rest, ".") {
		if !validID(level, maxID) {
			return fmt.Errorf("%w: level %q", ErrBadSubject, level)
		}
	}
	return nil
}

// validID admits 1 to limit of [A-Za-z0-9_-]: nothing that a topic, a subject or a
// bucket's key reads as syntax.
func validID(id string, limit int) bool {
	if id == "" || len(id) > limit {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

const (
	gatewayPrefix  = "gateway-"
	selfTestPrefix = "selftest-"
)

// Reserved reports whether a device must not be given this id, because the
// embedded server uses such names itself.
func Reserved(id string) bool {
	return strings.HasPrefix(id, gatewayPrefix) || strings.HasPrefix(id, selfTestPrefix) || id == "_self-test" // the gateway's
}

// Dial says which NATS to connect to: the embedded server, which needs no port,
// or a URL.
type Dial struct {
	// Server is the embedded server; it must run, or be about to.
	Server *Server
	// URL is one or several nats:// or tls:// addresses, separated by commas; used
	// when Server is nil.
	URL string
	// User and Password are for the URL; empty if it holds them or needs none.
	User, Password string
	// TLS is for the URL; nil means the system's authorities.
	TLS *tls.Config
}

func (d Dial) check() error {
	if (d.Server == nil) == (d.URL == "") {
		return fmt.Errorf("%w: either an embedded server or a NATS URL", ErrBadConfig)
	}
	return nil
}

// connect returns at once; the connection is made, and made again, in the
// background. gone is closed once Close on it has taken effect.
func (d Dial) connect(name string, log *slog.Logger, more ...nats.Option) (nc *nats.Conn, gone <-chan struct{}, err error) {
	closed := make(chan struct{})
	options := append([]nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		// What was meant for now must not arrive later.
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.PingInterval(20 * time.Second),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats connection lost", "connection", name, "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("nats connection is back", "connection", name) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrSlowConsumer) { // counted where it is read
				log.Warn("nats reports an error", "connection", name, "err", err)
			}
		}),
	}, more...)
	url := d.URL
	if d.Server != nil {
		url = ""
		options = append(options, nats.InProcessServer(d.Server), nats.UserInfo(busUser, d.Server.busPassword))
	} else {
		if d.User != "" {
			options = append(options, nats.UserInfo(d.User, d.Password))
		}
		if d.TLS != nil {
			options = append(options, nats.Secure(d.TLS))
		}
	}
	nc, err = nats.Connect(url, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, closed, nil
}
