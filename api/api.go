package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/rider"
)

// maxBody is the largest request body, in bytes.
const maxBody = 16 << 10

// Login asks the login provider who a rider is.
type Login interface {
	// Exchange turns a login code into an identity, which is stable for a person
	// and never shown. ErrLoginCode, ErrLoginBusy, ErrLoginRefused.
	Exchange(ctx context.Context, loginCode string) (identity string, err error)
}

// Watcher wakes who waits for an order.
type Watcher interface {
	// Watch hears the updates of a subject, which is that of an order.Update
	// ("order.{id}"). The channel may drop what was superseded; cancel ends it.
	Watch(subject string) (updates <-chan []byte, cancel func())
}

// ProvisionRequest asks to make a device known, or to give it new keys.
type ProvisionRequest struct {
	Device  device.ID
	Kind    device.Kind
	Venue   string
	Outlets int
	Grades  map[uint8]map[uint8]string // by outlet and nozzle; see order.Provision
	Display bool
	// Bluetooth: a rider's phone can carry commands and words for it.
	Bluetooth bool

	OnlyNew bool        // order.ErrExists when it is known
	DryRun  bool        // check everything, change nothing, return no file
	Staff   order.Audit // who and why, for order.Provision
}

// Config names the API's parts. Orders, Store, Login, Minter, Provision and
// Domain are required.
type Config struct {
	Orders  *order.Service
	Store   Store
	Login   Login
	Minter  *qr.Minter
	Watcher Watcher         // nil: who waits hears of a move at the next re-read
	Battery order.LastKnown // nil: no battery is shown
	Live    Live            // nil: no display is shown
	Hub     *live.Hub       // nil: the fleet is not followed
	Words   Words           // nil: no phone carries words
	// BluetoothService is the UUID of the GATT service of devices with a second road; "":
	// nobody is told of it.
	BluetoothService string
	// Pay opens notifications and signs payments; nil: riders cannot pay with WeChat.
	Pay WeChatPay
	// Noticed is called after a notification was kept; it must not block.
	Noticed func()
	Phones  Phones // nil: riders cannot give their number
	// BulkAdded is called after an act on many devices was written down; it must not block.
	BulkAdded func()
	// Verification holds the files that WeChat looks for under the domain, by name.
	Verification map[string][]byte
	// StopKey signs the question that stands before a venue's stop; at least 16
	// bytes, the same on every replica.
	StopKey []byte
	// Provision makes keys, runs order.Service.Provision and returns what is given
	// to the device, exactly once; it is shown as it marshals to JSON.
	Provision func(context.Context, ProvisionRequest) (file any, err error)
	// Feed is the public feed of bikes.
	Feed FeedConfig
	// Observe is told of each answer of an operation, by its id in the OpenAPI document;
	// nil: nobody measures. A long poll is told with the time that it waited.
	Observe func(operation string, status int, took time.Duration)
	// Ready holds a check per part of the process, by the part's name.
	Ready map[string]func(context.Context) error

	Domain      string        // host, with a port if need be, printed in codes
	Scheme      string        // of links to this installation; "https"
	DisplayName string        // the operator's name; "unlatch"
	Version     string        // of this program, shown to staff
	TokenLife   time.Duration // of a rider's login; 30 days
	WaitMax     time.Duration // of a long poll; 25 s
	Limits      Limits
	// LabelFont is the file of the font for Chinese text on labels; "": the first that
	// is found where systems keep them.
	LabelFont string
	// TrustProxy takes a source's address from the last entry of X-Forwarded-For.
	// Set it behind a proxy that appends to that header, and only there.
	TrustProxy bool
	// WeChatLink opens WeChat from the page behind a code, where a phone's browser shows
	// it: an https or weixin address, {code} in it stands for what was scanned. "": no link.
	WeChatLink string
	// CodePage writes the page behind a code; rider.Page unless given.
	CodePage func(http.ResponseWriter, string, rider.View) error
	// Console serves /console/ to who is signed in; nil: there is none.
	Console http.Handler
	Log     *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.CodePage == nil {
		c.CodePage = rider.Page
	}
	if c.BulkAdded == nil {
		c.BulkAdded = func() {}
	}
	if c.Scheme == "" {
		c.Scheme = "https"
	}
	if c.DisplayName == "" {
		c.DisplayName = "unlatch"
	}
	if c.TokenLife == 0 {
		c.TokenLife = 30 * 24 * time.Hour
	}
	if c.WaitMax == 0 {
		c.WaitMax = 25 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

// API answers HTTP. Besides waits, limits and counts it holds no state; any
// number of replicas may run.
type API struct {
	Config
	document  *huma.OpenAPI
	handler   http.Handler
	waits     *waits
	fleet     *fleet
	cards     *cards
	fonts     func() (*qr.Fonts, error) // read when labels are first drawn
	drawing   chan struct{}             // who draws labels holds its one place
	photos    *buckets                  // by rider
	unfolding chan struct{}             // who reads a photo holds its one place
	uploads   atomic.Int64              // photos that are read or wait for it

	strange  error    // what is wrong with the tables of operations, found as they are registered
	tries    *buckets // of sign-ins, by source address
	names    *buckets // of sign-ins, by name
	hashes   *hashes
	passkeys *passkeys
	origins  *http.CrossOriginProtection

	riders  *buckets // by rider
	words   *buckets // by rider
	codes   *buckets // by code
	sources *buckets // by source address

	scans      chan order.ScanNote // that wait to be counted
	inFlight   atomic.Int64
	replays    chan struct{} // holds one while a tariff is replayed
	slow       slowFeeds
	feedReads  sharedReads
	refusalsMu sync.Mutex
	refusals   map[string]int64
}

// FeedConfig is the public feed of bikes; see gbfs. Without Email, which the feed must
// name, there is none. Key makes vehicle ids: at least 16 bytes, the same on every
// replica.
type FeedConfig struct {
	Email string
	Key   []byte
}

// New checks the parts and starts nothing.
func New(c Config) (*API, error) {
	switch {
	case c.Orders == nil || c.Store == nil || c.Login == nil || c.Minter == nil || c.Provision == nil:
		return nil, errors.New("api.New: Orders, Store, Login, Minter and Provision are required")
	case c.Feed.Email != "" && len(c.Feed.Key) < 16:
		return nil, errors.New("api.New: Feed.Key needs at least 16 bytes")
	case len(c.StopKey) < 16:
		return nil, errors.New("api.New: StopKey needs at least 16 bytes")
	case c.Domain == "":
		return nil, errors.New("api.New: Domain is required: it is the host printed in codes")
	case c.Scheme != "" && c.Scheme != "https" && c.Scheme != "http":
		return nil, fmt.Errorf("api.New: Scheme is %q, want https or http", c.Scheme)
	}
	c = c.withDefaults()
	speakProblems()
	a := &API{
		Config:    c,
		replays:   make(chan struct{}, 1),
		document:  newDocument(c.DisplayName),
		waits:     newWaits(c.Limits.WaitsPerRider),
		fleet:     &fleet{store: c.Store},
		cards:     &cards{store: c.Store},
		fonts:     sync.OnceValues(func() (*qr.Fonts, error) { return qr.LoadFonts(c.LabelFont) }),
		drawing:   make(chan struct{}, 1),
		photos:    newBuckets(photoLimit, c.Limits.Kept),
		unfolding: make(chan struct{}, 1),
		tries:     newBuckets(c.Limits.SignIn, c.Limits.Kept),
		names:     newBuckets(c.Limits.SignIn, c.Limits.Kept),
		hashes:    newHashes(),
		origins:   http.NewCrossOriginProtection(),
		riders:    newBuckets(c.Limits.Rider, c.Limits.Kept),
		words:     newBuckets(c.Limits.Words, c.Limits.Kept),
		codes:     newBuckets(c.Limits.Code, c.Limits.Kept),
		sources:   newBuckets(c.Limits.Source, c.Limits.Kept),
		refusals:  map[string]int64{},
		scans:     make(chan order.ScanNote, scanQueue),
	}
	if err := a.origins.AddTrustedOrigin(c.Scheme + "://" + c.Domain); err != nil {
		return nil, fmt.Errorf("api.New: Domain: %w", err)
	}
	a.passkeys = newPasskeys(c.Scheme, c.Domain, c.DisplayName)
	a.handler = a.routes()
	if a.strange != nil {
		return nil, fmt.Errorf("api.New: %w", a.strange)
	}
	a.finishDocument()
	return a, nil
}

// Handler serves everything but metrics. A server's WriteTimeout has to be above
// WaitMax; streams set their own deadlines.
func (a *API) Handler() http.Handler { return a.handler }

// reread is how often waited orders are read again, for updates that were lost.
const reread = 2 * time.Second

// Run reads all waited orders again every two seconds, in one statement, until
// ctx ends. It then answers every wait, and those that come later at once, so
// that a server may shut down without cutting anybody off.
func (a *API) Run(ctx context.Context) error {
	defer a.waits.drain()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.countScans(ctx) })
	tick := time.NewTicker(reread)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ids := a.waits.ids()
		if len(ids) == 0 {
			continue
		}
		orders, err := a.Store.OrdersByID(ctx, ids)
		if err != nil {
			if ctx.Err() == nil {
				a.Log.Error("cannot read waited orders again", "err", err)
			}
			continue
		}
		for _, o := range orders {
			a.waits.offer(o)
		}
	}
}

// OpenAPI returns the OpenAPI 3.1 document, indented; the same binary gives the
// same bytes.
func (a *API) OpenAPI() ([]byte, error) {
	raw, err := json.Marshal(a.document)
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Refusals returns how many problems were answered since the start, by code.
func (a *API) Refusals() map[string]int64 {
	a.refusalsMu.Lock()
	defer a.refusalsMu.Unlock()
	return maps.Clone(a.refusals)
}

func (a *API) countRefusal(code string) {
	a.refusalsMu.Lock()
	a.refusals[code]++
	a.refusalsMu.Unlock()
}

// register adds an operation whose errors go through the table of problems. What a
// member names is checked against their venues first; see scopes.
func register[I, O any](a *API, h huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody + 1 // huma refuses a body that reaches its limit
	}
	a.strange = errors.Join(a.strange, misplaced(op.OperationID, reflect.TypeFor[I]()))
	huma.Register(h, op, func(ctx context.Context, in *I) (*O, error) {
		if err := a.within(ctx, op.OperationID, in); err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		return out, nil
	})
}

// humaConfig is the same for both muxes: one document, JSON alone, nothing that
// huma would serve by itself.
func (a *API) humaConfig() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	return huma.Config{
		OpenAPI:                      a.document,
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers: []huma.Transformer{func(_ huma.Context, _ string, v any) (any, error) {
			if p, ok := v.(*Problem); ok { // huma's own refusals pass nowhere else
				a.countRefusal(p.Code)
			}
			return v, nil
		}},
	}
}

// unmarshal is json.Unmarshal that also refuses the character U+0000, which no
// text of Postgres can hold. huma unmarshals each body into an any first.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	if parsed, ok := v.(*any); ok && hasNUL(*parsed) {
		return errors.New(`strings must not hold \u0000`)
	}
	return nil
}

func hasNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, e := range v {
			if hasNUL(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if hasNUL(e) {
				return true
			}
		}
	}
	return false
}

// each maps a list; the result is never nil, so that it shows as [] in JSON.
func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

// optionalTime is nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
