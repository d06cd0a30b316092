#!/usr/bin/env bash
# Polars 2.1.0 and DuckDB 2.0.1, the median of a column with NaN.
# Guess: NaN, as their own mean (and NumPy); or 2, without them, as pandas.
# Seen (2026-11-27): of 1, 2, 3, NaN, NaN both say 3.0: NaN is counted as the greatest
#   number. The mean beside it is NaN, DuckDB's max too, but Polars' max is 3.0.
#   Polars issue 28368 asks to document it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile polars==2.1.0 duckdb==2.0.1 pandas==3.1.1 numpy==2.4.6
bin/python -W error - <<'END'
import duckdb
import numpy as np
import pandas as pd
import polars as pl

values = [1.0, 2.0, 3.0, np.nan, np.nan]
polars = pl.Series(values)
query = "select median(x), quantile_cont(x, 0.25), max(x), avg(x) from (select unnest($v) x)"
duck = duckdb.execute(query, {"v": values}).fetchone()
print("NumPy ", np.median(values), "pandas", pd.Series(values).median())
print("Polars", polars.median(), polars.quantile(0.25, "linear"), polars.max(), polars.mean())
print("DuckDB", *duck)
if not polars.median() == duck[0] == 3 or not np.isnan([polars.mean(), duck[3]]).all():
    raise SystemExit("The behavior has changed.")
END
