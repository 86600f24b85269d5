# Sourced by test.sh: private servers for one run, on loopback and free ports, all files in one temporary directory.
#
#   install_servers   installs what is missing, or says what to install and ends
#   start_servers     exports DESKHAND_TEST_REDIS_URL, DESKHAND_TEST_CLUSTER_URL (three masters), DESKHAND_TEST_VALKEY_URL and
#                     DESKHAND_TEST_POSTGRES_URL; starts nothing for those that are set already
#   make_servers_dir  for who starts servers one by one with launch
#   stop_servers      stops what start_servers started, removes the directory; safe to call twice
#
# TEST_WITHOUT=valkey goes without Valkey.

servers_dir=""
redis_pids=()

find_redis() {
    command -v redis-server || command -v valkey-server
}

wants_valkey() {
    [[ "${TEST_WITHOUT:-}" != valkey && -z "${DESKHAND_TEST_VALKEY_URL:-}" ]]
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
    local packages=() cure=""
    if [[ -z "${DESKHAND_TEST_REDIS_URL:-}" || -z "${DESKHAND_TEST_CLUSTER_URL:-}" ]]; then
        find_redis >/dev/null || packages+=(redis-server)
    fi
    if [[ -z "${DESKHAND_TEST_POSTGRES_URL:-}" ]]; then
        find_postgres_bin >/dev/null || packages+=(postgresql)
    fi
    if wants_valkey && ! command -v valkey-server >/dev/null; then
        packages+=(valkey-server)
        cure=", TEST_WITHOUT=valkey to do without Valkey"
    fi
    # It runs the example of a worker in another language.
    command -v python3 >/dev/null || packages+=(python3)
    [[ ${#packages[@]} -gt 0 ]] || return 0

    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "the tests need: ${packages[*]}" >&2
        echo "install with 'sudo apt-get install ${packages[*]}' or the like (on Debian 12 valkey-server is in bookworm-backports)," >&2
        echo "or set TEST_ONLY=sqlite to do without servers$cure" >&2
        exit 1
    fi
    echo "installing ${packages[*]}"
    if ! install_packages "${packages[@]}"; then
        echo "could not install ${packages[*]}: set TEST_ONLY=sqlite to do without servers$cure" >&2
        exit 1
    fi
}

# Installs from the machine's own package sources and, on Debian 12, the backports beside them: in lists of this run, so that
# the machine does not begin to take its packages from there. No service is started.
install_packages() {
    local dir options=() policy=/usr/sbin/policy-rc.d made_policy="" status=0 name uri
    dir=$(mktemp -d)
    apt-get update -q
    name=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    if [[ "$name" == bookworm && " $* " == *" valkey-server "* ]]; then
        uri=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $name" "Identifier: Packages" | head -n 1)
        printf 'deb %s %s main\n' "$uri" "$name" "$uri" "$name-backports" >"$dir/sources.list"
        mkdir -p "$dir/lists/partial"
        options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/lists")
        # Where the files are fetched by another user, it must get there.
        chmod -R 755 "$dir"
        apt-get update -q "${options[@]}"
    fi
    if [[ ! -e "$policy" ]]; then
        made_policy=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${options[@]}" "$@" || status=$?
    [[ -z "$made_policy" ]] || rm -f "$policy"
    rm -rf "$dir"
    return "$status"
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

# Starts a server of a name, with a program and more options; answers in $port. Another program may take a port between the look
# and the start: hence a few tries.
launch() {
    local name=$1 program=$2 try pid
    shift 2
    for try in 1 2 3 4 5; do
        port=$(free_port)
        mkdir -p "$servers_dir/$name"
        "$program" --bind 127.0.0.1 --port "$port" --dir "$servers_dir/$name" --save "" --appendonly no \
            --maxmemory-policy noeviction --daemonize no "$@" >"$servers_dir/$name.log" 2>&1 &
        pid=$!
        redis_pids+=("$pid")
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            if grep -qi "ready to accept connections" "$servers_dir/$name.log"; then
                return
            fi
            sleep 0.1
        done
        kill "$pid" 2>/dev/null || true
    done
    echo "the private server $name did not start after $try tries; its log:" >&2
    cat "$servers_dir/$name.log" >&2
    exit 1
}

# Sends commands to a server, one an argument, and shows the answers.
say() {
    local port=$1 connection
    shift
    exec {connection}<>"/dev/tcp/127.0.0.1/$port"
    printf '%s\r\n' "$@" QUIT >&"$connection"
    timeout 5 cat <&"$connection"
    exec {connection}>&-
}

# Three masters, each with a third of the slots.
start_cluster() {
    local port ports=() buses=() bus place from
    for place in 0 1 2; do
        bus=$(free_port)
        launch "cluster-$place" "$(find_redis)" --cluster-enabled yes --cluster-port "$bus"
        ports+=("$port")
        buses+=("$bus")
        from=$((place * 5462))
        say "$port" "CLUSTER SET-CONFIG-EPOCH $((place + 1))" \
            "CLUSTER ADDSLOTSRANGE $from $((place == 2 ? 16383 : from + 5461))" >/dev/null
    done
    for place in 1 2; do
        say "${ports[0]}" "CLUSTER MEET 127.0.0.1 ${ports[place]} ${buses[place]}" >/dev/null
    done
    for port in "${ports[@]}"; do
        for _ in $(seq 200); do
            [[ "$(say "$port" "CLUSTER INFO")" != *cluster_state:ok*cluster_known_nodes:3* ]] || continue 2
            sleep 0.1
        done
        echo "the private cluster did not come together: $(say "$port" "CLUSTER INFO")" >&2
        exit 1
    done
    export DESKHAND_TEST_CLUSTER_URL="redis+cluster://127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}"
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

make_servers_dir() {
    servers_dir=$(mktemp -d "${TMPDIR:-/tmp}/deskhand-test.XXXXXX")
    chmod 711 "$servers_dir"
}

start_servers() {
    local port
    make_servers_dir
    if [[ -z "${DESKHAND_TEST_REDIS_URL:-}" ]]; then
        launch redis "$(find_redis)" --databases 64
        export DESKHAND_TEST_REDIS_URL="redis://127.0.0.1:$port"
    fi
    if wants_valkey; then
        launch valkey valkey-server
        export DESKHAND_TEST_VALKEY_URL="redis://127.0.0.1:$port"
    fi
    [[ -n "${DESKHAND_TEST_CLUSTER_URL:-}" ]] || start_cluster
    [[ -n "${DESKHAND_TEST_POSTGRES_URL:-}" ]] || start_postgres
}

stop_servers() {
    local data="$servers_dir/postgres" pid
    for pid in "${redis_pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    redis_pids=()
    # pg_ctl stops the process whose id the server wrote into its own directory, no other.
    if [[ -n "$servers_dir" && -f "$data/postmaster.pid" ]]; then
        as_postgres "$(find_postgres_bin)/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    if [[ -n "$servers_dir" ]]; then
        rm -rf "$servers_dir"
        servers_dir=""
    fi
}
