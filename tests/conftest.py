"""How the tests reach the tutorial: its definitions, its stored outputs, and one execution of it in a kernel."""

import ast
import builtins
import os
import pickle
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import jupytext
import matplotlib
import nbformat
import psutil
import pymc3  # noqa: F401 (before Theano, whose import fails otherwise)
import pytest
from matplotlib.testing.compare import compare_images
from reference import Reference, simulate

ROOT = Path(__file__).parents[1]
MD = ROOT / "gaussian_mixture_model.md"
IPYNB = MD.with_suffix(".ipynb")
SAMPLERS = {"pm.sample", "gibbs"}

# A shell's background jobs ignore Ctrl+C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, str(ROOT))
from run import Kernel, headings  # noqa: E402


def code_cells():
    return [cell for cell in jupytext.read(MD).cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def cell_that_defines(name, cells=None):
    """The one code cell in which `name` is first assigned, defined or imported at the top level."""
    for cell in cells or code_cells():
        if cell.cell_type == "code" and name in names_in(parsed(cell), ast.Store):
            return cell
    raise LookupError(f"no cell of {MD.name} defines {name}")


def parsed(cell):
    """The cell's Python as a syntax tree, without IPython's magic lines."""
    lines = ["" if line.startswith("%") else line for line in cell.source.splitlines()]
    return ast.parse("\n".join(lines))


def with_values(cell, **values):
    """The cell's Python with other constants assigned to these names."""
    tree = parsed(cell)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            (target,) = node.targets
            node.value = ast.Constant(values.pop(target.id, node.value.value))
    assert not values, f"{list(values)} are assigned no constant in\n{cell.source}"
    return ast.unparse(tree)


def names_in(tree, context=ast.Load):
    """Names that a piece of code reads, or those that it binds outside of functions."""
    if context is ast.Load:
        return {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
    bound, todo = set(), [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        else:
            todo += ast.iter_child_nodes(node)
    return bound


def calls_in(tree):
    """Dotted names of all that a piece of code calls."""
    return {
        ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
    }


def definitions(cells=None):
    """What the tutorial's cells define at their top level, without sampling anything.

    Imports, functions, classes and assignments are executed in one module, in order.
    Left out are statements of other kinds, assignments that call a sampler or a
    function that does, and those that need what was left out. An assignment that
    needs anything else that is not there is an error.
    """
    matplotlib.use("agg")
    module, missing, samplers = {"__name__": "tutorial"}, set(), set(SAMPLERS)
    for cell in cells or code_cells():
        for statement in parsed(cell).body:
            bound = names_in(statement, ast.Store)
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                samplers |= bound if calls_in(statement) & samplers else set()
            elif isinstance(statement, (ast.Assign, ast.AugAssign)):
                needs = names_in(statement) - names_in(statement.value, ast.Store)
                if calls_in(statement) & samplers or needs & missing:
                    missing |= bound
                    continue
                unknown = needs - set(module) - set(dir(builtins))
                assert not unknown, f"{unknown} before `{ast.unparse(statement)}`"
            elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
                missing |= bound
                continue
            missing -= bound
            code = ast.Module([statement], type_ignores=[])
            exec(compile(code, MD.name, "exec"), module)
    assert samplers > SAMPLERS and "gibbs" in module, f"nothing calls {SAMPLERS}"
    matplotlib.pyplot.close("all")
    return module


@pytest.fixture(scope="session")
def tutorial():
    """The tutorial's functions, constants and `model`, in this process."""
    return definitions()


@pytest.fixture(scope="session")
def reference():
    """The posterior of the tutorial's data, without the tutorial."""
    return Reference(simulate())


@pytest.fixture(scope="session")
def section():
    """A function of a heading: the section's code cells, without IPython's magics."""
    notebook, sources = jupytext.read(MD), {}
    for cell, heading in zip(notebook.cells, headings(notebook)):
        if cell.cell_type == "code":
            sources.setdefault(heading, []).append(ast.unparse(parsed(cell)))
    return sources.__getitem__


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    return nbformat.read(IPYNB, as_version=4)


class Execution:
    """A run of the notebook, whose kernel lives on and can be asked."""

    def __init__(self, notebook, folder):
        self.notebook, self.path = notebook, folder / "value"
        self.client = Kernel(notebook, resources={"metadata": {"path": ROOT}})

    def evaluate(self, expression):
        """The value of a Python expression in the kernel."""
        self.run(
            f"import pickle\npickle.dump(({expression}), open({str(self.path)!r}, 'wb'))"
        )
        return pickle.loads(self.path.read_bytes())

    def run(self, code):
        """The outputs of one more cell."""
        cell = nbformat.v4.new_code_cell(code)
        self.notebook.cells.append(cell)
        try:
            return self.client.execute_cell(cell, len(self.notebook.cells) - 1).outputs
        finally:
            self.notebook.cells.pop()


def executed_in_a_kernel(notebook, folder):
    """Execute `notebook` from the repository's folder; the kernel ends with the generator."""
    execution = Execution(notebook, folder)
    with execution.client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            execution.client.execute_cell(cell, index)
        yield execution


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The one execution of the tutorial, in full, that all tests of its outputs share."""
    yield from executed_in_a_kernel(
        jupytext.read(MD), tmp_path_factory.mktemp("kernel")
    )


def wait_until(condition, message, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.1)


def living(processes):
    """Those that have not ended; one that nobody has waited for yet has."""
    found = []
    for one in processes:
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def skip_but_not_in_ci(reason):
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """Playwright drives a Chromium that the machine has: it downloads none."""
    names = (
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "microsoft-edge",
    )
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        skip_but_not_in_ci(
            "no Chromium on this machine's path, so nothing was tried in a browser"
        )
    return {**browser_type_launch_args, "executable_path": found}


def differ(png_a, png_b, folder):
    """The root mean square of two PNGs' differences, out of 255; both are bytes.

    The files, and a picture of the differences, stay in `folder`.
    """
    paths = [folder / "a.png", folder / "b.png"]
    for path, png in zip(paths, (png_a, png_b)):
        path.write_bytes(png)
    different = compare_images(*map(str, paths), tol=0, in_decorator=True)
    return different["rms"] if different else 0.0
