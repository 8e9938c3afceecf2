package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// codesMost is how many codes of one device are shown.
const codesMost = 200

func (a *API) codeRoutes(h huma.API) {
	a.batchListRoutes(h)
	a.sheetRoutes(h)
	register(a, h, forStaff("list-codes", http.MethodGet, "/v1/operator/codes", "Codes, newest first"), a.listCodes)
	mint := forStaff("mint-code", http.MethodPost, "/v1/operator/codes", "Mint a code for an outlet")
	mint.DefaultStatus = http.StatusCreated
	register(a, h, mint, a.mintCode)
	register(a, h, forStaff("get-code", http.MethodGet, "/v1/operator/codes/{number}", "One code"), a.getCode)
	register(a, h, forStaff("revoke-code", http.MethodPost, "/v1/operator/codes/{number}/revoke",
		"Take a code out of use for good"), a.revokeCode)
	remint := forStaff("remint-code", http.MethodPost, "/v1/operator/codes/{number}/remint",
		"Replace a code by a new one: for the same outlet, or with the same label of its batch")
	remint.DefaultStatus = http.StatusCreated
	register(a, h, remint, a.remintCode)
	text := &huma.Schema{Type: huma.TypeString}
	register(a, h, answersOf(forStaff("code-symbol-svg", http.MethodGet, "/v1/operator/codes/{number}/symbol.svg",
		"The symbol as SVG"), http.StatusOK, "image/svg+xml", text), a.symbolSVG)
	register(a, h, answersOf(forStaff("code-symbol-png", http.MethodGet, "/v1/operator/codes/{number}/symbol.png",
		"The symbol as PNG"), http.StatusOK, "image/png", &huma.Schema{Type: huma.TypeString, Format: "binary"}), a.symbolPNG)
}

// Code is a printed number.
type Code struct {
	Number  string `json:"number"`
	Printed string `json:"printed" doc:"With dashes, as people read it"`
	URL     string `json:"url" doc:"What its symbol says"`
	Device  string `json:"device,omitempty"`
	Outlet  int    `json:"outlet,omitempty"`
	Kiosk   bool   `json:"kiosk,omitempty" doc:"It hangs at the kiosk, not at the device"`
	Revoked bool   `json:"revoked"`
	Venue   string `json:"venue,omitempty" doc:"That it was printed for, or its device's"`
	Batch   string `json:"batch,omitempty" doc:"That it was printed with"`
	Label   int    `json:"label,omitempty" doc:"Its place in the batch, from 1"`
}

// CodeList is codes, newest first.
type CodeList struct {
	Codes []Code `json:"codes"`
}

func (a *API) codeOf(c order.Code) Code {
	n := qr.Number(c.Number)
	return Code{Number: c.Number, Printed: qr.Format(n), URL: a.codeURL(n), Device: string(c.Device), Outlet: int(c.Outlet),
		Kiosk: c.Kiosk, Revoked: c.Revoked, Venue: c.Venue, Batch: c.Batch, Label: c.Label}
}

// codeURL is what the symbol of a number says.
func (a *API) codeURL(n qr.Number) string {
	return a.Scheme + strings.TrimPrefix(qr.URL(a.Domain, n), "https")
}

type listCodesInput struct {
	Device string `query:"device" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type listCodesOutput struct{ Body CodeList }

func (a *API) listCodes(ctx context.Context, in *listCodesInput) (*listCodesOutput, error) {
	codes, err := a.Store.Codes(ctx, device.ID(in.Device), in.Limit)
	if err != nil {
		return nil, err
	}
	return &listCodesOutput{CodeList{each(codes, a.codeOf)}}, nil
}

// MintBody names the outlet that a new code stands for.
type MintBody struct {
	Device string `json:"device" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Outlet int    `json:"outlet,omitempty" minimum:"1" maximum:"255" default:"1"`
	Kiosk  bool   `json:"kiosk,omitempty" doc:"It will hang at the kiosk, not at the device"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type mintCodeInput struct{ Body MintBody }

type codeOutput struct{ Body Code }

func (a *API) mintCode(ctx context.Context, in *mintCodeInput) (*codeOutput, error) {
	n := uint8(max(in.Body.Outlet, 1))
	if err := a.outletKnown(ctx, device.ID(in.Body.Device), n); err != nil {
		return nil, err
	}
	code, err := a.mint(ctx, order.Code{Device: device.ID(in.Body.Device), Outlet: n, Kiosk: in.Body.Kiosk}, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &codeOutput{a.codeOf(code)}, nil
}

// outletKnown is errDeviceUnknown unless the device has that outlet.
func (a *API) outletKnown(ctx context.Context, id device.ID, n uint8) error {
	rows, err := a.Store.Devices(ctx, id, "", "", 1)
	if err != nil {
		return err
	}
	for _, row := range rows {
		for _, o := range row.Outlets {
			if o.N == n {
				return nil
			}
		}
	}
	return errDeviceUnknown
}

// mint stores a new code.
func (a *API) mint(ctx context.Context, code order.Code, reason string) (order.Code, error) {
	err := order.DrawNumber(a.Minter, rand.Reader, func(number string) error {
		code.Number = number
		// The audit names the device: a code's number is shown by the code alone.
		return a.Store.AddCode(ctx, code, audit(ctx, "code.mint", "device "+string(code.Device), reason,
			map[string]any{"outlet": code.Outlet, "kiosk": code.Kiosk}))
	})
	return code, err
}

type codePath struct {
	Number string `path:"number" maxLength:"20"`
}

type codeActInput struct {
	Number string `path:"number" maxLength:"20"`
	Body   *OptionalReasonBody
}

// numbered reads a number of a path, with or without dashes.
func (a *API) numbered(text string) (qr.Number, error) {
	code, err := a.presented("", text)
	return code.Number, err
}

// known is the code of a number that staff named.
func (a *API) known(ctx context.Context, text string) (qr.Number, order.Code, error) {
	number, err := a.numbered(text)
	if err != nil {
		return "", order.Code{}, err
	}
	code, err := a.Store.Code(ctx, string(number))
	if err != nil {
		return "", code, instead(err, errCodeUnknown)
	}
	return number, code, nil
}

func (a *API) getCode(ctx context.Context, in *codePath) (*codeOutput, error) {
	_, code, err := a.known(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	return &codeOutput{a.codeOf(code)}, nil
}

func (a *API) revokeCode(ctx context.Context, in *codeActInput) (*codeOutput, error) {
	_, code, err := a.known(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	if err := a.revoke(ctx, code, reasonOf(in.Body)); err != nil {
		return nil, err
	}
	code.Revoked = true
	return &codeOutput{a.codeOf(code)}, nil
}

func (a *API) revoke(ctx context.Context, code order.Code, reason string) error {
	object := "code **********" + code.Number[max(len(code.Number)-4, 0):]
	switch {
	case code.Device != "":
		object += " of device " + string(code.Device)
	case code.Batch != "":
		object += fmt.Sprintf(" of batch %s, label %d", code.Batch, code.Label)
	}
	return instead(a.Store.RevokeCode(ctx, code.Number, audit(ctx, "code.revoke", object, reason, nil)), errCodeUnknown)
}

// remintCode mints before it revokes: when it breaks off in between, both stickers
// work, rather than none.
func (a *API) remintCode(ctx context.Context, in *codeActInput) (*codeOutput, error) {
	_, old, err := a.known(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	act := audit(ctx, "code.remint", "device "+string(old.Device), reasonOf(in.Body), nil)
	var code order.Code
	err = order.DrawNumber(a.Minter, rand.Reader, func(number string) error {
		code, err = a.Store.ReplaceCode(ctx, old.Number, number, act)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &codeOutput{a.codeOf(code)}, nil
}

func (a *API) symbolSVG(ctx context.Context, in *codePath) (*rawAnswer, error) {
	number, matrix, err := a.symbol(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	picture, err := matrix.SVG(qr.Format(number))
	if err != nil {
		return nil, err
	}
	return &rawAnswer{Status: http.StatusOK, ContentType: "image/svg+xml", Body: picture}, nil
}

type symbolPNGInput struct {
	Number string `path:"number" maxLength:"20"`
	Scale  int    `query:"scale" minimum:"4" maximum:"64" default:"8" doc:"Pixels per module"`
}

func (a *API) symbolPNG(ctx context.Context, in *symbolPNGInput) (*rawAnswer, error) {
	number, matrix, err := a.symbol(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	picture, err := matrix.PNG(in.Scale, qr.Format(number))
	if err != nil {
		return nil, err
	}
	return &rawAnswer{Status: http.StatusOK, ContentType: "image/png", Body: picture}, nil
}

// symbol encodes a stored number. What is drawn of it is read back by qr before
// it leaves.
func (a *API) symbol(ctx context.Context, text string) (qr.Number, qr.Matrix, error) {
	number, code, err := a.known(ctx, text)
	if err != nil {
		return "", qr.Matrix{}, err
	}
	if code.Revoked {
		return "", qr.Matrix{}, order.ErrCodeRevoked
	}
	matrix, err := qr.Encode(a.codeURL(number))
	return number, matrix, err
}
