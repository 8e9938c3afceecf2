package main

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/order"
)

// paused is what a rider sees of an order with a pause.
type paused struct {
	seen
	Pause *struct {
		State, Reason string
		Until         time.Time
	}
	Next struct{ What string }
}

func (v *venue) pauses(c client, id, what string) paused {
	v.t.Helper()
	var o paused
	if err := c.do(v.ctx, http.MethodPost, "/v1/orders/"+id+"/"+what, uuid.NewString(), nil, &o); err != nil {
		v.t.Fatalf("%s: %v", what, err)
	}
	return o
}

// waits until an order waits for what is said.
func (v *venue) waits(c client, id, what string) paused {
	v.t.Helper()
	var o paused
	v.until("order "+id+" waits for "+what, 30*time.Second, func() bool {
		o = paused{}
		if err := c.do(v.ctx, http.MethodGet, "/v1/orders/"+id, "", nil, &o); err != nil {
			v.t.Fatal(err)
		}
		return o.Next.What == what
	})
	return o
}

func TestARideIsPausedResumedAndBilledAsOne(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada", "ben"}})
	c := v.rider("ada", 0, 10_000)
	o, err := v.start(c, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(c, o.ID, "active", 30*time.Second)
	if p := v.pauses(c, o.ID, "pause"); p.Pause == nil || p.Pause.State != "asked" || p.Next.What != "close_to_pause" {
		t.Fatalf("asked for a pause: %+v", p)
	}
	v.direct("bike-1", "close", nil)
	if p := v.waits(c, o.ID, "resume_or_end"); p.State != "active" || p.Pause.State != "paused" || time.Until(p.Pause.Until) < 14*time.Minute {
		t.Errorf("paused: %+v", p)
	}
	if _, err := v.start(v.rider("ben", 0, 10_000), "bike-1"); err == nil {
		t.Error("somebody else took a paused bike")
	}
	// A start that the lock refuses leaves it paused; the next one opens it.
	v.direct("bike-1", "jam", map[string]any{"jammed": true})
	v.pauses(c, o.ID, "resume")
	v.until("the rider is told why it did not open", 30*time.Second, func() bool {
		p := v.waits(c, o.ID, "resume_or_end")
		return p.Pause.Reason == "failed_jam"
	})
	v.direct("bike-1", "jam", map[string]any{"jammed": false})
	v.direct("bike-1", "power", map[string]any{"do": "cut"}) // a mechanic's restart
	v.direct("bike-1", "power", map[string]any{"do": "restore"})
	v.until("the bike is back", 30*time.Second, func() bool {
		rows, err := v.nodes[0].db.Devices(v.ctx, "bike-1", "", "", 1)
		return err == nil && v.body("bike-1").Powered && rows[0].Device.Head.Boot == rows[0].Device.Sample.Boot && len(rows[0].Device.Boots) > 1
	})
	v.pauses(c, o.ID, "resume")
	if p := v.waits(c, o.ID, "ride_until_closed"); p.Pause != nil {
		t.Errorf("riding again, and still paused: %+v", p.Pause)
	}
	// A late copy of a request that opened it once, while it is paused again, opens nothing.
	v.pauses(c, o.ID, "pause")
	v.direct("bike-1", "close", nil)
	v.waits(c, o.ID, "resume_or_end")
	resume := "/v1/orders/" + o.ID + "/resume"
	status, _, first := v.ask(c, http.MethodPost, resume, "tap-1", "")
	v.waits(c, o.ID, "ride_until_closed")
	v.pauses(c, o.ID, "pause")
	v.direct("bike-1", "close", nil)
	v.waits(c, o.ID, "resume_or_end")
	if again, _, body := v.ask(c, http.MethodPost, resume, "tap-1", ""); status != http.StatusOK || again != status || !bytes.Equal(body, first) {
		t.Errorf("the late copy: %d %s, want %d %s", again, body, status, first)
	}
	if p := v.waits(c, o.ID, "resume_or_end"); p.Pause.State != "paused" || !v.body("bike-1").Closed {
		t.Errorf("after a late copy: %+v", p.Pause)
	}
	if status, _, body := v.ask(c, http.MethodPost, resume, "", ""); status != http.StatusBadRequest {
		t.Errorf("without a key: %d %s", status, body)
	}
	v.pauses(c, o.ID, "end")
	if o := v.reaches(c, o.ID, "settled", 30*time.Second); o.EndedBy != "rider_ended" || o.Charged != o.Quote.Total || len(o.Quote.Lines[1].Evidence) < 4 {
		t.Errorf("the receipt: %+v", o)
	}
	if moved := len(v.body("bike-1").Movements); moved != 3 {
		t.Errorf("the bolt moved %d times, want 3", moved)
	}
	v.judge("bike-1")
}

func TestAPauseThatNobodyResumesEndsByItself(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada", "ben"}, Orders: order.Config{PauseMost: 4 * time.Second}})
	for bike, name := range map[string]string{"bike-1": "ada", "bike-2": "ben"} {
		c := v.rider(name, 0, 10_000)
		o, err := v.start(c, bike)
		if err != nil {
			t.Fatal(err)
		}
		v.reaches(c, o.ID, "active", 30*time.Second)
		v.pauses(c, o.ID, "pause")
		v.direct(bike, "close", nil)
		v.waits(c, o.ID, "resume_or_end")
		want := "pause_over"
		if bike == "bike-2" {
			want = "rider_ended"
			v.pauses(c, o.ID, "end")
		}
		got := v.reaches(c, o.ID, "settled", 30*time.Second)
		row, err := v.nodes[0].db.Order(v.ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		open := row.Spans[0].To - row.Spans[0].From
		if got.EndedBy != want || len(row.Spans) != 1 || row.Usage.BilledMS != int64(open) || open > 4000 {
			t.Errorf("%s ended by %s and is billed %d ms of a use of %d ms", bike, got.EndedBy, row.Usage.BilledMS, open)
		}
	}
	v.judge("bike-1", "bike-2")
}
