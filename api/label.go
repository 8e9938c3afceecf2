package api

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// labelsMost is how many labels the server renders for one request; a batch of more
// is rendered by the command-line tool, page by page.
const labelsMost = 1000

func (a *API) labelRoutes(h huma.API) {
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	for _, format := range []struct {
		id, file, mediaType, summary string
		draw                         func(context.Context, *qr.Printer, *labelInput, io.Writer, iter.Seq2[qr.Label, error]) error
	}{
		{"batch-sheet-pdf", "sheet.pdf", "application/pdf", "A batch's labels as PDF",
			func(ctx context.Context, p *qr.Printer, _ *labelInput, w io.Writer, labels iter.Seq2[qr.Label, error]) error {
				_, err := p.PDF(ctx, w, labels)
				return err
			}},
		{"batch-labels-zpl", "labels.zpl", "application/zpl", "A batch's labels for a Zebra printer, on a single label's template",
			func(ctx context.Context, p *qr.Printer, _ *labelInput, w io.Writer, labels iter.Seq2[qr.Label, error]) error {
				_, err := p.ZPL(ctx, w, labels)
				return err
			}},
		{"batch-labels-zip", "labels.zip", "application/zip", "A batch's labels as one picture each, and their list", zipped},
		{"batch-codes-csv", "codes.csv", "text/csv; charset=utf-8", "A batch's codes as a list for a print shop",
			func(_ context.Context, _ *qr.Printer, _ *labelInput, w io.Writer, labels iter.Seq2[qr.Label, error]) error {
				_, err := qr.List(w, labels)
				return err
			}},
	} {
		op := answersOf(forStaff(format.id, http.MethodGet, "/v1/operator/codes/batches/{id}/"+format.file, format.summary),
			http.StatusOK, format.mediaType, binary)
		op.Description += " At most 1000 labels, of a larger batch those from first to last; revoked codes are left out. Every symbol is read back before anything is answered."
		register(a, h, op, func(ctx context.Context, in *labelInput) (*fileAnswer, error) {
			var b bytes.Buffer
			err := a.labels(ctx, in, func(p *qr.Printer, labels iter.Seq2[qr.Label, error]) error {
				return format.draw(ctx, p, in, &b, labels)
			})
			if err != nil {
				return nil, err
			}
			return &fileAnswer{Status: http.StatusOK, ContentType: format.mediaType,
				Disposition: `attachment; filename="` + in.ID + "-" + format.file + `"`, Body: b.Bytes()}, nil
		})
	}
}

type labelInput struct {
	ID      string  `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Sheet   string  `query:"sheet" maxLength:"32" default:"50x70" doc:"A template's name; unlatch codes sheets lists them"`
	DPI     int     `query:"dpi" minimum:"150" maximum:"1200" default:"300" doc:"The printer's dots per inch: modules are whole dots"`
	Start   int     `query:"start" minimum:"1" maximum:"100" default:"1" doc:"The label of the first sheet to begin on"`
	OffsetX float64 `query:"offset_x" minimum:"-10" maximum:"10" doc:"Millimetres to the right"`
	OffsetY float64 `query:"offset_y" minimum:"-10" maximum:"10" doc:"Millimetres down"`
	Format  string  `query:"format" enum:"svg,png" default:"svg" doc:"Of the pictures in labels.zip"`
	First   int     `query:"first" minimum:"1" maximum:"100000" default:"1" doc:"The batch's labels from this one"`
	Last    int     `query:"last" minimum:"1" maximum:"100000" doc:"to this one; to the end, unless given"`
}

type fileAnswer struct {
	Status      int
	ContentType string `header:"Content-Type" hidden:"true"`
	Disposition string `header:"Content-Disposition" hidden:"true"`
	Body        []byte
}

// labels hands a batch's labels to draw. One request draws at a time: it takes every
// core for a second or two, and riders come first.
func (a *API) labels(ctx context.Context, in *labelInput, draw func(*qr.Printer, iter.Seq2[qr.Label, error]) error) error {
	batch, err := a.Store.Batch(ctx, in.ID)
	if err != nil {
		return instead(err, errBatchUnknown)
	}
	first, last := max(in.First, 1), batch.Count
	if in.Last > 0 {
		last = min(in.Last, last)
	}
	switch {
	case first > last:
		return fmt.Errorf("%w: the batch has no labels from %d to %d", qr.ErrSheet, first, last)
	case last-first >= labelsMost:
		return errBatchTooLarge
	}
	// Revoked codes are in the list too; each was replaced at most a few times.
	codes, err := a.Store.BatchCodes(ctx, in.ID, first, "", last-first+1+batch.Revoked)
	if err != nil {
		return err
	}
	printer, err := a.printer(in.Sheet, in.DPI, in.Start, in.OffsetX, in.OffsetY)
	if err != nil {
		return err
	}
	select {
	case a.drawing <- struct{}{}:
		defer func() { <-a.drawing }()
	default:
		return order.ErrBusy
	}
	return draw(printer, func(yield func(qr.Label, error) bool) {
		for _, c := range codes {
			if c.Revoked || c.Label > last {
				continue
			}
			n := qr.Number(c.Number)
			if !yield(qr.Label{Number: n, URL: a.codeURL(n), Venue: batch.VenueName, Caption: batch.Caption, Device: string(c.Device),
				Outlet: int(c.Outlet), Batch: batch.ID, Index: c.Label}, nil) {
				return
			}
		}
	})
}

// printer draws on a template's labels from start on.
func (a *API) printer(sheet string, dpi, start int, x, y float64) (*qr.Printer, error) {
	fonts, err := a.fonts()
	if err != nil {
		return nil, err
	}
	template, err := qr.SheetNamed(sheet)
	if err != nil {
		return nil, err
	}
	return qr.NewPrinter(qr.PrinterConfig{Sheet: template, DPI: dpi, Fonts: fonts, Start: start, OffsetX: x, OffsetY: y})
}

// zipped writes a picture per label, named by its number, and the list.
func zipped(ctx context.Context, p *qr.Printer, in *labelInput, w io.Writer, labels iter.Seq2[qr.Label, error]) error {
	z := zip.NewWriter(w)
	add := func(name string, b []byte) error {
		f, err := z.Create(name)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return err
	}
	if _, err := p.Pictures(ctx, in.Format, labels, func(l qr.Label, picture []byte) error {
		return add(string(l.Number)+"."+in.Format, picture)
	}); err != nil {
		return err
	}
	var list bytes.Buffer
	if _, err := qr.List(&list, labels); err != nil {
		return err
	}
	if err := add("codes.csv", list.Bytes()); err != nil {
		return err
	}
	return z.Close()
}
