package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // photos may be of this kind
	"io"
	"mime"
	"mime/multipart"

	"golang.org/x/image/draw"
)

const (
	// photoMost is the largest photo taken, in bytes.
	photoMost = 5 << 20
	// photoPixels bounds what one photo may unfold to: 25 megapixels take 75 MB as a camera
	// writes them, and four times that in the most wasteful form.
	photoPixels = 25_000_000
	// photoScans is how many times a JPEG may go over its picture; cameras do once, and
	// those that sharpen while they load ten times. Each takes as long as the picture is
	// large and as few as 64 bytes.
	photoScans = 32
	// photoSide is the longer side of what is kept, in pixels.
	photoSide = 1600
)

// errPhoto: the file is none that can be kept; the wrapping text says why.
var errPhoto = errors.New("send one JPEG or PNG of at most 5 MiB as the file field photo of a multipart/form-data body")

// photoFrom reads the file field photo of a multipart/form-data body.
func photoFrom(contentType string, body []byte) ([]byte, error) {
	return fileFrom(contentType, body, "photo", photoMost)
}

// fileFrom reads a file field of at most so many bytes of a multipart/form-data body.
func fileFrom(contentType string, body []byte, field string, most int64) ([]byte, error) {
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" {
		return nil, errMediaType
	}
	form := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := form.NextPart()
		if err != nil {
			return nil, fmt.Errorf("no file field %s: %w", field, errPhoto)
		}
		if part.FormName() != field {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(part, most+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("the file is cut off: %w", errPhoto)
		case int64(len(b)) > most:
			return nil, errBodyTooLarge
		}
		return b, nil
	}
}

// plainPhoto turns a JPEG or PNG upright, makes its longer side 1600 pixels at most and
// writes it as JPEG with nothing but the picture: no place, no camera, no time.
func plainPhoto(file []byte) ([]byte, error) {
	shape, _, err := image.DecodeConfig(bytes.NewReader(file))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the file is no picture that can be read: %w", errPhoto)
	case shape.Width < 1 || shape.Height < 1 || shape.Width*shape.Height > photoPixels:
		return nil, fmt.Errorf("%d x %d pixels are too many: %w", shape.Width, shape.Height, errPhoto)
	}
	// Within a scan's data no other byte but 0 and the restart marks follow 0xFF.
	if scans := bytes.Count(file, []byte{0xFF, 0xDA}); bytes.HasPrefix(file, []byte{0xFF, 0xD8}) && scans > photoScans {
		return nil, fmt.Errorf("it is written in %d passes: %w", scans, errPhoto)
	}
	full, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("the picture is cut off or damaged: %w", errPhoto)
	}
	w, h := shape.Width, shape.Height
	if longer := max(w, h); longer > photoSide {
		w, h = max(w*photoSide/longer, 1), max(h*photoSide/longer, 1)
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(small, small.Bounds(), image.White, image.Point{}, draw.Src) // behind what is transparent
	draw.ApproxBiLinear.Scale(small, small.Bounds(), full, full.Bounds(), draw.Over, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, upright(small, orientationOf(file)), &jpeg.Options{Quality: 80}); err != nil {
		return nil, fmt.Errorf("write photo: %w", err)
	}
	return out.Bytes(), nil
}

// upright turns a picture as its orientation (1 to 8, Exif tag 0x0112) says.
func upright(p *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return p
	}
	w, h := p.Rect.Dx(), p.Rect.Dy()
	turned := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		turned = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			var tx, ty int
			switch orientation {
			case 2:
				tx, ty = w-1-x, y
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				tx, ty = x, h-1-y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			copy(turned.Pix[turned.PixOffset(tx, ty):][:4], p.Pix[p.PixOffset(x, y):][:4])
		}
	}
	return turned
}

// orientationOf finds how a JPEG's camera was held, 1 where it does not say.
//
// Source: Exif 2.32 (CIPA DC-008), sections 4.5.4 and 4.6.2.
func orientationOf(file []byte) int {
	const upright = 1
	if len(file) < 4 || file[0] != 0xFF || file[1] != 0xD8 {
		return upright
	}
	for b := file[2:]; len(b) >= 4 && b[0] == 0xFF && b[1] != 0xDA; { // until the scan begins
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 2 || len(b) < 2+n {
			return upright
		}
		if segment, is := bytes.CutPrefix(b[4:2+n], []byte("Exif\x00\x00")); b[1] == 0xE1 && is {
			return orientationIn(segment)
		}
		b = b[2+n:]
	}
	return upright
}

// orientationIn reads the tag from a TIFF header and its first directory.
func orientationIn(tiff []byte) int {
	const upright = 1
	if len(tiff) < 8 {
		return upright
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return upright
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return upright
		}
		if order.Uint16(entries) == 0x0112 {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			return upright
		}
		entries = entries[12:]
	}
	return upright
}
