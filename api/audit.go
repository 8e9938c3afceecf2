package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/unlatch/unlatch/order"
)

func (a *API) auditRoutes(h huma.API) {
	register(a, h, forStaff("list-audit", http.MethodGet, "/v1/operator/audit", "Privileged acts, newest first"), a.listAudit)
	list := answersOf(forStaff("audit-csv", http.MethodGet, "/v1/operator/audit.csv", "Privileged acts as CSV, newest first"),
		http.StatusOK, "text/csv; charset=utf-8", &huma.Schema{Type: huma.TypeString})
	list.Description += " UTF-8 with a byte order mark."
	register(a, h, list, a.auditCSV)
}

// AuditPage is one page of privileged acts.
type AuditPage struct {
	Acts       []AuditRow `json:"acts"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

// AuditRow is one privileged act.
type AuditRow struct {
	ID     string          `json:"id"`
	Staff  string          `json:"staff"`
	Name   string          `json:"staff_name,omitempty" doc:"Absent where no member did it"`
	Act    string          `json:"act"`
	Object string          `json:"object"`
	Reason string          `json:"reason"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	At     time.Time       `json:"at"`
}

// AuditFilter picks acts; what is absent filters nothing.
type AuditFilter struct {
	Staff  string    `query:"staff" maxLength:"64" doc:"The member's id"`
	Act    string    `query:"act" maxLength:"64" doc:"Begins with, such as venue."`
	Object string    `query:"object" maxLength:"100" doc:"Holds, such as bike-001"`
	Text   string    `query:"q" maxLength:"100" doc:"Object, reason, before or after hold it; upper and lower case are the same"`
	From   time.Time `query:"from" doc:"Acts from then"`
	To     time.Time `query:"to" doc:"until before then"`
}

func (f AuditFilter) query(after string) order.AuditQuery {
	return order.AuditQuery{After: after, Staff: f.Staff, Act: f.Act, Object: f.Object, Text: f.Text, From: f.From, To: f.To}
}

type listAuditInput struct {
	PageQuery
	AuditFilter
}

type listAuditOutput struct{ Body AuditPage }

func (a *API) listAudit(ctx context.Context, in *listAuditInput) (*listAuditOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Audits(ctx, in.query(after), in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.AuditRow) string { return r.ID })
	return &listAuditOutput{AuditPage{NextCursor: next, Acts: each(rows, func(r order.AuditRow) AuditRow {
		return AuditRow{ID: r.ID, Staff: r.Staff, Name: r.Name, Act: r.Act, Object: r.Object, Reason: r.Reason, Before: r.Before,
			After: r.After, At: r.At}
	})}}, nil
}

type auditCSVInput struct{ AuditFilter }

// auditCSV reads page by page while it writes: the audit of years is larger than memory.
func (a *API) auditCSV(ctx context.Context, in *auditCSVInput) (*huma.StreamResponse, error) {
	const page = 1000
	rows, err := a.Store.Audits(ctx, in.query(""), page)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		s := &sheet{stream: stream{w: w, control: http.NewResponseController(w)}, name: "audit.csv"}
		ctx, cancel := context.WithTimeout(r.Context(), taxPatience)
		defer cancel()
		c := csv.NewWriter(s)
		c.UseCRLF = true
		_ = c.Write([]string{"at", "staff", "name", "act", "object", "reason", "before", "after", "id"})
		for err == nil {
			for _, r := range rows {
				_ = c.Write([]string{r.At.UTC().Format(time.RFC3339Nano), cell(r.Staff), cell(r.Name), cell(r.Act), cell(r.Object), cell(r.Reason),
					string(r.Before), string(r.After), r.ID})
			}
			c.Flush()
			if err = c.Error(); err != nil || len(rows) < page {
				break
			}
			rows, err = a.Store.Audits(ctx, in.query(rows[len(rows)-1].ID), page)
		}
		s.release()
		if err != nil {
			if r.Context().Err() == nil {
				a.Log.Warn("audit list broke off", "err", err)
			}
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
	}}, nil
}
