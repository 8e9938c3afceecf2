package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/order"
)

// TestAnAlarmOfADeviceThatMovedIsTwo: the old one ends and the new one opens in one
// transaction, though of a kind and subject only one may be open.
func TestAnAlarmOfADeviceThatMovedIsTwo(t *testing.T) {
	db, _ := open(t)
	look := func(venue string) {
		t.Helper()
		mine, err := db.WatchAlarms(t.Context(), func(known []order.Alarm, now time.Time) (order.AlarmMoves, error) {
			return order.WatchAlarms(known, now, []order.Condition{{Kind: order.AlarmBattery, Subject: "bike-1", Device: "bike-1", Venue: venue, Detail: "low"}}, uuid.NewString), nil
		})
		if !mine || err != nil {
			t.Fatal(mine, err)
		}
	}
	list := func(venue string) []order.Alarm {
		t.Helper()
		all, err := db.Alarms(t.Context(), order.AlarmPage{Venue: venue, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	look("north")
	north := list("north")
	if len(north) != 1 || !north[0].Open() {
		t.Fatalf("alarms of north: %+v", north)
	}
	look("south")
	look("south")
	north, south := list("north"), list("south")
	if len(north) != 1 || north[0].Open() || len(south) != 1 || !south[0].Open() || south[0].ID == north[0].ID {
		t.Errorf("after the move north has %+v, south %+v", north, south)
	}
	var told []string
	if _, err := db.Relay(t.Context(), 10, func(us []order.Update) error {
		for _, u := range us {
			told = append(told, order.EventOf(u))
		}
		return nil
	}); err != nil || len(told) != 3 || told[0] != order.EventAlarmRaised || told[1] != order.EventAlarmCleared || told[2] != order.EventAlarmRaised {
		t.Errorf("told %v, %v", told, err)
	}
}
