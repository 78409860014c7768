# make demo: a spiking network on a verified core, with a bitstream and a report.  make test: all quick tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := out/digits

.PHONY: demo test test-all lint clean

demo: $(VENV)/.run-stamp
	$(BIN)/lamina flow examples/digits.nir --target icebreaker --data digits -o $(DEMO)

test: lint
	$(BIN)/python -m pytest -m "not long"

test-all: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.test-stamp
	$(BIN)/ruff check

clean:
	rm -rf out build *.egg-info .pytest_cache .ruff_cache .hypothesis

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("needs Python 3.11: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.test-stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet -e '.[test]'
	touch $@ $(VENV)/.run-stamp
