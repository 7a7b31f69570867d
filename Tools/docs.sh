#!/bin/sh
# Rewrites docs/reference/ from the definitions in the code: what a flag, a metric or a field means is written once, there.
set -eu
cd "$(dirname "$0")/.."
bin=${WEFT_BIN:-.build/debug}
mkdir -p docs/reference
"$bin/weft" help --markdown >docs/reference/cli.md
echo "docs: wrote docs/reference/cli.md"
# What becomes of every field, and which extensions there are: tests find out and keep the files.
WEFT_GOLDEN_UPDATE=1 swift test --skip-build --filter 'FieldWalkTests|ShippedTests' >/dev/null
echo "docs: wrote docs/reference/coverage.md, coverage-rules.md and ShippedExtensions.swift"
