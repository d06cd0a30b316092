"""Fit a column of a file: mixtures FILE COLUMN --out FOLDER."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fitting import Fit

EPILOG = """exit status:
  0 trusted, 3 not trusted, 2 cannot be fitted, 130 interrupted

example:
  mixtures measurements.csv length --clusters 2 --missing -999,timeout --out lengths
"""
FILES = """text with any separator, a workbook, JSON lines, Feather, Parquet or a folder
of it; - is standard input"""


def arguments(given: list[str] | None) -> argparse.Namespace:
    from . import __version__

    parser = argparse.ArgumentParser(
        "mixtures",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, help=FILES)
    add("column", help="its name, or its number from 1")
    result = Path("result")
    add("--out", type=Path, default=result, metavar="FOLDER", help="default: result")
    add("--clusters", type=int, help="how many, if you know")
    add("--one-width", action="store_true", help="one for all clusters")
    add("--largest", type=int, default=10, help="number of clusters; default: 10")
    add("--seconds", type=float, default=60, help="when to give up; default: 60")
    add("--seed", type=int, default=8927, help="default: 8927")
    add("--log", action="store_true", help="fit the logarithms")
    add("--quiet", action="store_true", help="the verdict alone, and no bar")
    add("--version", action="version", version=f"%(prog)s {__version__}")
    how_written(parser)
    words = ["mixtures", *(sys.argv[1:] if given is None else given)]
    parser.set_defaults(command=shlex.join(words))
    # argparse takes -999 after an option for another option
    joined = "\0".join(words).replace("\0--missing\0", "\0--missing=")
    return parser.parse_args(joined.split("\0")[1:])


def how_written(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how the file is written."""
    group = parser.add_argument_group("how the file is written, guessed if not given")
    add = group.add_argument
    add("--sep", metavar="SIGN", help='between columns; "tab", or " " for any blanks')
    add("--decimal", choices=".,", metavar="SIGN", help="of fractions: . or ,")
    add("--thousands", metavar="SIGN", help="between thousands")
    add("--encoding", help="utf-8, latin-1, cp1252, utf-16, ...")
    add("--missing", default="", metavar="-999,NA", help="what stands for no value")
    add("--comment", metavar="SIGN", help="that starts lines to leave out; default: #")
    add("--no-header", action="store_true", help="the first line holds values")
    add("--sheet", help="of a workbook; default: the first")


def in_options(text: str, column: str) -> str:
    """What is said to those who call by Python, for those who give options."""
    text = re.sub(r"`(clusters|largest|seconds)`", r"--\1", text)
    text = re.sub(r"^(clusters|largest|seconds) = ", r"--\1 ", text)
    word = r"(?<![\w'./\\])data\b(?![\[/\\]|\.\w)"  # and no part of a path
    return re.sub(word, lambda _: f"column '{column}'", text)


def fitted(options: argparse.Namespace) -> Fit:
    """The fit that was asked for, its files written. Raises ValueError or OSError."""
    import matplotlib
    import numpy

    from .files import refuse_folder
    from .fitting import fit
    from .read import open_table

    matplotlib.use("agg")
    table = open_table(options)
    column = table.column(options)
    refuse_folder(options.out, options.file)
    if table.notes and not options.quiet:
        notes = "; ".join(table.notes)
        print(f"mixtures: {table.path}: {notes}.", file=sys.stderr)
    result = fit(
        column,
        options.clusters,
        own_widths=not options.one_width,
        largest=options.largest,
        seconds=options.seconds,
        random_seed=options.seed,
    )
    if options.log:
        for name in [x for x in result.clusters if x.startswith("mean")]:
            median = name.replace("mean", "median")  # in the column's units
            result.clusters[median] = numpy.exp(result.clusters[name])
        result.verdict += " All of it is of logarithms, as new values have to be."
    result.verdict = in_options(result.verdict, options.column)
    result.provenance = {"file": table.path} | result.provenance
    result.provenance["command"] = options.command
    result.save(options.out, table.write)
    return result


def show(text: str) -> None:
    """Print, if somebody reads: as `head` ends, the status still tells of the fit."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # what is left would be tried again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(given: list[str] | None = None) -> int:
    """Exit status 0: trusted; 3: not; 2: cannot be fitted; 130: interrupted."""
    options = arguments(given)  # before anything is imported that takes time
    if options.quiet or not sys.stderr.isatty():
        os.environ["TQDM_DISABLE"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fitted(options)
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.filename:
            text = f"{error.filename}: {error.strerror}."
        print(f"mixtures: {in_options(text, options.column)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mixtures: interrupted with nothing to keep yet.", file=sys.stderr)
        return 130
    text = f"{result}\nSee {options.out / 'report.html'}."
    show(result.verdict if options.quiet else text)
    return 130 if result.interrupted else 0 if result.trusted else 3


if __name__ == "__main__":
    sys.exit(main())
