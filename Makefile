# Every target installs what it needs; packages and labs take root (or sudo). `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ci := tools/ci
python := .venv/bin/python
labctl := .venv/bin/labctl
root := $(ci)/as-root
flowcache := labctl/overlay/datapath/flowcache.bpf

# Handed to pytest: make unit ARGS='-k name'
ARGS ?=

.PHONY: help demo test bench lint hooks unit properties watch coverage netns containerlab contract e2e golden nightly soak \
	images containerlab-up engine-stop venv venv-dev host lock datapath dist clean

help: ## this list
	@sed -nE 's/^([a-z][a-z0-9 -]*):[^#]*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r names text; do \
		for name in $$names; do printf 'make %-16s %s\n' "$$name" "$$text"; done; done

demo: venv datapath ## virtual networks behind three gateways, each losing its power under traffic, and the verdict
	@$(root) $(labctl) doctor --install --for overlay --quiet
	@$(root) $(labctl) run scenarios/zero-loss-gateway.yml --runtime netns --out results/demo

test: lint unit properties netns containerlab ## everything that CI runs

lint: venv-dev ## every linter and the type checker
	@$(ci)/lint

hooks: venv-dev ## run the quick linters before every commit (git hooks of this clone)
	@.venv/bin/pre-commit install

unit: venv-dev ## quick tests without root, one process a processor; ARGS='-k name' for some of them
	@$(ci)/pytest-run unit 'not netns and not clab and not hypothesis and not slow' -n auto --dist worksteal $(ARGS)

properties: venv-dev ## the other tests without root: properties over examples (Hypothesis), packages, all that takes long
	@$(ci)/pytest-run properties '(hypothesis or slow) and not netns and not clab' -n auto --dist worksteal $(ARGS)

watch: venv-dev ## the unit tests again whenever a file is saved, those that failed first; ARGS as for unit
	@$(ci)/watch $(ARGS)

coverage: venv-dev ## lines and branches that the unit tests reach: a table, and pages in results/coverage
	@$(ci)/coverage $(ARGS)

netns: venv-dev host datapath ## tests that make labs in network namespaces (root)
	@$(root) $(ci)/pytest-run netns 'netns and not clab and not nightly' $(ARGS)

containerlab: venv-dev host ## tests that make labs with containerlab (root); starts an engine if none runs
	@$(root) $(ci)/containerlab-env $(ci)/pytest-run containerlab clab $(ARGS)

contract e2e golden: venv-dev host datapath ## the tests of that folder, whichever runtime they use (root)
	@$(root) $(ci)/containerlab-env $(python) -m pytest tests/$@ $(ARGS)

# A failure of the first does not hide what the second finds.
nightly: venv-dev host datapath ## random examples, 200 interruptions a signal, 80 kills a command (root); SEED=n repeats the examples
	@code=0; \
	$(ci)/random-examples nightly 'hypothesis and not netns and not clab' -n auto --dist worksteal $(ARGS) || code=1; \
	$(root) env LABCTL_MOMENTS=200 $(ci)/pytest-run interruptions netns tests/e2e/test_interruptions.py || code=1; \
	$(root) $(ci)/pytest-run long 'nightly and netns and not clab' || code=1; \
	$(root) env LABCTL_KILLS=80 $(ci)/pytest-run kills netns tests/e2e/test_cli_kill.py || code=1; \
	exit $$code

soak: venv-dev host datapath ## what takes hours: the slow and the random tests in network namespaces (root)
	@$(root) $(ci)/random-examples soak '(slow or hypothesis) and netns and not clab' $(ARGS)

bench: venv datapath ## the numbers that docs claim (root)
	@$(root) $(labctl) doctor --install --for overlay --quiet
	@$(root) $(ci)/containerlab-env bench/run

images: venv ## the container images of the roles (root)
	@$(root) $(ci)/containerlab-env true

# Use it from a shell by: eval "$$(tools/ci/engine env)"
containerlab-up: venv ## an engine, containerlab and the images, there until make engine-stop (root)
	@$(root) $(ci)/engine start
	@$(root) $(ci)/containerlab-env true

engine-stop: ## end the engine that make has started
	@$(root) $(ci)/engine stop

venv: ## .venv with what labctl runs on
	@mkdir -p build/bin results/ci
	@$(ci)/bootstrap runtime

venv-dev: ## .venv with the tools of development as well
	@mkdir -p build/bin results/ci
	@$(ci)/bootstrap dev

host: venv ## the packages that tests of labs need on this machine (root)
	@$(root) $(labctl) doctor --install --for tests --quiet

# A container image compiles its own.
datapath: $(flowcache).o ## compile the overlay's datapath

dist: venv datapath ## the source distribution, and the wheel that is built from it, in dist/
	@$(ci)/dist

$(flowcache).o: $(flowcache).c $(wildcard labctl/overlay/datapath/*.h) labctl/overlay/datapath/build
	@$(root) $(labctl) doctor --install --for overlay --quiet
	@labctl/overlay/datapath/build $@

lock: venv-dev ## write requirements*.txt anew from pyproject.toml, with versions and hashes
	@$(ci)/lock

clean: ## take every lab down, and away with what make has made here
	@if [ -x $(labctl) ]; then $(root) $(labctl) down --all; fi
	@$(root) $(ci)/engine stop
	@$(root) rm -rf build results .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.coverage .coverage.*
	@find . -name __pycache__ -type d -prune -exec $(root) rm -rf {} +
