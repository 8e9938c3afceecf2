package qr

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// PDF writes labels as one document and returns how many. The library holds the
// pages until the end, some 2 KiB a label: give it thousands and not a million; the
// next document of the same Printer goes on where this one ended on its sheet.
// Nothing is written before every symbol was read back. Errors: those of the
// labels' sequence, of the writer, and ErrUnreadable, ErrUnencodable, ErrSheet,
// ErrFont, ErrPrint, ErrVersions.
func (p *Printer) PDF(ctx context.Context, w io.Writer, labels iter.Seq2[Label, error]) (n int, err error) {
	d := p.document("Stickers")
	defer faults(&err)
	fresh := true
	n, err = ordered(ctx, labels, func(l Label) (drawing, error) {
		made, err := p.prepare(l)
		if err != nil {
			return made, err
		}
		picture, err := raster(made.matrix.bars(), made.matrix.Size(), made.dots)
		if err != nil {
			return made, err
		}
		return made, made.matrix.readBackDots(picture, made.dots)
	}, func(made drawing) error {
		if fresh || p.next == 0 {
			d.AddPage()
			fresh = false
		}
		d.label(made, p.next)
		p.next = (p.next + 1) % p.Sheet.PerPage()
		return d.Error()
	})
	if err != nil {
		return n, err
	}
	if fresh {
		return 0, fmt.Errorf("%w: there is nothing to print", ErrPrint)
	}
	return n, d.Output(w)
}

// document is a PDF in the making.
type document struct {
	*fpdf.Fpdf
	p        *Printer
	embedded map[*face]bool
}

const pointsPerInch = 72

func (p *Printer) document(title string) *document {
	orientation := "P"
	if p.Sheet.PageWidth > p.Sheet.PageHeight { // else the library would turn the page
		orientation = "L"
	}
	size := fpdf.SizeType{Wd: min(p.Sheet.PageWidth, p.Sheet.PageHeight), Ht: max(p.Sheet.PageWidth, p.Sheet.PageHeight)}
	f := fpdf.NewCustom(&fpdf.InitType{OrientationStr: orientation, UnitStr: "mm", Size: size})
	f.SetMargins(0, 0, 0)
	f.SetAutoPageBreak(false, 0)
	f.SetCatalogSort(true)
	f.SetTitle(title, true)
	f.SetCreator("unlatch", true)
	// The same labels give the same bytes.
	f.SetCreationDate(time.Unix(0, 0).UTC())
	f.SetModificationDate(time.Unix(0, 0).UTC())
	return &document{f, p, map[*face]bool{}}
}

// faults turns a panic of the library into an error.
func faults(err *error) {
	if fault := recover(); fault != nil {
		*err = fmt.Errorf("write PDF: %v", fault)
	}
}

// label draws one label at its place on the page. The symbol is one path of
// rectangles in whole modules, moved to the next dot: one fill has no hairlines
// between its rectangles, and no module is a dot wider than another.
func (d *document) label(made drawing, place int) {
	x, y := d.p.Sheet.At(place)
	x, y = x+d.p.OffsetX, y+d.p.OffsetY
	dot := millimetresPerInch / float64(d.p.DPI)
	snapped := func(mm float64) float64 {
		return (math.Round(mm/dot)*dot + QuietZone*float64(made.dots)*dot) / millimetresPerInch * pointsPerInch
	}
	module := float64(made.dots) / float64(d.p.DPI) * pointsPerInch
	height := d.p.Sheet.PageHeight / millimetresPerInch * pointsPerInch
	var b strings.Builder
	// One unit is a module, from the symbol's upper left corner down.
	fmt.Fprintf(&b, "q 0 g %.5f 0 0 %.5f %.4f %.4f cm\n", module, -module, snapped(x+made.symbol.x), height-snapped(y+made.symbol.y))
	for _, r := range made.matrix.bars() {
		fmt.Fprintf(&b, "%d %d %d %d re\n", r.x, r.y, r.w, r.h)
	}
	b.WriteString("f Q")
	d.RawWriteStr(b.String())
	for _, l := range made.lines {
		d.write(l, x, y)
	}
}

// write draws a line of text of a label whose corner is at x, y.
func (d *document) write(l line, x, y float64) {
	at := x + l.x
	for _, r := range l.runs {
		if !d.embedded[r.face] {
			d.AddUTF8FontFromBytes(r.face.family, "", r.face.bytes)
			d.embedded[r.face] = true
		}
		d.SetFont(r.face.family, "", l.size/millimetresPerInch*pointsPerInch)
		d.Text(at, y+l.foot, r.text)
		at += r.width * l.size
	}
}

// Ruler writes one page with the outlines of all labels and two rulers in
// millimetres that count from the paper's left and upper edge, moved by the
// printer's offset. Printed at full size and laid over a sheet of labels it shows
// what offset is missing.
func (p *Printer) Ruler(w io.Writer) (err error) {
	d := p.document("Ruler")
	defer faults(&err)
	fonts := p.Fonts
	d.AddPage()
	d.SetLineWidth(0.1)
	d.SetDrawColor(0, 0, 0)
	for i := range p.Sheet.PerPage() {
		x, y := p.Sheet.At(i)
		d.Rect(x+p.OffsetX, y+p.OffsetY, p.Sheet.LabelWidth, p.Sheet.LabelHeight, "D")
	}
	text := func(x, y, size float64, s string) {
		runs, e := fonts.runs(nil, s, fonts.text)
		if e != nil && err == nil {
			err = e
		}
		d.write(line{x: x, foot: y, size: size, runs: runs}, p.OffsetX, p.OffsetY)
	}
	// Rulers cross in the middle of the page.
	middleX, middleY := math.Round(p.Sheet.PageWidth/2), math.Round(p.Sheet.PageHeight/2)
	d.Line(p.OffsetX, middleY+p.OffsetY, p.Sheet.PageWidth+p.OffsetX, middleY+p.OffsetY)
	d.Line(middleX+p.OffsetX, p.OffsetY, middleX+p.OffsetX, p.Sheet.PageHeight+p.OffsetY)
	tick := func(mm int) float64 {
		switch {
		case mm%10 == 0:
			return 3.2
		case mm%5 == 0:
			return 2.2
		}
		return 1.2
	}
	for mm := 0; float64(mm) <= p.Sheet.PageWidth; mm++ {
		x := float64(mm)
		d.Line(x+p.OffsetX, middleY+p.OffsetY, x+p.OffsetX, middleY-tick(mm)+p.OffsetY)
		if mm%10 == 0 && x+6 < p.Sheet.PageWidth && x != middleX {
			text(x+0.4, middleY-2.4, 2, fmt.Sprint(mm))
		}
	}
	for mm := 0; float64(mm) <= p.Sheet.PageHeight; mm++ {
		y := float64(mm)
		d.Line(middleX+p.OffsetX, y+p.OffsetY, middleX+tick(mm)+p.OffsetX, y+p.OffsetY)
		if mm%10 == 0 && mm > 0 && y != middleY {
			text(middleX+3.6, y+0.7, 2, fmt.Sprint(mm))
		}
	}
	x, y := p.Sheet.At(0)
	inkX, inkY := p.Sheet.ink()
	size := min(2.6, p.Sheet.LabelWidth/24)
	for i, s := range []string{
		fmt.Sprintf("%s: %g x %g mm", p.Sheet.Name, p.Sheet.LabelWidth, p.Sheet.LabelHeight),
		"Print at 100 %, never fit to page.",
		"Rulers count from the paper's edges.",
		fmt.Sprintf("Offset now: x %g, y %g mm", p.OffsetX, p.OffsetY),
	} {
		text(x+inkX+0.5, y+inkY+size*(1+1.3*float64(i)), size, s)
	}
	if err != nil {
		return err
	}
	return d.Output(w)
}
