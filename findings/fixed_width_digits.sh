#!/usr/bin/env bash
# pandas 3.1.1, read_fwf on a table with aligned columns.
# Guess: the reader goes by the blanks between the columns, so a longer number in a
#   late row is read whole, or an error says that it does not fit.
# Seen (2026-11-27): the places of the columns come from the first 100 rows, and what
#   lies beside them is dropped without a word: 12345.67 in row 121 is read as 345.67.
#   pandas issue 21970; the documentation names infer_nrows=np.inf.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile pandas==3.1.1 numpy==2.4.6
bin/python -W error - <<'END'
from io import StringIO

import pandas as pd

lengths = [100 + i for i in range(150)]
lengths[120] = 12345.67
table = "\n".join(["  length    width"] + [f"{x:8.2f}{x / 10:9.2f}" for x in lengths])
read = pd.read_fwf(StringIO(table))
print(table.splitlines()[120], table.splitlines()[121], sep="\n")
print(read.iloc[119:121], read.dtypes, sep="\n")
if read.length[120] != 345.67:
    raise SystemExit("The behavior has changed.")
END
