# What a newcomer types: `make demo`, `make test`. Everything else is for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check oracles bench frontier docs weights clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## a virtual environment of this project's own, from the lock file

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the whole line on simulated data, ending with a report; under 6 minutes on 2 cores
	$(BIN)/convnet-galaxies demo -o demo-output

test: $(READY) ## the tests, under 6 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY) ## format, lint, types, layers, generated docs
	$(BIN)/ruff format --check src tests benchmarks weights
	$(BIN)/ruff check src tests benchmarks weights
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m convnet_galaxies.cli.reference --check docs/commands.md

docs: $(READY) ## write docs/commands.md anew
	$(BIN)/python -m convnet_galaxies.cli.reference docs/commands.md

oracles: $(READY) ## compare with timm and lenstronomy, in an environment of their own
	$(PYTHON) -m venv $(VENV)-oracles
	$(VENV)-oracles/bin/pip install --quiet --disable-pip-version-check -r requirements.lock lenstronomy huggingface_hub
	$(VENV)-oracles/bin/pip install --quiet --disable-pip-version-check --no-deps timm
	$(VENV)-oracles/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(VENV)-oracles/bin/python -m pytest -m oracle

bench: $(READY) ## all benchmarks; results in benchmarks/results
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done
	$(BIN)/python benchmarks/table.py && $(BIN)/python benchmarks/table.py README.md

DATA ?= ../shared/data
frontier: $(READY) ## RMSE against seconds of training, on real images in DATA, and its plot; hours without bf16
	$(BIN)/python benchmarks/bench_frontier.py --data $(DATA)/galaxy-zoo --budget 36000

weights: $(READY) ## train the weights that ship with the package anew, from real images in DATA; an hour or several
	$(BIN)/python weights/build.py $(DATA) weights-work all

clean: ## remove what make made
	rm -rf $(VENV) $(VENV)-oracles demo-output .pytest_cache .mypy_cache .ruff_cache
