#!/usr/bin/env bash
# Tests/Partners/conformance.sh [RUNNER OPTION…]: Google's protobuf conformance suite against WeftProtobuf, binary and
# JSON, required and recommended, proto2 and proto3. Fails on any unexpected failure; there is no list of known ones.
# The runner comes from the partners ($WEFT_PARTNERS, default ~/.cache/weft-partners; see setup in this folder); it wants
# a newer libc than Debian 12 has, so it runs through the one unpacked beside it.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=${WEFT_PARTNERS:-$HOME/.cache/weft-partners}
runner=$(ls "$home"/venv/lib/python3*/site-packages/protoc/_bin/conformance_test_runner 2>/dev/null | head -n 1)
if [ -z "$runner" ]; then
  echo "SKIP: no conformance runner below $home" >&2
  exit 77
fi
loader=()
lib=$home/newer-libc/usr/lib/x86_64-linux-gnu
[ ! -x "$lib/ld-linux-x86-64.so.2" ] || loader=("$lib/ld-linux-x86-64.so.2" --library-path "$lib")
testee=${WEFT_CONFORMANCE_TESTEE:-${WEFT_BIN:-.build/release}/protobuf-conformance}
if [ ! -x "$testee" ]; then
  swift build --product protobuf-conformance >&2
  testee=$(swift build --show-bin-path)/protobuf-conformance
fi
testee=$(realpath "$testee")
# The runner leaves lists of failed tests in its working folder.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
"${loader[@]}" "$runner" --enforce_recommended "$@" "$testee"
