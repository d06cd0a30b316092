"""Execute the tutorial and make the result the committed pair: `make pair`.

The pair's metadata say which code made its outputs (`marks`) and where (`settings`).
"""

import ast
import hashlib
import os
from importlib.metadata import version

from numpy.core import _multiarray_umath as umath
from page import IPYNB, MD, ROOT, code_cells, figures, tags, tree

from run import as_bytes, main, or_say_why, replace_files

COMMAND = "__main__", "read", "dialect", "signs"  # modules that the page does not use


class WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) else node


def marks(notebook, root=ROOT):
    """For each code cell a mark of the code up to it and of what makes its outputs.

    Comments, blank lines and the way that code is broken into lines leave no mark, nor
    do docstrings of modules.
    """
    mark = hashlib.sha256()
    modules = {*root.glob("pymc3_support.py"), *root.glob("mixtures/*.py")}
    for file in sorted(x for x in modules if x.stem not in COMMAND):
        module = WithoutDocstrings().visit(ast.parse(file.read_text(encoding="utf-8")))
        mark.update(f"{file.name} {ast.dump(module)}\n".encode())
    for package in ("arviz", "matplotlib", "numpy", "pandas", "pymc3", "scipy"):
        mark.update(f"{package} {version(package)}\n".encode())
    for cell in code_cells(notebook):
        mark.update(f"{ast.dump(tree(cell))}\n".encode())
        yield mark.hexdigest()[:12]


def settings():
    """What decides the last digits of results: instructions and threads in use."""
    import pymc3_support  # noqa: F401, I001  # imports Theano, in silence
    from theano.link.c.cmodule import GCC_compiler

    instructions = [x for x, used in umath.__cpu_features__.items() if used]
    compiled_for = [x for x in GCC_compiler.compile_args() if x.startswith("-m")]
    return {
        "NumPy": " ".join(instructions),
        "OpenBLAS": f"{os.cpu_count()} {os.environ.get('OPENBLAS_CORETYPE', '')}",
        "Theano": " ".join(x for x in compiled_for if not x.startswith("-mno-")),
    }


def make_pair():
    notebook = main()
    notebook.metadata["marks"] = list(marks(notebook))
    notebook.metadata["settings"] = settings()
    (cell,) = (cell for cell in notebook.cells if "thumbnail" in tags(cell))
    (thumbnail,) = figures(cell)
    replace_files({MD.with_suffix(".png"): thumbnail, IPYNB: as_bytes(notebook)})
    print("the pair is up to date: commit", MD.name, "and", IPYNB.name)


if __name__ == "__main__":
    or_say_why(make_pair)
