# `make demo` and `make test` do all their own set-up. Python 3.11 or newer and make are all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help install install-dev demo demo-once test test-long lint lock bench reliability screenshots clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed; set PYTHON=python3.x"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements-dev.lock
	touch $@

install: $(VENV)/.installed ## What the exchange needs
install-dev: $(VENV)/.installed-dev ## What its tests need as well

demo: install ## Both systems in a box, the exchange between them, every flow played; Ctrl-C stops it
	$(BIN)/sync-worker demo

demo-once: install ## The same, and stop afterwards; fails if any flow did not arrive
	$(BIN)/sync-worker demo --once

lint: install-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## Everything but the long trials, with coverage
	./tests/debian-packages
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long" --cov --cov-report=term
	$(BIN)/coverage report --include='sync_worker/domain/*,sync_worker/entities/*,sync_worker/contract.py' --fail-under=100

test-long: install-dev ## Random histories and chaos, for hours if need be
	$(BIN)/python -m pytest -m long

bench: install-dev ## Every benchmark, one after another
	$(BIN)/python -m benchmarks

reliability: install-dev ## Every reliability trial at full size; writes docs/reliability.md
	$(BIN)/python -m tests.trials

screenshots: install-dev ## The pictures of the tab in docs/screenshots, taken by its browser tests
	./tests/debian-packages
	SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser/test_desk.py

lock: ## Resolve the dependencies anew (needs uv: pip install uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build -o requirements.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
