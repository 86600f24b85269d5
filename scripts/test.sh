#!/usr/bin/env bash
# Runs all tests, or the command given as arguments, beside private servers that end with it.
#
#   TEST_ONLY=sqlite      no servers: what needs Redis or PostgreSQL is left out
#   TEST_WITHOUT=valkey   no Valkey: the tests on it are left out
#   DESKHAND_TEST_REDIS_URL, DESKHAND_TEST_CLUSTER_URL, DESKHAND_TEST_VALKEY_URL, DESKHAND_TEST_POSTGRES_URL
#                         that server is used and none started; all that is in it may be lost
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/servers.sh
source scripts/servers.sh

command=("$@")
if [[ ${#command[@]} -eq 0 ]]; then
    command=(cargo test --workspace --locked)
fi

case "${TEST_WITHOUT:-}" in
"" | valkey) ;;
*)
    echo "TEST_WITHOUT=$TEST_WITHOUT means nothing: the only value is 'valkey'" >&2
    exit 2
    ;;
esac

case "${TEST_ONLY:-}" in
sqlite)
    unset DESKHAND_TEST_REDIS_URL DESKHAND_TEST_CLUSTER_URL DESKHAND_TEST_VALKEY_URL DESKHAND_TEST_POSTGRES_URL
    ;;
"")
    install_servers
    trap stop_servers EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    start_servers
    echo "redis: $DESKHAND_TEST_REDIS_URL"
    echo "cluster: $DESKHAND_TEST_CLUSTER_URL"
    echo "valkey: ${DESKHAND_TEST_VALKEY_URL:-left out, because TEST_WITHOUT=valkey}"
    echo "postgresql: $DESKHAND_TEST_POSTGRES_URL"
    ;;
*)
    echo "TEST_ONLY=$TEST_ONLY means nothing: the only value is 'sqlite'" >&2
    exit 2
    ;;
esac

# A process group of its own, so that an interrupted run leaves neither cargo nor a test behind.
set -m
"${command[@]}" &
group=$!
trap 'kill -- "-$group" 2>/dev/null || true; exit 130' INT
trap 'kill -- "-$group" 2>/dev/null || true; exit 143' TERM HUP
status=0
wait "$group" || status=$?
exit "$status"
