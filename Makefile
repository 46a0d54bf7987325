# Gossamer: make up, make test, make lint, make bench, make fuzz, make interop,
# make sim. ARGS= is passed on.
# Everything works on a fresh clone with Python 3.11+, a C compiler, make and PyPI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := PYTHONPATH=build/tree $(BIN)/python
ARGS ?=
TOPOLOGY ?= three-clouds

SOURCES := $(shell find mesh auth operator -name '*.pyx' -o -name '*.pxd' 2>/dev/null)

.PHONY: up test lint bench fuzz interop sim asan build setup format clean wheel

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'gossamer needs Python 3.11 or newer: make PYTHON=python3.12')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip 'setuptools>=80' 'cython>=3.1' wheel
	$(BIN)/python -m pip install -q --no-build-isolation -e '.[test,lint,control]'
	touch $@

# The engine is compiled in place; only what changed is compiled again.
build/.built: $(VENV)/.installed setup.py $(SOURCES)
	mkdir -p build
	$(BIN)/python setup.py -q build_ext --inplace -j2 >build/build.log 2>&1 || { cat build/build.log; exit 1; }
	touch $@

build: build/.built

up: build
	$(BIN)/gossamer up $(TOPOLOGY) $(ARGS)

test: build
	$(RUN) -m pytest -n 2 --dist loadfile -q $(ARGS) tests || \
	{ test $$? -eq 1 && echo "once more, one by one, what failed beside the others:" && \
	$(RUN) -m pytest -q --last-failed --last-failed-no-failures none $(ARGS) tests; }

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p gossamer
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint mesh
	$(BIN)/codespell
	PYTHONPATH=build/tree $(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: build
	$(RUN) bench/run.py $(ARGS)

fuzz: build
	$(RUN) fuzz/run.py $(ARGS)

asan: build
	$(RUN) tools/asan.py $(ARGS)

# Witnesses that are not on PyPI (nats CLI, nsc, other clients) skip with the reason where they are missing.
# SOAK_S=600 adds ten minutes of traffic through a mixed supercluster; INTEROP_CONTROLS=1 proves the pairings' checks.
interop: build
	WHOLE_TOURS=1 $(RUN) -m pytest -q -rs tests/foreign tests/routes tests/topologies tests/interop $(ARGS)

# Meshes broken on purpose: SEEDS=1000 sweeps over all scenarios; SCENARIO=chaos SEED=7 replays one run.
sim: build
	$(RUN) -m gossamer.mesh.sim $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SEED),--seed $(SEED)) $(ARGS)

wheel: setup
	$(BIN)/python -m pip install -q build
	$(BIN)/python -m build

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find mesh auth operator -name '*.so' -delete
