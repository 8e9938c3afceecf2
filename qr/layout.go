package qr

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/image/font/sfnt"
)

// Label is what one sticker says.
type Label struct {
	Number Number
	URL    string // what the symbol says
	Venue  string // a name for people; may be empty
	// Caption may be empty. A line feed breaks the line; {device}, {outlet}, {label}
	// and {venue} stand for the label's own.
	Caption string

	// For the list of a print shop.
	Device string
	Outlet int
	Batch  string
	Index  int // in the batch, from 1; 0 = of none
}

// captioned fills in what the caption names; ErrPrint when the label does not have it.
func (l Label) captioned() (Label, error) {
	for _, field := range []struct{ name, value string }{
		{"{device}", l.Device}, {"{outlet}", number(l.Outlet)}, {"{label}", number(l.Index)}, {"{venue}", l.Venue},
	} {
		if !strings.Contains(l.Caption, field.name) {
			continue
		}
		if field.value == "" {
			return l, fmt.Errorf("%w: the caption says %s, and code %s has none", ErrPrint, field.name, l.Number.masked())
		}
		l.Caption = strings.ReplaceAll(l.Caption, field.name, field.value)
	}
	return l, nil
}

// number is empty for 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

const (
	millimetresPerInch = 25.4
	// leastDots and leastModule are what a module must have: printers want at least
	// 2 x 2 dots and better 4 x 4, and below a third of a millimetre phones have to
	// come closer than they can focus.
	leastDots   = 3
	leastModule = 0.33
	// gap is between the quiet zone and the nearest text, in millimetres.
	gap = 0.4
	// leastText is the smallest size of a number that people can still read, in
	// millimetres from line to line; venue and caption are a little smaller.
	leastText = 2.0
	lineRise  = 0.95 // of a line's ink above its foot, in parts of its size
	lineFall  = 0.35 // and below
)

// line is one line of text: where its pen starts, in millimetres from the label's
// upper left corner.
type line struct {
	x, foot, size float64
	runs          []run
}

// box is a rectangle in millimetres from the label's upper left corner.
type box struct{ x, y, w, h float64 }

func (b box) overlaps(o box) bool {
	return b.x < o.x+o.w && o.x < b.x+b.w && b.y < o.y+o.h && o.y < b.y+b.h
}

func (l line) box() box {
	return box{l.x, l.foot - lineRise*l.size, widthOf(l.runs) * l.size, (lineRise + lineFall) * l.size}
}

// drawing is a laid-out label.
type drawing struct {
	matrix Matrix
	dots   int // per module
	symbol box // with the quiet zone
	lines  []line
}

// layout places symbol and text on a label of the sheet: side by side on a wide
// label, else one above the other. The symbol gets what room there is, in whole
// dots per module, as long as the text stays readable. Errors: ErrSheet, ErrFont.
func layout(s Sheet, dpi int, fonts *Fonts, m Matrix, l Label) (drawing, error) {
	var b sfnt.Buffer
	var words paragraphs
	var err error
	if words.number, err = fonts.runs(&b, Format(l.Number), fonts.digits); err != nil {
		return drawing{}, err
	}
	for _, text := range []struct {
		of   string
		into *[]paragraph
		size float64
		most int
	}{{l.Venue, &words.venue, 0.9, 2}, {l.Caption, &words.caption, 0.8, 4}} {
		for part := range strings.SplitSeq(text.of, "\n") {
			if part = strings.Join(strings.Fields(part), " "); part == "" {
				continue
			}
			p := paragraph{size: text.size, most: text.most}
			if p.pieces, err = fonts.pieces(&b, part); err != nil {
				return drawing{}, err
			}
			*text.into = append(*text.into, p)
		}
	}
	dot := millimetresPerInch / float64(dpi)
	modules := m.Size() + 2*QuietZone
	inkX, inkY := s.ink()
	wide := s.LabelWidth >= 1.35*s.LabelHeight
	most := int(min(s.LabelWidth, s.LabelHeight) / float64(modules) / dot)
	least := leastDots
	for float64(least)*dot < leastModule {
		least++
	}
	if most < least {
		return drawing{}, fmt.Errorf("%w: on %s at %d dpi a module would have %d dots, %.2f mm; it needs %d dots and %.2f mm: take a larger label%s",
			ErrSheet, s.Name, dpi, most, float64(most)*dot, leastDots, leastModule, finer(dpi))
	}
	wanted := min(max(0.075*min(s.LabelWidth, s.LabelHeight), 2.4), 7)
	for _, floor := range []float64{max(leastText, 0.75*wanted), leastText} {
		for dots := most; dots >= least; dots-- {
			d := drawing{matrix: m, dots: dots}
			module := float64(dots) * dot
			side := module * float64(modules)
			// Of a symbol only the dark modules are ink.
			d.symbol = box{max(cutting/2, inkX-QuietZone*module), max(cutting/2, inkY-QuietZone*module), side, side}
			for size := wanted; size >= floor; size *= 0.95 {
				if d.place(s, wide, words, size, inkX, inkY) {
					return d, nil
				}
			}
		}
	}
	if len(words.venue)+len(words.caption) > 0 {
		l.Venue, l.Caption = "", ""
		if _, err := layout(s, dpi, fonts, m, l); err == nil {
			return drawing{}, fmt.Errorf("%w: venue and caption are too long for a label of %g x %g mm; shorten them or take a larger label",
				ErrSheet, s.LabelWidth, s.LabelHeight)
		}
	}
	return drawing{}, fmt.Errorf("%w: symbol and number do not fit on %s at %d dpi; take a larger label%s", ErrSheet, s.Name, dpi, finer(dpi))
}

func finer(dpi int) string {
	if dpi < 600 {
		return ", or a printer with more dots and --dpi for it"
	}
	return ""
}

// place tries one size of symbol and text.
func (d *drawing) place(s Sheet, wide bool, words paragraphs, size, inkX, inkY float64) bool {
	room := box{inkX, inkY, s.LabelWidth - 2*inkX, s.LabelHeight - 2*inkY}
	if wide {
		left := d.symbol.x + d.symbol.w + gap
		room.x, room.w = left, s.LabelWidth-inkX-left
		if d.symbol.y+d.symbol.h > s.LabelHeight-d.symbol.y {
			return false
		}
	}
	block, ok := words.set(size, room.w)
	if !ok {
		return false
	}
	height := block[len(block)-1].foot + lineFall*block[len(block)-1].size
	top := room.y + (room.h-height)/2
	if wide {
		d.symbol.y = (s.LabelHeight - d.symbol.h) / 2
		if height > room.h {
			return false
		}
	} else {
		d.symbol.x = (s.LabelWidth - d.symbol.w) / 2
		spare := s.LabelHeight - inkY - d.symbol.y - d.symbol.h - gap - height
		if spare < 0 || d.symbol.x < cutting/2 {
			return false
		}
		d.symbol.y += spare / 2
		top = d.symbol.y + d.symbol.h + gap
	}
	d.lines = nil
	for _, l := range block {
		l.foot += top
		l.x = room.x
		if !wide {
			l.x += (room.w - widthOf(l.runs)*l.size) / 2
		}
		d.lines = append(d.lines, l)
	}
	return true
}

// piece is what stays together when a line is broken.
type piece struct {
	runs  []run
	space float64 // that follows unless the line ends here
}

type paragraph struct {
	pieces []piece
	size   float64 // in parts of the number's
	most   int     // lines
}

type paragraphs struct {
	number         []run
	venue, caption []paragraph
}

// pieces cuts text where a line may be broken: at spaces, and beside each Chinese
// character, but not before what closes or after what opens.
func (f *Fonts) pieces(b *sfnt.Buffer, text string) ([]piece, error) {
	var all []piece
	for word := range strings.FieldsSeq(text) {
		var parts []string
		var before rune
		for _, r := range word {
			breaks := before != 0 && (ideograph(r) || ideograph(before)) && !closes(r) && !opens(before)
			if before == 0 || breaks {
				parts = append(parts, "")
			}
			parts[len(parts)-1] += string(r)
			before = r
		}
		for _, part := range parts {
			runs, err := f.runs(b, part, f.text)
			if err != nil {
				return nil, err
			}
			all = append(all, piece{runs: runs})
		}
		all[len(all)-1].space = f.text.advance(b, ' ')
	}
	return all, nil
}

func ideograph(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r >= 0x3000 && r <= 0x303F || r >= 0xFF00
}

func closes(r rune) bool { return unicode.In(r, unicode.Pe, unicode.Pf, unicode.Po) }

func opens(r rune) bool { return unicode.In(r, unicode.Ps, unicode.Pi) }

// set breaks all text into lines of at most width at a size, one under the other
// from 0; false when it does not fit.
func (p paragraphs) set(size, width float64) ([]line, bool) {
	var block []line
	y := 0.0
	add := func(runs []run, size float64) {
		block = append(block, line{foot: y + lineRise*size, size: size, runs: runs})
		y += (lineRise + lineFall) * size
	}
	number, ok := halved(p.number, width/size)
	if !ok {
		return nil, false
	}
	for _, n := range number {
		add(n, size)
	}
	for _, group := range [][]paragraph{p.venue, p.caption} {
		if len(group) > 0 {
			y += 0.25 * size
		}
		for _, paragraph := range group {
			lines, ok := paragraph.broken(width / (size * paragraph.size))
			if !ok {
				return nil, false
			}
			for _, l := range lines {
				add(l, size*paragraph.size)
			}
		}
	}
	return block, true
}

// halved is the number in one line, or in two when it is too wide for one.
func halved(number []run, width float64) ([][]run, bool) {
	if widthOf(number) <= width {
		return [][]run{number}, true
	}
	if len(number) != 1 || len(number[0].text) != Digits+3 {
		return nil, false
	}
	whole, per := number[0], number[0].width/float64(Digits+3) // all digits of the font are equally wide
	const first = 10                                           // 1234-5678-
	two := [][]run{
		{{whole.face, whole.text[:first], per * first}},
		{{whole.face, whole.text[first:], per * float64(len(whole.text)-first)}},
	}
	return two, widthOf(two[0]) <= width
}

// broken fills lines one after the other.
func (p paragraph) broken(width float64) ([][]run, bool) {
	var lines [][]run
	var at, space float64
	for _, piece := range p.pieces {
		w := widthOf(piece.runs)
		if w > width {
			return nil, false
		}
		switch {
		case len(lines) == 0 || at+space+w > width:
			lines, at = append(lines, nil), 0
		case space > 0:
			last := lines[len(lines)-1]
			last[len(last)-1].width += space
			last[len(last)-1].text += " "
			at += space
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], append([]run(nil), piece.runs...)...)
		at, space = at+w, piece.space
	}
	return lines, len(lines) <= p.most
}
