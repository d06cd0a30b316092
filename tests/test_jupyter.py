"""The pair in JupyterLab as a reader uses it: opened, run cell by cell, stopped, edited, restarted and saved."""

import os
import platform
import re
import shutil
import subprocess
import sys

import jupytext
import nbformat
import psutil
import pytest
from jupyter_server.serverapp import list_running_servers
from page import IPYNB, MD, ROOT
from playwright.sync_api import expect
from processes import wait_until

WAIT = 300_000  # milliseconds, for anything


def is_folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def test_what_the_gallery_folds_is_folded_in_jupyter_and_says_what_it_holds(stored):
    for cell in stored.cells:
        in_gallery = "hide-input" in cell.metadata.get("tags", [])
        assert is_folded(cell) == in_gallery, cell.source
        assert not in_gallery or re.match(r"# \w", cell.source), cell.source


def position_of_sampling(cells):
    return next(i for i, cell in enumerate(cells) if "pm.sample(" in cell.source)


@pytest.fixture
def pair(tmp_path):
    """Paths of the pair, up to the first figure of a sample and with less tuning."""
    notebook = nbformat.read(IPYNB, as_version=4)
    notebook.metadata.language_info.version = platform.python_version()
    cells = notebook.cells
    sampling = position_of_sampling(cells)
    cells[sampling].source = cells[sampling].source.replace("tune=5_000", "tune=500")
    end = next(i for i in range(sampling, len(cells)) if "image/png" in str(cells[i]))
    del cells[end + 1 :]
    cells[end].metadata.pop("jupyter", None)  # so that its prompt shows
    paths = tmp_path / "pair" / MD.name, tmp_path / "pair" / IPYNB.name
    paths[0].parent.mkdir()
    paths[0].write_text(jupytext.writes(notebook, "md:myst"), encoding="utf-8")
    nbformat.write(notebook, paths[1])
    return paths


@pytest.fixture
def lab(tmp_path, pair):
    """A running JupyterLab with nobody's settings: its process and its address."""
    names = "CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"
    own = {f"JUPYTER_{name}": str(tmp_path / name) for name in names}
    own |= {"IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": str(ROOT)}
    runtime = own["JUPYTER_RUNTIME_DIR"]
    options = "-m jupyterlab --no-browser --allow-root --ip=127.0.0.1 --port=0".split()
    command = [sys.executable, *options]
    with subprocess.Popen(command, cwd=pair[0].parent, env=os.environ | own) as server:
        try:
            wait_until(lambda: [*list_running_servers(runtime)], "it did not start")
            (info,) = list_running_servers(runtime)
            address = f"{info['url']}lab?token={info['token']}"
            yield psutil.Process(server.pid), address
        finally:
            server.terminate()


@pytest.mark.machinery
@pytest.mark.parametrize("where", ["lab/tree", "notebooks"])
def test_links_inside_the_page(page, lab, pair, where):
    """In JupyterLab and in Notebook 7, once the cells below are there."""
    (_, address), links = lab, set(re.findall(r"\]\(#(.*?)\)", MD.read_text("utf-8")))
    for whole, short in zip((MD, IPYNB), pair):
        shutil.copy(whole, short)
    assert links
    for link in links:
        page.goto(address.replace("lab?", f"{where}/{IPYNB.name}?"))
        heading = page.get_by_role("heading", name=link.replace("-", " "))
        heading.wait_for(state="attached")
        page.locator(f'a[href="#{link}"]:not(.jp-InternalAnchorLink)').first.click()
        # the heading itself may end under the toolbar, by half a line
        section = page.locator(".jp-MarkdownCell", has=heading)
        expect(section).to_be_in_viewport()


class Notebook:
    """The pair in JupyterLab, opened by a double click on the .md."""

    def __init__(self, page, lab, paths):
        (self.server, address), self.page, self.paths = lab, page, paths
        self.texts = [path.read_text("utf-8") for path in paths]
        self.cells = nbformat.read(paths[1], 4).cells
        self.sampling = position_of_sampling(self.cells)
        name = dict(name="Gaussian Mixture Model", exact=True)
        self.title = page.get_by_role("heading", **name)
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.locator(".jp-DirListing-item", has_text=MD.name).dblclick()
        self.title.click()
        page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()

    def cell(self, index, part=""):
        place = f'.jp-NotebookPanel .jp-Cell[data-windowed-list-index="{index}"]'
        return self.page.locator(place + part)

    def wait_until_run(self, index):
        prompt = self.cell(index, " .jp-InputArea-prompt")
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=WAIT)

    def press_shift_enter(self, indices):
        """On each cell in turn; wait until it is done, unless it is the one that samples."""
        for i in indices:
            self.cell(i, ".jp-mod-active").wait_for()
            # after the last, Shift+Enter would add a cell
            last = i == len(self.cells) - 1
            self.page.keyboard.press("Control+Enter" if last else "Shift+Enter")
            silent = i == self.sampling or is_folded(self.cells[i])
            if self.cells[i].cell_type == "code" and not silent:
                self.wait_until_run(i)

    def wait_for_progress(self, share):
        bars = "[...document.querySelectorAll('progress')]"
        of_max = f"{bars}.some(bar => bar.value >= {share} * bar.max)"
        self.page.wait_for_function(of_max)

    def saved(self):
        """The texts of both files, once they are saved."""
        saving = lambda r: r.request.method == "PUT" and MD.name in r.url  # noqa: E731
        with self.page.expect_response(saving):
            self.page.keyboard.press("Control+s")
        return [path.read_text("utf-8") for path in self.paths]

    def workers(self):
        kernels = self.server.children()
        return [worker for kernel in kernels for worker in kernel.children()]


@pytest.fixture
def notebook(page, lab, pair):
    return Notebook(page, lab, pair)


@pytest.mark.machinery
def test_what_was_opened_is_saved_without_a_change(notebook):
    assert notebook.saved() == notebook.texts


@pytest.mark.machinery
def test_a_stopped_run_keeps_what_it_has(notebook):
    """Cell by cell with Shift+Enter; after the stop button, the draws show in figures."""
    page, sampling, last = notebook.page, notebook.sampling, len(notebook.cells) - 1
    for item in ("Edit", "Clear Outputs of All Cells"):  # what is seen then is new
        page.get_by_role("menuitem", name=item, exact=True).click()
    notebook.title.click()
    notebook.press_shift_enter(range(sampling + 1))
    notebook.wait_for_progress(0.01)
    assert len(notebook.workers()) == 4
    notebook.wait_for_progress(0.1)
    page.get_by_role("button", name="Interrupt the kernel").click()
    notebook.wait_until_run(sampling)
    said = notebook.cell(sampling).inner_text()
    kept = re.search(r"4 chains for 500 tune and ([\d_]+) draw iterations", said)
    assert kept and 0 < int(kept[1]) < 20_000, said
    assert notebook.workers() == []
    notebook.press_shift_enter(range(sampling + 1, last + 1))
    notebook.cell(last, " img").wait_for()


@pytest.mark.machinery
def test_fewer_draws_and_run_all(notebook):
    """After a restart; the pair then has what was changed and nothing else."""
    page, sampling, last = notebook.page, notebook.sampling, len(notebook.cells) - 1
    notebook.cell(sampling).get_by_text("20_000", exact=True).dblclick()
    page.keyboard.type("200")
    page.get_by_role("button", name="Restart the kernel and run all cells").click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    shorter = re.compile("500 tune and 200 draw")
    expect(notebook.cell(sampling)).to_have_text(shorter, timeout=WAIT)
    notebook.wait_for_progress(1)
    notebook.wait_until_run(last)
    notebook.cell(last, " img").wait_for()
    md, ipynb = notebook.saved()
    assert md == notebook.texts[0].replace("draws=20_000", "draws=200")
    assert "500 tune and 200 draw" in ipynb
