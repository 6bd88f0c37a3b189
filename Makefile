# `make demo` and `make test` need Python >= 3.11 and nothing else; `make test-loki` needs Go as well.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-loki soak bench lint format lock wheel clean

demo: $(VENV)/.requirements
	$(BIN)/apimon demo --once

test: $(VENV)/.requirements-dev
	$(PYTEST) -m 'not loki and not soak'

test-loki: $(VENV)/.requirements-dev
	APIMON_TEST_LOKI=$$(tests/realloki/build.sh) && export APIMON_TEST_LOKI && $(PYTEST) -m 'loki'

soak: $(VENV)/.requirements-dev
	$(PYTEST) -m 'soak' --timeout 7200

bench: $(VENV)/.requirements-bench
	$(BIN)/python -m bench

lint: $(VENV)/.requirements-dev
	$(BIN)/ruff check apimon tests bench
	$(BIN)/ruff format --check apimon tests bench
	$(BIN)/mypy

format: $(VENV)/.requirements-dev
	$(BIN)/ruff check --fix apimon tests bench
	$(BIN)/ruff format apimon tests bench

wheel: $(VENV)/.requirements-dev
	$(BIN)/python -m build --wheel

# The locks: exact versions and hashes for every platform, and no host.
lock: $(VENV)/.requirements-dev
	$(BIN)/python -m pip install --quiet uv
	for spec in "requirements.lock:" "requirements-dev.lock:--group dev" \
		"requirements-bench.lock:--group dev --group bench"; do \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
			--python-version 3.11 --group install $${spec#*:} pyproject.toml -o $${spec%%:*} || exit 1; \
	done

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python %d.%d is too old: apimon needs 3.11 or newer; run make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# A stamp for each lock that is installed: $(VENV)/.requirements-dev is requirements-dev.lock and apimon itself.
$(VENV)/.%: %.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes -r $<
	$(PIP) --no-deps --no-build-isolation -e .
	# Where PYTHONDONTWRITEBYTECODE is set every command would compile its modules anew.
	$(BIN)/python -m compileall -q apimon
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
