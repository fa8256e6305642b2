#!/usr/bin/env bash
# The Rust tests:  scripts/test-rust.sh [all|doc|long|integration]
#
# all          every unit and integration test; needs the servers of with-servers.sh
# doc          the examples in doc comments, which nextest does not run
# long         as `all`, with many more random cases, the ignored slow tests, and Kafka (a cluster inside the tests; KAFKA_TEST_URL names a real one)
# integration  only the packages with tests against live servers
set -euo pipefail
cd "$(dirname "$0")/.."

features=$(scripts/integration-features.sh)
with_features=() packages=()
if [[ -n $features ]]; then with_features=(--features "$features"); fi
for feature in ${features//,/ }; do packages+=(-p "${feature%/*}"); done

nextest_profile=default
if [[ -n ${CI:-} ]]; then nextest_profile=ci; fi

case ${1:-all} in
all)
    cargo nextest run --workspace --profile "$nextest_profile" "${with_features[@]}"
    ;;
doc)
    cargo test --doc --workspace "${with_features[@]}"
    ;;
long)
    export PROPTEST_CASES=${PROPTEST_CASES:-2048} CRASH_KILLS=${CRASH_KILLS:-200}
    cargo nextest run --workspace --profile long --run-ignored all --features "$features,hub/kafka,sinks/kafka"
    ;;
integration)
    if ((${#packages[@]} == 0)); then
        echo "no package has a feature \`integration\` yet"
        exit 0
    fi
    cargo nextest run --profile "$nextest_profile" "${packages[@]}" "${with_features[@]}"
    ;;
*)
    echo "usage: scripts/test-rust.sh [all|doc|long|integration]" >&2
    exit 2
    ;;
esac
