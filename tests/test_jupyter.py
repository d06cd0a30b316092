"""The pair in JupyterLab as a reader uses it: opened, run cell by cell, stopped, edited, restarted and saved."""

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import psutil
import pytest
from conftest import IPYNB, MD, cell_that_defines

pytestmark = pytest.mark.machinery

SECONDS = 300  # to wait for anything, if the kernel works
IDLE = 30  # that the kernel has nothing to do although cells wait for it


@pytest.fixture
def pair(tmp_path):
    """Paths of the .md and the .ipynb in a folder that git watches: the pair up to the
    autocorrelation plot, without the marks of the whole and with less tuning."""
    notebook = nbformat.read(IPYNB, as_version=4)
    end = notebook.cells.index(cell_that_defines("slowest", notebook.cells))
    del notebook.cells[end + 1 :]
    notebook.metadata.language_info.version = platform.python_version()
    sampling = cell_that_defines("trace", notebook.cells)
    sampling.source, count = re.subn(r"\btune=5_000", "tune=500", sampling.source)
    assert count == 1
    folder = tmp_path / "pair"
    folder.mkdir()
    for path in (MD, IPYNB):
        (folder / path.name).write_text(
            jupytext.writes(notebook, path.suffix[1:] + ":myst" * (path == MD))
            + "\n" * (path == IPYNB),
            encoding="utf-8",
        )
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    return folder / MD.name, folder / IPYNB.name


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def kinds(cell):
    """Whether a cell prints, and its other outputs. JupyterLab leaves what is printed
    before and after a bar apart."""
    found = [output.output_type for output in cell.get("outputs", [])]
    return "stream" in found, [kind for kind in found if kind != "stream"]


@pytest.fixture
def lab(tmp_path, pair):
    """A running JupyterLab of this environment with nobody's settings: its process and its address with the token."""
    names = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
    )
    own = {name: str(tmp_path / name) for name in names}
    setting = "labconfig/default_setting_overrides.json"  # made by `make`: a double click opens the .md as a notebook
    if not Path(sys.prefix, "etc/jupyter", setting).exists():
        jupytext_config = [
            Path(sys.executable).with_name("jupytext-config"),
            "--settings-file",
            tmp_path / names[0] / setting,
        ]
        subprocess.run([*jupytext_config, "set-default-viewer", "markdown"], check=True)
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ip=127.0.0.1",
                "--port=0",
            ],
            cwd=pair[0].parent,
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + SECONDS
        while not (
            address := re.search(
                r"http://127\S+/lab\?token=\w+", (tmp_path / "log").read_text()
            )
        ):
            assert server.poll() is None and time.monotonic() < end, (
                tmp_path / "log"
            ).read_text()
            time.sleep(0.1)
        yield psutil.Process(server.pid), address[0]
    finally:
        server.terminate()
        server.wait(SECONDS)


def test_jupyterlab(page, lab, pair):
    (server, address), (md, ipynb) = lab, pair
    source, before = md.read_text(encoding="utf-8"), nbformat.read(ipynb, as_version=4)
    sampling = before.cells.index(cell_that_defines("trace", before.cells))
    last = len(before.cells) - 1
    page.set_default_timeout(1000 * SECONDS)

    def selector(index):
        return f'.jp-NotebookPanel .jp-Cell[data-windowed-list-index="{index}"]'

    def cell(index):
        return page.locator(selector(index))

    def wait_for_kernel(condition):
        """Until this JavaScript is true; an error if the kernel rests and it is not."""
        page.evaluate("window.idle = null")
        page.wait_for_function(f"""() => {{
            const status = document.querySelector("#jp-main-statusbar").innerText;
            window.idle = status.includes("| Idle") ? window.idle ?? Date.now() : null;
            if ({condition}) return true;
            if (window.idle && Date.now() - window.idle > {1000 * IDLE})
                throw Error("the kernel is idle for {IDLE} s and the notebook waits");
        }}""")

    def wait_for_text(index, pattern, part=""):
        wait_for_kernel(
            f"/{pattern}/.test(document.querySelector('{selector(index)}{part}')?.textContent)"
        )

    def wait_until_run(index):
        wait_for_text(index, r"\[\d+\]:", " .jp-InputPrompt")

    def press_shift_enter(indices):
        """On each cell in turn; wait until it is done, unless it is the one that samples."""
        for i in indices:
            page.locator(selector(i) + ".jp-mod-active").wait_for()
            page.keyboard.press(
                "Shift+Enter" if i < last else "Control+Enter"
            )  # the former would add a cell
            if before.cells[i].cell_type == "code" and i != sampling:
                wait_until_run(i)

    def wait_for_progress(share):
        wait_for_kernel(
            f"[...document.querySelectorAll('progress')].some(p => p.value >= {share} * p.max)"
        )

    def wait_for_figure():
        image = cell(last).locator("img").element_handle()
        page.wait_for_function(
            "image => image.complete && image.naturalWidth > 0", arg=image
        )

    def save():
        with page.expect_response(
            lambda response: (
                response.request.method == "PUT" and md.name in response.url
            )
        ):
            page.keyboard.press("Control+s")

    def workers():
        return [worker for kernel in server.children() for worker in kernel.children()]

    # a double click opens the .md as a notebook, and saving it changes nothing
    page.goto(address)
    page.locator(".jp-DirListing-item", has_text=md.name).dblclick()
    title = page.get_by_role("heading", name="Gaussian Mixture Model", exact=True)
    title.click()
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
    save()
    assert not (difference := git(md.parent, "diff")), (
        f"opening and saving changes the pair:\n{difference}"
    )

    # Shift+Enter, cell by cell, as far as the sampler, which is stopped
    for item in (
        "Edit",
        "Clear Outputs of All Cells",
    ):  # so that all that is seen from now on is new
        page.get_by_role("menuitem", name=item, exact=True).click()
    title.click()
    press_shift_enter(range(sampling + 1))
    wait_for_progress(0.01)
    assert len(workers()) == 4
    wait_for_progress(0.1)
    page.get_by_role("button", name="Interrupt the kernel").click()
    wait_until_run(sampling)
    said = cell(sampling).inner_text()
    kept = re.search(
        r"Sampling 4 chains for 500 tune and ([\d_]+) draw iterations", said
    )
    assert kept and 0 < int(kept[1]) < 20_000, said
    assert workers() == []

    # the kernel and the draws that were kept can be used, and figures show
    press_shift_enter(range(sampling + 1, last + 1))
    wait_for_figure()

    # fewer draws, restart, run all
    cell(sampling).get_by_text("20_000", exact=True).dblclick()
    page.keyboard.type("200")
    page.get_by_role("button", name="Restart the kernel and run all cells").click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    wait_for_text(sampling, "500 tune and 200 draw")
    wait_for_progress(1)
    wait_until_run(last)
    wait_for_figure()

    # the pair has what was changed and nothing else
    save()
    assert md.read_text(encoding="utf-8") == source.replace("draws=20_000", "draws=200")
    after = nbformat.read(ipynb, as_version=4)
    assert [cell.source for cell in after.cells] == [
        cell.source for cell in jupytext.read(md).cells
    ]
    assert after.metadata == before.metadata
    for a, b in zip(before.cells, after.cells, strict=True):
        assert (a.id, a.metadata, a.get("execution_count")) == (
            b.id,
            b.metadata,
            b.get("execution_count"),
        )
        assert kinds(a) == kinds(b), b.source
