#!/usr/bin/env bash
# Runs a command and shows its output only when it fails:  scripts/quiet.sh NAME COMMAND...
set -euo pipefail

name=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

started=$SECONDS
if "$@" >"$log" 2>&1; then
    echo "$name: ok ($((SECONDS - started)) s)"
else
    code=$?
    cat "$log"
    echo "$name: failed (exit $code)" >&2
    exit "$code"
fi
