# `make` alone lists the targets. All of them first set up the environment in .venv if it is
# missing or out of date.

NOTEBOOK := gaussian_mixture_model
PYTHON := .venv/bin/python
# Our own uv where the machine has none. It is installed from the root folder, where no
# .python-version picks an interpreter.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
LAB := .venv/etc/jupyter/labconfig
# What needs no execution of the notebook, no browser and no patience.
FAST := -n 2 -m "not executes and not machinery and not long"

.PHONY: help run check test plain modern machinery pair lab gallery long mutants bench lock clean

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/ready  ## execute the tutorial into build/, with progress
	$(PYTHON) run.py

check: .venv/ready  ## in a minute: check the style, and test all that needs no execution
	.venv/bin/pre-commit run --all-files
	.venv/bin/pytest $(FAST)

test: check  ## then execute the notebook and test what comes out
	.venv/bin/pytest -m executes

plain: .venv/ready  ## `make test` as on processors without vector code, and with another seed
	$(PYTHON) tests/without_vector_code.py $(FAST)
	RANDOM_SEED=1 .venv/bin/pytest -m "executes and not stored"

modern: $(filter .uv/bin/uv,$(UV))  ## test the package with the newest of all that it needs
	$(UV) run --quiet --no-project --python ">=3.10" tests/recipes.py modern

machinery: .venv/ready  ## test what is around it: pages and JupyterLab in a browser, bad days
	.venv/bin/pytest -m machinery --screenshot only-on-failure --output build/screenshots

pair: .venv/ready  ## execute the tutorial and make the result the committed .ipynb
	PYTHONPATH=. $(PYTHON) tests/pair.py

lab: .venv/ready  ## open the tutorial in JupyterLab
	.venv/bin/jupyter lab $(NOTEBOOK).md

gallery: .venv/ready  ## render the stored outputs as web pages into build/gallery
	rm -rf build/gallery
	.venv/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env \
		--doctree-dir build/doctrees gallery build/gallery
	@echo "open build/gallery/index.html"

long: .venv/ready  ## a long look: sample with the stock step, and fit fifty other data sets
	.venv/bin/pytest -s -m long

mutants: .venv/ready  ## a long look: plant mistakes in the package, list what no test notices
	rm -rf mutants
	$(PYTHON) tests/recipes.py mutants

bench: .venv/ready  ## a long look: what columns of many sizes cost, and what jumps bring
	OMP_NUM_THREADS=1 PYTHONPATH=. $(PYTHON) tests/bench_sizes.py $(SIZE)
	$(if $(SIZE),,PYTHONPATH=. $(PYTHON) tests/bench_jumps.py)

lock: .venv/ready  ## make requirements.txt from requirements.in
	$(PYTHON) tests/recipes.py lock

clean:  ## remove the environment and everything that was built
	rm -rf .venv .venv-modern .uv build mutants

.venv/ready: requirements.txt .python-version Makefile $(filter .uv/bin/uv,$(UV))
	@$(UV) python find 3.10 >/dev/null 2>&1 || $(UV) python install 3.10 >/dev/null 2>&1 || { \
		echo "No Python 3.10, which PyMC3 needs, and it could not be fetched. Install it" \
		"('uv python install 3.10' or 'pyenv install 3.10') and run make again." >&2; exit 1; }
	$(UV) venv --quiet --clear --python 3.10 .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(PYTHON) requirements.txt
	.venv/bin/jupytext-config --settings-file $(LAB)/default_setting_overrides.json \
		set-default-viewer markdown
	echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \
		> $(LAB)/page_config.json
	touch $@

.uv/bin/uv:
	@dir="$$PWD/.uv" && cd / && { python3 -m venv "$$dir" 2>/dev/null \
		&& "$$dir/bin/python" -m pip install --quiet uv \
		|| python3 -m pip install --quiet --upgrade --target "$$dir" uv; } \
		|| { rm -rf "$$dir"; echo "uv, which sets up the environment, could not be installed." \
		"Install it yourself (https://docs.astral.sh/uv) and run make again." >&2; exit 1; }
