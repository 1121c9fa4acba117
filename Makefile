# Everything a developer runs. It needs Python 3.11 or newer and make; the rest is installed into .venv.

PYTHON ?= python3
ARGS ?=
# Test processes: tests wait for clocks, disks and processes as long as they compute, on two cores.
PROCESSES ?= 4
# How many times as often as usual randomized tests try.
EFFORT ?= 1
export FLEETROLL_EFFORT ?= $(EFFORT)

BIN := .venv/bin
RUNTIME := .venv/.runtime-stamp
DEV := .venv/.dev-stamp

# Only what the locks name, only with the hashes they name, and only wheels, but for nkeys, which has none. It is
# built with the tools of the first lock: in isolation pip would fetch tools that no lock pins.
# The pip of Debian 12 would warn of a change in how it caches nkeys.
PIP := $(BIN)/python -W ignore:DEPRECATION -m pip --disable-pip-version-check --no-input --quiet
INSTALL := $(PIP) install --require-hashes --only-binary :all: --no-binary nkeys --no-build-isolation
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-postgres mutants check format bench bench-postgres lock clean

help: ## Print this list
	@echo 'make <target> [ARGS="..."]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(RUNTIME) ## Install and start the server; ARGS are those of `fleetroll serve`
	@$(BIN)/fleetroll serve $(ARGS)

test: check ## Check, then run the tests; ARGS are those of pytest
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

test-postgres: $(DEV) ## Run the tests with PostgreSQL behind every server; ARGS are those of pytest
	FLEETROLL_TEST_ENGINE=postgres $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

mutants: $(DEV) ## Break the sources in one place after the other and see that tests notice; ARGS are words of what to break
	@$(BIN)/python -m tests.mutants $(ARGS)

check: $(DEV) ## Check format, style, types and layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(DEV) ## Format the code and repair what can be repaired
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(DEV) ## Measure; ARGS are those of the benchmark
	@$(BIN)/python -m bench $(ARGS)

bench-postgres: $(DEV) ## Measure on PostgreSQL; ARGS are those of the benchmark
	@$(BIN)/python -m bench.postgres $(ARGS)

lock: $(DEV) ## Write requirements/*.txt anew; ARGS="--upgrade" takes newer versions
	$(LOCK) --group build --output-file requirements/build.txt $(ARGS)
	$(LOCK) pyproject.toml --group build --constraint requirements/build.txt --output-file requirements/runtime.txt $(ARGS)
	$(LOCK) pyproject.toml --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt $(ARGS)

clean: ## Remove the environment, the caches and what was built
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache bench/out dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that venv installs, so an environment that was cut short is made anew.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Fleetroll needs Python 3.11 or newer: install it, or name one with make PYTHON=/path/to/python3.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python cannot make virtual environments: install its venv package (on Debian: apt-get install python3-venv).' >&2; exit 1; }
	@echo 'Making .venv'
	@$(PYTHON) -m venv --clear .venv

$(RUNTIME): requirements/build.txt requirements/runtime.txt pyproject.toml | $(BIN)/pip
	@echo 'Installing what Fleetroll runs on'
	@$(INSTALL) --requirement requirements/build.txt
	@$(INSTALL) --requirement requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# After the runtime, never beside it: two installs at once would damage the environment.
$(DEV): requirements/dev.txt $(RUNTIME)
	@echo 'Installing what Fleetroll is developed with'
	@$(INSTALL) --requirement requirements/dev.txt
	@touch $@
