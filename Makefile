# Everything runs from a virtual environment that make builds itself; only Python 3.11 and make must be there.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
PEERS ?= ../shared/peers

.DEFAULT_GOAL := help
.PHONY: help install demo test lint kernels bench bench-relative bench-peers bench-check clean

help:
	@echo "make demo    train Yin-Yang in the loop on an emulated chip (a few minutes)"
	@echo "make test    linters, types, import contracts and all tests"
	@echo "make bench   speed, one JSON line per figure (ONLY=... a part, QUICK=1 a look, OUT=... a file)"
	@echo "make bench-relative AGAINST=COMMIT   this tree and another one on the same loads, in turn: ratios"
	@echo "make bench-peers   other simulators in PEERS=$(PEERS) beside this one"
	@echo "make bench-check   has anything become slower?"
	@echo "make lint    the quick checks of 'make test' only"
	@echo "make clean   remove the virtual environment and caches"

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found: install it, or name one with PYTHON=..." >&2; exit 1; }
	@echo "installing this package and what it needs into $(VENV): one to two minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@out=runs/demo; n=2; while [ -e $$out ]; do out=runs/demo-$$n; n=$$((n + 1)); done; \
	$(BIN)/hxloop train yin-yang --preset quick --chip typical --serial 1 --out $$out && \
	$(BIN)/hxloop runs show $$out --plot && \
	{ echo; echo "Run file and pictures:"; ls $$out/run.h5 $$out/*.png | sed 's/^/  /'; echo; \
	  echo "The figures again:            $(BIN)/hxloop runs show $$out"; \
	  echo "Its weights on another chip:  $(BIN)/hxloop eval $$out --serial 2"; \
	  echo "Its weights in the textbook:  $(BIN)/hxloop eval $$out --chip ideal"; }

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kernels: $(STAMP)
	$(BIN)/hxloop compile

# Types are checked on one core: kernels are compiled beside it, in fewer processes than tests would do it.
test: $(STAMP)
	@$(MAKE) --no-print-directory --jobs=2 lint kernels
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

bench: $(STAMP)
	@$(BIN)/python -m benchmarks.run $(addprefix --only ,$(ONLY)) $(if $(QUICK),--quick) $(if $(OUT),--out $(OUT))

bench-relative: $(STAMP)
	@$(BIN)/python -m benchmarks.relative --against $(or $(AGAINST),HEAD^) $(addprefix --only ,$(ONLY)) $(if $(QUICK),--quick) \
	  $(if $(PROCESSOR),--processor $(PROCESSOR)) $(if $(wildcard $(PEERS)),--peers $(PEERS)) $(if $(OUT),--out $(OUT))

bench-peers: $(STAMP)
	@$(BIN)/python -m benchmarks.peers --peers $(PEERS) $(if $(OUT),--out $(OUT))

bench-check: $(STAMP)
	@$(BIN)/python -m benchmarks.check

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
