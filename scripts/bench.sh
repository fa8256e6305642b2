#!/usr/bin/env bash
# The quick set of measurements: builds the hub and the measuring programs together, so that both come of one set of features, and
# runs them one after the other, those of PostgreSQL and Redis on private servers. About ten minutes on two cores. $1: where the JSON goes.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked -p hub -p benches -p collector --bins
WANTS_BENCHES=1 scripts/install-test-deps.sh
# shellcheck disable=SC2016 # The addresses are the inner shell's.
exec scripts/with-servers.sh sh -c 'exec "$0" all "$1" "$TEST_POSTGRES_URL" "$TEST_REDIS_URL" .venv/bin/python' "$target/release/measure" "${1:-$target/bench.json}"
