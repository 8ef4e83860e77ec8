# Every target makes what it needs first (tools/bootstrap.sh): Debian packages, virtual environment, Python packages.
# Names are .PHONY: pytest, mypy and mkdocs know themselves what changed.
VENV ?= .venv
BIN := $(VENV)/bin
PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export VENV PATH
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# One check each; all of them run, whichever fails.
CHECKS := lint layout types more-types layers pages site
lint := ruff check --quiet --output-format concise
layout := ruff format --quiet --check
types := mypy
more-types := pyright --pythonpath $(BIN)/python
layers := lint-imports --no-cache --no-logo
pages := python -m tools.docs --check
site := mkdocs build --strict --quiet
export NO_MKDOCS_2_WARNING := 1

.PHONY: $(CHECKS)
.PHONY: help demo test check format bench docs serve features reference packages clean root run-ready dev-ready

help: ## this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run-ready:
	@tools/bootstrap.sh run

dev-ready:
	@tools/bootstrap.sh dev

root:
	@test "$$(id -u)" = 0 || { echo "cannot run containers: you are not root. Run: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

demo: root run-ready ## SIP calls, an edge application, a cache in the mobile network; ONLY=sip, edge or cache for one
	@$(BIN)/python examples/demo.py $(ONLY)

test: dev-ready ## every test, in two processes; PYTEST_ARGS="-k scale -x" for some, in one
	@$(BIN)/python -m pytest $(or $(PYTEST_ARGS),--numprocesses 2 --dist loadfile)

check: dev-ready ## lint, format, types, layers, documentation (changes nothing)
	@$(MAKE) --keep-going $(CHECKS)

$(CHECKS):
	$(BIN)/$($@)

format: dev-ready ## mends what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: dev-ready ## benchmarks; ONLY=core for one group; writes benchmarks/latest.json
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))
	@$(BIN)/python -m tools.docs README.md

reference: dev-ready ## writes the generated pages of the documentation
	@$(BIN)/python -m tools.docs

features: dev-ready ## writes the table of features and the tests that show them
	@$(BIN)/python -m tools.docs features.md

packages: dev-ready ## writes the table of public packages that were tried (needs them: SKERRY_ETSI)
	@$(BIN)/python -m tools.packages_table

docs: reference ## builds the documentation into site/
	$(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

serve: reference ## the documentation on http://127.0.0.1:8000, rebuilt as you write
	$(BIN)/mkdocs serve

clean: ## removes everything that was made here, the virtual environment too
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
