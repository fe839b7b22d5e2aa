# `make` alone lists the verbs. Every verb builds .venv first, from a lock with hashes.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := pricestreamd tests examples tools
WORKERS ?= 2
# Of whole daemons, which wait for a third of the time.
MORE_WORKERS ?= $(shell expr $(WORKERS) + 1)
BESIDE := not browser and not systemd and not alone
# Whole daemons and busy simulators: the loop's debug mode would double what they cost.
REST := $(filter-out tests/unit/ tests/conformance/ tests/__pycache__/,$(wildcard tests/*/))
# The files with tests of a mark: to read all the others takes longer than many of these tests.
marked = $(shell grep -rl --include='test_*.py' 'mark\.$(1)\b' tests)

.DEFAULT_GOAL := help
.PHONY: help venv run test test-browser test-systemd install upgrade rollback uninstall check lint types bench soak soak-daemon calendars lock clean

help:  ## list the verbs
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-binary sdnotify -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: $(STAMP)  ## build .venv with the project and all development tools

run: venv  ## the main job: a simulator, the daemon and its page, no key needed
	@exec $(BIN)/pricestreamd demo

test: venv  ## all tests that need nothing but Python
	$(BIN)/python -m pytest -m "$(BESIDE)" -n $(WORKERS) --dist worksteal -o asyncio_debug=true tests/unit tests/conformance
	$(BIN)/python -m pytest -m "$(BESIDE)" -n $(MORE_WORKERS) --dist worksteal $(REST)
	$(BIN)/python -m pytest -m "alone and not browser and not systemd" $(call marked,alone)

test-browser: venv  ## the live page in a real Chromium; skips with its reason where there is none
	$(BIN)/python -m pytest -m browser $(call marked,browser)

test-systemd: venv  ## install, run and upgrade under a real systemd in a throw-away machine (root); skips with its reason
	$(BIN)/python -m pytest -m systemd tests/systemd

install:  ## as root: this version below /opt/price-stream, with units, manual and a sample configuration
	@deploy/install.sh install

upgrade:  ## as root: install this version beside the one before, switch to it, restart what runs
	@deploy/install.sh upgrade

rollback:  ## as root: back to the release before
	@deploy/install.sh rollback

uninstall:  ## as root: remove it; configuration and state stay (PURGE=1: those, too)
	@deploy/install.sh uninstall

check: lint types  ## format, lint, types, import contracts

lint: venv  ## ruff and the import contracts
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports

types: venv  ## mypy --strict
	$(BIN)/mypy

bench: venv  ## the whole pipeline against its baselines, as ratios of one run
	$(BIN)/python -m tests.bench

soak: venv  ## MINUTES=10 of random faults on 500 symbols, then as long an outage of each destination
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10)
	$(BIN)/python -m tests.soak.outages --minutes $(or $(MINUTES),10)

soak-daemon: venv  ## MINUTES=30 of connections that break under a whole daemon: nothing grows
	$(BIN)/python -m tests.soak.daemon --minutes $(or $(MINUTES),30)

calendars: venv  ## refresh the shipped table of exchange calendars
	$(PYTHON) -m venv .venv-calendars
	.venv-calendars/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/calendars.txt
	.venv-calendars/bin/python -m tools.calendars pricestreamd/feeds/silence/calendar_table.py
	$(BIN)/ruff format pricestreamd/feeds/silence/calendar_table.py

lock: venv  ## refresh requirements/*.txt (hashes, no registry addresses)
	$(BIN)/uv lock --quiet
	$(BIN)/uv export --quiet --no-emit-project --no-dev --all-extras --no-header --format requirements-txt -o requirements/runtime.txt
	$(BIN)/uv export --quiet --no-emit-project --all-extras --no-header --format requirements-txt -o requirements/dev.txt
	rm -f uv.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 requirements/calendars.in -o requirements/calendars.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 -c requirements/dev.txt requirements/build.in -o requirements/build.txt

clean:  ## remove what the verbs built
	rm -rf $(VENV) .venv-calendars dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
