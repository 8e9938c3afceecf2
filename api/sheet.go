package api

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// sheetRoutes are what whoever stands at a printer asks for beside a batch: the
// templates, the page that finds the printer's offset, one code's label again.
func (a *API) sheetRoutes(h huma.API) {
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(a, h, forStaff("list-sheets", http.MethodGet, "/v1/operator/codes/sheets", "The templates of label sheets"), a.listSheets)
	ruler := answersOf(forStaff("sheet-ruler", http.MethodGet, "/v1/operator/codes/ruler.pdf", "A page that finds the printer's offset"),
		http.StatusOK, "application/pdf", binary)
	ruler.Description += " The outlines of a template's labels, and rulers that count from the paper's edges: printed on plain paper and held against a sheet of labels."
	register(a, h, ruler, a.ruler)
	pdf := answersOf(forStaff("code-label-pdf", http.MethodGet, "/v1/operator/codes/{number}/label.pdf", "One code's label as PDF"),
		http.StatusOK, "application/pdf", binary)
	register(a, h, pdf, func(ctx context.Context, in *codeLabelInput) (*fileAnswer, error) {
		return a.codeLabel(ctx, in, "application/pdf", "pdf", (*qr.Printer).PDF)
	})
	zpl := answersOf(forStaff("code-label-zpl", http.MethodGet, "/v1/operator/codes/{number}/label.zpl", "One code's label for a Zebra printer, on a single label's template"),
		http.StatusOK, "application/zpl", binary)
	register(a, h, zpl, func(ctx context.Context, in *codeLabelInput) (*fileAnswer, error) {
		return a.codeLabel(ctx, in, "application/zpl", "zpl", (*qr.Printer).ZPL)
	})
}

// LabelSheet is a template of labels; lengths are millimetres, positions count from the
// upper left corner of the page.
type LabelSheet struct {
	Name        string  `json:"name"`
	Note        string  `json:"note" doc:"Where such labels are sold"`
	PageWidth   float64 `json:"page_width_mm"`
	PageHeight  float64 `json:"page_height_mm"`
	Columns     int     `json:"columns"`
	Rows        int     `json:"rows"`
	LabelWidth  float64 `json:"label_width_mm"`
	LabelHeight float64 `json:"label_height_mm"`
	Left        float64 `json:"left_mm" doc:"Of the first label"`
	Top         float64 `json:"top_mm"`
	PitchX      float64 `json:"pitch_x_mm" doc:"From a label's corner to the next one's"`
	PitchY      float64 `json:"pitch_y_mm"`
}

// LabelSheetList is every template, by kind and size.
type LabelSheetList struct {
	Sheets []LabelSheet `json:"sheets"`
}

type listSheetsOutput struct{ Body LabelSheetList }

func (a *API) listSheets(context.Context, *struct{}) (*listSheetsOutput, error) {
	return &listSheetsOutput{LabelSheetList{each(qr.Sheets(), func(s qr.Sheet) LabelSheet {
		return LabelSheet{Name: s.Name, Note: s.Note, PageWidth: s.PageWidth, PageHeight: s.PageHeight, Columns: s.Columns, Rows: s.Rows,
			LabelWidth: s.LabelWidth, LabelHeight: s.LabelHeight, Left: s.Left, Top: s.Top, PitchX: s.PitchX, PitchY: s.PitchY}
	})}}, nil
}

type rulerInput struct {
	Sheet   string  `query:"sheet" maxLength:"32" default:"a4-3x8" doc:"A template's name"`
	OffsetX float64 `query:"offset_x" minimum:"-10" maximum:"10" doc:"Millimetres to the right"`
	OffsetY float64 `query:"offset_y" minimum:"-10" maximum:"10" doc:"Millimetres down"`
}

func (a *API) ruler(_ context.Context, in *rulerInput) (*fileAnswer, error) {
	p, err := a.printer(in.Sheet, 300, 1, in.OffsetX, in.OffsetY)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := p.Ruler(&b); err != nil {
		return nil, err
	}
	return &fileAnswer{Status: http.StatusOK, ContentType: "application/pdf",
		Disposition: `attachment; filename="ruler-` + p.Sheet.Name + `.pdf"`, Body: b.Bytes()}, nil
}

type codeLabelInput struct {
	Number  string  `path:"number" maxLength:"20"`
	Sheet   string  `query:"sheet" maxLength:"32" default:"50x70" doc:"A template's name"`
	DPI     int     `query:"dpi" minimum:"150" maximum:"1200" default:"300" doc:"The printer's dots per inch: modules are whole dots"`
	Start   int     `query:"start" minimum:"1" maximum:"100" default:"1" doc:"The label of the sheet to print on"`
	OffsetX float64 `query:"offset_x" minimum:"-10" maximum:"10" doc:"Millimetres to the right"`
	OffsetY float64 `query:"offset_y" minimum:"-10" maximum:"10" doc:"Millimetres down"`
	Caption string  `query:"caption" maxLength:"200" doc:"Under the venue's name; its batch's, unless given"`
}

// codeLabel draws one code's label, of a batch or not.
func (a *API) codeLabel(ctx context.Context, in *codeLabelInput, mediaType, ending string,
	draw func(*qr.Printer, context.Context, io.Writer, iter.Seq2[qr.Label, error]) (int, error)) (*fileAnswer, error) {
	number, code, err := a.known(ctx, in.Number)
	switch {
	case err != nil:
		return nil, err
	case code.Revoked:
		return nil, order.ErrCodeRevoked
	}
	label := qr.Label{Number: number, URL: a.codeURL(number), Caption: in.Caption, Device: string(code.Device), Outlet: int(code.Outlet),
		Batch: code.Batch, Index: code.Label}
	if code.Batch != "" {
		batch, err := a.Store.Batch(ctx, code.Batch)
		if err != nil {
			return nil, err
		}
		if label.Venue = batch.VenueName; label.Caption == "" {
			label.Caption = batch.Caption
		}
	} else {
		venues, err := a.Store.Venues(ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range venues {
			if v.ID == code.Venue {
				label.Venue = v.Name
			}
		}
	}
	p, err := a.printer(in.Sheet, in.DPI, in.Start, in.OffsetX, in.OffsetY)
	if err != nil {
		return nil, err
	}
	select {
	case a.drawing <- struct{}{}:
		defer func() { <-a.drawing }()
	default:
		return nil, order.ErrBusy
	}
	var b bytes.Buffer
	if _, err := draw(p, ctx, &b, func(yield func(qr.Label, error) bool) { yield(label, nil) }); err != nil {
		return nil, err
	}
	return &fileAnswer{Status: http.StatusOK, ContentType: mediaType,
		Disposition: `attachment; filename="` + qr.Format(number) + "." + ending + `"`, Body: b.Bytes()}, nil
}
