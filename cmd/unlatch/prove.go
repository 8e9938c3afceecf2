package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unlatch/unlatch/internal/world"
)

type proveCmd struct {
	Seeds string `default:"1:500" placeholder:"A:B" help:"Seeds from A up to and including B."`
	Trace bool   `help:"Tell the schedule as a story; for a single seed."`
	JSON  bool   `name:"json" help:"Print the sum as JSON."`
}

// Help teaches how to replay.
func (proveCmd) Help() string {
	return `A schedule is one seed: devices that lose power, a network that drops, delays, repeats and bends messages, replicas that die,
riders who change their minds, pumps whose valves stick and whose meters are turned by a crank. It runs the real decision code
and the simulated firmware in virtual time; the bodies of locks and pumps and the wallets are the judge. The same seed always plays the same schedule: unlatch prove --seeds 42:42 --trace`
}

// proved is the sum of many schedules.
type proved struct {
	Schedules   int            `json:"schedules"`
	Violations  []string       `json:"violations"`
	MedianSteps int            `json:"median_steps"`
	PerSecond   float64        `json:"schedules_per_second"`
	Faults      map[string]int `json:"faults"`
	Orders      map[string]int `json:"orders"`
	Ends        map[string]int `json:"ends"` // of sales at pumps
}

// Run plays the seeds; errFound when a promise broke.
func (p proveCmd) Run(ctx context.Context, out io.Writer) error {
	from, to, err := parseSeeds(p.Seeds)
	if err != nil {
		return err
	}
	if p.Trace {
		if from != to {
			return fmt.Errorf("--trace tells one story: give one seed, such as --seeds %d:%d", from, from)
		}
		r := world.Run(from, world.Options{Trace: out})
		for _, v := range r.Violations {
			fmt.Fprintln(out, "BROKEN:", v)
		}
		if len(r.Violations) > 0 {
			return errFound
		}
		return nil
	}
	sum := p.play(ctx, from, to)
	if p.JSON {
		if err := json.NewEncoder(out).Encode(sum); err != nil {
			return err
		}
	} else {
		for _, v := range sum.Violations {
			fmt.Fprintln(out, "BROKEN:", v)
		}
		fmt.Fprintf(out, "%d schedules, %d violations, median %d steps, %.0f schedules/s on %d cores\n", sum.Schedules,
			len(sum.Violations), sum.MedianSteps, sum.PerSecond, runtime.GOMAXPROCS(0))
	}
	if len(sum.Violations) > 0 {
		return errFound
	}
	return ctx.Err()
}

func parseSeeds(s string) (from, to uint64, err error) {
	a, b, ok := strings.Cut(s, ":")
	if !ok {
		b = a
	}
	from, err = strconv.ParseUint(a, 10, 64)
	if err == nil {
		to, err = strconv.ParseUint(b, 10, 64)
	}
	if err != nil || to < from {
		return 0, 0, fmt.Errorf("--seeds %q: give A:B with A not above B", s)
	}
	return from, to, nil
}

func (p proveCmd) play(ctx context.Context, from, to uint64) proved {
	sum := proved{Violations: []string{}, Faults: map[string]int{}, Orders: map[string]int{}, Ends: map[string]int{}}
	bar := progress(int(to-from+1), "schedules")
	began := time.Now()
	var mu sync.Mutex
	var steps []int
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				r := world.Run(seed, world.Options{})
				mu.Lock()
				steps = append(steps, r.Steps)
				for _, v := range r.Violations {
					sum.Violations = append(sum.Violations, fmt.Sprintf("seed %d: %s", seed, v))
				}
				for k, n := range r.Faults {
					sum.Faults[k] += n
				}
				for k, n := range r.Orders {
					sum.Orders[k] += n
				}
				for k, n := range r.Ends {
					sum.Ends[k] += n
				}
				mu.Unlock()
				_ = bar.Add(1)
			}
		})
	}
	for seed := from; seed <= to && ctx.Err() == nil; seed++ {
		seeds <- seed
	}
	close(seeds)
	wg.Wait()
	_ = bar.Finish()
	slices.Sort(steps)
	slices.Sort(sum.Violations)
	sum.Schedules = len(steps)
	if len(steps) > 0 {
		sum.MedianSteps = steps[len(steps)/2]
	}
	sum.PerSecond = float64(len(steps)) / time.Since(began).Seconds()
	return sum
}
