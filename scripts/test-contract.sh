#!/usr/bin/env bash
# Holds a hub to its own OpenAPI description: schemathesis asks every operation what it may be asked, and what it may not, of a hub of
# its own that has data.  scripts/test-contract.sh [PROGRAM]
#
# Found: server errors, answers with a status, a media type or a body that is not described, bad requests that are taken.
# All checks but one: `positive_data_acceptance` wants whatever fits the schema to be accepted, and no schema says that a range must begin
# before it ends, or that a silence must not end before it starts. Bounded by examples per operation, with a seed and a
# deadline; an operation that was not asked fails it, too.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-${CARGO_TARGET_DIR:-target}/debug/sysmonstm}
[[ -x $program ]] || { echo "test-contract: $program is not built; cargo build -p hub --bin sysmonstm" >&2; exit 1; }
[[ -x .venv/bin/st ]] || { echo "test-contract: schemathesis is missing; run scripts/install-test-deps.sh" >&2; exit 1; }

home=$(mktemp -d "${TMPDIR:-/tmp}/sysmonstm-contract.XXXXXX")
hub_pid=''
stop() {
    trap - EXIT INT TERM HUP
    [[ -n $hub_pid ]] && kill -TERM "$hub_pid" 2>/dev/null && wait "$hub_pid" 2>/dev/null
    rm -rf "$home"
}
trap 'code=$?; stop || true; exit $code' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# The id that the description gives as an example, so that what needs a machine finds one.
COLLECTOR_MACHINE_ID=db-1 COLLECTOR_TAGS=role=db COLLECTOR_COLLECTION_INTERVAL=1s \
    "$program" up --data-dir "$home/data" --http-address 127.0.0.1:0 --grpc-address 127.0.0.1:0 --log-format json >"$home/log" 2>&1 &
hub_pid=$!

has_data() {
    .venv/bin/python -c 'import sys, urllib.request as web; sys.exit(b"\"value\"" not in web.urlopen(sys.argv[1], timeout=5).read())' "$1" 2>/dev/null
}

url=''
for ((poll = 0; poll < 600; poll++)); do
    kill -0 "$hub_pid" 2>/dev/null || break
    url=$(sed -n 's/.*"hub_is_up".*"dashboard":"\([^"]*\)".*/\1/p;s/.*"dashboard":"\([^"]*\)".*"hub_is_up".*/\1/p' "$home/log" | head -n 1)
    # With a machine that has sent something.
    [[ -n $url ]] && has_data "${url%/}/api/v1/machines/db-1/metrics" && break
    url=''
    sleep 0.1
done
if [[ -z $url ]]; then
    echo "test-contract: the hub did not come up with data" >&2
    tail -n 20 "$home/log" >&2
    exit 1
fi

repository=$PWD
cd "$home"
# What is too long is refused as such, which the program does not count as a refusal by itself.
cat >schemathesis.toml <<'TOML'
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "414", "415", "422", "428", "429", "5xx"]
TOML
# One worker, as Python 3.11 trips over its own parser in threads. The program's own limit of time would end it early and call that a success,
# so the deadline is around it.
code=0
timeout "${CONTRACT_SECONDS:-600}" "$repository/.venv/bin/st" run "${url%/}/api/v1/openapi.json" --url "${url%/}" \
    --phases examples,coverage,fuzzing --max-examples "${CONTRACT_EXAMPLES:-10}" --seed "${CONTRACT_SEED:-20251121}" --workers 1 \
    --exclude-checks positive_data_acceptance --request-timeout 20 --no-shrink --warnings off --no-color </dev/null >report 2>&1 || code=$?
cat report
if ((code == 124)); then echo "test-contract: not done in ${CONTRACT_SECONDS:-600} s" >&2; fi
kill -0 "$hub_pid" 2>/dev/null || { echo "test-contract: the hub has ended" >&2; tail -n 5 log >&2; exit 1; }
((code == 0)) || exit "$code"
selected=$(sed -n 's/.*Selected: \([0-9]*\)\/.*/\1/p' report)
tested=$(sed -n 's/.*Tested: \([0-9]*\).*/\1/p' report)
if [[ -z $selected || $selected != "$tested" ]]; then
    echo "test-contract: ${tested:-none} of ${selected:-the} operations were tested" >&2
    exit 1
fi
