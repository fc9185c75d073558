# The few commands a person types; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PY := .venv/bin/python
KUBECTL := .local/bin/kubectl
SOURCES := operator agent_service hack tests

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.local/bin:$(PATH)

.PHONY: help
help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install the Python tools and packages into .venv
	@hack/bootstrap.sh

.PHONY: demo
demo: setup ## Run the main job, from nothing to a finished upgrade (about 10 minutes the first time)
	@$(PY) -m hack.demo

.PHONY: demo-down
demo-down: cluster-down ## Take the demo down, cluster and all

.PHONY: test
test: lint unit integration e2e ## Everything: lint, types, unit, integration, end to end

.PHONY: test-fast
test-fast: lint unit ## Lint, types and unit tests: under a minute

.PHONY: lint
lint: setup ## Style and types
	@ruff check $(SOURCES)
	@ruff format --check $(SOURCES)
	@mypy $(SOURCES)

.PHONY: format
format: setup ## Rewrite the sources in the house style
	@ruff check --fix $(SOURCES)
	@ruff format $(SOURCES)

.PHONY: unit
unit: setup
	@$(PY) -m pytest -q -n auto tests/unit

.PHONY: integration
integration: setup cluster images
	@$(PY) -m pytest -q -n 2 --dist loadfile tests/integration

.PHONY: e2e
e2e: setup cluster images
	@$(PY) -m pytest -q -n 2 --dist loadfile tests/e2e

.PHONY: bench
bench: setup $(if $(filter agents,$(ONLY)),,cluster images) ## Measure: ONLY=operator or agents (no cluster); ROUNDS=10; SCALE=200,1000 objects; WRITE=1 writes docs/benchmarks.md
	@$(PY) -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(IDLE),--idle $(IDLE)) $(if $(SCALE),--scale $(SCALE)) $(if $(TURNS),--turns $(TURNS)) $(if $(WAITING),--waiting $(WAITING)) $(if $(WRITE),--write)

.PHONY: cluster
cluster: setup ## Bring a cluster up: CLUSTER=current, kind, or local; see docs/cluster.md
	@$(PY) -m hack.cluster up

.PHONY: cluster-down
cluster-down: setup ## Take the cluster down and remove what it left
	@$(PY) -m hack.cluster down

.PHONY: images
images: cluster ## Build the images and load them into the cluster
	@$(PY) -m hack.images all

.PHONY: agent
agent: setup ## Build an agent of yours and load it into the cluster: DIR=../my-agent
	@$(PY) -m hack.agent $(if $(DIR),"$(DIR)",$(error say which: make agent DIR=../my-agent))

.PHONY: manifests
manifests: setup ## Generate the CRD and manifests/ anew
	@$(PY) -m hack.manifests

.PHONY: lock
lock: setup ## Resolve requirements.lock anew (UPGRADE=1: newest versions)
	@hack/lock.sh
