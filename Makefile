# All that is needed is git, make and python3 (3.11 or later) with venv. uv is used when it is there; `make UV= ...`
# does without. ARGS goes to the program a target runs: make demo ARGS='--for 10s', make test ARGS='-k drain -x'.

PYTHON ?= python3
UV ?= $(shell command -v uv 2>/dev/null)
ARGS ?=
BIN := .venv/bin
# Where it is set, each worker of the tests and each gateway they start would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
PLUGINS := $(wildcard plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test chaos soak order-soak reload-soak check bench schema fresh clean

help:  ## show this list
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed-embedded  ## route events on a real nats-server and watch; Ctrl-C ends it
	@$(BIN)/gateway demo $(ARGS)

# Most tests wait for a server, so files run side by side, twice as many as there are cores, the long ones first;
# ARGS='-n 0': one after the other.
WORKERS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
test: .venv/.installed-test  ## run the whole suite against real nats-servers
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# SEED=7 FAULTS=60 MINUTES=10 RATE=100 are what they may be told; the same seed is the same schedule of faults.
chaos: .venv/.installed-test  ## kill, stop and cut servers and gateways under load, and account for every event
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS)) \
	$(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE)) $(ARGS)

soak: .venv/.installed-test  ## an hour (MINUTES=60) under load: what the gateways hold must not grow
	@$(BIN)/python -m tests.chaos.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE)) $(ARGS)

order-soak: .venv/.installed-test  ## 50 faults on ordered routes of two gateways: order, loss, duplicates
	@ORDER_ROUNDS=50 $(BIN)/pytest -q tests/daemon/test_order_storm.py $(ARGS)

reload-soak: .venv/.installed-test  ## 504 reloads under load: nothing lost, doubled or left behind
	@GATEWAY_RELOADS=504 $(BIN)/pytest -q tests/chaos/test_reloads.py $(ARGS)

check: .venv/.installed-test  ## format, lint, types, floors, example configs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/architecture
	$(BIN)/gateway check config/gateway.yaml config/examples

bench: .venv/.installed-test  ## measure, side by side with plain nats-py loops
	@$(BIN)/python -m benchmarks $(ARGS)

# What `gateway schema` prints, without the plugins that are installed for the tests.
define WRITE_SCHEMA
import json
from gateway.config.schema import config_schema
from gateway.registry import load_plugins
print(json.dumps(config_schema(load_plugins(only=[])), indent=2))
endef
export WRITE_SCHEMA

schema: .venv/.installed-embedded  ## write config/gateway.schema.json anew
	$(BIN)/python -c "$$WRITE_SCHEMA" > config/gateway.schema.json

fresh:  ## clone the last commit to a temporary folder and run both commands there
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && git clone -q . "$$folder/clone" && \
	$(MAKE) -C "$$folder/clone" demo ARGS='--for 5s' && $(MAKE) -C "$$folder/clone" test

clean:  ## remove the virtual environment and everything made
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist plugins/*/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp makes the second run instant. What the tests need covers what the demo needs, and the plugins beside.
.venv/.installed-test: WITH = $(PLUGINS:%/pyproject.toml=-e './%[test]')
.venv/.installed-test: $(PLUGINS)
.venv/.installed-%: pyproject.toml
	@echo 'installing what make $(or $(MAKECMDGOALS),$*) needs into .venv'
ifneq ($(UV),)
	@test -x $(BIN)/python || "$(UV)" venv -q --python '>=3.11' .venv
	@"$(UV)" pip install -q --python $(BIN)/python -e '.[$*]' $(WITH)
else
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'this needs Python 3.11 or later; say where it is: make PYTHON=python3.12 ...'; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$*]' $(WITH)
endif
	@touch .venv/.installed-embedded $@
