package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/device/wire"
)

// keys is what an installation must keep secret: the key that signs commands and
// one secret from which every other one is derived. It lives in one file.
type keys struct {
	Signing []byte `json:"signing_key"` // Ed25519 seed, 32 bytes
	Secret  []byte `json:"secret"`      // 32 bytes
	// Previous is the signing key before, while there are devices that know no other;
	// nil: there is none. See keysRotateCmd.
	Previous []byte `json:"previous_signing_key,omitempty"`
	// Identity encrypts riders' identities in place of the key that follows from Secret;
	// PreviousIdentity is the one before, while riders are encrypted with it.
	Identity         []byte `json:"identity_key,omitempty"`
	PreviousIdentity []byte `json:"previous_identity_key,omitempty"`
}

// keyFile is the file's name in the data folder.
const keyFile = "unlatch.key"

// loadKeys reads the keys from the environment (both given) or from the data
// folder. made tells that there were none and that new ones were written there.
func loadKeys(signing, secret, dir string) (k keys, made bool, err error) {
	if signing != "" || secret != "" {
		for _, part := range []struct {
			name, text string
			into       *[]byte
		}{{"UNLATCH_SIGNING_KEY", signing, &k.Signing}, {"UNLATCH_SECRET", secret, &k.Secret}} {
			if *part.into, err = base64.StdEncoding.DecodeString(part.text); err != nil || len(*part.into) != 32 {
				return k, false, fmt.Errorf("%s must be 32 bytes in base64, as in the key file; give both or neither", part.name)
			}
		}
		return k, false, nil
	}
	path := filepath.Join(dir, keyFile)
	if k, err = readKeys(path); errors.Is(err, fs.ErrNotExist) {
		k = keys{Signing: make([]byte, 32), Secret: make([]byte, 32)}
		rand.Read(k.Signing)
		rand.Read(k.Secret)
		return k, true, k.save(path)
	}
	return k, false, err
}

// readKeys reads a key file. fs.ErrNotExist.
func readKeys(path string) (k keys, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return k, fmt.Errorf("read keys: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return k, fmt.Errorf("%s can be read by others; run: chmod 600 %s", path, path)
	}
	if err := json.Unmarshal(b, &k); err != nil || len(k.Signing) != 32 || len(k.Secret) != 32 ||
		len(k.Previous) != 0 && len(k.Previous) != 32 || !k.identitiesFit() {
		return k, fmt.Errorf("%s is not a key file; restore it from your backup", path)
	}
	return k, nil
}

// fits tells whether an installation whose database names that signing key can be served
// with these keys: it is theirs, or the one before, which serve replaces by theirs. "":
// the database names none yet.
func (k keys) fits(name string) bool { return name == "" || name == k.keyID() || k.rotated(name) }

// rotated tells whether the key of that name is the one before.
func (k keys) rotated(name string) bool { return k.Previous != nil && name == keyName(k.Previous) }

// keyFileBefore is the key file as it was before it was last written.
const keyFileBefore = keyFile + ".before"

// save writes the file so that a power cut leaves it whole: the keys of before, which
// stay beside it as unlatch.key.before, or these. Once it has returned no power cut takes
// them back, since devices may obey them a moment later.
func (k keys) save(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	before, err := os.ReadFile(path)
	switch {
	case err == nil && !bytes.Equal(before, b):
		err = writeSecret(filepath.Join(filepath.Dir(path), keyFileBefore), before)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = writeSecret(path, b)
	}
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}

// writeSecret puts a file that its owner alone can read in place of one of that name, and
// has the disk confirm both the bytes and the name.
func writeSecret(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder outlive a power cut.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// signer signs commands; public is what devices are given.
func (k keys) signer() (s wire.Signer, public ed25519.PublicKey) {
	private := ed25519.NewKeyFromSeed(k.Signing)
	return wire.NewSigner(private), private.Public().(ed25519.PublicKey)
}

// keyID names the signing key in the database.
func (k keys) keyID() string { return keyName(k.Signing) }

// keyName is the id of a signing key, in hex.
func keyName(seed []byte) string {
	return hex.EncodeToString(wire.KeyID(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)))
}

// others signs for devices that know the previous key alone; those whose key has no
// name yet are among them.
func (k keys) others() map[string]wire.Signer {
	if k.Previous == nil {
		return nil
	}
	s := wire.NewSigner(ed25519.NewKeyFromSeed(k.Previous))
	return map[string]wire.Signer{keyName(k.Previous): s, "": s}
}

// derive makes the secret of one purpose, 32 bytes.
func (k keys) derive(purpose string) []byte {
	b, err := hkdf.Key(sha256.New, k.Secret, nil, "unlatch "+purpose, 32)
	if err != nil {
		panic("derive " + purpose + ": " + err.Error()) // of constant sizes: cannot fail
	}
	return b
}

// removeKeys takes back keys that were made for a database that has its own.
func removeKeys(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) }

// newUUID draws a UUIDv7.
func newUUID() string { return uuid.Must(uuid.NewV7()).String() }
