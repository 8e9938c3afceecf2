#!/bin/sh
# Makes sure that what Go does not bring is there: Postgres' server programs, and, with
# the argument tests, what the tests read printed labels and look at pages with. As root
# on Debian it installs what is missing; otherwise it says what to run, and fails when
# nothing works without it.
set -eu

# Each thing: a line in needs, and how to see that it is there.
needs='postgresql poppler-utils zbar-tools fonts-droid-fallback'
[ "${1:-}" != tests ] || needs="$needs chromium nodejs npm"

present() {
	case $1 in
	postgresql) command -v initdb || ls /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb ;;
	poppler-utils) command -v pdftoppm ;;
	zbar-tools) command -v zbarimg ;;
	fonts-droid-fallback) ls /usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf || ls '/Library/Fonts/Arial Unicode.ttf' ||
		ls '/System/Library/Fonts/Supplemental/Arial Unicode.ttf' ;;
	chromium) command -v chromium || ls '/Applications/Google Chrome.app' ;;
	nodejs) node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ;;
	npm) command -v npm ;;
	*) dpkg-query -W -f='${Status}' "$1" | grep 'ok installed' ;;
	esac >/dev/null 2>&1
}

missing=''
for need in $needs; do
	present "$need" || missing="$missing $need"
done
[ -n "$missing" ] || exit 0

# Only Postgres is needed to run; tests that lack another thing say so and are
# skipped, but where CI=true.
status=0
case "$missing ${CI:-}" in *postgresql* | *true) status=1 ;; esac

if ! command -v apt-get >/dev/null 2>&1; then
	{
		echo "missing:$missing"
		echo 'unlatch needs the Postgres server programs (initdb), version 15 or newer; its tests read printed labels with poppler and zbar,'
		echo 'and look at pages with Chromium and Node 20 or newer.'
		echo 'On macOS run: brew install postgresql@17 poppler zbar node'
	} >&2
	exit $status
fi
conf=/etc/postgresql-common/createcluster.conf
if [ "$(id -u)" != 0 ]; then
	echo 'Run once:' >&2
	echo '  sudo apt-get update' >&2
	case "$missing" in *postgresql*)
		cat >&2 <<TEXT
  sudo apt-get install -y postgresql-common
  echo 'create_main_cluster = false' | sudo tee -a $conf
TEXT
		;;
	esac
	echo "  sudo apt-get install -y$missing" >&2
	exit $status
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
case "$missing" in *postgresql*)
	apt-get install -y -q postgresql-common
	grep -qs '^create_main_cluster = false' "$conf" || echo 'create_main_cluster = false' >>"$conf"
	;;
esac
# shellcheck disable=SC2086 # a list
apt-get install -y -q --no-install-recommends $missing
case "$missing" in *nodejs*)
	present nodejs || {
		echo 'The tests of the pages and of the mini-program need Node 20 or newer, and this Debian has an older one: https://nodejs.org' >&2
		exit $status
	}
	;;
esac
