package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (a *API) bindRoutes(h huma.API) {
	bind := forStaff("bind-code", http.MethodPost, "/v1/operator/codes/{number}/bind", "Hang a printed code on a device")
	bind.Description += " For who stands before the device with a fresh sticker. Name the device, or give device_code: what" +
		" another code of that device says. A code that hangs elsewhere is only moved with move, and not while an order is" +
		" live where it hangs; a code of a batch stays within its venue. Binding what is bound so already changes nothing."
	register(a, h, bind, a.bindCode)
	swap := forStaff("swap-codes", http.MethodPost, "/v1/operator/codes/swap", "Swap two devices' codes")
	swap.Description += " For stickers that were put on the wrong devices: each code then hangs on the other's outlet, both or" +
		" neither, and neither while an order is live at one of them."
	register(a, h, swap, a.swapCodes)
}

// BindBody names where a code hangs: device or device_code, exactly one.
type BindBody struct {
	Device     string `json:"device,omitempty" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	DeviceCode string `json:"device_code,omitempty" maxLength:"512" doc:"Another code of the device, as scanned or typed"`
	Outlet     int    `json:"outlet,omitempty" minimum:"1" maximum:"255" doc:"Unless given: that of device_code, else 1"`
	Move       bool   `json:"move,omitempty" doc:"Take it off the outlet that it hangs on"`
	Reason     string `json:"reason,omitempty" maxLength:"500" doc:"Kept in the audit"`
}

type bindCodeInput struct {
	Number string `path:"number" maxLength:"20"`
	Body   BindBody
}

func (a *API) bindCode(ctx context.Context, in *bindCodeInput) (*codeOutput, error) {
	if (in.Body.Device == "") == (in.Body.DeviceCode == "") {
		return nil, errBadRequest
	}
	number, _, err := a.known(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	id, outlet := device.ID(in.Body.Device), uint8(in.Body.Outlet)
	if in.Body.DeviceCode != "" {
		_, other, err := a.known(ctx, in.Body.DeviceCode)
		switch {
		case err != nil:
			return nil, err
		case other.Revoked:
			return nil, order.ErrCodeRevoked
		case other.Device == "":
			return nil, order.ErrCodeUnbound
		}
		id = other.Device
		if outlet == 0 {
			outlet = other.Outlet
		}
	}
	outlet = max(outlet, 1)
	if err := a.outletKnown(ctx, id, outlet); err != nil {
		return nil, err
	}
	code, err := a.Store.BindCode(ctx, order.BindCode{Number: string(number), Device: id, Outlet: outlet, Move: in.Body.Move,
		Staff: audit(ctx, "code.bind", "device "+string(id), in.Body.Reason, nil)})
	if err != nil {
		return nil, instead(err, errCodeUnknown)
	}
	return &codeOutput{a.codeOf(code)}, nil
}

// SwapBody names two codes, as printed or as scanned.
type SwapBody struct {
	A      string `json:"a" minLength:"1" maxLength:"512"`
	B      string `json:"b" minLength:"1" maxLength:"512"`
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Kept in the audit"`
}

type swapCodesInput struct{ Body SwapBody }

type codeListOutput struct{ Body CodeList }

func (a *API) swapCodes(ctx context.Context, in *swapCodesInput) (*codeListOutput, error) {
	one, _, err := a.known(ctx, in.Body.A)
	if err != nil {
		return nil, err
	}
	other, _, err := a.known(ctx, in.Body.B)
	if err != nil {
		return nil, err
	}
	codes, err := a.Store.SwapCodes(ctx, string(one), string(other), audit(ctx, "code.swap", "", in.Body.Reason, nil))
	if err != nil {
		return nil, instead(err, errCodeUnknown)
	}
	return &codeListOutput{CodeList{each(codes[:], a.codeOf)}}, nil
}
