PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCK := requirements.lock
EXTRAS := dev,docs,gymnasium

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help verify test lint format types imports dependencies docs wheel pytest check-deep lock clean

help:
	@echo "make verify      install what theoryrl needs to run, check the theorems of StepMix, draw figures/"
	@echo "make test        every check: lint, types, imports, dependencies, docs, wheel, pytest"
	@echo "make lint        ruff: rules and formatting      make format      let ruff repair both"
	@echo "make types       mypy                            make imports     the order of the wings"
	@echo "make docs        the site, in docs/_build/html   make pytest      tests/ and proofs_checks/"
	@echo "make check-deep  every theorem, full profile     make lock        refresh $(LOCK)"
	@echo "make clean       remove what these made, the environment $(VENV) included"
	@echo "Another interpreter: make PYTHON=python3.12 <target>"

# Each step begins with its name, so that the last one printed is the one that failed.
define step
@printf '\n==> %s\n' '$(1)'
endef

define require-python
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "theoryrl needs Python 3.11 or newer, and '$(PYTHON)' is not that ($$($(PYTHON) --version 2>&1))."; \
	echo "Name another interpreter: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
endef

$(BIN)/pip:
	$(require-python)
	$(call step,creating $(VENV))
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml $(LOCK) | $(BIN)/pip
	$(call step,installing theoryrl (a minute or two the first time))
	@$(PIP) install --quiet --constraint $(LOCK) --editable .
	@touch $@

$(VENV)/.development: pyproject.toml $(LOCK) | $(BIN)/pip
	$(call step,installing theoryrl with $(EXTRAS) (a few minutes the first time))
	@$(PIP) install --quiet --constraint $(LOCK) --editable ".[$(EXTRAS)]"
	@touch $(VENV)/.runtime $@

verify: $(VENV)/.runtime
	$(call step,theoryrl verify stepmix)
	@$(BIN)/theoryrl verify stepmix --figures figures/

check-deep: $(VENV)/.runtime
	$(call step,theoryrl verify (profile full))
	@$(BIN)/theoryrl verify --profile full

test: lint types imports dependencies docs wheel pytest

lint: $(VENV)/.development
	$(call step,ruff check)
	@$(BIN)/ruff check .
	$(call step,ruff format)
	@$(BIN)/ruff format --check .

format: $(VENV)/.development
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.development
	$(call step,mypy)
	@$(BIN)/mypy

imports: $(VENV)/.development
	$(call step,import-linter)
	@$(BIN)/lint-imports

dependencies: $(VENV)/.development
	$(call step,deptry)
	@$(BIN)/deptry .

docs: $(VENV)/.development
	$(call step,docs: sphinx)
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

wheel: $(VENV)/.development
	$(call step,wheel)
	@rm -rf build/wheel
	@$(PIP) wheel --quiet --no-deps --wheel-dir build/wheel .
	@$(BIN)/python -m zipfile --test build/wheel/theoryrl-*.whl
	@for file in py.typed cli/__init__.py models/__init__.py; do \
		$(BIN)/python -m zipfile --list build/wheel/theoryrl-*.whl | grep "^theoryrl/$$file " >/dev/null \
		|| { echo "the wheel lacks theoryrl/$$file" >&2; exit 1; }; done

# One thread for each of the two workers: more would only compete for the same cores.
pytest: export OMP_NUM_THREADS := 1
pytest: export OPENBLAS_NUM_THREADS := 1
pytest: export NUMBA_NUM_THREADS := 1
pytest: $(VENV)/.development
	$(call step,pytest)
	@$(BIN)/pytest -n 2 --dist loadfile tests
	$(call step,pytest: the theorems and their mutants)
	@$(BIN)/pytest -n 2 --dist loadfile proofs_checks

# Some environments are born with an old setuptools, which would be frozen in place of the one that is needed.
lock:
	$(require-python)
	$(call step,resolving the newest versions that pyproject.toml allows)
	@rm -rf build/lock
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip uninstall --quiet --yes setuptools
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS)]"
	@{ echo "# Exact versions of what theoryrl and its extras need, for 'pip install -c'. Made by 'make lock'."; \
		build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable; } > build/$(LOCK)
	@mv build/$(LOCK) $(LOCK)
	@rm -rf build/lock

clean:
	rm -rf $(VENV) build dist figures docs/_build docs/auto_gallery docs/reference/generated
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find theoryrl tests proofs_checks experiments docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
