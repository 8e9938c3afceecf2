package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// Finder finds things by what is written on them.
type Finder interface {
	// Search returns at most limit things of those venues, nil = all, whose id, number or
	// name a text begins or, of devices and venues, is part of. Riders are found only by who
	// sees all venues. number is a code's that the text holds, "" = none.
	Search(ctx context.Context, text, number string, venues []string, limit int) ([]order.Hit, error)
}

func (a *API) searchRoutes(h huma.API) {
	op := forStaff("search", http.MethodGet, "/v1/operator/search", "Find a device, order, rider, code or venue")
	op.Description += " By part of a device's or venue's id or name, by an order's or rider's id or the first eight letters of it or more, by a" +
		" code's number, typed with or without dashes or scanned as an address."
	register(a, h, op, a.search)
}

// Hit is what a search found.
type Hit struct {
	Kind  string `json:"kind" enum:"device,order,rider,code,venue"`
	ID    string `json:"id"`
	Title string `json:"title" doc:"Of a device its venue's name, of an order its device and state, of a code its device and outlet"`
}

// Hits are what a search found, best first.
type Hits struct {
	Hits []Hit `json:"hits"`
}

// searchMost is how many hits one answer holds.
const searchMost = 20

type searchInput struct {
	Q string `query:"q" required:"true" minLength:"1" maxLength:"200"`
}

type searchOutput struct{ Body Hits }

func (a *API) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	text := strings.TrimSpace(in.Q)
	if text == "" {
		return &searchOutput{Hits{[]Hit{}}}, nil
	}
	number := ""
	// A mistyped or forged number is looked for all the same: staff hold what is printed.
	if code, err := qr.Parse(text, a.Domain); err == nil || errors.Is(err, qr.ErrForeign) {
		number = string(code.Number)
	}
	if number == "" {
		number = digitsOf(text)
	}
	hits, err := a.Store.Search(ctx, text, number, venuesOf(ctx), searchMost)
	if err != nil {
		return nil, err
	}
	return &searchOutput{Hits{each(hits, func(h order.Hit) Hit { return Hit{h.Kind, h.ID, h.Title} })}}, nil
}

// digitsOf is the number that a text may be: its digits, where it holds nothing but those,
// dashes and spaces, or the end of an address.
func digitsOf(text string) string {
	if i := strings.LastIndex(text, "/"); i >= 0 {
		text = text[i+1:]
		if len(text) > 14 {
			text = text[:14]
		}
	}
	var digits strings.Builder
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits.WriteRune(c)
		case c != '-' && c != ' ':
			return ""
		}
	}
	return digits.String()
}
