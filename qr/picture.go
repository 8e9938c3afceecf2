package qr

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"iter"
	"math"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Pictures draws a picture per label, as "svg" or "png", on every core, and hands
// them to emit in their order. It returns how many.
func (p *Printer) Pictures(ctx context.Context, format string, labels iter.Seq2[Label, error], emit func(Label, []byte) error) (int, error) {
	draw := p.LabelSVG
	if format == "png" {
		draw = p.LabelPNG
	}
	type picture struct {
		label Label
		bytes []byte
	}
	return ordered(ctx, labels, func(l Label) (picture, error) {
		b, err := draw(l)
		return picture{l, b}, err
	}, func(made picture) error { return emit(made.label, made.bytes) })
}

// LabelPNG draws a whole label at the printer's dots, black and white, with its
// resolution in the file. The sheet's place of a label plays no part.
func (p *Printer) LabelPNG(l Label) ([]byte, error) {
	made, err := p.prepare(l)
	if err != nil {
		return nil, err
	}
	picture, err := p.rasterise(made)
	if err != nil {
		return nil, err
	}
	img := image.NewPaletted(image.Rect(0, 0, picture.w, picture.h), color.Palette{color.White, color.Black})
	copy(img.Pix, picture.pix)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return withResolution(b.Bytes(), p.DPI), nil
}

// withResolution puts a pHYs chunk behind the header, as PNG has it: dots per metre.
func withResolution(file []byte, dpi int) []byte {
	const header = 8 + 4 + 4 + 13 + 4
	perMetre := uint32(math.Round(float64(dpi) * 1000 / millimetresPerInch))
	chunk := binary.BigEndian.AppendUint32(nil, 9)
	chunk = append(chunk, "pHYs"...)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return append(append(append([]byte(nil), file[:header]...), chunk...), file[header:]...)
}

// LabelSVG draws a whole label as shapes in millimetres. Text is outlines, so that
// it looks the same wherever it is opened.
func (p *Printer) LabelSVG(l Label) ([]byte, error) {
	made, err := p.prepare(l)
	if err != nil {
		return nil, err
	}
	bars := made.matrix.bars()
	picture, err := raster(bars, made.matrix.Size(), made.dots)
	if err != nil {
		return nil, err
	}
	if err := made.matrix.readBackDots(picture, made.dots); err != nil {
		return nil, err
	}
	module := float64(made.dots) * millimetresPerInch / float64(p.DPI)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%gmm" height="%gmm" viewBox="0 0 %g %g">`, p.Sheet.LabelWidth,
		p.Sheet.LabelHeight, p.Sheet.LabelWidth, p.Sheet.LabelHeight)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%gv%gh-%gz"/>`, p.Sheet.LabelWidth, p.Sheet.LabelHeight, p.Sheet.LabelWidth)
	fmt.Fprintf(&b, `<path shape-rendering="crispEdges" transform="translate(%.4f %.4f) scale(%.6f)" d="`,
		made.symbol.x+p.OffsetX, made.symbol.y+p.OffsetY, module)
	for _, r := range bars {
		fmt.Fprintf(&b, "M%d %dh%dv%dh-%dz", r.x+QuietZone, r.y+QuietZone, r.w, r.h, r.w)
	}
	b.WriteString(`"/><path d="`)
	var buffer sfnt.Buffer
	for _, line := range made.lines {
		x := line.x + p.OffsetX
		for _, run := range line.runs {
			for _, r := range run.text {
				if err := run.face.outline(&b, &buffer, r, x, line.foot+p.OffsetY, line.size); err != nil {
					return nil, err
				}
				x += run.face.advance(&buffer, r) * line.size
			}
		}
	}
	b.WriteString("\"/></svg>\n")
	return b.Bytes(), nil
}

// outline appends a character as a path, its pen at x and foot.
func (f *face) outline(b *bytes.Buffer, buffer *sfnt.Buffer, r rune, x, foot, size float64) error {
	i, err := f.font.GlyphIndex(buffer, r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFont, err)
	}
	units := int(f.font.UnitsPerEm())
	segments, err := f.font.LoadGlyph(buffer, i, fixed.I(units), nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFont, err)
	}
	at := func(p fixed.Point26_6) string {
		per := size / float64(units) / 64
		return fmt.Sprintf("%.3f %.3f", x+float64(p.X)*per, foot+float64(p.Y)*per)
	}
	for n, s := range segments {
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if n > 0 {
				b.WriteByte('Z')
			}
			b.WriteString("M" + at(s.Args[0]))
		case sfnt.SegmentOpLineTo:
			b.WriteString("L" + at(s.Args[0]))
		case sfnt.SegmentOpQuadTo:
			b.WriteString("Q" + at(s.Args[0]) + " " + at(s.Args[1]))
		case sfnt.SegmentOpCubeTo:
			b.WriteString("C" + at(s.Args[0]) + " " + at(s.Args[1]) + " " + at(s.Args[2]))
		}
	}
	if len(segments) > 0 {
		b.WriteByte('Z')
	}
	return nil
}
