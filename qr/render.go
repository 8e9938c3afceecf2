package qr

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"regexp"
	"strconv"
	"strings"
)

var (
	// ErrLabel: the text under the symbol may hold digits and dashes, at most 20.
	ErrLabel = errors.New("bad label")
	// ErrScale: the pixels per module are out of range, or too few for the label.
	ErrScale = errors.New("bad scale")
)

// MaxScale is the most pixels per module that PNG draws.
const MaxScale = 64

const maxLabel = 20

func checkLabel(label string) error {
	if len(label) > maxLabel || strings.Trim(label, "0123456789-") != "" {
		return fmt.Errorf("%w: want at most %d digits and dashes", ErrLabel, maxLabel)
	}
	return nil
}

// SVG draws the symbol with its quiet zone, and the label (Format of the number)
// under it unless empty. One module is one unit; the picture has no size of its
// own and fills what it is put into. Errors: ErrLabel, ErrUnreadable.
func (m Matrix) SVG(label string) ([]byte, error) {
	if err := checkLabel(label); err != nil {
		return nil, err
	}
	side := m.size + 2*QuietZone
	height := side
	if label != "" {
		height += QuietZone
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">`, side, height)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dh-%dz"/>`, side, height, side)
	b.WriteString(svgOpen)
	b.Write(m.svgPath())
	b.WriteString(svgClose)
	if label != "" {
		// As wide as the symbol in any font, with its feet half a module above
		// the lower edge.
		fmt.Fprintf(&b, `<text x="%d" y="%d.5" font-family="monospace" font-size="4" textLength="%d" lengthAdjust="spacingAndGlyphs">%s</text>`,
			QuietZone, height-2, m.size, label)
	}
	b.WriteString("</svg>\n")
	if err := m.readBackSVG(b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

const (
	svgOpen  = `<path shape-rendering="crispEdges" d="`
	svgClose = `"/>`
)

// svgPath is one rectangle per run of dark modules in a row.
func (m Matrix) svgPath() []byte {
	var b []byte
	for y := range m.size {
		for x := 0; x < m.size; x++ {
			if !m.At(x, y) {
				continue
			}
			run := 1
			for m.At(x+run, y) {
				run++
			}
			b = fmt.Appendf(b, "M%d %dh%dv1h-%dz", x+QuietZone, y+QuietZone, run, run)
			x += run
		}
	}
	return b
}

var svgRun = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)

// readBackSVG rebuilds the modules from the text of the picture and decodes them.
func (m Matrix) readBackSVG(svg []byte) error {
	_, path, ok := bytes.Cut(svg, []byte(svgOpen))
	if ok {
		path, _, ok = bytes.Cut(path, []byte(svgClose))
	}
	if !ok {
		return fmt.Errorf("%w: no path", ErrUnreadable)
	}
	drawn := blank(m.content, m.size)
	used := 0
	for _, run := range svgRun.FindAllSubmatch(path, -1) {
		used += len(run[0])
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(string(run[i+1]))
		}
		x, y, width, back := n[0]-QuietZone, n[1]-QuietZone, n[2], n[3]
		if x < 0 || y < 0 || y >= m.size || x+width > m.size || width != back {
			return fmt.Errorf("%w: a run outside of the symbol", ErrUnreadable)
		}
		for i := range width {
			drawn.set(x+i, y)
		}
	}
	if used != len(path) {
		return fmt.Errorf("%w: path holds more than runs", ErrUnreadable)
	}
	return drawn.readBack()
}

// PNG draws the symbol with its quiet zone, every module a square of scale
// pixels (1 to MaxScale), in a palette of one bit, and the label (Format of the
// number) under it unless empty. A label of 17 characters needs a scale of at
// least 4 at version 3. Errors: ErrLabel, ErrScale, ErrUnreadable.
func (m Matrix) PNG(scale int, label string) ([]byte, error) {
	if err := checkLabel(label); err != nil {
		return nil, err
	}
	if scale < 1 || scale > MaxScale {
		return nil, fmt.Errorf("%w: %d pixels per module, want 1 to %d", ErrScale, scale, MaxScale)
	}
	side := (m.size + 2*QuietZone) * scale
	height, glyph := side, 0
	if label != "" {
		glyph = m.size * scale / (len(label)*glyphPitch - 1)
		if glyph == 0 {
			return nil, fmt.Errorf("%w: %d pixels per module are too few for the label", ErrScale, scale)
		}
		height += glyphHeight*glyph + scale
	}
	img := image.NewPaletted(image.Rect(0, 0, side, height), color.Palette{color.White, color.Black})
	for y := range m.size {
		for x := range m.size {
			if m.At(x, y) {
				fill(img, (x+QuietZone)*scale, (y+QuietZone)*scale, scale)
			}
		}
	}
	if label != "" {
		width := (len(label)*glyphPitch - 1) * glyph
		// One module into the quiet zone's lower edge would be too near: the
		// label starts where the quiet zone ends.
		drawLabel(img, label, (side-width)/2, side, glyph)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	if err := m.readBackPNG(b.Bytes(), scale); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func fill(img *image.Paletted, x, y, side int) {
	for dy := range side {
		row := img.Pix[img.PixOffset(x, y+dy):][:side]
		for i := range row {
			row[i] = 1
		}
	}
}

// readBackPNG rebuilds the modules from the file and decodes them. All pixels of
// a module, and of the quiet zone, must agree.
func (m Matrix) readBackPNG(file []byte, scale int) error {
	decoded, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	img, ok := decoded.(*image.Paletted)
	side := m.size + 2*QuietZone
	if !ok || img.Bounds().Dx() != side*scale || img.Bounds().Dy() < side*scale {
		return fmt.Errorf("%w: another kind or size of picture", ErrUnreadable)
	}
	drawn := blank(m.content, m.size)
	for y := range side {
		for x := range side {
			first := img.ColorIndexAt(x*scale, y*scale)
			for dy := range scale {
				for _, pixel := range img.Pix[img.PixOffset(x*scale, y*scale+dy):][:scale] {
					if pixel != first {
						return fmt.Errorf("%w: module %d,%d has two colours", ErrUnreadable, x, y)
					}
				}
			}
			if first == 0 {
				continue
			}
			mx, my := x-QuietZone, y-QuietZone
			if mx < 0 || my < 0 || mx >= m.size || my >= m.size {
				return fmt.Errorf("%w: the quiet zone is not quiet", ErrUnreadable)
			}
			drawn.set(mx, my)
		}
	}
	return drawn.readBack()
}

// Terminal draws the symbol with its quiet zone in half blocks, two modules a
// character, each line ended by a line feed. The colours are set by ANSI
// sequences, since a symbol in a dark terminal's own colours is inverted, which
// many cameras do not read.
func (m Matrix) Terminal() string {
	const paper, reset = "\x1b[38;5;16;48;5;231m", "\x1b[0m\n"
	var b strings.Builder
	for y := -QuietZone; y < m.size+QuietZone; y += 2 {
		b.WriteString(paper)
		for x := -QuietZone; x < m.size+QuietZone; x++ {
			switch upper, lower := m.At(x, y), m.At(x, y+1); {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(reset)
	}
	return b.String()
}

const (
	glyphWidth  = 5
	glyphPitch  = glyphWidth + 1
	glyphHeight = 7
)

// glyphs are the digits and the dash, five by seven.
var glyphs = map[byte][glyphHeight]string{
	'0': {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "},
	'1': {"  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "},
	'2': {" ### ", "#   #", "    #", "   # ", "  #  ", " #   ", "#####"},
	'3': {"#####", "   # ", "  #  ", "   # ", "    #", "#   #", " ### "},
	'4': {"   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "},
	'5': {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "},
	'6': {"  ## ", " #   ", "#    ", "#### ", "#   #", "#   #", " ### "},
	'7': {"#####", "    #", "   # ", "  #  ", " #   ", " #   ", " #   "},
	'8': {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "},
	'9': {" ### ", "#   #", "#   #", " ####", "    #", "   # ", " ##  "},
	'-': {"     ", "     ", "     ", "#####", "     ", "     ", "     "},
}

// drawLabel puts the text's upper left corner at x, y; glyph is pixels per dot.
func drawLabel(img *image.Paletted, label string, x, y, glyph int) {
	for i := range len(label) {
		for row, dots := range glyphs[label[i]] {
			for column := range len(dots) {
				if dots[column] == '#' {
					fill(img, x+(i*glyphPitch+column)*glyph, y+row*glyph, glyph)
				}
			}
		}
	}
}
