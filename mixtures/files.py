"""A fit as files in a folder: all of them or none, and none of an earlier fit."""

from __future__ import annotations

import errno
import itertools
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from . import report
from .data import partitions, refuse

if TYPE_CHECKING:
    from .fitting import Fit

NAMES = (
    "clusters.csv", "number.csv", "membership.csv", "membership.parquet", "report.html",
)  # fmt: skip


def rows_of(fit: Fit, frame=None):
    """Tables of memberships, one a partition, with the columns of frame first."""
    others = itertools.repeat(None) if frame is None else partitions(frame)
    for rows in fit.membership_tables():
        before = next(others, rows[:0])
        if before is not None:
            refuse(
                len(before) != len(rows),
                "The rows of frame are not those of the column: give the table from "
                "which the column was taken, in the same partitions.",
            )
            taken = rows.columns.intersection(before.columns)
            rows = rows.rename(columns={x: f"{x} of the fit" for x in taken})
            rows = pd.concat([before, rows.set_axis(before.index)], axis=1)
        yield rows


def has_names(rows):
    """Whether rows have an index of their own."""
    return not isinstance(rows.index, pd.RangeIndex)


def write_csv(tables, path):
    for i, rows in enumerate(tables):
        rows.to_csv(path, mode="a", header=not i, index=has_names(rows))


def write_parquet(tables, path):
    from pyarrow import Table, parquet

    first = next(tables)
    schema = Table.from_pandas(first, preserve_index=has_names(first)).schema
    with parquet.ParquetWriter(path, schema) as file:
        for rows in itertools.chain([first], tables):
            file.write_table(Table.from_pandas(rows, schema))


def write(fit: Fit, folder: Path, frame):
    """Write all files of a fit into an empty folder."""
    fit.clusters.to_csv(folder / "clusters.csv")
    if fit.number is not None:
        fit.number.to_csv(folder / "number.csv")
    (folder / "report.html").write_text(report.report(fit), encoding="utf-8")
    if callable(frame):  # of a file, which the reader streams
        frame(fit, folder / "membership.csv")
    elif hasattr(fit.data, "dask") and find_spec("pyarrow"):
        write_parquet(rows_of(fit, frame), folder / "membership.parquet")
    else:
        write_csv(rows_of(fit, frame), folder / "membership.csv")


def is_ours(path):
    """Whether a file that has a name of ours is one: all of them name a probability."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(10_000)
        file.seek(max(0, path.stat().st_size - 100_000))  # where Parquet has the names
        return b"probability" in head + file.read()


def replace(folder, new, old):
    """Move files of `new` into a folder and an earlier fit's to `old`: all or none."""
    names = sorted(path.name for path in new.iterdir())
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a folder", str(folder / name))
    gone = [x for x in NAMES if x not in names and is_ours(folder / x)]
    gone += [name for name in names if (folder / name).exists()]
    moves = [(folder / name, old / name) for name in gone]
    moves += [(new / name, folder / name) for name in names]
    with ExitStack() as back:
        for source, target in moves:
            source.rename(target)
            back.callback(target.rename, source)
        back.pop_all()


def save(fit: Fit, folder, frame=None) -> None:
    """Write clusters.csv, number.csv, membership.csv and report.html, all or none.

    Memberships of a Dask column are written partition by partition, and where pyarrow
    is installed as membership.parquet. Files of an earlier fit go.
    frame : a table, of Dask if the column is, whose columns come before ours, or a
        function of a fit and a path that writes the rows there
    Raises OSError if the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        new, old = Path(aside, "new"), Path(aside, "old")
        new.mkdir()
        old.mkdir()
        write(fit, new, frame)
        replace(folder, new, old)
