#!/usr/bin/env bash
# The quick set of measurements: builds the hub and the measuring programs together, so that both come of one set of features, and
# runs them one after the other. About five minutes on two cores. $1: where the JSON goes.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked -p hub -p benches --bins
exec "${CARGO_TARGET_DIR:-target}/release/measure" all "${1:-${CARGO_TARGET_DIR:-target}/bench.json}"
