# Everything there is to do here, a line of help each.
SHELL := /bin/bash
# A fresh Rust installation is often not in the PATH yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test soak check bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and serve on http://127.0.0.1:8480 with embedded storage in ./data; prints the address and the token
	@scripts/need.sh
	cargo run --bin deskhand -- serve

test: ## run all tests on private Redis, Valkey and PostgreSQL servers; TEST_ONLY=sqlite runs without servers
	@scripts/need.sh
	scripts/test.sh

soak: ## the long faults: processes killed and stopped under load while the stores are measured; SOAK_MINUTES=3
	@scripts/need.sh
	scripts/test.sh cargo test -p deskhand-jobs --test it --locked -- --ignored --nocapture --test-threads 1 soak_of

check: ## formatting, lints and documentation, warnings denied
	@scripts/need.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

bench: ## measure a release build on private servers; fails if it became slower beside the bare Redis; BENCH_JOBS=200000
	@scripts/need.sh
	scripts/bench.sh

clean: ## remove what was built; ./data stays
	cargo clean
