# A fresh clone needs two commands: `make demo` and `make test`. Both call `setup` first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKSPACE ?= workspace
PORT ?= 7860
ARGS ?=

export GRADIO_ANALYTICS_ENABLED := False
export HF_HUB_DISABLE_TELEMETRY := 1
# Torch threads that wait for one another on a busy machine are far slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test e2e check format serve bench clean

help:
	@echo "make demo    set up, run the whole loop on the tiny model, serve the app (ARGS=\"--no-serve --rounds 2\")"
	@echo "make test    set up, run every test (browser tests where Chromium is installed)"
	@echo "make check   set up, lint, check the format and the types"
	@echo "make serve   serve WORKSPACE=$(WORKSPACE) on PORT=$(PORT)"
	@echo "make bench   votes over HTTP, page speed and the training step, measured"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11")'
	@date +%s > .setup-started
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev]"
	@echo $$(( $$(date +%s) - $$(cat .setup-started) )) > $(STAMP); rm -f .setup-started

demo: setup
	VIDPREF_INSTALL_SECONDS=$$(cat $(STAMP)) $(BIN)/vidpref demo $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

e2e: setup
	$(BIN)/python -m pytest -m e2e $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

serve: setup
	$(BIN)/vidpref serve --workspace $(WORKSPACE) --port $(PORT) $(ARGS)

bench: setup
	$(BIN)/python benchmarks/votes.py $(ARGS)
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/dpo_step.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
