#!/usr/bin/env bash
# Says what is missing to build, and the cure. Answers with 1 if something is.
set -euo pipefail

missing=0
if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust 1.94 or newer (https://rustup.rs), open a new shell, and repeat" >&2
    missing=1
fi
if ! command -v cc >/dev/null; then
    echo "a C compiler is missing (SQLite is compiled in): on Debian run 'apt-get install build-essential', and repeat" >&2
    missing=1
fi
exit "$missing"
