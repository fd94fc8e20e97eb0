# Needs Python 3.11 or newer and make; everything else is put into .venv, once.

# The first of these that is new enough and can make an environment is used; `make PYTHON=…` names another.
PYTHON ?= python3 python3.13 python3.12 python3.11 python3.14
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE   := smsq config tasks worker tests bench docs examples

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(READY) ## Send sample messages through everything, on this machine alone; ONCE=1 stops after that
	@$(BIN)/python -m worker.demo $(if $(ONCE),--once)

.PHONY: test
test: $(READY) ## Run the whole test suite; needs nothing running
	@$(BIN)/python -m pytest -n 4 --dist loadfile -m "not long"

.PHONY: faults
faults: $(READY) ## Run the tests that take minutes: long outages, restarts by the dozen; an hour or so
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m long

.PHONY: soak
soak: $(READY) ## Mix faults at random under load and compare the books; JOBS=10000 SEED=1, some 15 minutes
	@$(BIN)/python -m tests.soak --jobs $(or $(JOBS),10000) --seed $(or $(SEED),1)

.PHONY: bench
bench: $(READY) ## Measure beside other queues: QUICK=1 minutes, else an hour; ROUNDS=3 JOBS=6000 PEERS="smsq saq"
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(JOBS),--jobs $(JOBS)) \
	    $(if $(PEERS),--peers $(PEERS))

.PHONY: check
check: $(READY) ## Check style, docstrings, types and import rules
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: docs
docs: $(READY) ## Make the site of docs/ in site/, strictly: what points nowhere is an error; LINKS=1 asks the web too
	@$(BIN)/sphinx-build -q -E -a -W --keep-going -b html -d build/docs docs site
	@$(if $(LINKS),$(BIN)/sphinx-build -q -b linkcheck -d build/docs docs build/links)
	@echo "docs: site/index.html"

.PHONY: clean
clean: ## Remove .venv and everything else that was made
	@rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .bench
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew only when what it is made from has changed.
$(READY): pyproject.toml requirements/worker.txt requirements/dev.txt
	@if $(BIN)/python -m pip --version > /dev/null 2>&1; then \
	    echo "set-up: bringing $(VENV) up to date"; \
	else \
	    found=; for python in $(PYTHON); do \
	        if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	            found=$$python; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "set-up: needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv);" \
	             "looked for: $(PYTHON)" >&2; \
	        exit 1; \
	    fi; \
	    echo "set-up: making $(VENV) with $$($$found --version)"; \
	    $$found -m venv --clear $(VENV); \
	fi
	@echo "set-up: installing the pinned packages (a minute or two the first time)"
	@$(PIP) install -r requirements/dev.txt
	@echo "set-up: installing smsq, editable"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
