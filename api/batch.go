package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

var (
	errBatchUnknown  = errors.New("there is no such batch of codes")
	errBatchTooLarge = errors.New("the server renders at most 1000 labels at once; ask for a part with first and last, or run: unlatch codes print --batch ID")
)

// batchRoutes are what is below a batch; making and listing them is in codeRoutes'
// mux, by batchListRoutes.
func (a *API) batchRoutes(h huma.API) {
	register(a, h, forStaff("get-code-batch", http.MethodGet, "/v1/operator/codes/batches/{id}", "One batch, and what became of its codes"), a.getBatch)
	register(a, h, forStaff("list-batch-codes", http.MethodGet, "/v1/operator/codes/batches/{id}/codes",
		"A batch's codes by label, revoked ones included"), a.listBatchCodes)
	a.labelRoutes(h)
}

func (a *API) batchListRoutes(h huma.API) {
	op := answersOf(forStaff("add-code-batch", http.MethodPost, "/v1/operator/codes/batches", "Mint codes to be printed before they are bound"),
		http.StatusCreated, "application/json", schemaOf[CodeBatch](a))
	op.Description += " All or none. They belong to the venue and name no device until staff bind them in the field; a rider" +
		" who scans one before is told so (`code_unbound`)."
	register(a, h, op, a.addBatch)
	register(a, h, forStaff("list-code-batches", http.MethodGet, "/v1/operator/codes/batches", "Batches of codes, newest first"), a.listBatches)
}

// CodeBatch is codes that were minted to be printed together.
type CodeBatch struct {
	ID        string    `json:"id"`
	Venue     string    `json:"venue"`
	VenueName string    `json:"venue_name"`
	Count     int       `json:"count" doc:"Of its labels"`
	Caption   string    `json:"caption,omitempty"`
	By        string    `json:"by" doc:"The staff member's id"`
	At        time.Time `json:"created_at"`
	Bound     int       `json:"bound" doc:"In use on a device"`
	Unbound   int       `json:"unbound" doc:"Waiting for a device"`
	Revoked   int       `json:"revoked" doc:"Taken out of use; a code in the place of a revoked one is counted beside it"`
}

// CodeBatchPage is one page of batches.
type CodeBatchPage struct {
	Batches    []CodeBatch `json:"batches"`
	NextCursor string      `json:"next_cursor,omitempty"`
}

func codeBatchOf(b order.CodeBatch) CodeBatch {
	return CodeBatch{b.ID, b.Venue, b.VenueName, b.Count, b.Caption, b.By, b.At, b.Bound, b.Unbound, b.Revoked}
}

// BatchBody is a batch's request.
type BatchBody struct {
	Venue   string `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Count   int    `json:"count" minimum:"1" maximum:"100000"`
	Caption string `json:"caption,omitempty" maxLength:"200" doc:"Printed under the venue's name; a line feed breaks the line"`
	Kiosk   bool   `json:"kiosk,omitempty" doc:"They will hang at the kiosk, not at devices"`
	Reason  string `json:"reason,omitempty" maxLength:"500" doc:"Kept in the audit"`
}

type addBatchInput struct {
	Keyed
	RawBody []byte
	Body    BatchBody
}

func (a *API) addBatch(ctx context.Context, in *addBatchInput) (*rawAnswer, error) {
	key, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	id := newID(time.Now())
	status, body, err := a.Store.AddBatch(ctx, order.AddBatch{ID: id, Venue: in.Body.Venue, Caption: strings.TrimSpace(in.Body.Caption),
		Count: in.Body.Count, Kiosk: in.Body.Kiosk, Key: key, Route: "POST /v1/operator/codes/batches", Hash: sha256.Sum256(in.RawBody),
		Mint: func() (string, error) {
			number, err := a.Minter.Mint(rand.Reader)
			return string(number), err
		},
		Staff: audit(ctx, "code.batch", "code batch "+id, in.Body.Reason,
			map[string]any{"venue": in.Body.Venue, "count": in.Body.Count, "kiosk": in.Body.Kiosk}),
		Answer: func(b order.CodeBatch) (int, []byte, error) {
			body, err := json.Marshal(codeBatchOf(b))
			return http.StatusCreated, body, err
		}})
	if err != nil {
		return nil, instead(err, errVenueUnknown)
	}
	return rawJSON(status, body), nil
}

type listBatchesInput struct {
	PageQuery
	Venue string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
}

type batchPageOutput struct{ Body CodeBatchPage }

func (a *API) listBatches(ctx context.Context, in *listBatchesInput) (*batchPageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Batches(ctx, venuesAsked(ctx, in.Venue), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(b order.CodeBatch) string { return b.ID })
	return &batchPageOutput{CodeBatchPage{each(rows, codeBatchOf), next}}, nil
}

type batchPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type batchOutput struct{ Body CodeBatch }

func (a *API) getBatch(ctx context.Context, in *batchPath) (*batchOutput, error) {
	b, err := a.Store.Batch(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errBatchUnknown)
	}
	return &batchOutput{codeBatchOf(b)}, nil
}

// BatchCodes is one page of a batch's codes.
type BatchCodes struct {
	Codes      []Code `json:"codes"`
	NextCursor string `json:"next_cursor,omitempty"`
}

type listBatchCodesInput struct {
	ID     string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type batchCodesOutput struct{ Body BatchCodes }

func (a *API) listBatchCodes(ctx context.Context, in *listBatchCodesInput) (*batchCodesOutput, error) {
	label, number, err := afterLabel(in.Cursor)
	if err != nil {
		return nil, err
	}
	if _, err := a.getBatch(ctx, &batchPath{in.ID}); label == 0 && err != nil {
		return nil, err
	}
	rows, err := a.Store.BatchCodes(ctx, in.ID, label, number, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(c order.Code) string { return fmt.Sprintf("%d-%s", c.Label, c.Number) })
	return &batchCodesOutput{BatchCodes{each(rows, a.codeOf), next}}, nil
}

// afterLabel reads the cursor of a batch's codes: of two codes with one label, one is
// revoked and the other in its place.
func afterLabel(cursor string) (label int, number string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	text, ok := strings.CutPrefix(string(raw), "1:")
	first, number, both := strings.Cut(text, "-")
	label, bad := strconv.Atoi(first)
	if err != nil || !ok || !both || bad != nil || label < 1 || label > order.MostBatch {
		return 0, "", fmt.Errorf("cursor %q: %w", cursor, errCursor)
	}
	return label, number, nil
}
