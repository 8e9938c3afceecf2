package bus

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Authenticator knows the devices. It is asked from several goroutines, at each
// login, and must answer within milliseconds and without a database: after a
// restart the whole fleet logs in at once.
type Authenticator interface {
	// Device checks a password. Nil lets the device in; ErrDenied refuses it; any
	// other error says that nobody can tell now, and the device's connection is cut
	// without an answer, so that it tries again as after a lost link. ErrNotYet says
	// that this is no fault.
	Device(user, password string) error
}

// loginWorkers answer logins in parallel; most of an answer is two signatures.
const loginWorkers = 4

type loginCheck struct {
	nc   *nats.Conn
	gone <-chan struct{}
}

func (l loginCheck) stop() {
	l.nc.Close()
	<-l.gone
}

// answerLogins connects in process and serves the library's login requests.
func (s *Server) answerLogins(live *server.Server) (loginCheck, error) {
	closed := make(chan struct{})
	nc, err := nats.Connect("", nats.InProcessServer(live), nats.UserInfo(authUser, s.authPassword),
		nats.Name("login check"), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return loginCheck{}, err
	}
	check := loginCheck{nc, closed}
	for range loginWorkers {
		_, err := nc.QueueSubscribe(server.AuthCalloutSubject, "login", func(m *nats.Msg) { s.answerLogin(live, m) })
		if err != nil {
			check.stop()
			return loginCheck{}, err
		}
	}
	if err := nc.Flush(); err != nil {
		check.stop()
		return loginCheck{}, err
	}
	return check, nil
}

func (s *Server) answerLogin(live *server.Server, m *nats.Msg) {
	request, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		s.log.Error("login request is not readable", "err", err)
		return
	}
	who, connection := request.ConnectOptions, request.ClientInformation
	count := int64(1)
	if strings.Contains(who.Username+connection.MQTT, selfTestPrefix) {
		count = 0 // the self-test is no login
	}
	permissions, err := s.admit(connection, who.Username, who.Password)
	answer := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	answer.Audience = request.Server.ID
	switch {
	case err == nil:
		user := jwt.NewUserClaims(request.UserNkey)
		user.Name = who.Username
		user.Audience = server.DEFAULT_GLOBAL_ACCOUNT
		user.Permissions = permissions
		user.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeMqtt}
		if answer.Jwt, err = user.Encode(s.issuer); err != nil {
			s.log.Error("login answer cannot be signed", "err", err)
			return
		}
		s.logins.Add(count)
	case errors.Is(err, ErrDenied):
		s.refused.Add(count)
		answer.Error = ErrDenied.Error()
	default:
		if !errors.Is(err, ErrNotYet) {
			s.authErrors.Add(1)
			s.log.Error("login cannot be checked", "err", err)
		}
		// An answer would reach the device as "not authorised", which it may take
		// for final. A cut connection is something it knows how to repeat.
		_ = live.DisconnectClientByID(connection.ID)
		answer.Error = "login cannot be checked now"
	}
	text, err := answer.Encode(s.issuer)
	if err != nil {
		s.log.Error("login answer cannot be signed", "err", err)
		return
	}
	if err := m.Respond([]byte(text)); err != nil {
		s.log.Error("login answer cannot be sent", "err", err)
	}
}

// admit decides a login. Only MQTT clients come here; the process' own use users
// of the configuration.
func (s *Server) admit(connection jwt.ClientInformation, user, password string) (jwt.Permissions, error) {
	if connection.Type != "mqtt" || user != connection.MQTT || !validID(user, maxID) {
		return jwt.Permissions{}, ErrDenied
	}
	switch {
	case strings.HasPrefix(user, gatewayPrefix):
		if !same(password, s.gatewayPassword) {
			return jwt.Permissions{}, ErrDenied
		}
		return gatewayPermissions(), nil
	case strings.HasPrefix(user, selfTestPrefix):
		s.mu.Lock()
		expected, ok := s.guests[user]
		s.mu.Unlock()
		if !ok || !same(password, expected) {
			return jwt.Permissions{}, ErrDenied
		}
		return s.permit(user), nil
	case len(user) > maxDeviceID:
		return jwt.Permissions{}, ErrDenied
	}
	if err := s.cfg.Authenticator.Device(user, password); err != nil {
		return jwt.Permissions{}, fmt.Errorf("device %s: %w", user, err)
	}
	return s.permit(user), nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// devicePermissions are in NATS subjects, which MQTT topics are mapped to. One
// level behind up: deeper topics would only fill the store with retained messages.
func devicePermissions(id string) (p jwt.Permissions) {
	// These three and no other: each topic may hold one retained message, so what
	// a device can leave behind in the store is bounded by its topics.
	for _, kind := range []string{"evt", "tel", "pre"} {
		p.Pub.Allow = append(p.Pub.Allow, "ul.1."+id+".up."+kind)
	}
	p.Sub.Allow = jwt.StringList{"ul.1." + id + ".cmd"}
	return p
}

func gatewayPermissions() (p jwt.Permissions) {
	p.Pub.Allow = jwt.StringList{"ul.1.*.cmd"}
	// MQTT's # stands for the level above it too.
	p.Sub.Allow = jwt.StringList{"ul.1.*.up", "ul.1.*.up.>"}
	return p
}
