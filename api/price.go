package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) priceRoutes(h huma.API) {
	op := forStaff("list-prices", http.MethodGet, "/v1/operator/venues/{id}/prices", "A venue's prices, now and ahead")
	op.Description += " Per kind: the tariff in force and those that will be, by rising effective_at. A tariff added with an" +
		" effective_at ahead leaves the present one in force until then; orders keep the version of their ticket."
	register(a, h, op, a.listPrices)
}

// PriceList is what a venue's tariffs are now and will be.
type PriceList struct {
	Venue string      `json:"venue"`
	At    time.Time   `json:"at" doc:"The moment that now speaks of"`
	Kinds []KindPrice `json:"kinds" doc:"Those that have a tariff here"`
}

// KindPrice is the prices of one kind of device.
type KindPrice struct {
	Kind  Kind            `json:"kind"`
	Group string          `json:"group,omitempty" doc:"Of riders; absent = everybody"`
	Now   *TariffVersion  `json:"now,omitempty" doc:"In force; absent when the first one is still ahead"`
	Ahead []TariffVersion `json:"ahead" doc:"Scheduled, the next one first; of several for one moment the one that will count"`
}

type priceListOutput struct{ Body PriceList }

func (a *API) listPrices(ctx context.Context, in *venuePath) (*priceListOutput, error) {
	if _, err := a.getVenue(ctx, in); err != nil {
		return nil, err
	}
	list, err := a.Store.Prices(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &priceListOutput{priceListOf(in.ID, list)}, nil
}

// priceListOf groups rows that are sorted by kind and time.
func priceListOf(venue string, list order.PriceList) PriceList {
	v := PriceList{Venue: venue, At: list.At, Kinds: []KindPrice{}}
	for _, row := range list.Tariffs {
		tariff := tariffVersionOf(row)
		if n := len(v.Kinds); n == 0 || v.Kinds[n-1].Kind != tariff.Kind || v.Kinds[n-1].Group != tariff.Group {
			v.Kinds = append(v.Kinds, KindPrice{Kind: tariff.Kind, Group: tariff.Group, Ahead: []TariffVersion{}})
		}
		k := &v.Kinds[len(v.Kinds)-1]
		if row.EffectiveAt.After(list.At) {
			k.Ahead = append(k.Ahead, tariff)
		} else {
			k.Now = &tariff
		}
	}
	return v
}
