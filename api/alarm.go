package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) alarmRoutes(h huma.API) {
	register(a, h, forStaff("list-alarms", http.MethodGet, "/v1/operator/alarms", "Conditions that staff must know of, newest first"), a.listAlarms)
	for _, act := range []struct{ name, summary string }{
		{order.Acknowledge, "Take an alarm on"},
		{order.Snooze, "Hide an alarm until a moment; it is taken on"},
		{order.Clear, "End an alarm by hand; it returns when its condition does"},
	} {
		register(a, h, forStaff(act.name+"-alarm", http.MethodPost, "/v1/operator/alarms/{id}/"+act.name, act.summary), a.actOnAlarm(act.name))
	}
}

// Alarm is a condition since it was entered, raised once however long it lasts and
// however often it flaps.
type Alarm struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind" doc:"device_offline, low_battery, unlock_failures, jammed, evidence_gap, clock_drift, emergency_stop, unresolved_long, open_item or totaliser_gap"`
	Severity  string     `json:"severity" enum:"critical,warning"`
	Subject   string     `json:"subject"`
	Device    string     `json:"device,omitempty"`
	Venue     string     `json:"venue,omitempty"`
	Detail    string     `json:"detail"`
	RaisedAt  time.Time  `json:"raised_at"`
	SeenAt    time.Time  `json:"seen_at" doc:"When it was last so"`
	Times     int        `json:"times" doc:"How often the condition was entered, ten minutes or less apart"`
	AckedAt   *time.Time `json:"acked_at,omitempty"`
	AckedBy   string     `json:"acked_by,omitempty" doc:"A member's id"`
	Snoozed   *time.Time `json:"snoozed_until,omitempty"`
	ClearedAt *time.Time `json:"cleared_at,omitempty"`
	ClearedBy string     `json:"cleared_by,omitempty" doc:"Absent where the condition ended"`
	Comment   string     `json:"comment,omitempty"`
}

// AlarmList is one page of alarms.
type AlarmList struct {
	Alarms     []Alarm `json:"alarms"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

func alarmOf(a order.Alarm) Alarm {
	return Alarm{ID: a.ID, Kind: string(a.Kind), Severity: string(a.Kind.Severity()), Subject: a.Subject, Device: string(a.Device),
		Venue: a.Venue, Detail: a.Detail, RaisedAt: a.RaisedAt, SeenAt: a.SeenAt, Times: a.Times, AckedAt: optionalTime(a.AckedAt),
		AckedBy: a.AckedBy, Snoozed: optionalTime(a.Snoozed), ClearedAt: optionalTime(a.ClearedAt), ClearedBy: a.ClearedBy, Comment: a.Comment}
}

type listAlarmsInput struct {
	PageQuery
	Open  bool   `query:"open" doc:"Only those that are not over"`
	Kind  string `query:"kind" pattern:"^[a-z_]{1,40}$"`
	Venue string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
}

type listAlarmsOutput struct{ Body AlarmList }

func (a *API) listAlarms(ctx context.Context, in *listAlarmsInput) (*listAlarmsOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Alarms(ctx, order.AlarmPage{Open: in.Open, Kind: order.AlarmKind(in.Kind), Venue: in.Venue, Venues: venuesOf(ctx),
		After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.Alarm) string { return r.ID })
	return &listAlarmsOutput{AlarmList{Alarms: each(rows, alarmOf), NextCursor: next}}, nil
}

// AlarmBody is why, and of a snooze until when.
type AlarmBody struct {
	Reason string     `json:"reason,omitempty" maxLength:"500" doc:"Kept in the audit, and shown with the alarm"`
	Until  *time.Time `json:"until,omitempty" doc:"Of a snooze, at most 30 days ahead; an hour unless given"`
}

type alarmActInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body *AlarmBody
}

type alarmOutput struct{ Body Alarm }

func (a *API) actOnAlarm(what string) func(context.Context, *alarmActInput) (*alarmOutput, error) {
	return func(ctx context.Context, in *alarmActInput) (*alarmOutput, error) {
		act := order.AlarmAct{ID: in.ID, What: what}
		if in.Body != nil {
			act.Comment = in.Body.Reason
		}
		if now := time.Now(); what == order.Snooze {
			act.Until = now.Add(time.Hour)
			if in.Body != nil && in.Body.Until != nil {
				act.Until = *in.Body.Until
			}
			if act.Until.Before(now) || act.Until.After(now.AddDate(0, 0, 30)) {
				return nil, invalid("until must be ahead, and at most 30 days")
			}
		}
		act.Audit = audit(ctx, "alarm."+what, "alarm "+in.ID, act.Comment, nil)
		row, err := a.Store.ActOnAlarm(ctx, act, venuesOf(ctx))
		if err != nil {
			return nil, instead(err, errAlarmUnknown)
		}
		return &alarmOutput{alarmOf(row)}, nil
	}
}
