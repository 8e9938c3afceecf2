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
  (put a copy of the file on every replica, restart serve, and back the file up)
  unlatch keys status --data DIR     until no device is behind
  unlatch keys forget --data DIR     drops the key before; restart serve once more

Each device is shown the new key by a command that the old one signs, proves that it has it, and drops the old one. What is
silent all the time keeps the old key: provision it anew, or retire it, before the last step.

Riders' identities are encrypted with a key of their own:

  unlatch keys rotate-identity --data DIR    draws a new key into DIR/unlatch.key and keeps the one before
  (put a copy of the file on every replica, restart serve, and back the file up)
  unlatch keys move-identities --data DIR    encrypts every rider anew; run it again if it was stopped
  unlatch keys forget-identity --data DIR    drops the key before; restart serve once more`
}

type keysRotateCmd struct {
	Data string `env:"UNLATCH_DATA" type:"path" required:"" placeholder:"DIR" help:"Folder with the key file."`
}

// Run writes the new key beside the one before. One rotation at a time: devices know
// two keys.
func (r keysRotateCmd) Run(out io.Writer) error {
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
	fmt.Fprintf(out, "The signing key is %s now; it was %s. Back up %s, copy it to every replica, and restart serve.\n",
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
	behind, all, err := s.behind(ctx, log, k)
	if err != nil {
		return err
	}
	if k.Previous == nil {
		fmt.Fprintf(out, "Signing key %s, %d devices; no rotation is under way.\n", k.keyID(), all)
		return nil
	}
	fmt.Fprintf(out, "Signing key %s, before %s: %d of %d devices have changed.\n", k.keyID(), keyName(k.Previous), all-len(behind), all)
	if len(behind) == 0 {
		fmt.Fprintln(out, "Nobody is behind: unlatch keys forget drops the key before.")
		return nil
	}
	fmt.Fprintf(out, "Behind: %s\n", strings.Join(behind, " "))
	return errFound
}

// behind lists devices that are not retired and do not know the signing key alone.
func (d database) behind(ctx context.Context, log *slog.Logger, k keys) (ids []string, all int, err error) {
	opened, err := d.open(ctx, log, true)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = joinStop(err, opened.stop) }()
	db, err := store.Open(ctx, store.Config{URL: opened.url, MaxConns: 1, IdentityKey: make([]byte, 32)}) // no identity is read
	if err != nil {
		return nil, 0, err
	}
	defer db.Close()
	return db.BehindKey(ctx, k.keyID())
}

type keysForgetCmd struct {
	database `embed:""`
	Abandon  bool `help:"Also where devices are behind; they take no command until they are provisioned anew."`
}

// Run drops the key before.
func (f keysForgetCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	k, err := existingKeys(f.Data)
	if err != nil {
		return err
	}
	if k.Previous == nil {
		return errors.New("there is no key before: no rotation is under way")
	}
	behind, _, err := f.behind(ctx, log, k)
	if err != nil {
		return err
	}
	if len(behind) > 0 && !f.Abandon {
		return fmt.Errorf("%d devices know only the key before: %s. Wait until they were heard, provision them anew or retire them; --abandon gives them up",
			len(behind), strings.Join(behind, " "))
	}
	gone := keyName(k.Previous)
	k.Previous = nil
	if err := k.save(filepath.Join(f.Data, keyFile)); err != nil {
		return err
	}
	fmt.Fprintf(out, "Key %s is forgotten. Back up %s, copy it to every replica, and restart serve.\n", gone, filepath.Join(f.Data, keyFile))
	return nil
}
