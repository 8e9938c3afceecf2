package main

import (
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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		k = keys{Signing: make([]byte, 32), Secret: make([]byte, 32)}
		rand.Read(k.Signing)
		rand.Read(k.Secret)
		return k, true, k.save(path)
	}
	if err != nil {
		return k, false, fmt.Errorf("read keys: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return k, false, fmt.Errorf("%s can be read by others; run: chmod 600 %s", path, path)
	}
	if err := json.Unmarshal(b, &k); err != nil || len(k.Signing) != 32 || len(k.Secret) != 32 ||
		len(k.Previous) != 0 && len(k.Previous) != 32 || !k.identitiesFit() {
		return k, false, fmt.Errorf("%s is not a key file; restore it from your backup", path)
	}
	return k, false, nil
}

// save writes the file so that a power cut leaves it whole or absent.
func (k keys) save(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), keyFile+".*")
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
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
