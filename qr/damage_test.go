package qr

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// damage spoils a share of a printed symbol. The picture is of one label; the
// symbol's upper left module begins at corner, and a module is side dots.
type damage struct {
	name  string
	spoil func(r *rand.Rand, img *image.Gray, corner image.Point, side int, share float64)
}

const damagedModules = 29 // a side: the symbols are of version 3

var damages = []damage{
	// So many of the symbol's 70 codewords, all eight modules of each inverted: what
	// level Q is made for, and the hardest that can be done to a codeword.
	{"codewords", func(r *rand.Rand, img *image.Gray, corner image.Point, side int, share float64) {
		words := codewordModules()
		for _, i := range r.Perm(len(words))[:int(math.Round(share*float64(len(words))))] {
			for _, m := range words[i] {
				at := corner.Add(m.Mul(side))
				dark := img.GrayAt(at.X+side/2, at.Y+side/2).Y < 128
				paint(img, image.Rectangle{at, at.Add(image.Pt(side, side))}, !dark)
			}
		}
	}},
	// Round blots three modules wide, each all black or all white, anywhere on the
	// symbol, finder patterns included, until they cover the share of its area.
	{"blots", func(r *rand.Rand, img *image.Gray, corner image.Point, side int, share float64) {
		cover(r, img, corner, side, share, func(hit func(x, y int, dark bool)) {
			x, y, dark := r.IntN(damagedModules*side), r.IntN(damagedModules*side), r.IntN(2) == 0
			radius := 3 * side / 2
			for dy := -radius; dy <= radius; dy++ {
				for dx := -radius; dx <= radius; dx++ {
					if dx*dx+dy*dy <= radius*radius {
						hit(x+dx, y+dy, dark)
					}
				}
			}
		})
	}},
	// White scratches right across, two thirds of a module wide, at any angle.
	{"scratches", func(r *rand.Rand, img *image.Gray, corner image.Point, side int, share float64) {
		cover(r, img, corner, side, share, func(hit func(x, y int, dark bool)) {
			whole := damagedModules * side
			x, y := r.Float64()*float64(whole), r.Float64()*float64(whole)
			angle := r.Float64() * math.Pi
			nx, ny := math.Sin(angle), -math.Cos(angle)
			for py := range whole {
				for px := range whole {
					if math.Abs((float64(px)-x)*nx+(float64(py)-y)*ny) < float64(side)/3 {
						hit(px, py, false)
					}
				}
			}
		})
	}},
	// Specks of one dot, each black or white, all over the label: a worn print head, dust.
	{"specks", func(r *rand.Rand, img *image.Gray, _ image.Point, _ int, share float64) {
		for i := range img.Pix {
			if r.Float64() < share {
				img.Pix[i] = ink(r.IntN(2) == 0).Y
			}
		}
	}},
	// A corner torn off to white: the lower right, which has no finder pattern.
	{"torn corner", func(_ *rand.Rand, img *image.Gray, corner image.Point, side int, share float64) {
		whole := float64(damagedModules * side)
		torn := int(math.Round(whole * math.Sqrt(share)))
		end := corner.Add(image.Pt(int(whole), int(whole)))
		paint(img, image.Rectangle{end.Sub(image.Pt(torn, torn)), end}, false)
	}},
}

func paint(img *image.Gray, r image.Rectangle, dark bool) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.SetGray(x, y, ink(dark))
		}
	}
}

func ink(dark bool) color.Gray {
	if dark {
		return color.Gray{}
	}
	return color.Gray{Y: 255}
}

// cover repeats a stroke until the dots that it hit are the share of the symbol's
// area, to the dot.
func cover(r *rand.Rand, img *image.Gray, corner image.Point, side int, share float64, stroke func(hit func(x, y int, dark bool))) {
	whole := damagedModules * side
	spoiled := make([]bool, whole*whole)
	left := int(share * float64(len(spoiled)))
	for left > 0 {
		stroke(func(x, y int, dark bool) {
			if left == 0 || x < 0 || y < 0 || x >= whole || y >= whole || spoiled[y*whole+x] {
				return
			}
			spoiled[y*whole+x] = true
			left--
			img.SetGray(corner.X+x, corner.Y+y, ink(dark))
		})
	}
}

// codewordModules are the modules of a version 3 symbol's 70 codewords, by the
// placement of ISO/IEC 18004: two columns at a time from the right, up and down in
// turn, around what is not data.
func codewordModules() [][]image.Point {
	const n = damagedModules
	data := func(x, y int) bool {
		switch {
		case x < 9 && y < 9, x >= n-8 && y < 9, x < 9 && y >= n-8: // finders, format
		case x == 6 || y == 6: // timing
		case x >= 20 && x <= 24 && y >= 20 && y <= 24: // alignment
		default:
			return true
		}
		return false
	}
	var all []image.Point
	up := true
	for right := n - 1; right > 0; right -= 2 {
		if right == 6 {
			right--
		}
		for i := range n {
			y := i
			if up {
				y = n - 1 - i
			}
			for x := right; x > right-2; x-- {
				if data(x, y) {
					all = append(all, image.Pt(x, y))
				}
			}
		}
		up = !up
	}
	return slices.Collect(slices.Chunk(all[:70*8], 8))
}

// seenFromAfar is a picture at a third of its size: what a phone's preview has of a
// label at reading distance, three to four pixels a module.
func seenFromAfar(img *image.Gray) *image.Gray {
	const by = 3
	small := image.NewGray(image.Rect(0, 0, img.Rect.Dx()/by, img.Rect.Dy()/by))
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			sum := 0
			for dy := range by {
				for dx := range by {
					sum += int(img.Pix[(by*y+dy)*img.Stride+by*x+dx])
				}
			}
			small.Pix[y*small.Stride+x] = byte(sum / (by * by))
		}
	}
	return small
}

// TestDamagedLabelsAreStillRead prints 500 labels as A4 sheets, renders them at 300
// dpi, spoils each symbol and lets zbar look at each label once, at 100 dots per inch. The rates are in
// docs/stickers.md; UNLATCH_STICKERS=all measures those too that say little to a
// test. A phone looks many times a second, each time a little
// differently, and so reads more than this.
func TestDamagedLabelsAreStillRead(t *testing.T) {
	unraced(t)
	const dpi = 300
	count := 500
	if testing.Short() {
		count = 100
	}
	s := sheet(t, "a4-3x8")
	p := printer(t, PrinterConfig{Sheet: s, DPI: dpi})
	labels := batch(t, count, "Willow Campus", "Scan with WeChat to ride")
	made, err := layout(s, dpi, p.Fonts, mustEncode(t, labels[0].URL), labels[0])
	if err != nil {
		t.Fatal(err)
	}
	if made.matrix.Size() != damagedModules || len(codewordModules()) != 70 {
		t.Fatalf("symbols of %d modules, %d codewords", made.matrix.Size(), len(codewordModules()))
	}
	var clean []*image.Gray
	for i, page := range pages(t, pdf(t, p, labels), dpi) {
		for place := range min(s.PerPage(), count-i*s.PerPage()) {
			clean = append(clean, cutLabel(page, s, place, dpi))
		}
	}
	per := float64(dpi) / millimetresPerInch
	for _, d := range damages {
		for _, level := range []struct {
			share float64
			floor float64 // of labels read, well below what was measured
		}{{0.05, floors[d.name][0]}, {0.10, floors[d.name][1]}, {0.15, floors[d.name][2]}, {0.20, floors[d.name][3]}, {0.25, floors[d.name][4]}} {
			if (level.floor == 0 || level.floor > 0.975) && os.Getenv("UNLATCH_STICKERS") != "all" {
				continue // hardly any is read, or all of them: a larger share says more
			}
			r := rand.New(rand.NewPCG(1, uint64(level.share*100))) // the same damage every time; the numbers differ
			dir := t.TempDir()
			var files []string
			for i, label := range clean {
				img := image.NewGray(label.Rect)
				copy(img.Pix, label.Pix)
				x, y := s.At(i % s.PerPage())
				// Of the dots of the page; the picture begins at the label's corner.
				corner := image.Pt(int(math.Round((x+made.symbol.x)*per))-int(x*per), int(math.Round((y+made.symbol.y)*per))-int(y*per)).
					Add(image.Pt(QuietZone*made.dots, QuietZone*made.dots))
				d.spoil(r, img, corner, made.dots, level.share)
				files = append(files, save(t, dir, fmt.Sprintf("%04d", i), seenFromAfar(img)))
			}
			got := zbar(t, files...)
			want := urls(labels)
			for _, url := range got {
				if _, ours := slices.BinarySearch(want, url); !ours {
					t.Errorf("%s, %.0f %%: read as something else", d.name, 100*level.share)
				}
			}
			rate := float64(len(got)) / float64(count)
			t.Logf("%-12s %2.0f %%: %5.1f %% of %d labels read", d.name, 100*level.share, 100*rate, count)
			if rate < level.floor {
				t.Errorf("%s, %.0f %%: %.1f %% read, want at least %.0f %%", d.name, 100*level.share, 100*rate, 100*level.floor)
			}
		}
	}
}

// floors are by kind of damage and share.
var floors = map[string][5]float64{
	"codewords":   {0.99, 0.99, 0.95, 0.70, 0.08},
	"blots":       {0.55, 0.10, 0, 0, 0},
	"scratches":   {0.45, 0, 0, 0, 0},
	"specks":      {0.98, 0.96, 0.80, 0.40, 0.08},
	"torn corner": {0.98, 0.98, 0.97, 0, 0},
}
