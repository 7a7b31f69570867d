#!/usr/bin/env bash
# The demonstration of the README: every check of it must pass.
cd "$(dirname "$0")/../../.."
exec Examples/01-bookstore/demo.sh
