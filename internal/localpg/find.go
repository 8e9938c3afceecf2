package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first major version whose features the schema may use.
const oldest = 15

// installation is one Postgres on this machine.
type installation struct {
	bin     string // folder with initdb and postgres, symlinks resolved
	major   int
	version string // "15.8"
}

// searchFolders lists where servers are looked for, best first: the PATH, then
// Debian's folders (newest first), then hand-made and Homebrew installations.
func searchFolders() []string {
	folders := filepath.SplitList(os.Getenv("PATH"))
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return folderVersion(b) - folderVersion(a) })
	folders = append(folders, debian...)
	folders = append(folders, "/usr/local/bin", "/usr/local/pgsql/bin")
	for _, cellar := range []string{"/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"} {
		brewed, _ := filepath.Glob(filepath.Join(cellar, "postgresql@*", "bin"))
		slices.SortFunc(brewed, func(a, b string) int { return folderVersion(b) - folderVersion(a) })
		folders = append(folders, brewed...)
		folders = append(folders, filepath.Join(cellar, "postgresql", "bin"))
	}
	return folders
}

// folderVersion reads 17 out of .../17/bin and .../postgresql@17/bin, else 0.
func folderVersion(bin string) int {
	name := filepath.Base(filepath.Dir(bin))
	n, _ := strconv.Atoi(name[strings.LastIndex(name, "@")+1:])
	return n
}

// findInstallations returns every usable server in the folders, in their order.
func findInstallations(ctx context.Context, folders []string) []installation {
	var found []installation
	seen := map[string]bool{}
	for _, folder := range folders {
		if folder == "" || !filepath.IsAbs(folder) {
			continue // never run a server out of the working folder
		}
		// Both programs may be symlinks out of /usr/local/bin; share files are
		// found from the real place.
		server, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres"))
		if err != nil {
			continue
		}
		bin := filepath.Dir(server)
		if seen[bin] {
			continue
		}
		seen[bin] = true
		if _, err := exec.LookPath(filepath.Join(bin, "initdb")); err != nil {
			continue
		}
		major, version, ok := askVersion(ctx, server)
		if ok && major >= oldest {
			found = append(found, installation{bin: bin, major: major, version: version})
		}
	}
	return found
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[.0-9a-z]*)`)

func askVersion(ctx context.Context, server string) (major int, version string, ok bool) {
	out, err := exec.CommandContext(ctx, server, "--version").Output()
	if err != nil {
		return 0, "", false
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return 0, "", false
	}
	major, err = strconv.Atoi(string(m[2]))
	return major, string(m[1]), err == nil
}

// noServer is the sentence for a machine without Postgres. The Debian command
// first keeps the package from starting a cluster of its own on port 5432.
func noServer(folders []string) error {
	return fmt.Errorf(`%w: initdb and postgres of version %d or newer are in none of %s.
Nothing was installed. On Debian or Ubuntu, as root:
  mkdir -p /etc/postgresql-common/createcluster.d && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/unlatch.conf && apt-get install -y postgresql
On macOS:
  brew install postgresql@17
Or use a server of your own: set UNLATCH_DATABASE_URL`,
		ErrNoServer, oldest, strings.Join(folders, ", "))
}
