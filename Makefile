# Every target sets up what it needs from nothing but python3 and make, and does no work twice.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
# TORCH_INDEX=https://... takes PyTorch from another wheel index, for instance one that serves CPU builds.
TORCH_INDEX ?=
INDEX   := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(INDEX)
OUT     ?= runs/quickstart
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help study test lint bench docs clean

help:
	@echo "make study   train the quickstart study and write $(OUT)/report.html"
	@echo "make test    run all tests        make lint    ruff, mypy, import-linter"
	@echo "make bench   ratios of speed      make docs    build the documentation in site/"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first: a later package asking for 'torch' must find the pinned build already there.
$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base tests/libraries.txt
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps --requirement tests/libraries.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(PIP) --editable '.[docs]'
	@touch $@

study: $(VENV)/.base
	@$(BIN)/lossatlas study run quickstart --out $(OUT)

# Tests are many and their tensors small: a process per core with one thread each, instead of threads that wait.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
