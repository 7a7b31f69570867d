#!/usr/bin/env bash
# Every test, in one run: swift-testing suites, the cases against real partners, and the same requests for Envoy and for us. Ends with one closing line and fails if anything failed,
# or, under CI, if a partner case was skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
release=
trap '[ -z "$release" ] || kill "$release" 2>/dev/null; rm -f "$log" "$log.release"' EXIT

# What partner cases start is built beside the unit tests: optimising is work for one core most of the time. The bundle is started by itself, since
# `swift test` would wait for the build's lock.
make --no-print-directory release-tools >"$log.release" 2>&1 &
release=$!

echo "unit tests"
(while sleep 10; do echo "  $(grep -cE '^✔ Test .* passed after' "$log") passed so far"; done) &
teller=$!
NO_COLOR=1 .build/debug/weftPackageTests.xctest --testing-library swift-testing >"$log" 2>&1
unit=$?
kill $teller
grep -E 'recorded an issue|error:|Fatal error|failed after|^✘|Suite .* failed' "$log" | head -n 80
grep -E 'Test run with' "$log"
[ $unit -eq 0 ] || { tail -n 40 "$log"; }
unit_passed=$(sed -nE 's/.*Test run with ([0-9]+) tests?.* passed.*/\1/p' "$log" | tail -n 1)
unit_failed=0
# The runner counts what it skipped among what passed.
unit_skipped=$(grep -cE '^➜ Test .* skipped' "$log")
unit_passed=$((${unit_passed:-0} - unit_skipped))
if [ $unit -ne 0 ] || [ "$unit_passed" -le 0 ]; then unit_failed=1; unit_passed=0; fi

echo "release programs"
wait $release
built=$?
release=
tail -n 3 "$log.release"
[ $built -eq 0 ] || { cat "$log.release"; echo "0 passed, 1 failed, 0 skipped: the release programs do not build"; exit 1; }

echo "partner cases"
python3 Tests/Partners/run.py --summary "$log.partners"
partners=$?
read -r passed failed skipped <"$log.partners" || { passed=0 failed=1 skipped=0; }
rm -f "$log.partners"

echo "differential cases"
python3 Tests/Differential/run.py --summary "$log.differential"
differential=$?
read -r same different left <"$log.differential" || { same=0 different=1 left=0; }
rm -f "$log.differential"

echo "$((unit_passed + passed + same)) passed, $((unit_failed + failed + different)) failed, $((unit_skipped + skipped + left)) skipped"
[ -z "${CI:-}" ] || [ "$unit_skipped" -eq 0 ] || exit 1
[ $unit -eq 0 ] && [ $partners -eq 0 ] && [ $differential -eq 0 ]
