"""The committed pair as a page: cleanly executed, and short enough."""

import json
import re
from importlib.metadata import version

import pytest
from page import IPYNB, code_cells, figures, read, tags
from pair import marks

PAGE = read()
PROSE = "\n\n".join(x.source for x in PAGE.cells if x.cell_type == "markdown")


def test_outputs_belong_to_their_code(stored):
    """Each cell has the mark of the code and the packages that made its outputs."""
    found, now = stored.metadata.get("marks", []), list(marks(PAGE))
    for mark, here, cell in zip(found, now, code_cells(PAGE)):
        assert mark == here, f"other code from here on, `make pair`:\n{cell.source}"
    assert len(found) == len(now)


@pytest.fixture
def marks_with(tmp_path):
    """The page's marks beside a package of one module, of this text."""

    def marks_with(text, file="mixtures/part.py"):
        (tmp_path / "mixtures").mkdir(exist_ok=True)
        (tmp_path / "pymc3_support.py").touch()
        (tmp_path / file).write_text(text)
        return list(marks(PAGE, tmp_path))

    return marks_with


def test_marks_are_of_the_package_but_for_words_and_the_command(marks_with):
    old = marks_with("def f():\n    'One.'\n    return 1\n")
    assert marks_with("def f():\n    'Two.'\n\n    return 1  # one\n") == old
    for file in ("mixtures/__main__.py", "mixtures/read.py"):
        assert marks_with("print(1)\n", file) == old
    for file in ("mixtures/part.py", "pymc3_support.py"):
        assert not set(marks_with("def f():\n    return 2\n", file)) & set(old)


def test_marks_are_of_the_code_from_there_on(marks_with, monkeypatch):
    cell, old = code_cells(PAGE)[3], marks_with("")
    monkeypatch.setitem(cell, "source", f"# a comment\n\n{cell.source}")
    assert marks_with("") == old
    cell["source"] += "\nx = 1"
    equal = [a == b for a, b in zip(old, marks_with(""))]
    assert equal == 3 * [True] + (len(old) - 3) * [False]


def test_marks_are_of_the_packages(marks_with, monkeypatch):
    old = marks_with("")
    monkeypatch.setattr("pair.version", lambda x: "0" if x == "scipy" else version(x))
    assert not set(marks_with("")) & set(old)


def test_outputs_come_from_one_clean_run(stored):
    cells = code_cells(stored)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = json.dumps([cell.outputs for cell in cells])
    assert '"stderr"' not in outputs
    roots = "home|root|tmp|usr|work|Users|opt|var|mnt|private"
    found = re.findall(rf"(?:/(?:{roots})/|[A-Z]:\\\\)[^\s\"']*", outputs)
    assert not found, f"the outputs name a path of a machine: {found[:3]}"


def test_no_output_is_active(stored):
    """Nothing that a browser would execute or fetch, nor what needs a style sheet."""
    data = [out.get("data", {}) for x in code_cells(stored) for out in x.outputs]
    assert {y for x in data for y in x} <= {"text/plain", "text/html", "image/png"}
    html = "\n".join(x.get("text/html", "") for x in data).lower()
    elements = set(re.findall(r"<\s*/?\s*([^\s/>]+)", html))
    assert elements <= set("div style table tbody td th thead tr".split())
    inside = " ".join(re.findall(r"<[^>]*>", html))
    attributes = set(re.findall(r"[\s\"'/]([^\s\"'/=<>]+)\s*=", inside))
    usual = "border class max style value rowspan colspan valign halign"
    assert attributes <= set(usual.split())
    assert not re.search(r"url\(|@import|expression\(", html)


def test_no_prose_is_active():
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


def test_code_is_short_enough():
    """In lines that are not blank: all of it, what is in view, and up to a sample."""
    cells = code_cells(PAGE)
    sizes = [len(re.findall(r"^.*\S", cell.source, re.M)) for cell in cells]
    in_view = [n for n, cell in zip(sizes, cells) if "hide-input" not in tags(cell)]
    assert sum(sizes) <= 450 and sum(in_view) <= 260 and max(sizes) <= 40, sizes
    sampling = next(i for i, x in enumerate(cells) if "pm.sample(" in x.source)
    assert sum(sizes[:sampling]) <= 65


def test_prose_is_short_enough():
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
