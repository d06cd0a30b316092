"""A fit as files in a folder: all of them or none, and none of an earlier fit."""

from __future__ import annotations

import errno
import itertools
import json
import os
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from . import report
from .data import Column
from .model import Prior
from .posterior import thinned
from .values import partitions, refuse, refuse_other_order

if TYPE_CHECKING:
    from .fitting import Fit

NAMES = (
    "clusters.csv", "number.csv", "membership.csv", "membership.parquet", "report.html",
    "fit.json",
)  # fmt: skip
PLAIN = "name", "trusted", "verdict", "interrupted", "provenance"  # attributes
DRAWS = "draws", "all_draws"


def rows_of(fit: Fit, frame=None):
    """Tables of memberships, one a partition, with the columns of frame first."""
    if hasattr(frame, "to_pandas"):  # of Polars or Arrow
        frame = frame.to_pandas()
    refuse_other_order(fit.data, frame, "frame")
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


def write_fit(fit: Fit, path: Path) -> None:
    """Write what a fit needs to answer without its values: some draws of each kind."""
    content: dict[str, Any] = {"about": "a fit, for the probability of clusters"}
    content |= {name: getattr(fit, name) for name in PLAIN}
    content |= {"column": asdict(fit.column), "prior": asdict(fit.prior)}
    content |= {"clusters": fit.clusters.to_dict("split"), "number": None}
    if fit.number is not None:
        content["number"] = fit.number.to_dict("split")
    for name in DRAWS:
        content[name] = thinned(getattr(fit, name)).to_dict()
    text = json.dumps(content, default=lambda x: x.tolist())
    path.write_text(text, encoding="utf-8")


def with_arrays(fields: dict) -> dict:
    return {k: np.array(v) if isinstance(v, list) else v for k, v in fields.items()}


def load(folder: Any) -> Fit:
    """A fit that was saved, but for its values: it tells of new ones what it did.

    Nothing in the folder is executed.

    Parameters
    ----------
    folder : path-like
        To which `Fit.save` or the command wrote it.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If no fit is there.
    """
    from .fitting import Fit

    try:
        content = json.loads(Path(folder, "fit.json").read_text(encoding="utf-8"))
        fields = {name: content[name] for name in PLAIN}
        fields |= {name: xr.Dataset.from_dict(content[name]) for name in DRAWS}
        clusters, number = content["clusters"], content["number"]
        fit = Fit(
            **fields,
            data=None,
            column=Column(**with_arrays(content["column"])),
            prior=Prior(**with_arrays(content["prior"])),
            number=number and pd.DataFrame(**number).rename_axis("clusters"),
        )
        vars(fit)["clusters"] = pd.DataFrame(**clusters).rename_axis("cluster")
    except (KeyError, OSError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
        raise ValueError(f"{folder} holds no fit that was saved: {what}.") from None
    return fit


def write(fit: Fit, folder: Path, frame):
    """Write all files of a fit into an empty folder."""
    write_fit(fit, folder / "fit.json")
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
    ours = is_ours(folder / "fit.json")
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a folder", str(folder / name))
        if (folder / name).exists() and not ours:
            raise FileExistsError(errno.EEXIST, "Is of no fit", str(folder / name))
    gone = [x for x in NAMES if x not in names and is_ours(folder / x)]
    gone += [name for name in names if (folder / name).exists()]
    moves = [(folder / name, old / name) for name in gone]
    moves += [(new / name, folder / name) for name in names]
    with ExitStack() as back:
        for source, target in moves:
            source.rename(target)
            back.callback(target.rename, source)
        back.pop_all()


def save(fit: Fit, folder: Any, frame: Any = None) -> None:
    """Write a fit into a folder: all of its files, or none; those of an earlier one go.

    That is clusters.csv, number.csv, membership.csv, report.html, and fit.json, which
    `load` makes a fit of again. Memberships of a Dask column are written partition by
    partition, and where pyarrow is installed as membership.parquet.

    Parameters
    ----------
    folder : path-like
        Made if there is none.
    frame : DataFrame or function, optional
        A table, of Dask if the column is, whose columns come before ours; or a function
        of a fit and a path that writes the rows there.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        new, old = Path(aside, "new"), Path(aside, "old")
        new.mkdir()
        old.mkdir()
        write(fit, new, frame)
        replace(folder, new, old)


def refuse_folder(folder: Path, file: Path) -> None:
    """ValueError if a folder can be neither made nor written, before time is spent."""
    folder = folder.absolute()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ValueError(f"{folder} cannot be written: give another folder as --out.")
    held = folder.exists() and any(folder.iterdir())
    if held and not is_ours(folder / "fit.json"):
        raise ValueError(f"{folder} holds other files: give another folder as --out.")
    if file.absolute() in [folder / name for name in NAMES]:
        raise ValueError(f"{file} would be replaced: give another folder as --out.")
