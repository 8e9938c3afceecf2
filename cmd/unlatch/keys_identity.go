package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/unlatch/unlatch/store"
)

// identityKey names a key of riders' identities: by a hash of it, but for the one that
// follows from the secret, which had no name before there were others.
func (k keys) identityKey(key []byte) store.IdentityKey {
	if bytes.Equal(key, k.derive("identity")) {
		return store.IdentityKey{Key: key}
	}
	sum := sha256.Sum256(append([]byte("unlatch identity key "), key...))
	return store.IdentityKey{ID: hex.EncodeToString(sum[:8]), Key: key}
}

// identities are the keys of riders' identities, the one to encrypt with first.
func (k keys) identities() []store.IdentityKey {
	if k.Identity == nil {
		return []store.IdentityKey{k.identityKey(k.derive("identity"))}
	}
	all := []store.IdentityKey{k.identityKey(k.Identity)}
	if k.PreviousIdentity != nil {
		all = append(all, k.identityKey(k.PreviousIdentity))
	}
	return all
}

// identitiesFit tells whether the keys have their size, and the one before one after it.
func (k keys) identitiesFit() bool {
	fits := func(b []byte) bool { return len(b) == 0 || len(b) == 32 }
	return fits(k.Identity) && fits(k.PreviousIdentity) && (len(k.PreviousIdentity) == 0 || len(k.Identity) == 32)
}

// shownKey is a key's name for people.
func shownKey(id string) string {
	if id == "" {
		return "of the installation's secret"
	}
	return id
}

type rotateIdentityCmd struct {
	Data string `env:"UNLATCH_DATA" type:"path" required:"" placeholder:"DIR" help:"Folder with the key file."`
}

// Run writes the new key beside the one before; nothing is encrypted with it yet.
func (r rotateIdentityCmd) Run(out io.Writer) error {
	k, err := existingKeys(r.Data)
	if err != nil {
		return err
	}
	if k.PreviousIdentity != nil {
		return errors.New("the last rotation is not over: run unlatch keys move-identities, then unlatch keys forget-identity")
	}
	before := k.identities()[0]
	k.PreviousIdentity, k.Identity = before.Key, make([]byte, 32)
	rand.Read(k.Identity)
	if err := k.save(filepath.Join(r.Data, keyFile)); err != nil {
		return err
	}
	fmt.Fprintf(out, "The identity key is %s; riders are still encrypted with the one %s. Back up %s, copy it to every replica,\n"+
		"restart serve there, and only then run unlatch keys move-identities: a replica without the file could log nobody in any more.\n",
		k.identities()[0].ID, shownKey(before.ID), filepath.Join(r.Data, keyFile))
	return nil
}

// withIdentities opens the database with the identity keys of a key file.
func (d database) withIdentities(ctx context.Context, log *slog.Logger, k keys, do func(*store.DB) error) (err error) {
	opened, err := d.open(ctx, log, true)
	if err != nil {
		return err
	}
	defer func() { err = joinStop(err, opened.stop) }()
	db, err := store.Open(ctx, store.Config{URL: opened.url, MaxConns: 2, IdentityKeys: k.identities()})
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

type moveIdentitiesCmd struct {
	database `embed:""`
}

// Run moves every rider to the new key.
func (m moveIdentitiesCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	k, err := existingKeys(m.Data)
	if err != nil {
		return err
	}
	if k.PreviousIdentity == nil {
		return errors.New("there is no identity key before: run unlatch keys rotate-identity first")
	}
	to := k.identities()[0].ID
	return m.withIdentities(ctx, log, k, func(db *store.DB) error {
		_, by, err := db.IdentityCount(ctx)
		if err != nil {
			return err
		}
		left := 0
		for id, n := range by {
			if id != to {
				left += n
			}
		}
		bar := progress(left, "encrypting")
		moved := 0
		unreadable, err := db.MoveIdentities(ctx, to, func(n int) {
			moved += n
			_ = bar.Add(n)
		})
		_ = bar.Finish()
		if err != nil {
			return fmt.Errorf("%d riders were moved, run it again for the rest: %w", moved, err)
		}
		if len(unreadable) > 0 {
			return fmt.Errorf("%d riders were moved, and the identities of %d cannot be read with the keys of %s: %s", moved, len(unreadable),
				filepath.Join(m.Data, keyFile), strings.Join(unreadable[:min(len(unreadable), 20)], " "))
		}
		fmt.Fprintf(out, "%d riders were encrypted anew, with key %s. unlatch keys forget-identity drops the one before.\n", moved, to)
		return nil
	})
}

type forgetIdentityCmd struct {
	database `embed:""`
}

// Run drops the key before, unless somebody is still encrypted with it.
func (f forgetIdentityCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	k, err := existingKeys(f.Data)
	if err != nil {
		return err
	}
	if k.PreviousIdentity == nil {
		return errors.New("there is no identity key before: no rotation is under way")
	}
	now, before := k.identities()[0].ID, k.identities()[1].ID
	if err := f.withIdentities(ctx, log, k, func(db *store.DB) error {
		current, by, err := db.IdentityCount(ctx)
		if err != nil {
			return err
		}
		if current != now || by[before] > 0 {
			return fmt.Errorf("%d riders are encrypted with the key before; run unlatch keys move-identities", by[before])
		}
		return nil
	}); err != nil {
		return err
	}
	k.PreviousIdentity = nil
	if err := k.save(filepath.Join(f.Data, keyFile)); err != nil {
		return err
	}
	fmt.Fprintf(out, "The identity key %s is forgotten. Back up %s, copy it to every replica, and restart serve.\n"+
		"A backup from before opens only with the key file that lies in it.\n", shownKey(before), filepath.Join(f.Data, keyFile))
	return nil
}
