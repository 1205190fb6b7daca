# `make help` lists everything. Nothing needs to be installed first but Python >= 3.11 and make.

PYTHON ?= python3
BLUEPRINT ?= churn
PORT ?= 0
SCENARIO ?= next-release

VENV := .venv
BIN := $(VENV)/bin
BUILD_SOURCES := $(wildcard seed_code/buildspec*.yml seed_code/*/requirements.txt)
IMAGE_SOURCES := $(shell find seed_code/mlsystem seed_code/container seed_code/api -type f -not -name '*.pyc')

.DEFAULT_GOAL := help
.PHONY: help run up rollback test check format bench docs golden locks clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .local/.ready ## Publish, create a project, release it twice (BLUEPRINT=<name or folder>, SCENARIO=bad-release|go-back)
	@$(BIN)/python -m local_cloud run "$(BLUEPRINT)" --scenario "$(SCENARIO)"

up: .local/.ready ## The same, and stay up until Ctrl-C (PORT=<n> fixes the address)
	@$(BIN)/python -m local_cloud up "$(BLUEPRINT)" --port $(PORT)

rollback: $(VENV)/.run ## Return a project's production on AWS to an earlier release (PROJECT=<key>, TO=<release>)
	@scripts/rollback.sh "$(PROJECT)" $(if $(TO),--to "$(TO)")

test: $(VENV)/.test .local/.ready ## Run the whole test suite
	@$(BIN)/python -m pytest -n auto -q

check: $(VENV)/.test .local/.ready ## What CI runs: format, lint, types, generated documents, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python docs/generate.py --check
	@$(MAKE) --no-print-directory test

format: $(VENV)/.test ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.bench .local/.ready ## Measure serving, training and preparation against peers and limits
	@$(BIN)/python -m bench

docs: $(VENV)/.test ## Write the generated documents again
	@$(BIN)/python docs/generate.py

golden: $(VENV)/.test ## Write the golden files again (review the diff)
	@$(BIN)/python -m pytest -q seed_code/tests/infrastructure --update-golden

clean: ## Remove what was made here: environments, images, runs
	@rm -rf $(VENV) .local

# --- set-up: each target installs what its own lock file says -----------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Makefile: $$($(PYTHON) --version); Python 3.11 or newer is required. Set PYTHON=<path>."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt | $(BIN)/python
	@echo "Setting up: the local cloud (about 40 s the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	@echo "Setting up: test tools"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.test
	@echo "Setting up: benchmark peers"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# What a run would else do first: the images, and the packages that its builds install. Side by side,
# because each keeps one core busy.
.local/.ready: $(VENV)/.run $(IMAGE_SOURCES) $(BUILD_SOURCES)
	@echo "Setting up: the images, and what builds install (about a minute the first time)"
	@mkdir -p .local
	@$(BIN)/python -m local_cloud.codebuild install seed_code > .local/install.log & installing=$$!; \
	  $(BIN)/python -m local_cloud.images build -f container/Dockerfile seed_code > /dev/null && \
	  $(BIN)/python -m local_cloud.images build -f api/Dockerfile seed_code > /dev/null; built=$$?; \
	  wait $$installing && exit $$built
	@touch $@

# --- maintenance --------------------------------------------------------------------------------

COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

locks: | $(BIN)/python ## Resolve all requirements again: one set of versions, hashes, no addresses
	@$(BIN)/python -m pip install --quiet pip-tools
	@cd requirements && ../$(COMPILE) --upgrade --output-file bench.txt bench.in
	@cd requirements && ../$(COMPILE) --constraint bench.txt --output-file test.txt test.in
	@cd requirements && ../$(COMPILE) --constraint bench.txt --output-file run.txt run.in
	@cd requirements && for unit in api container infrastructure pipeline tests; do \
	  ../$(COMPILE) --constraint bench.txt --output-file ../seed_code/$$unit/requirements.txt \
	    ../seed_code/$$unit/requirements.in; done
