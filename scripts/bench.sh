#!/usr/bin/env bash
# Measures a release build on private servers: Redis without persistence, Redis with an append-only file, SQLite; then the pure parts,
# and the product around the queue.
# Fails if a ratio to the bare Redis of the same run is below its floor (src/bench/guard.rs).
#
#   BENCH_JOBS=200000   how many jobs each measure pushes and drains
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/servers.sh
source scripts/servers.sh

cargo build --release --locked
find_redis >/dev/null || install_servers

trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_servers_dir

fallen=0
measure() {
    echo
    target/release/deskhand bench --jobs "${BENCH_JOBS:-200000}" --queue-url "$@" || fallen=1
}

launch redis "$(find_redis)"
measure "redis://127.0.0.1:$port" --guard
launch append-only "$(find_redis)" --appendonly yes --appendfsync everysec
measure "redis://127.0.0.1:$port" --guard
# On a real disk: the temporary directory may be memory, on which every write is done at once.
mkdir -p target/bench
measure "sqlite://target/bench/queue.db"
echo
cargo bench -p deskhand-jobs --bench pure --locked -- --quiet
echo
scripts/test.sh cargo bench --bench product --locked
exit "$fallen"
