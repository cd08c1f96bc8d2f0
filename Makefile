# Each target builds its own .venv when there is none: a fresh machine needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
TESTS ?= tests
JOBS ?= 4

.PHONY: demo test test-all practice lint lock bench pictures bite bite-table clean

demo: $(VENV)/.ready
	$(PY) -m cli demo

practice: $(VENV)/.ready
	$(PY) -m cli practice all

test: $(VENV)/.ready
	$(PY) -m pytest -n $(JOBS) --dist loadfile -m "not all" $(TESTS)

test-all: $(VENV)/.ready
	$(PY) -m pytest -n $(JOBS) --dist loadfile $(TESTS)

lint: $(VENV)/.ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy bot cli config incident playbooks practice workers

bench: $(VENV)/.ready
	$(PY) -m bench

pictures: $(VENV)/.ready
	LYNC_DR_TEST_PICTURES=docs/pictures $(PY) -m pytest tests/stories/test_gallery.py tests/stories/test_browser.py

bite: $(VENV)/.ready
	$(PY) -m tests.bite $(if $(ONLY),--only "$(ONLY)")

bite-table: $(VENV)/.ready
	$(PY) -m tests.bite --write $(if $(NEW),--new)

$(VENV)/.ready: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lync-dr needs Python 3.11 or newer; set PYTHON=... to one")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Needs `uv` on the PATH; names no registry in the result.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --extra store --extra practice --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .lync-dr build *.egg-info
