# `make` lists what there is. Python is all that `make demo` and `make check` need.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
ARGS ?=
PY := $(VENV)/bin/python

# One line for each package would bury what matters: a dot each, and pip's errors as they are. Most modules are never
# imported: compiling them all beforehand would take as long as the rest.
PIP_INSTALL = set -o pipefail; $(PY) -m pip install --disable-pip-version-check --no-input --progress-bar off --no-compile
DOTS := | awk '/^Collecting/ { printf "."; fflush() } END { print " done" }'

# Some images set it; then each of the many processes of the tests compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# What ARGS name may be of one half of the tests only: that the other half has none is no failure.
NONE := [ $$? = 5 ]

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  ARGS=... is handed on, as in: make test ARGS='tests/core -k breaker'"

demo: $(VENV)/runtime.stamp ## a company of pipelines with faults, everything embedded (needs Python only)
	@$(VENV)/bin/detector demo $(ARGS)

test: $(VENV)/dev.stamp ## all tests, with a real Kafka, Schema Registry, Redis and Airflow where the machine can have them
	@$(PY) -m pytest -m "not integration" -n auto --dist worksteal -q $(ARGS) || $(NONE)
	@$(PY) -m pytest -m integration $(ARGS) || $(NONE)

check: $(VENV)/dev.stamp ## format, lint, types and the quick tests, which need no services: within a minute on two cores
	@$(VENV)/bin/ruff format --check --quiet . || { echo "make format lays it out"; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@$(PY) -m pytest -m "not integration and not slow" --hypothesis-profile quick -n auto --dist worksteal -q $(ARGS)

format: $(VENV)/dev.stamp ## lay the code out and mend what the linter can
	@$(VENV)/bin/ruff check --quiet --fix-only .
	@$(VENV)/bin/ruff format .

golden: $(VENV)/dev.stamp ## rewrite the expected files below tests/golden: review the diff like code
	@$(PY) -m pytest tests/golden --update-golden -p no:randomly $(ARGS)
	@git --no-pager diff --stat -- tests/golden

bench: $(VENV)/dev.stamp $(VENV)-bench/bench.stamp ## speed, side by side with what one would run instead
	@BENCH_PYTHON=$(VENV)-bench/bin/python $(PY) -m bench $(ARGS)

bench-detection: $(VENV)/dev.stamp $(VENV)-bench/bench.stamp ## does it find faults? baselines side by side, see docs/benchmarks.md
	@BENCH_PYTHON=$(VENV)-bench/bin/python $(PY) -m bench.detection $(ARGS)

lock: $(VENV)-lock/lock.stamp ## resolve the dependencies again into the lock files (UPGRADE=--upgrade for newer ones)
	@$(VENV)-lock/bin/uv $(LOCK) pyproject.toml --extra server --extra profile -o requirements.lock
	@$(VENV)-lock/bin/uv $(LOCK) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	@$(VENV)-lock/bin/uv $(LOCK) --group bench -o requirements-bench.lock
	@printf 'hatchling\neditables\n' | $(VENV)-lock/bin/uv $(LOCK) - -o requirements-build.lock

clean: ## remove the virtual environments and everything built
	@rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo test check format golden bench bench-detection lock clean

# --universal: one lock for Python 3.11 to 3.13, Linux and macOS. No address of an index is kept in it.
UPGRADE ?=
LOCK = pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --no-emit-find-links $(UPGRADE)

# The first Python that runs (a shim may exist and refuse), is supported, and can make environments.
PROBE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
define FIND_PYTHON
for python in $${PYTHON:-python3.11 python3.12 python3.13 python3}; do \
	if "$$python" -c "$(PROBE)" >/dev/null 2>&1; then break; fi; python=""; \
done; \
if [ -z "$$python" ]; then \
	echo "Detector needs Python 3.11, 3.12 or 3.13 with the venv module (on Debian: apt install python3-venv);"; \
	echo "name another with: make PYTHON=/path/to/python3.12"; exit 1; \
fi
endef

$(VENV)/venv.stamp $(VENV)-bench/venv.stamp $(VENV)-lock/venv.stamp:
	@$(FIND_PYTHON); \
	echo "Making $(@D) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(@D) && touch $@

INSTALL_PROJECT = $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

$(VENV)/runtime.stamp: requirements.lock requirements-build.lock pyproject.toml $(VENV)/venv.stamp
	@printf 'Installing Detector into $(VENV), once '
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements.lock -r requirements-build.lock $(DOTS)
	@$(INSTALL_PROJECT)
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock requirements-build.lock pyproject.toml $(VENV)/venv.stamp
	@printf 'Installing Detector and its test tools into $(VENV), once '
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements-dev.lock -r requirements-build.lock $(DOTS)
	@$(INSTALL_PROJECT)
	@touch $@ $(VENV)/runtime.stamp

$(VENV)-bench/bench.stamp: PY := $(VENV)-bench/bin/python
$(VENV)-bench/bench.stamp: requirements-bench.lock $(VENV)-bench/venv.stamp
	@printf 'Installing what the benchmark compares with into $(VENV)-bench, once '
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements-bench.lock $(DOTS)
	@touch $@

$(VENV)-lock/lock.stamp: $(VENV)-lock/venv.stamp
	@$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@
