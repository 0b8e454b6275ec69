# Two commands on a fresh machine do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# A minute's worth of tests on two cores, with some of every slice; `make test` stays the judge.
FAST   := tests/test_*.py tests/accounts/test_keys.py tests/activations/test_which_lease.py \
          tests/activations/test_lease_rules.py tests/audit/test_audit.py tests/carriers/test_smpp_codec.py \
          tests/carriers/test_smpp_destinations.py tests/catalog/test_import.py tests/cli/test_log_reader.py \
          tests/codes/test_code_rules.py tests/egress/test_urls.py tests/events/test_contents.py \
          tests/ledger/test_books.py tests/monitoring/test_health.py tests/storage/test_schema.py \
          tests/surfaces/api/test_openapi.py tests/surfaces/http/test_methods.py tests/surfaces/web

.PHONY: help demo test fast serve check format snapshot released bench faults lock clean

demo: $(VENV)/.runtime  ## leases a number, lets a text arrive, gets its code, shows the books
	@$(BIN)/trunkline demo

help:  ## what there is to make
	@sed -nE 's/^([a-z]+):.*  ## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-10s %s\n", $$1, $$2 }'

serve: $(VENV)/.runtime  ## the server, with a database of its own
	@$(BIN)/trunkline serve

test: $(VENV)/.development .cache/node/.installed  ## every test
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

fast: $(VENV)/.development  ## a minute's worth of tests, with some of every slice
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 -x $(FAST)

check: $(VENV)/.development  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.development  ## writes the code in the style that `make check` wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

snapshot: $(VENV)/.development  ## writes tests/storage/schema.sql anew, after a migration or a change of routines
	@$(BIN)/python -m tests.storage.snapshot

released: $(VENV)/.development  ## writes down the statements that the next release's database must still take
	@$(BIN)/python -m tests.storage.released

bench: $(VENV)/.development .cache/node/.installed  ## figures, as ratios measured in one run (QUICK=1)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

faults: $(VENV)/.development .cache/node/.installed  ## breaks under load what can be broken (ROUNDS=1)
	@$(BIN)/python -m tests.faults $(if $(ROUNDS),--rounds $(ROUNDS))

lock: $(VENV)/.development  ## pins the dependencies of pyproject.toml, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --no-header --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock

clean:  ## away with what was made
	rm -rf $(VENV) .cache

$(VENV)/bin/python:
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('needs Python 3.11 or newer: make PYTHON=python3.11')"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the locked dependencies into $(VENV)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(BIN)/python -c "import pathlib, sysconfig; \
	    pathlib.Path(sysconfig.get_path('purelib'), 'trunkline.pth').write_text(str(pathlib.Path('src').resolve()))"
	@printf '#!%s\nfrom trunkline.__main__ import main\nmain()\n' "$(abspath $(BIN))/python" > $(BIN)/trunkline
	@chmod +x $(BIN)/trunkline
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	@echo "installing what tests need into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# The tests' SMPP peer is somebody else's implementation. Without Node the tests that need it say so and are skipped.
.cache/node/.installed: tests/package.json tests/package-lock.json
	@mkdir -p .cache/node && cp tests/package.json tests/package-lock.json .cache/node/
	@if command -v npm >/dev/null; then npm ci --prefix .cache/node --silent --no-audit --no-fund --ignore-scripts; fi
	@touch $@
