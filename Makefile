# `make` alone lists the targets. All of them first set up the environment in .venv if it is missing or out of date.

NOTEBOOK := gaussian_mixture_model
PYTHON := .venv/bin/python
# Our own uv where the machine has none. It is installed from the root folder, where no .python-version picks an interpreter.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.PHONY: help run test machinery pair lab gallery literal convergence mistakes lock clean

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/ready  ## execute the tutorial into build/, with progress
	$(PYTHON) run.py

test: .venv/ready  ## check the style, execute the notebook, compare its outputs and test what decides about it
	.venv/bin/pre-commit run --all-files
	.venv/bin/pytest

machinery: .venv/ready  ## test what is around it: pages and JupyterLab in a browser, run.py's bad days, other settings
	.venv/bin/pytest -m machinery

pair: .venv/ready  ## execute the tutorial and make the result the committed .ipynb
	$(PYTHON) run.py --pair

lab: .venv/ready  ## open the tutorial in JupyterLab
	.venv/bin/jupyter lab $(NOTEBOOK).md

gallery: .venv/ready  ## render the stored outputs as web pages into build/gallery
	rm -rf build/gallery
	.venv/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir build/doctrees gallery build/gallery
	@echo "open build/gallery/index.html"

literal: .venv/ready  ## a long look: sample the original, stock step and all, and compare
	.venv/bin/pytest -s -m long tests/test_literal.py

convergence: .venv/ready  ## a long look: fit fifty other data sets, and count convergence and coverage
	.venv/bin/pytest -s -m long tests/test_convergence.py

mistakes: .venv/ready  ## a long look: plant mistakes in copies and say which test catches each
	$(PYTHON) tests/planted_mistakes.py

# Only Python 3.10 is resolved for (pyproject.toml), and the markers that say so again on every line are taken off.
lock: .venv/ready  ## make requirements.txt from requirements.in
	mkdir -p build && cp requirements.txt build/lock
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock" \
		--output-file build/lock requirements.in
	sed -e "s/python_full_version < '3.11' and //" -e "s/ ; python_full_version < '3.11'//" build/lock > requirements.txt

clean:  ## remove the environment and everything that was built
	rm -rf .venv .uv build

.venv/ready: requirements.txt .python-version Makefile $(filter .uv/bin/uv,$(UV))
	@$(UV) python find 3.10 >/dev/null 2>&1 || $(UV) python install 3.10 >/dev/null 2>&1 || { \
		echo "No Python 3.10, which PyMC3 needs, and it could not be fetched. Install it ('uv python install 3.10' or 'pyenv install 3.10') and run make again." >&2; exit 1; }
	$(UV) venv --quiet --clear --python 3.10 .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(PYTHON) requirements.txt
	.venv/bin/jupytext-config --settings-file .venv/etc/jupyter/labconfig/default_setting_overrides.json set-default-viewer markdown
	echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' > .venv/etc/jupyter/labconfig/page_config.json
	touch $@

.uv/bin/uv:
	@dir="$$PWD/.uv" && cd / && { python3 -m venv "$$dir" 2>/dev/null && "$$dir/bin/python" -m pip install --quiet uv \
		|| python3 -m pip install --quiet --upgrade --target "$$dir" uv; } \
		|| { rm -rf "$$dir"; echo "uv, which sets up the environment, could not be installed. Install it yourself (https://docs.astral.sh/uv) and run make again." >&2; exit 1; }
