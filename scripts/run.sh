#!/usr/bin/env bash
# The whole system on this machine: builds the dashboard and the release program, then becomes `sysmonstm up`.
# Arguments go to the program:  scripts/run.sh --http-address 127.0.0.1:8080
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build-ui.sh
cargo build --release -p hub
exec "${CARGO_TARGET_DIR:-target}/release/sysmonstm" up "$@"
