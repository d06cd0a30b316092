# `make` alone lists the targets. All of them first set up the environment in .venv if it is missing or out of date.

NOTEBOOK := gaussian_mixture_model
PYTHON := .venv/bin/python
# Our own uv where the machine has none. It is installed from the root folder, where no .python-version picks an interpreter.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
# What needs no execution of the notebook, no browser and no patience.
FAST := -n 2 -m "not executes and not machinery and not long"
# The tests of the package, which need no PyMC3.
PACKAGE_TESTS := $(wildcard $(addprefix tests/test_,data.py dask.py sampler.py diagnostics.py fit.py files.py command.py))

.PHONY: help run check test plain modern machinery pair lab gallery long mutants bench lock clean

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/ready  ## execute the tutorial into build/, with progress
	$(PYTHON) run.py

check: .venv/ready  ## in a minute: check the style, and test all that needs no execution of the notebook
	.venv/bin/pre-commit run --all-files
	.venv/bin/pytest $(FAST)

test: check  ## then execute the notebook and test what comes out
	.venv/bin/pytest -m executes

plain: .venv/ready  ## the tests of `make check` as on processors without vector code
	$(PYTHON) tests/without_vector_code.py $(FAST)

# PyMC is last, since it may hold back versions that the package is tested with.
modern: $(filter .uv/bin/uv,$(UV))  ## test the package with the newest of all that it needs, and the page's model with today's PyMC
	@PYENV_VERSION=3.13 $(UV) venv --quiet --clear --python 3.13 .venv-modern 2>/dev/null \
		|| PYENV_VERSION=3.12 $(UV) venv --quiet --clear --python 3.12 .venv-modern 2>/dev/null || { \
		echo "No Python 3.13 or 3.12, and neither could be fetched. Install one ('uv python install 3.13' or 'pyenv install 3.13') and run make again." >&2; exit 1; }
	rm -rf build/wheel
	$(UV) build --quiet --wheel --python .venv-modern/bin/python --out-dir build/wheel
	$(UV) pip install --quiet --python .venv-modern/bin/python build/wheel/*.whl pyarrow "dask[array,distributed]" pytest pytest-timeout hypothesis
	@cd build && ../.venv-modern/bin/python -c "import mixtures, sys; from importlib.metadata import version; assert mixtures.__file__.startswith(sys.prefix); \
		print('Python', sys.version.split()[0], *(f'{x} {version(x)}' for x in 'numpy pandas scipy xarray arviz'.split()))"
	cd build && ../.venv-modern/bin/pytest --noconftest --import-mode=importlib $(addprefix ../,$(PACKAGE_TESTS))
	$(UV) pip install --quiet --python .venv-modern/bin/python pymc
	cd build && ../.venv-modern/bin/pytest --noconftest ../tests/test_todays_pymc.py

machinery: .venv/ready  ## test what is around it: pages and JupyterLab in a browser, run.py's bad days, other settings
	.venv/bin/pytest -m machinery --screenshot only-on-failure --output build/screenshots

pair: .venv/ready  ## execute the tutorial and make the result the committed .ipynb
	$(PYTHON) run.py --pair

lab: .venv/ready  ## open the tutorial in JupyterLab
	.venv/bin/jupyter lab $(NOTEBOOK).md

gallery: .venv/ready  ## render the stored outputs as web pages into build/gallery
	rm -rf build/gallery
	.venv/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir build/doctrees gallery build/gallery
	@echo "open build/gallery/index.html"

long: .venv/ready  ## a long look: sample the original, stock step and all, and fit fifty other data sets
	.venv/bin/pytest -s -m long

# One in twenty of the changes that mutmut knows, always the same ones: all would take a day.
mutants: .venv/ready  ## a long look: change the package in some hundred places, and list what no test notices
	rm -rf mutants
	PYTHONHASHSEED=0 .venv/bin/mutmut run "*_7" "*[1379]7"
	@.venv/bin/mutmut results --all true | awk '/: not checked$$/ { next } { n++ } /: (killed|timeout)$$/ { caught++; next } { print } \
		END { print "caught " caught " of " n; exit caught < 0.85 * n }'

bench: .venv/ready  ## a long look: what columns of many sizes cost on one core
	OMP_NUM_THREADS=1 PYTHONPATH=. $(PYTHON) tests/bench_sizes.py $(SIZE)

# Only Python 3.10 is resolved for (pyproject.toml), and the markers that say so again on every line are taken off.
lock: .venv/ready  ## make requirements.txt from requirements.in
	mkdir -p build && cp requirements.txt build/lock
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock" \
		--output-file build/lock requirements.in
	sed -e "s/python_full_version < '3.11' and //" -e "s/ ; python_full_version < '3.11'//" build/lock > requirements.txt

clean:  ## remove the environment and everything that was built
	rm -rf .venv .venv-modern .uv build mutants

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
