package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// TestRestoringAnOlderBackup is the drill of promise S4. 200 orders are placed; in
// their midst a backup is taken; the installation ends and a new one is made of the
// backup, for the same locks, pumps, riders and the same WeChat, which all know more
// than it does.
func TestRestoringAnOlderBackup(t *testing.T) {
	t.Parallel()
	const fleet, before, after = 40, 60, 130
	var bikes, riders []string
	for i := range fleet {
		bikes, riders = append(bikes, fmt.Sprintf("bike-%02d", i)), append(riders, fmt.Sprintf("rider-%02d", i))
	}
	v := fuelVenue(t, venueConfig{Bikes: bikes, Pumps: []string{"pump"}, Riders: append(riders, "driver", "payer", "scorer", "late")})
	home := serverFolder(t)
	if err := v.keys.save(filepath.Join(home, keyFile)); err != nil {
		t.Fatal(err)
	}
	clients := make([]client, fleet)
	for i, name := range riders {
		clients[i] = v.rider(name, 0, 100_000)
	}
	d := &drill{venue: v, bikes: bikes, clients: clients}

	// What is over before the backup, and what is under way at its moment.
	d.rides(0, before, bikes)
	active := map[int]seen{} // by bike and rider
	for i := range 10 {
		active[i] = d.begins(i, bikes[i])
	}
	driver, payer, scorer, late := v.rider("driver", 0, 100_000), v.rider("payer", 0, 0), v.rider("scorer", 0, 0), v.rider("late", 0, 0)
	sale := d.fuels(driver, "pump/1")
	prepaid := d.prepays(payer, "payer", bikes[10])
	scored := d.scores(scorer, "scorer", bikes[11])
	unpaid, err := v.places(late, v.codes[bikes[12]], "prepay", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, unpaidPayment := v.payable(late, unpaid.ID)
	v.direct(bikes[13], "network", map[string]any{"do": "off"})
	silent, err := v.start(clients[13], bikes[13])
	if err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(t.TempDir(), "backup.tar")
	var said bytes.Buffer
	backup := backupCmd{database: database{DatabaseURL: v.url, Data: home}, Out: file}
	if err := backup.Run(t.Context(), v.log, &said); err != nil {
		t.Fatal(err)
	}
	backedUp := time.Now()

	// What the backup does not know.
	v.direct(bikes[13], "network", map[string]any{"do": "on"})
	v.reaches(clients[13], silent.ID, "active", 60*time.Second)
	for i := range 5 { // half of what was under way ends and is billed
		v.direct(bikes[i], "close", nil)
		v.reaches(clients[i], active[i].ID, "settled", 60*time.Second)
	}
	v.hangUp("pump", 1)
	v.sold(driver, sale.ID)
	for _, x := range []struct {
		c    client
		o    paid
		bike string
	}{{payer, prepaid, bikes[10]}, {scorer, scored, bikes[11]}} {
		v.direct(x.bike, "close", nil)
		v.reaches(x.c, x.o.ID, "settled", 60*time.Second)
	}
	if err := v.pay("late", unpaidPayment); err != nil { // the order that only waited starts now, and ends
		t.Fatal(err)
	}
	v.reaches(late, unpaid.ID, "active", 60*time.Second)
	v.direct(bikes[12], "close", nil)
	v.reaches(late, unpaid.ID, "settled", 60*time.Second)
	topUp := v.topsUp(payer, 3000, "after-the-backup")
	if err := v.pay("payer", topUp); err != nil {
		t.Fatal(err)
	}
	v.topUpIs(payer, topUp.ID, "paid", 30*time.Second)
	d.rides(14, after, bikes[14:])
	unknown := d.fuels(driver, "pump/2")
	v.hangUp("pump", 2)
	v.sold(driver, unknown.ID)
	for i := 20; i < 25; i++ { // under way at the end, and the backup never heard of them
		d.begins(i, bikes[i])
	}
	v.squared()
	before1 := d.photograph(v.url)
	if n := len(before1.orders); n < 200 {
		t.Errorf("only %d orders were placed", n)
	}
	paidBefore := v.movedAtWeChat()

	// The machine is gone. While nobody serves, riders get off.
	old := v.nodes[0]
	v.stop(t, 0)
	for _, i := range []int{5, 6, 20, 21} {
		v.direct(bikes[i], "close", nil)
	}
	restored := serverFolder(t)
	restore := restoreCmd{database: database{Data: restored}, File: file}
	if err := restore.Run(t.Context(), v.log, &said); err != nil {
		t.Fatal(err)
	}
	db, err := database{Data: restored}.open(t.Context(), v.log, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i := range v.nodes {
			v.cancel[i]()
			_ = v.nodes[i].wait()
		}
		v.nodes = nil
		if err := db.stop(); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	c := old.c
	c.DatabaseURL, c.StoreDir, c.MQTT, c.HTTP, v.url = db.url, t.TempDir(), old.MQTTAddr, old.HTTPAddr, db.url
	if c.Keys, _, err = loadKeys("", "", restored); err != nil {
		t.Fatal(err)
	}
	v.restart(t.Context(), t, c)
	t.Cleanup(func() {
		if t.Failed() {
			d.explain(append(bikes[:14:14], "pump"))
		}
	})
	t.Logf("%d orders, backup %v old when it was restored", len(before1.orders), time.Since(backedUp).Round(time.Second))

	// Every device tells what happened; what the backup knew comes to the same end.
	for i := range 7 {
		o := v.reaches(clients[i], active[i].ID, "settled", 60*time.Second)
		if was := before1.orders[o.ID]; i < 5 && (o.Charged != int64(was.Charged) || o.Quote.Total != int64(was.Quote.Total)) {
			t.Errorf("%s was billed %d before the loss and %d after it", bikes[i], was.Charged, o.Charged)
		}
	}
	for i := 7; i < 10; i++ {
		if o := v.order(clients[i], active[i].ID); o.State != "active" {
			t.Errorf("the ride that goes on is %s", o.State)
		}
	}
	for _, x := range []struct {
		c client
		o string
	}{{driver, sale.ID}, {payer, prepaid.ID}, {scorer, scored.ID}} {
		o := v.reaches(x.c, x.o, "settled", 60*time.Second)
		if was := before1.orders[x.o]; o.Quote.Total != int64(was.Quote.Total) {
			t.Errorf("order %s came to %d before the loss and to %d after it", x.o, was.Quote.Total, o.Quote.Total)
		}
	}
	v.reaches(clients[13], silent.ID, "active", 60*time.Second)
	if o := v.reaches(late, unpaid.ID, "voided", 60*time.Second); o.Charged != 0 {
		t.Errorf("the order that waited for a payment was charged %d", o.Charged)
	}
	for i := range bikes {
		v.until(bikes[i]+" has told everything", 60*time.Second, func() bool { return d.told(bikes[i]) })
	}
	v.until("the pump has told everything", 60*time.Second, func() bool { return d.told("pump") })
	t.Logf("all devices have told everything %v after the start", time.Since(began).Round(time.Millisecond))
	after1 := d.photograph(v.url)

	// Nothing moved twice, and nobody pays by guess.
	for _, bike := range bikes {
		orders := map[string]bool{}
		for _, m := range v.body(bike).Movements {
			if orders[m.Order.String()] {
				t.Errorf("%s moved twice for order %s", bike, m.Order)
			}
			orders[m.Order.String()] = true
			if before1.orders[m.Order.String()].ActiveAt.IsZero() {
				t.Errorf("%s moved for order %s, which no timeline had active", bike, m.Order)
			}
		}
	}
	for id := range after1.orders {
		if _, there := before1.orders[id]; !there {
			t.Errorf("order %s was made up", id)
		}
	}
	lost := 0
	for id, o := range before1.orders {
		if _, known := after1.orders[id]; known || o.ActiveAt.IsZero() {
			continue
		}
		lost++
		if after1.items[order.ItemQuarantined+"/"+id] == 0 {
			t.Errorf("nothing tells staff of order %s on %s, which the backup does not know", id, o.Device)
		}
	}
	if lost < after {
		t.Errorf("%d orders are unknown to the backup, want at least %d", lost, after)
	}
	if after1.items[order.ItemRestored+"/"] == 0 {
		t.Error("no item says that the installation was restored")
	}

	// What stands open is not given to anybody; the station waits for its staff.
	for i := 22; i < 25; i++ {
		if _, err := v.start(clients[30], bikes[i]); err == nil || refusal(err) != "outlet_blocked" && refusal(err) != "outlet_open" {
			t.Errorf("%s stands open for an order that nobody knows, and a start of it says %v", bikes[i], err)
		}
	}
	if _, err := v.buy(driver, v.codes["pump/1"], yuan200); err == nil || refusal(err) != "venue_closed" {
		t.Errorf("the station sells before its staff opened it: %v", err)
	}
	station := order.Venue{ID: stationVenue, Name: "Station", TimeZone: "Asia/Shanghai", Open: true}
	if err := v.nodes[0].db.PutVenue(t.Context(), station, seedAudit("put_venue", "venue "+stationVenue)); err != nil {
		t.Fatal(err)
	}

	// And it goes on: rides end, new ones begin.
	for i := 7; i < 10; i++ {
		v.direct(bikes[i], "close", nil)
		v.reaches(clients[i], active[i].ID, "settled", 60*time.Second)
	}
	v.direct(bikes[13], "close", nil)
	v.reaches(clients[13], silent.ID, "settled", 60*time.Second)
	for i := 22; i < 25; i++ {
		v.direct(bikes[i], "close", nil)
		v.until(bikes[i]+" is free again", 30*time.Second, func() bool { return d.told(bikes[i]) })
	}
	d.rides(0, fleet, bikes)
	again := d.fuels(driver, "pump/1")
	v.hangUp("pump", 1)
	v.sold(driver, again.ID)

	// Money: WeChat took nothing twice, and what only WeChat knows is in its bill.
	d.square(paidBefore, unpaid.ID)
	checked, err := v.nodes[0].db.Audit(t.Context(), func(string, int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	// The fuel of the sale that the backup does not know flowed, and these books bill it
	// to nobody: that stays a finding, as docs/backup.md says.
	gaps := 0
	for _, f := range checked.Findings {
		if f.View == "audit_a7_totaliser_continuous" && strings.HasPrefix(f.Subject, "pump outlet 2 ") {
			gaps++
			continue
		}
		t.Errorf("audit: %s: %s: %s", f.View, f.Subject, f.What)
	}
	if gaps != 1 || after1.items[order.ItemTotaliser+"/"]+after1.items[order.ItemTotaliser+"/"+unknown.ID] == 0 {
		t.Errorf("%d findings and items %v tell of fuel that nobody is billed for", gaps, after1.items[order.ItemTotaliser+"/"])
	}
}

// serverFolder is a folder that the database's user can reach.
func serverFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// drill is a venue with a rider for each bike.
type drill struct {
	*venue
	bikes   []string
	clients []client
}

// begins starts a ride and waits until the bike is open.
func (d *drill) begins(i int, bike string) seen {
	d.t.Helper()
	o, err := d.start(d.clients[i], bike)
	if err != nil {
		d.t.Fatalf("%s: %v", bike, err)
	}
	return d.reaches(d.clients[i], o.ID, "active", 60*time.Second)
}

// rides lets n rides begin and end, each bike with the rider of its own, from the
// first-th on.
func (d *drill) rides(first, n int, bikes []string) {
	d.t.Helper()
	var wg sync.WaitGroup
	for i, bike := range bikes {
		c := d.clients[first+i]
		wg.Go(func() {
			for range n/len(bikes) + min(1, max(0, n%len(bikes)-i)) {
				o, err := d.start(c, bike)
				if err != nil {
					d.t.Errorf("%s: %v", bike, err)
					return
				}
				d.reaches(c, o.ID, "active", 60*time.Second)
				d.direct(bike, "close", nil)
				d.reaches(c, o.ID, "settled", 60*time.Second)
			}
		})
	}
	wg.Wait()
}

// fuels lets a sale begin at "pump/1" and flow.
func (d *drill) fuels(c client, at string) sale {
	d.t.Helper()
	o, err := d.buy(c, d.codes[at], yuan200)
	if err != nil {
		d.t.Fatal(err)
	}
	n := int(at[len(at)-1] - '0')
	armed(d.venue, c, o)
	d.lift("pump", n, 1)
	d.squeeze("pump", n, 20)
	d.flows("pump", n, 1_000)
	return o
}

func (d *drill) prepays(c client, name, bike string) paid {
	d.t.Helper()
	o, err := d.places(c, d.codes[bike], "prepay", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	_, p := d.payable(c, o.ID)
	if err := d.pay(name, p); err != nil {
		d.t.Fatal(err)
	}
	d.reaches(c, o.ID, "active", 60*time.Second)
	return o
}

func (d *drill) scores(c client, name, bike string) paid {
	d.t.Helper()
	o, err := d.places(c, d.codes[bike], "pay_score", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	_, p := d.payable(c, o.ID)
	if err := d.double.fake.Confirm(name, p.Package); err != nil {
		d.t.Fatal(err)
	}
	d.reaches(c, o.ID, "active", 60*time.Second)
	return o
}

// told is whether a device's whole journal is here and nothing of it is blocked for
// want of its word.
func (d *drill) told(id string) bool {
	s, err := d.nodes[0].db.Load(d.ctx, order.Query{Device: device.ID(id)})
	if err != nil || s.Device == nil {
		d.t.Fatalf("device %s: %v", id, err)
	}
	for _, o := range s.Outlets {
		if o.Block != device.NotBlocked && o.Stated.Closed {
			return false
		}
	}
	return s.Device.Contactable(s.Now) && s.Device.Applied == d.body(id).Journal.Highest
}

// explain logs what the server believes of devices, and what they really are.
func (d *drill) explain(ids []string) {
	for _, id := range ids {
		s, err := d.nodes[0].db.Load(context.Background(), order.Query{Device: device.ID(id)})
		if err != nil || s.Device == nil {
			continue
		}
		body := d.body(id)
		d.t.Logf("%s: applied %d, head %+v, outlets %+v, %d pieces wait; its journal %+v, last_seq %d, connected %v, closed %v",
			id, s.Device.Applied, s.Device.Head, s.Outlets, len(s.Waiting), body.Journal, body.LastSeq, body.Connected, body.Closed)
		for _, o := range s.Orders {
			d.t.Logf("    order %s is %s, due %v, now %v", o.ID, o.State, o.DueAt, s.Now)
		}
	}
}

// photo is what a database says.
type photo struct {
	orders map[string]order.Order
	items  map[string]int // by kind and order
}

func (d *drill) photograph(url string) photo {
	d.t.Helper()
	p := photo{map[string]order.Order{}, map[string]int{}}
	db, err := store.Open(d.ctx, store.Config{URL: url, MaxConns: 1, IdentityKey: make([]byte, 32)})
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	for page := (order.Page{Limit: 500}); ; {
		orders, err := db.Orders(d.ctx, page)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, o := range orders {
			p.orders[o.ID] = o
		}
		if len(orders) < page.Limit {
			break
		}
		page.After = orders[len(orders)-1].ID
	}
	items, err := db.Items(d.ctx, true, "", nil, 2000)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, i := range items {
		p.items[i.Kind+"/"+i.Order]++
	}
	return p
}

// square holds WeChat's books against ours after a restore: nothing that we know moved
// otherwise, nothing that had moved moved again, and each number that is none of ours
// is an item once its bill is held against the ledger.
func (d *drill) square(before map[string]billing.Fen, calledOff string) {
	d.t.Helper()
	ours := map[string]order.Payment{}
	d.until("no payment is left to do", 60*time.Second, func() bool {
		all, err := d.nodes[0].db.Payments(d.ctx, order.PaymentPage{Limit: 500})
		if err != nil {
			d.t.Fatal(err)
		}
		for _, p := range all {
			ours[p.Number()] = p
			if !p.State.Done() && p.Order != calledOff {
				return false
			}
		}
		return true
	})
	strange := map[string]bool{}
	for number, fen := range d.movedAtWeChat() {
		p, known := ours[number]
		if was, old := before[number]; old && was != fen {
			d.t.Errorf("WeChat had moved %v for number %s, and now %v", was, number, fen)
		} else if !old && p.Order != calledOff {
			d.t.Errorf("WeChat moved %v for number %s (%s, order %s) after the restore", fen, number, p.Road, p.Order)
		}
		if !known {
			strange[number] = true
		} else if p.Moved != fen && p.Order != calledOff {
			d.t.Errorf("WeChat moved %v for number %s, the ledger %v", fen, number, p.Moved)
		}
	}
	if len(strange) == 0 {
		d.t.Error("WeChat knows of nothing that the backup does not")
	}
	today := time.Now().In(order.China).Format(time.DateOnly)
	if _, err := d.nodes[0].db.MatchBill(d.ctx, today, d.billed(today)); err != nil {
		d.t.Fatal(err)
	}
	items, err := d.nodes[0].db.Items(d.ctx, false, order.ItemBill, nil, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	told := map[string]bool{}
	for _, i := range items {
		told[i.Subject] = true
	}
	for number := range strange {
		if !told[today+"/"+number] {
			d.t.Errorf("no item tells of number %s, which only WeChat knows; there are %v", number, told)
		}
	}
}

// billed is WeChat's bill of a day, out of its own books: the real one is made the day
// after.
func (d *drill) billed(day string) []billing.BillLine {
	var lines []billing.BillLine
	m := d.double.fake.Money()
	for _, x := range m.Transactions {
		number := x.OutTradeNo
		if x.OutOrderNo != "" {
			number = x.OutOrderNo
		}
		lines = append(lines, billing.BillLine{Road: billing.Transaction, ID: x.TransactionID, Number: number, Amount: billing.Fen(x.Fen), State: "SUCCESS", At: x.PaidAt})
	}
	for _, x := range m.Refunds {
		if x.Status == "SUCCESS" {
			lines = append(lines, billing.BillLine{Road: billing.Refund, ID: x.RefundID, Number: x.OutRefundNo, Amount: billing.Fen(x.Fen), State: "SUCCESS", At: x.DoneAt})
		}
	}
	return lines
}
