# Two commands on a fresh machine do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test serve check bench faults lock clean

demo: $(VENV)/.runtime
	@$(BIN)/trunkline demo

serve: $(VENV)/.runtime
	@$(BIN)/trunkline serve

test: $(VENV)/.development .cache/node/.installed
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

check: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.development .cache/node/.installed
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

faults: $(VENV)/.development .cache/node/.installed
	@$(BIN)/python -m tests.faults $(if $(ROUNDS),--rounds $(ROUNDS))

lock: $(VENV)/.development
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --no-header --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock

clean:
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
