package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/bus"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// provision draws a device's key pair, makes the device known (or gives it its
// next epoch) and returns the provisioning file. The private key is in that file
// and nowhere else.
func (n *node) provision(ctx context.Context, r api.ProvisionRequest) (any, error) {
	if bus.Reserved(string(r.Device)) {
		return nil, fmt.Errorf("device id %s is reserved for the broker's own clients: %w", r.Device, order.ErrInvalid)
	}
	if r.DryRun {
		return nil, n.orders.TryProvision(ctx, order.Provision{Device: r.Device, Kind: r.Kind, Venue: r.Venue, Outlets: r.Outlets,
			Grades: r.Grades, Display: r.Display, Bluetooth: r.Bluetooth, OnlyNew: r.OnlyNew, PublicKey: make([]byte, ed25519.PublicKeySize), Staff: r.Staff})
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw device key: %w", err)
	}
	d, err := n.orders.Provision(ctx, order.Provision{Device: r.Device, Kind: r.Kind, Venue: r.Venue, Outlets: r.Outlets,
		Grades: r.Grades, Display: r.Display, Bluetooth: r.Bluetooth, OnlyNew: r.OnlyNew, PublicKey: public, Staff: r.Staff})
	if err != nil {
		return nil, err
	}
	n.ingest.Forget(d.ID)
	file := sim.Provision{Device: string(d.ID), Kind: string(d.Kind), Epoch: d.Epoch, Key: private.Seed(),
		MQTTPassword: n.logins.Password(d.ID, d.Epoch), Broker: n.broker(),
		Bluetooth: d.Bluetooth}
	if err := n.provisionOutlets(ctx, d, r, &file); err != nil {
		return nil, err
	}
	_, server := n.c.Keys.signer()
	file.ServerKeys = [][]byte{server}
	// The broker's list follows within seconds; an older epoch's login must not
	// last that long.
	if err := n.logins.Refresh(ctx); err != nil && !errors.Is(err, context.Canceled) {
		n.c.Log.Warn("list of logins not refreshed", "err", err)
	}
	return file, nil
}

// provisionOutlets writes what a device with nozzles or screens needs besides: the
// grades, and per screen the address of its code and the secret behind it. The
// number is that of the outlet's code, made now where it has none.
func (n *node) provisionOutlets(ctx context.Context, d device.Device, r api.ProvisionRequest, file *sim.Provision) error {
	if len(r.Grades) == 0 && !r.Display {
		return nil
	}
	known, err := n.db.Codes(ctx, d.ID, 500)
	if err != nil {
		return err
	}
	for i := 1; i <= r.Outlets; i++ {
		outlet := sim.ProvisionOutlet{Outlet: uint8(i), Nozzles: r.Grades[uint8(i)]}
		if r.Display {
			if outlet.Display, err = n.screen(ctx, d, uint8(i), known, r.Staff); err != nil {
				return err
			}
		}
		file.Outlets = append(file.Outlets, outlet)
	}
	if r.Display {
		file.CodeSeconds, file.CodeLength = int64(n.c.Codes.Validity/time.Second), int64(n.c.Codes.Length)
	}
	return nil
}

func (n *node) screen(ctx context.Context, d device.Device, outlet uint8, known []order.Code, a order.Audit) (*sim.ProvisionDisplay, error) {
	number := ""
	for _, c := range known {
		if c.Outlet == outlet && !c.Revoked && !c.Kiosk {
			number = c.Number
		}
	}
	if number == "" {
		mint := a
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		mint.ID, mint.Act, mint.Object, mint.At = id.String(), "code.mint", "device "+string(d.ID), time.Now()
		if number, err = n.mint(ctx, d.ID, outlet, mint); err != nil {
			return nil, fmt.Errorf("code for the screen of outlet %d: %w", outlet, err)
		}
	}
	r, err := displays{n.c.Keys.derive("display"), n.c.Codes}.rotation(d.ID, outlet, d.Epoch)
	if err != nil {
		return nil, err
	}
	return &sim.ProvisionDisplay{URL: n.scheme() + strings.TrimPrefix(qr.URL(n.c.Domain, qr.Number(number)), "https") + "-", Secret: r.Secret}, nil
}

// scheme is that of the addresses in codes.
func (n *node) scheme() string {
	if n.c.CodeScheme != "" {
		return n.c.CodeScheme
	}
	return "https"
}

// broker is the address that devices are told.
func (n *node) broker() string {
	if n.c.PublicMQTT != "" {
		return n.c.PublicMQTT
	}
	if n.c.TLS != nil {
		return "mqtts://" + n.MQTTAddr
	}
	return "mqtt://" + n.MQTTAddr
}

// mint stores a new code for an outlet and returns its number.
func (n *node) mint(ctx context.Context, id device.ID, outlet uint8, a order.Audit) (string, error) {
	var minted string
	err := order.DrawNumber(n.minter, rand.Reader, func(number string) error {
		minted = number
		return n.db.AddCode(ctx, order.Code{Number: number, Device: id, Outlet: outlet}, a)
	})
	return minted, err
}
