#!/usr/bin/env bash
# Tools/generate.sh [--check]: writes every Generated/ folder again from Protos/ and from the tools' own .proto files.
# --check writes nothing and fails with a diff where the committed code is not what the generator makes.
set -euo pipefail
cd "$(dirname "$0")/.."
protoc=${PROTOC:-protoc}
# With the flags of `make debug`, or what both need would be compiled twice.
swift build ${CI:+-Xswiftc -gnone} --product protoc-gen-weft >/dev/null
plugin=$(swift build --show-bin-path)/protoc-gen-weft
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# generate OUTPUT_FOLDER REGISTRY|- INCLUDE_FOLDER FILE…
generate() {
  local folder=$1 registry=$2 include=$3
  shift 3
  [ $# -gt 0 ] || return 0
  mkdir -p "$scratch/$folder"
  local options=()
  [ "$registry" = - ] || options=("--weft_opt=registry=$registry")
  "$protoc" --experimental_allow_proto3_optional --plugin=protoc-gen-weft="$plugin" --weft_out="$scratch/$folder" "${options[@]}" -I "$include" "$@"
}

# protos FOLDER…: the .proto files below those folders of Protos/, sorted
protos() {
  local folder
  for folder in "$@"; do [ ! -d "Protos/$folder" ] || find "Protos/$folder" -name '*.proto'; done | LC_ALL=C sort
}

mapfile -t envoy < <(protos envoy xds udpa)
mapfile -t istio < <(protos istio)
generate Sources/Model/WeftXDSMessages/Generated EnvoyTypes Protos "${envoy[@]}"
generate Sources/Model/WeftKinds/Generated IstioTypes Protos "${istio[@]}"
generate Tools/protoc-gen-weft/Generated - Tools/protoc-gen-weft Tools/protoc-gen-weft/plugin.proto
generate Tests/Protocol/WeftProtobufTests/Generated - Tests/Protocol/WeftProtobufTests/Protos -I Protos \
  Tests/Protocol/WeftProtobufTests/Protos/sample.proto Tests/Protocol/WeftProtobufTests/Protos/legacy.proto
mapfile -t conformance < <(find Tools/protobuf-conformance/Protos -name '*.proto' 2>/dev/null | LC_ALL=C sort)
generate Tools/protobuf-conformance/Generated ConformanceTypes Tools/protobuf-conformance/Protos -I Protos "${conformance[@]}"

status=0
while read -r folder; do
  folder=${folder#"$scratch"/}
  if [ "${1:-}" = --check ]; then
    diff -ru "$folder" "$scratch/$folder" || status=1
  else
    mkdir -p "$folder"
    find "$folder" -name '*.pb.swift' -delete
    cp "$scratch/$folder"/*.pb.swift "$folder/"
  fi
done < <(find "$scratch" -type d -name Generated)
[ $status = 0 ] || echo "generated code is out of date: run make gen" >&2
exit $status
