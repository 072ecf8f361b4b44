# PYTHON=/path/to/python chooses the interpreter of .venv; without it, the newest suitable one on PATH or among pyenv's
# versions is found. DATASET=digits (or a path) chooses the data of `make run`, RESULTS=runs another folder than the
# recorded results for `make reproduce`.
VERSIONS ?= 3.14 3.13 3.12 3.11
PYTHON ?= $(shell \
	for version in $(VERSIONS); do \
		for python in $$(command -v python$$version python3 python) \
			$$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python 2>/dev/null | sort -rV); do \
			found=$$($$python -c 'import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); \
			if [ "$$found" = $$version ]; then echo $$python; exit; fi; \
		done; \
	done)
VENV ?= .venv
RUN = $(VENV)/bin/python
SUPPORT = PYTHONPATH=code $(RUN) -m support
DATASET ?= $$($(SUPPORT) dataset)
RESULTS ?= data/results
ON_ALL_CORES = --numprocesses auto --dist loadfile --no-loadscope-reorder

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 14

run: install  ## train the stacked denoising autoencoder by the published recipe
	dataset=$(DATASET) && $(RUN) code/SdA.py --dataset $$dataset

quick: install  ## the same in a minute, with a short schedule
	dataset=$(DATASET) && $(RUN) code/SdA.py --quick --dataset $$dataset

reproduce: install data  ## run the published recipes that have no record in RESULTS, then write its page
	$(SUPPORT) reproduce $(RESULTS)

table: install  ## print the table of the recorded results
	@$(SUPPORT) table

pages: install  ## write the lessons as pages for the browser to runs/pages/, text beside code
	$(SUPPORT) pages

data: install  ## find MNIST, or download it to data/
	@$(SUPPORT) data

test: install  ## run the tests that a change should pass at once, on all cores
	$(RUN) -m pytest tests $(ON_ALL_CORES)

test-all: install  ## run every test, the slow ones too
	$(RUN) -m pytest tests $(ON_ALL_CORES) -m "" --graphs 120 --compiled-graphs 12

check: install  ## see whether the code is in its format and free of known faults
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

format: install  ## bring the code into its format
	$(RUN) -m ruff check --select I --fix
	$(RUN) -m ruff format

torture: install  ## kill each lesson a hundred times and see that it ends as if nothing had been
	$(RUN) tests/torture.py

bench: install  ## time a step of each phase, beside other frameworks where they are installed
	$(RUN) tests/benchmark.py

bench-peers: .venv-peers/installed  ## install PyTorch and JAX, in an environment of their own, for bench

.venv-peers/installed: tests/requirements-peers.txt
	python=$$($(MAKE) --no-print-directory python VERSIONS=3.11) && $${python:?Python 3.11 is missing} -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/requirements-peers.txt
	@touch $@

install: $(VENV)/installed  ## make .venv with the pinned packages (every target does so)

$(VENV)/installed: code/requirements.txt
	@test -n "$(PYTHON)" || { echo "error: no Python from 3.11 to 3.14 with venv: install one, or name it by PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --requirement code/requirements.txt
	@touch $@

python:  ## print the interpreter that .venv is made with
	@echo "$(PYTHON)"

clean:  ## remove .venv and what Python leaves behind; runs/ and data/ stay
	rm -rf .venv .venv-* tests/.pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run quick reproduce table pages data test test-all check format torture bench bench-peers install python clean
