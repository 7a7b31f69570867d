#!/bin/sh
# setup.sh GROUP…: installs the Debian packages of the named groups (see packages.txt) that are missing.
# As root it installs them; otherwise it prints the one command to run and fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

command -v swift >/dev/null 2>&1 || {
  echo "setup: no 'swift' on PATH. Install a Swift 6.3 toolchain (swift.org/install) and run this again." >&2
  exit 1
}

missing=
for group in "$@"; do
  for package in $(awk -v g="$group" '$1 == g { print $2 }' "$here/packages.txt"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "setup: missing packages. Run:  sudo apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive TMPDIR="${TMPDIR:-/var/tmp}"
log=$(mktemp)
# shellcheck disable=SC2086
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get failed; the packages wanted were:$missing" >&2
  exit 1
fi
rm -f "$log"
