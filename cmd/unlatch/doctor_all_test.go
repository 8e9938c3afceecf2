package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/store"
)

// verdict is how a check went, as the doctor prints it.
func verdict(t *testing.T, found ...finding) (text string, allOK bool) {
	t.Helper()
	var out bytes.Buffer
	err := printFindings(&out, found, false, "")
	if err != nil && !errors.Is(err, errFound) {
		t.Fatal(err)
	}
	return out.String(), err == nil
}

// says checks that findings are wrong and name something, or are all right where wrong
// is false and, where names is not empty, still name it.
func says(t *testing.T, name string, found []finding, wrong bool, names string) {
	t.Helper()
	text, ok := verdict(t, found...)
	if ok == wrong || !strings.Contains(text, names) {
		t.Errorf("%s: want wrong %v, naming %q:\n%s", name, wrong, names, text)
	}
	for _, f := range found {
		if !f.OK && f.Fix == "" && len(f.Detail) < 30 {
			t.Errorf("%s: %q says neither what to do nor much else", name, f.Detail)
		}
	}
}

func TestTheDoctorJudgesDatabases(t *testing.T) {
	healthy := store.Health{Server: 15, ServerVersion: "15.8", Role: true, Limit: 97, Connections: 30, Schema: store.SchemaVersion(), Size: mib,
		Durability: map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}}
	for _, c := range []struct {
		name  string
		bend  func(*store.Health)
		wrong bool
		names string
	}{
		{"healthy", func(*store.Health) {}, false, "up to date"},
		{"an old server", func(v *store.Health) { v.Server, v.ServerVersion = 14, "14.2" }, true, "15 or newer"},
		{"a standby", func(v *store.Health) { v.Standby = true }, true, "standby"},
		{"fsync off", func(v *store.Health) {
			v.Durability = map[string]string{"fsync": "off", "synchronous_commit": "on", "full_page_writes": "on"}
		}, true, "fsync"},
		{"commits that do not wait", func(v *store.Health) {
			v.Durability = map[string]string{"fsync": "on", "synchronous_commit": "off", "full_page_writes": "on"}
		}, true, "synchronous_commit"},
		{"an old schema", func(v *store.Health) { v.Schema-- }, true, "unlatch migrate"},
		{"a newer schema", func(v *store.Health) { v.Schema++ }, false, "bring this program up to date"},
		{"nothing yet", func(v *store.Health) { v.Schema = 0 }, false, "is empty"},
		{"no role", func(v *store.Health) { v.Role = false }, true, "GRANT unlatch_app"},
		{"a superuser", func(v *store.Health) { v.Superuser = true }, false, "superuser"},
		{"no connections left", func(v *store.Health) { v.Connections = 90 }, true, "max_connections"},
		{"a forgotten transaction", func(v *store.Health) { v.OldestChange = 2 * time.Hour }, true, "pg_stat_activity"},
		{"another time", func(v *store.Health) { v.Behind = -2 * time.Minute }, true, "NTP"},
		{"nearly the same time", func(v *store.Health) { v.Behind = 5 * time.Second }, false, "NTP"},
		{"a slow answer", func(v *store.Health) { v.Behind, v.Unsure = 5*time.Second, 6*time.Second }, false, ""},
	} {
		v := healthy
		c.bend(&v)
		says(t, c.name, judgeDatabase(v, true), c.wrong, c.names)
	}
	taken := time.Now()
	for name, c := range map[string]struct {
		v     store.Health
		names string
	}{
		"never restored":    {store.Health{}, "never came out"},
		"not served from":   {store.Health{Restored: &store.Restored{BackupAt: taken}}, "nobody has served"},
		"devices to come":   {store.Health{Restored: &store.Restored{BackupAt: taken, TakenInAt: &taken}, Silent: 3}, "3 devices"},
		"everybody is back": {store.Health{Restored: &store.Restored{BackupAt: taken, TakenInAt: &taken}}, "every device"},
	} {
		says(t, name, []finding{judgeRestored(c.v)}, false, c.names)
	}
	now := time.Now()
	for text, names := range map[string]string{"": "none was ever", now.Add(-72 * time.Hour).UTC().Format(time.RFC3339): "every day", now.UTC().Format(time.RFC3339): "the newest is of"} {
		says(t, "backup "+text, []finding{judgeBackup(text, now)}, false, names)
	}
}

func TestTheDoctorLooksAtKeysAndDisk(t *testing.T) {
	dir := t.TempDir()
	k, _, err := loadKeys("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	open, broken := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{filepath.Join(open, keyFile): 0o644, filepath.Join(broken, keyFile): 0o600} {
		if err := os.WriteFile(path, []byte("{}"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		s     serveCmd
		known string
		wrong bool
		names string
	}{
		{"the right ones", serveCmd{database: database{Data: dir}}, k.keyID(), false, k.keyID()},
		{"before the first start", serveCmd{database: database{Data: t.TempDir()}}, "", false, "before the first start"},
		{"lost", serveCmd{database: database{Data: t.TempDir()}}, "abc", true, "put your backup of unlatch.key"},
		{"other ones", serveCmd{database: database{Data: dir}}, "abc", true, "belongs to abc"},
		{"open to all", serveCmd{database: database{Data: open}}, "", true, "chmod 600"},
		{"not keys", serveCmd{database: database{Data: broken}}, "", true, "not a key file"},
		{"nowhere", serveCmd{}, "", true, "--data"},
		{"half of the environment", serveCmd{SigningKey: "eA=="}, "", true, "UNLATCH_SIGNING_KEY"},
	} {
		says(t, c.name, checkKeys(c.s, map[string]string{"signing_key": c.known}), c.wrong, c.names)
	}
	for _, c := range []struct {
		name  string
		free  uint64
		given int64
		err   error
		wrong bool
		names string
	}{
		{"plenty", 90 << 30, 0, nil, false, "free"}, {"it gets less", 600 * mib, 0, nil, false, "riders start nothing new"},
		{"too little", 500 * mib, 0, nil, true, "riders start nothing new"}, {"less than was asked for", 5 << 30, 6 << 10, nil, true, "larger disk"},
		{"no such disk", 0, 0, errors.New("free room of /nowhere: no such file or directory"), true, "/nowhere"},
	} {
		found := checkDisk("/data", c.given, func(string) (uint64, uint64, error) { return c.free, 100 << 30, c.err })
		says(t, c.name, found, c.wrong, c.names)
	}
	says(t, "time zones", checkTimeZones(), false, "")
}

// certificate writes a chain file and a key that a root of the test's own signed.
func certificate(t *testing.T, host string, from, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyRaw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: raw}, key: {Type: "PRIVATE KEY", Bytes: keyRaw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTheDoctorLooksAtCertificates(t *testing.T) {
	now := time.Now()
	good, goodKey := certificate(t, "q.example.cn", now.Add(-time.Hour), now.Add(90*24*time.Hour))
	_, otherKey := certificate(t, "q.example.cn", now, now.Add(time.Hour))
	open, openKey := certificate(t, "q.example.cn", now.Add(-time.Hour), now.Add(90*24*time.Hour))
	if err := os.Chmod(openKey, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		s       serveCmd
		at      time.Time
		wrong   bool
		names   string
		nameNot string
	}{
		{name: "none on loopback", s: serveCmd{HTTP: "127.0.0.1:1"}, names: "nothing listens beyond"},
		{name: "none beyond it", s: serveCmd{HTTP: "0.0.0.0:443"}, wrong: true, names: "--behind-proxy"},
		{name: "a proxy", s: serveCmd{HTTP: "0.0.0.0:443", BehindProxy: true}, names: "a proxy ends TLS"},
		{name: "nobody's root", s: serveCmd{TLSCert: good, TLSKey: goodKey, Domain: "q.example.cn"}, wrong: true, names: "nobody whom phones trust", nameNot: "get one that names"},
		{name: "another host", s: serveCmd{TLSCert: good, TLSKey: goodKey, Domain: "r.example.cn"}, wrong: true, names: "get one that names r.example.cn"},
		{name: "nearly over", s: serveCmd{TLSCert: good, TLSKey: goodKey}, at: now.Add(80 * 24 * time.Hour), wrong: true, names: "ends in 9 days"},
		{name: "over", s: serveCmd{TLSCert: good, TLSKey: goodKey}, at: now.Add(100 * 24 * time.Hour), wrong: true, names: "it ended on"},
		{name: "not yet", s: serveCmd{TLSCert: good, TLSKey: goodKey}, at: now.Add(-2 * time.Hour), wrong: true, names: "it begins on"},
		{name: "another key", s: serveCmd{TLSCert: good, TLSKey: otherKey}, wrong: true, names: "the key of its first certificate"},
		{name: "a key for all", s: serveCmd{TLSCert: open, TLSKey: openKey}, wrong: true, names: "chmod 600"},
	} {
		if c.at.IsZero() {
			c.at = now
		}
		found := checkTLS(c.s, c.at)
		says(t, c.name, found, c.wrong, c.names)
		if text, _ := verdict(t, found...); c.nameNot != "" && strings.Contains(text, c.nameNot) {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}

func TestTheDoctorReachesTheCodeDomainAsAStranger(t *testing.T) {
	status, apart := http.StatusOK, time.Duration(0)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(apart).UTC().Format(http.TimeFormat))
		w.WriteHeader(status)
	}))
	defer server.Close()
	here := func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	client := server.Client()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	stranger := &http.Client{Transport: &http.Transport{DialContext: client.Transport.(*http.Transport).DialContext}}
	for _, c := range []struct {
		name   string
		domain string
		s      site
		status int
		apart  time.Duration
		wrong  bool
		names  string
	}{
		{"it answers", "example.com", site{client, here}, 200, 0, false, "example.com answers"},
		{"no domain", "", site{client, here}, 200, 0, true, "--domain"},
		{"no host name", "https://example.com", site{client, here}, 200, 0, true, "plain lower-case host name"},
		{"no record", "example.com", site{client, func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }}, 200, 0, true, "AAAA record"},
		{"another server answers", "example.com", site{client, here}, 404, 0, true, "answers 404"},
		{"a certificate that nobody trusts", "example.com", site{stranger, here}, 200, 0, true, "phones trust"},
		{"another time", "example.com", site{client, here}, 200, 10 * time.Minute, true, "NTP"},
	} {
		status, apart = c.status, c.apart
		says(t, c.name, checkDomainReached(t.Context(), c.domain, c.s), c.wrong, c.names)
	}
}

// TestTheDoctorExaminesAnInstallation beside its running service, and finds what was
// broken on purpose.
func TestTheDoctorExaminesAnInstallation(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}})
	data := t.TempDir()
	if err := v.keys.save(filepath.Join(data, keyFile)); err != nil {
		t.Fatal(err)
	}
	healthy := doctorAllCmd{Serve: serveCmd{database: database{DatabaseURL: v.url, Data: data}, HTTP: v.nodes[0].HTTPAddr, MQTT: v.nodes[0].MQTTAddr, Domain: "q.test"}}
	nowhere := site{client: &http.Client{}, resolve: func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }}
	log := slog.New(slog.DiscardHandler)
	without := func(found []finding, names ...string) (rest []finding) {
		for _, f := range found {
			if !slices.Contains(names, f.What) {
				rest = append(rest, f)
			}
		}
		return rest
	}
	all := healthy.examine(t.Context(), log, nowhere)
	says(t, "all but what needs the world", without(all, "code domain", "WeChat", "disk"), false, "ready on")
	says(t, "the world", all, true, "AAAA record")
	for _, c := range []struct {
		name, names string
		bend        func(*doctorAllCmd)
	}{
		{"no such database", "start it, and check", func(d *doctorAllCmd) {
			u, _ := url.Parse(v.url)
			u.Path = "/elsewhere"
			d.Serve.DatabaseURL = u.String()
		}},
		{"keys of another installation", "belongs to", func(d *doctorAllCmd) {
			d.Serve.Data = t.TempDir()
			_, _, _ = loadKeys("", "", d.Serve.Data)
		}},
		{"no database named", "neither --data nor", func(d *doctorAllCmd) { d.Serve.database = database{} }},
		{"a broker that is away", "check address, user", func(d *doctorAllCmd) { d.Serve.MQTTURL = "tcp://u:secret@127.0.0.1:1" }},
		{"another replica's broker that is away", "start the replica", func(d *doctorAllCmd) { d.Serve.MQTTURL = "mqtt+nats://127.0.0.1:1" }},
		{"no broker's address", "percent-encoded", func(d *doctorAllCmd) { d.Serve.MQTTURL = "ssl://u:secret%zz@h" }},
	} {
		d := healthy
		c.bend(&d)
		found := without(d.examine(t.Context(), log, nowhere), "code domain", "WeChat", "disk")
		says(t, c.name, found, true, c.names)
		if text, _ := verdict(t, found...); strings.Contains(text, "secret") {
			t.Errorf("%s: a password is shown:\n%s", c.name, text)
		}
	}
	d := healthy
	d.Serve.HTTP, d.Serve.MQTT = "127.0.0.1:1", "127.0.0.1:1"
	says(t, "nobody serves", without(d.examine(t.Context(), log, nowhere), "code domain", "WeChat", "disk"), false, "nobody serves on")
	var out bytes.Buffer
	if err := printFindings(&out, all, true, ""); !errors.Is(err, errFound) {
		t.Errorf("print: %v", err)
	}
	var back []finding
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || !slices.Equal(back, all) {
		t.Errorf("as JSON: %v", err)
	}
	if code := run([]string{"doctor", "--data", filepath.Join(data, "none")}, &out, &out); code != 1 || !strings.Contains(out.String(), "WRONG  WeChat") {
		t.Errorf("doctor alone: exit %d\n%s", code, &out)
	}
}
