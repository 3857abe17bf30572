.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help chromium demo test test-dvc test-parts test-ray test-review test-service test-wheel serve-demo check check-extras docs test-lowest release-check lint types imports soak bench bench-peers bench-hashing clean

help: ## print the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "dedup needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]' --group dev
	@touch $@

demo: $(STAMP) ## build a small dataset with planted duplicates, clean it, show the report
	$(BIN)/dedup demo demo

test: $(STAMP) ## run the test suite
	$(BIN)/python -m pytest -q -n 2 --ignore=tests/review/test_browser.py

test-dvc: $(STAMP) ## the DVC pipeline of docs/pipelines.md, with DVC in an environment of its own
	$(PYTHON) -m venv --clear $(VENV)-dvc
	$(VENV)-dvc/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)-dvc/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dvc]' pytest hypothesis
	$(VENV)-dvc/bin/python -m pytest -q -p no:cacheprovider -m dvc tests/test_pipelines.py

test-parts: $(STAMP) ## the search of parts, with OpenCV
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[parts]'
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/parts

chromium: # the browser that pages are tested in is the system's
	@command -v chromium >/dev/null || { echo "The pages are tested in Chromium, which is not here: apt-get install chromium"; exit 1; }

test-review: $(STAMP) chromium ## the page of dedup review in headless Chromium (apt install chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group review
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/review/test_browser.py

test-ray: $(STAMP) ## runs on Ray clusters of several nodes on this machine
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ray]'
	$(BIN)/python -m pytest -q -p no:cacheprovider --ray tests/ray

test-service: $(STAMP) chromium ## the HTTP service: real processes, its OpenAPI document, a browser
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[service]' --group service-tests
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/service

serve-demo: $(STAMP) ## the demo's pictures in a bank, and a page to drop a picture on
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[service]'
	test -d demo/dataset || $(BIN)/dedup demo demo
	mkdir -p demo-bank
	test -d demo-bank/demo.bank || $(BIN)/dedup bank build demo-bank/demo.bank demo/dataset
	printf 'review:\n  pictures: ../demo/dataset\n' > demo-bank/serve.yaml
	$(BIN)/dedup serve demo-bank/demo.bank --config demo-bank/serve.yaml

lint: $(STAMP) ## format and lint rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP) ## static types
	$(BIN)/mypy

imports: $(STAMP) ## the layers: imports run downwards only
	$(BIN)/lint-imports

check: lint types imports test ## what CI runs first: rules, types, layers, tests

# Further targets that need an environment or services of their own are added here, each with what it needs.
check-extras: test-parts test-ray test-review test-service test-wheel docs ## what CI runs after that

test-wheel: ## the wheel, installed where the source tree cannot be imported
	PYTHON=$(PYTHON) tools/test_wheel.sh $(VENV)-wheel

docs: ## the pages as a site in build/site; a broken link is an error
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check --group docs
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict --quiet

test-lowest: ## a sample of the tests with the lowest versions of the dependencies
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)-lowest/bin/python -m tools.lowest > $(VENV)-lowest/constraints.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c $(VENV)-lowest/constraints.txt --editable . pytest hypothesis jsonschema
	$(VENV)-lowest/bin/python -m pytest -q -p no:cacheprovider tests/test_api.py tests/formats/test_odd_rows.py tests/test_png.py

# Only the links depend on it: what is released elsewhere than from CI names its own.
REPOSITORY ?= https://repository.example/dedup
release-check: ## what is released, built, checked, installed in a fresh environment and used
	$(PYTHON) -m venv $(VENV)-release
	$(VENV)-release/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)-release/bin/python -m pip install --quiet --disable-pip-version-check --group release
	rm -rf dist
	$(VENV)-release/bin/python -m tools.release $(REPOSITORY) dist
	$(VENV)-release/bin/python -m twine check --strict dist/*
	PYTHON=$(PYTHON) tools/test_wheel.sh $(VENV)-wheel dist/*.whl

LOG ?= soak.log
ROUNDS ?= 5
soak: $(STAMP) ## hours of fuzzing and kills, all that it says in LOG; not a part of CI
	for round in $$(seq $(ROUNDS)); do \
	  $(BIN)/python -m benchmarks.fuzz files --seed $$round --log $(LOG) || exit 1; \
	  $(BIN)/python -m benchmarks.fuzz runs --seed $$round --log $(LOG) || exit 1; \
	  $(BIN)/python -m benchmarks.fuzz kills --seed $$round --log $(LOG) || exit 1; \
	done

bench: $(STAMP) ## the search against other tools, about ten minutes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python -m benchmarks.search

bench-peers: ## an environment with imagededup, for bench-hashing
	$(PYTHON) -m venv --clear $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check --group peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps imagededup

bench-hashing: $(STAMP) ## the hashes against the decoder and other tools, about five minutes
	$(BIN)/python -m benchmarks.hashing

clean: ## delete the environment, the demo and caches
	rm -rf $(VENV) $(VENV)-dvc $(VENV)-peers $(VENV)-wheel $(VENV)-docs $(VENV)-lowest $(VENV)-release demo demo-bank build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
