package qr

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"pgregory.net/rapid"
)

func mustEncode(t testing.TB, content string) Matrix {
	t.Helper()
	m, err := Encode(content)
	if err != nil {
		t.Fatalf("encode %q: %v", content, err)
	}
	return m
}

func TestOneVersionPerBatch(t *testing.T) {
	mint := minter(t, secretA)
	rapid.Check(t, func(t *rapid.T) {
		// Every domain of up to 13 letters, dots and dashes fits version 3.
		host := rapid.StringMatching(`[a-z][a-z-]{0,8}\.[a-z]{2,3}`).Draw(t, "host")
		m, err := Encode(URL(host, drawn(t, mint)))
		if err != nil {
			t.Fatal(err)
		}
		if m.Version() != batchVersion || m.Size() != 29 {
			t.Fatalf("%s: got version %d, want %d", m.Content(), m.Version(), batchVersion)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		// A digit in the domain may cost a segment and so a version, but the same
		// one for the whole batch.
		host := rapid.StringMatching(`[a-z0-9-]{1,40}\.com`).Draw(t, "host")
		one, err := Encode(URL(host, drawn(t, mint)))
		if err != nil {
			t.Fatal(err)
		}
		other, err := Encode(URL(host, drawn(t, mint)))
		if err != nil {
			t.Fatal(err)
		}
		if one.Version() != other.Version() {
			t.Fatalf("%s: got versions %d and %d in one batch", host, one.Version(), other.Version())
		}
	})
}

// scan finds and reads the symbol in a picture as a camera would, with a detector and
// without knowing where it is. A camera looks many times, tilted a little differently
// each time; one look in some hundreds takes other squares for the finder patterns, so
// it may look a few times.
func scan(t *testing.T, img image.Image) string {
	t.Helper()
	var failed error
	for _, degrees := range []float64{0, 4, -7, 90, 11, -15} {
		bitmap, err := gozxing.NewBinaryBitmapFromImage(tilted(img, degrees))
		if err != nil {
			t.Fatal(err)
		}
		result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
		if err == nil {
			return result.GetText()
		}
		failed = err
	}
	t.Fatalf("scan: %v", failed)
	return ""
}

// tilted is a picture turned around its middle, three times as large, on white.
func tilted(img image.Image, degrees float64) image.Image {
	if degrees == 0 {
		return img
	}
	const larger = 3
	b := img.Bounds()
	side := larger * (max(b.Dx(), b.Dy()) * 3 / 2)
	turned := image.NewGray(image.Rect(0, 0, side, side))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	for y := range side {
		for x := range side {
			dx, dy := float64(x-side/2)/larger, float64(y-side/2)/larger
			from := image.Pt(b.Min.X+b.Dx()/2+int(math.Round(dx*cos+dy*sin)), b.Min.Y+b.Dy()/2+int(math.Round(dy*cos-dx*sin)))
			turned.SetGray(x, y, color.Gray{Y: 255})
			if from.In(b) {
				turned.Set(x, y, img.At(from.X, from.Y))
			}
		}
	}
	return turned
}

func TestPNGIsScannedAsWhatWasMeant(t *testing.T) {
	mint := minter(t, secretA)
	rapid.Check(t, func(rt *rapid.T) {
		n := drawn(rt, mint)
		m := mustEncode(t, URL(domain, n))
		file, err := m.PNG(rapid.IntRange(4, 12).Draw(rt, "scale"), Format(n))
		if err != nil {
			rt.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			rt.Fatal(err)
		}
		if got := scan(t, img); got != m.Content() {
			rt.Fatalf("got %s, want %s", got, m.Content())
		}
	})
}

func TestAnyPrintableTextReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.StringMatching(`[ -~]{1,300}`).Draw(t, "content")
		m, err := Encode(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.readBack(); err != nil {
			t.Fatalf("%q: %v", content, err)
		}
	})
}

func TestPNGHasOneBitPerPixel(t *testing.T) {
	file, err := mustEncode(t, URL(domain, "12345678971552")).PNG(8, "1234-5678-9715-52")
	if err != nil {
		t.Fatal(err)
	}
	const depthAt, typeAt = 24, 25 // in the header chunk of every PNG
	if file[depthAt] != 1 || file[typeAt] != 3 {
		t.Errorf("got depth %d, colour type %d, want 1 and 3 (palette)", file[depthAt], file[typeAt])
	}
}

func TestLabelIsDrawnUnderTheSymbol(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	bare, err := m.PNG(4, "")
	if err != nil {
		t.Fatal(err)
	}
	labelled, err := m.PNG(4, "1234-5678-9715-52")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := png.Decode(bytes.NewReader(bare))
	b, _ := png.Decode(bytes.NewReader(labelled))
	if a.Bounds().Dx() != 37*4 || a.Bounds().Dy() != 37*4 || b.Bounds().Dx() != 37*4 || b.Bounds().Dy() <= 37*4 {
		t.Fatalf("sizes: got %v and %v", a.Bounds(), b.Bounds())
	}
	dark := 0
	for y := 37 * 4; y < b.Bounds().Dy(); y++ {
		for x := range b.Bounds().Dx() {
			if color.GrayModel.Convert(b.At(x, y)).(color.Gray).Y == 0 {
				dark++
			}
		}
	}
	want := 0
	for _, c := range []byte("1234-5678-9715-52") {
		for _, row := range glyphs[c] {
			want += strings.Count(row, "#")
		}
	}
	if dark != want {
		t.Errorf("dots of the label: got %d, want %d", dark, want)
	}
}

func TestSVGIsWellFormedAndSaysTheNumber(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	svg, err := m.SVG("1234-5678-9715-52")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Path []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
		Text string `xml:"text"`
	}
	if err := xml.Unmarshal(svg, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Text != "1234-5678-9715-52" || len(doc.Path) != 2 {
		t.Errorf("got text %q and %d paths, want the number and 2", doc.Text, len(doc.Path))
	}
	if len(svg) > 6000 {
		t.Errorf("got %d bytes, want at most 6000", len(svg))
	}
}

func TestDamagedSymbolNeverLeaves(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	other := mustEncode(t, URL(domain, "12345678971553"))
	wiped := blank(m.content, m.size)
	swapped := other
	swapped.content = m.content
	for name, bad := range map[string]Matrix{"wiped": wiped, "another's modules": swapped, "zero": {}} {
		if _, err := bad.SVG(""); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: SVG: got %v, want ErrUnreadable", name, err)
		}
		if _, err := bad.PNG(4, ""); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: PNG: got %v, want ErrUnreadable", name, err)
		}
	}
}

func TestReadBackSeesADamagedFile(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	svg, err := m.SVG("")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty path":     append(svgRun.ReplaceAll(svg, nil), '\n'),
		"no path":        []byte("<svg/>"),
		"foreign piece":  bytes.Replace(svg, []byte(svgOpen), []byte(svgOpen+"L9 9"), 1),
		"run outside":    bytes.Replace(svg, []byte("M4 4h"), []byte("M4 99h"), 1),
		"run of no size": bytes.Replace(svg, []byte("v1h-7"), []byte("v1h-6"), 1),
	} {
		if err := m.readBackSVG(bad); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: got %v, want ErrUnreadable", name, err)
		}
	}
	file, err := m.PNG(4, "")
	if err != nil {
		t.Fatal(err)
	}
	decoded, _ := png.Decode(bytes.NewReader(file))
	for name, at := range map[string]image.Point{"inside": {50, 50}, "quiet zone": {1, 1}} {
		img := decoded.(*image.Paletted)
		before := img.ColorIndexAt(at.X, at.Y)
		img.SetColorIndex(at.X, at.Y, 1-before)
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		img.SetColorIndex(at.X, at.Y, before)
		if err := m.readBackPNG(b.Bytes(), 4); !errors.Is(err, ErrUnreadable) {
			t.Errorf("one pixel %s: got %v, want ErrUnreadable", name, err)
		}
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	for _, label := range []string{"<script>", "１", strings.Repeat("1", 21)} {
		if _, err := m.SVG(label); !errors.Is(err, ErrLabel) {
			t.Errorf("SVG label %q: got %v, want ErrLabel", label, err)
		}
		if _, err := m.PNG(8, label); !errors.Is(err, ErrLabel) {
			t.Errorf("PNG label %q: got %v, want ErrLabel", label, err)
		}
	}
	for _, scale := range []int{-1, 0, MaxScale + 1} {
		if _, err := m.PNG(scale, ""); !errors.Is(err, ErrScale) {
			t.Errorf("scale %d: got %v, want ErrScale", scale, err)
		}
	}
	if _, err := m.PNG(3, "1234-5678-9715-52"); !errors.Is(err, ErrScale) {
		t.Errorf("scale too small for the label: got %v, want ErrScale", err)
	}
	for _, content := range []string{"", "é", "a\nb", strings.Repeat("a", 1664), strings.Repeat("x", 1_000_000)} {
		if _, err := Encode(content); !errors.Is(err, ErrUnencodable) {
			t.Errorf("encode %d bytes: got %v, want ErrUnencodable", len(content), err)
		}
	}
}

func TestTerminalShowsTheSameModules(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	lines := strings.Split(strings.TrimSuffix(m.Terminal(), "\n"), "\n")
	if len(lines) != 19 {
		t.Fatalf("got %d lines, want 19", len(lines))
	}
	for row, line := range lines {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[38;5;16;48;5;231m"), "\x1b[0m")
		for column, r := range []rune(line) {
			x, y := column-QuietZone, 2*row-QuietZone
			upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
			if upper != m.At(x, y) || lower != m.At(x, y+1) {
				t.Fatalf("module %d,%d: got %q", x, y, r)
			}
		}
	}
}

// TestSecondReaderAgrees asks zbar too, a reader with other habits, where it is
// installed; the read-back by gozxing above does not depend on it.
func TestSecondReaderAgrees(t *testing.T) {
	m := mustEncode(t, URL(domain, "12345678971552"))
	file, err := m.PNG(8, "1234-5678-9715-52")
	if err != nil {
		t.Fatal(err)
	}
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Log("zbarimg is not installed: gozxing is the only reader")
		return
	}
	path := filepath.Join(t.TempDir(), "code.png")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(zbar, "--quiet", "--raw", path).Output()
	if err != nil || strings.TrimSpace(string(out)) != m.Content() {
		t.Errorf("got %q, %v, want %s", out, err, m.Content())
	}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustEncode(b, "https://q.example.cn/d/12345678971552")
	}
}

func BenchmarkSVG(b *testing.B) {
	m := mustEncode(b, "https://q.example.cn/d/12345678971552")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.SVG("1234-5678-9715-52"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPNG(b *testing.B) {
	m := mustEncode(b, "https://q.example.cn/d/12345678971552")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.PNG(8, "1234-5678-9715-52"); err != nil {
			b.Fatal(err)
		}
	}
}
