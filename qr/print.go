package qr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

var (
	// ErrPrint: a resolution, a start or an offset is out of range.
	ErrPrint = errors.New("bad print option")
	// ErrVersions: the symbols of one batch are of different sizes.
	ErrVersions = errors.New("symbols of different versions in one batch")
)

// The least and the most resolution, in dots per inch. Label printers have 203, 300
// or 600.
const (
	LeastDPI = 150
	MostDPI  = 1200
)

// mostOffset is how far labels may be moved, in millimetres: what is off by more is
// fed wrongly.
const mostOffset = 10

// PrinterConfig says what is printed on.
type PrinterConfig struct {
	Sheet Sheet
	DPI   int // 0 = 300
	Fonts *Fonts
	// Start is the label of the first sheet on which printing begins, 1 to
	// Sheet.PerPage; 0 = 1. What is before it was used up already.
	Start int
	// OffsetX and OffsetY move all labels right and down, in millimetres, to make up
	// for what a printer is off by.
	OffsetX, OffsetY float64
}

// Printer draws labels of one template. Every symbol is drawn as dots at the
// printer's resolution, from the rectangles that go to paper, and read back before
// anything of it is handed out. All labels of one Printer have symbols of one
// version. Its methods must not run at the same time.
type Printer struct {
	PrinterConfig
	size   atomic.Int64 // of the first symbol, in modules; 0 = none yet
	glyphs glyphCache
	next   int // the place on the page of the next label of a PDF
}

// NewPrinter checks the options: ErrPrint.
func NewPrinter(c PrinterConfig) (*Printer, error) {
	if c.DPI == 0 {
		c.DPI = 300
	}
	if c.Start == 0 {
		c.Start = 1
	}
	switch {
	case c.Sheet.PerPage() < 1 || c.Fonts == nil:
		return nil, fmt.Errorf("%w: a printer needs a sheet and fonts", ErrPrint)
	case c.DPI < LeastDPI || c.DPI > MostDPI:
		return nil, fmt.Errorf("%w: %d dpi, want %d to %d", ErrPrint, c.DPI, LeastDPI, MostDPI)
	case c.Start < 1 || c.Start > c.Sheet.PerPage():
		return nil, fmt.Errorf("%w: start at label %d; sheet %s has %d", ErrPrint, c.Start, c.Sheet.Name, c.Sheet.PerPage())
	case !(math.Abs(c.OffsetX) <= mostOffset && math.Abs(c.OffsetY) <= mostOffset): // NaN is none of both
		return nil, fmt.Errorf("%w: an offset of %g, %g mm; want at most %d either way", ErrPrint, c.OffsetX, c.OffsetY, mostOffset)
	}
	return &Printer{PrinterConfig: c, glyphs: glyphCache{known: map[glyphKey]glyph{}}, next: c.Start - 1}, nil
}

// Check lays one label out and says what would be refused of it; nothing is written,
// and its symbol's version binds no other label.
func (p *Printer) Check(l Label) error {
	alone, err := NewPrinter(p.PrinterConfig)
	if err != nil {
		return err
	}
	_, err = alone.prepare(l)
	return err
}

// prepare encodes and lays out one label.
func (p *Printer) prepare(l Label) (drawing, error) {
	l, err := l.captioned()
	if err != nil {
		return drawing{}, err
	}
	m, err := Encode(l.URL)
	if err != nil {
		return drawing{}, err
	}
	if !p.size.CompareAndSwap(0, int64(m.Size())) && p.size.Load() != int64(m.Size()) {
		return drawing{}, fmt.Errorf("%w: %d and %d modules a side; print codes of different domains apart", ErrVersions, p.size.Load(), m.Size())
	}
	d, err := layout(p.Sheet, p.DPI, p.Fonts, m, l)
	if err != nil {
		return drawing{}, err
	}
	return d, p.reach(d)
}

// reach refuses an offset that would push a symbol off the paper.
func (p *Printer) reach(d drawing) error {
	module := float64(d.dots) * millimetresPerInch / float64(p.DPI)
	for _, corner := range []int{0, p.Sheet.PerPage() - 1} {
		x, y := p.Sheet.At(corner)
		x += d.symbol.x + p.OffsetX + QuietZone*module
		y += d.symbol.y + p.OffsetY + QuietZone*module
		side := float64(d.matrix.Size()) * module
		if x < 0 || y < 0 || x+side > p.Sheet.PageWidth || y+side > p.Sheet.PageHeight {
			return fmt.Errorf("%w: with an offset of %g, %g mm symbols would leave the paper", ErrPrint, p.OffsetX, p.OffsetY)
		}
	}
	return nil
}

// ahead is how many labels are drawn before the first of them is written.
const ahead = 64

// ordered runs work for all labels on every core and hands the results to emit in
// their order, holding at most ahead of them. It returns how many were emitted and
// stops at the first error.
func ordered[T any](ctx context.Context, labels iter.Seq2[Label, error], work func(Label) (T, error), emit func(T) error) (n int, err error) {
	next, stop := iter.Pull2(labels)
	defer stop()
	for more := true; more; {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.GOMAXPROCS(0))
		results := make([]T, ahead)
		drawn := 0
		var failed error
		for ; drawn < ahead; drawn++ {
			label, err, ok := next()
			if more = ok && err == nil; !more {
				failed = err
				break
			}
			into := &results[drawn]
			group.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				result, err := work(label)
				if err != nil {
					return fmt.Errorf("label of code %s: %w", label.Number.masked(), err)
				}
				*into = result
				return nil
			})
		}
		if err := errors.Join(group.Wait(), failed); err != nil {
			return n, err
		}
		for _, result := range results[:drawn] {
			if err := emit(result); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, ctx.Err()
}
