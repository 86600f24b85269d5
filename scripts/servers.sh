# Sourced by test.sh: private servers for one run, on loopback and free ports, all files in one temporary directory.
#
#   install_servers   installs what is missing, or says what to install and ends
#   start_servers     exports DESKHAND_TEST_REDIS_URL and DESKHAND_TEST_POSTGRES_URL
#   stop_servers      stops what start_servers started, removes the directory; safe to call twice

servers_dir=""
redis_pid=""

find_redis() {
    command -v redis-server || command -v valkey-server
}

# Debian keeps the server programs of PostgreSQL out of the PATH; the newest version wins.
find_postgres_bin() {
    local dir
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        if [[ -x "$dir/initdb" && -x "$dir/pg_ctl" ]]; then
            echo "$dir"
            return
        fi
    done
    command -v pg_ctl >/dev/null && command -v initdb >/dev/null || return 1
    dirname "$(readlink -f "$(command -v pg_ctl)")"
}

install_servers() {
    local packages=()
    find_redis >/dev/null || packages+=(redis-server)
    find_postgres_bin >/dev/null || packages+=(postgresql)
    [[ ${#packages[@]} -gt 0 ]] || return 0

    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "the tests need: ${packages[*]}" >&2
        echo "install with 'sudo apt-get install ${packages[*]}' or the like, or run 'TEST_ONLY=sqlite make test' to do without" >&2
        exit 1
    fi
    echo "installing ${packages[*]}"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
}

# PostgreSQL refuses to run as root; its package brings a user for it.
as_postgres() {
    if [[ $EUID -eq 0 ]]; then
        su postgres -s /bin/bash -c "cd / && $(printf '%q ' "$@")"
    else
        "$@"
    fi
}

port_is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if port_is_free "$port"; then
            echo "$port"
            return
        fi
    done
}

# Another program may take a port between the look and the start: hence a few tries.
start_redis() {
    local try port
    for try in 1 2 3 4 5; do
        port=$(free_port)
        "$(find_redis)" --bind 127.0.0.1 --port "$port" --dir "$servers_dir" --save "" --appendonly no \
            --maxmemory-policy noeviction --daemonize no >"$servers_dir/redis.log" 2>&1 &
        redis_pid=$!
        for _ in $(seq 100); do
            kill -0 "$redis_pid" 2>/dev/null || break
            if grep -qi "ready to accept connections" "$servers_dir/redis.log"; then
                export DESKHAND_TEST_REDIS_URL="redis://127.0.0.1:$port"
                return
            fi
            sleep 0.1
        done
        kill "$redis_pid" 2>/dev/null || true
        redis_pid=""
    done
    echo "the private Redis server did not start after $try tries; its log:" >&2
    cat "$servers_dir/redis.log" >&2
    exit 1
}

start_postgres() {
    local bin data try port options
    bin=$(find_postgres_bin)
    data="$servers_dir/postgres"
    mkdir "$data"
    if [[ $EUID -eq 0 ]]; then
        chown postgres "$data"
    fi
    as_postgres "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >"$servers_dir/initdb.log" 2>&1 || {
        echo "initdb failed; its log:" >&2
        cat "$servers_dir/initdb.log" >&2
        exit 1
    }
    for try in 1 2 3 4 5; do
        port=$(free_port)
        # No Unix socket: its path may not be longer than 107 bytes, and the temporary directory may be anywhere.
        options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400"
        options+=" -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        if as_postgres "$bin/pg_ctl" -D "$data" -l "$data/server.log" -o "$options" -w -t 60 start >/dev/null 2>&1; then
            export DESKHAND_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
            return
        fi
    done
    echo "the private PostgreSQL server did not start after $try tries; its log:" >&2
    cat "$data/server.log" >&2
    exit 1
}

start_servers() {
    servers_dir=$(mktemp -d "${TMPDIR:-/tmp}/deskhand-test.XXXXXX")
    chmod 711 "$servers_dir"
    start_redis
    start_postgres
}

stop_servers() {
    local data="$servers_dir/postgres"
    if [[ -n "$redis_pid" ]]; then
        kill "$redis_pid" 2>/dev/null || true
        wait "$redis_pid" 2>/dev/null || true
        redis_pid=""
    fi
    # pg_ctl stops the process whose id the server wrote into its own directory, no other.
    if [[ -n "$servers_dir" && -f "$data/postmaster.pid" ]]; then
        as_postgres "$(find_postgres_bin)/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    if [[ -n "$servers_dir" ]]; then
        rm -rf "$servers_dir"
        servers_dir=""
    fi
}
