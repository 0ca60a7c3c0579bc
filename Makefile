# One door for everything; `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.tools/cargo/bin:$(PATH)

PROTO_OUT := libs/hansa/src
RUN := uv run --no-sync
CLIENTS := tests/integration/clients
IMAGE ?= hansa:latest
UP ?=

.PHONY: help setup up down test unit integration conformance chaos lint fmt proto kernel bench bench-kernel bench-figures bench-worst-case sim-report docs image

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "\033[36m%-12s\033[0m %s\n", $$1, $$2}'

setup: ## install what is missing and build the kernel
	@scripts/setup

up: setup ## start a local consortium of four members (options: make up UP="--engine poa")
	@$(RUN) hansa up $(UP)

down: setup ## stop it (and wipe it: make down UP=--wipe)
	@$(RUN) hansa down $(UP)

# `npm ci` wants packages of every platform in the lock; versions are exact in package.json as well.
$(CLIENTS)/node_modules/.ready: $(CLIENTS)/package-lock.json
	@if command -v npm >/dev/null; then cd $(CLIENTS) && npm install --no-save --no-audit --no-fund --loglevel=error && touch node_modules/.ready; \
	else echo "npm is missing: tests with ethers, viem, cast, forge and solc are skipped"; fi

clients: $(CLIENTS)/node_modules/.ready

test: setup clients ## all tests, as CI runs them
	cd kernel && cargo test --profile kernel-dev --quiet
	$(RUN) pytest kernel/tests libs services sim tests

unit: setup ## only the fast tests
	$(RUN) pytest kernel/tests libs services sim tests/tidy

integration: setup clients ## real consortia, real clients
	$(RUN) pytest tests/integration

conformance: setup ## every public test of Ethereum with every runner, whole public chains; writes docs/internals/conformance.md
	cd kernel && cargo build --profile kernel-dev --quiet --example random_chains
	$(RUN) python tests/conformance/report.py
	HANSA_CONFORMANCE=1 $(RUN) pytest tests/conformance --timeout 3600

chaos: setup clients ## every fault ten times; writes docs/internals/reliability.md
	HANSA_CHAOS_ROUNDS=10 $(RUN) pytest tests/chaos --timeout 7200

sim-report: setup ## go on with the simulation campaign (MINUTES=60: so long); writes docs/internals/simulation.md
	$(RUN) hansa sim report --work-minutes $(or $(MINUTES),0)

lint: setup ## ruff, mypy, clippy, buf, generated files, licences
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	@for package in libs/hansa services/* sim; do MYPYPATH=$$package/tests $(RUN) mypy $$package || exit 1; done
	cd kernel && cargo clippy --profile kernel-dev --all-targets --quiet -- -D warnings && cargo fmt --check
	scripts/proto --check
	$(RUN) python scripts/licences.py
	@if command -v npx >/dev/null; then cd proto && npx --yes @bufbuild/buf@1.75.0 lint; else echo "npx is missing: buf lint skipped"; fi

fmt: setup ## format Python and Rust
	$(RUN) ruff format .
	$(RUN) ruff check --fix .
	cd kernel && cargo fmt

proto: setup ## generate the gRPC stubs into libs/hansa (never edited by hand)
	scripts/proto

kernel: ## build the kernel into the environment
	@touch kernel/pyproject.toml && scripts/setup

bench: setup clients ## throughput and latency beside anvil, with plots in bench/results
	$(RUN) python bench/compare.py

bench-kernel: setup ## the kernel beside bare revm: medians, ratios and a plot in bench/results
	$(RUN) python bench/kernel.py

bench-figures: setup ## the wish list's figures beside ours, with plots: docs/internals/wish-list-figures.md
	$(RUN) python bench/wish_list.py
	$(RUN) python bench/figures.py

bench-worst-case: setup ## gas per second of every opcode, precompile and attack in its worst form, into bench/results
	$(RUN) python bench/worst_case.py

docs: setup ## generated reference pages
	$(RUN) python scripts/reference.py
	$(RUN) python observability/dashboards.py

image: ## the container image (BASE_IMAGE, WHEELS: see Dockerfile)
	docker build -t $(IMAGE) .
