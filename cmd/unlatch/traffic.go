package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// client is a rider's phone, as far as the API can tell.
type client struct {
	base, token, id string
}

// do sends one request and decodes its answer; a problem is an error with its
// code.
func (c client) do(ctx context.Context, method, path, key string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode >= 400 {
		var p api.Problem
		_ = json.Unmarshal(text, &p)
		p.Status = answer.StatusCode
		return &apiRefusal{method, path, p}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// apiRefusal is a problem that the API answered with.
type apiRefusal struct {
	method, path string
	api.Problem
}

func (r *apiRefusal) Error() string {
	return fmt.Sprintf("%s %s: %d %s: %s", r.method, r.path, r.Status, r.Code, r.says())
}

// says is the detail with what is wrong where.
func (r *apiRefusal) says() string {
	text := r.Detail
	for _, e := range r.Errors {
		text += "; " + e.Location + ": " + e.Message
	}
	return text
}

// client logs a rider of the WeChat double in.
func (d *demo) client(ctx context.Context, name string) (client, error) {
	var code struct {
		LoginCode string `json:"login_code"`
	}
	phone := client{base: d.ready.WeChat}
	if err := phone.do(ctx, http.MethodPost, "/riders/"+name+"/login-code", "", nil, &code); err != nil {
		return client{}, err
	}
	var in struct {
		Token string
		Rider struct{ ID string }
	}
	c := client{base: d.ready.HTTP}
	err := c.do(ctx, http.MethodPost, "/v1/login", "", map[string]string{"login_code": code.LoginCode}, &in)
	c.token, c.id = in.Token, in.Rider.ID
	return c, err
}

// bots are the riders who keep some bikes busy; nobody else uses their names.
func (d *demo) bots() []string {
	var names []string
	for i := range min(d.Riding, d.Bikes/2) {
		names = append(names, fmt.Sprintf("bot-%02d", i+1))
	}
	return names
}

// startTraffic lets each bot ride bikes of its own, from the front of the fleet;
// the back half is left to people.
func (d *demo) startTraffic(ctx context.Context, group *errgroup.Group) {
	bots := d.bots()
	share := max(1, len(d.codes)/2/max(1, len(bots)))
	for i, name := range bots {
		mine := d.codes[i*share : min((i+1)*share, len(d.codes))]
		group.Go(func() error {
			for ctx.Err() == nil {
				if err := d.botRide(ctx, name, mine[rand.IntN(len(mine))]); err != nil && ctx.Err() == nil {
					d.log.Info("a simulated rider gives up", "err", err)
				}
				pause(ctx, time.Duration(2+rand.IntN(20))*time.Second)
			}
			return nil
		})
	}
}

// botRide rides one bike for up to two minutes.
func (d *demo) botRide(ctx context.Context, name, code string) error {
	c, err := d.client(ctx, name)
	if err != nil {
		return err
	}
	if done, err := d.endOpenRides(ctx, c); err != nil || done {
		return err
	}
	var scan struct {
		Ticket string
		Device struct{ ID string }
	}
	if err := c.do(ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": code}, &scan); err != nil {
		return err
	}
	var o struct{ ID, State string }
	if err := c.do(ctx, http.MethodPost, "/v1/orders", scan.Ticket, map[string]string{"ticket": scan.Ticket, "pay_with": "wallet"}, &o); err != nil {
		return err
	}
	for range 30 {
		pause(ctx, time.Second)
		if err := c.do(ctx, http.MethodGet, "/v1/orders/"+o.ID, "", nil, &o); err != nil {
			return err
		}
		if o.State != "starting" && o.State != "unresolved" {
			break
		}
	}
	pause(ctx, time.Duration(10+rand.IntN(110))*time.Second)
	if bike := d.fleet.Device(scan.Device.ID); bike != nil && o.State == "active" && ctx.Err() == nil {
		return bike.CloseByHand(ctx)
	}
	return nil
}

// endOpenRides closes the bikes of rides that an earlier start of the demo left
// open; true when there was one.
func (d *demo) endOpenRides(ctx context.Context, c client) (bool, error) {
	orders, err := d.node.db.Orders(ctx, order.Page{Rider: c.id, State: order.Active, Limit: 10})
	if err != nil {
		return false, err
	}
	for _, o := range orders {
		if bike := d.fleet.Device(string(o.Device)); bike != nil {
			if err := bike.CloseByHand(ctx); err != nil {
				return true, err
			}
		}
	}
	return len(orders) > 0, nil
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
