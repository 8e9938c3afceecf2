package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/store"
)

// checkDatabase finds and reads the database and judges it. known is filled with its
// settings.
func (d doctorAllCmd) checkDatabase(ctx context.Context, log *slog.Logger, known map[string]string) []finding {
	const what = "database"
	s := d.Serve
	if s.Data == "" && s.DatabaseURL == "" {
		return []finding{wrong(what, "neither --data nor --database-url", "say where the database is, as for serve")}
	}
	if err := s.exists(); err != nil {
		return []finding{soon(what, err.Error(), "fine before the first start, which makes one")}
	}
	db, err := s.open(ctx, log, true)
	if err != nil {
		return []finding{wrong(what, err.Error(), "")}
	}
	v, err := store.Examine(ctx, db.url)
	if err := joinStop(err, db.stop); err != nil {
		return []finding{wrong(what, err.Error(), "start it, and check address, user and password")}
	}
	for name, value := range v.Settings {
		known[name] = value
	}
	found := judgeDatabase(v, s.DatabaseURL != "")
	found = append(found, judgeRestored(v), judgeBackup(v.Settings["last_backup"], time.Now()))
	for _, tool := range []string{"pg_dump", "pg_restore"} {
		if path, err := localpg.Tool(ctx, tool, v.Server); err != nil {
			found = append(found, wrong("tools", err.Error(), "without it there are no backups"))
		} else {
			found = append(found, fine("tools", path))
		}
	}
	return found
}

// oldestServer is the first version of Postgres whose features the schema uses.
const oldestServer = 15

func judgeDatabase(v store.Health, own bool) []finding {
	const what = "database"
	var found []finding
	add := func(f finding) { found = append(found, f) }
	if v.Server < oldestServer {
		add(wrong(what, "it is Postgres "+v.ServerVersion, fmt.Sprintf("use Postgres %d or newer", oldestServer)))
	} else {
		add(fine(what, fmt.Sprintf("Postgres %s, %d MiB", v.ServerVersion, v.Size/mib)))
	}
	if v.Standby {
		add(wrong(what, "it is a standby and takes no writes", "name the primary, or several hosts with target_session_attrs=read-write"))
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if v.Durability[name] == "off" {
			add(wrong(what, name+" is off: what was promised to a rider may be gone after a power cut", "ALTER SYSTEM SET "+name+" = on, and reload"))
		}
	}
	switch {
	case v.Schema == 0:
		add(soon("schema", "the database is empty", "run unlatch migrate, or serve with --migrate"))
	case v.Schema < store.SchemaVersion():
		add(wrong("schema", fmt.Sprintf("it is %d, and this program needs %d", v.Schema, store.SchemaVersion()), "run unlatch migrate, or serve with --migrate"))
	case v.Schema > store.SchemaVersion():
		add(soon("schema", fmt.Sprintf("it is %d, and this program knows %d", v.Schema, store.SchemaVersion()), "fine for one version between; bring this program up to date"))
	default:
		add(fine("schema", fmt.Sprintf("%d, up to date", v.Schema)))
	}
	if !v.Role && v.Schema > 0 {
		add(wrong("role", "who connects may not work as "+store.AppRole, "GRANT "+store.AppRole+" TO the user of the address"))
	} else if v.Superuser && own {
		add(soon("role", "who connects is a superuser of the server", "give unlatch a user of its own that owns its database and nothing else"))
	}
	// A replica takes up to 26.
	if free := v.Limit - v.Connections; free < 10 {
		add(wrong("connections", fmt.Sprintf("%d of %d are in use", v.Connections, v.Limit), "raise max_connections, or end what holds them; a replica needs 26"))
	} else {
		add(fine("connections", fmt.Sprintf("%d of %d are in use", v.Connections, v.Limit)))
	}
	if v.OldestChange > time.Hour {
		add(wrong("transactions", "one has been open for "+v.OldestChange.Round(time.Second).String()+": nothing can be cleaned up behind it",
			"look for it in pg_stat_activity and end it"))
	}
	add(checkApart("clock of the database", v.Behind, v.Unsure))
	return found
}

// checkApart judges how far another clock is ahead of ours.
func checkApart(what string, ahead, unsure time.Duration) finding {
	detail := fmt.Sprintf("%v apart from ours", ahead.Abs().Round(time.Millisecond))
	const fix = "synchronise both machines' clocks by NTP"
	switch off := ahead.Abs() - unsure; {
	case off > time.Minute:
		return wrong(what, detail, fix)
	case off > 2*time.Second:
		return soon(what, detail, fix)
	}
	return fine(what, detail)
}

func judgeRestored(v store.Health) finding {
	const what = "restored"
	switch r := v.Restored; {
	case r == nil:
		return fine(what, "the database never came out of a backup")
	case r.TakenInAt == nil:
		return soon(what, "it is the backup of "+r.BackupAt.Format(time.RFC3339)+", and nobody has served from it yet", "read docs/backup.md, then start serve")
	case v.Silent > 0:
		return soon(what, fmt.Sprintf("it is the backup of %s; %d devices have not been heard since %s", r.BackupAt.Format(time.RFC3339), v.Silent,
			r.TakenInAt.Format(time.RFC3339)), "nothing starts there before they are; look for those that stay silent")
	default:
		return fine(what, "it is the backup of "+r.BackupAt.Format(time.RFC3339)+", and every device has been heard since")
	}
}

func judgeBackup(last string, now time.Time) finding {
	const what, fix = "backup", "run unlatch backup every day, and copy the file to another place"
	at, err := time.Parse(time.RFC3339, last)
	switch {
	case last == "" || err != nil:
		return soon(what, "none was ever taken with unlatch backup", fix)
	case now.Sub(at) > 48*time.Hour:
		return soon(what, "the newest is of "+last, fix)
	}
	return fine(what, "the newest is of "+last)
}

// checkKeys looks at the key file, or at the keys of the environment, and holds them
// against the database.
func checkKeys(s serveCmd, known map[string]string) []finding {
	const what = "keys"
	path := filepath.Join(s.Data, keyFile)
	if s.SigningKey == "" && s.Secret == "" {
		_, err := os.Stat(path)
		switch {
		case s.Data == "":
			return []finding{wrong(what, "there is no --data, and no UNLATCH_SIGNING_KEY", "give one of them, as for serve")}
		case errors.Is(err, fs.ErrNotExist) && known["signing_key"] != "":
			return []finding{wrong(what, path+" is missing, and the database belongs to key "+known["signing_key"], "put your backup of "+keyFile+" there")}
		case errors.Is(err, fs.ErrNotExist):
			return []finding{soon(what, path+" is not there yet", "fine before the first start, which makes it")}
		}
	}
	k, _, err := loadKeys(s.SigningKey, s.Secret, s.Data)
	switch {
	case err != nil:
		return []finding{wrong(what, err.Error(), "")}
	case k.rotated(known["signing_key"]):
		return []finding{soon(what, "they were rotated from "+known["signing_key"]+" to "+k.keyID()+", and nobody has served with them yet", "copy "+keyFile+" to every replica and restart every serve")}
	case !k.fits(known["signing_key"]):
		return []finding{wrong(what, "they are key "+k.keyID()+", and the database belongs to "+known["signing_key"], "put the right "+keyFile+" in place: devices obey no other")}
	}
	return []finding{fine(what, "key "+k.keyID())}
}

// checkDisk looks at the room on the data folder's disk.
func checkDisk(data string, mibs int64, free func(string) (uint64, uint64, error)) []finding {
	const what = "disk"
	if data == "" {
		return nil
	}
	have, size, err := free(data)
	if err != nil {
		return []finding{wrong(what, err.Error(), "")}
	}
	reserve := reserveOf(size)
	if mibs > 0 {
		reserve = uint64(mibs) * mib
	}
	detail := fmt.Sprintf("%d of %d MiB are free in %s", have/mib, size/mib, data)
	switch {
	case have < reserve:
		return []finding{wrong(what, fmt.Sprintf("%s; below %d riders start nothing new", detail, reserve/mib), "free some room, or move to a larger disk")}
	case have < 3*reserve:
		return []finding{soon(what, detail, fmt.Sprintf("below %d MiB riders start nothing new", reserve/mib))}
	}
	return []finding{fine(what, detail)}
}

// checkTimeZones looks for the rules of the venues' zones.
func checkTimeZones() []finding {
	if _, err := time.LoadLocation("Asia/Shanghai"); err != nil {
		return []finding{wrong("time zones", err.Error(), "unset ZONEINFO, or point it to whole data")}
	}
	return []finding{fine("time zones", "known")}
}

// checkTLS looks at the certificate as phones and devices do.
func checkTLS(s serveCmd, now time.Time) []finding {
	const what = "certificate"
	switch {
	case s.TLSCert == "" && s.BehindProxy:
		return []finding{fine(what, "a proxy ends TLS; its certificate is seen at the code domain")}
	case s.TLSCert == "" && s.TLSKey == "":
		for _, a := range []string{s.HTTP, s.MQTT, s.NATS, s.Metrics} {
			if a != "" && !loopback(a) {
				return []finding{wrong(what, a+" can be reached from outside without one", "give --tls-cert and --tls-key, or --behind-proxy when a proxy ends TLS")}
			}
		}
		return []finding{fine(what, "none; nothing listens beyond this machine")}
	}
	pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
	if err != nil {
		return []finding{wrong(what, err.Error(), "--tls-cert is the chain and --tls-key the key of its first certificate, both PEM")}
	}
	var found []finding
	if info, err := os.Stat(s.TLSKey); err == nil && info.Mode().Perm()&0o077 != 0 {
		found = append(found, wrong(what, s.TLSKey+" can be read by others", "chmod 600 "+s.TLSKey))
	}
	leaf := pair.Leaf
	days := int(leaf.NotAfter.Sub(now).Hours() / 24)
	renew := "renew it; serve reads it when it starts"
	switch {
	case now.After(leaf.NotAfter):
		found = append(found, wrong(what, "it ended on "+leaf.NotAfter.Format(time.DateOnly), renew))
	case now.Before(leaf.NotBefore):
		found = append(found, wrong(what, "it begins on "+leaf.NotBefore.Format(time.DateOnly), "set this machine's clock right, or wait"))
	case days < 21:
		found = append(found, soon(what, fmt.Sprintf("it ends in %d days", days), renew))
	default:
		found = append(found, fine(what, fmt.Sprintf("good for %d days", days)))
	}
	if s.Domain != "" {
		if err := leaf.VerifyHostname(s.Domain); err != nil {
			found = append(found, wrong(what, err.Error(), "get one that names "+s.Domain))
		}
	}
	between := x509.NewCertPool()
	for _, raw := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(raw); err == nil {
			between.AddCert(c)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Minute)}); err != nil {
		found = append(found, wrong(what, "its chain leads to nobody whom phones trust: "+strings.TrimPrefix(err.Error(), "x509: "),
			"put the certificates between it and the root into "+s.TLSCert+", the server's own first"))
	}
	return found
}

// unverified speaks TLS to a listener of this machine whose certificate names another.
func unverified() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}
