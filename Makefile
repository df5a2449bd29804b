# `make` lists the targets. Every target makes its own environment in .venv first; a second run skips what is done.
.DEFAULT_GOAL := help
.PHONY: help setup demo test arm faults soak fuzz deb slow lint format transfer score results encoder shipped-model clean distclean

BIN := .venv/bin
BUILD := build
# Where the shipped model's recipes keep their work; it survives `make clean`.
SHIPPED := $(HOME)/.cache/rearview/smart_mirror
# One thread a process: the arithmetic is small, and two cores are shared with the tests that run beside it.
export OMP_NUM_THREADS ?= 1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything (10 s where the wheels are cached)
	@sh ci/setup.sh

demo: setup ## the whole product at small scale, at most 10 minutes on 2 cores; outputs in build/demo
	@$(BIN)/wakeword demo

test: ## the fast tests, the linter and the type checker, at most 10 minutes
	@sh ci/system-packages.sh
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest -m "not slow"

arm: setup ## what the daemon costs on an emulated Cortex-A53, and that it computes the same there (MODEL=file.onnx)
	@sh ci/arm/arm.sh

faults: setup ## every fault of the device's suite, the slow ones too, and the table of what was seen
	$(BIN)/pytest -m fault tests/mirror_device

deb: setup ## a Debian package for arm64 in build/deb, tried in the emulated tree of make arm
	@sh ci/deb.sh

HOURS ?= 24
PACED ?= 20
soak: setup ## a day of noise through the daemon, then PACED minutes in real time: memory, descriptors, backlog
	$(BIN)/python ci/soak.py --hours $(HOURS) --paced-minutes $(PACED) --model $(or $(MODEL),smart_mirror)

SECONDS ?= 60
fuzz: setup ## coverage-guided fuzzing of every parser of outside bytes, SECONDS each; finds go to build/fuzz
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install -q "atheris>=3"
	@mkdir -p $(BUILD)/fuzz
	@for target in wyoming control config model bundle wav; do \
	    $(BIN)/python ci/fuzz/fuzz.py run $$target $(BUILD)/fuzz $(SECONDS) 2>&1 | \
	        grep -E "stat::number_of_executed_units|ERROR|Uncaught|cov:.*DONE" | sed "s/^/$$target: /"; \
	    ! ls $(BUILD)/fuzz/$$target-* 2>/dev/null || exit 1; \
	done

slow: setup ## the tests that take minutes
	$(BIN)/pytest -m slow

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

encoder: setup ## train again what the shipped model begins from: half a million utterances, then the car (many hours; resumes)
	$(BIN)/data-splits collect --out $(SHIPPED)/recordings.parquet
	$(BIN)/asr-pretrain render asr_pretrain/recipes/drives.yaml \
	    --recordings $(SHIPPED)/recordings.parquet --out $(SHIPPED) --utterances 800 400 400
	$(BIN)/data-splits plan mirror --source $(SHIPPED)/recordings.parquet --source $(SHIPPED)/drives.parquet \
	    --out $(SHIPPED)/plan.parquet
	$(BIN)/data-splits audit $(SHIPPED)/plan.parquet
	$(BIN)/asr-pretrain synthesize asr_pretrain/recipes/synthesize.yaml --jobs 2
	$(BIN)/asr-pretrain label $(SHIPPED)/plan.parquet --source "librispeech train-clean-100" \
	    --out $(SHIPPED)/labelled.parquet --jobs 2
	$(BIN)/asr-pretrain screen asr_pretrain/recipes/data_curve.yaml --only 500k
	$(BIN)/asr-pretrain screen asr_pretrain/recipes/apart_second.yaml --only "real voices"
	$(BIN)/asr-pretrain screen asr_pretrain/recipes/apart_last.yaml
	$(BIN)/asr-pretrain train asr_pretrain/recipes/in_the_car.yaml

shipped-model: encoder ## train the next model to ship, from the development recordings (make encoder first; resumes)
	$(BIN)/asr-pretrain corpus --size training --out $(SHIPPED)/corpus
	$(BIN)/wakeword train wakeword/recipes/smart_mirror.yaml
	$(BIN)/wakeword quantize $(SHIPPED)/trigger/trigger.safetensors --manifest $(SHIPPED)/plan.parquet \
	    --manifest $(SHIPPED)/corpus/recordings.parquet --version 2.0.0 \
	    --out mirror_device/models/smart_mirror.onnx --float-out $(SHIPPED)/smart_mirror_float.onnx
	$(BIN)/wakeword tune mirror_device/models/smart_mirror.onnx $(SHIPPED)/recordings.parquet \
	    --generator unseen --drives 6

transfer: setup ## what pretraining buys, cross-validated over voices (hours); wakeword/recipes/transfer.yaml names the encoders that it needs
	$(BIN)/wakeword transfer wakeword/recipes/transfer.yaml --jobs 2

score: setup ## score the shipped model on dev and test beside other engines, and write the README's table; needs the recordings
	@mkdir -p $(BUILD)
	$(BIN)/data-splits collect --out $(BUILD)/recordings.parquet
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split dev --generator unseen --json $(BUILD)/dev.json
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split test --generator unseen --json $(BUILD)/test.json
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split test --json $(BUILD)/seen.json
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split test --generator unseen --noise recorded \
	    --json $(BUILD)/recorded.json
	$(BIN)/wakeword score $(BUILD)/recordings.parquet --split test --generator unseen --noise simulated \
	    --json $(BUILD)/simulated.json
	$(BIN)/wakeword benchmark $(BUILD)/recordings.parquet --split test --generator unseen --engine smart_mirror \
	    --engine porcupine --engine pocketsphinx --json $(BUILD)/benchmark.json --plot docs/benchmark.svg
	cd $(BUILD) && ../$(BIN)/wakeword results test.json seen.json recorded.json simulated.json dev.json benchmark.json \
	    --results ../docs/results.json --readme ../README.md

results: setup ## write the README's results table again from docs/results.json
	$(BIN)/wakeword results

clean: ## remove build/ and caches
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf .venv *.egg-info
