"""The committed pair as a page: cleanly executed, and short enough."""

import json
import re
from importlib.metadata import version

import jupytext
from conftest import IPYNB, MD, ROOT, code_cells, figures
from packaging.requirements import Requirement

from run import marks

PAGE = jupytext.read(MD)
PROSE = "\n\n".join(x.source for x in PAGE.cells if x.cell_type == "markdown")


def tags(cell):
    return set(cell.metadata.get("tags", []))


def test_outputs_belong_to_their_code(stored):
    """Each cell has the mark of the code and the packages that made its outputs."""
    found, now = stored.metadata.get("marks", []), list(marks(PAGE))
    for mark, here, cell in zip(found, now, code_cells(PAGE)):
        assert mark == here, f"other code from here on, `make pair`:\n{cell.source}"
    assert len(found) == len(now)


def test_marks_are_of_code_and_packages(tmp_path, monkeypatch):
    """But not of a comment, of a docstring or of the command line."""
    monkeypatch.setattr("run.__file__", str(tmp_path / "run.py"))
    cell, package = code_cells(PAGE)[3], tmp_path / "mixtures"
    package.mkdir()

    def marks_with(text, file="part.py"):
        (package / file).write_text(text)
        return list(marks(PAGE))

    old = marks_with("def f():\n    'One.'\n    return 1\n")
    assert marks_with("def f():\n    'Two.'\n\n    return 1  # one\n") == old
    assert marks_with("print(1)\n", "__main__.py") == old
    monkeypatch.setitem(cell, "source", f"# a comment\n\n{cell.source}")
    assert list(marks(PAGE)) == old
    cell["source"] += "\nx = 1"
    assert [a == b for a, b in zip(old, marks(PAGE))][:5] == 3 * [True] + 2 * [False]
    with monkeypatch.context() as other:
        other.setattr("run.version", lambda x: "0" if x == "scipy" else version(x))
        assert not set(marks(PAGE)) & set(old)
    assert not set(marks_with("def f():\n    return 2\n")) & set(old)


def test_outputs_come_from_one_clean_run(stored):
    cells = code_cells(stored)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = json.dumps([cell.outputs for cell in cells])
    roots = "home|root|tmp|usr|work|Users|opt|var|mnt|private"
    found = re.findall(rf"(?:/(?:{roots})/|[A-Z]:\\\\)[^\s\"']*", outputs)
    assert not found, f"the outputs name a path of a machine: {found[:3]}"


def test_no_active_content(stored):
    """Nothing that a browser would execute or fetch, nor what needs a style sheet."""
    data = [out.get("data", {}) for x in code_cells(stored) for out in x.outputs]
    assert {y for x in data for y in x} <= {"text/plain", "text/html", "image/png"}
    html = "\n".join(x.get("text/html", "") for x in data).lower()
    elements = set(re.findall(r"<\s*/?\s*([^\s/>]+)", html))
    assert elements <= set("div progress style table tbody td th thead tr".split())
    inside = " ".join(re.findall(r"<[^>]*>", html))
    attributes = set(re.findall(r"[\s\"'/]([^\s\"'/=<>]+)\s*=", inside))
    usual = "border class max style value rowspan colspan valign halign"
    assert attributes <= set(usual.split())
    assert not re.search(r"url\(|@import|expression\(", html)
    assert not re.search(r"<[a-z!/][^>]*>|\]\((?:javascript|data):", PROSE, re.I)


def test_every_figure_has_alternative_text_and_a_caption(stored):
    cells, number = stored.cells, 0
    for i in [i for i, cell in enumerate(cells) if figures(cell)]:
        number += 1
        assert len(cells[i].metadata["mystnb"]["image"]["alt"]) > 60, cells[i].source
        after = next(x for x in cells[i + 1 :] if x.cell_type == "markdown")
        assert after.source.startswith(f"**Figure {number}.**"), cells[i].source
    captions = re.findall(r"^\*\*Figure (\d+)\.", PROSE, flags=re.M)
    assert len(captions) == number >= 10
    assert set(re.findall(r"Figure (\d+)", PROSE)) == set(captions)


def test_thumbnail_is_the_notebook_s_own_figure(stored):
    (cell,) = (cell for cell in stored.cells if "thumbnail" in tags(cell))
    assert figures(cell) == [IPYNB.with_suffix(".png").read_bytes()]


def test_budgets():
    """What a reader has to get through: words, and lines of code that are not blank."""
    cells = code_cells(PAGE)
    sizes = [len(re.findall(r"^.*\S", cell.source, re.M)) for cell in cells]
    in_view = [n for n, cell in zip(sizes, cells) if "hide-input" not in tags(cell)]
    assert sum(sizes) <= 450 and sum(in_view) <= 260 and max(sizes) <= 40, sizes
    sampling = next(i for i, x in enumerate(cells) if "pm.sample(" in x.source)
    assert sum(sizes[:sampling]) <= 65
    words = re.sub(r"\$\$.*?\$\$|```.*?```", "", PROSE, flags=re.S)
    assert len(words.split()) <= 4_500


def test_every_citation_stands_in_further_reading():
    """By its address, with the author and the year that the text says."""
    text, _, reading = PROSE.partition("## Further reading")
    places = r"\[(?:doi|arXiv):(\S+)\]\(https://(?:doi\.org|arxiv\.org/abs)/(\S+)\)"
    assert all(shown == address for shown, address in re.findall(places, reading))
    links = re.findall(r"\[([\w-]+)[^\]]* \(?(\d{4})\)?\]\((http[^\s)]+)\)", text)
    assert len(links) >= 10
    for author, year, address in links:
        entry = rf"^- {author}.* \({year}\).*\({re.escape(address)}\)"
        assert re.search(entry, reading, re.M), f"{author} {year}, {address}"


def test_lock_is_in_step_with_the_requirements():
    """What is wanted, in versions that are allowed, and nothing else."""
    lock = (ROOT / "requirements.txt").read_text()
    source = (ROOT / "requirements.in").read_text()
    entries = re.findall(r"^([a-z0-9-]+)==(\S+)(.*(?:\n .*)*)", lock, flags=re.M)
    locked = {name: pinned for name, pinned, _ in entries}
    wanted = re.findall(r"^[^#\n]+?(?=  #|$)", source, flags=re.M)
    wanted = {x.name: x.specifier for x in map(Requirement, wanted)}
    asked = {name for name, _, text in entries if "-r requirements.in" in text}
    assert set(wanted) == asked, "run `make lock`"
    for name, versions in wanted.items():
        assert versions.contains(locked[name]), f"{name}{versions}: run `make lock`"
