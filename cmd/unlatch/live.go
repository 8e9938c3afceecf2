package main

import (
	"context"
	"strings"

	"github.com/unlatch/unlatch/bus"
	"github.com/unlatch/unlatch/live"
)

// startLive runs what keeps the fleet in memory while staff look at it.
func (n *node) startLive(conn *bus.Conn) error {
	hub, err := live.New(live.Config{Fleet: n.db, Updates: updates{conn}, Glimpses: n.seen, Log: n.c.Log})
	if err != nil {
		return err
	}
	n.live = hub
	n.beside(func(ctx context.Context) error { return hub.Run(ctx) })
	return nil
}

// updates gives the hub the bus's messages by the subjects that orders use.
type updates struct{ conn *bus.Conn }

func (u updates) Listen(hear func(subject string, payload []byte)) (cancel func()) {
	return u.conn.Listen(func(subject string, payload []byte) {
		if subject, ours := strings.CutPrefix(subject, "unlatch."); ours {
			hear(subject, payload)
		}
	})
}
