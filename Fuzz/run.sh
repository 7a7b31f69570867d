#!/usr/bin/env bash
# Fuzz one parser for some seconds: Fuzz/run.sh TARGET [SECONDS]. Builds the library sources it needs with libFuzzer and
# AddressSanitizer. New findings go to Fuzz/Crashes/TARGET (commit them: the tests replay them); the corpus of the run
# stays in .build/fuzz and is seeded from Fuzz/Corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-}
seconds=${2:-60}
case "$target" in
  http1 | http2 | hpack | preamble) modules="Base/WeftBase Protocol/WeftHTTP" ;;
  hello) modules="Base/WeftBase WeftTLS=Runtime/WeftTLS/Handshake/ClientHello.swift" ;;
  authz) modules="Base/WeftBase Protocol/WeftHTTP
    WeftHTTPFilters=Extensions/WeftHTTPFilters/Wire.swift,Extensions/WeftHTTPFilters/ExtAuthz/CheckAnswer.swift" ;;
  dubbo) modules="Base/WeftBase Protocol/WeftHTTP Protocol/WeftDubbo" ;;
  protobuf) modules="Base/WeftBase Protocol/WeftProtobuf" ;;
  yaml) modules="Base/WeftBase Base/WeftYAML" ;;
  *) echo "usage: Fuzz/run.sh http1|http2|hpack|preamble|hello|dubbo|authz|protobuf|yaml [SECONDS]" >&2; exit 2 ;;
esac

out=.build/fuzz/$target
mkdir -p "$out/corpus" "Fuzz/Crashes/$target"
flags=(-O -g -wmo -enable-testing -D WEFT_FUZZ -parse-as-library -swift-version 6 -package-name weft -sanitize=fuzzer,address
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility -I "$out")
for module in Sources/C/*/; do
  if [ -f "$module/module.modulemap" ]; then flags+=(-I "$module"); fi
  if [ -d "$module/include" ]; then flags+=(-I "$module/include"); fi
done

objects=()
for module in $modules; do
  name=${module%%=*} name=${name##*/}
  IFS=, read -ra paths <<<"${module#*=}"
  # A sanitized library module has no main of its own: libFuzzer brings it at the final link.
  swiftc "${flags[@]}" -module-name "$name" -emit-module -emit-module-path "$out/$name.swiftmodule" \
    -c -o "$out/$name.o" $(find "${paths[@]/#/Sources/}" -name '*.swift' | sort)
  objects+=("$out/$name.o")
done
swiftc "${flags[@]}" -module-name "Fuzz_$target" "Fuzz/$target.swift" "${objects[@]}" -o "$out/fuzz"

# The backtracer hangs on a crashing fuzzer, and a fuzzer with a terminal waits for it.
export SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0
timeout -k 5 $((seconds + 60)) "$out/fuzz" "$out/corpus" "Fuzz/Corpus/$target" \
  -max_total_time="$seconds" -artifact_prefix="Fuzz/Crashes/$target/" -max_len=65536 -timeout=10 -print_final_stats=1 \
  </dev/null
