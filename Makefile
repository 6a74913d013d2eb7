# `make demo` and `make test` set up what they need themselves; everything else is for people who work on the project.

SHELL := /bin/bash
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin:$(HOME)/.cargo/bin:$(CURDIR)/build/oracles/bin:$(CURDIR)/build/pulumi/bin
BIN := .venv/bin
AS_ROOT := bash setup/as-root.sh "build an emulated network"
PACKAGES := lanecast relay/lanecast_relay templates/lanecast_templates netlab/lanecast_lab infra/lanecast_infra bench/lanecast_bench
DEMO_PLAN := examples/two-sites.yaml
CLOUD_DEMO_PLAN := examples/three-regions.yaml
DEMO_FLAGS :=
BENCH_ROUNDS := 5
BENCH_FLAGS :=
TEST_WORKERS := auto
FUZZ := bash relay/core/fuzz/fuzz.sh
FUZZ_S := 2
SOAK_S := 600
SOAK_KILL_SEEDS := 20

.PHONY: help setup pulumi demo cloud-demo test check rust-test fuzz sanitize soak python-test bench lock clean
.NOTPARALLEL:

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## install what is missing and build
	@bash setup/install.sh

pulumi: setup ## find the Pulumi command, or build it from its sources with Go (six minutes the first time)
	@bash setup/pulumi.sh --if-possible

demo: setup ## run the example of two sites as an emulated network and print its verdict
	$(AS_ROOT) $(BIN)/lanecast lab run $(DEMO_PLAN) --report build/demo $(DEMO_FLAGS)

cloud-demo: setup ## let the real Pulumi make three regions in an emulated cloud, send packets through them, take all down
	@bash setup/pulumi.sh
	$(AS_ROOT) $(BIN)/lanecast lab run $(CLOUD_DEMO_PLAN) --cloud pulumi --report build/cloud-demo $(DEMO_FLAGS)

test: setup check rust-test sanitize fuzz python-test ## linters, types, Rust tests, a little fuzzing, then all Python tests with the lab's

check: setup ## linters, formatters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(PACKAGES) tests hatch_build.py infra/__main__.py
	for each in cloud data_plane infra; do $(BIN)/mypy --strict tests/$$each/*.py || exit 1; done
	$(BIN)/python -m mypy.stubtest lanecast_relay._core
	cargo fmt --all --check
	cargo clippy --quiet --release --workspace --all-targets --locked -- -D warnings
	cargo fmt --check --manifest-path relay/core/fuzz/Cargo.toml
	CARGO_TARGET_DIR=target/fuzz-check cargo clippy --quiet --locked --all-targets --manifest-path relay/core/fuzz/Cargo.toml -- -D warnings

rust-test: setup ## tests of the native crates
	cargo test --quiet --release --workspace --locked

fuzz: setup ## every fuzz target for FUZZ_S seconds
	$(FUZZ) every $(FUZZ_S)

sanitize: setup ## the pure crate's tests under the address sanitizer
	$(FUZZ) sanitize

soak: setup pulumi ## every fuzz target, then the simulator on new seeds, for SOAK_S seconds each, with a table; then runs that are killed
	$(FUZZ) soak $(SOAK_S)
	LANECAST_KILL_SEEDS=$(SOAK_KILL_SEEDS) LANECAST_KILL_FIRST_SEED=$$(date +%s) $(BIN)/python -m pytest -ra tests/infra/test_killed_runs.py

python-test: setup pulumi ## tests of the Python packages and the lab; ARGS go to pytest
	$(AS_ROOT) bash setup/run-tests.sh $(TEST_WORKERS) $(ARGS)

bench: setup ## measure the relay beside others; BENCH_FLAGS=--quick for five minutes, --help for the choices
	$(AS_ROOT) $(BIN)/python -m lanecast_bench run --rounds $(BENCH_ROUNDS) $(BENCH_FLAGS)

lock: ## resolve requirements.lock afresh
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-package lanecast --no-emit-package lanecast-relay --prerelease if-necessary-or-explicit \
	    --custom-compile-command "make lock" --all-extras --group dev --group bench pyproject.toml \
	    --output-file requirements.lock

clean: ## remove what was built
	rm -rf .venv target build 2>/dev/null || bash setup/as-root.sh "remove what the lab wrote" rm -rf .venv target build
