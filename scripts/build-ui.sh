#!/usr/bin/env bash
# Builds the dashboard into web/ui/dist, from where the program embeds it. Does nothing when dist is newer than every source.
# `--dependencies-only` stops after `npm ci`.
set -euo pipefail
cd "$(dirname "$0")/../web/ui"

if ! command -v npm >/dev/null; then
    echo "build-ui: npm is missing; install Node.js 20 or newer (Debian: apt-get install nodejs npm)" >&2
    exit 1
fi

# npm writes this file last, so it tells whether an earlier install got to its end.
installed=node_modules/.package-lock.json
if [[ ! -e $installed || package-lock.json -nt $installed ]]; then
    # The browser tests use the system's chromium; no package may fetch its own.
    PUPPETEER_SKIP_DOWNLOAD=1 PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error
fi
[[ ${1:-} == --dependencies-only ]] && exit 0

# Directories count too: a deleted source changes only its folder's time. Hidden ones hold what the tests compile.
if [[ -e dist/index.html ]]; then
    newer=$(find . \( -path ./node_modules -o -path ./dist -o -path './.*' \) -prune -o -newer dist/index.html ! -path . -print -quit)
    [[ -z $newer ]] && exit 0
fi
npm run --silent build
