#!/usr/bin/env bash
# Runs all tests, or the command given as arguments, beside private servers that end with it.
#
#   TEST_ONLY=sqlite   no servers: what needs Redis or PostgreSQL is left out
#   DESKHAND_TEST_REDIS_URL and DESKHAND_TEST_POSTGRES_URL, both set: those servers are used and none started
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/servers.sh
source scripts/servers.sh

command=("$@")
if [[ ${#command[@]} -eq 0 ]]; then
    command=(cargo test --workspace --locked)
fi

case "${TEST_ONLY:-}" in
sqlite)
    unset DESKHAND_TEST_REDIS_URL DESKHAND_TEST_POSTGRES_URL
    ;;
"")
    if [[ -z "${DESKHAND_TEST_REDIS_URL:-}" || -z "${DESKHAND_TEST_POSTGRES_URL:-}" ]]; then
        install_servers
        trap stop_servers EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        start_servers
    fi
    echo "redis: $DESKHAND_TEST_REDIS_URL"
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
