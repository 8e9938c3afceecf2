package localpg

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// ErrNoTool: a client program of Postgres, such as pg_dump, is not installed in a
// version that fits.
var ErrNoTool = errors.New("a program of Postgres is missing")

// Tool finds a client program of Postgres (pg_dump, pg_restore) for a server of a
// major version: of the same version where there is one, else of the oldest newer one.
// pg_dump refuses servers that are newer than itself, and what a much newer one writes
// an older server may not understand. Errors: ErrNoTool, with what to do.
func Tool(ctx context.Context, name string, major int) (path string, err error) {
	return tool(ctx, name, major, searchFolders())
}

func tool(ctx context.Context, name string, major int, folders []string) (string, error) {
	best, found := 0, ""
	for _, folder := range folders {
		if folder == "" || !filepath.IsAbs(folder) {
			continue // never run a program out of the working folder
		}
		// Debian's /usr/bin/pg_dump is a script that chooses a version by itself.
		path, err := filepath.EvalSymlinks(filepath.Join(folder, name))
		if err != nil || filepath.Base(path) != name {
			continue
		}
		if have, _, ok := askVersion(ctx, path); ok && have >= major && (best == 0 || have < best) {
			best, found = have, path
		}
	}
	if found == "" {
		return "", fmt.Errorf(`%w: %s of version %d or newer, for a server of version %d.
On Debian or Ubuntu, as root:
  apt-get install -y postgresql-client-%d
On macOS:
  brew install postgresql@%d`, ErrNoTool, name, major, major, major, major)
	}
	return found, nil
}
