"""How the tests reach the tutorial: its text, its outputs, and one execution of it.

What only the tutorial's environment has is imported where it is used.
"""

import pickle
import re
import shutil
import signal
import sys
import time
from base64 import b64decode
from pathlib import Path

import pytest
from reference import Reference, simulate

ROOT = Path(__file__).parents[1]
MD = ROOT / "gaussian_mixture_model.md"
IPYNB = MD.with_suffix(".ipynb")
sys.path.insert(0, str(ROOT))
# A shell's background jobs ignore Ctrl+C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before those that are not wanted are left out
def pytest_collection_modifyitems(items):
    for item in items:
        if "executed" in item.fixturenames:
            item.add_marker("executes")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def figures(cell):
    """The PNGs among a cell's outputs."""
    data = (out.get("data", {}) for out in cell.get("outputs", []))
    return [b64decode(one["image/png"]) for one in data if "image/png" in one]


def defined(name, **names):
    """A function or class of the page, executed by itself, with `names` to look up."""
    text = MD.read_text(encoding="utf-8")
    (source,) = re.findall(rf"^(?:def|class) {name}\b.*?(?=^\S)", text, re.M | re.S)
    exec(source, names)
    return names[name]


@pytest.fixture(scope="session")
def reference():
    """The posterior of the tutorial's data, without the tutorial."""
    return Reference(simulate())


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    import nbformat

    return nbformat.read(IPYNB, as_version=4)


class Execution:
    """A run of the notebook, whose kernel lives on and can be asked."""

    def __init__(self, notebook, folder):
        from run import Kernel

        self.notebook, self.path = notebook, folder / "value"
        self.client = Kernel(notebook, resources={"metadata": {"path": ROOT}})

    def evaluate(self, expression):
        """The value of a Python expression in the kernel."""
        file = f"open({str(self.path)!r}, 'wb')"
        self.run(f"import pickle\nwith {file} as f: pickle.dump(({expression}), f)")
        return pickle.loads(self.path.read_bytes())

    def run(self, code):
        """The outputs of one more cell."""
        from nbformat.v4 import new_code_cell

        self.notebook.cells.append(cell := new_code_cell(code))
        try:
            return self.client.execute_cell(cell, len(self.notebook.cells) - 1).outputs
        finally:
            self.notebook.cells.pop()


def executed_in_a_kernel(notebook, folder):
    """Execute from the repository's folder; the kernel ends with the generator."""
    execution = Execution(notebook, folder)
    with execution.client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            execution.client.execute_cell(cell, index)
        yield execution


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The one execution of the tutorial, in full, that all tests of it share."""
    import jupytext

    notebook, folder = jupytext.read(MD), tmp_path_factory.mktemp("kernel")
    yield from executed_in_a_kernel(notebook, folder)


def wait_until(condition, message, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.1)


def living(processes):
    """Those that have not ended; one that nobody has waited for yet has."""
    import psutil

    running = psutil.process_iter(["status"])
    running = {x for x in running if x.info["status"] != psutil.STATUS_ZOMBIE}
    return [one for one in processes if one in running]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """Playwright drives a Chromium that the machine has: it downloads none."""
    known = "chromium chromium-browser google-chrome google-chrome-stable"
    known += " microsoft-edge"
    found = next(filter(None, map(shutil.which, known.split())), None)
    assert found, "no Chromium on this machine's path, so nothing is tried in a browser"
    return {**browser_type_launch_args, "executable_path": found}


def differ(png_a, png_b, folder):
    """Root mean square of two PNGs' differences, out of 255; they stay in `folder`."""
    from matplotlib.testing.compare import compare_images

    paths = [folder / "a.png", folder / "b.png"]
    for path, png in zip(paths, (png_a, png_b)):
        path.write_bytes(png)
    different = compare_images(*map(str, paths), tol=0, in_decorator=True)
    return different["rms"] if different else 0.0
