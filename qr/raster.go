package qr

import (
	"errors"
	"fmt"
	"image"
	"math"
	"sync"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// bar is a rectangle of dark modules, counted from the symbol's upper left module.
type bar struct{ x, y, w, h int }

// bars are the symbol as few rectangles: runs of a row, and runs that repeat in the
// rows below merged into one. Every printed label is drawn of them alone.
func (m Matrix) bars() []bar {
	var all []bar
	open := map[[2]int]int{} // run -> its bar that ends in the row above
	for y := range m.size {
		here := map[[2]int]int{}
		for x := 0; x < m.size; x++ {
			if !m.At(x, y) {
				continue
			}
			run := 1
			for m.At(x+run, y) {
				run++
			}
			key := [2]int{x, run}
			if i, ok := open[key]; ok {
				all[i].h++
				here[key] = i
			} else {
				here[key] = len(all)
				all = append(all, bar{x, y, run, 1})
			}
			x += run
		}
		open = here
	}
	return all
}

// raster is the symbol with its quiet zone as a printer would put it on paper, every
// module a square of so many dots.
func raster(bars []bar, size, dots int) (*gozxing.BitMatrix, error) {
	picture, err := gozxing.NewSquareBitMatrix((size + 2*QuietZone) * dots)
	if err != nil {
		return nil, err
	}
	for _, b := range bars {
		if err := picture.SetRegion((b.x+QuietZone)*dots, (b.y+QuietZone)*dots, b.w*dots, b.h*dots); err != nil {
			return nil, err
		}
	}
	return picture, nil
}

// readBackDots reads a picture of one symbol and its quiet zone as what was meant.
// The reader finds the symbol in the dots by itself and shares no code with the
// encoder. Ink in the quiet zone is an error too.
func (m Matrix) readBackDots(picture *gozxing.BitMatrix, dots int) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: decoder: %v", ErrUnreadable, fault)
		}
	}()
	ink := picture.GetEnclosingRectangle()
	want := []int{QuietZone * dots, QuietZone * dots, m.size * dots, m.size * dots}
	for i := range want {
		if ink == nil || ink[i] != want[i] {
			return fmt.Errorf("%w: ink at %v, want %v", ErrUnreadable, ink, want)
		}
	}
	bitmap, err := gozxing.NewBinaryBitmap(inked{picture})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	// "Pure": nothing but a symbol is there, straight and whole.
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if result.GetText() != m.content {
		return fmt.Errorf("%w: it says something else", ErrUnreadable)
	}
	return nil
}

// inked hands dots to the reader, which wants a photograph.
type inked struct{ dots *gozxing.BitMatrix }

func (i inked) GetLuminanceSource() gozxing.LuminanceSource { return nil }

func (i inked) GetBlackRow(int, *gozxing.BitArray) (*gozxing.BitArray, error) {
	return nil, errors.New("rows are not offered")
}

func (i inked) GetBlackMatrix() (*gozxing.BitMatrix, error) { return i.dots, nil }

func (i inked) CreateBinarizer(gozxing.LuminanceSource) gozxing.Binarizer { return i }

func (i inked) GetWidth() int { return i.dots.GetWidth() }

func (i inked) GetHeight() int { return i.dots.GetHeight() }

// dots is a picture of one bit per dot: a byte each, 0 white, 1 black.
type dots struct {
	w, h int
	pix  []byte
}

func newDots(w, h int) dots { return dots{w, h, make([]byte, w*h)} }

func (d dots) at(x, y int) bool {
	return x >= 0 && y >= 0 && x < d.w && y < d.h && d.pix[y*d.w+x] != 0
}

// bar blackens a rectangle; what lies outside of the picture is cut off.
func (d dots) bar(x, y, w, h int) {
	for yy := max(y, 0); yy < min(y+h, d.h); yy++ {
		for xx := max(x, 0); xx < min(x+w, d.w); xx++ {
			d.pix[yy*d.w+xx] = 1
		}
	}
}

// rasterise draws a label as a label printer does, moved by an offset in
// millimetres, and reads the symbol back from the finished picture.
func (p *Printer) rasterise(d drawing) (dots, error) {
	per := float64(p.DPI) / millimetresPerInch
	picture := newDots(int(math.Round(p.Sheet.LabelWidth*per)), int(math.Round(p.Sheet.LabelHeight*per)))
	left, top := int(math.Round((d.symbol.x+p.OffsetX)*per)), int(math.Round((d.symbol.y+p.OffsetY)*per))
	for _, b := range d.matrix.bars() {
		picture.bar(left+(b.x+QuietZone)*d.dots, top+(b.y+QuietZone)*d.dots, b.w*d.dots, b.h*d.dots)
	}
	var b sfnt.Buffer
	for _, l := range d.lines {
		x, foot := (l.x+p.OffsetX)*per, int(math.Round((l.foot+p.OffsetY)*per))
		for _, run := range l.runs {
			for _, r := range run.text {
				g := p.glyph(&b, run.face, r, int(math.Round(l.size*per)))
				g.onto(picture, int(math.Round(x)), foot)
				x += run.face.advance(&b, r) * l.size * per
			}
		}
	}
	side := (d.matrix.Size() + 2*QuietZone) * d.dots
	seen, err := gozxing.NewSquareBitMatrix(side)
	if err != nil {
		return dots{}, err
	}
	for y := range side {
		for x := range side {
			if picture.at(left+x, top+y) {
				seen.Set(x, y)
			}
		}
	}
	return picture, d.matrix.readBackDots(seen, d.dots)
}

// glyph is a character in dots: where its picture's corner is from the pen.
type glyph struct {
	x, y int
	dots
}

func (g glyph) onto(d dots, x, y int) {
	for yy := range g.h {
		for xx := range g.w {
			if g.pix[yy*g.w+xx] != 0 {
				d.bar(x+g.x+xx, y+g.y+yy, 1, 1)
			}
		}
	}
}

type glyphKey struct {
	face *face
	r    rune
	size int
}

// glyphs keeps the characters of a batch, of which there are few.
type glyphCache struct {
	mu    sync.Mutex
	known map[glyphKey]glyph
}

// glyph draws a character at a size in dots.
func (p *Printer) glyph(b *sfnt.Buffer, f *face, r rune, size int) glyph {
	key := glyphKey{f, r, size}
	p.glyphs.mu.Lock()
	g, ok := p.glyphs.known[key]
	p.glyphs.mu.Unlock()
	if ok {
		return g
	}
	g = f.draw(b, r, size)
	p.glyphs.mu.Lock()
	p.glyphs.known[key] = g
	p.glyphs.mu.Unlock()
	return g
}

func (f *face) draw(b *sfnt.Buffer, r rune, size int) glyph {
	i, err := f.font.GlyphIndex(b, r)
	if err != nil {
		return glyph{}
	}
	segments, err := f.font.LoadGlyph(b, i, fixed.I(size), nil)
	if err != nil || len(segments) == 0 {
		return glyph{}
	}
	// Four sizes a side hold every character about the pen.
	side, pen := 4*size, 2*size
	v := vector.NewRasterizer(side, side)
	at := func(p fixed.Point26_6) (float32, float32) {
		return float32(p.X)/64 + float32(pen), float32(p.Y)/64 + float32(pen)
	}
	for _, s := range segments {
		ax, ay := at(s.Args[0])
		bx, by := at(s.Args[1])
		cx, cy := at(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			v.MoveTo(ax, ay)
		case sfnt.SegmentOpLineTo:
			v.LineTo(ax, ay)
		case sfnt.SegmentOpQuadTo:
			v.QuadTo(ax, ay, bx, by)
		case sfnt.SegmentOpCubeTo:
			v.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	v.ClosePath()
	grey := image.NewAlpha(image.Rect(0, 0, side, side))
	v.Draw(grey, grey.Bounds(), image.Opaque, image.Point{})
	ink := image.Rectangle{}
	for y := range side {
		for x := range side {
			if grey.AlphaAt(x, y).A >= 112 { // a little bold: thin strokes vanish at 203 dpi
				ink = ink.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	g := glyph{ink.Min.X - pen, ink.Min.Y - pen, newDots(ink.Dx(), ink.Dy())}
	for y := range g.h {
		for x := range g.w {
			if grey.AlphaAt(ink.Min.X+x, ink.Min.Y+y).A >= 112 {
				g.pix[y*g.w+x] = 1
			}
		}
	}
	return g
}
