"""The committed pair as a page: in step, cleanly executed, within its budgets."""

import ast
import base64
import json
import re
from importlib.metadata import version
from pathlib import Path

import jupytext
import pytest
from conftest import IPYNB, MD, ROOT, code_cells, parsed, tags
from packaging.requirements import Requirement

from run import marks

# why a cell's outputs are not compared with the stored ones: a tag beside
# nbval-ignore-output, and what has to stand in such a cell
REASONS = {
    "prints-times": "second",
    "shows-progress": "pm.sample",
    "prints-versions": "%watermark",
}


def prose(notebook):
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def test_pair_is_in_step(stored):
    a, b = (
        [(cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]
        for notebook in (jupytext.read(MD), stored)
    )
    assert a == b, "edit the .md and run `make pair`"


def test_outputs_belong_to_their_code(stored):
    """Each code cell has the mark of the code and the packages that made its outputs."""
    found = stored.metadata.get("marks", [])
    now = list(marks(jupytext.read(MD)))
    old = next((i for i, mark in enumerate(now) if found[i : i + 1] != [mark]), None)
    if old is not None:
        source = code_cells()[old].source
        pytest.fail(
            f"outputs of other code or packages from here on, run `make pair`:\n{source}"
        )
    assert len(found) == len(now)


def test_marks_are_of_code_and_packages(monkeypatch):
    notebook = jupytext.read(MD)
    before, cells = list(marks(notebook)), notebook.cells
    position, cell = next(
        (i, c)
        for i, c in enumerate(c for c in cells if c.cell_type == "code")
        if i == 3
    )
    source = cell.source
    cell.source = "# a comment\n\n" + source
    assert list(marks(notebook)) == before
    cell.source = source + "\nx = 1"
    after = list(marks(notebook))
    assert [a == b for a, b in zip(before, after)] == [
        i < 3 for i in range(len(before))
    ]
    cell.source = source
    monkeypatch.setattr(
        "run.version", lambda name: "0" if name == "arviz" else version(name)
    )
    assert not set(marks(notebook)) & set(before)


def test_outputs_come_from_one_clean_run(stored):
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    outputs = json.dumps([cell.outputs for cell in cells])
    assert '"output_type": "error"' not in outputs and "Traceback" not in outputs
    roots = "home|root|tmp|usr|work|Users|opt|var|mnt|private"
    found = re.findall(rf"(?:/(?:{roots})/|[A-Z]:\\\\)[^\s\"']*", outputs)
    assert not found, f"the outputs name a path of a machine: {found[:3]}"
    assert str(Path.home()) not in outputs and str(ROOT) not in outputs


def test_no_active_content(stored):
    """Nothing that a browser would execute or fetch in text, tables, bars and pictures."""
    outputs = [out for cell in stored.cells for out in cell.get("outputs", [])]
    data = [out.data for out in outputs if "data" in out]
    kinds = {mime for one in data for mime in one}
    assert kinds <= {"text/plain", "text/html", "image/png"}
    known = {"jupytext", "kernelspec", "language_info", "marks", "seconds"}
    assert set(stored.metadata) <= known, "for example the state of widgets"
    html = "\n".join(one.get("text/html", "") for one in data).lower()
    elements = set(re.findall(r"<\s*/?\s*([^\s/>]+)", html))
    assert elements <= set("div progress style table tbody td th thead tr".split())
    inside = " ".join(re.findall(r"<[^>]*>", html))
    attributes = set(re.findall(r"[\s\"'/]([^\s\"'/=<>]+)\s*=", inside))
    assert attributes <= {
        "border",
        "class",
        "max",
        "style",
        "value",
        "rowspan",
        "colspan",
        "valign",
    }
    assert not re.search(r"url\(|@import|expression\(", html)
    active = r"<[a-z!/][^>]*>|\]\((?:javascript|data):"
    assert not re.findall(active, prose(stored), flags=re.I)


def test_each_output_that_is_not_compared_has_a_reason(stored):
    for cell in stored.cells:
        of_cell = tags(cell)
        reasons = of_cell & set(REASONS)
        assert len(reasons) == ("nbval-ignore-output" in of_cell), cell.source
        assert all(REASONS[reason] in cell.source for reason in reasons), cell.source
        known = {"hide-input", "thumbnail", "nbval-ignore-output", *REASONS}
        assert of_cell <= known, f"{of_cell - known} on\n{cell.source}"


def test_every_figure_has_alternative_text_and_a_caption(stored):
    figures = 0
    for i, cell in enumerate(stored.cells):
        if any("image/png" in out.get("data", {}) for out in cell.get("outputs", [])):
            figures += 1
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 60
            after = (c for c in stored.cells[i + 1 :] if c.cell_type == "markdown")
            assert next(after).source.startswith(f"**Figure {figures}.**"), cell.source
    assert figures >= 10
    assert len(re.findall(r"^\*\*Figure \d+\.", prose(stored), flags=re.M)) == figures


def test_thumbnail_is_the_notebook_s_own_figure(stored):
    (cell,) = (cell for cell in stored.cells if "thumbnail" in tags(cell))
    (png,) = (
        o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})
    )
    assert base64.b64decode(png) == IPYNB.with_suffix(".png").read_bytes()


def test_budgets():
    """What a reader has to get through; a visible line is not blank and not folded."""
    notebook, cells = jupytext.read(MD), code_cells()
    assert len(prose(notebook).split()) <= 4_900 and len(cells) <= 30
    lines = {
        i: [line for line in cell.source.splitlines() if line.strip()]
        for i, cell in enumerate(cells)
        if "hide-input" not in tags(cell)
    }
    sizes = {i: len(found) for i, found in lines.items()}
    assert sum(sizes.values()) <= 350, sizes
    assert sum(size > 30 for size in sizes.values()) <= 1, sizes
    samples = (i for i, cell in enumerate(cells) if sampled(cell))
    first = next(samples)
    assert sum(size for i, size in sizes.items() if i < first) <= 60
    longest = max((line for c in cells for line in c.source.splitlines()), key=len)
    assert len(longest) <= 88, longest


def sampled(cell):
    """Whether the cell calls `pm.sample` at its top level."""
    todo = list(parsed(cell).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pm.sample":
            return True
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)
    return False


def test_lock_is_in_step_with_the_requirements():
    """Every requirement is locked in a version that it allows, and nothing else is asked
    for; what the tutorial needs is pinned twice, and every package by its checksum."""
    lock = (ROOT / "requirements.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", lock[lock.index("\n") :])[1:]
    locked, asked = {}, set()
    for entry in entries:
        name, pinned = re.match(r"([a-z0-9-]+)==(\S+)", entry).groups()
        locked[name] = pinned
        assert "--hash=sha256:" in entry, f"{name} has no checksum"
        asked |= {name} if "-r requirements.in" in entry else set()
    source = (ROOT / "requirements.in").read_text()
    wanted = [line.partition("  #")[0] for line in source.splitlines()]
    wanted = [Requirement(line) for line in wanted if line and line[0] != "#"]
    assert {one.name for one in wanted} == asked, "run `make lock`"
    assert all(one.specifier.contains(locked[one.name]) for one in wanted), (
        "`make lock`"
    )
    for line in source.split("\n\n")[0].splitlines()[1:]:
        assert "==" in line, f"pin {line}"
    # what breaks only when the lock is made anew
    held = {one.name: str(one.specifier) for one in wanted if "<" in str(one.specifier)}
    assert held == {"fastprogress": "<1.1", "setuptools": "<74", "ipykernel": "<7"}


def test_every_test_is_run_by_one_of_the_commands(pytestconfig):
    """By `make test`, or by `make machinery` and the long looks, which say so."""
    paths = [ROOT / path for path in pytestconfig.getini("testpaths")]
    for file in (ROOT / "tests").glob("test_*.py"):
        assert file in paths or set(file.parents) & set(paths), f"{file} is left out"
    assert "test_*.py" in pytestconfig.getini("python_files")
    options = pytestconfig.getini("addopts")
    assert options[:2] == ["-m", "not machinery and not long"]
    assert not [one for one in options if re.match("-k|--ignore|--deselect", one)]
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^\t\.venv/bin/pytest(.*)$", makefile, flags=re.M)
    long = [f" -s -m long tests/test_{name}.py" for name in ("literal", "convergence")]
    assert commands == ["", " -m machinery", *long]
