#!/usr/bin/env bash
# CI: formatting first because it takes a second, then clippy, then `make test`.
#
# Clippy leaves the proc macros and build scripts (SQLite in C is the slow one) for the build that follows, so it adds about a
# minute. It speaks only when it fails: the last lines of a run are the tests' own.
# `--locked`: a Cargo.lock that was not committed fails here and not at somebody's next build.
# Nothing is compiled twice here, so the compiler's incremental store (9 GB of 21) would only fill the server's disk.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0

cargo fmt --all --check
scripts/build-ui.sh
# With the tests against live servers, which a plain run leaves out.
scripts/quiet.sh "clippy" cargo clippy --locked --workspace --all-targets --features "$(scripts/integration-features.sh)" -- -D warnings
exec make --no-print-directory test
