package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unlatch/unlatch/qr"
)

// labelFlags say how labels are drawn and where they go.
type labelFlags struct {
	Sheet   string  `placeholder:"TEMPLATE" help:"Draw labels on this template; unlatch codes sheets lists them."`
	Format  string  `enum:",pdf,zpl,svg,png,csv" default:"" help:"pdf for sheets, zpl for a label printer, svg or png for one picture each, csv for a print shop's list. Unless given: pdf with --sheet, else svg."`
	Font    string  `type:"path" env:"UNLATCH_LABEL_FONT" placeholder:"FILE" help:"A .ttf for text beyond Latin letters. Unless given, looked for where systems keep them."`
	Start   int     `default:"1" help:"The label of the first sheet to begin on."`
	OffsetX float64 `name:"offset-x" placeholder:"MM" help:"Move everything right by so many millimetres; see unlatch codes ruler."`
	OffsetY float64 `name:"offset-y" placeholder:"MM" help:"Move everything down by so many millimetres."`
	DPI     int     `name:"dpi" default:"300" help:"Dots per inch of the printer, such as 203, 300 or 600: modules are whole dots."`
	Part    int     `default:"2000" help:"Most labels in one file of pdf or zpl; memory grows with it."`
	Out     string  `default:"." type:"path" help:"Folder for the files; it may not exist yet."`
}

// format is the one that was asked for or that fits.
func (f labelFlags) format() string {
	switch {
	case f.Format != "":
		return f.Format
	case f.Sheet != "":
		return "pdf"
	}
	return "svg"
}

// printer checks the flags. It is nil for a list, which draws nothing.
func (f labelFlags) printer() (*qr.Printer, error) {
	switch strings.ToLower(filepath.Ext(f.Out)) {
	case ".pdf", ".zpl", ".csv", ".svg", ".png", ".zip":
		return nil, fmt.Errorf("--out %s: this is a folder, in which the files get names of their own; give such as %s", f.Out, filepath.Dir(f.Out))
	}
	if f.format() == "csv" {
		return nil, nil
	}
	if f.Part < 0 || f.Part > 20_000 {
		return nil, errors.New("--part: give 1 to 20000")
	}
	if f.Sheet == "" {
		var names []string
		for _, s := range qr.Sheets() {
			names = append(names, s.Name)
		}
		return nil, fmt.Errorf("say which labels with --sheet: %s", strings.Join(names, ", "))
	}
	sheet, err := qr.SheetNamed(f.Sheet)
	if err != nil {
		return nil, err
	}
	fonts, err := qr.LoadFonts(f.Font)
	if err != nil {
		return nil, fmt.Errorf("--font: %w", err)
	}
	return qr.NewPrinter(qr.PrinterConfig{Sheet: sheet, DPI: f.DPI, Fonts: fonts, Start: f.Start, OffsetX: f.OffsetX, OffsetY: f.OffsetY})
}

// write draws labels into files that begin with name and says which. All of them or
// none appear under their names.
func (f labelFlags) write(ctx context.Context, out io.Writer, p *qr.Printer, name string, count int, labels iter.Seq2[qr.Label, error]) error {
	bar := progress(count, "drawing labels")
	defer func() { _ = bar.Finish() }()
	counted := func(yield func(qr.Label, error) bool) {
		for l, err := range labels {
			_ = bar.Add(1)
			if !yield(l, err) {
				return
			}
		}
	}
	return delivered(f.Out, out, func(dir string) error {
		switch format := f.format(); format {
		case "csv":
			return toFile(filepath.Join(dir, name+".csv"), func(w io.Writer) error {
				_, err := qr.List(w, counted)
				return err
			})
		case "svg", "png":
			folder := filepath.Join(dir, name)
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			_, err := p.Pictures(ctx, format, counted, func(l qr.Label, picture []byte) error {
				return os.WriteFile(filepath.Join(folder, string(l.Number)+"."+format), picture, 0o644)
			})
			return err
		case "zpl":
			return f.parts(dir, name+".zpl", p, counted, func(w io.Writer, some iter.Seq2[qr.Label, error]) error {
				_, err := p.ZPL(ctx, w, some)
				return err
			})
		default:
			return f.parts(dir, name+".pdf", p, counted, func(w io.Writer, some iter.Seq2[qr.Label, error]) error {
				_, err := p.PDF(ctx, w, some)
				return err
			})
		}
	})
}

// parts cuts labels into files of whole sheets. One file alone has the plain name.
func (f labelFlags) parts(dir, name string, p *qr.Printer, labels iter.Seq2[qr.Label, error], draw func(io.Writer, iter.Seq2[qr.Label, error]) error) error {
	next, stop := iter.Pull2(labels)
	defer stop()
	l, err, more := next()
	if !more {
		return errors.New("there is no code to print; those of the batch are revoked")
	}
	ext := filepath.Ext(name)
	base := strings.TrimSuffix(name, ext)
	perPage := p.Sheet.PerPage()
	room := max(f.Part/perPage, 1)*perPage - (max(f.Start, 1) - 1) // the first sheet is partly used up
	for part := 1; more; part++ {
		path := filepath.Join(dir, fmt.Sprintf("%s-part-%04d%s", base, part, ext))
		some := func(yield func(qr.Label, error) bool) {
			for ; more && room > 0; room-- {
				if !yield(l, err) || err != nil {
					return
				}
				l, err, more = next()
			}
		}
		if err := toFile(path, func(w io.Writer) error { return draw(w, some) }); err != nil {
			return err
		}
		if part == 1 && !more {
			return os.Rename(path, filepath.Join(dir, name))
		}
		room = max(f.Part/perPage, 1) * perPage
	}
	return nil
}

// toFile writes one file through a buffer.
func toFile(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(file, 256<<10)
	if err = write(b); err == nil {
		err = b.Flush()
	}
	return errors.Join(err, file.Close())
}

// delivered lets write fill a folder of its own inside of dir, and moves what is in
// it to dir when all is well. When it is not, nothing stays.
func delivered(dir string, out io.Writer, write func(folder string) error) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(dir, ".unlatch-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := write(folder); err != nil {
		return err
	}
	var files []string
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		files = append(files, name)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(folder, name), to); err != nil {
			return err
		}
	}
	const shown = 5
	for _, name := range files[:min(len(files), shown)] {
		fmt.Fprintln(out, filepath.Join(dir, name))
	}
	if len(files) > shown {
		fmt.Fprintf(out, "and %d files more, to %s\n", len(files)-shown, filepath.Join(dir, slices.Max(files)))
	}
	return nil
}
