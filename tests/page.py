"""How the tests reach the tutorial: its cells, what they define, and an execution."""

import ast
import pickle
from base64 import b64decode
from pathlib import Path

import jupytext
from IPython.core.inputtransformer2 import TransformerManager
from matplotlib.testing.compare import compare_images
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).parents[1]
MD = ROOT / "gaussian_mixture_model.md"
IPYNB = MD.with_suffix(".ipynb")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def tree(cell):
    """The syntax tree of a cell, whose magics are calls."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def figures(cell):
    """The PNGs among a cell's outputs."""
    data = (out.get("data", {}) for out in cell.get("outputs", []))
    return [b64decode(one["image/png"]) for one in data if "image/png" in one]


def differ(png_a, png_b, folder):
    """Root mean square of two PNGs' differences, out of 255; they stay in `folder`."""
    paths = [folder / "a.png", folder / "b.png"]
    for path, png in zip(paths, (png_a, png_b)):
        path.write_bytes(png)
    different = compare_images(*map(str, paths), tol=0, in_decorator=True)
    return different["rms"] if different else 0.0


def read(**settings):
    """The page as a notebook in which these names are assigned other numbers."""
    notebook = jupytext.read(MD)
    for cell in code_cells(notebook):
        lines = cell.source.split("\n")
        for node in tree(cell).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                name, line = ast.unparse(node.targets), node.lineno - 1
                if name in settings:
                    comment = lines[line][node.end_col_offset :]
                    lines[line] = f"{name} = {settings.pop(name)}{comment}"
        cell.source = "\n".join(lines)
    assert not settings, f"the page assigns no number to {[*settings]}"
    return notebook


def defined(name, **names):
    """A function or class of the page, executed by itself, with `names` to look up."""
    nodes = [node for cell in code_cells(read()) for node in tree(cell).body]
    (definition,) = (node for node in nodes if getattr(node, "name", "") == name)
    exec(compile(ast.Module([definition], []), MD.name, "exec"), names)
    return names[name]


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
        self.notebook.cells.append(cell := new_code_cell(code))
        try:
            return self.client.execute_cell(cell, len(self.notebook.cells) - 1).outputs
        finally:
            self.notebook.cells.pop()


# What figures show can be asked by their number.
KEEP_FIGURES = """
_figures, _show = [], plt.show
def _keep_and_show():
    _figures.append(plt.gcf())
    _show()
plt.show = _keep_and_show
def _axis(number, i=0):
    return _figures[number - 1].axes[i]
def _bars(*axis):
    return [x.get_height() for x in _axis(*axis).patches if hasattr(x, "get_height")]
def _lines(*axis):
    return [x.get_ydata() for x in _axis(*axis).lines]"""


def executed_in_a_kernel(notebook, folder):
    """Execute from the repository's folder; the kernel ends with the generator."""
    execution = Execution(notebook, folder)
    with execution.client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            execution.client.execute_cell(cell, index)
            if "import matplotlib.pyplot as plt" in cell.source:
                execution.run(KEEP_FIGURES)
        yield execution
