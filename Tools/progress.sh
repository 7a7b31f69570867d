#!/bin/bash
# Reads a `swift build` log: shows one line of progress every few seconds on a terminal, all errors and warnings anywhere,
# and fails when the build did. Use with pipefail-free shells: the verdict is read from the log itself.
set -u
last=0 failed=1 log=$(mktemp)
while IFS= read -r line; do
  printf '%s\n' "$line" >>"$log"
  case $line in
    *error:*|*warning:*) printf '%s\n' "$line" ;;
    *'Build complete!'* | "Build of product "*' complete!'*) failed=0; printf '%s\n' "$line" ;;
    '['*) now=$SECONDS; if [ $((now - last)) -ge 10 ]; then last=$now; printf '%s\n' "${line:0:100}"; fi ;;
  esac
done
[ $failed -eq 0 ] || { tail -n 30 "$log"; echo "build failed"; }
rm -f "$log"
exit $failed
