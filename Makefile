# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
PYTHON ?= python3
SCENARIO ?= default
PART ?=
LOCK ?=
BENCH ?=
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-clean test test-fast lint locks bench-verify bench-edge molecule soak goldens clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Deploy the quickstart model to a container and call it over HTTPS
	@$(PYTHON) -m tools.demo up

demo-clean: ## Remove all that the demo made
	@$(PYTHON) -m tools.demo clean

test: ## Run all checks, tests and scenarios
	@$(PYTHON) -m tools.suite all

test-fast: ## Run the checks and tests that need no container
	@$(PYTHON) -m tools.suite fast

lint: ## Run the linters and type checkers
	@$(PYTHON) -m tools.suite lint

locks: ## Compile a lock: make locks LOCK="--project model_tools --python 3.12 --architecture aarch64"
	@$(PYTHON) -m tools.venv dev
	@.venv/dev/bin/python files/compile_lock.py $(LOCK)

bench-verify: ## Measure fetching and verifying beside other programs: BENCH="--rounds 9"
	@$(PYTHON) -m tools.bench verify $(BENCH)

bench-edge: ## Measure what Nginx adds to the time to the first event: BENCH="--rounds 300"
	@$(PYTHON) -m tools.bench edge $(BENCH)

soak: ## Run what takes long: make soak, or make soak PART=name
	@$(PYTHON) -m tools.soak $(PART)

goldens: ## Write anew what ModelScope's own pipeline answers, for the tests to compare with
	@$(PYTHON) -m tools.modelscope

molecule: ## Run one scenario: make molecule SCENARIO=name
	@$(PYTHON) -m tools.scenarios $(SCENARIO)

clean: ## Remove virtual environments, caches and build outputs
	@rm -rf .venv .cache .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
