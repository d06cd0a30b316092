"""Texts as numbers: decimal and thousands signs, what is missing or censored."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from .values import EQUAL

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "#NV", "NaN", "nan", "NULL", "null", "None",
           "<NA>", ".", "-", "--", "?")  # fmt: skip
LIMIT = re.compile(r"([<>≤≥]|&[lg]t;)=?\s*\S+|B?[LD]O?[DQ]L?|ND|n\.d\.", re.I)
NUMBER = re.compile(r"[-+]?\d*([.,'’ \u00a0\u202f]?\d+)+[.,]?(e[-+]?\d+)?", re.I)
DECIMAL_POINT = re.compile(r"\.(?!\d{3}(?!\d))")  # one of thousands has three digits
NUMERIC = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*")
TEXT = re.compile("VARCHAR|JSON|ENUM.*", re.S)
TRIMMED = "trim(coalesce(x::VARCHAR, ''))"
UNLESS, INFINITE = "CASE WHEN {} THEN NULL ELSE {} END", "coalesce(n, 'inf')"


@dataclass(frozen=True)
class Style:
    """How numbers are written: with which decimal and which thousands sign."""

    decimal: str = "."
    thousands: str = ""

    @property
    def grouping(self) -> str:
        """A regular expression of the thousands sign, however it is typed."""
        alike = {" ": "[ \u00a0\u202f]", "'": "['’]", "": r"[^\s\S]"}
        return alike.get(self.thousands, re.escape(self.thousands))

    @property
    def pattern(self) -> str:
        """A regular expression of all numbers that are written so."""
        sign = self.grouping
        hundreds = rf"[1-9]\d?({sign}\d\d)+{sign}\d{{3}}"  # as in India
        digits = rf"(\d+|[1-9]\d{{0,2}}({sign}\d{{3}})+|{hundreds})"
        point = re.escape(self.decimal)
        return rf"[+-]?({digits}({point}\d*)?|{point}\d+)([eE][+-]?\d+)?"

    def reads(self, numbers: list[str]) -> bool:
        return all(re.fullmatch(self.pattern, x) for x in numbers)

    def value(self, text: str) -> float:
        return float(re.sub(self.grouping, "", text).replace(self.decimal, "."))

    def sql(self, x: str) -> str:
        """A text as a number in SQL, NULL if it is none."""
        if self == Style():  # the quick way; DuckDB takes 1_000 for a number
            ways = [f"try_cast({y} AS DOUBLE)" for y in (x, f"trim({x})")]
            return f"if(contains({x}, '_'), NULL, coalesce({', '.join(ways)}))"
        plain = f"regexp_replace(trim({x}), {literal(self.grouping)}, '', 'g')"
        return (
            f"CASE WHEN regexp_full_match(trim({x}), {literal(self.pattern)}) "
            f"THEN replace({plain}, {literal(self.decimal)}, '.')::DOUBLE END"
        )


def literal(text: Any, sign: str = "'") -> str:
    """A text in SQL, or with another sign a name."""
    return sign + str(text).replace(sign, 2 * sign) + sign


def pattern(file: str) -> str:
    """The name of one file in SQL, to which some signs stand for others."""
    return literal(re.sub(r"[*?[]", r"[\g<0>]", file))


def is_number(text: str) -> bool:
    """Whether a text is a number in some style."""
    return bool(NUMBER.fullmatch(text))


def style_of(texts: list[str], decimal: str | None, thousands: str | None) -> Style:
    """The style in which all numbers among the texts can be read.

    decimal, thousands : what is given of it
    Raises ValueError where two styles give two numbers.
    """
    numbers = [x for x in texts if is_number(x)]
    styles: list[Style] = []
    for point, other in ((".", ","), (",", ".")):
        signs = ["", other, " ", "'"] if thousands is None else [thousands]
        possible = (Style(point, x) for x in signs if x != point)
        fitting = (x for x in possible if x.reads(numbers))
        if decimal in (None, point):
            styles += itertools.islice(fitting, 1)
    if not styles:
        return Style(decimal or (".", ",")[thousands == "."], thousands or "")
    differ = [x for x in numbers if len({style.value(x) for style in styles}) > 1]
    if differ and not all("." in x for x in numbers):  # which instruments write
        low, high = sorted(style.value(differ[0]) for style in styles)
        sign = "." if "." in differ[0] else ","
        raise ValueError(
            f"'{differ[0]}' may be {low:.15g} or {high:.15g}: --decimal {sign} or "
            f"--thousands {sign} says which."
        )
    return styles[0]


def as_float(text: str) -> float:
    """A text as a number, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass
class Numbers:
    """A column of a table as numbers, NaN where one is missing.

    table : of `read`; place : of the column; missing : what stands for no value
    """

    table: Any
    place: int
    missing: list[str]
    decimal: str | None = None
    thousands: str | None = None

    def __post_init__(self) -> None:
        table, kind = self.table, self.table.types[self.place]
        self.name, self.x = table.names[self.place], table.fields[self.place]
        self.is_text = bool(TEXT.fullmatch(kind))
        if not self.is_text and not NUMERIC.fullmatch(kind):
            raise ValueError(f"column '{self.name}' holds {kind}, no numbers.")
        mask = f"{self.name}.mask"  # as astropy writes it
        if mask in table.names and not table.dialect:
            self.x = UNLESS.format(table.fields[table.names.index(mask)], self.x)
            table.notes.append(f"'{mask}' says what is missing")

    def sql(self, style: Style) -> str:
        """The column in SQL as x, and its numbers v, infinite for text that is none."""
        number = style.sql("x") if self.is_text else "x::DOUBLE"
        words = literal("|".join(map(re.escape, MISSING)))
        # with IN, and from DuckDB 2.0 on with list_contains, rows change places
        gone = [f"n IS NULL AND regexp_full_match({TRIMMED}, {words})"]
        gone += map(self.stands, self.missing)
        return (
            f"SELECT x, n, {UNLESS.format(' OR '.join(gone), INFINITE)} AS v FROM "
            f"(SELECT x, {number} AS n FROM (SELECT {self.x} AS x FROM "
            f"{self.table.rows}))"
        )

    def stands(self, code: str) -> str:
        """Whether a code stands for the missing value of a row, in SQL."""
        if math.isnan(as_float(code)):
            return f"n IS NULL AND {TRIMMED} = {literal(code)}"
        same = f"n = {literal(code)}::DOUBLE"  # -999 stands for -999.0, too
        if self.table.types[self.place] == "FLOAT":  # -99.9 is another number there
            same += f" OR n = {literal(code)}::FLOAT::DOUBLE"
        return same

    def values(self) -> np.ndarray:
        """The numbers in the file's order. Raises ValueError about text among them."""
        table, texts = self.table, self.first_texts() if self.is_text else []
        style = style_of(texts, self.decimal, self.thousands)
        while True:
            rows = self.sql(style)
            values = table.query(f"SELECT v FROM ({rows})", "fetchnumpy")["v"]
            values = np.ma.filled(values, np.nan)
            total = np.isinf(values).sum()
            if not total:
                break
            strange = table.query(
                "SELECT trim(x::VARCHAR) AS t, min(i) AS i FROM (SELECT x, v, "
                f"row_number() OVER () AS i FROM ({rows})) "
                "WHERE isinf(v) GROUP BY t ORDER BY i LIMIT 1000"
            )
            texts += [x for x, _ in strange]
            better = style_of(texts, self.decimal, self.thousands)
            if better == style:
                raise ValueError(self.complaint(strange, total, values))
            style = better
        self.refuse_equal(rows, values)
        self.note_codes(rows, style)
        self.note_style([x for x in texts if is_number(x)], style)
        return values

    def first_texts(self) -> list[str]:
        """Texts that are likely to tell the style, without codes for missing values."""
        texts = self.sample("true")
        points = [x for x in texts if "." in x]
        if not any(map(DECIMAL_POINT.search, points)):
            # they may be of thousands: what do the others say?
            texts += self.sample("NOT " * bool(points) + f"contains({self.x}, '.')")
        return [x for x in texts if x not in self.missing]

    def note_codes(self, rows: str, style: Style) -> None:
        """Note codes for missing values that the column has not, or that are two."""
        absent = []
        for code in self.missing:
            held = f"SELECT 1 FROM ({rows}) WHERE {self.stands(code)} LIMIT 1"
            absent += [] if self.table.query(held) else [code]
        if absent:
            self.table.notes.append(
                f"no value of '{self.name}' is {' or '.join(absent)}"
            )
        several = len(self.missing) > 1 and any(map(is_number, self.missing))
        if style.decimal == "," and several:
            self.table.notes.append(f"--missing means {' and '.join(self.missing)}")

    def note_style(self, numbers: list[str], style: Style) -> None:
        """Note how a number is read that is none to all, or of thousands to some."""
        odd = [x for x in numbers if as_float(x) != style.value(x)]
        if self.table.dialect and self.table.dialect.separator != ",":
            grouped = Style(",", ".").reads(numbers)
            odd += [x for x in numbers if grouped and "." in x]
        for text in odd[:1]:
            self.table.notes.append(f"'{text}' is {style.value(text):.15g}")

    def refuse_equal(self, rows: str, values: np.ndarray) -> None:
        """ValueError if different whole numbers have become equal floats."""
        if np.nanmax(np.abs(values), initial=0) < 2**53:
            return
        whole = f"SELECT try_cast(x AS HUGEINT) AS w FROM ({rows}) WHERE v IS NOT NULL"
        fewer = f"count(DISTINCT w::DOUBLE) < count(DISTINCT w) FROM ({whole})"
        if self.table.query(f"SELECT {fewer}") == [(True,)]:
            raise ValueError(EQUAL)

    def sample(self, condition: str) -> list[str]:
        """The first thousand texts with digits of which a condition in SQL is true."""
        with_digits = f"regexp_matches({self.x}, '[0-9]') AND {condition}"
        rows = f"FROM {self.table.rows} WHERE {with_digits} LIMIT 1000"
        return [x for (x,) in self.table.query(f"SELECT trim({self.x}) {rows}")]

    def complaint(self, strange: list[tuple], total: int, values: np.ndarray) -> str:
        """What to do with text among numbers; strange : texts with their first rows."""
        limits = [x for x in strange if LIMIT.fullmatch(x[0])]
        text, row = (limits or strange)[0]
        shown = text if text.isprintable() else repr(text)[1:-1]
        place = f"{self.table.path}, {self.table.line(row, text)}"
        what = f"{place}: '{shown}' in column '{self.name}' is"
        if limits:
            return (
                f"{what} beyond a limit, not missing ({total:,} such): without "
                "them, as --missing would have it, clusters near the limit were wrong."
            )
        if not np.isfinite(values).any():
            return f"{what} no number, and nor is another of its {total:,} values."
        codes = ",".join(x for x, _ in strange[:5] if "," not in x)
        out = f', or leave such out with --missing "{codes}"' if codes else ""
        return f"{what} no number ({total:,} such): mend it{out}."
