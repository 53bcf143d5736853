SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := setup

# Byte code makes every start of the command faster; a user's pip or import settings must not leak into .venv.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH
unexport PYTHONHOME
unexport PIP_USER
unexport PIP_TARGET
unexport PIP_PREFIX
unexport PIP_REQUIRE_VIRTUALENV
export PIP_DISABLE_PIP_VERSION_CHECK := 1

ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3; do \
	"$$p" -c '$(ENOUGH)' >/dev/null 2>&1 && { echo "$$p"; exit; }; done; echo python3)
BIN := .venv/bin
STAMP := .venv/.setup-done

.PHONY: setup test test-long lint types imports dependencies unit rooms agents test-agents agents-page demo bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c '$(ENOUGH)' || { echo "Python 3.11 or newer with venv is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(BIN)/python -c '$(ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	# The file names everything there is: resolving again would let a newer release stand beside a pinned one
	# (pip 23.2 takes the newest `coverage[toml]` although `coverage` is pinned, and then refuses it).
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --quiet
	$(BIN)/python -m compileall -q .venv/lib orchestrator
	@touch $@

# One after another, cheapest first: the first failing gate is the one to look at.
test: setup
	$(MAKE) lint
	$(MAKE) types
	$(MAKE) imports
	$(MAKE) dependencies
	$(MAKE) unit
	$(MAKE) rooms

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

dependencies: setup
	$(BIN)/deptry .

# The command's many starts under test write no byte code: without it each would compile what changed again.
unit: setup
	$(BIN)/python -m compileall -q orchestrator
	$(BIN)/python -m pytest -n 2 --cov --cov-report=

rooms: setup
	$(BIN)/coverage report --fail-under=85
	@mkdir -p build
	$(BIN)/coverage json --quiet -o build/coverage.json
	$(BIN)/python tools/coverage_rooms.py build/coverage.json

test-long: setup
	$(BIN)/python -m pytest -m long

# The network is needed here alone: what cannot be installed is recorded, and its tests are skipped.
agents: setup
	$(BIN)/python -m tests.real.installing

test-agents: setup
	$(BIN)/python -m tests.real

agents-page: setup
	$(BIN)/python -m tests.real.page --take

demo: setup
	$(BIN)/python tools/demo.py

bench: setup
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .grimp_cache
	find orchestrator tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
