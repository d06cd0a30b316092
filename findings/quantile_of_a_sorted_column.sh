#!/usr/bin/env bash
# Dask 2026.8.0, dask.dataframe Series.quantile and dask.array.percentile.
# Guess: approximate, as documented, by a percent or two of the ranks.
# Seen (2026-11-27): 0, 1, ..., 19999 in four partitions has its 10 % quantile at 500
#   and its 90 % quantile at 15000, by a fifth of all ranks off. Asked together with other
#   quantiles the same one has another value. A file that is sorted, or that was written
#   group after group, is such a column. Dask issues 731 and 3115; method="tdigest" is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile "dask[dataframe]==2026.8.0" pandas==3.1.1 numpy==2.4.6
bin/python -W error - <<'END'
import dask.dataframe as dd
import pandas as pd

column = dd.from_pandas(pd.Series(range(20_000), dtype=float), npartitions=4)
alone = [float(column.quantile(q).compute()) for q in (0.1, 0.9)]
together = column.quantile([0.1, 0.3, 0.5, 0.7, 0.9]).compute().loc[[0.1, 0.9]].tolist()
print("exact    [1999.9, 17999.1]", "alone   ", alone, "together", together, sep="\n")
if not (alone[0] < 1000 and alone[1] < 16_000 and together != alone):
    raise SystemExit("The behavior has changed.")
END
