#!/usr/bin/env bash
# Runs a command with a private PostgreSQL and a private Redis:  scripts/with-servers.sh COMMAND...
#
# The command finds them in TEST_POSTGRES_URL and TEST_REDIS_URL. Both listen on loopback, on ports nobody else uses, keep their
# data in a temporary folder and are gone when the command ends, however it ends. The exit code is the command's.
set -euo pipefail

if (($# == 0)); then
    echo "usage: scripts/with-servers.sh COMMAND..." >&2
    exit 2
fi

fail() {
    echo "with-servers: $1" >&2
    [[ -s ${2:-} ]] && tail -n 20 "$2" >&2
    exit 1
}

# initdb and pg_ctl are outside PATH on Debian; the newest version wins.
postgres_bin=$(dirname "$(command -v pg_ctl || compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' | sort -V | tail -n 1 || true)")
[[ -x $postgres_bin/pg_ctl && -x $postgres_bin/initdb ]] || fail "PostgreSQL is missing; run scripts/install-test-deps.sh"
command -v redis-server >/dev/null || fail "redis-server is missing; run scripts/install-test-deps.sh"

home=$(mktemp -d "${TMPDIR:-/tmp}/sysmonstm-servers.XXXXXX")
redis_pid='' command_pid=''

# PostgreSQL refuses to run as root, so root lends it to the account that Debian's package made.
as_postgres=()
mkdir "$home/postgres" "$home/redis"
if ((EUID == 0)); then
    id postgres >/dev/null 2>&1 || fail "running as root needs the account \`postgres\` for the server"
    as_postgres=(runuser -u postgres --)
    chown postgres "$home/postgres"
    chmod 711 "$home"
fi

stop() {
    trap - EXIT INT TERM HUP
    [[ -n $command_pid ]] && kill -TERM "$command_pid" 2>/dev/null && wait "$command_pid" 2>/dev/null
    # `immediate`: nothing in it is worth a checkpoint.
    if [[ -e $home/postgres/data/postmaster.pid ]]; then
        (cd / && "${as_postgres[@]}" "$postgres_bin/pg_ctl" stop -D "$home/postgres/data" -m immediate -w -t 20 >/dev/null 2>&1)
    fi
    [[ -n $redis_pid ]] && kill -KILL "$redis_pid" 2>/dev/null && wait "$redis_pid" 2>/dev/null
    rm -rf "$home"
}
trap 'code=$?; stop || true; exit $code' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# A random port below the ones the kernel hands out to clients. Somebody may take it between this look and the server's bind:
# each start below is tried again with another port.
free_port() {
    local port
    while :; do
        port=$((RANDOM % 12000 + 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

start_postgres() {
    postgres_port=$(free_port)
    # Durability is not what these tests measure; without it a test database costs a third of the time.
    (cd / && "${as_postgres[@]}" "$postgres_bin/pg_ctl" start -D "$home/postgres/data" -l "$home/postgres/log" -w -t 60 \
        -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$home/postgres -c fsync=off \
            -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" >/dev/null 2>&1)
}

start_redis() {
    redis_port=$(free_port)
    redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$home/redis" --save '' --appendonly no \
        --daemonize no --logfile "$home/redis/log" >/dev/null 2>&1 &
    redis_pid=$!
    local poll
    for ((poll = 0; poll < 100; poll++)); do
        kill -0 "$redis_pid" 2>/dev/null || return 1
        [[ $(redis-cli -h 127.0.0.1 -p "$redis_port" ping 2>/dev/null) == PONG ]] && return 0
        sleep 0.1
    done
    kill -KILL "$redis_pid" 2>/dev/null
    return 1
}

try_thrice() { "$1" || "$1" || "$1"; }

(cd / && "${as_postgres[@]}" "$postgres_bin/initdb" -D "$home/postgres/data" -U postgres -A trust -E UTF8 --locale=C --no-sync) \
    >"$home/initdb.log" 2>&1 || fail "initdb failed" "$home/initdb.log"
try_thrice start_postgres || fail "PostgreSQL did not start" "$home/postgres/log"
try_thrice start_redis || fail "Redis did not start" "$home/redis/log"

export TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$postgres_port/postgres"
export TEST_REDIS_URL="redis://127.0.0.1:$redis_port/0"

# In the background, because bash runs a trap only between foreground commands: a TERM would wait for the tests to end.
"$@" </dev/null &
command_pid=$!
code=0
wait "$command_pid" || code=$?
command_pid=''
exit "$code"
