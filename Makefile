# Everything a developer does here. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
INSTALLED := $(VENV)/.installed

export PYTHONPATH := examples

.DEFAULT_GOAL := help
.PHONY: help setup build demo demo-down test test-long screenshots faults bench-reconcile bench-schedule bench-worker bench-gateway \
  bench-test e2e kind check fix generate lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## Install everything Python into .venv

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo 'Python 3.11 or newer is needed as $(PYTHON); name another with: make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	|| { echo '$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv'; exit 1; }
	@echo 'installing Python packages into $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
	|| { echo 'the package registry could not be reached: check the network and the configuration of pip'; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

build: $(INSTALLED) ## Build the local cluster's programs and Helm (the first time about 11 minutes)
	@$(BIN)/python -m local_cluster build kubernetes helm

demo: build ## Run crawls on a local cluster and show them (KEEP=1 leaves it running)
	@$(BIN)/python -m demo

demo-down: $(INSTALLED) ## End a demo that was kept
	@$(BIN)/python -m demo down

test: build ## Run all tests, on a real API server
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

screenshots: build ## Make the pictures of the gateway's page anew (needs Chromium)
	@mkdir -p docs/images
	@SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/gateway/test_page.py -k fits

test-long: build ## Run the tests of whole interfaces, step by step, and those that take a quarter of a minute each (ARGS go to pytest)
	@$(BIN)/python -m pytest -m long --numprocesses 2 --dist loadfile $(ARGS)

faults: build ## Run the tests that take minutes: operators killed, stopped and cut off (ARGS go to pytest)
	@$(BIN)/python -m pytest -m faults --numprocesses 2 tests/faults/test_sweep.py $(ARGS); sweep=$$?; \
	$(BIN)/python -m pytest -m faults --ignore tests/faults/test_sweep.py $(ARGS); others=$$?; \
	case $$sweep$$others in 00|05|50) ;; *) exit 1 ;; esac  # 5: ARGS name no test of the two

bench-reconcile: build ## Measure the operator beside plain batch Jobs (ARGS=--quick for a minute instead of fifteen)
	@$(BIN)/python -m crawl_benchmarks $(ARGS)

bench-schedule: build ## Measure how late runs of schedules are, beside CronJobs (ARGS=--quick for three minutes instead of fifteen)
	@$(BIN)/python -m crawl_benchmarks.schedules $(ARGS)

bench-worker: export PYTHONPATH := examples:tests
bench-worker: $(INSTALLED) ## Measure the worker beside Scrapy spiders on a documentation tree (ARGS=--quick for seconds instead of minutes)
	@$(BIN)/python -m crawl_benchmarks.worker $(ARGS)

bench-gateway: build ## Measure the gateway beside the same calls straight to the API server (ARGS=--quick for seconds instead of minutes)
	@$(BIN)/python -m crawl_benchmarks.gateway $(ARGS)

bench-test: build ## Test that the benchmarks work
	@$(BIN)/python -m pytest -m benchmarks

e2e: $(INSTALLED) ## Install chart and images on a real node, and use them (root; the first time 10 minutes more)
	@$(BIN)/python -m local_cluster build kubernetes helm node containers dns
	@$(BIN)/python -m pytest -m e2e -x

kind: export KUBECONFIG := $(CURDIR)/.kind/kubeconfig
kind: $(INSTALLED) ## Install chart and images on kind and try them (needs Docker and kind; leaves it running)
	docker build -q -f gateway/Containerfile -t crawl-gateway:0.1.0 .
	docker build -q -f operator/Containerfile -t crawl-operator:0.1.0 .
	docker build -q -f worker_image/Containerfile -t crawl-worker:0.1.0 .
	mkdir -p .kind
	kind create cluster --name crawl-operator --wait 2m
	kind load docker-image --name crawl-operator crawl-gateway:0.1.0 crawl-operator:0.1.0 crawl-worker:0.1.0
	helm=$$($(BIN)/python -m local_cluster build helm)/helm; \
	$$helm install crawl-operator charts/crawl-operator --namespace crawl-operator --create-namespace --wait \
	  --set gateway.enabled=true \
	&& $$helm test crawl-operator --namespace crawl-operator --logs
	@echo 'export KUBECONFIG=$(KUBECONFIG)   to use it;   kind delete cluster --name crawl-operator   to end it'

check: $(INSTALLED) ## Lint, check types and import contracts, and that generated files are up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@for room in tests/*/; do echo mypy $$room; $(BIN)/mypy $$room || exit 1; done
	$(BIN)/lint-imports
	$(BIN)/mypy charts/generate.py
	$(BIN)/python -m crawl_api --check
	$(BIN)/python charts/generate.py --check chart

fix: $(INSTALLED) ## Mend what the linter can mend, and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

generate: $(INSTALLED) ## Write anew the CRDs from the models, what the chart copies, and the Kustomize base
	$(BIN)/python -m crawl_api
	$(BIN)/python charts/generate.py chart base

lock: $(INSTALLED) ## Pin the newest versions of all dependencies, those of the images too
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --output-file requirements.lock
	@for image in gateway:gateway operator:operator worker:worker_image; do \
	  $(BIN)/uv pip compile --quiet pyproject.toml --extra $${image%%:*} --constraint requirements.lock --universal \
	    --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --output-file $${image##*:}/requirements.lock || exit 1; done
	$(BIN)/uv pip compile --quiet --upgrade --group pyproject.toml:image-build --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --output-file images/requirements.lock

clean: ## Remove what was installed or generated here (the local cluster's programs stay in the user's cache)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
