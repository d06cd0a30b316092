"""Fit a column of a file: mixtures FILE COLUMN --out FOLDER."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fitting import Fit


def arguments(given: list[str] | None) -> argparse.Namespace:
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


def fitted(options: argparse.Namespace) -> Fit:
    """The fit that was asked for, its files written. Raises ValueError or OSError."""
    import matplotlib

    from .fitting import fit
    from .read import column_of, read_table, refuse_folder

    matplotlib.use("agg")
    frame = read_table(options.file)
    column = column_of(frame, options.column, options.file)
    refuse_folder(options.out)
    result = fit(
        column,
        options.clusters,
        own_widths=not options.one_width,
        largest=options.largest,
        seconds=options.seconds,
        random_seed=options.seed,
    )
    result.save(options.out, frame)
    return result


def main(given: list[str] | None = None) -> int:
    """Exit status 0: trusted; 3: not; 2: cannot be fitted; 130: interrupted."""
    options = arguments(given)  # before anything is imported that takes time
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fitted(options)
    except OSError as error:
        named = f"{error.filename}: {error.strerror}."
        print(f"mixtures: {named if error.filename else error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"mixtures: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mixtures: interrupted with nothing to keep yet.", file=sys.stderr)
        return 130
    print(f"{result}\nSee {options.out / 'report.html'}.")
    return 130 if result.interrupted else 0 if result.trusted else 3


if __name__ == "__main__":
    sys.exit(main())
