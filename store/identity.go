package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// IdentityKey encrypts riders' identities at rest. ID names it in the database: 16
// hex digits, or "" for the one that follows from the installation's secret.
type IdentityKey struct {
	ID  string
	Key []byte // 32 bytes
}

// ErrIdentityKey says that riders are encrypted with a key that this process was not
// given.
var ErrIdentityKey = errors.New("riders' identities are encrypted with another key; put the newest key file in place and restart")

// identitySetting names, in settings, the key that new riders are encrypted with.
const identitySetting = "identity_key"

// identities are the keys by their ids.
type identities map[string]identityBox

func newIdentities(c Config) (identities, error) {
	keys := c.IdentityKeys
	if c.IdentityKey != nil {
		keys = append([]IdentityKey{{Key: c.IdentityKey}}, keys...)
	}
	if len(keys) == 0 {
		return nil, errors.New("store.Open: give an IdentityKey")
	}
	all := identities{}
	for _, k := range keys {
		if len(k.Key) != 32 {
			return nil, errors.New("store.Open: an identity key must be 32 bytes")
		}
		block, err := aes.NewCipher(k.Key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		all[k.ID] = identityBox{k.ID, k.Key, aead}
	}
	return all, nil
}

// macs are what a rider may be found by, whichever key they are under.
func (all identities) macs(openid string) [][]byte {
	var macs [][]byte
	for _, b := range all {
		macs = append(macs, b.mac(openid))
	}
	return macs
}

// phoneMACs are what riders of a number may be found by.
func (all identities) phoneMACs(number string) [][]byte {
	var macs [][]byte
	for _, b := range all {
		macs = append(macs, b.phoneMAC(number))
	}
	return macs
}

// open is what the key of that id sealed. ErrIdentityKey: it is none of ours.
func (all identities) open(id string, box []byte) (string, error) {
	b, ok := all[id]
	if !ok {
		return "", fmt.Errorf("key %q: %w", id, ErrIdentityKey)
	}
	return b.open(box)
}

// identityBox encrypts and finds riders' identities with one key.
type identityBox struct {
	id   string
	key  []byte
	aead cipher.AEAD
}

// mac finds a rider by identity without storing it in the clear.
func (b identityBox) mac(openid string) []byte {
	h := hmac.New(sha256.New, b.key)
	h.Write([]byte("openid"))
	h.Write([]byte(openid))
	return h.Sum(nil)
}

// phoneMAC finds riders by the number that they gave.
func (b identityBox) phoneMAC(number string) []byte {
	h := hmac.New(sha256.New, b.key)
	h.Write([]byte("phone"))
	h.Write([]byte(number))
	return h.Sum(nil)
}

// bound is what a box cannot be opened without: it is ours, and of this key.
func (b identityBox) bound() []byte {
	if b.id == "" { // boxes from before keys had names
		return []byte("openid")
	}
	return []byte("openid/" + b.id)
}

func (b identityBox) seal(openid string) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce)
	return b.aead.Seal(nonce, nonce, []byte(openid), b.bound())
}

// open is what seal closed.
func (b identityBox) open(box []byte) (string, error) {
	n := b.aead.NonceSize()
	if len(box) < n {
		return "", errors.New("it is cut short")
	}
	openid, err := b.aead.Open(nil, box[:n], box[n:], b.bound())
	return string(openid), err
}

// RiderByIdentity returns the id of the rider with this WeChat openid, making
// one at the first login. ErrIdentityKey: who is not found may be under a key that
// this process does not know, so that nobody is made twice.
func (db *DB) RiderByIdentity(ctx context.Context, openid string) (string, error) {
	macs := db.identity.macs(openid)
	const look = `SELECT id::text FROM riders WHERE openid_mac = ANY($1::bytea[]) LIMIT 1`
	var rider string
	err := db.pool.QueryRow(ctx, look, macs).Scan(&rider)
	if err == nil {
		return rider, nil
	}
	fail := func(err error) (string, error) { return "", fmt.Errorf("find rider: %w", err) }
	if !errors.Is(err, pgx.ErrNoRows) {
		return fail(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// The key cannot change while this row is held, so that all who make a rider at once
	// use one, and meet in one mac.
	var name string
	if err := tx.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1 FOR SHARE`, identitySetting).Scan(&name); err != nil {
		return fail(err)
	}
	box, ok := db.identity[name]
	if !ok {
		return fail(fmt.Errorf("key %q: %w", name, ErrIdentityKey))
	}
	if err := tx.QueryRow(ctx, look, macs).Scan(&rider); err == nil { // made under the key before, meanwhile
		return rider, nil
	} else if !errors.Is(err, pgx.ErrNoRows) {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO riders (id, openid_mac, openid_box, openid_key, created_at) VALUES ($1, $2, $3, $4, now())
		ON CONFLICT (openid_mac) DO NOTHING`, id.String(), box.mac(openid), box.seal(openid), name); err != nil {
		return fail(err)
	}
	if err := tx.QueryRow(ctx, look, macs).Scan(&rider); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	return rider, nil
}

// CheckIdentityKey returns ErrIdentityKey when new riders are to be encrypted with a
// key that this process was not given.
func (db *DB) CheckIdentityKey(ctx context.Context) error {
	name, err := db.Setting(ctx, identitySetting)
	if err != nil {
		return err
	}
	if _, ok := db.identity[name]; !ok {
		return fmt.Errorf("identity key %q: %w", name, ErrIdentityKey)
	}
	return nil
}

// IdentityCount tells the key that new riders are encrypted with, and how many riders
// are under each key.
func (db *DB) IdentityCount(ctx context.Context) (current string, by map[string]int, err error) {
	if current, err = db.Setting(ctx, identitySetting); err != nil {
		return "", nil, err
	}
	rows, err := db.pool.Query(ctx, `SELECT k, count(*) FROM (SELECT openid_key AS k FROM riders WHERE erased_at IS NULL
		UNION ALL SELECT phone_key FROM riders WHERE phone_key <> openid_key) x GROUP BY k`)
	if err != nil {
		return "", nil, fmt.Errorf("count riders by key: %w", err)
	}
	by = map[string]int{}
	var name string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { by[name] = n; return nil }); err != nil {
		return "", nil, fmt.Errorf("count riders by key: %w", err)
	}
	return current, by, nil
}

// moveBatch is how many riders one transaction moves.
const moveBatch = 200

// MoveIdentities makes key to the one that new riders are encrypted with, and then
// encrypts all others with it, a few hundred at a time; step, unless nil, is told how
// many more were moved. It may be stopped anywhere and run again, beside replicas that
// know both keys; one that does not know to logs nobody in whom it cannot find. Those
// whose own key is not among ours, or whose box cannot be opened, stay and are
// returned.
func (db *DB) MoveIdentities(ctx context.Context, to string, step func(moved int)) (unreadable []string, err error) {
	box, ok := db.identity[to]
	if !ok {
		return nil, fmt.Errorf("key %q: %w", to, ErrIdentityKey)
	}
	if err := db.PutSetting(ctx, identitySetting, to); err != nil { // waits for who is making a rider with the one before
		return nil, err
	}
	for last := uuid.Nil.String(); ; {
		end, moved, bad, err := db.moveSome(ctx, box, last)
		if err != nil {
			return unreadable, fmt.Errorf("move identities: %w", err)
		}
		unreadable = append(unreadable, bad...)
		if step != nil {
			step(moved)
		}
		if end == "" {
			return unreadable, nil
		}
		last = end
	}
}

// moveSome moves riders behind last; end is the last one it looked at, "" when there
// are no more.
func (db *DB) moveSome(ctx context.Context, to identityBox, last string) (end string, moved int, unreadable []string, err error) {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return "", 0, nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	rows, err := tx.Query(ctx, `SELECT id::text, openid_key, openid_box, phone_key, phone_box FROM riders
		WHERE id > $1 AND (openid_key <> $2 OR phone_key <> $2) AND erased_at IS NULL ORDER BY id LIMIT $3 FOR UPDATE`, last, to.id, moveBatch)
	if err != nil {
		return "", 0, nil, err
	}
	type held struct {
		id, key    string
		box, phone []byte
		phoneKey   *string
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h held, err error) {
		return h, row.Scan(&h.id, &h.key, &h.box, &h.phoneKey, &h.phone)
	})
	if err != nil {
		return "", 0, nil, err
	}
	b := &pgx.Batch{}
	for _, h := range found {
		openid, err := db.identity.open(h.key, h.box)
		if err != nil {
			unreadable = append(unreadable, h.id)
			continue
		}
		if h.phoneKey != nil {
			number, err := db.identity.open(*h.phoneKey, h.phone)
			if err != nil {
				unreadable = append(unreadable, h.id)
				continue
			}
			b.Queue(`UPDATE riders SET phone_mac = $2, phone_box = $3, phone_key = $4 WHERE id = $1`,
				h.id, to.phoneMAC(number), to.seal(number), to.id)
		}
		moved++
		b.Queue(`UPDATE riders SET openid_mac = $2, openid_box = $3, openid_key = $4 WHERE id = $1`,
			h.id, to.mac(openid), to.seal(openid), to.id)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return "", 0, nil, err
	}
	if err := tx.Commit(ctx); err != nil {
		return "", 0, nil, err
	}
	if len(found) == moveBatch {
		end = found[len(found)-1].id
	}
	return end, moved, unreadable, nil
}
