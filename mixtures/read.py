"""A table in a file: one column of it, its rows with memberships, a folder for them.

DuckDB reads and writes: one column of many, in little memory and in the file's order.
"""

from __future__ import annotations

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
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd

from .dialect import GZIP, OTHER_ENCODING, WIDE, Dialect, as_text, rows_in
from .posterior import membership_function
from .signs import LIMIT, MISSING, Numbers, is_number, literal, pattern

if TYPE_CHECKING:
    from .fitting import Fit

QUOTE = '"'  # of names in SQL
BLOCK = 200_000  # values at once
UNITED = "union_by_name = true"  # a folder's files need not have all columns
SHEET = 100_000  # rows of what may be a sheet that ends with a sum
TOTAL = re.compile(
    r"((grand |sub)?totals?|sum|summe|somme|soma|gesamt|insgesamt|overall|mean|average|"
    r"mittelwert|moyenne|m[eé]dia)[^a-z]*",  # and no Total Recall
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


@dataclass
class Table:
    """A table in a file.

    names : of its columns; fields : what they are in SQL; types : of DuckDB
    rows : from which SQL takes them; lines : those of a text
    notes : how it was read, as far as that was not given; head : first lines of a text
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
    notes: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)

    def query(self, sql: str, method: str = "fetchall") -> Any:
        """The answer, as DuckDB's method of that name gives it. Raises ValueError."""
        try:
            return getattr(self.base.execute(sql), method)()
        except duckdb.Error as error:
            raise ValueError(f"{self.path} {in_short(str(error))}.") from None

    def position(self, name: str) -> int:
        """Where a column is, by name or number. Raises ValueError."""
        places = [i for i, x in enumerate(self.names) if x == name]
        if len(places) == 1:
            return places[0]
        if places:
            numbers = " or ".join(str(1 + i) for i in places)
            raise ValueError(
                f"{self.path} has {len(places)} columns '{name}': give the number of "
                f"one, {numbers}."
            )
        if not (name.isdecimal() and 0 < int(name) <= len(self.names)):
            raise ValueError(f"{self.path} has no column '{name}'; {self.near(name)}.")
        header = self.names[int(name) - 1]
        value = is_number(header) or header in MISSING or LIMIT.fullmatch(header)
        if self.dialect and not self.dialect.headless and value:
            raise ValueError(
                f"{self.path} begins column {name} with '{header}': give --no-header "
                f"if it is a value, else '{header}' as the column."
            )
        return int(name) - 1

    def near(self, name: str) -> str:
        """Which columns there are instead of one, and where its name stands above."""
        lower = {x.lower(): x for x in self.names[::-1]}
        near = [lower[x] for x in difflib.get_close_matches(name.lower(), lower)]
        listed = "it has " + ", ".join(f"'{x}'" for x in near or self.names[:10])
        for i, line in enumerate(self.head, 1):
            if name in re.split(r"[#\s,;|\"]+", line):
                return (
                    f"{listed}. Line {i} has it: delete the lines above it, or, if it "
                    "begins with #, give --comment !"
                )
        return listed

    def column(self, options: Any) -> pd.Series:
        """The numbers of a column, NaN where one is missing. Raises ValueError.

        options : column, missing, decimal, thousands and log
        """
        place = self.position(options.column)
        missing = [x.strip() for x in options.missing.split(",") if x.strip()]
        numbers = Numbers(self, place, missing, options.decimal, options.thousands)
        values, name = numbers.values(), self.names[place]
        if self.dialect and 5 < values.size < SHEET:
            self.refuse_total(values)
            self.note_lines(values.size)
        if self.dialect and self.dialect.units:
            unit = self.dialect.units[self.dialect.places[place][0]].strip("[]()")
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
            rows = f"SELECT i, line FROM {rows_in(self)} LIMIT 1 OFFSET {row - 1}"
            for i, line in self.query(rows):
                if text in line:
                    return f"line {i}"
        return f"row {row}"

    def refuse_total(self, values: np.ndarray) -> None:
        """ValueError if a row at either end of a sheet is a sum, or says so."""
        refusal = f"{self.path} begins or ends with {{}}: delete it and its like."
        known = np.isfinite(values)
        if ends_with_sum(values[known]) or ends_with_sum(values[known][::-1]):
            raise ValueError(refusal.format("the sum of all others"))
        taken = f"SELECT {', '.join(self.fields[:WIDE])} FROM {self.rows}"
        rows = self.query(f"{taken} LIMIT 5")
        rows += self.query(f"{taken} OFFSET {len(known) - 5}")
        rows = itertools.compress(rows, [*known[:5], *known[-5:]])
        for name, text in itertools.chain(*(zip(self.fields, x) for x in rows)):
            same = f"{self.rows} WHERE {name} = {literal(text)}"
            if TOTAL.fullmatch(text or "") and self.count(same) == 1:
                raise ValueError(refusal.format(f"a row '{text}'"))

    def count(self, rows: str) -> int:
        return self.query(f"SELECT count(*) FROM {rows}")[0][0]

    def note_lines(self, rows: int) -> None:
        """Note what quotes join, as one too many does, and late rows with #."""
        lines = self.count(rows_in(self))
        if lines > rows:
            self.notes.append(f"quotes make {rows:,} rows of {lines:,} lines")
        marked = self.count(f"{rows_in(self)} WHERE starts_with(line, '#')")
        if marked and self.dialect and not self.dialect.comment:
            self.notes.append(f"{marked:,} rows begin with #")

    def write(self, fit: Fit, path: Path) -> None:
        """Write the rows of the table with memberships as comma-separated values."""
        function, values = membership_function(fit, True), fit.data.to_numpy()
        new = ["cluster", "probability", *(f"cluster {j}" for j in fit.clusters.index)]
        self.query("SET threads = 1")  # to save memory: rows come one after another
        if len(self.fields) > 20 * WIDE:
            self.query("SET memory_limit = '4GB'")  # of 2,048 rows at once
        makes = "CREATE TABLE membership AS"
        for piece in np.array_split(values, 1 + values.size // BLOCK):
            share = function(piece).astype(np.float32).round(6)
            best = share.argmax(axis=1).astype(np.float32)
            block = pd.DataFrame(np.c_[best, share.max(axis=1), share]).add_prefix("m")
            block[np.isnan(share[:, 0])] = np.nan
            self.base.register("block", block)
            self.query(f"{makes} SELECT nullif(columns(*), 'nan') FROM block")
            makes = "INSERT INTO membership"
        lower = [x.lower() for x in self.names]  # as DuckDB compares names
        new = [x + " of the fit" * (x in lower) for x in new]
        inner = ", ".join(f"{x} AS f{i}" for i, x in enumerate(self.fields))
        written = [f"f{i}" for i in range(len(self.fields))]
        written += ["m0::UTINYINT", *(f"m{i}" for i in range(1, len(new)))]
        names = (literal(x, QUOTE) for x in [*self.names, *new])
        written = [f"{x} AS {name}" for x, name in zip(written, names)]
        self.query(
            f"COPY (SELECT {', '.join(written)} FROM (SELECT {inner} FROM {self.rows}) "
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
    table = Table(path, path, base, aside)
    if os.path.isdir(path):
        parts = f"{pattern(path)[:-1]}/**/*.parquet'"
        return typed(table, f"read_parquet({parts}, {UNITED})")
    if path == "-" or Path(path).is_fifo():  # it is read more than once
        table.path = "standard input" if path == "-" else path
        table.file = os.path.join(aside.name, "copy")
        with sys.stdin.buffer if path == "-" else open(path, "rb") as stream:
            with open(table.file, "wb") as file:
                shutil.copyfileobj(stream, file)
    with open(table.file, "rb") as file:
        head = file.read(16)
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if head.startswith(b"PAR1"):
        return typed(table, f"read_parquet({pattern(table.file)})")
    if head.startswith((b"ARROW1", b"FEA1")):
        return typed(table, arrow(table))
    if head.startswith(GZIP):
        refuse_torn(table)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return typed(table, f"read_json({pattern(table.file)}, sample_size = -1)")
    if is_workbook(table.file):
        sheet_as_text(table, options)
    else:
        refuse_foreign(path, options.column, suffix, head)
    return as_text(table, options, head)


def refuse_torn(table: Table) -> None:
    """ValueError if a compressed file ends too early, which DuckDB 1 passes over."""
    try:
        with gzip.open(table.file) as file:
            while file.read(2**20):
                pass
    except (EOFError, OSError, zlib.error):
        raise ValueError(f"{table.path} is not whole: fetch it anew.") from None


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
    table.query(f"FROM {rows} LIMIT 0")  # which says what is wrong
    columns = table.base.sql(f"FROM {rows}")
    known = dict.fromkeys(columns.columns)
    if rows.startswith("read_parquet"):
        schema = rows.replace("read_parquet", "parquet_schema").replace(
            f", {UNITED}", ""
        )
        known = dict(table.query(f"SELECT name, precision FROM {schema}"))
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


def sheet_as_text(table: Table, options: Any) -> None:
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
        table.notes.append(f"sheet '{name}' of {len(book.sheet_names)}")
    table.file = os.path.join(table.aside.name, "sheet")
    sheet.to_csv(table.file, header=False, index=False)
    options.sep, options.encoding = ",", "utf-8"
    options.comment = options.comment or "\x02"  # a sheet has none


def in_short(error: str) -> str:
    """What DuckDB says of a text, in a sentence."""
    line = re.search(r"CSV Error on Line: (\d+)\n(?:Original Line: ?(.*))?", error)
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error)
    if "unicode" in error or "not utf-8" in error:
        return f"is not UTF-8: {OTHER_ENCODING}"
    if line and fields:
        counts = f"{fields[2]} field{'s' * (fields[2] != '1')} instead of {fields[1]}"
        return f"has {counts} in line {line[1]}: '{line[2]}'"
    if line and "unterminated" in error:
        return f"has a quote without its end in line {line[1]}"
    if "invalid state" in error:
        return "mixes line ends of Windows and of others: pipe it through tr -d '\\r'"
    error = re.sub(r"^\w[\w ]* Error: ", "", error).strip().partition("\n")[0]
    error = error.rstrip(" .")
    return error if error.startswith("has ") else f"cannot be read: {error}"


def refuse_foreign(path: str, column: str, suffix: str, head: bytes) -> None:
    """ValueError with what reads a file of a kind that is known and not read here."""
    for suffixes, (begin, line) in FOREIGN.items():
        if suffix in suffixes.split() or begin and head.startswith(begin):
            line = line.format(repr(path), repr(column))
            raise ValueError(f"{path} is read in Python: mixtures.fit({line}.")
    packed = {GZIP: "gunzip -c"} if suffix in BINARY else PACKED
    for begin, tool in packed.items():
        if head.startswith(begin):
            file, name = shlex.quote(path), shlex.quote(column)
            raise ValueError(f"{path} is compressed: {tool} {file} | mixtures - {name}")
    if suffix in BINARY:
        raise ValueError(
            f"{path} is no {suffix} file, or only a part: save it anew, or name it by "
            "what it is, as .csv for text."
        )
