package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unlatch/unlatch/order"
)

// TestThousandStartsOnTwoReplicas lets 300 riders scan and start 1,000 times at
// once on 200 bikes, half of them at each of two replicas that share Postgres,
// NATS and broker. Whatever they get, nobody may hold a bike twice, lose a hold
// or be answered with anything but a named refusal.
func TestThousandStartsOnTwoReplicas(t *testing.T) {
	const attempts, riders, bikes = 1000, 300, 200
	var names, fleet []string
	for i := range riders {
		names = append(names, fmt.Sprintf("rider-%03d", i))
	}
	for i := range bikes {
		fleet = append(fleet, fmt.Sprintf("bike-%03d", i))
	}
	v := newVenue(t, venueConfig{Replicas: 2, Bikes: fleet, Riders: names,
		Orders: order.Config{StartDeadline: time.Minute}}) // on a slow machine the last of a thousand waits
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	clients := make([][2]client, riders) // each rider is known at both replicas
	for i, name := range names {
		clients[i] = [2]client{v.rider(name, 0, 5_000), v.rider(name, 1, 0)}
	}

	type placed struct {
		c client
		o seen
	}
	var mu sync.Mutex
	var won []placed
	refused := map[string]int{}
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for range attempts {
		c, bike := clients[random.IntN(riders)][random.IntN(2)], fleet[random.IntN(bikes)]
		wg.Go(func() {
			<-gate
			o, err := v.start(c, bike)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, placed{c, o})
				return
			}
			refused[refusal(err)]++
		})
	}
	close(gate)
	wg.Wait()
	t.Logf("%d orders placed; refused: %v", len(won), refused)
	for code := range refused {
		switch code {
		case "outlet_busy", "too_many_live_orders", "outlet_open", "outlet_blocked":
		default:
			t.Errorf("%d were refused with %q", refused[code], code)
		}
	}
	if len(won) < bikes/2 {
		t.Errorf("only %d of %d bikes found a rider", len(won), bikes)
	}
	device := map[string]string{}
	for _, p := range won {
		o, err := v.nodes[0].db.Order(t.Context(), p.o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := device[string(o.Device)]; taken {
			t.Errorf("%s was given to orders %s and %s", o.Device, other, o.ID)
		}
		device[string(o.Device)] = o.ID
	}
	// All open at once; then everybody gets off.
	for _, p := range won {
		v.reaches(p.c, p.o.ID, "active", 60*time.Second)
	}
	for bike := range device {
		v.direct(bike, "close", nil)
	}
	for _, p := range won {
		v.reaches(p.c, p.o.ID, "settled", 60*time.Second)
	}
	v.judge(fleet...)
	stored, err := v.nodes[0].db.Orders(t.Context(), order.Page{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) != len(won) {
		t.Errorf("%d orders are stored, %d were answered", len(stored), len(won))
	}
	for i, c := range clients {
		p, err := v.nodes[0].db.Wallet(t.Context(), c[0].id)
		if err != nil {
			t.Fatal(err)
		}
		if p.Held != 0 {
			t.Errorf("%s still has %d fen held", names[i], p.Held)
		}
	}
}

// refusal is the problem's code in an error of client.do.
func refusal(err error) string {
	fields := strings.Fields(err.Error())
	if len(fields) < 4 || errors.Unwrap(err) != nil {
		return err.Error()
	}
	return strings.TrimSuffix(fields[3], ":")
}
