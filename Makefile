# Targets of a checkout, for users and CI. Needs python3 (3.11 to 3.13) with venv, make and the
# network; no root or Docker. `make help` lists the targets.
# A target that installs leaves a stamp file, so that a second call has nothing to do.

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev servers demo ui test test-fast matrix check format bench bench-quick chaos deaths fuzz lock container-test clean

VENV := .venv
BIN := $(VENV)/bin
UI_PORT ?= 3000
# Each process starts its own servers. Three even on two cores, since much of the time is waiting.
TEST_PROCESSES ?= 3
DAGSTER_HOME := $(CURDIR)/.dagster_home

# The first Python with wheels for all locked packages; choose another with PYTHON=...
WANTED := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(WANTED)' 2>/dev/null && echo $$p && break; done)

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(VENV)/.runtime ## install the product and its dependencies into .venv
setup-dev: $(VENV)/.dev ## also install the dependencies of tests and checks

$(BIN)/uv: requirements-build.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with venv found. On Debian and Ubuntu:" \
		"apt-get install python3 python3-venv; or choose one: make setup PYTHON=/path/to/python3.12"; exit 1; }
	@echo "==> $(VENV), from $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "This Python cannot create a virtual environment: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# An installed development lock stays: it contains the runtime lock.
# Bytecode is compiled at install time, since Dagster starts a process for every run.
$(VENV)/.runtime: requirements.lock requirements-dev.lock pyproject.toml $(BIN)/uv
	@lock=requirements.lock; if [ -e $(VENV)/.dev ]; then lock=requirements-dev.lock; fi; \
	$(MAKE) --no-print-directory install LOCK=$$lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(BIN)/uv
	@$(MAKE) --no-print-directory install LOCK=requirements-dev.lock
	@touch $(VENV)/.runtime $@

.PHONY: install
install:
	@echo "==> $$(grep -c == $(LOCK)) packages of $(LOCK)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode $(LOCK)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps \
		--build-constraints requirements-build.lock --editable .

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@ln -sf ../dagster.yaml $@

demo: export DAGSTER_HOME := $(DAGSTER_HOME)
demo: setup $(DAGSTER_HOME)/dagster.yaml ## create scenes and boundaries, and all assets from them
	@$(BIN)/spatial-assets demo

ui: export DAGSTER_HOME := $(DAGSTER_HOME)
ui: export PATH := $(CURDIR)/$(BIN):$(PATH)
ui: setup $(DAGSTER_HOME)/dagster.yaml ## open Dagster on the demo, or on $SPATIAL_ASSETS_PROJECT
	@echo "==> Dagster on $${SPATIAL_ASSETS_PROJECT:-the demo}: http://127.0.0.1:$(UI_PORT) (Ctrl-C to stop)"
	@exec dagster dev -w workspace.yaml -h 127.0.0.1 -p $(UI_PORT)

servers: setup-dev ## download PostGIS, pgbouncer, Chromium and a STAC API for the tests, if missing
	@echo "==> servers for the tests"
	@$(BIN)/python -m spatial_assets_tests.servers

test: servers ## run all tests on real servers; SPATIAL_ASSETS_SAMPLES: folder of real scenes
	@echo "==> tests"
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder \
		$(PYTEST_ARGUMENTS)

test-fast: setup-dev ## run the tests that need no server, in under two minutes
	@$(BIN)/python -m pytest -n auto -q -m "not servers and not samples" $(FAST:%=spatial_assets_tests/%)
FAST := geo project sensor_profiles catalog/access catalog/stac stores/cube stores/objects test_retries.py

matrix: ## demo, quick tests and 200 deaths of workers on Python 3.11.2 and 3.13 in bare Debians, as root
	.ci/matrix

check: setup-dev ## check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup-dev ## format and fix files for `make check`
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench bench-quick: export SPATIAL_ASSETS_BENCH_PREFECT ?= $(CURDIR)/.tools/prefect/bin/python
bench bench-quick: export SPATIAL_ASSETS_BENCH_ODC_STATS ?= $(CURDIR)/.tools/odc-stats/bin/python
bench: bench-setup ## compare with other tools at full size, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks full

bench-quick: bench-setup ## a smaller comparison in under three minutes
	$(BIN)/python -m benchmarks quick

.PHONY: bench-setup
bench-setup: setup-dev .tools/prefect/.installed .tools/odc-stats/.installed
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-bench.lock

# Contestants whose dependencies conflict with ours each have a virtual environment.
.tools/%/.installed: requirements-%.lock | $(VENV)/.dev
	@echo "==> $*, a contestant of the benchmarks"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .tools/$*
	@$(BIN)/uv pip install --quiet --python .tools/$*/bin/python --no-deps --require-hashes -r $<
	@touch $@

chaos: servers ## run 200 rounds of faults on real servers, with an audit after each
	$(BIN)/python -m chaos $(CHAOS_ARGUMENTS)

deaths: servers ## kill Dagster's services, PostgreSQL and S3 under a run, and report the times
	$(BIN)/python -m chaos.deaths $(DEATHS_ARGUMENTS)

fuzz: setup-dev ## feed thousands of damaged inputs; prints the seed of each finding
	$(BIN)/python -m spatial_assets_tests.fuzz $(FUZZ_ARGUMENTS)

lock: $(BIN)/uv ## upgrade all locked versions; hashes only, so that any package index works
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export $(EXPORT) --no-dev --output-file requirements.lock
	$(BIN)/uv export $(EXPORT) --no-dev --extra dask --output-file requirements-dask.lock
	$(BIN)/uv export $(EXPORT) --group dev --output-file requirements-dev.lock
	$(BIN)/uv export $(EXPORT) --only-group bench --output-file requirements-bench.lock
	$(BIN)/uv export $(EXPORT) --only-group build --output-file requirements-build.lock
	$(BIN)/uv pip compile $(COMPILE) benchmarks/prefect.in --output-file requirements-prefect.lock
	$(BIN)/uv pip compile $(COMPILE) benchmarks/odc-stats.in --no-emit-package gdal \
		--output-file requirements-odc-stats.lock
	$(BIN)/uv pip compile $(COMPILE) spatial_assets_tests/servers/pgstac.in \
		--output-file requirements-pgstac.lock
COMPILE := --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --python-version 3.11
EXPORT := --quiet --frozen --no-emit-project --no-header --format requirements-txt

container-test: ## build the image with buildah, as root
	bash deploy/container_test.sh

clean: ## remove everything installed or built here, except the results of the demo
	rm -rf $(VENV) .tools test-results .*_cache .hypothesis *.egg-info
