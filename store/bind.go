package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// heldRow is a code whose row is locked. only is the venue that it was printed for,
// "" = it may hang anywhere.
type heldRow struct {
	order.Code
	only string
}

// heldCode locks a code that is in use: order.ErrNotFound, order.ErrCodeRevoked.
// Codes are locked before devices and outlets, by number.
func heldCode(ctx context.Context, tx pgx.Tx, number string) (heldRow, error) {
	var h heldRow
	err := tx.QueryRow(ctx, `SELECT coalesce(venue, '') FROM codes WHERE number = $1 FOR UPDATE`, number).Scan(&h.only)
	if errors.Is(err, pgx.ErrNoRows) {
		return h, order.ErrNotFound
	}
	if err != nil {
		return h, err
	}
	if h.Code, err = scanCode(tx.QueryRow(ctx, `SELECT `+codeColumns+` FROM codes c WHERE c.number = $1`, number)); err != nil {
		return h, err
	}
	if h.Revoked {
		return h, order.ErrCodeRevoked
	}
	return h, nil
}

// fits tells whether a code may hang on an outlet. order.ErrUnknown: there is no such
// outlet. order.ErrNotInService: its device is retired. order.ErrCodeVenue.
func (h heldRow) fits(ctx context.Context, tx pgx.Tx, id device.ID, outlet uint8) error {
	var venue string
	var service device.Service
	err := tx.QueryRow(ctx, `SELECT d.venue, d.service FROM devices d JOIN outlets o ON o.device = d.id
		WHERE d.id = $1 AND o.n = $2 FOR SHARE OF d`, id, outlet).Scan(&venue, &service)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return order.ErrUnknown
	case err != nil:
		return err
	case service == device.Retired:
		return order.ErrNotInService
	case h.only != "" && h.only != venue:
		return order.ErrCodeVenue
	}
	return nil
}

// idle refuses with order.ErrOutletBusy to take a code off an outlet with a live
// order: the rider at it, and staff whom they call, go by that sticker. The outlet
// stays locked, so no order starts in between.
func idle(ctx context.Context, tx pgx.Tx, id device.ID, outlet uint8) error {
	if _, err := tx.Exec(ctx, `SELECT FROM outlets WHERE device = $1 AND n = $2 FOR UPDATE`, id, outlet); err != nil {
		return err
	}
	var live bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM orders WHERE device = $1 AND outlet = $2
		AND state IN ('pending', 'starting', 'unresolved', 'active'))`, id, outlet).Scan(&live); err != nil {
		return err
	}
	if live {
		return order.ErrOutletBusy
	}
	return nil
}

// BindCode hangs a code on an outlet and returns it. One that hangs there already is
// left as it is, without an audit row. order.ErrNotFound: there is no such code.
// order.ErrCodeRevoked, order.ErrUnknown (no such outlet), order.ErrNotInService (its
// device is retired), order.ErrCodeVenue, order.ErrCodeBound (it hangs elsewhere and
// Move is not set), order.ErrOutletBusy (it hangs where an order is live).
func (db *DB) BindCode(ctx context.Context, bind order.BindCode) (order.Code, error) {
	fail := func(err error) (order.Code, error) {
		return order.Code{}, fmt.Errorf("bind code to device %s outlet %d: %w", bind.Device, bind.Outlet, err)
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	h, err := heldCode(ctx, tx, bind.Number)
	if err != nil {
		return fail(err)
	}
	if err := h.fits(ctx, tx, bind.Device, bind.Outlet); err != nil {
		return fail(err)
	}
	if h.Device == bind.Device && h.Outlet == bind.Outlet {
		return h.Code, nil
	}
	a := bind.Staff
	a.Act = "code.bind"
	if h.Device != "" {
		if !bind.Move {
			return fail(fmt.Errorf("it hangs on device %s outlet %d: %w", h.Device, h.Outlet, order.ErrCodeBound))
		}
		if err := idle(ctx, tx, h.Device, h.Outlet); err != nil {
			return fail(err)
		}
		a.Act = "code.move"
	}
	after, err := hang(ctx, tx, h.Code, bind.Device, bind.Outlet)
	if err != nil {
		return fail(err)
	}
	a.Object, a.Before, a.After = "device "+string(bind.Device), codesJSON(h.Code), codesJSON(after)
	if err := audited(ctx, tx, a); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(applyError(err))
	}
	return after, nil
}

func hang(ctx context.Context, tx pgx.Tx, c order.Code, id device.ID, outlet uint8) (order.Code, error) {
	if _, err := tx.Exec(ctx, `UPDATE codes SET device = $2, outlet = $3 WHERE number = $1`, c.Number, id, outlet); err != nil {
		return c, domainError(err)
	}
	return scanCode(tx.QueryRow(ctx, `SELECT `+codeColumns+` FROM codes c WHERE c.number = $1`, c.Number))
}

// SwapCodes hangs two codes each on the other's outlet and returns them in the order
// of their names here, both or neither. Errors as BindCode, and order.ErrCodeUnbound
// (one of them hangs nowhere), order.ErrInvalid (both hang on the same outlet).
func (db *DB) SwapCodes(ctx context.Context, one, other string, a order.Audit) (after [2]order.Code, err error) {
	fail := func(err error) ([2]order.Code, error) { return [2]order.Code{}, fmt.Errorf("swap codes: %w", err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	held := map[string]heldRow{}
	for _, number := range slices.Sorted(slices.Values([]string{one, other})) {
		h, err := heldCode(ctx, tx, number)
		if err != nil {
			return fail(err)
		}
		if h.Device == "" {
			return fail(order.ErrCodeUnbound)
		}
		held[number] = h
	}
	x, y := held[one], held[other]
	if x.Device == y.Device && x.Outlet == y.Outlet {
		return fail(fmt.Errorf("both codes hang on device %s outlet %d: %w", x.Device, x.Outlet, order.ErrInvalid))
	}
	pair := []heldRow{x, y}
	slices.SortFunc(pair, func(a, b heldRow) int {
		return strings.Compare(fmt.Sprintf("%s/%03d", a.Device, a.Outlet), fmt.Sprintf("%s/%03d", b.Device, b.Outlet))
	})
	// Devices and then outlets, each in their order: see docs/architecture.md.
	for i, goes := range []heldRow{pair[1], pair[0]} {
		if err := goes.fits(ctx, tx, pair[i].Device, pair[i].Outlet); err != nil {
			return fail(err)
		}
	}
	for _, h := range pair {
		if err := idle(ctx, tx, h.Device, h.Outlet); err != nil {
			return fail(err)
		}
	}
	if after[0], err = hang(ctx, tx, x.Code, y.Device, y.Outlet); err != nil {
		return fail(err)
	}
	if after[1], err = hang(ctx, tx, y.Code, x.Device, x.Outlet); err != nil {
		return fail(err)
	}
	a.Act, a.Object = "code.swap", fmt.Sprintf("device %s and device %s", x.Device, y.Device)
	a.Before, a.After = codesJSON(x.Code, y.Code), codesJSON(after[:]...)
	if err := audited(ctx, tx, a); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(applyError(err))
	}
	return after, nil
}

// codesJSON is what an audit row tells of codes: all but their numbers, of which it
// has the last four digits. audit_s6_binding_has_row reads it.
func codesJSON(codes ...order.Code) json.RawMessage {
	type told struct {
		Code   string    `json:"code"`
		Batch  string    `json:"batch,omitempty"`
		Label  int       `json:"label,omitempty"`
		Device device.ID `json:"device,omitempty"`
		Outlet uint8     `json:"outlet,omitempty"`
	}
	var all []told
	for _, c := range codes {
		all = append(all, told{"**********" + c.Number[max(len(c.Number)-4, 0):], c.Batch, c.Label, c.Device, c.Outlet})
	}
	b, _ := json.Marshal(map[string]any{"codes": all}) // of plain values: cannot fail
	return b
}

// codeObject names a code that hangs nowhere.
func codeObject(c order.Code) string {
	if c.Batch != "" {
		return fmt.Sprintf("code batch %s label %d", c.Batch, c.Label)
	}
	return "code **********" + c.Number[max(len(c.Number)-4, 0):]
}
