# Two commands matter: `make demo` and `make test`. Both set everything up; repeats skip what is done.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
CONSOLE := dashboards/console
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes
export PATH := $(CURDIR)/$(BIN):$(PATH)

INSTALLED := $(STAMPS)/runtime $(CONSOLE)/dist/index.html
# Compiled decoders are 1.3 to 2.4 times as fast; without a C compiler and Python's headers they run interpreted.
COMPILED := $(if $(and $(shell command -v cc),$(shell $(PYTHON) -c 'import pathlib, sysconfig; print(*pathlib.Path(sysconfig.get_path("include")).glob("Python.h"))' 2>/dev/null)),$(STAMPS)/compiled)

DEMO_ARGS ?=
TEST_ARGS ?=
BENCH ?= pipeline

.PHONY: help demo up setup compiled test check format lock bench sbom sumo kafka clean
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(INSTALLED) ## set everything up, then run the service with its simulated city
	@$(BIN)/ioc up --demo $(DEMO_ARGS)

up: setup ## set everything up, then run the service
	@$(BIN)/ioc up

setup: $(INSTALLED) $(COMPILED)

compiled: $(STAMPS)/compiled ## compile the decoders (a C compiler, a minute and a half)

# Tests need a real broker: with Java and Maven there is one.
KAFKA := $(if $(IOC_TEST_KAFKA),,$(if $(and $(shell command -v java),$(shell command -v mvn)),$(STAMPS)/kafka))

test: setup $(STAMPS)/dev $(KAFKA) ## set everything up, then run every test
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(TEST_ARGS)
	@cd $(CONSOLE) && npm test --silent

check: $(STAMPS)/dev $(CONSOLE)/node_modules/.package-lock.json ## lint, types, direction of imports, sizes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tests/sizes.py
	@cd $(CONSOLE) && npm run check --silent

format: $(STAMPS)/dev ## format the Python code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: setup $(STAMPS)/dev ## measure: BENCH=pipeline, decoders, engine, replay, fanout, store, incidents or console
	@$(BIN)/python -m benchmarks $(BENCH) --json

lock: $(STAMPS)/tools ## renew the lock files from requirements/*.in
	@for name in tools runtime compile otel parquet sumo sbom dev node; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	    --custom-compile-command "make lock" $(LOCK_ARGS) \
	    requirements/$$name.in -o requirements/$$name.lock || exit 1; done

sbom: $(STAMPS)/sbom $(CONSOLE)/node_modules/.package-lock.json ## write what a release consists of (CycloneDX) into build/sbom
	@mkdir -p build/sbom
	@$(BIN)/cyclonedx-py requirements --output-reproducible --output-file build/sbom/service.cdx.json requirements/runtime.lock
	@cd $(CONSOLE) && npm sbom --silent --omit dev --package-lock-only --sbom-format cyclonedx >$(CURDIR)/build/sbom/console.cdx.json
	@echo "build/sbom: service.cdx.json, console.cdx.json"

sumo: $(STAMPS)/sumo ## install SUMO for ioc-sim sumo (250 MB)

kafka: $(STAMPS)/kafka ## fetch Apache Kafka for the tests (Java 17 and Maven)

clean: ## remove everything that setup made (data stays)
	rm -rf $(VENV) $(CONSOLE)/node_modules $(CONSOLE)/dist

$(STAMPS)/tools: requirements/tools.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": run make with PYTHON=/path/to/python3.11")'
	@echo "· creating $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock
	@touch $@

$(STAMPS)/runtime: $(STAMPS)/tools requirements/runtime.lock pyproject.toml
	@echo "· installing locked Python dependencies"
	@$(UV) -r requirements/runtime.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

COMPILED_FROM := setup.py $(wildcard ioc/compiled.py ioc/ingest/decoders/*.py ioc/model/*.py)
$(STAMPS)/compiled: $(STAMPS)/runtime requirements/compile.lock $(COMPILED_FROM)
	@echo "· compiling the decoders (once, a minute and a half)"
	@$(UV) -r requirements/compile.lock
	@rm -rf $(VENV)/ioc-compiled
	@mkdir -p build
	@IOC_COMPILE=1 $(BIN)/python setup.py --quiet build_ext --build-lib $(VENV)/ioc-compiled --build-temp build/mypyc >build/mypyc.log 2>&1 \
	  || { tail -n 20 build/mypyc.log; echo "The decoders could not be compiled (build/mypyc.log). To run them interpreted: make setup COMPILED="; exit 1; }
	@$(BIN)/python -m ioc.compiled
	@touch $@

$(STAMPS)/dev: $(STAMPS)/runtime requirements/dev.lock
	@echo "· installing locked test dependencies"
	@$(UV) -r requirements/dev.lock
	@touch $@

$(STAMPS)/sbom: $(STAMPS)/runtime requirements/sbom.lock
	@$(UV) -r requirements/sbom.lock
	@touch $@

$(STAMPS)/sumo: $(STAMPS)/runtime requirements/sumo.lock
	@echo "· installing SUMO"
	@$(UV) -r requirements/sumo.lock
	@touch $@

$(STAMPS)/kafka: $(STAMPS)/tools tests/kafka/pom.xml
	@echo "· fetching Apache Kafka into $(VENV)"
	@mvn --quiet --batch-mode --file tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(VENV)/kafka
	@touch $@

$(STAMPS)/node: $(STAMPS)/tools requirements/node.lock
	@echo "· installing Node.js into $(VENV)"
	@$(UV) -r requirements/node.lock
	@touch $@

$(CONSOLE)/node_modules/.package-lock.json: $(STAMPS)/node $(CONSOLE)/package-lock.json
	@echo "· installing locked console dependencies"
	@cd $(CONSOLE) && npm ci --silent --no-audit --no-fund
	@touch $@

CONSOLE_SOURCES := $(shell find $(CONSOLE) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
$(CONSOLE)/dist/index.html: $(CONSOLE)/node_modules/.package-lock.json $(CONSOLE_SOURCES)
	@echo "· building the console"
	@cd $(CONSOLE) && npm run build --silent
	@touch $@
