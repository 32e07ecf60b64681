# Python to build the environment with; any >= 3.10: make lab PYTHON=python3.12
PYTHON ?= python3
# pytest workers; each uses one thread
JOBS ?= auto
# extra arguments: make test ARGS="-k roi_align", make bench ARGS="--quick"
ARGS ?=

VENV := .venv
# The same libraries, with the widgets that Colab has in front of them.
OLD := .venv-widgets7
OLD_WIDGETS := 7.7.1
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LESSONS := $(wildcard notebooks/*.ipynb)

.PHONY: help lab test test-widgets7 lint format notebooks bench setup clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

lab: $(STAMP)  ## set up if needed, then open the lessons in JupyterLab
	cd notebooks && ../$(BIN)/jupyter lab $(ARGS)

test: $(STAMP)  ## every test: pytest, all lessons, explorers in a browser where a Chromium is found
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests $(LESSONS) --nbval-lax --nbval-current-env \
		--nbval-cell-timeout=600 --numprocesses=$(JOBS) --maxprocesses=4 --dist=loadfile $(ARGS)

test-widgets7: $(OLD)/.installed  ## lessons, explorers and exercises with ipywidgets 7.7.1, which Colab has
	MRCNN_EDU_WIDGETS=$(OLD_WIDGETS) OMP_NUM_THREADS=1 $(OLD)/bin/python -m pytest tests/explorers tests/exercises \
		$(LESSONS) --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
		--numprocesses=$(JOBS) --maxprocesses=4 --dist=loadfile $(ARGS)

lint: $(STAMP)  ## ruff: rules and layout, lessons included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(STAMP)  ## run every lesson from a fresh kernel and store its outputs
	$(BIN)/python -m mrcnn_edu.explorers.stills $(LESSONS)

bench: $(STAMP)  ## times and memory next to torchvision's, into benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.run $(ARGS)

setup: $(STAMP)  ## create .venv and install, nothing else
	@echo "$(VENV) is up to date."

clean:  ## remove .venv and .venv-widgets7
	rm -rf $(VENV) $(OLD)

$(STAMP): pyproject.toml | $(BIN)/python
	@echo "Installing what pyproject.toml lists into $(VENV); the first time takes a few minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[lab,test]"
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
	$(OLD)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		ipywidgets==$(OLD_WIDGETS) 'widgetsnbextension~=3.6.0' ipython-genutils
	$(BIN)/python -c 'import sysconfig; p = sysconfig.get_path("purelib"); print(f"import site; site.addsitedir({p!r})")' \
		> "$$($(OLD)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth"
	@touch $@
