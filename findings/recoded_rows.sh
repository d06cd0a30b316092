#!/usr/bin/env bash
# DuckDB 2.0.1, codes for missing values made NULL on the way from a file to NumPy.
# Guess: rows come in the file's order, since preserve_insertion_order is on and nothing
#   sorts, joins or groups; how many codes there are makes no difference.
# Seen (2026-11-28): with IN of two codes they do; with IN of five or more, and with
#   list_contains, blocks of rows change places (two threads). In 1.5.6 list_contains keeps
#   the order, and EXPLAIN shows the join that IN becomes; here it shows none. What is put
#   beside the answer row by row, labels for example, belongs to other rows. With a regular
#   expression the order stays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile duckdb==2.0.1 numpy==2.4.6
bin/python -W error - <<'END'
import duckdb
import numpy as np

base = duckdb.connect()
(on,) = base.execute("SELECT current_setting('preserve_insertion_order')").fetchall()[0]
base.execute("SET threads = 2")
rows = "SELECT i, if(i % 50 = 0, 'NA', i::VARCHAR) AS x FROM range(2_000_000) t(i)"
base.execute(f"COPY ({rows}) TO 'rows.csv'")
file = "read_csv('rows.csv', types = {'x': 'VARCHAR'})"


def in_order(condition):
    query = f"SELECT i, CASE WHEN {condition} THEN NULL ELSE x END AS x FROM {file}"
    return bool((np.diff(base.execute(query).fetchnumpy()["i"]) > 0).all())


five = "'NA', 'N/A', 'NULL', '-', '?'"
seen = {
    "IN, two codes": in_order("x IN ('NA', 'N/A')"),
    "IN, five codes": in_order(f"x IN ({five})"),
    "list_contains, five codes": in_order(f"list_contains([{five}], x)"),
    "regular expression": in_order(r"regexp_full_match(x, 'NA|N/A|NULL|-|\?')"),
}
print("preserve_insertion_order:", on, "rows in the file's order:", seen)
if not on or list(seen.values()) != [True, False, False, True]:
    raise SystemExit("The behavior has changed.")
END
