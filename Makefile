# Python to build the environment with; any >= 3.10: make lab PYTHON=python3.12
PYTHON ?= python3
# pytest workers; each uses one thread
JOBS ?= auto
# extra arguments: make test ARGS="-k roi_align", make bench ARGS="--quick"
ARGS ?=

# Pythons for the oldest versions and for Colab's; $(PYTHON) where there is none of that name
OLDEST_PYTHON ?= python3.10
COLAB_PYTHON ?= python3.13

VENV := .venv
# The same libraries, with the widgets that Colab has in front of them.
OLD := .venv-widgets7
OLD_WIDGETS := ipywidgets==7.7.1
# The oldest versions that pyproject.toml allows.
OLDEST := .venv-oldest
# What Colab's image has of the libraries that we need; Colab installs the project with --no-deps.
COLAB := .venv-colab
COLAB_VERSIONS := torch==2.11.* torchvision==0.26.* numpy==2.1.* matplotlib==3.10.* ipython==7.34.* $(OLD_WIDGETS) \
	anywidget==0.9.*
PIP := -m pip install --quiet --disable-pip-version-check
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LESSONS := $(wildcard notebooks/*.ipynb)
OPTIONS = $(LESSONS) --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
	--numprocesses=$(JOBS) --maxprocesses=4 --dist=loadfile $(ARGS)

.PHONY: help lab test test-widgets7 test-oldest test-colab lint format notebooks bench setup clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

lab: $(STAMP)  ## set up if needed, then open the lessons in JupyterLab
	cd notebooks && ../$(BIN)/jupyter lab $(ARGS)

test: $(STAMP)  ## every test: pytest, all lessons, explorers in a browser where a Chromium is found
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests $(OPTIONS)

test-widgets7: $(OLD)/.installed  ## lessons, explorers and exercises with ipywidgets 7.7.1, which Colab has
	MRCNN_EDU_VERSIONS="$(OLD_WIDGETS)" OMP_NUM_THREADS=1 $(OLD)/bin/python -m pytest \
		tests/test_versions.py tests/explorers tests/exercises $(OPTIONS)

test-oldest: $(OLDEST)/.installed  ## every test but those in a browser, with the oldest versions that are allowed
	MRCNN_EDU_VERSIONS="$$(cat $(OLDEST)/versions.txt)" OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest \
		tests -m "not browser" $(OPTIONS)

test-colab: $(COLAB)/.installed  ## every test but those in a browser, with the versions that Colab has
	MRCNN_EDU_VERSIONS="$$(cat $(COLAB)/versions.txt)" OMP_NUM_THREADS=1 $(COLAB)/bin/python -m pytest \
		tests -m "not browser" $(OPTIONS)

lint: $(STAMP)  ## ruff: rules and layout, lessons included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(STAMP)  ## run every lesson from a fresh kernel and store its outputs
	$(BIN)/python -m mrcnn_edu.explorers.toolkit.stills $(LESSONS)

bench: $(STAMP)  ## times and memory next to torchvision's, into benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.run $(ARGS)

setup: $(STAMP)  ## create .venv and install, nothing else
	@echo "$(VENV) is up to date."

clean:  ## remove every environment that was made here
	rm -rf $(VENV) $(OLD) $(OLDEST) $(COLAB)

$(STAMP): pyproject.toml | $(BIN)/python
	@echo "Installing what pyproject.toml lists into $(VENV); the first time takes a few minutes."
	$(BIN)/python $(PIP) -e ".[lab,test]"
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "$(PYTHON) was not found. Install Python 3.10 or newer, or name one: make lab PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "$$($(PYTHON) --version) is too old: this project needs Python 3.10 or newer."; \
		echo "Install one, or name one that you have: make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot create environments with pip. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(OLD)/.installed: $(STAMP)
	$(BIN)/python -m venv $(OLD)
	$(OLD)/bin/python $(PIP) --no-deps $(OLD_WIDGETS) 'widgetsnbextension~=3.6.0' ipython-genutils
	$(BIN)/python -c 'import sysconfig; p = sysconfig.get_path("purelib"); print(f"import site; site.addsitedir({p!r})")' \
		> "$$($(OLD)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth"
	@touch $@

# What reads pyproject.toml for the oldest versions needs these two, before anything else is there.
$(OLDEST)/.installed: pyproject.toml tests/oldest.py
	$(call environment,$(OLDEST),$(OLDEST_PYTHON))
	$(OLDEST)/bin/python $(PIP) pytest 'tomli; python_version < "3.11"'
	$(OLDEST)/bin/python -m tests.oldest > $(OLDEST)/versions.txt
	$(OLDEST)/bin/python $(PIP) -c $(OLDEST)/versions.txt -e ".[lab,test]"
	@touch $@

$(COLAB)/.installed: pyproject.toml Makefile
	$(call environment,$(COLAB),$(COLAB_PYTHON))
	for version in $(COLAB_VERSIONS); do echo "$$version"; done > $(COLAB)/versions.txt
	$(COLAB)/bin/python $(PIP) -c $(COLAB)/versions.txt -e ".[lab,test]"
	@touch $@

# An environment in the folder $(1), of the Python $(2) or, where that is not here, of $(PYTHON).
define environment
@python=$(2); "$$python" -c "" >/dev/null 2>&1 || { \
	echo "$(2) was not found, so $(PYTHON) is used."; python=$(PYTHON); }; \
	test -x $(1)/bin/python || "$$python" -m venv $(1)
@echo "Installing into $(1); the first time takes some minutes and 6 GB, most of it torch's."
endef
