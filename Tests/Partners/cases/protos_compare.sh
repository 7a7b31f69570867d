#!/usr/bin/env bash
# Every message of our .proto files against Envoy's descriptors and the table of Istio's API: no difference in name, number, type, label.
cd "$(dirname "$0")/../../.."
python=${WEFT_PARTNERS:-$HOME/.cache/weft-partners}/venv/bin/python
[[ -x $python ]] && "$python" -c 'import envoy' 2>/dev/null || { echo "skipped: the package xds-protos cannot be had here"; exit 77; }
exec "$python" Tests/Partners/compare_protos.py
