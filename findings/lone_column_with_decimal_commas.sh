#!/usr/bin/env bash
# DuckDB 2.0.1 read_csv(decimal_separator=',') and pandas 3.1.1 read_csv, a file of one
# column, "length", with the values 12,5 13,25 9,75 11,5.
# Guess: DuckDB, told of the decimal comma, gives one column of doubles; pandas, not
#   told, gives strings or an error, as for a header that is too short.
# Seen (2026-11-27): DuckDB takes the comma as the delimiter too, drops the header and
#   gives two columns of integers, 12 and 5, 13 and 25; with header=true the columns
#   are named "12" and "5" and the first value is gone. pandas takes 12, 13, 9, 11 as
#   the index: the column "length" is 5, 25, 75, 5. No warning in either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile duckdb==2.0.1 pandas==3.1.1 numpy==2.4.6
printf 'length\n12,5\n13,25\n9,75\n11,5\n' > lengths.csv
bin/python -W error - <<'END'
import duckdb
import pandas as pd


def read(options):
    found = duckdb.sql(f"from read_csv('lengths.csv', decimal_separator=','{options})")
    print("DuckDB", options, found.columns, found.fetchall())
    return found.columns, found.fetchall()


told = read("")
named = read(", header=true")
right = read(", delim=';'")
length = pd.read_csv("lengths.csv").length.tolist()
print("pandas", length)
if not (
    told[1] == [(12, 5), (13, 25), (9, 75), (11, 5)]
    and named == (["12", "5"], [(13, 25), (9, 75), (11, 5)])
    and right == (["length"], [(12.5,), (13.25,), (9.75,), (11.5,)])
    and length == [5, 25, 75, 5]
):
    raise SystemExit("The behavior has changed.")
END
