"""What goes wrong on a reader's machine ends in a finished run or in one clear sentence, and nothing is lost."""

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from page import ROOT
from processes import living, wait_until

pytestmark = pytest.mark.machinery

OLD = b"the old one"
MD, PAIR, PNG = map("gaussian_mixture_model.{}".format, ("md", "ipynb", "png"))
OUTPUTS = [PAIR, PNG, BUILT := f"build/{PAIR}"]
RUN, MAKE_PAIR = ([sys.executable, name] for name in ("run.py", "tests/pair.py"))
PROGRAMS = ["run.py", "tests/page.py", "tests/pair.py"]
PATH = {"PYTHONPATH": f".{os.pathsep}{ROOT}"}


def repository(path, code, seconds=None):
    """A folder whose tutorial is a cell of `code` and a thumbnail, with old outputs."""
    for name in ("build", "tests"):
        (path / name).mkdir(parents=True)
    for name in PROGRAMS:
        shutil.copy(ROOT / name, path / name)
    png = base64.b64encode(bytes(100_000)).decode()
    thumbnail = f"display({{'image/png': '{png}'}}, raw=True)"
    header = "---\nkernelspec:\n  display_name: Python 3\n  name: python3\n---\n\n"
    cells = f"## Sample\n\n```{{code-cell}}\n{code}\n```\n\n```{{code-cell}}\n"
    text = f"{header}{cells}:tags: [thumbnail]\n\n{thumbnail}\n```\n"
    (path / MD).write_text(text, encoding="utf-8")
    for name in OUTPUTS:
        (path / name).write_bytes(OLD)
    if seconds:
        (path / PAIR).write_text(json.dumps({"metadata": {"seconds": seconds}}))
    return path


def replaced(path):
    """Which of the old outputs are not there any more; nothing else may be left."""
    files = {str(file.relative_to(path)): file for file in path.rglob("*.*")}
    files = {x: file for x, file in files.items() if "__pycache__" not in x}
    assert set(files) == {MD, *PROGRAMS, *OUTPUTS}
    old = [x for x in OUTPUTS if files[x].is_file() and files[x].read_bytes() == OLD]
    return [x for x in OUTPUTS if x not in old]


ODD = [
    {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONIOENCODING": "ascii"},
    {"HOME": "a home/ä", "MPLBACKEND": "", "DISPLAY": ""},
    {"HOME": os.devnull},  # where no user can write
]


@pytest.mark.parametrize("environment", ODD, ids=" ".join)
def test_runs_in_an_odd_place(tmp_path, environment):
    """All but sampling, from a path with a space and an umlaut."""
    text = "```\n\n## äöü × 2\n\n```{code-cell}"
    plot = "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.show()"
    path = repository(tmp_path / "a repository/ä", f"1 + 1\n{text}\n{plot}")
    home = str(tmp_path / environment.get("HOME", os.environ["HOME"]))
    env = os.environ | environment | {"HOME": home}
    subprocess.run(RUN, cwd=path, env=env, check=True)
    assert replaced(path) == [BUILT]
    assert (path / BUILT).read_text(encoding="utf-8").count('"image/png": "') == 2


STOPPED = rf"\n{MD} stopped at the cell above; the notebook so far is {BUILT}\n$"
KEPT = r"\. The committed files are as they were\.\n$"
UNREADY = r"^No module named 'jupytext' in .*Run `make run`.*\n$"
FAILURES = {  # the cell, what is said of it, and what is replaced
    "it raises": ("print(6 * 7)\n\n1 / 0", f"ZeroDivisionError.*{STOPPED}", [BUILT]),
    "kernel dies": ("%sx kill -9 $PPID", f"died, perhaps for .*{STOPPED}", [BUILT]),
    "no place": (f"%sx rm {PNG} && mkdir {PNG}", f"directory.*{KEPT}", [PNG, BUILT]),
    "full disk": ("1 + 1", f"File too large.*{KEPT}", []),
    "no packages": ("1 + 1", UNREADY, []),
}
COMMANDS = {
    "no place": MAKE_PAIR,
    # stops any user, the superuser too
    "full disk": ["sh", "-c", f"ulimit -f 100 && exec {shlex.join(RUN)}"],
    "no packages": [sys.executable, "-S", "run.py"],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_has_a_reason_and_the_pair_stays(tmp_path, failure):
    code, said, new = FAILURES[failure]
    path, command = repository(tmp_path, code), COMMANDS.get(failure, RUN)
    how = dict(cwd=path, env=os.environ | PATH, text=True, capture_output=True)
    ended = subprocess.run(command, **how)
    assert ended.returncode == 1
    assert re.search(said, ended.stderr, flags=re.S), ended.stderr
    assert 'run.py", line' not in ended.stderr
    assert replaced(path) == new
    printed = '"42\\n"' in (path / BUILT).read_text(encoding="utf-8")
    assert printed == ("6 * 7" in code)


@pytest.mark.parametrize("whom", ["the group", "run.py alone"])
def test_interrupt(tmp_path, whom):
    """Ctrl+C reaches the group; a supervisor's signal only what it started."""
    begun, path = tmp_path / "begun", tmp_path / "repository"
    sleeper = [sys.executable, "-c", "import time; time.sleep(999)"]
    code = f"""import subprocess

sleeper = subprocess.Popen({sleeper}, stderr=subprocess.DEVNULL)
open({str(begun)!r}, "w").close()
sleeper.wait()"""
    how = dict(text=True, stderr=subprocess.PIPE, start_new_session=True)
    started = psutil.Popen(RUN, cwd=repository(path, code), **how)
    wait_until(begun.exists, "the cell never ran")
    found = started.children(recursive=True)
    (os.killpg if whom == "the group" else os.kill)(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert said.endswith("Interrupted: no file was changed.\n"), said
    assert "Traceback" not in said
    wait_until(lambda: not living(found), "the kernel or what it started lives on")
    assert replaced(path) == []


BAR = "<progress value='1' max='4'></progress> 25.00% [1/4 00:01&lt;00:03 Sampling]"
SHOW_BAR = f"""import sys
from IPython.display import HTML, display

display(HTML("{BAR}"))
sys.stderr.write("\\r 25%|██▌       | 1/4")
sys.stderr.write("\\r          \\r")
sys.stderr.write("Multiprocess sampling (4 chains in 4 jobs)\\n>>Metropolis: [sd]\\n")
"""


def test_a_log_has_headings_and_what_is_left(tmp_path):
    """After the time of the stored run, of which there are 36,000 seconds here."""
    path = repository(tmp_path, SHOW_BAR, seconds=[36_000, 36_001])
    log = subprocess.check_output(RUN, cwd=path, text=True)
    line = r"^ +[\d.]+ s    {}/2  Sample \(about (\d+) min left\)$"
    (first,) = re.findall(line.format(1), log, flags=re.M)
    assert 600 < int(first) < 6_000, log
    assert re.findall(line.format(2), log, flags=re.M) == ["1"], log
    assert "Sampling" not in log and "\r" not in log


def test_the_pair_has_all_outputs_but_progress(tmp_path):
    warn = "import warnings\n\nwarnings.warn('Beware.')\nprint(' 25%|')\n"
    path = repository(tmp_path, SHOW_BAR + warn)
    subprocess.run(MAKE_PAIR, cwd=path, env=os.environ | PATH, check=True)
    assert replaced(path) == OUTPUTS
    pair = json.loads((path / PAIR).read_bytes())
    cell, thumbnail = pair["cells"][-2:]
    said = {output["name"]: "".join(output["text"]) for output in cell["outputs"]}
    assert said["stdout"] == " 25%|\n"
    assert re.fullmatch(r".*: UserWarning: Beware\.\n.*\n", said["stderr"]), said
    data = thumbnail["outputs"][0]["data"]["image/png"]
    assert base64.b64decode(data) == (path / PNG).read_bytes()
    first, second = pair["metadata"]["seconds"]
    assert 0 < first <= second
    assert len(pair["metadata"]["marks"]) == 2 and pair["metadata"]["settings"]


def test_progress_in_a_terminal(tmp_path):
    """What the kernel says and that Theano compiles, in a line that goes; nothing of
    what is left, since the stored run is of another notebook."""
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
    path = repository(tmp_path / "repository", code + SHOW_BAR, seconds=[60, 120, 180])
    flags = {"THEANO_FLAGS": f"cxx=,base_compiledir={modules.parent}"}
    (ours, theirs), shown = os.openpty(), ""
    with subprocess.Popen(RUN, cwd=path, stdout=theirs, env=os.environ | flags):
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


def test_a_killed_kernel_takes_its_sampling_processes_along():
    """Whatever a process is at: here all four sample."""
    code = """import pymc3_support
import pymc3 as pm

with pm.Model():
    pm.Normal("x")
    pm.sample(1_000_000, step=pm.Metropolis(), chains=4, cores=4)
"""
    command = [sys.executable, "-c", code]
    kernel = psutil.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(kernel.children()) == 4, "sampling never began")
    workers = kernel.children()
    kernel.kill()
    try:
        wait_until(lambda: not living(workers), "they live on")
    finally:
        for worker in living(workers):
            worker.kill()
