package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// script is one load and one apply, as the product would run them.
type script struct {
	query   order.Query
	changes order.Changes
}

// rehearse makes n starts' SQL beforehand: for each a lock and a rider that
// nobody else uses, the start's changes, and the changes of the evidence that
// answers it. What is left to time is what the database does.
func (b *bench) rehearse(ctx context.Context, n int) error {
	b.scripts = make(chan []script, n)
	bar := progress(n, "rehearsing")
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			s, err := b.rehearseOne(ctx, i)
			if err != nil {
				return fmt.Errorf("rehearse: %w", err)
			}
			b.scripts <- s
			_ = bar.Add(1)
			return nil
		})
	}
	return group.Wait()
}

func (b *bench) rehearseOne(ctx context.Context, i int) ([]script, error) {
	id := device.ID(fmt.Sprintf("floor-%d", i))
	s := b.node.orders
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	d, err := s.Provision(ctx, order.Provision{Device: id, Kind: device.Lock, Venue: demoVenue, Outlets: 1, PublicKey: public,
		Staff: seedAudit("provision", "")})
	if err != nil {
		return nil, err
	}
	boot, journal := device.Boot{1}, device.Journal{1}
	if _, err := s.Hear(ctx, order.Hear{Device: id, Word: device.Word{Beat: &device.Beat{Epoch: d.Epoch, Boot: boot, Uptime: 1000,
		Journal: journal, Outlets: []device.OutletBeat{{N: 1, Closed: true}}}}}); err != nil {
		return nil, err
	}
	rider, err := b.db.RiderByIdentity(ctx, fmt.Sprint("floor-", i))
	if err != nil {
		return nil, err
	}
	if _, err := s.Money(ctx, order.Money{Rider: rider, Amount: 10_000, Key: order.KeyRef{Principal: "staff:bench", Key: rider},
		Staff: seedAudit("top_up", ""), Answer: func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
			return 200, []byte("{}"), nil
		}}); err != nil {
		return nil, err
	}
	place := order.Place{Rider: rider, PayWith: order.PayWallet, Key: order.KeyRef{Principal: "rider:" + rider, Key: "k"}, Route: "orders",
		Ticket: order.Ticket{ID: rider, Rider: rider, Device: id, Outlet: 1, Epoch: d.Epoch, Tariff: "campus-bike", Version: 1,
			Expires: time.Now().Add(time.Hour).UnixMilli()},
		Answer: func(order.Order) (int, []byte, error) { return 201, make([]byte, 900), nil }}
	snapshot, err := b.db.Load(ctx, place.Query())
	if err != nil {
		return nil, err
	}
	started, placed, err := place.Decide(snapshot, s.Env)
	if err != nil {
		return nil, err
	}
	hear := order.Hear{Device: id, Word: device.Word{Evidence: &device.Evidence{Device: id, Epoch: d.Epoch, Journal: journal, Seq: 1,
		Boot: boot, Uptime: 2000, Kind: device.SeenExecuted, Outlet: 1, LastSeq: placed.Order.Seq, CommandSeq: placed.Order.Seq,
		CommandID: placed.Order.Command, Order: placed.Order.ID, Raw: make([]byte, 240)}}}
	answered, _, err := hear.Decide(after(snapshot, started), s.Env)
	if err != nil {
		return nil, err
	}
	// The order's due time was made now; the replay may come minutes later.
	return []script{{place.Query(), started}, {hear.Query(), answered}}, nil
}

// after is what a device's snapshot shows once the changes are applied.
func after(s order.Snapshot, c order.Changes) order.Snapshot {
	s.Outlets, s.Orders, s.Commands, s.Accounts = nil, nil, nil, nil
	for _, o := range c.Outlets {
		o.Version++
		s.Outlets = append(s.Outlets, o)
	}
	for _, o := range c.Orders {
		o.Version++
		s.Orders = append(s.Orders, o)
	}
	for _, k := range c.Commands {
		k.Version++
		s.Commands = append(s.Commands, k)
	}
	for _, a := range c.Accounts {
		a.Version++
		s.Accounts = append(s.Accounts, a)
	}
	return s
}

// replay runs one rehearsed start's SQL and, timed, notes what it took.
func (b *bench) replay(ctx context.Context, timed bool) error {
	var steps []script
	select {
	case steps = <-b.scripts:
	default:
		return errors.New("the rehearsed starts are used up")
	}
	began := time.Now()
	for k, step := range steps {
		if _, err := b.db.Load(ctx, step.query); err != nil {
			return err
		}
		if err := b.db.Apply(ctx, step.changes); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if timed && k == 0 {
			b.times["sql-start"] = append(b.times["sql-start"], time.Since(began))
		}
	}
	if timed {
		b.times["sql"] = append(b.times["sql"], time.Since(began))
	}
	return nil
}

// echo is a server and a device with nothing behind them: one signs and checks,
// so does the other, through the broker that the product uses.
type echo struct {
	server, device mqtt.Client
	signer         wire.Signer
	answers        chan error
	seq            uint64
}

const echoDevice = "echo-bench"

func (b *bench) echo(ctx context.Context) (*echo, error) {
	signer, serverKey := b.node.c.Keys.signer()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	e := &echo{signer: signer, answers: make(chan error, 1)}
	connect := func(user, password, topic string, qos byte, hear mqtt.MessageHandler) (mqtt.Client, error) {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + b.node.MQTTAddr).SetClientID(user).SetUsername(user).
			SetPassword(password).SetCleanSession(true).SetOrderMatters(false))
		for _, t := range []mqtt.Token{c.Connect(), nil} {
			if t == nil {
				t = c.Subscribe(topic, qos, hear)
			}
			if !t.WaitTimeout(5 * time.Second) {
				return nil, errors.New("the broker does not answer")
			}
			if t.Error() != nil {
				return nil, t.Error()
			}
		}
		return c, nil
	}
	device, verify := wire.NewSigner(private), wire.NewVerifier(public)
	user, password := b.node.server.Gateway("bench")
	if e.server, err = connect(user, password, wire.EvidenceTopic(echoDevice), 0, func(_ mqtt.Client, m mqtt.Message) {
		_, err := wire.OpenUplink(verify, echoDevice, m.Payload())
		e.answers <- err
	}); err != nil {
		return nil, err
	}
	checkCommand := wire.NewVerifier(serverKey)
	e.device, err = connect(echoDevice, b.node.logins.Password(echoDevice, 1), wire.CommandTopic(echoDevice), 0, func(c mqtt.Client, m mqtt.Message) {
		k, err := wire.OpenCommand(checkCommand, echoDevice, m.Payload())
		if err == nil {
			var answer []byte
			answer, err = wire.SealEvidence(device, echoDevice, wire.Evidence{Epoch: 1, Journal: wire.Journal{1}, Seq: k.Seq, Boot: k.Boot,
				Uptime: 2000, Kind: wire.EvidenceExecuted, LastSeq: k.Seq, CommandSeq: k.Seq, CommandID: k.ID, Order: k.Order})
			c.Publish(wire.EvidenceTopic(echoDevice), 0, false, answer)
		}
		if err != nil {
			e.answers <- err
		}
	})
	return e, err
}

// once is one command and its answer.
func (e *echo) once(ctx context.Context) error {
	e.seq++
	b, err := wire.SealCommand(e.signer, echoDevice, wire.Command{Epoch: 1, Seq: e.seq, ID: wire.ID{1}, Kind: wire.KindStart,
		Order: wire.ID{2}, Boot: wire.Boot{1}, NotAfter: 10_000})
	if err != nil {
		return err
	}
	e.server.Publish(wire.CommandTopic(echoDevice), 0, false, b)
	select {
	case err := <-e.answers:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second):
		return errors.New("the broker lost a command or its answer")
	}
}

func (e *echo) close() {
	e.server.Disconnect(0)
	e.device.Disconnect(0)
}
