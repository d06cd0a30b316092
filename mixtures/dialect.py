"""How a table is written as text: separator, header, rows with more fields than names.

It is decided from the first lines. What has two sensible readings is refused.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import math
import os
import re
import shutil
import statistics
from dataclasses import dataclass, field
from typing import Any

from .signs import LIMIT, MISSING, is_number, literal, pattern

ERROR = re.compile(r"#(N/?A|NV|REF|DIV/0|VALUE|NUM|NAME|WERT|ZAHL|BEZUG|NULL)\b")
WHOLE = re.compile(r"[-+]?(0|[1-9]\d*)")  # and no 03, which are digits of a fraction
FIELDS = r'(?:"[^"]*"|[^\s"]\S*)(?:\s+|$)'  # between any blanks
HEAD, LONGEST = 1_000, 1_000_000  # lines to look at, and signs of them
WIDE = 50  # columns in which something is looked for
GZIP = b"\x1f\x8b"  # how such a file begins
OTHER_ENCODING = "give --encoding, cp1252 for example"
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
    notes: list[str] = field(default_factory=list)


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
    ways, more = [], len(rows[0]) - names
    if math.comb(names, more) > 10_000:  # nobody would believe in one of them
        return []
    for joined in itertools.combinations(range(names), more):
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
        dialect.notes.append("a separator ends each row")
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
        dialect.notes.append("decimal commas between separators that are commas")
        dialect.places = ways[0]
    else:
        dialect.notes.append("names of rows as R writes them")
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
    texts = [lines[i] for i in table]
    rows = rows_of(texts, separator)
    fields, first = header_at(rows)
    header, notes = rows[first], []
    if separator not in (",", SINGLE) and not options.sep:
        shown = {"\t": "tabs", ALIGNED: "blanks"}.get(separator, f"'{separator}'")
        notes.append(f"separated by {shown}")
    by_number = column.isdecimal() and 0 < int(column) <= fields
    numbers = all(is_number(x) or x in MISSING for x in header if x)
    if numbers and column in header and are_positions(header):
        numbers = False
        notes.append(f"column {column} is the one with this header")
    headless = options.no_header or numbers and (by_number or column not in header)
    if headless and separator == "," and not options.sep:
        refuse_decimal_commas([row for row in rows if len(row) == fields], fields)
    if headless:
        notes += [] if options.no_header else ["no header, so columns go by number"]
        header = [str(1 + i) for i in range(fields)]
    elif first:
        notes.append(f"line {table[first] + 1} is the header")
    first += not headless
    dialect = Dialect(separator, header, [], fields, headless=headless, notes=notes)
    if not headless and len(rows) > first + 1 and is_unit_row(rows[first:]):
        notes.append("units below the header")
        dialect.units, first = rows[first], first + 1
    placed(dialect, rows[first:], texts[first:])
    dialect.skip = [*table, table[-1] + 1][first]
    dialect.first = [*rows, []][first]
    below = lines[table[first - 1] + 1 if first else table[0] :]
    dialect.comment = options.comment or comment_in(below, dialect)
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


def comment_in(lines: list[str], dialect: Dialect) -> str:
    """The sign # if lines begin with it. Raises ValueError if they may be rows."""
    lines = [line for line in lines if line.startswith("#")]
    for line, row in zip(lines, rows_of(lines, dialect.separator)):
        if len(row) == dialect.fields > 1 or ERROR.match(line):
            raise ValueError(
                f"'{line}' may be a row or a comment: give --comment # to leave all "
                "lines out that begin so, or another sign if they are rows."
            )
    return "#" * bool(lines)


def as_text(table: Any, options: Any, head: bytes) -> Any:
    """The table of a text, a `read.Table`. Raises ValueError."""
    how = {"header": "false", "auto_detect": "false"}
    for begin, packed in ((GZIP, "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if head.startswith(begin):
            how["compression"] = literal(packed)
    lines = table.head = lines_of(table, options, head, how)
    try:
        dialect = table.dialect = dialect_of(lines, options, options.column)
    except ValueError as error:
        raise ValueError(f"{table.path}: {error}") from None
    table.notes += dialect.notes
    cells = [f"c{i}" for i in range(dialect.fields)]
    how |= {"quote": "'\"'", "comment": literal(dialect.comment)}
    comments = [x.startswith(dialect.comment or "\n") for x in lines[: dialect.skip]]
    how["skip"] = str(comments.count(False))  # DuckDB counts no comments
    if dialect.separator == ALIGNED:
        table.rows = aligned(table, cells)
    else:
        table.rows = read_csv(table.file, cells, dialect.separator, how)
    if dialect.comment:
        refuse_comment_inside(table, literal(dialect.comment))
    table.names = [x or f"column {1 + i}" for i, x in enumerate(dialect.names)]
    table.fields = [" || ',' || ".join(cells[i] for i in x) for x in dialect.places]
    table.types = ["VARCHAR"] * len(table.names)
    cells = cells[:WIDE]
    (first,) = table.query(f"SELECT {', '.join(cells)} FROM {table.rows} LIMIT 1") or [
        ()
    ]
    expected = ["".join(x.split()) for x in dialect.first[:WIDE]]
    if expected != ["".join((x or "").split()) for x in first]:  # a row would be lost
        raise ValueError(
            f"{table.path}: where the header ends cannot be told: write it in one line."
        )
    return table


def lines_of(table: Any, options: Any, head: bytes, how: dict[str, str]) -> list[str]:
    """The first lines of a text, that is read so. Raises ValueError.

    What is not UTF-8 is what Windows writes in the West, or else Latin: any bytes.
    """
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    likely = ["utf-16"] if marked else ["utf-8", "cp1252", "latin-1"]
    for encoding in [options.encoding] if options.encoding else likely:
        try:
            recode(table, encoding, how)
            whole = how | {"quote": "''", "strict_mode": "false"}
            table.lines = read_csv(table.file, ["line"], SINGLE, whole)
            lines = table.query(f"SELECT line FROM {table.lines} LIMIT {HEAD}")
            break
        except ValueError as error:
            if options.encoding or OTHER_ENCODING not in str(error):
                raise
            lines = [("\0",)]
    if any("\0" in (x or "") for (x,) in lines):
        raise ValueError(f"{table.path} is no text, and no table of a known kind.")
    if encoding not in (options.encoding, "utf-8"):
        table.notes.append(f"encoding {encoding}")
    texts = [x or "" for (x,) in lines]
    return texts[: max(20, len(texts) * LONGEST // (1 + sum(map(len, texts))))]


def recode(table: Any, encoding: str, how: dict[str, str]) -> None:
    """Make a copy in UTF-8 of a text in another encoding. Raises ValueError."""
    try:
        name = codecs.lookup(encoding).name
        if name in ("utf-8", "utf-8-sig", "ascii"):
            return
        reader = gzip.open if how.pop("compression", "") else open
        copy = os.path.join(table.aside.name, "utf-8")
        with reader(table.file, "rt", encoding=name, newline="") as text:
            with open(copy, "w", encoding="utf-8", newline="") as file:
                shutil.copyfileobj(text, file)
    except (LookupError, UnicodeError, gzip.BadGzipFile):
        raise ValueError(f"{table.path} is not {encoding}: {OTHER_ENCODING}.") from None
    table.file = copy


def refuse_comment_inside(table: Any, sign: str) -> None:
    """ValueError if DuckDB would cut a line at a sign inside of it."""
    inside = f"contains(line, {sign}) AND NOT starts_with(line, {sign})"
    lines = f"SELECT line FROM {table.lines} WHERE {inside} LIMIT 1"
    for (line,) in table.query(lines):
        raise ValueError(
            f"{table.path} has {sign} at the start of lines and inside of '{line}': "
            "delete the comments, and give --comment with another sign."
        )


def read_csv(file: str, cells: list[str], separator: str, how: dict[str, str]) -> str:
    """The rows of a text in SQL."""
    columns = ", ".join(f"{x}: 'VARCHAR'" for x in cells)
    how = how | {"delim": literal(separator), "escape": how["quote"]}
    given = ", ".join(f"{x} = {y}" for x, y in how.items())
    return f"read_csv({pattern(file)}, columns = {{{columns}}}, {given})"


def rows_in(table: Any) -> str:
    """Lines that are rows, with their numbers i, in SQL; in one column blank ones."""
    dialect = table.dialect
    filled = "true" if dialect.separator == SINGLE else "trim(line) <> ''"
    return (
        "(SELECT line, i FROM (SELECT coalesce(line, '') AS line, row_number() OVER () "
        f"AS i FROM {table.lines}) WHERE i > {dialect.skip} AND {filled} AND NOT "
        f"starts_with(line, {literal(dialect.comment or chr(10))}))"
    )


def aligned(table: Any, cells: list[str]) -> str:
    """The rows of a text whose fields stand between any blanks, in SQL."""
    fields = (f"trim(a[{1 + i}], ' \"\t') AS {x}" for i, x in enumerate(cells))
    n = len(cells)
    wrong = f"error('has ' || len(a) || ' fields instead of {n}: ' || line)"
    return (
        f"(SELECT {', '.join(fields)} FROM (SELECT if(len(a) = {n}, a, {wrong}) AS a "
        f"FROM (SELECT line, regexp_extract_all(line, {literal(FIELDS)}) AS a FROM "
        f"{rows_in(table)})))"
    )
