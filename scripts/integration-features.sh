#!/usr/bin/env bash
# Prints the features of packages that have tests against live servers, separated by commas: they say so by a feature `integration`.
set -euo pipefail
cd "$(dirname "$0")/.."

features=()
for manifest in */Cargo.toml; do
    if grep -q '^integration *=' "$manifest"; then features+=("$(dirname "$manifest")/integration"); fi
done
(IFS=, && echo "${features[*]}")
