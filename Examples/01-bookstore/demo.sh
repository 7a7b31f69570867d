#!/bin/sh
# Runs the demonstration; see README.md here. KEEP=1 leaves it running.
exec python3 "$(dirname "$0")/demo.py" "$@"
