package qr

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"unicode"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// ErrFont: a font cannot be used, or has no shape for a character.
var ErrFont = errors.New("bad font")

// FontPackage is the package of Debian that brings a font for Chinese text; the
// setup script installs it.
const FontPackage = "fonts-droid-fallback"

// fontPlaces are where fonts with TrueType outlines for Chinese text are, by system.
var fontPlaces = []string{
	"/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",      // Debian
	"/usr/share/fonts-droid-fallback/truetype/DroidSansFallback.ttf", // Debian, later
	"/usr/share/fonts/google-droid-sans-fonts/DroidSansFallback.ttf", // Fedora
	"/Library/Fonts/Arial Unicode.ttf",                               // macOS
	"/System/Library/Fonts/Supplemental/Arial Unicode.ttf",           // macOS
}

// face is one font: parsed to measure and to draw, and as bytes to embed.
type face struct {
	family string // its name in a PDF
	bytes  []byte
	font   *sfnt.Font
}

// Fonts are the fonts of labels: two built in, for numbers and for Latin, Greek and
// Cyrillic text, and one from a file for what they do not have. Safe for concurrent
// use.
type Fonts struct {
	digits, text, extra *face // extra is nil when there is no file
}

var builtIn = sync.OnceValues(func() (Fonts, error) {
	digits, err := parseFace("digits", gomonobold.TTF)
	if err != nil {
		return Fonts{}, err
	}
	text, err := parseFace("latin", goregular.TTF)
	return Fonts{digits: digits, text: text}, err
})

// LoadFonts reads the font of a path, or for "" the first that is found where
// systems keep them; none there is no error until text needs it. A font must have
// TrueType outlines: ErrFont for collections and for OpenType with PostScript
// outlines, which most downloads of Noto and Source Han are.
func LoadFonts(path string) (*Fonts, error) {
	fonts, err := builtIn()
	if err != nil {
		return nil, err
	}
	places := fontPlaces
	if path != "" {
		places = []string{path}
	}
	for _, place := range places {
		b, err := os.ReadFile(place)
		if err != nil {
			if path == "" {
				continue
			}
			return nil, fmt.Errorf("%w: %w", ErrFont, err)
		}
		fonts.extra, err = parseFace("extra", b)
		if err != nil {
			return nil, fmt.Errorf("font %s: %w", place, err)
		}
		break
	}
	return &fonts, nil
}

// parseFace checks that a font can be measured and embedded.
func parseFace(family string, b []byte) (f *face, err error) {
	if len(b) < 12 {
		return nil, fmt.Errorf("%w: it is no font file", ErrFont)
	}
	const want = "give a .ttf with TrueType outlines, such as that of Debian's package " + FontPackage
	switch string(b[:4]) {
	case "\x00\x01\x00\x00", "true":
	case "OTTO":
		return nil, fmt.Errorf("%w: it has PostScript outlines (OpenType/CFF), which cannot be embedded; %s", ErrFont, want)
	case "ttcf":
		return nil, fmt.Errorf("%w: it is a collection of fonts (TTC), which cannot be embedded; %s", ErrFont, want)
	default:
		return nil, fmt.Errorf("%w: it is no TrueType font; %s", ErrFont, want)
	}
	// Both libraries answer a broken file with a panic now and then.
	defer func() {
		if fault := recover(); fault != nil {
			f, err = nil, fmt.Errorf("%w: it is broken (%v); %s", ErrFont, fault, want)
		}
	}()
	parsed, err := sfnt.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; %s", ErrFont, err, want)
	}
	f = &face{family: family, bytes: b, font: parsed}
	p := fpdf.New("P", "mm", "A4", "")
	p.AddUTF8FontFromBytes(family, "", b)
	p.SetFont(family, "", 10)
	if err := p.Error(); err != nil {
		return nil, fmt.Errorf("%w: %w; %s", ErrFont, err, want)
	}
	return f, nil
}

// has tells whether the font has a shape for a character.
func (f *face) has(b *sfnt.Buffer, r rune) bool {
	i, err := f.font.GlyphIndex(b, r)
	return err == nil && i != 0
}

// advance is how far a character moves the pen, in parts of the font's size.
func (f *face) advance(b *sfnt.Buffer, r rune) float64 {
	i, err := f.font.GlyphIndex(b, r)
	if err != nil {
		return 0
	}
	units := fixed.I(int(f.font.UnitsPerEm()))
	a, err := f.font.GlyphAdvance(b, i, units, font.HintingNone)
	if err != nil {
		return 0
	}
	return float64(a) / float64(units)
}

// run is a piece of text in one font.
type run struct {
	face  *face
	text  string
	width float64 // in parts of the font's size
}

// joined are scripts that need more than one shape after the other.
var joined = []*unicode.RangeTable{unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Mongolian, unicode.Tibetan,
	unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada,
	unicode.Malayalam, unicode.Sinhala, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// runs splits text by the fonts that have its characters: the built-in one where it
// can, since fonts for Chinese often have no Latin letters. ErrFont names the first
// character that no font has.
func (f *Fonts) runs(b *sfnt.Buffer, text string, base *face) ([]run, error) {
	var all []run
	for _, r := range text {
		in := base
		if !in.has(b, r) {
			in = f.extra
		}
		switch {
		case r > 0xFFFF || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			return nil, fmt.Errorf("%w: %s cannot be printed on labels", ErrFont, nameOf(r))
		case unicode.In(r, joined...):
			return nil, fmt.Errorf("%w: %s is of a script whose letters join or run from right to left, which labels cannot set, whatever the font; print it as a picture of your own, with --format csv",
				ErrFont, nameOf(r))
		case in == nil:
			return nil, fmt.Errorf("%w: the text has %s, and no font for it is there; run: apt-get install %s, or give --font FILE.ttf",
				ErrFont, nameOf(r), FontPackage)
		case in == f.extra && !in.has(b, r):
			return nil, fmt.Errorf("%w: the font has no shape for %s; give another with --font FILE.ttf", ErrFont, nameOf(r))
		}
		if len(all) == 0 || all[len(all)-1].face != in {
			all = append(all, run{face: in})
		}
		last := &all[len(all)-1]
		last.text += string(r)
		last.width += in.advance(b, r)
	}
	return all, nil
}

func nameOf(r rune) string {
	if unicode.IsPrint(r) {
		return fmt.Sprintf("%s (U+%04X)", strconv.QuoteRune(r), r)
	}
	return fmt.Sprintf("the character U+%04X", r)
}

func widthOf(runs []run) (w float64) {
	for _, r := range runs {
		w += r.width
	}
	return w
}
