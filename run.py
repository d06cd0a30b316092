"""Execute the tutorial from its .md, top to bottom, with progress on the terminal.

`python run.py` leaves the executed notebook in build/.
"""

import html
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

try:
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
except ModuleNotFoundError as error:
    sys.exit(
        f"{error} in {sys.executable}, Python {sys.version.split()[0]}. Run "
        "`make run`, which sets up an environment (`make clean` removes a damaged "
        "one), or `pip install -r requirements.txt` in an environment of Python 3.10."
    )
except KeyboardInterrupt:
    sys.exit(130)

SOURCE = Path("gaussian_mixture_model.md")
PAIR = SOURCE.with_suffix(".ipynb")
EXECUTED = Path("build/gaussian_mixture_model.ipynb")
# Lines of stderr that tell how a run goes: what PyMC3 logs, bars, and their blanks.
PROGRESS = re.compile(
    r"^\s*$|\d%\||^Multiprocess sampling|^>*CompoundStep$|^>+\w+: \[|^Sampling \d"
)


class Kernel(NotebookClient):
    """Executes a notebook, and calls `said` with the last line of what a cell says.

    What only tells of progress becomes no output.
    """

    def __init__(self, notebook, said=lambda line: None, **options):
        self.said = said
        super().__init__(
            notebook,
            timeout=None,
            kernel_name="python3",
            shutdown_kernel="immediate",
            record_timing=False,
            coalesce_streams=True,  # one output for what was printed in a row
            **options,
        )

    def process_message(self, msg, cell, cell_index):
        content = msg["content"]
        page = content.get("data", {}).get("text/html", "")
        bar = re.sub("<[^>]*>", "", page) if "<progress" in page else ""
        text = content.get("text", "") or html.unescape(bar)
        lines = (line.strip() for line in reversed(re.split("[\r\n]", text)))
        if line := next(filter(None, lines), ""):
            self.said(line)
        if content.get("name") == "stderr":
            other = (x for x in text.splitlines(True) if not PROGRESS.search(x))
            content["text"] = "".join(other)
        if content.get("text") == "" or bar or "progress-bar" in page:  # or its style
            return None
        return super().process_message(msg, cell, cell_index)


def headings(notebook):
    """The heading of the section that each cell stands in."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall("^#+ (.*)", cell.source, flags=re.M)
            heading = found[-1] if found else heading
        yield heading


def compiled():
    """How many modules Theano has compiled for this user, each in a folder."""
    base = re.search("base_compiledir=([^,]*)", os.environ.get("THEANO_FLAGS", ""))
    base = os.path.expanduser(base[1] if base else "~/.theano")
    return sum(1 for _ in Path(base).glob("compiledir_*/tmp*"))


def execute(notebook, stored=()):
    """Run every cell of `notebook` in place; return the seconds at which each ended.

    `stored` are those of an earlier run: they say how much is left.
    """
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    sections, begin, ended = list(headings(notebook)), time.perf_counter(), []
    terminal, over = sys.stdout.isatty(), threading.Event()
    before, news = compiled(), []  # modules, and what a log has not told yet
    compiles = not before  # as it does for minutes on a new machine
    columns = (shutil.get_terminal_size().columns or 80) - 1  # 0: it does not say

    def show(line, end="\n"):  # in one piece, since two threads do
        sys.stdout.write(("\r\033[K" if terminal else "") + line + end)
        sys.stdout.flush()

    def announce(cell, cell_index):
        number, seconds, left = code.index(cell_index), time.perf_counter() - begin, ""
        if len(stored) == len(code):
            then = stored[number - 1] if number else 0
            pace = (60 + seconds) / (60 + then)  # here against there, 1 at first
            left = f"about {1 + pace * (stored[-1] - then) // 60:.0f} min left"
            left = f" ({left}{', and some more to compile' * compiles})"
        position = f"{number + 1:3}/{len(code)}"
        show(f"{seconds:6.1f} s  {position}  {sections[cell_index]}{left}")

    def say(line):  # in a terminal the next line replaces it
        show(f"{'':19}{line}"[:columns], end="" if terminal else "\n")

    def watch():  # the minutes in which nothing else moves
        latest = before
        while not over.wait(1 if terminal else 20):
            if (now := compiled()) > latest:
                latest = now
                say(f"Theano compiles; modules so far: {now - before}")
            elif news:
                say(news[-1])
            news.clear()

    client = Kernel(notebook, say if terminal else news.append)
    client.on_cell_execute = announce
    client.on_cell_executed = lambda **_: ended.append(time.perf_counter() - begin)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        client.execute()
    except BaseException:
        # On Ctrl+C nbclient ends the kernel; what it then raises depends on the moment.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise KeyboardInterrupt from None
        raise
    finally:
        over.set()
        watcher.join()
        show("", end="")
    return [round(seconds) for seconds in ended]  # JavaScript knows no 85.0


def replace_files(files):
    """Write all files aside before the first takes its place: if one cannot be written,
    the old ones stay."""
    with tempfile.TemporaryDirectory(dir=EXECUTED.parent) as aside:
        for path, content in files.items():
            Path(aside, path.name).write_bytes(content)
        for path in files:
            os.replace(Path(aside, path.name), path)


def as_bytes(notebook):
    return f"{jupytext.writes(notebook, 'ipynb')}\n".encode()


def main():
    """The executed notebook, which is in build/ then, too."""
    sys.stdout.reconfigure(errors="replace")  # a terminal may not print every letter
    notebook = jupytext.read(SOURCE)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"  # random identifiers would change with each run
    EXECUTED.parent.mkdir(exist_ok=True)
    stopped, stored = None, []
    with suppress(OSError, ValueError, KeyError):  # no pair yet, or of another kind
        stored = json.loads(PAIR.read_bytes())["metadata"]["seconds"]
    try:
        notebook.metadata["seconds"] = execute(notebook, stored)
    except (CellExecutionError, DeadKernelError) as error:
        stopped = error
    replace_files({EXECUTED: as_bytes(notebook)})
    if stopped:
        dead = isinstance(stopped, DeadKernelError)
        reason = f"{stopped}, perhaps for want of memory." if dead else stopped
        sys.exit(
            f"{reason}\n{SOURCE} stopped at the cell above; "
            f"the notebook so far is {EXECUTED}"
        )
    print(f"{notebook.metadata['seconds'][-1]:6.1f} s  done: {EXECUTED}")
    return notebook


def or_say_why(main):
    """Run `main`; what ends it early is said in a line."""
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted: no file was changed.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f"{error}. The committed files are as they were.")


if __name__ == "__main__":
    or_say_why(main)
