# `make` lists the targets. Every target makes its own environment in .venv first; a second run skips what is done.
.DEFAULT_GOAL := help
.PHONY: help setup demo test slow lint format score results shipped-model clean distclean

BIN := .venv/bin
BUILD := build
# One thread a process: the arithmetic is small, and two cores are shared with the tests that run beside it.
export OMP_NUM_THREADS ?= 1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything (10 s where the wheels are cached)
	@sh ci/setup.sh

demo: setup ## the whole product at small scale, at most 10 minutes on 2 cores; outputs in build/demo
	@$(BIN)/python -m wakeword.demo

test: ## the fast tests, the linter and the type checker, at most 10 minutes
	@sh ci/system-packages.sh
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest -m "not slow"

slow: setup ## the tests that take minutes
	$(BIN)/pytest -m slow

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

shipped-model: setup ## train the model we ship again, from the development recordings (hours)
	$(BIN)/data-splits collect --out $(BUILD)/recordings.parquet
	$(BIN)/asr-pretrain train asr_pretrain/recipes/general.yaml
	$(BIN)/wakeword train wakeword/recipes/smart_mirror.yaml
	$(BIN)/wakeword quantize
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split test

score: setup ## score the shipped model on the test part; needs the development recordings
	$(BIN)/data-splits collect --out $(BUILD)/recordings.parquet
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split test

results: setup ## write the README's results table from docs/results*.json
	$(BIN)/python -m wakeword.results

clean: ## remove build/ and caches
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf .venv *.egg-info
