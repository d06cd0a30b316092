#!/usr/bin/env bash
# DuckDB 1.5.6 (of which Python 3.10 gets no later one), Parquet decimals of 39 to 75 digits.
# Guess: more than DuckDB's 38 digits are refused, or become doubles near the value.
# Seen (2026-11-28): they become doubles of other numbers, without a word: in a column of
#   decimal(50, 10), as pyarrow writes it, 20.25 is 339738624. 38 digits are right, and 76,
#   the most. In 2.0.1 all are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile duckdb==1.5.6 pyarrow==25.0.1
bin/python -W error - <<'END'
from decimal import Decimal

import duckdb
import pyarrow as pa
from pyarrow import parquet

values, seen = [Decimal("20.25"), Decimal("-3.5")], {}
for digits in (38, 50, 76):
    kind = pa.decimal128(38, 10) if digits == 38 else pa.decimal256(digits, 10)
    parquet.write_table(pa.table({"v": pa.array(values, kind)}), "table.parquet")
    assert parquet.read_table("table.parquet")["v"].to_pylist() == values
    rows = duckdb.sql("SELECT v::DOUBLE FROM 'table.parquet'").fetchall()
    seen[digits] = [x for x, in rows]
print("digits and what 20.25 and -3.5 are:", seen)
right = {digits: x == [20.25, -3.5] for digits, x in seen.items()}
if right != {38: True, 50: False, 76: True}:
    raise SystemExit("The behavior has changed.")
END
