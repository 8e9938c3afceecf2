package qr

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
)

// ZPL writes labels for a label printer that speaks ZPL II, one after the other: a
// bitmap of the whole label each, at exactly the printer's dots, so that a module is
// a whole number of them and text needs no font in the printer. The sheet must be a
// single label. Errors as PDF; labels before the one that failed were written.
func (p *Printer) ZPL(ctx context.Context, w io.Writer, labels iter.Seq2[Label, error]) (int, error) {
	if p.Sheet.PerPage() != 1 {
		return 0, fmt.Errorf("%w: %s has %d labels, and a label printer has one after the other; take a single label such as 50x70", ErrSheet,
			p.Sheet.Name, p.Sheet.PerPage())
	}
	n, err := ordered(ctx, labels, func(l Label) ([]byte, error) {
		made, err := p.prepare(l)
		if err != nil {
			return nil, err
		}
		picture, err := p.rasterise(made)
		if err != nil {
			return nil, err
		}
		return picture.zpl(), nil
	}, func(b []byte) error {
		_, err := w.Write(b)
		return err
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: there is nothing to print", ErrPrint)
	}
	return n, err
}

// zpl is one label: its size, its bitmap, one copy.
func (d dots) zpl() []byte {
	bytesPerRow := (d.w + 7) / 8
	var b bytes.Buffer
	fmt.Fprintf(&b, "^XA^PW%d^LL%d^LH0,0^FO0,0^GFA,%d,%d,%d,", d.w, d.h, bytesPerRow*d.h, bytesPerRow*d.h, bytesPerRow)
	row, before := make([]byte, bytesPerRow), []byte(nil)
	for y := range d.h {
		clear(row)
		for x := range d.w {
			if d.pix[y*d.w+x] != 0 {
				row[x/8] |= 0x80 >> (x % 8)
			}
		}
		if bytes.Equal(row, before) {
			b.WriteByte(':') // as the row above
			continue
		}
		before = append(before[:0], row...)
		squeezed(&b, row)
	}
	b.WriteString("^FS^PQ1^XZ\n")
	return b.Bytes()
}

// squeezed writes a row in the compression of ^GF for ASCII data: a letter before a
// hex digit repeats it, G to Y 1 to 19 times, g to z by twenties; a comma fills the
// row with zeros and an exclamation mark with ones.
func squeezed(b *bytes.Buffer, row []byte) {
	text := bytes.ToUpper([]byte(hex.EncodeToString(row)))
	for i := 0; i < len(text); {
		run := 1
		for i+run < len(text) && text[i+run] == text[i] {
			run++
		}
		switch {
		case i+run == len(text) && text[i] == '0':
			b.WriteByte(',')
			return
		case i+run == len(text) && text[i] == 'F':
			b.WriteByte('!')
			return
		}
		left := run
		for ; left >= 400; left -= 400 {
			b.WriteByte('z')
			b.WriteByte(text[i])
		}
		if left >= 20 {
			b.WriteByte(byte('g' + left/20 - 1))
		}
		if left%20 > 0 && left > 1 {
			b.WriteByte(byte('F' + left%20))
		}
		if left > 0 {
			b.WriteByte(text[i])
		}
		i += run
	}
}
