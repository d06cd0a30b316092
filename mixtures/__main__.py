"""Fit a column of a file: mixtures FILE COLUMN --out FOLDER."""

import argparse
import difflib
import sys
from pathlib import Path

import matplotlib
import pandas as pd

from .results import fit


def read(path):
    """A table from a CSV or Parquet file. Raises ValueError or OSError."""
    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            return pd.read_parquet(path)
        except ImportError:
            raise ValueError("To read Parquet: pip install pyarrow.") from None
    try:
        return pd.read_csv(path)
    except (
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        UnicodeDecodeError,
    ) as error:
        what = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path} is no table of comma-separated values: {what}."
        ) from None


def column_of(frame, name, path):
    """A column of the table. Raises ValueError that offers names that are near."""
    if name in frame:
        return frame[name]
    names = [str(one) for one in frame.columns]
    near = difflib.get_close_matches(name, names, 3, 0.4) or names[:10]
    raise ValueError(f"{path} has no column {name!r}; it has {', '.join(near)}.")


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


def main(given=None):
    """Exit status 0: trusted; 3: not; 2: cannot be fitted; 130: interrupted."""
    matplotlib.use("agg")
    options = arguments(given)
    try:
        frame = read(options.file)
        column = column_of(frame, options.column, options.file)
        options.out.mkdir(parents=True, exist_ok=True)
        found = fit(
            column,
            options.clusters,
            not options.one_width,
            options.largest,
            options.seconds,
            options.seed,
        )
        found.save(options.out, frame)
    except (ValueError, OSError) as error:
        print(f"mixtures: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "mixtures: interrupted before there was anything to keep.", file=sys.stderr
        )
        return 130
    print(f"{found}\nSee {options.out / 'report.html'}.")
    return 130 if found.interrupted else 0 if found.trusted else 3


if __name__ == "__main__":
    sys.exit(main())
