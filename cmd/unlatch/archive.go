package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/store"
)

// A backup is one tar file: the dump, the keys unless they were left out, and last,
// because it states what the others are, the manifest. The dump is compressed already.
const (
	dumpName     = "database.dump" // pg_dump's custom format
	manifestName = "manifest.json"
	// archiveFormat is raised when an older program could not read a backup any more.
	archiveFormat = 1
	maxManifest   = 1 << 20
)

// manifest says what a backup is.
type manifest struct {
	Format  int         `json:"format"`
	Version string      `json:"version"` // of the program that made it
	Facts   store.Facts `json:"database"`
	Parts   []part      `json:"parts"`
}

type part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (m manifest) has(name string) bool {
	for _, p := range m.Parts {
		if p.Name == name {
			return true
		}
	}
	return false
}

// errNoBackup says that a file is no backup, or a broken one.
var errNoBackup = errors.New("not a whole backup")

// archiveWriter writes parts whose sizes are not known before they are written.
type archiveWriter struct {
	f     *os.File
	parts []part
}

const tarBlock = 512

// add streams one part: its header is written once its size is known.
func (a *archiveWriter) add(name string, at time.Time, write func(io.Writer) error) error {
	begin, err := a.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := a.f.Write(make([]byte, tarBlock)); err != nil {
		return err
	}
	sum := sha256.New()
	if err := write(io.MultiWriter(a.f, sum)); err != nil {
		return err
	}
	end, err := a.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	size := end - begin - tarBlock
	var header bytes.Buffer
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: size, ModTime: at.Truncate(time.Second), Format: tar.FormatGNU}
	if err := tar.NewWriter(&header).WriteHeader(&h); err != nil {
		return err
	}
	if header.Len() != tarBlock {
		return fmt.Errorf("tar header of %s has %d bytes", name, header.Len())
	}
	if _, err := a.f.WriteAt(header.Bytes(), begin); err != nil {
		return err
	}
	if _, err := a.f.Write(make([]byte, (tarBlock-size%tarBlock)%tarBlock)); err != nil {
		return err
	}
	a.parts = append(a.parts, part{name, size, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// finish adds the manifest and makes the file durable.
func (a *archiveWriter) finish(m manifest) error {
	m.Format, m.Version, m.Parts = archiveFormat, version, a.parts
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := a.add(manifestName, m.Facts.At, func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err }); err != nil {
		return err
	}
	_, err = a.f.Write(make([]byte, 2*tarBlock))
	return errors.Join(err, a.f.Sync())
}

// archive is a backup that was opened for reading.
type archive struct {
	manifest
	path    string
	f       *os.File
	offsets map[string]int64
}

// openArchive reads the manifest and where the parts lie; nothing is checked yet.
// Close it. errNoBackup.
func openArchive(path string) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a := &archive{path: path, f: f, offsets: map[string]int64{}}
	if err := a.read(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

func (a *archive) read() error {
	sizes := map[string]int64{}
	r := tar.NewReader(a.f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errNoBackup, err)
		}
		at, err := a.f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		a.offsets[h.Name], sizes[h.Name] = at, h.Size
		if h.Name != manifestName {
			continue
		}
		if h.Size > maxManifest {
			return fmt.Errorf("%w: its manifest is too large", errNoBackup)
		}
		if err := json.NewDecoder(r).Decode(&a.manifest); err != nil {
			return fmt.Errorf("%w: its manifest: %w", errNoBackup, err)
		}
	}
	switch {
	case a.Format == 0 || !a.has(dumpName):
		return fmt.Errorf("%w: it has no manifest that names a database", errNoBackup)
	case a.Format > archiveFormat:
		return fmt.Errorf("it was made by a newer unlatch (%s); restore with that one", a.Version)
	}
	for _, p := range a.Parts {
		if size, there := sizes[p.Name]; !there || size != p.Bytes {
			return fmt.Errorf("%w: %s is missing or has another size than the manifest says", errNoBackup, p.Name)
		}
	}
	return nil
}

func (a *archive) close() { _ = a.f.Close() }

// part reads one part from its beginning.
func (a *archive) part(name string) io.Reader {
	for _, p := range a.Parts {
		if p.Name == name {
			return io.NewSectionReader(a.f, a.offsets[name], p.Bytes)
		}
	}
	return bytes.NewReader(nil)
}

// verify reads every byte of every part, and the dump's table of contents.
func (a *archive) verify(ctx context.Context, read func(bytes int)) error {
	for _, p := range a.Parts {
		sum := sha256.New()
		if _, err := io.Copy(sum, metered{a.part(p.Name), read}); err != nil {
			return fmt.Errorf("%s: read %s: %w", a.path, p.Name, err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
			return fmt.Errorf("%s: %w: %s has sha256 %s, and the manifest says %s; take another backup", a.path, errNoBackup, p.Name, got, p.SHA256)
		}
	}
	if err := localpg.List(ctx, a.Facts.Server, a.part(dumpName)); err != nil {
		return fmt.Errorf("%s: %s cannot be read: %w", a.path, dumpName, err)
	}
	return nil
}

// keys reads the keys of a backup that has them.
func (a *archive) keys() (k keys, err error) {
	if err := json.NewDecoder(a.part(keyFile)).Decode(&k); err != nil || len(k.Signing) != 32 || len(k.Secret) != 32 {
		return k, fmt.Errorf("%s: %w: its %s is no key file", a.path, errNoBackup, keyFile)
	}
	return k, nil
}

// metered tells how many bytes were read.
type metered struct {
	io.Reader
	read func(int)
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.read(n)
	return n, err
}

// inPlace writes a file under another name first, lets check see it, and renames it:
// what bears the name is whole.
func inPlace(path string, write func(*os.File) error, check func(path string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(f.Chmod(0o600), write(f), f.Close()); err != nil {
		return err
	}
	if err := check(f.Name()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
