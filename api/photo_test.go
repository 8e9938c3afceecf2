package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"mime/multipart"
	"testing"
)

// halves is a picture whose left half is red and whose right half is blue.
func halves(w, h int) *image.RGBA {
	p := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{R: 255, A: 255}
			if x >= w/2 {
				c = color.RGBA{B: 255, A: 255}
			}
			p.SetRGBA(x, y, c)
		}
	}
	return p
}

// jpegWith is a JPEG with an Exif segment: an orientation, and a place.
func jpegWith(t *testing.T, p image.Image, order binary.AppendByteOrder, mark string, orientation uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, nil); err != nil {
		t.Fatal(err)
	}
	tiff := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
	tiff = order.AppendUint16(tiff, 2) // two entries
	tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, 0x010F), 2), 4)
	tiff = append(tiff, "cam\x00"...)
	tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, 0x0112), 3), 1)
	tiff = order.AppendUint16(order.AppendUint16(tiff, orientation), 0)
	tiff = append(tiff, "31.2304 N, 121.4737 E"...)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	app1 := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(2+len(segment)))
	return append(append(append([]byte{0xFF, 0xD8}, app1...), segment...), b.Bytes()[2:]...)
}

// TestAPhotoIsKeptUprightAndWithoutItsPlace: of what a camera writes nothing is left but
// how it was held, and that is in the picture.
func TestAPhotoIsKeptUprightAndWithoutItsPlace(t *testing.T) {
	red := func(p image.Image, x, y int) bool { r, _, b, _ := p.At(x, y).RGBA(); return r > b }
	// Where the red half of a 400 x 200 picture lies once it is upright.
	for orientation, want := range map[uint16]struct {
		w, h int
		x, y int // a red point
	}{1: {400, 200, 50, 100}, 2: {400, 200, 350, 100}, 3: {400, 200, 350, 100}, 4: {400, 200, 50, 100},
		5: {200, 400, 100, 50}, 6: {200, 400, 100, 50}, 7: {200, 400, 100, 350}, 8: {200, 400, 100, 350}, 99: {400, 200, 50, 100}} {
		for _, order := range []struct {
			binary.AppendByteOrder
			mark string
		}{{binary.LittleEndian, "II"}, {binary.BigEndian, "MM"}} {
			kept, err := plainPhoto(jpegWith(t, halves(400, 200), order, order.mark, orientation))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(kept, []byte("Exif")) || bytes.Contains(kept, []byte("121.4737")) || bytes.Contains(kept, []byte("cam")) {
				t.Errorf("orientation %d: what the camera wrote is still there", orientation)
			}
			p, _, err := image.Decode(bytes.NewReader(kept))
			if err != nil {
				t.Fatal(err)
			}
			if p.Bounds().Dx() != want.w || p.Bounds().Dy() != want.h || !red(p, want.x, want.y) || red(p, want.w-want.x, want.h-want.y) {
				t.Errorf("orientation %d (%s): %v, red at (%d, %d): %v", orientation, order.mark, p.Bounds(), want.x, want.y, red(p, want.x, want.y))
			}
		}
	}
}

func TestPhotosAreBoundedInSize(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 2400, 2400)) // nothing is harder to write
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.Uint32())
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, noise, &jpeg.Options{Quality: 60}); err != nil {
		t.Fatal(err)
	}
	kept, err := plainPhoto(b.Bytes())
	if err != nil || len(kept) > 2<<20 {
		t.Errorf("%d bytes are kept, %v; the table takes 2 MiB", len(kept), err)
	}
	shape, err := jpeg.DecodeConfig(bytes.NewReader(kept))
	if err != nil || shape.Width != photoSide || shape.Height != photoSide {
		t.Errorf("kept %d x %d, %v", shape.Width, shape.Height, err)
	}
	b.Reset()
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 3, 4000))); err != nil {
		t.Fatal(err)
	}
	if kept, err = plainPhoto(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if p, err := jpeg.Decode(bytes.NewReader(kept)); err != nil || p.Bounds().Dy() != photoSide || p.Bounds().Dx() != 1 {
		t.Errorf("a thin PNG: %v, %v", p.Bounds(), err)
	} else if r, _, _, _ := p.At(0, 100).RGBA(); r < 0xf000 {
		t.Errorf("what was transparent is %x, want white", r)
	}
}

func TestWhatIsNoPhotoIsRefusedInWords(t *testing.T) {
	wide := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00")
	wide = binary.BigEndian.AppendUint32(wide, 0xbcb22768) // not the sum: a header is read before
	var whole bytes.Buffer
	if err := jpeg.Encode(&whole, halves(50, 50), nil); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "a bomb": wide, "cut off": whole.Bytes()[:whole.Len()/2]} {
		if _, err := plainPhoto(file); !errors.Is(err, errPhoto) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each pass over the picture takes as long as it is large, and a few bytes.
	many := append(bytes.Clone(whole.Bytes()), bytes.Repeat([]byte{0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 63, 0}, photoScans)...)
	if _, err := plainPhoto(many); !errors.Is(err, errPhoto) {
		t.Errorf("a photo of %d passes: %v", photoScans+1, err)
	}
	form := func(field string, file []byte) (string, []byte) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, _ := w.CreateFormFile(field, "p.jpg")
		_, _ = part.Write(file)
		_ = w.Close()
		return w.FormDataContentType(), b.Bytes()
	}
	if kind, body := form("photo", whole.Bytes()); true {
		if got, err := photoFrom(kind, body); err != nil || !bytes.Equal(got, whole.Bytes()) {
			t.Errorf("a good form: %d bytes, %v", len(got), err)
		}
		if _, err := photoFrom("application/json", body); !errors.Is(err, errMediaType) {
			t.Errorf("another kind of body: %v", err)
		}
		if _, err := photoFrom(kind, body[:len(body)-40]); !errors.Is(err, errPhoto) {
			t.Errorf("a body that is cut off: %v", err)
		}
	}
	if kind, body := form("picture", whole.Bytes()); true {
		if _, err := photoFrom(kind, body); !errors.Is(err, errPhoto) {
			t.Errorf("another field: %v", err)
		}
	}
	if kind, body := form("photo", make([]byte, photoMost+1)); true {
		if _, err := photoFrom(kind, body); !errors.Is(err, errBodyTooLarge) {
			t.Errorf("too large a file: %v", err)
		}
	}
}

// FuzzOrientation: whatever stands in a file, the answer is one of the eight.
func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x20Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if o := orientationOf(file); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}
