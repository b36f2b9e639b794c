# Every target makes the environment itself; python3 (3.11 or newer) and make are all that must be there.
PYTHON ?= python3
RUN := .venv/bin/
DEMO_DIR ?= state/demo
# Exit code 4: no world is there.
NO_DEMO = { code=$$?; test $$code -ne 4 || echo "or, with operator watching it: make demo" >&2; exit $$code; }
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo break mend test test-slow check bench format

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.made: pyproject.toml uv.lock scripts/environment.py
	@$(PYTHON) scripts/environment.py
	@touch $@

setup: .venv/.made ## make the environment in .venv

demo: setup ## start everything: a local Slack in the browser, a world to break, and operator watching it
	@$(RUN)operator demo --dir "$(DEMO_DIR)"

break: setup ## break the demo's world: make break FAULT=node_down; without FAULT it lists them
	@test -n "$(FAULT)" || { $(RUN)python -m compose.world faults; echo; echo "Say which: make break FAULT=node_down" >&2; exit 2; }
	@$(RUN)python -m compose.world break $(FAULT) --dir "$(DEMO_DIR)/world" || $(NO_DEMO)

mend: setup ## mend it as a person would: make mend, or make mend FAULT=node_down
	@$(RUN)python -m compose.world mend $(FAULT) --dir "$(DEMO_DIR)/world" || $(NO_DEMO)

test: .venv/.made ## run the tests; as root on Debian it installs Chromium and redis-server first
	@$(PYTHON) scripts/environment.py --debian
	@$(RUN)pytest -n 2 --dist loadgroup -m "not slow"

test-slow: .venv/.made ## run the full matrices, of which `make test` has a sample
	@$(PYTHON) scripts/environment.py --debian
	@$(RUN)pytest -n 2 --dist loadgroup -m slow

check: setup ## lint, format, types, and which package may import which
	@$(RUN)ruff check .
	@$(RUN)ruff format --check .
	@$(RUN)mypy
	@$(RUN)lint-imports --no-logo

bench: setup ## measure; prints a table and writes tests/bench/results.json
	@$(RUN)python -m tests.bench

format: setup ## format the code
	@$(RUN)ruff check --fix --quiet . ; $(RUN)ruff format --quiet .
