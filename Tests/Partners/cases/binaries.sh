#!/usr/bin/env bash
# What the shipped programs link: weft-proxy no Foundation of any kind, none of them the full one; and how large they are.
set -euo pipefail
bin=${WEFT_BIN:-.build/release}
for program in weft-proxy weft-control weft-agent weft; do
  [[ -x $bin/$program ]] || { echo "$program is not built"; exit 1; }
  if nm -C "$bin/$program" 2>/dev/null | grep -qE ' Foundation\.|_\$s10Foundation'; then echo "$program links full Foundation"; exit 1; fi
  if ldd "$bin/$program" | grep -qE 'libFoundation|libswift'; then echo "$program needs Swift libraries at run time"; exit 1; fi
done
if nm -C "$bin/weft-proxy" | grep -qE 'FoundationEssentials'; then echo "weft-proxy links FoundationEssentials"; exit 1; fi
copy=$(mktemp); trap 'rm -f "$copy"' EXIT
strip -o "$copy" "$bin/weft-proxy"
echo "no Foundation; weft-proxy stripped is $(($(stat -c %s "$copy") / 1024 / 1024)) MB"
