"""How a table is written as text: separator, header, rows with more fields than names.

It is decided from the first lines. What has two sensible readings is refused.
"""

from __future__ import annotations

import csv
import itertools
import re
import statistics
from dataclasses import dataclass, field
from typing import Any

from .signs import LIMIT, MISSING, is_number

ERROR = re.compile(r"#(N/?A|NV|REF|DIV/0|VALUE|NUM|NAME|WERT|ZAHL|BEZUG|NULL)\b")
WHOLE = re.compile(r"[-+]?(0|[1-9]\d*)")  # and no 03, which are digits of a fraction
FIELDS = r'(?:"[^"]*"|[^\s"]\S*)(?:\s+|$)'  # between any blanks
ALIGNED, SINGLE = " ", "\x01"  # for separators: any blanks, and that there is none


@dataclass
class Dialect:
    """places: of each name the field, or the two about a decimal comma; skip: lines."""

    separator: str
    names: list[str]
    places: list[list[int]]
    fields: int
    skip: int = 0
    comment: str = ""
    headless: bool = False
    units: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def comment_in(self, line: str) -> bool:
        return bool(self.comment) and line.startswith(self.comment)


def rows_of(lines: list[str], separator: str) -> list[list[str]]:
    if separator == ALIGNED:
        return [
            [x.strip().strip('"') for x in re.findall(FIELDS, line)] for line in lines
        ]
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        return [[x.strip() for x in row] for row in rows]
    except csv.Error:  # a carriage return, or a quote that never ends
        raise ValueError(
            "where its lines end cannot be told: pipe it through tr -d '\\r', or mend "
            "its quotes."
        ) from None


def header_at(rows: list[list[str]]) -> tuple[int, int]:
    """The usual number of fields, and where the header is: lines before it are notes.

    It is the line that starts the usual rows, or the one before if that holds a number.
    """
    often = statistics.multimode(len(row) for row in rows[1:] or rows)
    usual = len(rows[0]) if len(rows[0]) in often else max(often)
    first = [len(row) for row in rows].index(usual)
    return usual, first - (first > 0 and any(map(is_number, rows[first])))


def separator_of(lines: list[str]) -> str:
    """The first that gives header and rows as many fields, else the rows more.

    The fewer lines are notes above the header the better.
    """
    fits = {}
    for separator in "\t;|," + ALIGNED:
        rows = rows_of(lines, separator)
        usual, first = header_at(rows)
        names, even = len(rows[first]), [len(row) == usual for row in rows[first + 1 :]]
        equal = usual == names and sum(even) >= 0.5 * len(even)
        more = usual > names and all(even)
        if separator == ALIGNED:  # or there are blanks between thousands
            more &= are_row_names(rows[first + 1 :], lines[first + 1 :])
        if usual > 1 and (equal or more):
            fits[separator] = (-first, equal, 0 if equal else names)
    return max(fits, key=lambda separator: fits[separator], default=SINGLE)


def are_row_names(rows: list[list[str]], lines: list[str]) -> bool:
    """Whether the first fields may be names of rows, as R writes them."""
    first = [row[0] for row in rows]
    named = all(x.startswith('"') for x in lines) or not all(map(is_number, first))
    fields = (x for row in rows for x in row[1:])
    return (named or counted(first)) and all(sensible([x]) for x in fields)


def counted(texts: list[str]) -> bool:
    return texts == [str(1 + i) for i in range(len(texts))]


def readings(rows: list[list[str]], names: int) -> list[list[list[int]]]:
    """The ways to see numbers with a decimal comma in rows with too many fields."""
    ways = []
    for joined in itertools.combinations(range(names), len(rows[0]) - names):
        after = [0, *itertools.accumulate(1 + (j in joined) for j in range(names))]
        places = [[*range(*pair)] for pair in zip(after, after[1:])]
        if all(sensible([row[i] for i in place]) for row in rows for place in places):
            ways.append(places)
    return ways


def sensible(parts: list[str]) -> bool:
    if len(parts) == 2:
        return bool(WHOLE.fullmatch(parts[0]) and parts[1].isdigit())
    return not parts[0].isdigit() or bool(WHOLE.fullmatch(parts[0]))


def placed(dialect: Dialect, rows: list[list[str]], lines: list[str]) -> None:
    """Give each name its fields. Raises ValueError where two ways are."""
    names, fields = len(dialect.names), dialect.fields
    lines = [line for line, row in zip(lines, rows) if len(row) == fields]
    rows = [row for row in rows if len(row) == fields]
    dialect.places = [[i] for i in range(fields)]
    if fields <= names:
        return
    if not any("".join(row[names:]) for row in rows):
        dialect.said.append("a separator ends each row")
        dialect.places = dialect.places[:names]
        return
    ways = readings(rows, names) if dialect.separator == "," else []
    if fields == names + 1 and are_row_names(rows, lines):
        quoted = all(line.startswith('"') for line in lines)
        sure = quoted and counted([row[0] for row in rows])
        ways = [*ways * (not sure), []]
    if len(ways) != 1:
        raise ValueError(
            f"the header has {names} name{'s' * (names > 1)} and the rows have "
            f"{fields} fields, which can be read in {len(ways) or 'no'} ways: write it "
            "with another separator, or give --sep."
        )
    if ways[0]:
        dialect.said.append("decimal commas between separators that are commas")
        dialect.places = ways[0]
    else:
        dialect.said.append("names of rows as R writes them")
        dialect.names = ["row", *dialect.names]


def is_unit_row(rows: list[list[str]]) -> bool:
    """Whether the first row says units: no number, gap, limit or later text."""
    row, later = rows[0], rows[1:]
    other = any(
        is_number(x) or x in MISSING and x != "-" or LIMIT.fullmatch(x) or len(x) > 20
        or x not in ("", "-") and any(x in old[j : j + 1] for old in later)
        for j, x in enumerate(row)
    )  # fmt: skip
    return not other and any(row) and any(is_number(x) for old in later for x in old)


def separated(lines: list[str], options: Any) -> tuple[str, list[int]]:
    """The separator, and which lines are rows or the header. Raises ValueError."""
    comment = options.comment or "#"
    table = [i for i, x in enumerate(lines) if x.strip() and not x.startswith(comment)]
    hint = table and re.fullmatch("sep=(.)", lines[table[0]])  # to Excel
    table = table[1:] if hint else table
    if not table:
        raise ValueError("there is no row in it.")
    separator = options.sep or (hint and hint[1])
    separator = separator or separator_of([lines[i] for i in table])
    separator = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
    if len(separator) > 1:
        raise ValueError(f"--sep '{separator}' is more than one sign.")
    return separator, table


def dialect_of(lines: list[str], options: Any, column: str) -> Dialect:
    """The dialect of a text that starts with these lines.

    options : sep, comment and no_header; column : the name or number that is wanted
    Raises ValueError where rows can be read in two ways.
    """
    separator, table = separated(lines, options)
    some = [lines[i] for i in table]
    rows = rows_of(some, separator)
    fields, first = header_at(rows)
    header, said = rows[first], []
    if separator not in (",", SINGLE) and not options.sep:
        shown = {"\t": "tabs", ALIGNED: "blanks"}.get(separator, f"'{separator}'")
        said.append(f"separated by {shown}")
    by_number = column.isdecimal() and 0 < int(column) <= fields
    numbers = all(is_number(x) or x in MISSING for x in header if x)
    if numbers and column in header and are_positions(header):
        numbers = False
        said.append(f"column {column} is the one with this header")
    headless = options.no_header or numbers and (by_number or column not in header)
    if headless and separator == "," and not options.sep:
        refuse_decimal_commas([row for row in rows if len(row) == fields], fields)
    if headless:
        said += [] if options.no_header else ["no header, so columns go by number"]
        header = [str(1 + i) for i in range(fields)]
    elif first:
        said.append(f"line {table[first] + 1} is the header")
    first += not headless
    dialect = Dialect(separator, header, [], fields, headless=headless, said=said)
    if not headless and len(rows) > first + 1 and is_unit_row(rows[first:]):
        said.append("units below the header")
        dialect.units, first = rows[first], first + 1
    placed(dialect, rows[first:], some[first:])
    dialect.skip = [*table, table[-1] + 1][first]
    dialect.first = [*rows, []][first]
    below = lines[table[first - 1] + 1 if first else table[0] :]
    marked = [line for line in below if line.startswith("#")]
    dialect.comment = options.comment or "#" * bool(marked)
    if not options.comment:
        refuse_marked_rows(marked, dialect)
    return dialect


def are_positions(header: list[str]) -> bool:
    """Whether names are those that pandas and R give to columns without names."""
    filled = [x for x in header if x]
    from_zero = [str(i) for i in range(len(filled))]
    return len(filled) > 1 and (filled == from_zero or counted(filled))


def refuse_decimal_commas(rows: list[list[str]], fields: int) -> None:
    """ValueError if rows without a header may be numbers with decimal commas."""
    for names in range(max((fields + 1) // 2, fields - 3), fields):  # few combinations
        if rows and readings(rows, names):
            raise ValueError(
                f"'{','.join(rows[0])}' may hold decimal commas: give --sep , if not, "
                "and --sep ';' if that is one number."
            )


def refuse_marked_rows(lines: list[str], dialect: Dialect) -> None:
    """ValueError if lines that begin with # may be rows."""
    for line, row in zip(lines, rows_of(lines, dialect.separator)):
        if len(row) == dialect.fields > 1 or ERROR.match(line):
            raise ValueError(
                f"'{line}' may be a row or a comment: give --comment # to leave all "
                "lines out that begin so, or another sign if they are rows."
            )
