# make demo     install, train on the built-in data for three minutes, find sliders, render sounds
# make base     train a model to start others from, fifteen minutes on the built-in data and on
#               DATA="folder folder" (quote names with spaces again); ARGS="trainer.max_time=1h"
# make install  .venv with the locked requirements and timbrel itself
# make test     lint and the fast tests; make lint alone; make bench for speed
#
# PYTHON=python3.12 make ... chooses the interpreter (3.11 to 3.13).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo base install lint test bench

install: $(STAMP)

# uv where it can be had, else pip: the same hashes either way, and compiled, as pip does of itself.
define INSTALL
export UV_PYTHON=$(BIN)/python UV_HTTP_TIMEOUT=180 UV_COMPILE_BYTECODE=1
uv=$$(command -v uv || true)
if [ -z "$$uv" ] && $(BIN)/python -m pip install --quiet uv 2>/dev/null; then uv=$(BIN)/uv; fi
get() { { [ -n "$$uv" ] && "$$uv" pip install --quiet "$$@"; } || $(BIN)/python -m pip install --quiet "$$@"; }
get --require-hashes -r requirements.lock
get --no-deps --require-hashes -r requirements-alone.lock || echo "make: no aisfx here; all else is installed" >&2
isolation=
if $(BIN)/python -c 'import hatchling, editables' 2>/dev/null; then isolation=--no-build-isolation; fi
get --no-deps $$isolation -e .
endef
export INSTALL

$(STAMP): requirements.lock requirements-alone.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) here; install Python 3.11 or name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1); timbrel needs Python 3.11 to 3.13: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "make: cannot make $(VENV); on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) (about 5 GB, once)"
	@bash -eu -o pipefail -c "$$INSTALL"
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -m "not slow" -n 2

demo: install
	$(BIN)/timbrel train experiment=demo
	@run=$$(ls -td outputs/*_demo_*/ | head -n 1); run=$${run%/}; \
	$(BIN)/timbrel analyze run="$$run" profile=quick; \
	$(BIN)/timbrel generate model="$$run" output="$$run/sounds" seed=1 count=4; \
	echo "the page: $$run/report.html  its sounds, in $$run/sounds: $$(cd "$$run/sounds" && echo *.wav)"

base: install
	@also=; for folder in $(DATA); do also="$$also$${also:+,}'$${folder//\'/\\\'}'"; done; \
	run=$(or $(BASE),outputs/$$(date +%Y-%m-%d_%H%M%S)_base); \
	$(BIN)/timbrel train experiment=base "data.also=[$$also]" hydra.run.dir="$$run" $(ARGS) \
	  || { rmdir "$$run" 2>/dev/null; exit 1; }; \
	echo "to start from it: timbrel train data.root=FOLDER init_from=$$run"

bench: install
	$(BIN)/python benchmarks/speed.py
