"""Execute the tutorial from its .md, top to bottom, with progress on the terminal.

python run.py          leave the executed notebook in build/
python run.py --pair   then make it the committed pair, whole or not at all
"""

import base64
import os
import sys
import tempfile
import time
from pathlib import Path

try:
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor
except ModuleNotFoundError as error:
    sys.exit(
        f"{error} in {sys.executable}, Python {sys.version.split()[0]}. Run `make run`, which sets up an environment "
        "(`make clean` removes a damaged one), or `pip install -r requirements.txt` in an environment of Python 3.10."
    )
except KeyboardInterrupt:
    sys.exit(130)

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

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        shutdown_kernel="immediate",
        record_timing=False,
        on_cell_execute=announce,
    )
    try:
        client.execute()
    except BaseException:
        # On Ctrl+C nbclient ends the kernel, and what it then raises depends on the moment.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise KeyboardInterrupt from None
        raise
    CoalesceStreamsPreprocessor().preprocess(notebook, {})  # one output for what was printed in a row, as in JupyterLab
    return time.perf_counter() - begin


def put(files):
    """Write all files aside before the first takes its place: if one cannot be written, the old ones stay."""
    with tempfile.TemporaryDirectory(dir=EXECUTED.parent) as aside:
        for path, content in files.items():
            Path(aside, path.name).write_bytes(content)
        for path in files:
            os.replace(Path(aside, path.name), path)


def main():
    sys.stdout.reconfigure(errors="replace")  # for a terminal that cannot print every letter
    notebook = jupytext.read(SOURCE)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"  # random identifiers would change with each run
    EXECUTED.parent.mkdir(exist_ok=True)
    stopped = None
    try:
        seconds = execute(notebook)
    except (CellExecutionError, DeadKernelError) as error:
        stopped = error
    executed = f"{jupytext.writes(notebook, 'ipynb')}\n".encode()
    put({EXECUTED: executed})
    if stopped:
        reason = f"{stopped}, perhaps for want of memory." if isinstance(stopped, DeadKernelError) else stopped
        sys.exit(f"{reason}\n{SOURCE} stopped at the cell above; the notebook so far is {EXECUTED}")
    print(f"{seconds:6.1f} s  done: {EXECUTED}")

    if "--pair" in sys.argv[1:]:
        (thumbnail,) = (
            output.data["image/png"]
            for cell in notebook.cells
            if "thumbnail" in cell.metadata.get("tags", [])
            for output in cell.outputs
            if "image/png" in output.get("data", {})
        )
        pair = SOURCE.with_suffix(".ipynb")
        put({SOURCE.with_suffix(".png"): base64.b64decode(thumbnail), pair: executed})
        print("the pair is up to date: commit", SOURCE, "and", pair)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted: no file was changed.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f"{error}. The committed files are as they were.")
