"""What goes wrong on a reader's machine ends in a finished run or in one clear sentence, and nothing is lost."""

import ast
import base64
import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import psutil
import pymc3 as pm
import pytest
from conftest import (
    ROOT,
    cell_that_defines,
    code_cells,
    living,
    parsed,
    wait_until,
    with_values,
)

pytestmark = pytest.mark.machinery
fcntl, resource = map(pytest.importorskip, ("fcntl", "resource"))  # not on Windows

OLD = b"the old one"
NAMES = (
    "gaussian_mixture_model.ipynb",
    "gaussian_mixture_model.png",
    "build/gaussian_mixture_model.ipynb",
)


def folder(path, code):
    """A repository whose tutorial is one cell of `code` and a thumbnail, with old outputs; the command that runs it."""
    (path / "build").mkdir(parents=True)
    shutil.copy(ROOT / "run.py", path)
    png = base64.b64encode(bytes(100_000)).decode()
    cells = f"```{{code-cell}}\n{code}\n```\n\n```{{code-cell}}\n:tags: [thumbnail]\n\npng = '{png}'\n"
    show = "from IPython.display import display; display({'image/png': png}, raw=True)\n```\n"
    header = "---\nkernelspec:\n  display_name: Python 3\n  name: python3\n---\n\n"
    (path / "gaussian_mixture_model.md").write_text(
        header + cells + show, encoding="utf-8"
    )
    for name in NAMES:
        (path / name).write_bytes(OLD)
    return [sys.executable, "run.py", "--pair"]


def run(command, path, **how):
    return subprocess.run(
        command,
        cwd=path,
        text=True,
        encoding="utf-8",
        capture_output=True,
        timeout=120,
        **how,
    )


def assert_nothing_lost(path, names=NAMES):
    changed = [name for name in names if (path / name).read_bytes() != OLD]
    assert not changed, f"{changed} were replaced"
    left = {file.name for file in path.rglob("*")} - {
        "build",
        "run.py",
        "gaussian_mixture_model.md",
    }
    assert left == {os.path.basename(name) for name in NAMES}, f"{left} were left"


@pytest.mark.parametrize(
    "environment",
    [
        {
            "LC_ALL": "C",
            "TZ": "Pacific/Kiritimati",
            "PYTHONIOENCODING": "ascii",
            "MPLBACKEND": None,
            "DISPLAY": None,
        },
        {"HOME": "a home/ä"},
        {"HOME": os.devnull},  # a home where no user can write
    ],
    ids=[
        "locale, timezone, no display",
        "home with a space and an umlaut",
        "home that cannot be written",
    ],
)
def test_runs_in_an_odd_place(tmp_path, environment):
    """All but sampling, from a path with a space and an umlaut."""
    code = "# äöü × 2\nimport matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.show()"
    command = folder(tmp_path / "a repository/ä", code)
    env = {**os.environ, **environment}
    if environment.get("HOME", os.devnull) != os.devnull:
        env["HOME"] = str(tmp_path / environment["HOME"])
    env = {name: value for name, value in env.items() if value is not None}
    ended = run(command, tmp_path / "a repository/ä", env=env)
    assert ended.returncode == 0, ended.stderr
    for name in NAMES:
        assert (tmp_path / "a repository/ä" / name).stat().st_size > 90_000, (
            f"{name} was not replaced"
        )


def test_a_write_that_fails_leaves_the_old_files(tmp_path):
    """A limit on the size of a file stands in for a full disk: it stops any user, the superuser too."""
    command = folder(tmp_path, "1 + 1")
    limit = 80_000  # more than anything but the picture and the notebook that holds it
    ended = run(
        command,
        tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert ended.returncode == 1
    assert re.search(
        r"File too large.*\. The committed files are as they were\.\n$", ended.stderr
    ), ended.stderr
    assert "Traceback" not in ended.stderr
    assert_nothing_lost(tmp_path)


def test_the_pair_changes_whole_or_not_at_all(tmp_path):
    """The picture's place cannot be taken: neither is the notebook's."""
    command = folder(tmp_path, "1 + 1")
    (tmp_path / NAMES[1]).unlink()
    (tmp_path / NAMES[1]).mkdir()
    ended = run(command, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.endswith(". The committed files are as they were.\n"), (
        ended.stderr
    )
    assert (tmp_path / NAMES[0]).read_bytes() == OLD, (
        "the notebook was replaced without its picture"
    )


def is_held(lock):
    """Whether a living process holds this lock; the system releases it with its last holder."""
    with open(lock, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@pytest.mark.parametrize("whom", ["the group", "run.py alone"])
def test_interrupt(tmp_path, whom):
    """Ctrl+C in a terminal reaches the whole group; a supervisor's signal only the process that it started."""
    lock = tmp_path / "lock"
    code = f"""import fcntl, subprocess, sys

lock = open({str(lock)!r}, "a")
fcntl.flock(lock, fcntl.LOCK_EX)
sleeper = [sys.executable, "-c", "import time; time.sleep(999)"]  # its own last words are not run.py's
subprocess.run(sleeper, pass_fds=[lock.fileno()], stderr=subprocess.DEVNULL)"""
    place = tmp_path / "repository"
    command = folder(place, code)
    started = subprocess.Popen(
        command, cwd=place, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    wait_until(lambda: lock.exists() and is_held(lock), "the cell never started")
    (os.killpg if whom == "the group" else os.kill)(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert (
        errors.endswith("Interrupted: no file was changed.\n")
        and "Traceback" not in errors
    ), errors
    wait_until(
        lambda: not is_held(lock), "the kernel or a process that it started lives on"
    )
    assert_nothing_lost(place)


def test_a_kernel_that_dies(tmp_path):
    command = folder(tmp_path, "import os\n\nos.kill(os.getpid(), 9)")
    ended = run(command, tmp_path)
    assert ended.returncode == 1
    assert (
        "Kernel died, perhaps for want of memory.\ngaussian_mixture_model.md stopped at"
        in ended.stderr
    )
    assert "Traceback" not in ended.stderr
    assert_nothing_lost(tmp_path, NAMES[:2])


def test_a_killed_kernel_takes_its_sampling_processes_along():
    """The set-up cells make it so, whatever a process is at: here all four sample."""
    cells = code_cells()
    end = cells.index(cell_that_defines("end_with_the_kernel", cells))
    code = "\n".join(ast.unparse(parsed(cell)) for cell in cells[: end + 1])
    code += """
with pm.Model():
    pm.Normal("x")
    pm.sample(1_000_000, step=pm.Metropolis(), chains=4, cores=4)
"""
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with subprocess.Popen([sys.executable, "-c", code], **quiet) as started:
        kernel, workers = psutil.Process(started.pid), []
        try:
            wait_until(lambda: len(kernel.children()) == 4, "sampling never began")
            workers = kernel.children()
        finally:
            kernel.kill()
    try:
        wait_until(lambda: not living(workers), "they live on")
    finally:
        for worker in living(workers):
            worker.kill()


def test_a_cell_that_raises(tmp_path):
    """The notebook so far says where; neither of the pair is replaced."""
    command = folder(tmp_path, "print('so far')\n\n1 / 0")
    ended = run(command, tmp_path)
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr and "stopped at the cell" in ended.stderr
    assert "so far" in (tmp_path / NAMES[2]).read_text(encoding="utf-8")
    assert_nothing_lost(tmp_path, NAMES[:2])


def with_heading_and_stored_seconds(path, seconds):
    md, cell = path / "gaussian_mixture_model.md", "```{code-cell}"
    md.write_text(md.read_text().replace(cell, f"## Sample\n\n{cell}", 1))
    (path / NAMES[0]).write_text(json.dumps({"metadata": {"seconds": seconds}}))


BAR = "<progress value='1' max='4'></progress> 25.00% [1/4 00:01&lt;00:03 Sampling]"
SHOW_BAR = f'from IPython.display import HTML, display\n\ndisplay(HTML("{BAR}"))\n'


def test_progress_in_a_log(tmp_path):
    """Headings, and what is left after the stored run, which --pair replaces."""
    command = folder(tmp_path, SHOW_BAR)
    with_heading_and_stored_seconds(tmp_path, [36_000, 36_001])
    log = run(command, tmp_path).stdout
    line = r"^ +[\d.]+ s    {}/2  Sample \(about (\d+) min left\)$"
    (first,) = re.findall(line.format(1), log, flags=re.M)
    assert 600 < int(first) < 6_000, log
    assert re.findall(line.format(2), log, flags=re.M) == ["1"], log
    assert "Sampling" not in log and "\r" not in log
    stored = json.loads((tmp_path / NAMES[0]).read_bytes())
    first, second = stored["metadata"]["seconds"]
    assert 0 < first <= second


def test_progress_in_a_terminal(tmp_path):
    """Also what the kernel says and that Theano compiles, in a line that goes.

    The cell makes the folders of two modules, and ends when the terminal said so. The
    stored run is of another notebook: nothing is told of what is left.
    """
    modules, seen = tmp_path / "modules/compiledir_of_this_machine", tmp_path / "seen"
    (modules / "tmp_of_an_earlier_run").mkdir(parents=True)
    code = f"""import time
from pathlib import Path

for name in ("tmp1", "tmp2"):
    Path({str(modules)!r}, name).mkdir()
for _ in range(600):
    if not Path({str(seen)!r}).exists():
        time.sleep(0.1)
"""
    path, shown = tmp_path / "repository", ""
    command = folder(path, code + SHOW_BAR)
    with_heading_and_stored_seconds(path, [60, 120, 180])
    flags = {"THEANO_FLAGS": f"cxx=,base_compiledir={modules.parent}"}
    ours, theirs = os.openpty()
    with subprocess.Popen(command, cwd=path, stdout=theirs, env=os.environ | flags):
        os.close(theirs)
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(ours, 1000):
                shown += piece.decode()
                if "Theano compiles; modules so far: 2" in shown:
                    seen.touch()
    os.close(ours)
    assert seen.exists(), shown
    assert "25.00% [1/4 00:01<00:03 Sampling]\r\x1b[K" in shown
    assert "1/2  Sample\r\n" in shown and "min left" not in shown


def test_two_runs_at_once(tmp_path):
    command = folder(tmp_path, "import time\n\ntime.sleep(1)")
    both = [
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [one.communicate(timeout=120)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], errors
    assert (tmp_path / NAMES[0]).read_bytes() == (tmp_path / NAMES[2]).read_bytes()
    assert len(list(tmp_path.rglob("*"))) == 6, "something was left beside the outputs"


def test_missing_packages(tmp_path):
    """The interpreter without what is installed into it, as with a wrong Python or a damaged environment."""
    folder(tmp_path, "1 + 1")
    ended = run([sys.executable, "-S", "run.py"], tmp_path)
    assert ended.returncode == 1
    assert re.match(
        r"No module named 'jupytext' in .*Run `make run`.*\n$", ended.stderr
    ), ended.stderr
    assert_nothing_lost(tmp_path)


@pytest.fixture
def one_processor():
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("chains", [1, 2, 8])
def test_chains_on_one_processor(tutorial, one_processor, monkeypatch, chains):
    def short(draws, tune, **how):
        return sample(draws=50, tune=50, **how)

    sample = pm.sample
    monkeypatch.setattr(pm, "sample", short)
    names, code = dict(tutorial), with_values(cell_that_defines("trace"), chains=chains)
    if chains == 1:
        with pytest.raises(ValueError, match="take 2 or more"):
            exec(code, names)
        return
    exec(code, names)
    posterior = names["trace"].posterior
    sizes = {"chain": chains, "draw": 50, "cluster": 3}
    assert dict(posterior["means"].sizes) == sizes
    assert np.isfinite(posterior["means"]).all()


def test_a_worker_that_is_killed(tutorial):
    """Sampling stops with an error, and takes the other workers with it."""
    parent = os.getpid()

    class Dies(pm.Metropolis):
        def step(self, point):
            if os.getpid() != parent and np.random.random_sample() < 0.05:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step(point)

    with pm.Model(), pytest.raises((EOFError, ConnectionError)):
        pm.Normal("x")
        pm.sample(
            1000,
            tune=0,
            step=Dies(),
            chains=4,
            cores=4,
            mp_ctx="fork",
            progressbar=False,
        )
    assert not multiprocessing.active_children(), "workers live on"
