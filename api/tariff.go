package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// TariffRule is a price rule; amounts are Fen.
type TariffRule struct {
	UnlockFee int64  `json:"unlock_fee_fen" minimum:"0"`
	FreeMS    int64  `json:"free_ms" minimum:"0" doc:"Billed time begins after this; the unlock fee does not"`
	BlockMS   int64  `json:"block_ms" minimum:"1000" doc:"Length of one block; a block that was begun counts"`
	BlockFee  int64  `json:"block_fee_fen" minimum:"0"`
	RideCap   int64  `json:"ride_cap_fen" minimum:"0" doc:"Most that one ride costs, unlock fee included"`
	DayCap    int64  `json:"day_cap_fen,omitempty" minimum:"0" doc:"Most per rider and day of the venue; 0 = none"`
	Rounding  string `json:"rounding,omitempty" enum:"started_blocks"`
}

func ruleOf(t billing.Tariff) TariffRule {
	return TariffRule{UnlockFee: int64(t.UnlockFee), FreeMS: t.FreeMS, BlockMS: t.BlockMS, BlockFee: int64(t.BlockFee),
		RideCap: int64(t.RideCap), DayCap: int64(t.DayCap), Rounding: string(t.Rounding)}
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

func tariffCardOf(t billing.Tariff) TariffCard {
	return TariffCard{ID: t.ID, Version: t.Version, Name: t.Name, TariffRule: ruleOf(t), Least: int64(t.Least()),
		Text: tariffText(t)}
}

func tariffText(t billing.Tariff) TariffText {
	text := TariffText{ZH: []string{}, EN: []string{}}
	say := func(zh, en string) { text.ZH, text.EN = append(text.ZH, zh), append(text.EN, en) }
	if t.UnlockFee == 0 && t.BlockFee == 0 {
		say("免费", "Free of charge")
		return text
	}
	if t.UnlockFee > 0 {
		say(fmt.Sprintf("开锁 ¥%v", t.UnlockFee), fmt.Sprintf("¥%v to unlock", t.UnlockFee))
	}
	if t.FreeMS > 0 && t.BlockFee > 0 {
		zh, en := lengthText(t.FreeMS)
		say("前 "+zh+"不计时", "The first "+en+" are not timed")
	}
	if t.BlockFee > 0 {
		zh, en := lengthText(t.BlockMS)
		say(fmt.Sprintf("每 %s ¥%v", zh, t.BlockFee), fmt.Sprintf("¥%v per %s begun", t.BlockFee, en))
	}
	if t.RideCap > 0 {
		say(fmt.Sprintf("单次封顶 ¥%v", t.RideCap), fmt.Sprintf("At most ¥%v per ride", t.RideCap))
	}
	if t.DayCap > 0 {
		say(fmt.Sprintf("每日封顶 ¥%v", t.DayCap), fmt.Sprintf("At most ¥%v per day", t.DayCap))
	}
	return text
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
	op := forStaff("add-tariff", http.MethodPost, "/v1/operator/tariffs", "Add the next version of a tariff")
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
	Kind        string    `json:"kind" enum:"lock,pump"`
	EffectiveAt time.Time `json:"effective_at"`
}

// TariffList is every version.
type TariffList struct {
	Tariffs []TariffVersion `json:"tariffs"`
}

type listTariffsOutput struct{ Body TariffList }

func tariffVersionOf(r order.TariffRow) TariffVersion {
	return TariffVersion{ID: r.Tariff.ID, Version: r.Tariff.Version, Name: r.Tariff.Name, TariffRule: ruleOf(r.Tariff),
		Venue: r.Venue, Kind: string(r.Kind), EffectiveAt: r.EffectiveAt}
}

func (a *API) listTariffs(ctx context.Context, _ *struct{}) (*listTariffsOutput, error) {
	rows, err := a.Store.Tariffs(ctx)
	if err != nil {
		return nil, err
	}
	return &listTariffsOutput{TariffList{each(rows, tariffVersionOf)}}, nil
}

// TariffBody is a new version's request.
type TariffBody struct {
	ID   string `json:"id" pattern:"^[A-Za-z0-9_-]{1,32}$" doc:"The same id makes the next version"`
	Name string `json:"name" minLength:"1" maxLength:"100"`
	TariffRule
	Venue       string     `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Kind        string     `json:"kind" enum:"lock"`
	EffectiveAt *time.Time `json:"effective_at,omitempty" doc:"Now, unless given; orders keep the version of their ticket"`
	Reason      string     `json:"reason,omitempty" maxLength:"500"`
}

type addTariffInput struct{ Body TariffBody }

type tariffOutput struct{ Body TariffVersion }

func (a *API) addTariff(ctx context.Context, in *addTariffInput) (*tariffOutput, error) {
	b := in.Body
	row := order.TariffRow{Venue: b.Venue, Kind: device.Kind(b.Kind), EffectiveAt: time.Now(),
		Tariff: billing.Tariff{ID: b.ID, Name: b.Name, UnlockFee: billing.Fen(b.UnlockFee), FreeMS: b.FreeMS,
			BlockMS: b.BlockMS, BlockFee: billing.Fen(b.BlockFee), RideCap: billing.Fen(b.RideCap),
			DayCap: billing.Fen(b.DayCap), Rounding: billing.StartedBlocks}}
	if b.EffectiveAt != nil {
		row.EffectiveAt = *b.EffectiveAt
	}
	if err := row.Tariff.Check(); err != nil {
		return nil, err
	}
	added, err := a.Store.AddTariff(ctx, row, audit(ctx, "tariff.add", "tariff "+b.ID, b.Reason, row.Tariff))
	if err != nil {
		return nil, err
	}
	row.Tariff = added
	return &tariffOutput{tariffVersionOf(row)}, nil
}
