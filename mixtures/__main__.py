"""Fit a column of a file: mixtures FILE COLUMN --out FOLDER."""

import argparse
import difflib
import os
import sys
import warnings
from pathlib import Path

import matplotlib
import pandas as pd

from .fitting import fit


def read(path):
    """A table from a CSV or Parquet file. Raises ValueError or OSError."""
    kind, reader = "comma-separated values", pd.read_csv
    if path.suffix.lower() in (".parquet", ".pq"):
        kind, reader = "Parquet", pd.read_parquet
    with open(path, "rb"):  # of a folder or no file this says so best
        pass
    try:
        return reader(path)
    except ImportError:
        raise ValueError("To read Parquet: pip install pyarrow.") from None
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own are such, too
        what = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(f"{path} is no table of {kind}: {what}.") from None


def column_of(frame, name, path):
    """A column of the table. Raises ValueError that offers names that are near."""
    columns = {str(one): one for one in frame.columns}
    if name in columns:
        return frame[columns[name]].rename(name)
    near = difflib.get_close_matches(name, columns, 3, 0.4) or list(columns)[:10]
    raise ValueError(f"{path} has no column {name!r}; it has {', '.join(near)}.")


def refuse_folder(folder):
    """ValueError if a folder can be neither made nor written, before time is spent."""
    folder = folder.absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ValueError(f"{folder} cannot be written: give another folder as --out.")


def arguments(given):
    parser = argparse.ArgumentParser("mixtures", description=__doc__)
    parser.add_argument("file", type=Path, help="a CSV or Parquet file")
    parser.add_argument("column", help="the name of a column of numbers")
    parser.add_argument("--out", type=Path, default=Path("result"), metavar="FOLDER")
    parser.add_argument("--clusters", type=int, help="how many, if you know")
    parser.add_argument("--one-width", action="store_true", help="one for all clusters")
    parser.add_argument("--largest", type=int, default=10, help="number of clusters")
    parser.add_argument("--seconds", type=float, default=60, help="when to give up")
    parser.add_argument("--seed", type=int, default=8927)
    return parser.parse_args(given)


def fitted(options):
    """The fit that was asked for, its files written. Raises ValueError or OSError."""
    frame = read(options.file)
    column = column_of(frame, options.column, options.file)
    refuse_folder(options.out)
    numbers = options.clusters, not options.one_width, options.largest
    found = fit(column, *numbers, options.seconds, options.seed)
    found.save(options.out, frame)
    return found


def main(given=None):
    """Exit status 0: trusted; 3: not; 2: cannot be fitted; 130: interrupted."""
    options = arguments(given)
    matplotlib.use("agg")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fitted(options)
    except (ValueError, OSError) as error:
        named = isinstance(error, OSError) and error.filename
        said = f"{error.filename}: {error.strerror}." if named else error
        print(f"mixtures: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mixtures: interrupted with nothing to keep yet.", file=sys.stderr)
        return 130
    print(f"{found}\nSee {options.out / 'report.html'}.")
    return 130 if found.interrupted else 0 if found.trusted else 3


if __name__ == "__main__":
    sys.exit(main())
