package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

const (
	// taxMost is the longest time that one answer covers.
	taxMost = 400 * 24 * time.Hour
	// taxPatience bounds a whole answer, which holds one connection to the database.
	taxPatience = 10 * time.Minute
)

func (a *API) taxRoutes(h huma.API) {
	op := answersOf(forStaff("tax-data", http.MethodGet, "/v1/operator/venues/{id}/tax-data", "A station's sales and refunds for tax invoices"),
		http.StatusOK, taxType, &huma.Schema{Type: huma.TypeString})
	op.Description += " CSV with a header, UTF-8 with a byte order mark, oldest first: one row per sale of fuel that was" +
		" settled from from (included) to to (excluded), at most 400 days later, and one with amounts below zero per refund" +
		" made in that time. Units: litres, yuan per litre with tax, yuan. amount is what was billed: quantity times" +
		" unit_price, as the pump rounds it, less taken_off (above the limit, or decided by staff). net is amount /" +
		" (1 + tax_rate), half up to the Fen, and tax the rest. A refund gives back money and no fuel, so it has no" +
		" quantity, and the time of the refund. Test deliveries and orders of which nothing flowed are left out. tax_code" +
		" has more digits than a spreadsheet's number holds: import that column as text. Text that a spreadsheet would run" +
		" as a formula begins with an apostrophe. What is being settled while this is read may be missing: read a day" +
		" when it has been over for a minute. An answer that breaks off is not whole."
	register(a, h, op, a.taxData)
}

const taxType = "text/csv; charset=utf-8"

var taxHeader = []string{"order", "settled_at", "venue", "device", "outlet", "grade", "goods", "tax_code", "quantity", "unit",
	"unit_price", "amount", "tax_rate", "net", "tax", "taken_off", "row"}

type taxInput struct {
	ID   string    `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	From time.Time `query:"from" required:"true" doc:"RFC 3339; included"`
	To   time.Time `query:"to" required:"true" doc:"RFC 3339; excluded"`
}

func (a *API) taxData(ctx context.Context, in *taxInput) (*huma.StreamResponse, error) {
	if !in.From.Before(in.To) || in.To.Sub(in.From) > taxMost {
		return nil, fmt.Errorf("from %s to %s: from must be before to, by at most 400 days: %w", in.From.Format(time.RFC3339),
			in.To.Format(time.RFC3339), order.ErrInvalid)
	}
	venue, err := a.getVenue(ctx, &venuePath{ID: in.ID})
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(venue.Body.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("tax data of venue %s: %w", in.ID, err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		s := &sheet{stream: stream{w: w, control: http.NewResponseController(w)},
			name: fmt.Sprintf("tax-%s-%s.csv", in.ID, in.From.In(zone).Format("20060102"))}
		ctx, cancel := context.WithTimeout(r.Context(), taxPatience)
		defer cancel()
		c := csv.NewWriter(s)
		c.UseCRLF = true       // as RFC 4180 has it, and spreadsheets
		_ = c.Write(taxHeader) // into a buffer
		err := a.Store.TaxRows(ctx, in.ID, in.From, in.To, func(row order.TaxRow) error {
			return c.Write(taxCells(in.ID, zone, row))
		})
		if err == nil {
			c.Flush()
			err = c.Error()
		}
		s.release()
		switch {
		case err == nil:
		case !s.begun:
			a.refuse(w, r, "tax-data", err)
		default:
			if r.Context().Err() == nil {
				a.Log.Warn("tax data broke off", "venue", in.ID, "err", err)
			}
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
	}}, nil
}

// sheet is an answer that begins with its first bytes, so that what fails before
// them is still a problem.
type sheet struct {
	stream
	name  string
	begun bool
}

// Write implements io.Writer.
func (s *sheet) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", taxType)
		h.Set("Content-Disposition", `attachment; filename="`+s.name+`"`)
		s.w.WriteHeader(http.StatusOK)
		if err := s.write("\ufeff"); err != nil { // by which Excel knows UTF-8
			return 0, err
		}
	}
	if err := s.write(string(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// taxCells is one row of the sheet.
func taxCells(venue string, zone *time.Location, row order.TaxRow) []string {
	quantity, price, kind := thousandths(row.Millilitres), thousandths(row.Grade.UnitPrice), "sale"
	if row.Refund {
		quantity, price, kind = "", "", "refund"
	}
	net := netOf(row.Amount, row.Grade.TaxPermille)
	return []string{row.Order, row.At.In(zone).Format(time.RFC3339), cell(venue), cell(string(row.Device)), strconv.Itoa(int(row.Outlet)),
		cell(row.Grade.ID), cell(row.Grade.Name), cell(row.Grade.TaxCode), quantity, "升", price, row.Amount.String(),
		thousandths(int64(row.Grade.TaxPermille)), net.String(), (row.Amount - net).String(), row.Off.String(), kind}
}

// thousandths shows a count of thousandths with its three decimals.
func thousandths(n int64) string { return fmt.Sprintf("%d.%03d", n/1000, n%1000) }

// netOf is what is left of an amount without the tax in it: amount / (1 + rate),
// half up to the Fen. Below zero it mirrors what is above, so that a refund of all
// takes back exactly what the sale stated.
func netOf(amount billing.Fen, permille int) billing.Fen {
	if amount < 0 {
		return -netOf(-amount, permille)
	}
	d := billing.Fen(1000 + permille)
	// amount = q*d + r, so amount*1000/d = q*1000 + r*1000/d: no product can overflow.
	return amount/d*1000 + (amount%d*2000+d)/(2*d)
}

// cell keeps a spreadsheet from running a text as a formula.
func cell(text string) string {
	if strings.IndexAny(text, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}
