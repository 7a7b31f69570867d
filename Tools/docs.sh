#!/bin/sh
# Rewrites docs/reference/ from the definitions in the code: what a flag, a metric or a field means is written once, there.
set -eu
cd "$(dirname "$0")/.."
bin=${WEFT_BIN:-.build/debug}
mkdir -p docs/reference
"$bin/weft" help --markdown >docs/reference/cli.md
echo "docs: wrote docs/reference/cli.md"
