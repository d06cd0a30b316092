"""Execute the tutorial from its .md, top to bottom, with progress on the terminal.

python run.py          leave the executed notebook in build/
python run.py --pair   then make it the committed pair, whole or not at all
"""

import base64
import os
import sys
import time
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

SOURCE = Path("gaussian_mixture_model.md")
EXECUTED = Path("build/gaussian_mixture_model.ipynb")


def title(source):
    """First line of a code cell that is not blank."""
    return next((line for line in source.splitlines() if line.strip()), "")[:60]


def execute(notebook):
    """Run every cell of `notebook` in place and return the seconds that it took."""
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    begin = time.perf_counter()

    def announce(cell, cell_index):
        position = f"{code.index(cell_index) + 1:3}/{len(code)}"
        print(f"{time.perf_counter() - begin:6.1f} s  {position}  {title(cell.source)}", flush=True)

    NotebookClient(
        notebook, timeout=None, kernel_name="python3", record_timing=False, on_cell_execute=announce
    ).execute()
    CoalesceStreamsPreprocessor().preprocess(notebook, {})  # one output for what was printed in a row, as in JupyterLab
    return time.perf_counter() - begin


def main():
    notebook = jupytext.read(SOURCE)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"  # random identifiers would change with each run
    EXECUTED.parent.mkdir(exist_ok=True)
    try:
        seconds = execute(notebook)
    except CellExecutionError as error:
        jupytext.write(notebook, EXECUTED)
        sys.exit(f"{error}\n{SOURCE} stopped at the cell above; the notebook so far is {EXECUTED}")
    jupytext.write(notebook, EXECUTED)
    print(f"{seconds:6.1f} s  done: {EXECUTED}")

    if "--pair" in sys.argv[1:]:
        (thumbnail,) = (
            output.data["image/png"]
            for cell in notebook.cells
            if "thumbnail" in cell.metadata.get("tags", [])
            for output in cell.outputs
            if "image/png" in output.get("data", {})
        )
        picture = EXECUTED.with_suffix(".png")
        picture.write_bytes(base64.b64decode(thumbnail))
        for path in (picture, EXECUTED):
            os.replace(path, path.name)
        print("the pair is up to date: commit", SOURCE, "and", EXECUTED.name)


if __name__ == "__main__":
    main()
