package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/bus"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// provision draws a device's key pair, makes the device known (or gives it its
// next epoch) and returns the provisioning file. The private key is in that file
// and nowhere else.
func (n *node) provision(ctx context.Context, r api.ProvisionRequest) (any, error) {
	if bus.Reserved(string(r.Device)) {
		return nil, fmt.Errorf("device id %s is reserved for the broker's own clients: %w", r.Device, order.ErrInvalid)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw device key: %w", err)
	}
	d, err := n.orders.Provision(ctx, order.Provision{Device: r.Device, Kind: r.Kind, Venue: r.Venue, Outlets: r.Outlets,
		PublicKey: public, Staff: r.Staff})
	if err != nil {
		return nil, err
	}
	file := sim.Provision{Device: string(d.ID), Kind: string(d.Kind), Epoch: d.Epoch, Key: private.Seed(),
		MQTTPassword: n.logins.Password(d.ID, d.Epoch), Broker: n.broker()}
	_, server := n.c.Keys.signer()
	file.ServerKeys = [][]byte{server}
	// The broker's list follows within seconds; an older epoch's login must not
	// last that long.
	if err := n.logins.Refresh(ctx); err != nil && !errors.Is(err, context.Canceled) {
		n.c.Log.Warn("list of logins not refreshed", "err", err)
	}
	return file, nil
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
	for {
		number, err := n.minter.Mint(rand.Reader)
		if err != nil {
			return "", err
		}
		err = n.db.AddCode(ctx, order.Code{Number: string(number), Device: id, Outlet: outlet}, a)
		if !errors.Is(err, order.ErrExists) {
			return string(number), err
		}
	}
}
