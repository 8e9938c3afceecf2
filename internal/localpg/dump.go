package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
)

// Dumping is one run of pg_dump or pg_restore.
type Dumping struct {
	URL   string // of the database: postgres://...
	Major int    // of its server
	// Snapshot is one that another transaction exported; "" = a new one. Of a dump.
	Snapshot string
	// Table is called as each table is begun; nil = nobody asks.
	Table func(name string)
}

// Dump writes a database in pg_dump's custom format, compressed, without owners. It
// runs beside a live installation and blocks nobody. Errors: ErrNoTool, the program's
// last words.
func Dump(ctx context.Context, d Dumping, w io.Writer) error {
	args := []string{"--format=custom", "--no-owner", "--no-password", "--verbose"}
	if d.Snapshot != "" {
		args = append(args, "--snapshot="+d.Snapshot)
	}
	return d.run(ctx, "pg_dump", args, nil, w)
}

// Load reads what Dump wrote into an empty database, all of it or nothing, owned by
// whoever connects. The roles that it grants rights to must exist. Errors as of Dump.
func Load(ctx context.Context, d Dumping, r io.Reader) error {
	return d.run(ctx, "pg_restore", []string{"--format=custom", "--no-owner", "--no-password", "--verbose", "--exit-on-error",
		"--single-transaction"}, r, nil)
}

// List reads a dump's table of contents, to see that it is one.
func List(ctx context.Context, major int, r io.Reader) error {
	return Dumping{Major: major}.run(ctx, "pg_restore", []string{"--format=custom", "--list"}, r, nil)
}

// tableLine is what the programs say, with --verbose, as they come to a table's rows.
var tableLine = regexp.MustCompile(`^pg_(?:dump: dumping contents of table|restore: processing data for table) "(?:public\.)?([^"]+)"`)

func (d Dumping) run(ctx context.Context, name string, args []string, in io.Reader, out io.Writer) error {
	program, err := Tool(ctx, name, d.Major)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if d.URL != "" {
		address, password, err := libpq(d.URL)
		if err != nil {
			return err
		}
		cmd.Args = append(cmd.Args, "--dbname="+address)
		if password != "" { // an argument could be read by anybody on this machine
			cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
		}
	}
	cmd.Stdin, cmd.Stdout = in, out
	words, said := io.Pipe()
	cmd.Stderr = said
	var last lastWords
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(words)
		for lines.Scan() {
			if m := tableLine.FindStringSubmatch(lines.Text()); m != nil {
				if d.Table != nil {
					d.Table(m[1])
				}
			} else if strings.Contains(lines.Text(), "error:") || strings.HasPrefix(lines.Text(), "DETAIL") || strings.HasPrefix(lines.Text(), "HINT") {
				_, _ = last.Write([]byte(lines.Text() + "\n"))
			}
		}
		_, _ = io.Copy(io.Discard, words)
	})
	err = cmd.Run()
	_ = said.Close()
	reading.Wait()
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(last.String())))
	}
	return nil
}

// libpqWords are the settings of an address that Postgres' own programs know and that
// say where and how to connect. pgx also takes settings of its own, which they refuse.
var libpqWords = map[string]bool{"host": true, "hostaddr": true, "port": true, "user": true, "dbname": true, "sslmode": true, "sslcert": true,
	"sslkey": true, "sslrootcert": true, "sslcrl": true, "sslsni": true, "channel_binding": true, "connect_timeout": true,
	"target_session_attrs": true, "gssencmode": true, "krbsrvname": true, "passfile": true, "service": true, "keepalives": true}

// libpq splits an address into what may stand on a command line and the password.
func libpq(address string) (plain, password string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" { // the error would quote the password
		return "", "", errors.New("give the database as postgres://user:password@host/name, with special characters percent-encoded")
	}
	password, _ = u.User.Password()
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	if p := query.Get("password"); p != "" {
		password = p
	}
	for name := range query {
		if !libpqWords[name] {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), password, nil
}
