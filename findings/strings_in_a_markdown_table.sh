#!/usr/bin/env bash
# pandas 3.1.1 with tabulate 0.10.0, DataFrame.to_markdown.
# Guess: strings are printed as they are, and numbers with the digits that pandas shows.
# Seen (2026-11-27): a column of strings that could be numbers is printed as numbers: the
#   samples 12E5, 007 and 1.10 become 1.2e+06, 7 and 1.1; 12_3 becomes 123. A float
#   keeps six digits: 1234567.891 becomes 1.23457e+06. disablenumparse=True keeps strings.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile pandas==3.1.1 tabulate==0.10.0 numpy==2.4.6
bin/python -W error - <<'END'
import pandas as pd

samples = ["12E5", "007", "1.10", "12_3"]
frame = pd.DataFrame({"sample": samples, "area": [1234567.891, 2, 3, 4]})
printed = frame.to_markdown(index=False)
print(frame.dtypes, frame, printed, sep="\n")
cells = [[c.strip() for c in row.strip("|").split("|")] for row in printed.splitlines()[2:]]
print(cells)
if [float(c[0]) for c in cells] != [1.2e6, 7, 1.1, 123] or float(cells[0][1]) != 1_234_570:
    raise SystemExit("The behavior has changed.")
END
