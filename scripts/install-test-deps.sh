#!/usr/bin/env bash
# Installs what `make test` needs beyond Rust, Node and a C compiler: PostgreSQL 15, Redis, openssl, Python, chromium, cargo-nextest, and
# schemathesis in `.venv`; for `make bench` valgrind and socketify.
# Skips what is present, so the second run takes no time and asks for no rights.
set -euo pipefail
cd "$(dirname "$0")/.."

# The version this project is developed with; a newer one that is already installed is used as it is.
nextest_version=0.9.143
# Another version asks other questions, so this one is used and no other.
schemathesis_version=4.32.5
# The server that fan-out is compared with.
socketify_version=0.0.31

wanted=()
have_postgres() { command -v pg_ctl >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/pg_ctl" >/dev/null; }
have_postgres || wanted+=(postgresql-15)
command -v redis-server >/dev/null || wanted+=(redis-server)
# Makes the certificates of encrypted servers.
command -v openssl >/dev/null || wanted+=(openssl)
# `make test-long` builds librdkafka from its sources by configure and make.
command -v make >/dev/null || wanted+=(make)
# Runs schemathesis. Debian's Python comes without the module that makes environments.
python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3 python3-venv)
# Only the browser tests need it, and it is by far the largest.
if grep -qs '"test:browser"' web/ui/package.json; then
    command -v chromium >/dev/null || wanted+=(chromium fonts-dejavu-core)
fi

# For `make bench` alone: what counts instructions, and what the rival's server is linked with.
if [[ -n ${WANTS_BENCHES:-} ]]; then
    command -v valgrind >/dev/null || wanted+=(valgrind)
    ldconfig -p | grep -q 'libuv\.so\.1' || wanted+=(libuv1)
fi

if ((${#wanted[@]} > 0)); then
    as_root=()
    if ((EUID != 0)); then as_root=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "install-test-deps: the tests need ${wanted[*]}; install them by hand, or run this script as root on Debian" >&2
        exit 1
    fi
    echo "install-test-deps: installing ${wanted[*]}"
    "${as_root[@]}" apt-get update -qq </dev/null
    # Other releases of Debian carry another version under the plain name.
    apt-cache show postgresql-15 >/dev/null 2>&1 || wanted=("${wanted[@]/#postgresql-15/postgresql}")
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends "${wanted[@]}" </dev/null >/dev/null
fi

if ! cargo nextest --version >/dev/null 2>&1; then
    echo "install-test-deps: building cargo-nextest $nextest_version (once, some minutes)"
    # Unoptimised on purpose: a runner spends its time waiting, and this builds in a fraction of the time.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug --quiet cargo-nextest --version "$nextest_version"
fi

# $1: a package from PyPI, $2: its version.
have_python() {
    if [[ $(.venv/bin/python -c "import importlib.metadata as m; print(m.version('$1'))" 2>/dev/null) != "$2" ]]; then
        python3 -m venv .venv
        .venv/bin/pip install --quiet --disable-pip-version-check "$1==$2" </dev/null
    fi
}
have_python schemathesis "$schemathesis_version"
[[ -z ${WANTS_BENCHES:-} ]] || have_python socketify "$socketify_version"
