package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/billing"
)

// cellOf writes one value of a table. Text is kept from being a formula; figures, which
// may be negative, and moments, in UTC, are written so that a program reads them back. A
// nil pointer and the zero moment are empty.
func cellOf(value any) string {
	switch v := value.(type) {
	case billing.Fen:
		return v.String() // yuan
	case time.Time:
		return timeCell(optionalTime(v))
	case *time.Time:
		return timeCell(v)
	case *int:
		if v == nil {
			return ""
		}
		return strconv.Itoa(*v)
	case *float64: // degrees
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'f', 6, 64)
	}
	if text := reflect.ValueOf(value); text.Kind() == reflect.String {
		return cell(text.String())
	}
	return fmt.Sprint(value) // an integer or a truth
}

// csvPage is how many rows a list reads at a time while it is written.
const csvPage = 500

// asCSV documents a list as a file.
func asCSV(op huma.Operation) huma.Operation {
	op = answersOf(op, http.StatusOK, "text/csv; charset=utf-8", &huma.Schema{Type: huma.TypeString})
	op.Description += " The same filters as the list. UTF-8 with a byte order mark, and a header."
	return op
}

// table streams a list: page is called until it returns no rows more, each time for what
// comes next. What fails before the first row is a problem; later the answer breaks off.
// Columns are as cellOf writes them.
func (a *API) table(ctx context.Context, name string, header []string, page func(context.Context) (rows [][]any, more bool, err error)) (*huma.StreamResponse, error) {
	rows, more, err := page(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		s := &sheet{stream: stream{w: w, control: http.NewResponseController(w)}, name: name}
		ctx, cancel := context.WithTimeout(r.Context(), taxPatience)
		defer cancel()
		c := csv.NewWriter(s)
		c.UseCRLF = true
		_ = c.Write(header) // into a buffer
		for {
			for _, row := range rows {
				_ = c.Write(each(row, cellOf))
			}
			c.Flush()
			if err = c.Error(); err != nil || !more {
				break
			}
			if rows, more, err = page(ctx); err != nil {
				break
			}
		}
		s.release()
		if err != nil {
			if r.Context().Err() == nil {
				a.Log.Warn("list broke off", "err", err)
			}
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
	}}, nil
}
