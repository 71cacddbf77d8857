# make demo     virtual networks behind three gateways, each losing its power under traffic; the verdict
# make test     everything that CI runs
# make nightly  what takes too long for every change: 200 interruptions of `up` for each signal
# make bench    the numbers that docs claim
# make lint     every linter
# make clean    what make has made here
#
# All of them install what they need; packages and labs take root (or sudo).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ci := tools/ci
labctl := .venv/bin/labctl
root := $(ci)/as-root
flowcache := labctl/overlay/datapath/flowcache.bpf

.PHONY: help demo test nightly bench lint clean venv venv-dev host unit netns containerlab contract e2e golden images \
	containerlab-up engine-stop lock datapath

help:
	@sed -n 's/^# make /make /p' Makefile

demo: venv datapath
	@$(root) $(labctl) doctor --install --for overlay --quiet
	@$(root) $(labctl) run scenarios/zero-loss-gateway.yml --runtime netns --out results/demo

test: lint unit netns containerlab

nightly: venv-dev host datapath
	@$(root) env LABCTL_MOMENTS=200 $(ci)/pytest-run nightly netns tests/e2e/test_interruptions.py

bench: venv host datapath
	@$(root) $(ci)/containerlab-env bench/run

lint: venv-dev
	@$(ci)/lint

unit: venv-dev
	@$(ci)/pytest-run unit 'not netns and not clab'

netns: venv-dev host datapath
	@$(root) $(ci)/pytest-run netns 'netns and not clab'

containerlab: venv-dev host
	@$(root) $(ci)/containerlab-env $(ci)/pytest-run containerlab clab

# The same tests, cut the other way.
contract e2e golden: venv-dev host datapath
	@$(root) $(ci)/containerlab-env .venv/bin/python -m pytest tests/$@

images: venv
	@$(root) $(ci)/containerlab-env true

# An engine, containerlab and the images, there until `make engine-stop`: eval "$$(tools/ci/engine env)"
containerlab-up: venv
	@$(root) $(ci)/engine start
	@$(root) $(ci)/containerlab-env true

engine-stop:
	@$(root) $(ci)/engine stop

venv venv-dev:
	@mkdir -p build/bin results/ci
	@$(ci)/bootstrap $(if $(filter venv-dev,$@),dev,runtime)

host: venv
	@$(root) $(labctl) doctor --install --for tests --quiet

# The overlay's datapath, compiled once; a container image compiles its own.
datapath: $(flowcache).o

$(flowcache).o: $(flowcache).c $(wildcard labctl/overlay/datapath/*.h) labctl/overlay/datapath/build
	@$(root) $(labctl) doctor --install --for overlay --quiet
	@labctl/overlay/datapath/build $@

lock: venv-dev
	@$(ci)/lock

clean:
	@if [ -x $(labctl) ]; then $(root) $(labctl) down --all; fi
	@$(root) $(ci)/engine stop
	@$(root) rm -rf build results .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec $(root) rm -rf {} +
