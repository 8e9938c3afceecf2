package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// TariffRule is a price rule; amounts are Fen. It is either by time or by volume:
// what belongs to the other is absent.
type TariffRule struct {
	ReserveFree *int64 `json:"reserve_free_minutes,omitempty" minimum:"-1" maximum:"1440" doc:"Of a reservation; absent or 0: 5, -1: none"`
	ReserveFee  *int64 `json:"reserve_fen_per_minute,omitempty" minimum:"0" doc:"Of each minute begun beyond the free ones, billed to the order that uses it"`
	ReserveMost *int64 `json:"reserve_most_minutes,omitempty" minimum:"-1" maximum:"1440" doc:"A reservation is held for; absent or 0: 10, -1: there are none"`

	UnlockFee *int64    `json:"unlock_fee_fen,omitempty" minimum:"0"`
	FreeMS    *int64    `json:"free_ms,omitempty" minimum:"0" doc:"Billed time begins after this; the unlock fee does not"`
	BlockMS   *int64    `json:"block_ms,omitempty" minimum:"1000" doc:"Length of one block; a block that was begun counts"`
	BlockFee  *int64    `json:"block_fee_fen,omitempty" minimum:"0"`
	RideCap   *int64    `json:"ride_cap_fen,omitempty" minimum:"0" doc:"Most that one ride costs, unlock fee and reservation included"`
	DayCap    *int64    `json:"day_cap_fen,omitempty" minimum:"0" doc:"Most per rider and day of the venue; 0 = none"`
	Rounding  string    `json:"rounding,omitempty" enum:"started_blocks,half_up" doc:"Follows from the rule"`
	Fuel      *FuelRule `json:"fuel,omitempty" doc:"Prices by volume"`
}

func ruleOf(t billing.Tariff) TariffRule {
	r := TariffRule{Rounding: string(t.Rounding), Fuel: fuelRuleOf(t.FuelRule)}
	if t := t.TimeRule; t != nil {
		show := func(v int64) *int64 { return &v }
		r.UnlockFee, r.FreeMS, r.BlockMS = show(int64(t.UnlockFee)), show(t.FreeMS), show(t.BlockMS)
		r.BlockFee, r.RideCap, r.DayCap = show(int64(t.BlockFee)), show(int64(t.RideCap)), show(int64(t.DayCap))
		for _, x := range []struct {
			to   **int64
			said int64
		}{{&r.ReserveFree, t.ReserveFree}, {&r.ReserveFee, int64(t.ReserveFee)}, {&r.ReserveMost, t.ReserveMost}} {
			if x.said != 0 {
				*x.to = show(x.said)
			}
		}
	}
	return r
}

// set puts the rule into a tariff: by volume where fuel is given, by time else.
// billing.ErrBadTariff: it is both.
func (r TariffRule) set(t *billing.Tariff) error {
	if r.Fuel != nil {
		for _, v := range []*int64{r.UnlockFee, r.FreeMS, r.BlockMS, r.BlockFee, r.RideCap, r.DayCap, r.ReserveFree, r.ReserveFee, r.ReserveMost} {
			if v != nil {
				return fmt.Errorf("%w: it has prices by time and by volume; give one of them", billing.ErrBadTariff)
			}
		}
		t.FuelRule, t.Rounding = r.Fuel.rule(), billing.HalfUp
		return nil
	}
	value := func(v *int64) int64 {
		if v == nil {
			return 0
		}
		return *v
	}
	t.Rounding = billing.StartedBlocks
	t.TimeRule = &billing.TimeRule{UnlockFee: billing.Fen(value(r.UnlockFee)), FreeMS: value(r.FreeMS), BlockMS: value(r.BlockMS),
		BlockFee: billing.Fen(value(r.BlockFee)), RideCap: billing.Fen(value(r.RideCap)), DayCap: billing.Fen(value(r.DayCap)),
		ReserveFree: value(r.ReserveFree), ReserveFee: billing.Fen(value(r.ReserveFee)), ReserveMost: value(r.ReserveMost)}
	return nil
}

// TariffCard is what a rider sees of a tariff before the ride.
type TariffCard struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Name    string `json:"name"`
	TariffRule
	Least int64      `json:"least_fen" doc:"What the balance must cover before a ride starts"`
	Text  TariffText `json:"text" doc:"The rule in sentences, for who does not build their own"`
}

// TariffText is a rule in short sentences.
type TariffText struct {
	ZH []string `json:"zh-CN"`
	EN []string `json:"en"`
}

func tariffCardOf(t billing.Tariff, pass *billing.PassUse) TariffCard {
	return TariffCard{ID: t.ID, Version: t.Version, Name: t.Name, TariffRule: ruleOf(t), Least: int64(t.Least(pass)),
		Text: tariffText(t)}
}

func tariffText(t billing.Tariff) TariffText {
	text := TariffText{ZH: []string{}, EN: []string{}}
	say := func(zh, en string) { text.ZH, text.EN = append(text.ZH, zh), append(text.EN, en) }
	switch {
	case t.FuelRule != nil:
		fuelText(t.FuelRule, say)
	case t.TimeRule == nil || t.UnlockFee == 0 && t.BlockFee == 0:
		say("免费", "Free of charge")
	default:
		timeText(t.TimeRule, say)
	}
	return text
}

func timeText(t *billing.TimeRule, say func(zh, en string)) {
	if t.UnlockFee > 0 {
		say(fmt.Sprintf("开锁 ¥%v", t.UnlockFee), fmt.Sprintf("¥%v to unlock", t.UnlockFee))
	}
	if t.FreeMS > 0 && t.BlockFee > 0 {
		zh, en := lengthText(t.FreeMS)
		say("前 "+zh+"不计时", "The first "+en+" are not timed")
	}
	if t.BlockFee > 0 {
		zh, en := lengthText(t.BlockMS)
		say(fmt.Sprintf("每 %s ¥%v", zh, t.BlockFee), fmt.Sprintf("¥%v per started %s", t.BlockFee, unitText(en)))
	}
	if t.RideCap > 0 {
		say(fmt.Sprintf("单次封顶 ¥%v", t.RideCap), fmt.Sprintf("At most ¥%v per ride", t.RideCap))
	}
	if t.DayCap > 0 {
		say(fmt.Sprintf("每日封顶 ¥%v", t.DayCap), fmt.Sprintf("At most ¥%v per day", t.DayCap))
	}
	if r, offered := (billing.Tariff{TimeRule: t}).Reserving(); offered && r.Fee > 0 && r.Most > r.Free {
		free := int(r.Free.Minutes())
		say(fmt.Sprintf("预约 %d 分钟后每分钟 ¥%v", free, r.Fee), fmt.Sprintf("Reserving ¥%v per minute after %d min", r.Fee, free))
	}
}

// unitText is a length as a unit of a price: "minute", "15 min".
func unitText(length string) string {
	if unit, one := map[string]string{"1 h": "hour", "1 min": "minute", "1 s": "second"}[length]; one {
		return unit
	}
	return length
}

// lengthText is a length in the largest unit that divides it.
func lengthText(ms int64) (zh, en string) {
	switch {
	case ms%3_600_000 == 0:
		return fmt.Sprintf("%d 小时", ms/3_600_000), fmt.Sprintf("%d h", ms/3_600_000)
	case ms%60_000 == 0:
		return fmt.Sprintf("%d 分钟", ms/60_000), fmt.Sprintf("%d min", ms/60_000)
	}
	return fmt.Sprintf("%d 秒", ms/1000), fmt.Sprintf("%d s", ms/1000)
}

func (a *API) tariffRoutes(h huma.API) {
	register(a, h, forStaff("list-tariffs", http.MethodGet, "/v1/operator/tariffs",
		"Every version of every tariff, newest first"), a.listTariffs)
	op := forStaff("add-tariff", http.MethodPost, "/v1/operator/tariffs", "Add the next version of a tariff, now or from a time to come")
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addTariff)
}

// TariffVersion is one version of a tariff with where and from when it counts.
type TariffVersion struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Name    string `json:"name"`
	TariffRule
	Venue       string    `json:"venue"`
	Kind        Kind      `json:"kind"`
	Group       string    `json:"group,omitempty" doc:"Of riders; absent = everybody without a tariff of their group"`
	EffectiveAt time.Time `json:"effective_at"`
}

// TariffList is every version.
type TariffList struct {
	Tariffs []TariffVersion `json:"tariffs"`
}

type listTariffsOutput struct{ Body TariffList }

func tariffVersionOf(r order.TariffRow) TariffVersion {
	return TariffVersion{ID: r.Tariff.ID, Version: r.Tariff.Version, Name: r.Tariff.Name, TariffRule: ruleOf(r.Tariff),
		Venue: r.Venue, Kind: kindOf(r.Kind), Group: r.Group, EffectiveAt: r.EffectiveAt}
}

func (a *API) listTariffs(ctx context.Context, _ *struct{}) (*listTariffsOutput, error) {
	rows, err := a.Store.Tariffs(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r order.TariffRow) bool { return !keeps(ctx, r.Venue) })
	return &listTariffsOutput{TariffList{each(rows, tariffVersionOf)}}, nil
}

// TariffBody is a new version's request.
type TariffBody struct {
	ID   string `json:"id" pattern:"^[A-Za-z0-9_-]{1,32}$" doc:"The same id makes the next version"`
	Name string `json:"name" minLength:"1" maxLength:"100"`
	TariffRule
	Venue       string     `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Kind        Kind       `json:"kind"`
	Group       string     `json:"group,omitempty" pattern:"^[A-Za-z0-9_-]{0,32}$" doc:"Of riders, whom it counts for before that of everybody; absent = everybody"`
	EffectiveAt *time.Time `json:"effective_at,omitempty" doc:"Now, unless given; orders keep the version of their ticket"`
	Reason      string     `json:"reason,omitempty" maxLength:"500"`
}

type addTariffInput struct{ Body TariffBody }

type tariffOutput struct{ Body TariffVersion }

func (a *API) addTariff(ctx context.Context, in *addTariffInput) (*tariffOutput, error) {
	b := in.Body
	row := order.TariffRow{Venue: b.Venue, Kind: device.Kind(b.Kind), Group: b.Group, EffectiveAt: time.Now(),
		Tariff: billing.Tariff{ID: b.ID, Name: b.Name}}
	if err := b.TariffRule.set(&row.Tariff); err != nil {
		return nil, err
	}
	if b.EffectiveAt != nil {
		if b.EffectiveAt.Before(row.EffectiveAt.Add(-time.Minute)) {
			return nil, fmt.Errorf("effective_at %s is past, and what was sold then stays so; leave it out for now: %w",
				b.EffectiveAt.Format(time.RFC3339), order.ErrInvalid)
		}
		row.EffectiveAt = *b.EffectiveAt
	}
	added, err := a.Store.AddTariff(ctx, row, audit(ctx, "tariff.add", "tariff "+b.ID, b.Reason, row.Tariff))
	if err != nil {
		return nil, err
	}
	row.Tariff = added
	return &tariffOutput{tariffVersionOf(row)}, nil
}
