#!/bin/sh
# Makes sure that Postgres' server programs are there. As root on Debian it
# installs them, without the default cluster; otherwise it says what to run.
set -eu

if command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb >/dev/null 2>&1; then
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo 'unlatch needs the Postgres server programs (initdb), version 15 or newer. On macOS run: brew install postgresql@17' >&2
	exit 1
fi
conf=/etc/postgresql-common/createcluster.conf
if [ "$(id -u)" != 0 ]; then
	cat >&2 <<TEXT
unlatch needs the Postgres server programs. Run once:
  sudo apt-get update && sudo apt-get install -y postgresql-common
  echo 'create_main_cluster = false' | sudo tee -a $conf
  sudo apt-get install -y postgresql
TEXT
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q postgresql-common
grep -qs '^create_main_cluster = false' "$conf" || echo 'create_main_cluster = false' >>"$conf"
apt-get install -y -q postgresql
