"""A table in a file: one column of it, its rows with memberships, a folder for them.

DuckDB reads and writes: one column of many, in little memory and in the file's order.
"""

from __future__ import annotations

import codecs
import difflib
import gzip
import itertools
import os
import re
import shlex
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd

from .dialect import ALIGNED, FIELDS, SINGLE, Dialect, dialect_of
from .files import NAMES, is_ours
from .posterior import membership_function
from .signs import LIMIT, MISSING, Numbers, is_number, literal

if TYPE_CHECKING:
    from .fitting import Fit

QUOTE = '"'  # of names in SQL
HEAD, BLOCK = 1_000, 200_000  # lines to look at, and values at once
UNITED = ", union_by_name = true"  # a folder's files need not have all columns
SHEET = 100_000  # rows of what may be a sheet that ends with a sum
TOTAL = re.compile(
    r"((grand |sub)?totals?|sum|summe|somme|soma|gesamt|insgesamt|overall|mean|average|"
    r"mittelwert|moyenne|m[eé]dia|sd|std)\b",
    re.I,
)
# What reads a file of another kind, in a line: by how its name ends and how it begins
FOREIGN = {
    ".fits .fit .fts": (b"SIMPLE  =", "Table.read({})[{}]), Table of astropy.table"),
    ".vot .votable": (b"<?xml", "Table.read({})[{}]), Table of astropy.table"),
    ".dta": (b"<stata_dta>", "pd.read_stata({})[{}])"),
    ".sav .zsav": (b"$FL", "pd.read_spss({})[{}])"),
    ".xpt .sas7bdat": (b"HEADER RECORD", "pd.read_sas({})[{}])"),
    ".rds .rdata .rda": (b"RDX", "pyreadr.read_r({})[None][{}])"),
    ".h5ad": (b"never", "anndata.read_h5ad({}).obs[{}])"),
    ".nc .nc4 .cdf": (b"CDF", "xarray.open_dataset({})[{}])"),
    ".h5 .hdf5 .hdf": (b"\x89HDF", "h5py.File({})[{}][:])"),
    ".fcs": (b"FCS", "fcsparser.parse({})[1][{}])"),
    ".npy": (b"\x93NUMPY", "np.load({}))"),
    ".ods": (b"\xd0\xcf\x11\xe0", "pd.read_excel({})[{}])"),
    ".orc": (b"ORC", "pd.read_orc({})[{}])"),
}
PACKED = {b"BZh": "bzcat", b"\xfd7zXZ": "xzcat", b"PK\3\4": "unzip -p"}
BINARY = ".parquet", ".pq", ".feather", ".arrow", ".ipc", ".xlsx", ".xlsm"
# Encodings that DuckDB reads, by their names in Python
NATIVE = dict.fromkeys(["utf-8", "utf-8-sig", "ascii"], "utf-8")
NATIVE["iso8859-1"] = "latin-1"


@dataclass
class Table:
    """A table in a file.

    names : of its columns; fields : what they are in SQL; types : of DuckDB
    rows : from which SQL takes them; lines : those of a text
    said : how the file was read, as far as that was not given; head : first lines
    """

    path: str
    file: str
    base: duckdb.DuckDBPyConnection
    aside: tempfile.TemporaryDirectory
    rows: str = ""
    names: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    lines: str = ""
    dialect: Dialect | None = None
    said: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)

    def asked(self, query: str, taken: str = "fetchall") -> Any:
        """The answer to a query, as DuckDB's method of that name gives it.

        Raises ValueError.
        """
        try:
            return getattr(self.base.execute(query), taken)()
        except duckdb.Error as error:
            raise ValueError(f"{self.path} {in_short(str(error))}.") from None

    def position(self, name: str) -> int:
        """Where a column is, by name or number. Raises ValueError."""
        at = [i for i, x in enumerate(self.names) if x == name]
        wrong = (
            f"{self.path} has {len(at) or 'no'} column{'s' * (len(at) > 1)} '{name}'"
        )
        if len(at) > 1:
            places = " or ".join(str(1 + i) for i in at)
            raise ValueError(f"{wrong}: give the number of one, {places}.")
        if at:
            return at[0]
        if name.isdecimal() and 0 < int(name) <= len(self.names):
            header = self.names[int(name) - 1]
            value = is_number(header) or header in MISSING or LIMIT.fullmatch(header)
            if self.dialect and not self.dialect.headless and value:
                raise ValueError(
                    f"{self.path} begins column {name} with '{header}': give "
                    f"--no-header if it is a value, else '{header}' as the column."
                )
            return int(name) - 1
        lower = {x.lower(): x for x in self.names[::-1]}
        near = [lower[x] for x in difflib.get_close_matches(name.lower(), lower)]
        listed = ", ".join(f"'{x}'" for x in near or self.names[:10])
        for i, line in enumerate(self.head, 1):
            if name in re.split(r"[#\s,;|\"]+", line):
                listed += f". Line {i} has it: delete the lines above it, or, if it "
                listed += "begins with #, give --comment !"
                break
        raise ValueError(f"{wrong}; it has {listed}.")

    def column(self, options: Any) -> pd.Series:
        """The numbers of a column, NaN where one is missing. Raises ValueError.

        options : column, missing, decimal, thousands and log
        """
        at = self.position(options.column)
        missing = [x.strip() for x in options.missing.split(",") if x.strip()]
        numbers = Numbers(self, at, missing, options.decimal, options.thousands)
        values, name = numbers.values(), self.names[at]
        self.refuse_total(values)
        self.say_joined(values.size)
        if self.dialect and self.dialect.units:
            unit = self.dialect.units[self.dialect.places[at][0]].strip("[]()")
            name += f" [{unit}]" * (unit not in ("", "-"))
        if options.log:
            low = np.nanmin(values, initial=np.inf)
            if low <= 0:
                raise ValueError(f"{low:g} of data has no logarithm: leave --log out.")
            values, name = np.log(values), f"log of {name}"
        return pd.Series(values, name=name)

    def line(self, row: int, text: str) -> str:
        """Where a row, counted from one, stands in the file, if that is certain."""
        if self.dialect:
            rows = rows_in(self.lines, self.dialect, self.dialect.separator == SINGLE)
            found = self.asked(f"SELECT i, line FROM {rows} LIMIT 1 OFFSET {row - 1}")
            if found and text in found[0][1]:
                return f"line {found[0][0]}"
        return f"row {row}"

    def refuse_total(self, values: np.ndarray) -> None:
        """ValueError if a row at either end of a sheet is a sum, or says so."""
        if not self.dialect or not 5 < values.size < SHEET:
            return
        known, backwards = np.isfinite(values), slice(None, None, -1)
        for verb, rest, order, where in (
            ("begins", "", backwards, "LIMIT 5"),
            (
                "ends",
                " and what comes after it",
                slice(None),
                f"OFFSET {len(known) - 5}",
            ),
        ):
            said = f"{self.path} {verb} with {{}}: delete it{rest}."
            if ends_with_sum(values[known][order]):
                raise ValueError(said.format("the sum of all others"))
            rows = self.asked(
                f"SELECT {', '.join(self.fields)} FROM {self.rows} {where}"
            )
            rows = itertools.compress(rows, known[order][-5:][order])
            for name, text in itertools.chain(*(zip(self.fields, x) for x in rows)):
                count = f"SELECT count(*) FROM {self.rows} WHERE {name} = "
                if TOTAL.match(text or "") and self.asked(count + literal(text)) == [
                    (1,)
                ]:
                    raise ValueError(said.format(f"a row '{text}'"))

    def say_joined(self, rows: int) -> None:
        """Say how many lines quotes make one row of: one quote too much loses rows."""
        if self.dialect and self.dialect.separator != ALIGNED and rows < SHEET:
            lines = rows_in(self.lines, self.dialect, self.dialect.separator == SINGLE)
            ((count,),) = self.asked(f"SELECT count(*) FROM {lines}")
            if count > rows:
                self.said.append(f"quotes make {rows:,} rows of {count:,} lines")

    def write(self, fit: Fit, path: Path) -> None:
        """Write the rows of the table with memberships as comma-separated values."""
        function, values = membership_function(fit, True), fit.data.to_numpy()
        new = ["cluster", "probability", *(f"cluster {j}" for j in fit.clusters.index)]
        self.asked("SET threads = 1")  # to save memory: rows come one after another
        makes = "CREATE TABLE membership AS"
        for piece in np.array_split(values, 1 + values.size // BLOCK):
            share = function(piece).astype(np.float32).round(6)
            best = share.argmax(axis=1).astype(np.float32)
            block = pd.DataFrame(np.c_[best, share.max(axis=1), share]).add_prefix("m")
            block[np.isnan(share[:, 0])] = np.nan
            self.base.register("block", block)
            self.asked(f"{makes} SELECT nullif(columns(*), 'nan') FROM block")
            makes = "INSERT INTO membership"
        lower = [x.lower() for x in self.names]  # as DuckDB compares names
        new = [x + " of the fit" * (x in lower) for x in new]
        inner = ", ".join(f"{x} AS f{i}" for i, x in enumerate(self.fields))
        shown = [f"f{i}" for i in range(len(self.fields))]
        shown += ["m0::UTINYINT", *(f"m{i}" for i in range(1, len(new)))]
        shown = [
            f"{x} AS {literal(y, QUOTE)}" for x, y in zip(shown, [*self.names, *new])
        ]
        self.asked(
            f"COPY (SELECT {', '.join(shown)} FROM (SELECT {inner} FROM {self.rows}) "
            f"POSITIONAL JOIN membership) TO {literal(path)} (FORMAT csv, HEADER)"
        )


def ends_with_sum(values: np.ndarray) -> bool:
    """Whether the last value is the sum of the others, and far outside of them."""
    others, last = values[:-1], values[-1:]
    if np.count_nonzero(others) < 5:
        return False
    outside = np.abs(last - others).min() > 2 * np.ptp(others)
    return bool(outside and np.isclose(others.sum(), last, 1e-3, 0))


def open_table(options: Any) -> Table:
    """A table from a file, a folder of Parquet files or, as `-`, standard input.

    options : file, column, sep, encoding, comment, no_header and sheet
    Raises ValueError or OSError.
    """
    path, aside = str(options.file), tempfile.TemporaryDirectory()
    base = duckdb.connect()
    base.execute(f"SET temp_directory = {literal(aside.name)}")
    base.execute("SET memory_limit = '160MB'; SET enable_progress_bar = false")
    base.execute(f"SET threads = {min(4, os.cpu_count() or 1)}")  # each takes its share
    exact = re.sub(r"[*?[]", r"[\g<0>]", path)  # to DuckDB these are patterns
    table, copy = Table(path, exact, base, aside), Path(aside.name, "copy")
    if path == "-":
        table.path, table.file = "standard input", str(copy)
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if os.path.isdir(path):
        return typed(table, f"read_parquet({literal(exact + '/**/*.parquet')}{UNITED})")
    with open(copy if path == "-" else path, "rb") as file:
        head = file.read(16)
    if head.startswith(b"PAR1"):
        return typed(table, f"read_parquet({literal(table.file)})")
    if head.startswith((b"ARROW1", b"FEA1")):
        return typed(table, arrow(table))
    if suffix in (".json", ".jsonl", ".ndjson"):
        return typed(table, f"read_json({literal(table.file)}, sample_size = -1)")
    if is_workbook(table.file):
        sheet_as_text(table, options, Path(aside.name, "sheet"))
    else:
        refuse_foreign(path, options.column, suffix, head)
    return as_text(table, options, head)


def arrow(table: Table) -> str:
    """The name in SQL of a table of Feather. Raises ValueError."""
    try:
        from pyarrow import feather
    except ImportError:
        raise ValueError("To read Feather: pip install pyarrow.") from None
    try:
        table.base.register("arrow", feather.read_table(table.file))
    except (OSError, ValueError) as error:
        raise ValueError(f"{table.path}: {error}.") from None
    return "arrow"


def is_workbook(file: str) -> bool:
    """Whether a file is a workbook, whatever its name says."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as book:
        return any(name.startswith("xl/workbook.") for name in book.namelist())


def typed(table: Table, rows: str) -> Table:
    """The table of a file that knows its columns. Raises ValueError."""
    table.rows = rows
    table.asked(f"FROM {rows} LIMIT 0")  # which says what is wrong
    columns = table.base.sql(f"FROM {rows}")
    known = dict.fromkeys(columns.columns)
    if rows.startswith("read_parquet"):
        schema = rows.replace("read_parquet", "parquet_schema").replace(UNITED, "")
        known = dict(table.asked(f"SELECT name, precision FROM {schema}"))
    for name, kind in zip(columns.columns, columns.types):
        # DuckDB numbers one of two columns of a name
        shown = name if name in known else re.sub(r"_\d+$", "", name)
        leaves(table, shown, literal(name, QUOTE), kind)
        if (known.get(shown) or 0) > 38:  # read as other numbers before DuckDB 2.0
            table.types[-1] = "DECIMAL of more than 38 digits"
    return table


def leaves(table: Table, name: str, way: str, kind: Any) -> None:
    """Add a column, or the fields of a structure by their names with points."""
    if kind.id == "struct":
        for inner, of_inner in kind.children:
            leaves(table, f"{name}.{inner}", f"{way}.{literal(inner, QUOTE)}", of_inner)
        return
    table.names.append(name)
    table.fields.append(f"({way} ->> '$')" if str(kind) == "JSON" else way)
    table.types.append(str(kind))


def sheet_as_text(table: Table, options: Any, copy: Path) -> None:
    """Copy a sheet of a workbook as text, all of it."""
    try:
        book = pd.ExcelFile(table.file)
        name = options.sheet or book.sheet_names[0]
        sheet = book.parse(name, header=None, dtype=str, keep_default_na=False)
    except ImportError:
        raise ValueError("To read Excel: pip install openpyxl.") from None
    except Exception as error:  # openpyxl's are of all kinds
        raise ValueError(f"{table.path}: {str(error).rstrip('.')}.") from None
    if len(book.sheet_names) > 1 and not options.sheet:
        table.said.append(f"sheet '{name}' of {len(book.sheet_names)}")
    sheet.to_csv(copy, header=False, index=False)
    table.file, options.sep, options.encoding = str(copy), ",", "utf-8"
    options.comment = options.comment or "\x02"  # a sheet has none


def recode(table: Table, encoding: str, how: dict[str, str]) -> None:
    """Add the encoding to how a text is read, of most ones that of a copy.

    Raises ValueError.
    """
    try:
        name = codecs.lookup(encoding).name
        how["encoding"] = literal(NATIVE.get(name, "utf-8"))
        if name in NATIVE:
            return
        reader = gzip.open if how.pop("compression", "") else open
        copy = Path(table.aside.name, "utf-8")
        with reader(table.file, "rt", encoding=name, newline="") as text:
            with copy.open("w", encoding="utf-8", newline="") as file:
                shutil.copyfileobj(text, file)
    except LookupError:
        raise ValueError(
            f"--encoding {encoding} is not known: give utf-8, cp1252 or another."
        ) from None
    except UnicodeError:
        raise ValueError(
            f"{table.path} is not {encoding}: give another --encoding."
        ) from None
    except gzip.BadGzipFile:
        raise ValueError(f"{table.path} is compressed: unpack it first.") from None
    table.file = str(copy)


def lines_of(table: Table, options: Any, head: bytes, how: dict[str, str]) -> list[str]:
    """The first lines of a text; `how` it is read gets its encoding. Raises ValueError.

    Without an encoding that fits it is Latin, or what Windows writes in the West.
    """
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    likely = ["utf-16"] if marked else ["utf-8", "latin-1", "cp1252"]
    for encoding in [options.encoding] if options.encoding else likely:
        try:
            recode(table, encoding, how)
            whole = how | {"quote": "''", "strict_mode": "false"}
            table.lines = read_csv(table.file, ["line"], SINGLE, whole)
            found = table.asked(f"SELECT line FROM {table.lines} LIMIT {HEAD}")
            break
        except ValueError:
            if options.encoding:
                raise
            found = [("\0",)]
    if any("\0" in (x or "") for (x,) in found):
        raise ValueError(f"{table.path} is no text, and no table of a known kind.")
    if encoding not in (options.encoding, "utf-8"):
        table.said.append(f"encoding {encoding}")
    return [x or "" for (x,) in found]


def as_text(table: Table, options: Any, head: bytes) -> Table:
    """The table of a text. Raises ValueError."""
    how = {"header": "false", "auto_detect": "false"}
    for begin, packed in ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if head.startswith(begin):
            how["compression"] = literal(packed)
    lines = table.head = lines_of(table, options, head, how)
    try:
        found = table.dialect = dialect_of(lines, options, options.column)
    except ValueError as error:
        raise ValueError(f"{table.path}: {error}") from None
    table.said += found.said
    cells = [f"c{i}" for i in range(found.fields)]
    how |= {"quote": "'\"'", "comment": literal(found.comment)}
    above = [x for x in lines[: found.skip] if not found.comment_in(x)]
    how["skip"] = str(len(above))  # DuckDB counts no comments
    if found.separator == ALIGNED:
        table.rows = aligned(table.lines, cells, found)
    else:
        table.rows = read_csv(table.file, cells, found.separator, how)
    if found.comment:
        refuse_comment_inside(table, literal(found.comment))
    table.names = [x or f"column {1 + i}" for i, x in enumerate(found.names)]
    table.fields = [" || ',' || ".join(cells[i] for i in x) for x in found.places]
    table.types = ["VARCHAR"] * len(table.names)
    (first,) = table.asked(f"FROM {table.rows} LIMIT 1") or [()]
    seen = ["".join(x.split()) for x in found.first]
    if seen != ["".join((x or "").split()) for x in first]:  # a row would be lost
        raise ValueError(
            f"{table.path}: where the header ends cannot be told: write it in one line."
        )
    return table


def refuse_comment_inside(table: Table, sign: str) -> None:
    """ValueError if DuckDB would cut a line at a sign inside of it."""
    inside = f"contains(line, {sign}) AND NOT starts_with(line, {sign})"
    for (line,) in table.asked(
        f"SELECT line FROM {table.lines} WHERE {inside} LIMIT 1"
    ):
        raise ValueError(
            f"{table.path} has {sign} at the start of lines and inside of '{line}': "
            "delete the comments, and give --comment with another sign."
        )


def read_csv(path: str, cells: list[str], separator: str, how: dict[str, str]) -> str:
    """The rows of a text in SQL."""
    columns = ", ".join(f"{x}: 'VARCHAR'" for x in cells)
    how = how | {"delim": literal(separator), "escape": how["quote"]}
    given = ", ".join(f"{x} = {y}" for x, y in how.items())
    return f"read_csv({literal(path)}, columns = {{{columns}}}, {given})"


def rows_in(lines: str, dialect: Dialect, blank: bool = False) -> str:
    """Lines that are rows, and their numbers i, in SQL; blank : whether such are."""
    comment = literal(dialect.comment or "\n")
    return (
        "(SELECT line, i FROM (SELECT coalesce(line, '') AS line, row_number() OVER () "
        f"AS i FROM {lines}) WHERE i > {dialect.skip} AND ({blank} OR trim(line) <> '')"
        f" AND NOT starts_with(line, {comment}))"
    )


def aligned(lines: str, cells: list[str], dialect: Dialect) -> str:
    """The rows of a text whose fields stand between any blanks, in SQL."""
    fields = (f"trim(a[{1 + i}], ' \"\t') AS {x}" for i, x in enumerate(cells))
    n = len(cells)
    wrong = f"error('has ' || len(a) || ' fields instead of {n}: ' || line)"
    return (
        f"(SELECT {', '.join(fields)} FROM (SELECT if(len(a) = {n}, a, {wrong}) AS a "
        f"FROM (SELECT line, regexp_extract_all(line, {literal(FIELDS)}) AS a FROM "
        f"{rows_in(lines, dialect)})))"
    )


def in_short(said: str) -> str:
    """What DuckDB says of a text, in a sentence."""
    line = re.search(r"CSV Error on Line: (\d+)\n(?:Original Line: ?(.*))?", said)
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    if "unicode" in said or "not utf-8" in said:
        return "is not UTF-8: give --encoding, cp1252 for example"
    if "not latin-1" in said:
        return "is not Latin: give --encoding, cp1252 for example"
    if line and fields:
        counts = f"{fields[2]} field{'s' * (fields[2] != '1')} instead of {fields[1]}"
        return f"has {counts} in line {line[1]}: '{line[2]}'"
    if line and "unterminated" in said:
        return f"has a quote without its end in line {line[1]}"
    if "invalid state" in said:
        return "mixes line ends of Windows and of others: pipe it through tr -d '\\r'"
    said = re.sub(r"^\w[\w ]* Error: ", "", said).strip().partition("\n")[0]
    return said if said.startswith("has ") else f"cannot be read: {said.rstrip(' .')}"


def refuse_foreign(path: str, column: str, suffix: str, head: bytes) -> None:
    """ValueError with what reads a file of a kind that is known and not read here."""
    for suffixes, (begin, line) in FOREIGN.items():
        if suffix in suffixes.split() or begin and head.startswith(begin):
            line = line.format(repr(path), repr(column))
            raise ValueError(f"{path} is read in Python: mixtures.fit({line}.")
    packed = {b"\x1f\x8b": "gunzip -c"} if suffix in BINARY else PACKED
    for begin, tool in packed.items():
        if head.startswith(begin):
            file, name = shlex.quote(path), shlex.quote(column)
            raise ValueError(f"{path} is compressed: {tool} {file} | mixtures - {name}")
    if suffix in BINARY:
        raise ValueError(
            f"{path} is no {suffix} file, or only a part: save it anew, or name it by "
            "what it is, as .csv for text."
        )


def refuse_folder(folder: Path, file: Path) -> None:
    """ValueError if a folder can be neither made nor written, before time is spent."""
    folder = folder.absolute()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ValueError(f"{folder} cannot be written: give another folder as --out.")
    held = folder.exists() and any(folder.iterdir())
    if held and not is_ours(folder / "fit.json"):
        raise ValueError(f"{folder} holds other files: give another folder as --out.")
    if file.absolute() in [folder / name for name in NAMES]:
        raise ValueError(f"{file} would be replaced: give another folder as --out.")
