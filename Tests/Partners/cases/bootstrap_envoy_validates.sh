#!/usr/bin/env bash
# Every bootstrap that weft-proxy must accept is accepted by a real Envoy, too: the files are Envoy's language, not a dialect of ours.
set -euo pipefail
envoy=${WEFT_PARTNERS:-$HOME/.cache/weft-partners}/venv/bin/envoy
folder=$(cd "$(dirname "$0")/../../Golden/bootstrap/valid" && pwd)
count=0
for file in "$folder"/*; do
  if ! output=$("$envoy" --mode validate -c "$file" --log-level error 2>&1); then
    echo "refused by Envoy: $file"
    echo "$output" | tail -3
    exit 1
  fi
  count=$((count + 1))
done
[ "$count" -ge 30 ] || { echo "only $count files in $folder"; exit 1; }
echo "$count bootstraps accepted"
