package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

type benchCmd struct {
	database `embed:""`
	Starts   int  `default:"400" help:"Starts per measurement, spread over the rounds."`
	Rounds   int  `default:"4" help:"Rounds; floors and product take turns, so that a noisy neighbour hits both."`
	JSON     bool `name:"json" help:"Print the figures as JSON."`
}

// Help teaches how to read the figures.
func (benchCmd) Help() string {
	return `The floor of a start is the SQL that it runs, replayed bare, plus one signed and checked command and answer through the same
broker, plus one HTTP request. Ratios come first: absolute figures drift on shared machines.`
}

// figures is what a run measured; times are medians in milliseconds.
type figures struct {
	Ratio       float64 `json:"start_over_floor"`
	SQLRatio    float64 `json:"start_sql_over_bare_commit"`
	BareCommit  float64 `json:"bare_commit_ms"`
	SQL         float64 `json:"sql_floor_ms"`
	RoundTrip   float64 `json:"command_and_answer_ms"`
	HTTP        float64 `json:"bare_http_ms"`
	Floor       float64 `json:"floor_ms"`
	Start       float64 `json:"start_to_active_ms"`
	StartP99    float64 `json:"start_to_active_p99_ms"`
	Answer      float64 `json:"order_answered_ms"`
	Saturated   float64 `json:"starts_per_second_32_riders"`
	FloorPerSec float64 `json:"sql_floor_per_second_32_clients"`
}

// benchRiders start at once when saturation is measured.
const benchRiders = 32

// unlimited lets one source play many riders.
var unlimited = api.Limits{Rider: api.Limit{PerSecond: 1e6, Burst: 1e6}, Words: api.Limit{PerSecond: 1e6, Burst: 1e6}, Code: api.Limit{PerSecond: 1e6, Burst: 1e6},
	Source: api.Limit{PerSecond: 1e6, Burst: 1e6}, SignIn: api.Limit{PerSecond: 1e6, Burst: 1e6}}

// bench is a benchmark's installation: one replica, simulated bikes, riders.
type bench struct {
	benchCmd
	node    *node
	fleet   *sim.Fleet
	bikes   []string
	codes   map[string]string
	riders  []client
	db      *store.DB
	times   map[string][]time.Duration
	scripts chan []script
}

// Run measures and prints.
func (b benchCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	db, err := b.open(ctx, log, false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, gctx := errgroup.WithContext(ctx)
	run := &bench{benchCmd: b, codes: map[string]string{}, times: map[string][]time.Duration{}}
	f, err := run.measure(gctx, group, db.url, log)
	cancel()
	_ = group.Wait()
	if run.node != nil {
		_ = run.node.wait()
	}
	if err = joinStop(err, db.stop); err != nil {
		return err
	}
	if b.JSON {
		return json.NewEncoder(out).Encode(f)
	}
	_, err = fmt.Fprintf(out, `| ratio | value |
|---|---|
| start to active / floor, p50 | %.2f |
| the start's SQL / a bare one-row commit | %.2f |
| starts per second / SQL floor per second, %d riders | %.2f |

| figure | p50 ms |
|---|---|
| bare one-row commit | %.3f |
| SQL of a start and its evidence, replayed bare | %.3f |
| signed command and checked answer through the broker | %.3f |
| bare HTTP request | %.3f |
| floor: the three above | %.3f |
| POST /v1/orders answered | %.3f |
| ticket to active | %.3f (p99 %.3f) |
| starts per second, %d riders | %.0f |
| SQL floor per second, %d clients | %.0f |
`, f.Ratio, f.SQLRatio, benchRiders, f.Saturated/f.FloorPerSec, f.BareCommit, f.SQL, f.RoundTrip, f.HTTP, f.Floor, f.Answer, f.Start,
		f.StartP99, benchRiders, f.Saturated, benchRiders, f.FloorPerSec)
	return err
}

func (b *bench) measure(ctx context.Context, group *errgroup.Group, url string, log *slog.Logger) (f figures, err error) {
	if err := b.set(ctx, group, url, log); err != nil {
		return f, err
	}
	echo, err := b.echo(ctx)
	if err != nil {
		return f, err
	}
	defer echo.close()
	bar := progress(b.Rounds, "rounds")
	per := max(1, b.Starts/b.Rounds)
	if err := b.rehearse(ctx, per*(b.Rounds+1)+max(1, b.Starts/benchRiders)*benchRiders); err != nil {
		return f, err
	}
	for round := range b.Rounds + 1 { // the first warms up
		for range per {
			if err := b.each(ctx, echo); err != nil {
				return f, err
			}
		}
		if round == 0 {
			b.times = map[string][]time.Duration{}
		} else {
			_ = bar.Add(1)
		}
	}
	if f.FloorPerSec, err = b.floorRate(ctx); err != nil {
		return f, err
	}
	if f.Saturated, err = b.startRate(ctx); err != nil {
		return f, err
	}
	ms := func(name string, at float64) float64 {
		all := b.times[name]
		slices.Sort(all)
		return all[int(float64(len(all)-1)*at)].Seconds() * 1000
	}
	f.BareCommit, f.SQL, f.RoundTrip, f.HTTP = ms("commit", .5), ms("sql", .5), ms("echo", .5), ms("http", .5)
	f.Start, f.StartP99, f.Answer = ms("start", .5), ms("start", .99), ms("answer", .5)
	f.Floor = f.SQL + f.RoundTrip + f.HTTP
	f.Ratio, f.SQLRatio = f.Start/f.Floor, ms("sql-start", .5)/f.BareCommit
	return f, nil
}

// set starts the installation.
func (b *bench) set(ctx context.Context, group *errgroup.Group, url string, log *slog.Logger) error {
	if _, err := store.Migrate(ctx, url); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "unlatch-bench-")
	if err != nil {
		return err
	}
	group.Go(func() error { <-ctx.Done(); return os.RemoveAll(dir) })
	k, _, err := loadKeys("", "", dir)
	if err != nil {
		return err
	}
	var names []string
	for i := range benchRiders {
		names = append(names, fmt.Sprintf("bench-%02d", i))
	}
	fake, err := fakewechat.New(fakewechat.Config{AppID: demoAppID, Secret: demoSecret, Riders: names, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	double, err := listen(ctx, group, "127.0.0.1:0", fake.Handler())
	if err != nil {
		return err
	}
	login, err := wechat.New(wechat.Config{AppID: demoAppID, Secret: demoSecret, BaseURL: double})
	if err != nil {
		return err
	}
	b.node, err = startNode(ctx, nodeConfig{DatabaseURL: url, Keys: k, StoreDir: dir, HTTP: "127.0.0.1:0", MQTT: "127.0.0.1:0",
		Login: weChatLogin{login}, Log: log,
		Limits: unlimited})
	if err != nil {
		return err
	}
	b.db = b.node.db
	d := &demo{demoCmd: demoCmd{Bikes: benchRiders, Riders: names}, log: log, dir: dir, node: b.node}
	d.ready = readyFile{HTTP: b.node.url(), WeChat: double}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	b.fleet = d.fleet
	group.Go(func() error { return b.fleet.Run(ctx) })
	if err := d.heard(ctx); err != nil {
		return err
	}
	b.bikes = b.fleet.IDs()
	for i, id := range b.bikes {
		b.codes[id] = d.codes[i]
	}
	for i, name := range names {
		c, err := d.client(ctx, name)
		if err != nil {
			return err
		}
		b.riders = append(b.riders, c)
		if err := b.topUp(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// topUp gives a rider enough for every ride of the run.
func (b *bench) topUp(ctx context.Context, i int) error {
	_, err := b.node.orders.Money(ctx, order.Money{Rider: b.riders[i].id, Amount: 100_000_000, Key: order.KeyRef{Principal: "staff:bench", Key: fmt.Sprint(i)},
		Staff: seedAudit("top_up", ""), Answer: func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
			return 200, []byte("{}"), nil
		}})
	return err
}

// timed notes how long work took.
func (b *bench) timed(name string, work func() error) error {
	began := time.Now()
	err := work()
	b.times[name] = append(b.times[name], time.Since(began))
	return err
}

// each takes every measurement once, so that all of them see the same machine.
func (b *bench) each(ctx context.Context, echo *echo) error {
	if err := b.timed("commit", func() error { return b.db.PutSetting(ctx, "bench", "x") }); err != nil {
		return err
	}
	if err := b.replay(ctx, true); err != nil {
		return err
	}
	if err := b.timed("echo", func() error { return echo.once(ctx) }); err != nil {
		return err
	}
	if err := b.timed("http", func() error {
		return b.riders[0].do(ctx, http.MethodGet, "/livez", "", nil, nil)
	}); err != nil {
		return err
	}
	return b.start(ctx, 0, true)
}

// start rides once: ticket to active is timed, the rest is not.
func (b *bench) start(ctx context.Context, i int, timed bool) error {
	c, bike := b.riders[i], b.bikes[i]
	var scan struct{ Ticket string }
	if err := c.do(ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": b.codes[bike]}, &scan); err != nil {
		return err
	}
	began := time.Now()
	var o struct{ ID, State string }
	if err := c.do(ctx, http.MethodPost, "/v1/orders", scan.Ticket, map[string]string{"ticket": scan.Ticket, "pay_with": "wallet"}, &o); err != nil {
		return err
	}
	answered := time.Since(began)
	if err := c.await(ctx, o.ID, "active"); err != nil {
		return err
	}
	if timed {
		b.times["start"] = append(b.times["start"], time.Since(began))
		b.times["answer"] = append(b.times["answer"], answered)
	}
	if err := b.fleet.Device(bike).CloseByHand(ctx); err != nil {
		return err
	}
	return c.await(ctx, o.ID, "settled")
}

// await long-polls an order until it is in a state.
func (c client) await(ctx context.Context, id, state string) error {
	etag := ""
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/orders/"+id, nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set("Prefer", "wait=20")
		r.Header.Set("If-None-Match", etag)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		var o struct{ State, Reason string }
		if answer.StatusCode == http.StatusOK {
			err = json.NewDecoder(answer.Body).Decode(&o)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		switch {
		case err != nil:
			return err
		case answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNotModified:
			return fmt.Errorf("order %s: status %d", id, answer.StatusCode)
		case o.State == state:
			return nil
		case o.State == "voided" || o.State == "settled":
			return fmt.Errorf("order %s is %s (%s), waited for %s", id, o.State, o.Reason, state)
		}
		if e := answer.Header.Get("ETag"); e != "" {
			etag = e
		}
	}
}

// floorRate is how many starts' SQL the database takes per second from as many
// clients as there are riders.
func (b *bench) floorRate(ctx context.Context) (float64, error) {
	return b.rate(ctx, func(ctx context.Context, _ int) error { return b.replay(ctx, false) })
}

// startRate is how many whole rides per second the product does.
func (b *bench) startRate(ctx context.Context) (float64, error) {
	return b.rate(ctx, func(ctx context.Context, i int) error { return b.start(ctx, i, false) })
}

func (b *bench) rate(ctx context.Context, work func(context.Context, int) error) (float64, error) {
	per := max(1, b.Starts/benchRiders)
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range benchRiders {
		group.Go(func() error {
			for range per {
				if err := work(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(per*benchRiders) / time.Since(began).Seconds(), err
}
