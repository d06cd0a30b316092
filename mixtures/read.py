"""A column of a file, and a folder for what is written."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pandas as pd


def read_table(path: Path) -> pd.DataFrame:
    """A table from a CSV or Parquet file. Raises ValueError or OSError."""
    kind, reader = "comma-separated values", pd.read_csv
    if path.suffix.lower() in (".parquet", ".pq"):
        kind, reader = "Parquet", pd.read_parquet
    with open(path, "rb"):  # of a folder or no file this says so best
        pass
    try:
        frame = reader(path)
    except ImportError:
        raise ValueError("To read Parquet: pip install pyarrow.") from None
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own are such, too
        what = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(f"{path} is no table of {kind}: {what}.") from None
    if kind != "Parquet" and not frame.index.equals(pd.RangeIndex(len(frame))):
        raise ValueError(  # pandas took the first fields as names of the rows
            f"{path}: rows have more fields than the header. Are there decimal commas? "
            "Write the file with decimal points, and a name for every column."
        )
    return frame


def column_of(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """A column of the table. Raises ValueError that offers names that are near."""
    columns = {str(label): label for label in frame.columns}
    if name in columns:
        return frame[columns[name]].rename(name)
    near = difflib.get_close_matches(name, columns, 3, 0.4) or list(columns)[:10]
    raise ValueError(f"{path} has no column {name!r}; it has {', '.join(near)}.")


def refuse_folder(folder: Path) -> None:
    """ValueError if a folder can be neither made nor written, before time is spent."""
    folder = folder.absolute()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ValueError(f"{folder} cannot be written: give another folder as --out.")
