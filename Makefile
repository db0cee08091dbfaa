# Users need `make demo` and `make test`. The other targets are for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# There from the first to the last step of set-up, with the second at which it began.
STARTED := $(VENV)/.started

# The address of PyTorch's CPU builds, as its page on installation gives it, where pip would fetch one with CUDA.
TORCH_INDEX ?=
# The pinned versions; LOCK= takes the newest that pyproject.toml allows.
LOCK ?= requirements.lock
# pip would write byte code on one processor; compileall does so on all of them.
PIP_INSTALL := $(BIN)/python -m pip install --no-compile --disable-pip-version-check \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
ELAPSED = $$(( $$(date +%s) - $$(cat $(STARTED)) )) s

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage check oracles oldest newest mutants trust same bench frontier docs weights clean

help: ## print this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## create a virtual environment for this project, from the lock file

$(READY): requirements.lock pyproject.toml
	@found=$$($(PYTHON) -c 'import sys; print("Python %d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))' \
	  2>/dev/null) || { echo "set-up: found $${found:-no program $(PYTHON)}, expected Python 3.11 or newer;" \
	  "name it, e.g. make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@if [ -e $(STARTED) ]; then echo "set-up: $(VENV) is half made, so it is made anew"; rm -rf $(VENV); fi
	@mkdir -p $(VENV) && date +%s > $(STARTED)
	@echo "set-up 1 of 4: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "set-up 2 of 4: the libraries, PyTorch the largest (after $(ELAPSED))"
	@$(PIP_INSTALL) $(if $(LOCK),-r $(LOCK),'.[dev]' 'setuptools>=77')
	@echo "set-up 3 of 4: this package (after $(ELAPSED))"
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@echo "set-up 4 of 4: byte code, so that programs start at once (after $(ELAPSED))"
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || :  # some hold files for other Pythons
	@echo "set-up: done after $(ELAPSED)"
	@rm $(STARTED) && touch $@

demo: $(READY) ## run the full pipeline on simulated data and write a report; under 5 minutes on 2 cores
	$(BIN)/convnet-galaxies demo -o demo-output

# COVERAGE=1 measures it, programs and workers that tests start included.
COVERAGE ?=
COVERED := $(VENV)/coverage.json

test: $(READY) ## run the tests, under 8 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist worksteal $(if $(COVERAGE),--cov --cov-report=json:$(COVERED) --cov-fail-under=0)
	$(if $(COVERAGE),$(BIN)/python trust/coverage_by_module.py $(COVERED))
	$(if $(COVERAGE),@$(BIN)/coverage report --format=total)

coverage: ## run the tests, and measure the lines and branches that they cover, of each module
	$(MAKE) test COVERAGE=1

check: $(READY) ## check format, lint, types, layers, generated docs
	$(BIN)/ruff format --check src tests benchmarks trust weights
	$(BIN)/ruff check src tests benchmarks trust weights
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m convnet_galaxies.cli.reference --check docs/commands.md
	$(BIN)/python -m convnet_galaxies.library.reference --check docs/api.md

docs: $(READY) ## write docs/commands.md and docs/api.md again
	$(BIN)/python -m convnet_galaxies.cli.reference docs/commands.md
	$(BIN)/python -m convnet_galaxies.library.reference docs/api.md

oracles: $(READY) ## compare with timm and lenstronomy, in an environment of their own
	$(PYTHON) -m venv $(VENV)-oracles
	$(VENV)-oracles/bin/pip install --quiet --disable-pip-version-check -r requirements.lock lenstronomy huggingface_hub
	$(VENV)-oracles/bin/pip install --quiet --disable-pip-version-check --no-deps timm
	$(VENV)-oracles/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(VENV)-oracles/bin/python -m pytest -m oracle

# Pythons in whose environments the tests pass, with the lowest and with the newest libraries; others are passed over.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
WORKERS ?= 2
TRY = command -v $$python >/dev/null && $$python -c '' 2>/dev/null || { echo "$$python: not there, passed over"; continue; }

# Old libraries use what newer ones that they stand on have deprecated, so warnings are no errors there.
oldest: $(READY) ## test with the lowest versions that pyproject.toml allows, on every Python; an hour each
	@$(BIN)/python trust/floors.py > $(VENV)/floors.txt
	@for python in $(PYTHONS); do $(TRY); echo "== $$python, lowest versions"; \
	  $$python -m venv --clear $(VENV)-oldest && \
	  $(VENV)-oldest/bin/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	    -r $(VENV)/floors.txt 'setuptools>=77' && \
	  $(VENV)-oldest/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	  $(VENV)-oldest/bin/python -m pytest -n $(WORKERS) --dist worksteal -W default || exit 1; done

newest: ## test with the newest versions that pyproject.toml allows, on every Python; an hour each
	@for python in $(PYTHONS); do $(TRY); echo "== $$python, newest versions"; \
	  $$python -m venv --clear $(VENV)-newest && \
	  $(VENV)-newest/bin/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	    --upgrade '.[dev]' 'setuptools>=77' && \
	  $(VENV)-newest/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	  $(VENV)-newest/bin/python -m pytest -n $(WORKERS) --dist worksteal || exit 1; done

# Which mutants, e.g. MUTANTS='convnet_galaxies.measure.intervals*'; all of them without.
MUTANTS ?=
mutants: $(READY) ## test the tests with mutmut, in an environment of their own; an hour or two on 2 cores
	$(PYTHON) -m venv $(VENV)-mutants
	$(VENV)-mutants/bin/pip install --quiet --disable-pip-version-check -r requirements.lock mutmut==3.8.1
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)-mutants/bin/mutmut run $(MUTANTS)
	@$(VENV)-mutants/bin/mutmut results --all true | sed -E 's/\.x[^.]*__mutmut_[0-9]+:/:/' | sort | uniq -c

# Damaged inputs per kind of file; kills over all commands; steps of each command at which it is killed, and fails.
INPUTS ?= 10000
KILLS ?= 200
STEPS ?= 12

trust: $(READY) ## kill, starve and collide every command, cut the power, read damaged inputs; an hour on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python trust/break_commands.py --kills $(KILLS) --steps $(STEPS)
	OMP_NUM_THREADS=1 $(BIN)/python trust/power_cuts.py
	$(BIN)/python trust/fuzz_readers.py --inputs $(INPUTS)

same: $(READY) ## compare the bytes of outputs for 1, 2 and 7 threads and workers; a few minutes
	$(BIN)/python trust/same_bytes.py

bench: $(READY) ## run all benchmarks; results in benchmarks/results
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done
	$(BIN)/python benchmarks/table.py && $(BIN)/python benchmarks/table.py README.md

DATA ?= ../shared/data
frontier: $(READY) ## measure and plot RMSE against seconds of training, on real images in DATA; hours without bf16
	$(BIN)/python benchmarks/bench_frontier.py --data $(DATA)/galaxy-zoo --budget 36000

weights: $(READY) ## train the weights that ship with the package again, from real images in DATA; one to several hours
	$(BIN)/python weights/build.py $(DATA) weights-work all

clean: ## remove what make made
	rm -rf $(VENV) $(VENV)-oracles $(VENV)-mutants $(VENV)-oldest $(VENV)-newest mutants demo-output .coverage* .pytest_cache .mypy_cache .ruff_cache
