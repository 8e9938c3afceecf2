package main

import (
	"context"
	"time"

	"github.com/unlatch/unlatch/console"
)

// console returns the operator's console, which may load map tiles from where the
// installation's settings say.
func (n *node) console(ctx context.Context) (*console.Console, error) {
	return console.New(console.Config{Images: func() []string {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		p, err := n.db.Preferences(ctx)
		if err != nil {
			n.c.Log.Warn("map tiles stay away from the console", "err", err)
			return nil
		}
		if origin, err := p.Map.Origin(); err == nil && origin != "" {
			return []string{origin}
		}
		return nil
	}})
}
