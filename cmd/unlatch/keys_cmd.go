package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/unlatch/unlatch/store"
)

type keysCmd struct {
	Rotate keysRotateCmd `cmd:"" help:"Draw a new signing key; devices learn it as they are heard."`
	Status keysStatusCmd `cmd:"" help:"Say which devices still know only the key before."`
	Forget keysForgetCmd `cmd:"" help:"Drop the key before, once every device has learnt the new one."`

	RotateIdentity rotateIdentityCmd `cmd:"" help:"Draw a new key for riders' identities."`
	MoveIdentities moveIdentitiesCmd `cmd:"" help:"Encrypt riders' identities with the new key, beside a running installation."`
	ForgetIdentity forgetIdentityCmd `cmd:"" help:"Drop the identity key before, once no rider is encrypted with it."`
}

// Help teaches the order of steps.
func (keysCmd) Help() string {
	return `The signing key signs every command; devices accept two, so that it can change without touching them:

  unlatch keys rotate --data DIR     draws a new key into DIR/unlatch.key and keeps the one before
  (put a copy of the file on every replica, restart every serve, and back the file up)
  unlatch keys status --data DIR     until no device is behind
  unlatch keys forget --data DIR     drops the key before, which no device needs any more
  (put a copy of the file on every replica, and restart every serve)

Each device is shown the new key by a command that the old one signs, proves that it has it, and drops the old one. What is
silent all the time keeps the old key: provision it anew, or retire it, before the last step. A replica that still has the
file of before ends, and says why, as soon as another one serves with the new key.

The file as it was before each change stays beside it as unlatch.key.before. Keep one such file per rotation for as long as
you keep backups from before it.

Riders' identities are encrypted with a key of their own:

  unlatch keys rotate-identity --data DIR    draws a new key into DIR/unlatch.key and keeps the one before
  (put a copy of the file on every replica, restart serve, and back the file up)
  unlatch keys move-identities --data DIR    encrypts every rider anew; run it again if it was stopped
  unlatch keys forget-identity --data DIR    drops the key before; restart serve once more`
}

type keysRotateCmd struct {
	Data string `env:"UNLATCH_DATA" type:"path" required:"" placeholder:"DIR" help:"Folder with the key file."`
	// Given is read to see that the file is what serve reads.
	Given string `env:"UNLATCH_SIGNING_KEY" hidden:""`
}

// Run writes the new key beside the one before. One rotation at a time: devices know
// two keys.
func (r keysRotateCmd) Run(out io.Writer) error {
	if r.Given != "" {
		return errors.New("UNLATCH_SIGNING_KEY is set, and serve would not read the new key: " +
			"put the keys into a file (signing_key and secret, as in any " + keyFile + "), unset UNLATCH_SIGNING_KEY and UNLATCH_SECRET, restart serve, and rotate then")
	}
	k, err := existingKeys(r.Data)
	if err != nil {
		return err
	}
	if k.Previous != nil {
		return errors.New("the last rotation is not over: run unlatch keys status, and unlatch keys forget when no device is behind")
	}
	before := k.keyID()
	k.Previous, k.Signing = k.Signing, make([]byte, 32)
	rand.Read(k.Signing)
	if err := k.save(filepath.Join(r.Data, keyFile)); err != nil {
		return err
	}
	fmt.Fprintf(out, "The signing key is %s now; it was %s. Back up %s, copy it to every replica, and restart every serve.\n",
		k.keyID(), before, filepath.Join(r.Data, keyFile))
	return nil
}

// existingKeys reads a key file and never makes one.
func existingKeys(dir string) (keys, error) {
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return keys{}, fmt.Errorf("%s holds no %s", dir, keyFile)
	}
	k, _, err := loadKeys("", "", dir)
	return k, err
}

type keysStatusCmd struct {
	database `embed:""`
}

// Run lists who is behind; errFound when somebody is.
func (s keysStatusCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	k, err := existingKeys(s.Data)
	if err != nil {
		return err
	}
	var behind []string
	var all int
	var known string
	if err := s.withStore(ctx, log, func(db *store.DB) (err error) {
		if behind, all, err = db.BehindKey(ctx, k.keyID()); err == nil {
			known, err = db.Setting(ctx, "signing_key")
		}
		return err
	}); err != nil {
		return err
	}
	if k.Previous == nil {
		fmt.Fprintf(out, "Signing key %s, %d devices; no rotation is under way.\n", k.keyID(), all)
		return nil
	}
	fmt.Fprintf(out, "Signing key %s, before %s: %d of %d devices have changed.\n", k.keyID(), keyName(k.Previous), all-len(behind), all)
	if known != k.keyID() {
		fmt.Fprintln(out, "No serve has run with the new key yet: copy the file to every replica and restart every serve.")
		return errFound
	}
	if len(behind) == 0 {
		fmt.Fprintln(out, "Nobody is behind: unlatch keys forget drops the key before.")
		return nil
	}
	fmt.Fprintf(out, "Behind: %s\n", some(behind))
	return errFound
}

// some names a few ids and counts the rest.
func some(ids []string) string {
	const most = 20
	if len(ids) <= most {
		return strings.Join(ids, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], " "), len(ids)-most)
}

// withStore opens the database for what reads no identity.
func (d database) withStore(ctx context.Context, log *slog.Logger, do func(*store.DB) error) (err error) {
	opened, err := d.open(ctx, log, true)
	if err != nil {
		return err
	}
	defer func() { err = joinStop(err, opened.stop) }()
	db, err := store.Open(ctx, store.Config{URL: opened.url, MaxConns: 1, IdentityKey: make([]byte, 32)})
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

type keysForgetCmd struct {
	database `embed:""`
	Abandon  bool `help:"Also where devices are behind; they are taken out of service until they are provisioned anew."`
}

// Run drops the key before, once the installation is served with the new one: the file
// would fit the database no more.
func (f keysForgetCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	k, err := existingKeys(f.Data)
	if err != nil {
		return err
	}
	if k.Previous == nil {
		return errors.New("there is no key before: no rotation is under way")
	}
	var given []string
	if err := f.withStore(ctx, log, func(db *store.DB) error {
		known, err := db.Setting(ctx, "signing_key")
		if err != nil {
			return err
		}
		if known != k.keyID() {
			return fmt.Errorf("the installation is still served with key %q, and the new one is %s: copy %s to every replica and restart every serve first",
				known, k.keyID(), filepath.Join(f.Data, keyFile))
		}
		behind, _, err := db.BehindKey(ctx, k.keyID())
		if err != nil {
			return err
		}
		if len(behind) > 0 && !f.Abandon {
			return fmt.Errorf("%d devices do not know the new key alone: %s. Wait until they were heard, provision them anew or retire them; --abandon gives them up",
				len(behind), some(behind))
		}
		if len(behind) > 0 {
			given, err = db.AbandonKey(ctx, k.keyID())
		}
		return err
	}); err != nil {
		return err
	}
	gone := keyName(k.Previous)
	k.Previous = nil
	if err := k.save(filepath.Join(f.Data, keyFile)); err != nil {
		return err
	}
	if len(given) > 0 {
		fmt.Fprintf(out, "Out of service until they are provisioned anew: %s\n", strings.Join(given, " "))
	}
	fmt.Fprintf(out, "Key %s is forgotten. Back up %s, copy it to every replica, and restart every serve.\n", gone, filepath.Join(f.Data, keyFile))
	return nil
}
