package qr

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSheet: there is no such template, or a symbol or text does not fit a label of it.
var ErrSheet = errors.New("bad label sheet")

// Sheet is a template of labels. All lengths are millimetres; positions count from
// the upper left corner of the page.
type Sheet struct {
	Name string // stable: scripts and orders at print shops name it
	Note string // for people: where such labels are sold

	PageWidth, PageHeight   float64
	Columns, Rows           int
	LabelWidth, LabelHeight float64
	Left, Top               float64 // of the first label
	PitchX, PitchY          float64 // from a label's corner to the next one's
}

// sheets are the templates. A label's grid is centred on the page as its makers
// print it; what remains between two labels is pitch less label.
var sheets = []Sheet{
	{"a4-2x4", "A4, 8 labels of 99.1 x 67.7 mm (L7165)", 210, 297, 2, 4, 99.1, 67.7, 4.67, 13.1, 101.64, 67.7},
	{"a4-2x7", "A4, 14 labels of 99.1 x 38.1 mm (L7163)", 210, 297, 2, 7, 99.1, 38.1, 4.67, 15.15, 101.64, 38.1},
	{"a4-3x7", "A4, 21 labels of 63.5 x 38.1 mm (L7160)", 210, 297, 3, 7, 63.5, 38.1, 7.21, 15.15, 66.04, 38.1},
	{"a4-3x8", "A4, 24 labels of 70 x 37 mm, edge to edge", 210, 297, 3, 8, 70, 37, 0, 0.5, 70, 37},
	{"a4-4x10", "A4, 40 labels of 52.5 x 29.7 mm, edge to edge", 210, 297, 4, 10, 52.5, 29.7, 0, 0, 52.5, 29.7},
	{"a4-4x6-square", "A4, 24 square labels of 45 x 45 mm", 210, 297, 4, 6, 45, 45, 7.5, 6, 50, 48},
	{"40x60", "single label of 40 x 60 mm, on a roll", 40, 60, 1, 1, 40, 60, 0, 0, 40, 60},
	{"50x30", "single label of 50 x 30 mm, on a roll", 50, 30, 1, 1, 50, 30, 0, 0, 50, 30},
	{"50x70", "single label of 50 x 70 mm: a bike's", 50, 70, 1, 1, 50, 70, 0, 0, 50, 70},
	{"60x40", "single label of 60 x 40 mm, on a roll", 60, 40, 1, 1, 60, 40, 0, 0, 60, 40},
	{"60x80", "single label of 60 x 80 mm: a bike's, large", 60, 80, 1, 1, 60, 80, 0, 0, 60, 80},
	{"100x140", "single label of 100 x 140 mm: a pump's side", 100, 140, 1, 1, 100, 140, 0, 0, 100, 140},
}

// Sheets lists the templates, by kind and size.
func Sheets() []Sheet { return append([]Sheet(nil), sheets...) }

// SheetNamed finds a template; ErrSheet, whose text lists them all.
func SheetNamed(name string) (Sheet, error) {
	var names []string
	for _, s := range sheets {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Sheet{}, fmt.Errorf("%w: there is no sheet %q; choose one of %s", ErrSheet, name, strings.Join(names, ", "))
}

// PerPage is how many labels a page has.
func (s Sheet) PerPage() int { return s.Columns * s.Rows }

// At is the upper left corner of label i of a page, 0 to PerPage-1: row by row,
// from the left.
func (s Sheet) At(i int) (x, y float64) {
	return s.Left + float64(i%s.Columns)*s.PitchX, s.Top + float64(i/s.Columns)*s.PitchY
}

const (
	// cutting is how far a knife or a feed may be off. Ink stays that far inside of
	// a label, and so does the quiet zone by half of it.
	cutting = 1.0
	// unprintable is the edge of a sheet of paper that office printers leave white.
	unprintable = 4.5
)

// ink is how far inside of a label its ink begins, across and down: a label at the
// paper's edge loses what the printer cannot reach, and all labels look alike.
func (s Sheet) ink() (x, y float64) {
	if s.PerPage() == 1 { // a label printer reaches all of its label
		return cutting, cutting
	}
	right := s.PageWidth - s.Left - float64(s.Columns-1)*s.PitchX - s.LabelWidth
	below := s.PageHeight - s.Top - float64(s.Rows-1)*s.PitchY - s.LabelHeight
	return max(cutting, unprintable-min(s.Left, right)), max(cutting, unprintable-min(s.Top, below))
}
