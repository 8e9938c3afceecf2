package bus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

const (
	busUser  = "unlatch-bus"
	authUser = "unlatch-auth"

	// defaultConnections is above the 65,536 that the library would allow.
	defaultConnections = 200_000
	// defaultPayload bounds one message in bytes, and what a stranger may send
	// before logging in. The largest message of ours has a few KiB.
	defaultPayload = 64 << 10
	// authPatience is how long a login may wait for its answer. After a restart
	// the whole fleet logs in at once, about a thousand a second.
	authPatience = 30 * time.Second
	// startPatience bounds the start of the library, which reads its store.
	startPatience = 30 * time.Second

	maxMemory = 256 << 20 // JetStream's memory, for last states
	maxStore  = 4 << 30   // JetStream's files, for MQTT sessions
)

// ServerConfig is the embedded server's.
type ServerConfig struct {
	// StoreDir holds MQTT sessions; it may be deleted while the server is down.
	StoreDir string
	// MQTTAddr is host:port for devices; port 0 takes a free one.
	MQTTAddr string
	// MQTTTLS makes the MQTT listener speak TLS only. It must not demand client
	// certificates: the self-test has none.
	MQTTTLS *tls.Config
	// NATSAddr opens a NATS port for other replicas; empty opens none.
	NATSAddr string
	// NATSPassword is what they log in with, as user unlatch-bus; 16 bytes at
	// least, required with NATSAddr.
	NATSPassword string
	// NATSTLS makes the NATS port speak TLS only.
	NATSTLS *tls.Config
	// GatewayPassword is for our own MQTT clients; empty means a random one.
	GatewayPassword string
	// Authenticator knows the devices; required.
	Authenticator Authenticator
	// MaxConnections is 200,000 when zero.
	MaxConnections int
	// MaxPayload is the largest message in bytes, 64 KiB when zero.
	MaxPayload int
	// Log receives state changes, and the library's lines at debug level or, its
	// warnings, at warn. Nil discards.
	Log *slog.Logger
}

// Server is a NATS server with an MQTT listener in this process. Its methods are
// safe for concurrent use.
type Server struct {
	cfg             ServerConfig
	log             *slog.Logger
	mqttHost        string
	mqttPort        int
	natsHost        string
	natsPort        int
	issuer          nkeys.KeyPair // signs what the login check answers
	issuerKey       string
	busPassword     string
	authPassword    string
	gatewayPassword string

	// permit gives a device's permissions.
	permit func(id string) jwt.Permissions

	ready chan struct{}
	ran   atomic.Bool

	mu   sync.Mutex // guards what follows
	live *server.Server
	opts *server.Options
	// guests are the self-test's identities and their passwords.
	guests map[string]string

	logins, refused, authErrors atomic.Int64
}

// ServerStats counts since the start.
type ServerStats struct {
	Connections int   // clients connected now, our own included
	Logins      int64 // devices and gateways let in
	Refused     int64 // wrong password, foreign client id
	AuthErrors  int64 // the Authenticator could not tell
}

// NewServer checks the configuration and opens nothing. Its only error is
// ErrBadConfig, but for a machine without randomness.
func NewServer(cfg ServerConfig) (*Server, error) {
	s := &Server{
		cfg: cfg, log: cfg.Log, permit: devicePermissions, ready: make(chan struct{}), guests: map[string]string{},
		busPassword: rand.Text(), authPassword: rand.Text(), gatewayPassword: cfg.GatewayPassword,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.StoreDir == "" || cfg.Authenticator == nil {
		return nil, fmt.Errorf("%w: a store folder and an authenticator are required", ErrBadConfig)
	}
	var err error
	if s.mqttHost, s.mqttPort, err = splitAddr(cfg.MQTTAddr); err != nil {
		return nil, fmt.Errorf("%w: MQTT address: %w", ErrBadConfig, err)
	}
	if cfg.NATSAddr != "" {
		if s.natsHost, s.natsPort, err = splitAddr(cfg.NATSAddr); err != nil {
			return nil, fmt.Errorf("%w: NATS address: %w", ErrBadConfig, err)
		}
		if len(cfg.NATSPassword) < 16 {
			return nil, fmt.Errorf("%w: an open NATS port needs a password of at least 16 bytes", ErrBadConfig)
		}
		s.busPassword = cfg.NATSPassword
	}
	if s.gatewayPassword == "" {
		s.gatewayPassword = rand.Text()
	}
	if len(s.gatewayPassword) < 16 {
		return nil, fmt.Errorf("%w: the gateway's password needs at least 16 bytes", ErrBadConfig)
	}
	if s.cfg.MaxConnections == 0 {
		s.cfg.MaxConnections = defaultConnections
	}
	if s.cfg.MaxPayload == 0 {
		s.cfg.MaxPayload = defaultPayload
	}
	if s.cfg.MaxConnections < 1 || s.cfg.MaxPayload < 4096 || s.cfg.MaxPayload > 8<<20 {
		return nil, fmt.Errorf("%w: want at least one connection and messages of 4 KiB to 8 MiB", ErrBadConfig)
	}
	if s.issuer, err = nkeys.CreateAccount(); err != nil {
		return nil, fmt.Errorf("make the login check's key: %w", err)
	}
	if s.issuerKey, err = s.issuer.PublicKey(); err != nil {
		return nil, fmt.Errorf("make the login check's key: %w", err)
	}
	return s, nil
}

// splitAddr gives the library's form of a port: -1 for a free one.
func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q", text)
	}
	if port == 0 {
		port = -1
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return host, port, nil
}

// Run serves until the context ends, then lets go of all clients and returns nil.
// Ready tells when devices can log in and the self-test has passed. A Server runs
// once.
//
// Errors: ErrServerFailed (an address is taken, the store is unusable),
// ErrSelfTest.
func (s *Server) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return fmt.Errorf("%w: a server runs once", ErrServerFailed)
	}
	opts, err := s.options()
	if err != nil {
		return err
	}
	live, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrServerFailed, err)
	}
	lines := &libraryLog{log: s.log}
	live.SetLoggerV2(lines, false, false, false)
	live.Start()
	defer live.WaitForShutdown()
	defer live.Shutdown()
	// A taken address is told at once, and would be waited for in vain.
	if lines.fatal() != "" || !live.ReadyForConnections(startPatience) || lines.fatal() != "" {
		return fmt.Errorf("%w: %s", ErrServerFailed, lines.fatal())
	}
	auth, err := s.answerLogins(live)
	if err != nil {
		return fmt.Errorf("%w: login check: %w", ErrServerFailed, err)
	}
	defer auth.stop()
	s.mu.Lock()
	s.live, s.opts = live, opts
	s.mu.Unlock()
	s.dropEarly(live)
	if err := s.SelfTest(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.log.Info("embedded broker started", "mqtt", s.MQTTAddr(), "nats", s.NATSAddr())
	close(s.ready)
	ended := make(chan struct{})
	go func() { live.WaitForShutdown(); close(ended) }()
	select {
	case <-ctx.Done():
		live.Shutdown()
		<-ended
		s.log.Info("embedded broker stopped")
		return nil
	case <-ended:
		return fmt.Errorf("%w: it shut down by itself: %s", ErrServerFailed, lines.fatal())
	}
}

func (s *Server) options() (*server.Options, error) {
	inProcess := map[string]struct{}{jwt.ConnectionTypeInProcess: {}}
	busFrom := inProcess
	if s.cfg.NATSAddr != "" {
		busFrom = map[string]struct{}{jwt.ConnectionTypeInProcess: {}, jwt.ConnectionTypeStandard: {}}
	}
	o := &server.Options{
		ServerName:         "unlatch",
		DontListen:         s.cfg.NATSAddr == "",
		Host:               s.natsHost,
		Port:               s.natsPort,
		TLSConfig:          s.cfg.NATSTLS,
		TLS:                s.cfg.NATSTLS != nil,
		TLSTimeout:         10,
		NoSigs:             true,
		MaxConn:            s.cfg.MaxConnections,
		MaxPayload:         int32(s.cfg.MaxPayload),
		AuthTimeout:        authPatience.Seconds(),
		JetStream:          true,
		StoreDir:           s.cfg.StoreDir,
		JetStreamMaxMemory: maxMemory,
		JetStreamMaxStore:  maxStore,
		Users: []*server.User{
			{
				Username: authUser, Password: s.authPassword, AllowedConnectionTypes: inProcess,
				Permissions: &server.Permissions{
					// Answers go to the inbox named in each request.
					Publish:   &server.SubjectPermission{Allow: []string{"_INBOX.>", "$SYS._INBOX.>"}},
					Subscribe: &server.SubjectPermission{Allow: []string{server.AuthCalloutSubject}},
				},
			},
			{
				Username: busUser, Password: s.busPassword, AllowedConnectionTypes: busFrom,
				Permissions: &server.Permissions{
					Publish: &server.SubjectPermission{
						Allow: []string{subjectRoot + ">", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>"},
					},
					// Not the login requests: they hold passwords.
					Subscribe: &server.SubjectPermission{
						Allow: []string{subjectRoot + ">", "_INBOX.>", "$KV.>", "ul.1.>"},
					},
				},
			},
		},
		AuthCallout: &server.AuthCallout{
			Issuer: s.issuerKey, Account: server.DEFAULT_GLOBAL_ACCOUNT, AuthUsers: []string{authUser, busUser},
		},
	}
	// Nothing of ours is QoS 2, and what a device leaves half sent would stay in the
	// store for ever. The option has no field, only a word in a configuration.
	if err := o.ProcessConfigString("mqtt { reject_qos2_publish: true }"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServerFailed, err)
	}
	o.MQTT.Host, o.MQTT.Port, o.MQTT.TLSConfig, o.MQTT.TLSTimeout = s.mqttHost, s.mqttPort, s.cfg.MQTTTLS, 10
	o.MQTT.AuthTimeout, o.MQTT.ConsumerMemoryStorage = authPatience.Seconds(), true
	return o, nil
}

// Ready is closed when Run has passed the self-test.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// MQTTAddr is where devices connect, with the port that was taken; empty before
// the server is up.
func (s *Server) MQTTAddr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts == nil {
		return ""
	}
	return net.JoinHostPort(s.opts.MQTT.Host, strconv.Itoa(s.opts.MQTT.Port))
}

// NATSAddr is where other replicas connect; empty when no port is open.
func (s *Server) NATSAddr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts == nil || s.opts.DontListen {
		return ""
	}
	return s.live.Addr().String()
}

// Gateway gives one of our own MQTT clients its login. The user name is its client
// id too; each client needs an instance of its own, of the characters of an id.
func (s *Server) Gateway(instance string) (user, password string) {
	return gatewayPrefix + instance, s.gatewayPassword
}

// Stats counts logins and connections.
func (s *Server) Stats() ServerStats {
	stats := ServerStats{Logins: s.logins.Load(), Refused: s.refused.Load(), AuthErrors: s.authErrors.Load()}
	if live := s.running(); live != nil {
		stats.Connections = live.NumClients()
	}
	return stats
}

// KickDevice cuts a device's connection, for instance once its Authenticator
// refuses it. A device that is not connected is not an error.
func (s *Server) KickDevice(id string) error {
	live := s.running()
	if live == nil {
		return fmt.Errorf("kick device %s: %w", id, ErrNotConnected)
	}
	conns, err := live.Connz(&server.ConnzOptions{MQTTClient: id})
	if err != nil {
		return fmt.Errorf("kick device %s: %w", id, err)
	}
	for _, conn := range conns.Conns {
		_ = live.DisconnectClientByID(conn.Cid) // gone in the meantime is gone
	}
	return nil
}

// dropEarly cuts the clients that came before the login check could answer; they
// would wait for authPatience and then be refused. They come again at once.
func (s *Server) dropEarly(live *server.Server) {
	conns, err := live.Connz(&server.ConnzOptions{Limit: s.cfg.MaxConnections})
	if err != nil {
		return
	}
	for _, conn := range conns.Conns {
		if conn.MQTTClient != "" {
			_ = live.DisconnectClientByID(conn.Cid)
		}
	}
}

// InProcessConn lets nats.go connect without a port.
func (s *Server) InProcessConn() (net.Conn, error) {
	live := s.running()
	if live == nil {
		return nil, ErrNotConnected
	}
	return live.InProcessConn()
}

func (s *Server) running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// quietLines mark warnings that anybody who reaches the port can cause at will:
// all that concern one MQTT or NATS connection, and refused logins, which are
// counted. The last is about passwords that live in this process only.
var quietLines = []string{" - mid:", " - cid:", "login denied", "login cannot be checked", "plaintext passwords"}

// libraryLog takes the library's lines. It remembers the last fatal one, after
// which the library itself would end the process.
type libraryLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string
}

func (l *libraryLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *libraryLog) say(level slog.Level, format string, v []any) {
	line := fmt.Sprintf(format, v...)
	for _, known := range quietLines {
		if strings.Contains(strings.ToLower(line), known) {
			level = slog.LevelDebug
		}
	}
	l.log.Log(context.Background(), level, "nats says", "line", line)
}

func (l *libraryLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *libraryLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *libraryLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *libraryLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *libraryLog) Errorf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l *libraryLog) Fatalf(format string, v ...any) {
	l.say(slog.LevelError, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = fmt.Sprintf(format, v...)
}

var _ server.Logger = (*libraryLog)(nil)
