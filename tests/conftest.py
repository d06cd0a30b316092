"""The tutorial as the tests use it: its cells from the .md, run in this process or in a kernel."""

import os
import re
import shutil
from pathlib import Path

import jupytext
import matplotlib
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
MD = ROOT / "gaussian_mixture_model.md"
IPYNB = MD.with_suffix(".ipynb")


def code_cells(path=IPYNB):
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def cell_with(text, cells=None):
    """The one code cell whose source contains `text`."""
    (cell,) = [cell for cell in cells or code_cells() if cell.cell_type == "code" and text in cell.source]
    return cell


def texts(cell):
    """All that a cell printed or showed as text."""
    return "".join(out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)


def html_table(cell):
    """The data frame that a cell shows, as numbers."""
    (html,) = (out.data["text/html"] for out in cell.outputs if "<table" in out.get("data", {}).get("text/html", ""))
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", html, flags=re.S)]
    return pd.DataFrame([row[1:] for row in rows[1:]], [row[0] for row in rows[1:]], rows[0][1:], dtype=float)


def replaced(text, replacements, name):
    """`text`, that of the file `name`, with each text replaced; each must stand in exactly one place."""
    for old, new in replacements.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        text = text.replace(old, new)
    return text


def edited(replacements):
    """The tutorial with each text of its source replaced."""
    return jupytext.reads(replaced(MD.read_text(encoding="utf-8"), replacements, MD.name), fmt="md:myst")


def run_in_kernel(notebook):
    """Execute `notebook` in a kernel of its own, whose working folder is the repository."""
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": ROOT}})
    return client.execute()


def run_here(cells, names):
    """Execute the cells' Python in the dictionary `names`, leaving out IPython's magic lines."""
    for cell in cells:
        lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
        exec(compile("\n".join(lines), MD.name, "exec"), names)
    return names


@pytest.fixture(scope="session")
def tutorial():
    """What the tutorial's cells define, up to and without the first that samples."""
    matplotlib.use("agg")
    cells = code_cells(MD)
    first = next(i for i, cell in enumerate(cells) if "prints-times" in cell.metadata.get("tags", []))
    names = run_here(cells[:first], {"__name__": "tutorial"})
    for text in ("class ConjugateGibbs", "def log_components"):
        definition = cell_with(text, cells)
        definition.source = definition.source.split("\n\n\n")[0]  # without what follows and needs samples
        run_here([definition], names)
    return names


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    return nbformat.read(IPYNB, as_version=4)


def skip_but_not_in_ci(reason):
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """Playwright drives a Chromium that the machine has: it downloads none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        skip_but_not_in_ci("no Chromium on this machine's path, so nothing was tried in a browser")
    return {**browser_type_launch_args, "executable_path": found}
