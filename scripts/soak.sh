#!/usr/bin/env bash
# A hub of its own under load for minutes or days, in a folder that goes with it: what drifts, with exit code 1 when anything does.
# Arguments go to the program:  scripts/soak.sh --duration 3d --every 30s --log /var/tmp/soak.jsonl
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build-ui.sh
cargo build --release --locked -p hub
exec "${CARGO_TARGET_DIR:-target}/release/sysmonstm" synth soak --log "${CARGO_TARGET_DIR:-target}/soak.jsonl" "$@"
