package qr

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"golang.org/x/image/font/gofont/goregular"
	"pgregory.net/rapid"
)

func TestLabelsOfASheetNeverMeet(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Sheets() {
		if seen[s.Name] || s.Note == "" {
			t.Errorf("sheet %s stands twice or has no note", s.Name)
		}
		seen[s.Name] = true
		for i := range s.PerPage() {
			x, y := s.At(i)
			a := box{x, y, s.LabelWidth, s.LabelHeight}
			if x < 0 || y < 0 || x+a.w > s.PageWidth+1e-9 || y+a.h > s.PageHeight+1e-9 {
				t.Errorf("%s: label %d leaves the page", s.Name, i)
			}
			for j := range i {
				x, y := s.At(j)
				if (box{x + 1e-9, y + 1e-9, s.LabelWidth - 2e-9, s.LabelHeight - 2e-9}).overlaps(a) {
					t.Errorf("%s: labels %d and %d overlap", s.Name, j, i)
				}
			}
		}
	}
	if _, err := SheetNamed("a4-1x1"); !errors.Is(err, ErrSheet) || !strings.Contains(err.Error(), "a4-3x8") {
		t.Errorf("unknown sheet: %v, want ErrSheet with the names", err)
	}
}

// TestInkStaysOffTheQuietZoneAndTheNeighbour draws labels with any text on every
// template and looks at the dots.
func TestInkStaysOffTheQuietZoneAndTheNeighbour(t *testing.T) {
	fonts := testFonts(t)
	words := "[A-Za-z0-9gjpqyÄÅŒ,.]{1,12}"
	if fonts.extra != nil {
		words = "[A-Za-z0-9gjpqy柳园校区北门微信扫码用车，。《》]{1,12}"
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(Sheets()).Draw(t, "sheet")
		dpi := rapid.SampledFrom([]int{203, 300, 600}).Draw(t, "dpi")
		text := func(name string, most int) string {
			return strings.Join(rapid.SliceOfN(rapid.StringMatching(words), 0, most).Draw(t, name), " ")
		}
		host := rapid.SampledFrom([]string{"q.cn", domain, "a-very-long-domain.example.com.cn"}).Draw(t, "host")
		l := Label{Number: "12345678971552", URL: URL(host, "12345678971552"), Venue: text("venue", 5), Caption: text("caption", 12)}
		m, err := Encode(l.URL)
		if err != nil {
			t.Fatal(err)
		}
		d, err := layout(s, dpi, fonts, m, l)
		if errors.Is(err, ErrSheet) { // too much text, or too few dots
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		module := float64(d.dots) * millimetresPerInch / float64(dpi)
		if d.dots < leastDots || module < leastModule {
			t.Fatalf("a module of %d dots, %.2f mm", d.dots, module)
		}
		if math.Abs(d.symbol.w-module*float64(m.Size()+2*QuietZone)) > 1e-9 {
			t.Fatalf("symbol of %.3f mm, want %d modules of %.3f", d.symbol.w, m.Size()+2*QuietZone, module)
		}
		whole := box{0, 0, s.LabelWidth, s.LabelHeight}
		inside := func(b box) bool {
			return b.x >= whole.x && b.y >= whole.y && b.x+b.w <= whole.w+1e-9 && b.y+b.h <= whole.h+1e-9
		}
		if !inside(d.symbol) {
			t.Fatalf("quiet zone %+v leaves the label", d.symbol)
		}
		for i, line := range d.lines {
			if b := line.box(); !inside(b) || b.overlaps(d.symbol) {
				t.Fatalf("line %d at %+v, symbol at %+v, label %+v", i, b, d.symbol, whole)
			}
			for j := range i {
				if above := d.lines[j].box(); line.box().y < above.y+above.h-1e-9 {
					t.Fatalf("lines %d and %d overlap", j, i)
				}
			}
		}
		if dpi == 600 {
			return // drawn at the others
		}
		// What is promised of boxes holds of the ink: the symbol's reader refuses ink in
		// the quiet zone, and the edge of the label is white.
		p := &Printer{PrinterConfig: PrinterConfig{Sheet: s, DPI: dpi, Fonts: fonts}, glyphs: glyphCache{known: map[glyphKey]glyph{}}}
		picture, err := p.rasterise(d)
		if err != nil {
			t.Fatal(err)
		}
		edge := int(cutting / 2 * float64(dpi) / millimetresPerInch)
		for y := range picture.h {
			for x := range picture.w {
				if picture.at(x, y) && (x < edge || y < edge || x >= picture.w-edge || y >= picture.h-edge) {
					t.Fatalf("ink at dot %d,%d of %dx%d, nearer than %d to the edge", x, y, picture.w, picture.h, edge)
				}
			}
		}
	})
}

func TestInkInTheQuietZoneIsNeverDelivered(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	for _, c := range []struct {
		what  string
		spoil func(*gozxing.BitMatrix)
		want  error
	}{
		{"as drawn", func(*gozxing.BitMatrix) {}, nil},
		{"a dot in the quiet zone", func(b *gozxing.BitMatrix) { b.Set(3, 200) }, ErrUnreadable},
		{"nothing", func(b *gozxing.BitMatrix) { b.Clear() }, ErrUnreadable},
		{"the middle blackened", func(b *gozxing.BitMatrix) { _ = b.SetRegion(100, 100, 150, 150) }, ErrUnreadable},
	} {
		picture, err := raster(m.bars(), m.Size(), 10)
		if err != nil {
			t.Fatal(err)
		}
		c.spoil(picture)
		if err := m.readBackDots(picture, 10); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
	other := mustEncode(t, URL(domain, "12345678971553"))
	picture, err := raster(other.bars(), other.Size(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.readBackDots(picture, 10); !errors.Is(err, ErrUnreadable) {
		t.Errorf("another number's symbol: got %v, want ErrUnreadable", err)
	}
}

func TestAFailureWritesNothing(t *testing.T) {
	labels := batch(t, 200, "Campus", "")
	labels[150].URL = URL("a-very-long-domain.example.com.cn", labels[150].Number)
	var b bytes.Buffer
	if _, err := printer(t, PrinterConfig{Sheet: sheet(t, "a4-3x8")}).PDF(t.Context(), &b, sequence(labels)); !errors.Is(err, ErrVersions) || b.Len() != 0 {
		t.Errorf("two versions in one batch: %v, %d bytes written; want ErrVersions and none", err, b.Len())
	}
	failing := errors.New("the list broke off")
	_, err := printer(t, PrinterConfig{Sheet: sheet(t, "a4-3x8")}).PDF(t.Context(), &b, func(yield func(Label, error) bool) {
		if yield(labels[0], nil) {
			yield(Label{}, failing)
		}
	})
	if !errors.Is(err, failing) || b.Len() != 0 {
		t.Errorf("a list that breaks off: %v, %d bytes written", err, b.Len())
	}
}

func TestPrintOptionsAreChecked(t *testing.T) {
	s, fonts := sheet(t, "a4-3x8"), testFonts(t)
	for _, c := range []PrinterConfig{
		{Sheet: s, Fonts: fonts, Start: 25}, {Sheet: s, Fonts: fonts, Start: -1}, {Sheet: s, Fonts: fonts, DPI: 72},
		{Sheet: s, Fonts: fonts, DPI: 5000}, {Sheet: s, Fonts: fonts, OffsetX: 11}, {Sheet: s, Fonts: fonts, OffsetY: math.NaN()},
		{Sheet: s}, {Fonts: fonts},
	} {
		if _, err := NewPrinter(c); !errors.Is(err, ErrPrint) {
			t.Errorf("start %d, %d dpi, offset %g, %g: got %v, want ErrPrint", c.Start, c.DPI, c.OffsetX, c.OffsetY, err)
		}
	}
	l := batch(t, 1, "", "")[0]
	if err := printer(t, PrinterConfig{Sheet: sheet(t, "50x70"), OffsetX: -9}).Check(l); !errors.Is(err, ErrPrint) {
		t.Errorf("an offset off the paper: got %v, want ErrPrint", err)
	}
	l.URL = "https://" + strings.Repeat("a", 60) + ".cn/d/" + string(l.Number)
	tiny := sheet(t, "50x30")
	tiny.LabelHeight = 18
	if err := printer(t, PrinterConfig{Sheet: tiny, DPI: 203}).Check(l); !errors.Is(err, ErrSheet) || !strings.Contains(err.Error(), "take a larger label") {
		t.Errorf("modules of too few dots: got %v, want ErrSheet that helps", err)
	}
	for caption, want := range map[string]error{
		"for {device}": ErrPrint, strings.Repeat("many words that no label holds ", 30): ErrSheet, "bell \a": ErrFont, "امسح الرمز": ErrFont, "a\u202eb": ErrFont, "bike \U0001F6B2": ErrFont,
	} {
		if err := printer(t, PrinterConfig{Sheet: s}).Check(Label{Number: l.Number, URL: URL(domain, l.Number), Caption: caption}); !errors.Is(err, want) {
			t.Errorf("caption %.30q: got %v, want %v", caption, err, want)
		}
	}
}

func TestAFontThatCannotBeEmbeddedIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, says string }{
		{file("cff.otf", append([]byte("OTTO"), make([]byte, 100)...)), "PostScript outlines"},
		{file("many.ttc", append([]byte("ttcf"), make([]byte, 100)...)), "collection"},
		{file("web.woff2", append([]byte("wOF2"), make([]byte, 100)...)), "no TrueType font"},
		{file("short.ttf", []byte("no")), "no font file"},
		{file("torn.ttf", goregular.TTF[:3000]), "bad font"},
		{file("zero.ttf", append([]byte{0, 1, 0, 0, 0, 9}, make([]byte, 400)...)), "bad font"},
		{filepath.Join(dir, "none.ttf"), "no such file"},
	} {
		if _, err := LoadFonts(c.name); !errors.Is(err, ErrFont) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrFont that says %q", filepath.Base(c.name), err, c.says)
		}
	}
	fonts, err := LoadFonts(file("good.ttf", goregular.TTF))
	if err != nil {
		t.Fatal(err)
	}
	l := Label{Number: "12345678971552", URL: URL(domain, "12345678971552"), Venue: "柳园"}
	p := printer(t, PrinterConfig{Sheet: sheet(t, "50x70"), Fonts: fonts})
	if err := p.Check(l); !errors.Is(err, ErrFont) || !strings.Contains(err.Error(), "'柳' (U+67F3)") {
		t.Errorf("a font without the character: got %v, want ErrFont that names it", err)
	}
	fonts.extra = nil
	if err := p.Check(l); !errors.Is(err, ErrFont) || !strings.Contains(err.Error(), FontPackage) || !strings.Contains(err.Error(), "--font") {
		t.Errorf("no font: got %v, want ErrFont that names package and flag", err)
	}
	l.Venue = "Café Ñuñoa, Straße 5"
	if err := p.Check(l); err != nil {
		t.Errorf("Latin text without a font: %v", err)
	}
}

func TestPrintingBeginsAtALabelAndGoesOnAcrossFiles(t *testing.T) {
	s := sheet(t, "a4-3x7")
	p := printer(t, PrinterConfig{Sheet: s, Start: 20, OffsetX: 3, OffsetY: -2})
	labels := batch(t, 30, "", "")
	// Two labels are left on the first sheet, then a full one, then seven.
	first, second := pages(t, pdf(t, p, labels[:23]), 150), pages(t, pdf(t, p, labels[23:]), 150)
	if len(first) != 2 || len(second) != 1 {
		t.Fatalf("%d and %d pages, want 2 and 1", len(first), len(second))
	}
	per := 150 / millimetresPerInch
	used := func(page *image.Gray) (places []int) {
		for i := range s.PerPage() {
			x, y := s.At(i)
			x, y = x+3, y-2
			for dot := range int(s.LabelHeight * per) { // down through the symbol's left half
				if page.GrayAt(int((x+10)*per), int(y*per)+dot).Y < 100 {
					places = append(places, i)
					break
				}
			}
		}
		return places
	}
	if got := used(first[0]); !slices.Equal(got, []int{19, 20}) {
		t.Errorf("places on the first sheet: %v", got)
	}
	if got := used(first[1]); len(got) != 21 {
		t.Errorf("places on the second sheet: %v", got)
	}
	if got := used(second[0]); len(got) != 7 || got[0] != 0 {
		t.Errorf("places on the third sheet: %v", got)
	}
	// The offset moves the ink by itself.
	at := func(page *image.Gray) (x, y int) {
		x, y = page.Rect.Dx(), page.Rect.Dy()
		for yy := range page.Rect.Dy() {
			for xx := range page.Rect.Dx() {
				if page.GrayAt(xx, yy).Y < 100 {
					x, y = min(x, xx), min(y, yy)
				}
			}
		}
		return x, y
	}
	x, y := at(pages(t, pdf(t, printer(t, PrinterConfig{Sheet: s}), labels[:1]), 300)[0])
	mx, my := at(pages(t, pdf(t, printer(t, PrinterConfig{Sheet: s, OffsetX: 3, OffsetY: -2}), labels[:1]), 300)[0])
	if dx, dy := float64(mx-x)*millimetresPerInch/300, float64(my-y)*millimetresPerInch/300; math.Abs(dx-3) > 0.1 || math.Abs(dy+2) > 0.1 {
		t.Errorf("an offset of 3, -2 mm moved the ink by %.2f, %.2f", dx, dy)
	}
}

// unsqueezed reads the one ^GFA field of a ZPL label: the test's own reader of Zebra's
// compression, written from its description.
func unsqueezed(t *testing.T, label string) (w, h int, rows [][]byte) {
	t.Helper()
	var total, again, perRow int
	at := strings.Index(label, "^GFA,")
	if _, err := fmt.Sscanf(label[at:], "^GFA,%d,%d,%d,", &total, &again, &perRow); err != nil || total != again {
		t.Fatalf("graphic field: %v, %d and %d bytes", err, total, again)
	}
	data := strings.SplitN(label[at:strings.Index(label, "^FS")], ",", 5)[4]
	var row []byte
	count := 0
	flush := func() {
		if len(row) != 2*perRow {
			t.Fatalf("row %d has %d digits, want %d", len(rows), len(row), 2*perRow)
		}
		rows, row = append(rows, row), nil
	}
	for _, c := range []byte(data) {
		switch {
		case c >= 'G' && c <= 'Y':
			count += int(c-'G') + 1
		case c >= 'g' && c <= 'z':
			count += 20 * (int(c-'g') + 1)
		case c == ':':
			rows = append(rows, rows[len(rows)-1])
		case c == ',' || c == '!':
			row = append(row, bytes.Repeat([]byte{map[byte]byte{',': '0', '!': 'F'}[c]}, 2*perRow-len(row))...)
		default:
			row = append(row, bytes.Repeat([]byte{c}, max(count, 1))...)
			count = 0
		}
		if len(row) == 2*perRow {
			flush()
		}
	}
	if len(rows)*perRow != total {
		t.Fatalf("%d rows of %d bytes, want %d bytes", len(rows), perRow, total)
	}
	var width, length int
	if _, err := fmt.Sscanf(label, "^XA^PW%d^LL%d^", &width, &length); err != nil || length != len(rows) || (width+7)/8 != perRow {
		t.Fatalf("label of %d x %d dots, %d rows, %v", width, length, len(rows), err)
	}
	return width, length, rows
}

func TestZPLIsReadBackFromItsBitmap(t *testing.T) {
	for _, c := range []struct {
		sheet string
		dpi   int
	}{{"50x70", 203}, {"50x70", 300}, {"60x80", 600}, {"50x30", 203}, {"60x40", 300}} {
		labels := batch(t, 20, "Willow Campus", "Scan to ride")
		var b bytes.Buffer
		n, err := printer(t, PrinterConfig{Sheet: sheet(t, c.sheet), DPI: c.dpi, OffsetX: 1, OffsetY: -0.2}).ZPL(t.Context(), &b, sequence(labels))
		if err != nil || n != len(labels) {
			t.Fatalf("%s at %d dpi: %d, %v", c.sheet, c.dpi, n, err)
		}
		for i, text := range strings.SplitAfter(strings.TrimSpace(b.String()), "^XZ\n") {
			w, h, rows := unsqueezed(t, text)
			img := image.NewGray(image.Rect(0, 0, w, h))
			for y, row := range rows {
				for x := range w {
					digit, err := strconv.ParseUint(string(row[x/4]), 16, 8)
					if err != nil {
						t.Fatal(err)
					}
					img.SetGray(x, y, ink(digit&(8>>(x%4)) != 0))
				}
			}
			if got := scan(t, img); got != labels[i].URL {
				t.Errorf("%s at %d dpi: label %d says %s", c.sheet, c.dpi, i, got)
			}
		}
	}
	if _, err := printer(t, PrinterConfig{Sheet: sheet(t, "a4-3x8")}).ZPL(t.Context(), io.Discard, sequence(batch(t, 1, "", ""))); !errors.Is(err, ErrSheet) {
		t.Errorf("ZPL of a sheet: got %v, want ErrSheet", err)
	}
}

func TestZPLRepeatsWhatRepeats(t *testing.T) {
	for _, n := range []int{1, 2, 19, 20, 21, 39, 40, 399, 400, 401, 419, 420, 799, 800, 821} {
		d := newDots(n*4+8, 2)
		d.bar(2, 0, n*4, 1) // so that the row neither begins nor ends with it
		_, _, rows := unsqueezed(t, string(d.zpl()))
		for x := range d.w {
			digit, _ := strconv.ParseUint(string(rows[0][x/4]), 16, 8)
			if (digit&(8>>(x%4)) != 0) != d.at(x, 0) || rows[1][x/4] != '0' {
				t.Fatalf("run of %d dots: dot %d is wrong", n*4, x)
			}
		}
	}
}

func TestPicturesAreReadAndTellTheirSize(t *testing.T) {
	l := batch(t, 1, "Willow Campus", "Scan to ride {label}")[0]
	p := printer(t, PrinterConfig{Sheet: sheet(t, "50x70")})
	file, err := p.LabelPNG(l)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Dx() != 591 || img.Bounds().Dy() != 827 || !bytes.Contains(file, []byte("pHYs\x00\x00\x2e\x23\x00\x00\x2e\x23\x01")) {
		t.Errorf("a label of 50 x 70 mm at 300 dpi is %v", img.Bounds())
	}
	if got := scan(t, img); got != l.URL {
		t.Errorf("PNG says %s", got)
	}
	svg, err := p.LabelSVG(l)
	if err != nil || !bytes.HasPrefix(svg, []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="50mm" height="70mm"`)) {
		t.Errorf("SVG: %v, %.100s", err, svg)
	}
}

func TestListIsReadByOthers(t *testing.T) {
	labels := batch(t, 3, "=Campus", "bike {label}")
	labels[1].Device, labels[1].Outlet = "bike-1", 2
	var b bytes.Buffer
	if n, err := List(&b, sequence(labels)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatal(rows, err)
	}
	want := []string{"2", string(labels[1].Number), Format(labels[1].Number), labels[1].URL, "'=Campus", "bike 2", "bike-1", "2", "b"}
	if !slices.Equal(rows[2], want) {
		t.Errorf("got %q, want %q", rows[2], want)
	}
}

func TestRulerCountsMillimetresFromTheEdge(t *testing.T) {
	var b bytes.Buffer
	s := sheet(t, "a4-3x8")
	if err := printer(t, PrinterConfig{Sheet: s}).Ruler(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ruler.pdf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	page := pages(t, path, 600)[0]
	per := 600 / millimetresPerInch
	// Just above the ruler across the middle every millimetre has a tick, and only there.
	y := int((math.Round(s.PageHeight/2) - 0.8) * per)
	for mm := 1; mm < 200; mm++ {
		dark := func(at float64) bool {
			for x := int(at*per) - 2; x <= int(at*per)+2; x++ {
				if page.GrayAt(x, y).Y < 160 {
					return true
				}
			}
			return false
		}
		if !dark(float64(mm)) || math.Abs(float64(mm)-105) > 1 && mm%70 != 0 && dark(float64(mm)+0.5) && mm%70 != 69 {
			t.Fatalf("tick %d is missing, or there is ink beside it", mm)
		}
	}
}

// numbered is a sequence of labels that nobody holds.
func numbered(n int) iter.Seq2[Label, error] {
	return func(yield func(Label, error) bool) {
		for i := range n {
			number := Number(fmt.Sprintf("%014d", i*7919))
			if !yield(Label{Number: number, URL: URL(domain, number), Venue: "Willow Campus", Caption: "Scan to ride", Index: i + 1}, nil) {
				return
			}
		}
	}
}

// unraced leaves a test to the run without the race detector; see raced.
func unraced(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("it runs without the race detector: make test does both")
	}
}

// TestMemoryDoesNotGrowWithTheBatch writes parts of 500 labels as the command does, and asks
// at the last label of each part, when most of it is held, what a collection leaves. What a
// collector under load counts beside the work swings with the machine.
func TestMemoryDoesNotGrowWithTheBatch(t *testing.T) {
	unraced(t)
	const part = 500
	print := func(n int) uint64 {
		p := printer(t, PrinterConfig{Sheet: sheet(t, "50x70")})
		next, stop := iter.Pull2(numbered(n))
		defer stop()
		var peak uint64
		for range n / part {
			_, err := p.PDF(t.Context(), io.Discard, func(yield func(Label, error) bool) {
				for i := range part {
					if i == part-1 {
						peak = max(peak, held())
					}
					if l, err, ok := next(); !ok || !yield(l, err) {
						return
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		return peak
	}
	many := 10_000
	if testing.Short() {
		many = 4000
	}
	few := print(2000)
	all := print(many)
	t.Logf("heap held: %d KiB for 2000 labels, %d KiB for %d", few>>10, all>>10, many)
	// Five times the labels would be five times the heap, if they were kept.
	if float64(all) > 1.5*float64(few) {
		t.Errorf("%d labels take %d KiB of heap, 2000 take %d KiB", many, all>>10, few>>10)
	}
}

// held is the heap that is reachable now, bytes. Twice, because a pool gives up what it keeps
// only to the second collection.
func held() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
