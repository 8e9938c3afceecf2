package qr

import (
	"errors"
	"fmt"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/skip2/go-qrcode"
)

var (
	// ErrUnencodable: the content is empty, too long or refused by the encoder.
	ErrUnencodable = errors.New("content cannot be encoded")
	// ErrUnreadable: the drawn modules do not say what was meant. It is our bug,
	// or the memory's; the symbol must not be printed.
	ErrUnreadable = errors.New("symbol does not read back")
)

const (
	// batchVersion is the symbol version of printed codes: 29 modules a side. At
	// level Q it takes addresses of a domain of at most 13 characters, which may
	// be fewer when there are digits among them.
	batchVersion = 3
	// QuietZone is the white border that the standard wants, in modules.
	QuietZone = 4
	// maxContent is the most bytes that the largest symbol of level Q takes.
	maxContent = 1663
)

// Matrix is a symbol's modules, without quiet zone, and the text that they say.
// It is immutable and small: 106 bytes of modules for a printed code.
type Matrix struct {
	content string
	size    int    // modules a side
	bits    []byte // row by row without padding, most significant bit first
}

// Content is the text that the symbol says.
func (m Matrix) Content() string { return m.content }

// Size is the number of modules a side, without the quiet zone.
func (m Matrix) Size() int { return m.size }

// Version is the symbol's version, 1 to 40; 0 for the zero Matrix.
func (m Matrix) Version() int { return max(0, (m.size-17)/4) }

// At reports whether a module is dark. All outside is light.
func (m Matrix) At(x, y int) bool {
	if x < 0 || y < 0 || x >= m.size || y >= m.size {
		return false
	}
	i := y*m.size + x
	return m.bits[i/8]&(0x80>>(i%8)) != 0
}

func (m Matrix) set(x, y int) {
	i := y*m.size + x
	m.bits[i/8] |= 0x80 >> (i % 8)
}

func blank(content string, size int) Matrix {
	return Matrix{content: content, size: size, bits: make([]byte, (size*size+7)/8)}
}

// Encode turns printable ASCII into a symbol of level Q: of version 3 when that
// holds it, else of the smallest version that does. Its only error is
// ErrUnencodable.
//
// Numbers are digits because this encoder then opens a numeric segment by itself,
// of equal length for all of them. Letters mixed with digits would be folded into
// bytes here and there, and some stickers of a sheet would need a larger symbol.
func Encode(content string) (m Matrix, err error) {
	if content == "" || len(content) > maxContent {
		return Matrix{}, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrUnencodable, len(content), maxContent)
	}
	for i := range len(content) {
		if content[i] < ' ' || content[i] > '~' {
			return Matrix{}, fmt.Errorf("%w: byte %d is not printable ASCII", ErrUnencodable, i)
		}
	}
	// The library answers faults of its own with a panic.
	defer func() {
		if fault := recover(); fault != nil {
			m, err = Matrix{}, fmt.Errorf("%w: encoder: %v", ErrUnencodable, fault)
		}
	}()
	code, err := qrcode.NewWithForcedVersion(content, batchVersion, qrcode.High)
	if err != nil {
		code, err = qrcode.New(content, qrcode.High)
	}
	if err != nil {
		return Matrix{}, fmt.Errorf("%w: %w", ErrUnencodable, err)
	}
	code.DisableBorder = true // has no effect after the first Bitmap
	rows := code.Bitmap()
	m = blank(content, len(rows))
	for y, row := range rows {
		for x, dark := range row {
			if dark {
				m.set(x, y)
			}
		}
	}
	return m, nil
}

// readBack decodes the modules and compares with the content. The decoder shares
// no code with the encoder.
func (m Matrix) readBack() (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: decoder: %v", ErrUnreadable, fault)
		}
	}()
	if m.size == 0 {
		return fmt.Errorf("%w: empty matrix", ErrUnreadable)
	}
	rows := make([][]bool, m.size)
	for y := range rows {
		rows[y] = make([]bool, m.size)
		for x := range rows[y] {
			rows[y][x] = m.At(x, y)
		}
	}
	result, err := decoder.NewDecoder().DecodeBoolMapWithoutHint(rows)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if result.GetText() != m.content {
		return fmt.Errorf("%w: it says something else", ErrUnreadable)
	}
	return nil
}
