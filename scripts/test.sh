#!/usr/bin/env bash
# All tests, on a machine that has only Rust, Node and a C compiler: installs the rest and builds the dashboard, then runs the
# tests of the dashboard, of the Rust workspace with a private PostgreSQL and Redis, of the pages in a browser, and of the docs.
set -euo pipefail
cd "$(dirname "$0")/.."

has_script() { grep -qs "\"$1\" *:" web/ui/package.json; }

scripts/install-test-deps.sh
scripts/build-ui.sh
# No terminal for these: test runners of this kind start watching files when they see one.
if has_script check; then npm --prefix web/ui run --silent check </dev/null; fi
if has_script test; then npm --prefix web/ui run --silent test </dev/null; fi
scripts/with-servers.sh scripts/test-rust.sh all
# The Rust tests have built them. The screens are looked at on a hub that runs: without the variables there would be none, and the
# edge's tests would be skipped.
programs="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug"
scripts/quiet.sh "API contract" scripts/test-contract.sh "$programs/sysmonstm"
export HUB_PROGRAM="$programs/sysmonstm" EDGE_PROGRAM="$programs/sysmonstm-edge"
if has_script test:browser; then scripts/quiet.sh "browser tests" npm --prefix web/ui run --silent test:browser </dev/null; fi
# Last, so that a run ends in lines that tell how many tests passed.
exec scripts/test-rust.sh doc
