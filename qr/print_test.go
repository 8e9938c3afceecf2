package qr

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"image"
	"image/png"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tool finds a program that the set-up installs. Where nobody could install it the
// test is skipped, but never where CI=true.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing; run ./deploy/setup.sh", name)
		}
		t.Skipf("%s is missing; run ./deploy/setup.sh as root, or install poppler and zbar", name)
	}
	return path
}

func testFonts(t testing.TB) *Fonts {
	t.Helper()
	fonts, err := LoadFonts("")
	if err != nil {
		t.Fatal(err)
	}
	return fonts
}

// chinese is testFonts, and demands one for Chinese text.
func chinese(t testing.TB) *Fonts {
	t.Helper()
	fonts := testFonts(t)
	if fonts.extra == nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no font for Chinese text; run ./deploy/setup.sh")
		}
		t.Skipf("no font for Chinese text; run ./deploy/setup.sh as root, or install Debian's %s", FontPackage)
	}
	return fonts
}

func printer(t testing.TB, c PrinterConfig) *Printer {
	t.Helper()
	if c.Fonts == nil {
		c.Fonts = testFonts(t)
	}
	p, err := NewPrinter(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sheet(t testing.TB, name string) Sheet {
	t.Helper()
	s, err := SheetNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// batch is n labels with fresh numbers.
func batch(t testing.TB, n int, venue, caption string) []Label {
	t.Helper()
	mint := minter(t, secretA)
	all := make([]Label, n)
	for i := range all {
		number, err := mint.Mint(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = Label{Number: number, URL: URL(domain, number), Venue: venue, Caption: caption, Index: i + 1, Batch: "b"}
	}
	return all
}

func sequence(labels []Label) iter.Seq2[Label, error] {
	return func(yield func(Label, error) bool) {
		for _, l := range labels {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func urls(labels []Label) []string {
	var all []string
	for _, l := range labels {
		all = append(all, l.URL)
	}
	slices.Sort(all)
	return all
}

// pdf writes labels into a file of the test.
func pdf(t testing.TB, p *Printer, labels []Label) string {
	t.Helper()
	var b bytes.Buffer
	n, err := p.PDF(t.Context(), &b, sequence(labels))
	if err != nil || n != len(labels) {
		t.Fatalf("PDF: %d labels, %v; want %d", n, err, len(labels))
	}
	path := filepath.Join(t.TempDir(), "labels.pdf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pages are the pages of a PDF as a printer of that resolution sees them.
func pages(t testing.TB, path string, dpi int) (all []*image.Gray) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "page")
	if text, err := exec.Command(tool(t, "pdftoppm"), "-r", fmt.Sprint(dpi), "-gray", path, out).CombinedOutput(); err != nil {
		t.Fatalf("pdftoppm: %v: %s", err, text)
	}
	found, err := filepath.Glob(out + "*.pgm")
	if err != nil || len(found) == 0 {
		t.Fatalf("pages: %v, %v", found, err)
	}
	for _, name := range found {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var w, h, most int
		if _, err := fmt.Sscanf(string(b[:min(len(b), 40)]), "P5\n%d %d\n%d\n", &w, &h, &most); err != nil || most != 255 || len(b) < w*h {
			t.Fatalf("%s: %d x %d, %v", name, w, h, err)
		}
		all = append(all, &image.Gray{Pix: b[len(b)-w*h:], Stride: w, Rect: image.Rect(0, 0, w, h)})
	}
	return all
}

// zbar reads every symbol of some pictures with a reader that is not ours.
func zbar(t testing.TB, pictures ...string) []string {
	t.Helper()
	var found []string
	for some := range slices.Chunk(pictures, 100) {
		args := append([]string{"-q", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable"}, some...)
		out, _ := exec.Command(tool(t, "zbarimg"), args...).Output() // its exit code tells that some picture had none
		found = append(found, strings.Fields(string(out))...)
	}
	slices.Sort(found)
	return found
}

// TestEveryLabelOfAPrintedSheetIsRead prints sheets of every template, renders them
// at 300 dpi with poppler and reads them with zbar.
func TestEveryLabelOfAPrintedSheetIsRead(t *testing.T) {
	unraced(t)
	for _, s := range Sheets() {
		t.Run(s.Name, func(t *testing.T) {
			n := 2*s.PerPage() + 1
			switch {
			case s.Name == "a4-3x8" && !testing.Short():
				n = 500
			case s.PerPage() == 1:
				n = 4
			}
			labels := batch(t, n, "Willow Campus 柳园", "微信扫码用车\nScan with WeChat to ride")
			path := pdf(t, printer(t, PrinterConfig{Sheet: s, Fonts: chinese(t)}), labels)
			rendered := pages(t, path, 300)
			if want := (n + s.PerPage() - 1) / s.PerPage(); len(rendered) != want {
				t.Errorf("%d pages, want %d", len(rendered), want)
			}
			dir := t.TempDir()
			var single []string
			for i, page := range rendered {
				for place := range min(s.PerPage(), n-i*s.PerPage()) {
					single = append(single, save(t, dir, fmt.Sprintf("%04d", len(single)), cutLabel(page, s, place, 300)))
				}
			}
			if got, want := zbar(t, single...), urls(labels); !slices.Equal(got, want) {
				t.Errorf("read %d labels of %d", len(got), len(want))
			}
			text, err := exec.Command(tool(t, "pdftotext"), path, "-").Output()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "柳") || !strings.Contains(string(text), "微信扫码用车") {
				t.Errorf("the Chinese text cannot be found in the PDF: %.200s", text)
			}
		})
	}
}

// cutLabel copies one label of a page: a camera is held before one.
func cutLabel(page *image.Gray, s Sheet, place, dpi int) *image.Gray {
	per := float64(dpi) / millimetresPerInch
	x, y := s.At(place)
	r := image.Rect(int(x*per), int(y*per), int((x+s.LabelWidth)*per), int((y+s.LabelHeight)*per))
	cut := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for dy := range r.Dy() {
		copy(cut.Pix[dy*cut.Stride:(dy+1)*cut.Stride], page.Pix[(r.Min.Y+dy)*page.Stride+r.Min.X:])
	}
	return cut
}

func save(t testing.TB, dir, name string, img image.Image) string {
	t.Helper()
	path := filepath.Join(dir, name+".png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, img); err != nil {
		t.Fatal(err)
	}
	return path
}
