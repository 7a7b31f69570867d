#!/usr/bin/env bash
# Google's protobuf conformance suite against our runtime: binary and JSON, required and recommended.
cd "$(dirname "$0")/../../.."
exec Tests/Partners/conformance.sh
