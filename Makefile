# Every target installs what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AWS_VENV := .venv-aws
AWS_STAMP := $(AWS_VENV)/.installed
export PYTHONPATH := operator:tests/e2e:tests/unit:.

.DEFAULT_GOAL := help

.PHONY: help
help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/pip install --quiet --group test --editable '.[cli]'
	@touch $@

$(AWS_STAMP): pyproject.toml $(STAMP)
	@$(PYTHON) -m venv $(AWS_VENV)
	@$(AWS_VENV)/bin/pip install --quiet --upgrade 'pip>=25.1'
	@PYTHONPATH= $(AWS_VENV)/bin/pip install --quiet --group aws
	@touch $@

.PHONY: setup
setup: $(STAMP) $(AWS_STAMP) ## Makes the virtual environment with every tool

.PHONY: demo
demo: $(STAMP) ## Real cluster, chart, sample Sandbox, real work inside; leaves it running
	@$(BIN)/python -m demo

.PHONY: attack
attack: $(STAMP) ## Real cluster, chart, then every row of the attack table; leaves it running
	@$(BIN)/python -m attack_table

.PHONY: down
down: $(STAMP) ## Removes the cluster and everything it made
	@$(BIN)/python -m cluster down

.PHONY: test
test: $(STAMP) check unit e2e ## Everything: static checks, unit tests, end-to-end tests

.PHONY: check
check: $(STAMP) ## Lint, types, layers, generated files
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m ringfence.crd --check
	@$(BIN)/python -m ringfence.profiles --check
	@$(BIN)/python -m ringfence.metrics --check
	@$(BIN)/python -m images.build containerfiles --check

.PHONY: unit
unit: $(STAMP) ## Unit tests
	@$(BIN)/pytest tests/unit

.PHONY: e2e
e2e: $(STAMP) $(AWS_STAMP) ## End-to-end tests on the embedded cluster; those on the slow node 2 come last
	@$(BIN)/pytest tests/e2e --timeout 900

.PHONY: node2
node2: $(STAMP) ## Of these only the tests on node 2: a virtual machine with AppArmor and cgroup v2
	@$(BIN)/pytest tests/e2e --timeout 900 -m node2

.PHONY: bench
bench: $(STAMP) ## Measures against bare Pods in one run; prints JSON
	@$(BIN)/python -m bench

.PHONY: generate
generate: $(STAMP) ## Rewrites crds/, profiles/, manifests/, the chart's generated files, golden files
	@$(BIN)/python -m ringfence.crd
	@$(BIN)/python -m ringfence.profiles
	@$(BIN)/python -m helm.render
	@$(BIN)/pytest -q tests/unit/resources --update-golden

.PHONY: fmt
fmt: $(STAMP) ## Formats the code
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix
