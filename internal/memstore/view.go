package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Orders returns every order by id, for oracles.
func (s *Store) Orders() []order.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []order.Order
	for _, o := range s.orders {
		all = append(all, clone(o))
	}
	slices.SortFunc(all, func(a, b order.Order) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Order returns one order; order.ErrNotFound.
func (s *Store) Order(_ context.Context, id string) (order.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.orders[id]
	if !ok {
		return o, fmt.Errorf("order %q: %w", id, order.ErrNotFound)
	}
	return clone(o), nil
}

// Devices returns every device by id, for oracles.
func (s *Store) Devices() []device.Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []device.Device
	for _, d := range s.devices {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b device.Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

// Outlets returns a device's outlets, for oracles.
func (s *Store) Outlets(id device.ID) []device.Outlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []device.Outlet
	for k, o := range s.outlets {
		if k.device == id {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b device.Outlet) int { return int(a.N) - int(b.N) })
	return all
}

// Key returns the public key of one epoch of a device.
func (s *Store) Key(id device.ID, epoch uint32) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[id][epoch]
	return k, ok
}

// Commands returns every command by id, for oracles.
func (s *Store) Commands() []device.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []device.Command
	for _, c := range s.commands {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b device.Command) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Ledger returns every transfer by id and every balance, for oracles.
func (s *Store) Ledger() ([]billing.Transfer, []billing.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var transfers []billing.Transfer
	for _, t := range s.transfers {
		transfers = append(transfers, t)
	}
	slices.SortFunc(transfers, func(a, b billing.Transfer) int { return strings.Compare(a.ID, b.ID) })
	var accounts []billing.Account
	for _, a := range s.accounts {
		accounts = append(accounts, a)
	}
	slices.SortFunc(accounts, func(a, b billing.Account) int { return cmp.Compare(a.ID, b.ID) })
	return transfers, accounts
}

// Items returns the open items, oldest first.
func (s *Store) Items() []order.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.items)
}

// Updates returns the outbox, oldest first; nothing leaves it.
func (s *Store) Updates() []order.Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.updates)
}

// Audits returns the rows of privileged acts.
func (s *Store) Audits() []order.Audit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.audits)
}

// Moves returns an order's history, oldest first.
func (s *Store) Moves(_ context.Context, id string) ([]order.Move, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []order.Move
	for _, m := range s.moves {
		if m.Order == id {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b order.Move) int { return cmp.Compare(a.N, b.N) })
	return all, nil
}
