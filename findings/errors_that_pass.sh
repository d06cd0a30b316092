#!/usr/bin/env bash
# nbclient 0.11.0 with IPython and ipykernel 7.4.0 (what nbconvert, Jupyter Book and
# Quarto execute notebooks with).
# Guess: a cell in which Python raises stops the run with CellExecutionError, unless it
#   is tagged raises-exception.
# Seen (2026-11-27): "%run fit.py" and a cell under "%%capture" pass when they raise. The
#   notebook is called executed, the next cells run, and the traceback stands in the
#   output as an "error". "%%time" and "%run" of a notebook do stop the run.
#   "exit()" passes as well, and the cells after it still run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile nbclient==0.11.0 nbformat==5.11.1 ipykernel==7.4.0 ipython==9.10.0
echo 'raise ValueError("no convergence")' > fit.py
bin/python - 2>/dev/null <<'END'
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

seen = {}
for source in "1 / 0", "%%time\n1 / 0", "%run fit.py", "%%capture\n1 / 0", "exit()":
    notebook = new_notebook(cells=[new_code_cell(source), new_code_cell("print('on')")])
    try:
        NotebookClient(notebook, timeout=60).execute()
        seen[source] = "passes"
    except CellExecutionError:
        seen[source] = "stops"
    types = [[o.output_type for o in cell.outputs] for cell in notebook.cells]
    print(f"{source!r:20} {seen[source]}, outputs {types}", flush=True)
if list(seen.values()) != ["stops", "stops", "passes", "passes", "passes"]:
    print("The behavior has changed.")
    raise SystemExit(1)
END
