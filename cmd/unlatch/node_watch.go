package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
	"github.com/unlatch/unlatch/webhook"
)

// startWatch runs what looks after the installation beside riders' requests: alarms,
// webhooks and acts on many devices. Every replica runs all of it.
func (n *node) startWatch() {
	n.beside((&order.Watchman{Book: n.db, Battery: n.seen.Battery, Env: n.orders.Env, Every: n.c.AlarmEvery, Log: n.c.Log, Committed: n.kickRelay}).Run)
	n.webhooks = &webhook.Sender{Store: n.db, Log: n.c.Log, Private: n.c.WebhooksPrivate}
	n.beside(n.webhooks.Run)
	n.beside(n.bulks.Run)
}

// phoneOf exchanges the codes of phone buttons, in the API's words.
func phoneOf(app *wechat.App) func(context.Context, string, billing.Payer) (string, error) {
	return func(ctx context.Context, code string, of billing.Payer) (string, error) {
		number, err := app.Phone(ctx, code, of)
		switch {
		case errors.Is(err, wechat.ErrBadCode):
			return "", fmt.Errorf("%w: %w", api.ErrLoginCode, err)
		case errors.Is(err, wechat.ErrBusy):
			return "", fmt.Errorf("%w: %w", api.ErrLoginBusy, err)
		}
		return string(number), err
	}
}

// givenPhones checks that a phone button's code is its rider's own.
type givenPhones struct {
	exchange func(ctx context.Context, code string, of billing.Payer) (string, error)
	db       *store.DB
}

func (g givenPhones) Phone(ctx context.Context, rider, code string) (string, error) {
	payer, err := g.db.Payer(ctx, rider)
	if err != nil {
		return "", err
	}
	return g.exchange(ctx, code, payer)
}
