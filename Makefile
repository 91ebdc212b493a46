# Everything this project is asked for. `make help` lists it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# 3.11 first: it is what is developed on. A shim that names no installed Python does not pass the test.
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
NEWER := $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python3.12)
found = $(firstword $(foreach python,$(1),$(shell $(python) -c "$(USABLE)" 2>/dev/null && echo $(python))))

VENV := .venv
VENV_312 := .venv-3.12
# The second Python: 3.12 where .venv is of 3.11. OTHER: the environment of the groups that it runs.
SECOND := $(if $(call found,python3.11),$(call found,python3.12 $(NEWER)))
OTHER := $(if $(SECOND),$(VENV_312),$(VENV))
PYTHON := $(VENV)/bin/python
TESTS := -m pytest

# Trust whom pip and git trust: a company's own authority stands in the system's store.
export UV_SYSTEM_CERTS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where bytecode is not kept, as in many containers, each of the hundreds of processes that tests start compiles
# all of its sources anew: three seconds instead of one and a half for a gateway.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo secrets test test-gateway test-postgres test-flows test-others test-stack test-compose drill check format bench mutants schemas lock jars chromium haproxy prometheus node

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Install everything locked into .venv; afterwards the command is .venv/bin/sluice

demo: install ## Start the whole stack with shoppers that keep paying; Ctrl-C stops it
	@exec $(VENV)/bin/sluice demo

secrets: ## Make the secrets of docker-compose.yml in secrets/; what is there is kept
	@deploy/make-secrets secrets

test: install $(OTHER)/installed chromium haproxy prometheus node ## Install everything and run every test, on Python 3.11 and 3.12 where both are there
	@rm -rf .pytest_cache
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target --keep-going $(GROUPS); ended=$$?; \
		$(TELL_FIRST_FAILURES); exit $$ended

# Four at a time on two cores, for each waits now and then; the last begins when the fourth, the shortest, has ended.
GROUPS := test-stack test-gateway test-postgres test-flows test-others

# $(1) a Python, $(2) what it tests. Tests that failed (1) run once more without the rest of their group, and must pass
# then (decision 0060). What else ends pytest is final: a crash, an error at collection, tests that are not found again.
LAST_FAILED = .pytest_cache/$@/v/cache/lastfailed
tested = @echo '$@: $(1) -m pytest $(2)'; \
	$(1) -m pytest $(2) -o cache_dir=.pytest_cache/$@ --cache-clear --durations=15 || { test $$? = 1 && \
	cp $(LAST_FAILED) $(LAST_FAILED).first && echo "$@: WHAT FAILED RUNS ONCE MORE" && \
	$(1) -m pytest $(2) -o cache_dir=.pytest_cache/$@ --last-failed --last-failed-no-failures none; }
TELL_FIRST_FAILURES = awk '/": true/ {split(FILENAME, group, "/"); print "FAILED AT FIRST in " group[2] ":" $$0}' \
	.pytest_cache/*/v/cache/lastfailed.first 2>/dev/null

test-gateway: # on SQLite; "+" shows its lines as they come, those of the others come when they have ended
	+$(call tested,$(PYTHON),-m "not stack and not postgres" tests/gateway)

# Where a marker's tests are: to collect all the others too takes fifteen seconds of CPU.
marked = $$(grep -rl "mark\.$(1)" tests --include="test_*.py" | sort)

test-stack: # the longest, so it begins first
	$(call tested,$(PYTHON),-m stack $(call marked,stack))

test-postgres: # what uses books, once more
	$(call tested,$(OTHER)/bin/python,-m "postgres and not stack" tests/gateway $(call marked,postgres))

# What speaks to others, computes or keeps state: on the other Python, for the stacks have it on the first.
FLOWS := tests/connectors tests/flows tests/schemas tests/sluice

test-flows:
	$(call tested,$(OTHER)/bin/python,-m "not stack and not postgres" $(FLOWS))

test-others:
	$(call tested,$(PYTHON),-m "not stack and not postgres" $(addprefix --ignore=,tests/gateway $(FLOWS)))

test-compose: install ## Start the compose files for real with podman, use them and break them (root, Debian, some minutes)
	@$(PYTHON) -m tests.compose
	@$(PYTHON) -m tests.compose.many

check: install ## Format, lint, types, tidy
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PYTHON) $(TESTS) -q tests/tidy

format: install ## Format and mend what can be mended
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

drill: install ## Lose the books in the middle of a replay and bring them back from a copy and from Kafka (four minutes)
	$(PYTHON) -m benchmarks.restore_drill

bench: install ## Measure everything on this machine; writes one JSON document, data/bench.json too (DATABASE=postgres)
	@$(PYTHON) -m benchmarks --database $(or $(DATABASE),sqlite) --out data/bench.json

mutants: install ## Change the payment core in every small way and count what its tests notice
	@$(PYTHON) -m benchmarks.mutants --out data/mutants.json

schemas: install ## Write the JSON Schemas, the AsyncAPI document, the table of features and the data dictionary
	$(PYTHON) -m schemas.export
	$(PYTHON) -m schemas.features_page
	$(PYTHON) -m flows.analytics.dictionary

lock: install ## Resolve the Python packages anew into requirements.lock
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --all-extras --no-header \
		pyproject.toml -o requirements.lock

jars: install ## Resolve the broker's jars anew into sluice/kafka.lock.toml
	$(PYTHON) -m sluice.lock_jars

# --- installing ---------------------------------------------------------------------------------------------

$(VENV)/installed: requirements.lock pyproject.toml
	$(call make_venv,$(VENV),$(call found,python3.11 python3.12 $(NEWER) python3))

$(VENV_312)/installed: requirements.lock pyproject.toml
	$(call make_venv,$(VENV_312),$(SECOND))

# $(1) the environment, $(2) the Python that makes it. uv itself comes from the lock, by pip, with its hash.
define make_venv
	@test -n "$(2)" || { echo "No Python 3.11 or 3.12 with its venv module was found (Debian: apt install python3-venv)."; exit 1; }
	@test -x $(1)/bin/python || { echo "$(1): $$($(2) --version)"; $(2) -m venv $(1); }
	@test -x $(1)/bin/uv || { \
		awk '/^uv==/ {on = 1} /^[^ ]/ && !/^uv==/ {on = 0} on' requirements.lock >$(1)/uv.lock && \
		$(1)/bin/python -m pip install --quiet --require-hashes -r $(1)/uv.lock; }
	@$(1)/bin/uv pip sync --python $(1)/bin/python --require-hashes requirements.lock
	@$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation -e .
	@touch $(1)/installed
endef

# $(1) Debian packages, $(2) what needs them
define from_debian
	{ apt="apt-get install -y --no-install-recommends $(1)"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update && $$apt; \
		elif sudo -n true 2>/dev/null; then sudo apt-get update && sudo $$apt; \
		else echo "$(2): install the Debian packages $(1)."; exit 1; fi; }
endef

chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		$(call from_debian,chromium fonts-liberation,The browser tests need Chromium)

haproxy:
	@command -v haproxy >/dev/null || test -x /usr/sbin/haproxy || \
		$(call from_debian,haproxy,The tests of SQL from another host need HAProxy)

prometheus:
	@command -v promtool >/dev/null || $(call from_debian,prometheus,The tests of alerts need promtool)

# The packages of the examples in JavaScript, each by the hash in their lock file.
PACKAGES := examples/javascript/node_modules/.package-lock.json

node: $(PACKAGES)

$(PACKAGES): examples/javascript/package.json examples/javascript/package-lock.json
	@command -v npm >/dev/null || $(call from_debian,nodejs npm,The examples in JavaScript need Node.js 18)
	@cd examples/javascript && npm ci --no-progress --silent
	@touch $(PACKAGES)
