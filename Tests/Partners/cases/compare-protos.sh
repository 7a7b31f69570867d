#!/usr/bin/env bash
# Every field of Protos/ against the published descriptors and Istio's wire facts.
set -euo pipefail
python="$WEFT_PARTNERS/venv/bin/python"
"$python" -c 'import envoy.config.bootstrap.v3.bootstrap_pb2, grpc_tools' 2>/dev/null || { echo "no Python with xds-protos and grpcio-tools"; exit 77; }
exec "$python" Tests/Partners/compare_protos.py
