package api

import (
	"context"
	"encoding/csv"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

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
func (a *API) table(ctx context.Context, name string, header []string, page func(context.Context) (rows [][]string, more bool, err error)) (*huma.StreamResponse, error) {
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
				for i := range row {
					row[i] = cell(row[i])
				}
				_ = c.Write(row)
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
