#!/usr/bin/env bash
# Five minutes of both domains against a hub of its own: docs/DEMO.md tells what to look at. The hub stays up at the end, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build-ui.sh
cargo build --release -p hub
program="${CARGO_TARGET_DIR:-target}/release/sysmonstm"
data="$(mktemp -d)"
http="${DEMO_HTTP:-127.0.0.1:8000}" grpc="${DEMO_GRPC:-127.0.0.1:50051}"

"$program" hub --data-dir "$data" --http-address "$http" --grpc-address "$grpc" --rules synthetic/rules/demo.toml \
    --log-level warn >"$data/hub.log" 2>&1 &
hub=$!
trap 'kill "$hub" 2>/dev/null; wait "$hub" 2>/dev/null; rm -rf "$data"' EXIT
for _ in $(seq 100); do
    "$program" health --url "http://$http/ready" >/dev/null 2>&1 && break
    kill -0 "$hub" 2>/dev/null || { cat "$data/hub.log" >&2; exit 1; }
    sleep 0.2
done
"$program" synth demo --hub "http://$http" --grpc "$grpc" --data-dir "$data"
echo "The hub is still up on http://$http; Ctrl-C ends it."
wait "$hub"
