SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TEXTS := .venv/.texts
DATA ?=

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format bench bench-audiences bench-delivery bench-reports bench-tracking bench-statistics chaos lock screenshots translations clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): requirements.lock bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Bellwether needs Python 3.11 or newer."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock bootstrap.lock
	@touch $@

$(TEXTS): $(STAMP) $(wildcard app/translations/*/LC_MESSAGES/messages.po)
	@if compgen -G "app/translations/*/LC_MESSAGES/messages.po" > /dev/null; then $(BIN)/pybabel -q compile -d app/translations; fi
	@touch $@

ready: $(STAMP) $(TEXTS)
.PHONY: ready

run: ready ## Start everything on this machine, with a demo firm on first start
	@exec $(BIN)/python -m app.demo.supervisor

demo: ready ## Build the synthetic firm, or run the whole job on a real file: make demo DATA=FILE
	@$(BIN)/python -m app.demo $(if $(DATA),--data "$(DATA)")

test: ready ## Run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: ready ## Check style, types, layers, migrations, translations and the built front end
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@bash frontend/check-build.sh

format: ready ## Format the code
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

bench: ready ## Measure the hot paths: one JSON line a measure
	@$(BIN)/python -m bench

bench-audiences: ready ## Measure a large client book (1M clients, 10M transactions): one JSON line a measure
	@$(BIN)/python -m bench.audiences

bench-delivery: ready ## Measure sending to a million clients, against references of the same run: one JSON line a measure
	@$(BIN)/python -m bench.delivery

bench-statistics: ready ## Simulate 100,000 campaigns a setting: how often the intervals of reports are right
	@$(BIN)/python -m bench.statistics

bench-tracking: ready ## Measure pixel, click and webhooks, durable, and kill the web process: one JSON line a measure
	@$(BIN)/python -m bench.tracking

bench-reports: ready ## Measure the report of a campaign with a million messages and 20 segments: one JSON line a measure
	@$(BIN)/python -m bench.campaign_reports

chaos: ready ## Deliver a campaign while workers are killed and servers restarted: nothing lost, nothing twice
	@$(BIN)/python -m bench.chaos

screenshots: ready ## Take the pictures of docs/screenshots
	@$(BIN)/python docs/take_screenshots.py

translations: ready ## Collect new texts into the catalogues
	@$(BIN)/pybabel -q extract -F babel.cfg -k _l -k _n:1,2 -o var/messages.pot --no-location --sort-output --project Bellwether app
	@$(BIN)/pybabel -q update -i var/messages.pot -d app/translations --no-fuzzy-matching --ignore-obsolete --no-wrap

lock: $(STAMP) ## Resolve the dependencies again
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -o requirements.lock --upgrade

clean: ## Remove the environment and all local data
	rm -rf .venv var
