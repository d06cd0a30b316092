"""A column of any library: its numbers as floats, its name, unit, index and frame."""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

TOO_LARGE = "The values of data are too large for a computer: rescale them."
EQUAL = (
    "Different whole numbers of data are equal in the 16 digits that a computer "
    "reckons with: first subtract the smallest from all."
)
NUMBERS = "integer", "floating", "mixed-integer-float", "decimal", "empty"
TEXT = "string", "bytes", "categorical", "mixed", "mixed-integer"
BEYOND_LIMIT = (
    r"(?i)^\s*[<>≤≥]|\b(?:lo[dq]|b[dlq]l|blq|below|above|over|under|traces?)\b"
)
MARK = r"\d([,'\s])\d"  # among digits
THOUSANDS = r"^\D?\d{1,3}(?:[,'\s]\d{3})+(?:\.\d*)?$"
UNDONE = "_FillValue", "missing_value", "scale_factor", "add_offset"  # of netCDF
WHAT_TO_DO = {
    "complex": "take abs(data), or its real or imaginary part",
    "datetime64": 'take pd.Series(data).sub(min(data)) / pd.Timedelta("1D")',
    "interval": "take their middles, and how often each occurs as `counts`",
    "timedelta64": 'take pd.Series(data) / pd.Timedelta("1D")',
}


def refuse(applies: Any, complaint: str) -> None:
    if applies:
        raise ValueError(complaint)


def library(data: Any) -> str:
    return type(data).__module__.partition(".")[0]


def unit_of(data: Any) -> str:
    """The unit of a column of astropy, pint, xarray or pandas, or nothing."""
    if hasattr(data, "attrs"):  # other attributes may be labels of rows
        of_dtype = getattr(getattr(data, "dtype", None), "units", "")  # of pint-pandas
        return str(data.attrs.get("units", of_dtype))
    units = (getattr(data, name, None) for name in ("unit", "units"))
    return str(next((unit for unit in units if unit is not None), ""))


def name_of(data: Any) -> str:
    """The name of a column with its unit, as a label of axes."""
    name = getattr(data, "name", None)
    if name is None:  # of a Quantity in a table
        name = getattr(getattr(data, "info", None), "name", None)
    if name is None or library(data) == "dask" and not hasattr(data, "index"):
        name = ""  # there it is a key
    name, unit = str(name).strip() or "value", unit_of(data)
    return f"{name} [{unit}]" if unit else name


def index_of(data: Any) -> pd.Index | None:
    """The index of a Series, the coordinate of a DataArray, or nothing."""
    if hasattr(data, "dims"):
        return getattr(data, "indexes", {}).get(data.dims[0])
    index = getattr(data, "index", None)
    return index if isinstance(index, pd.Index) else None


def in_kind_of(data: Any, table: pd.DataFrame) -> Any:
    """A table as a frame of the library of a column, blanks as nulls.

    Only Polars and Arrow have frames without an index; of all others it is pandas'.
    """
    frame = {"polars": "DataFrame", "pyarrow": "table"}.get(library(data))
    if frame is None:
        return table
    columns = {name: x.astype(object) for name, x in table.items()}
    columns = {name: x.where(x.notna(), None).tolist() for name, x in columns.items()}
    return getattr(sys.modules[library(data)], frame)(columns)


def as_series(data: Any) -> pd.Series:
    """A column as a Series without unit and index, missing where a mask covers it.

    Raises ValueError, with what to do, unless it is one column.
    """
    what = "data is not one column of numbers"
    undone = [x for x in UNDONE if x in getattr(data, "attrs", ())]
    refuse(
        undone,
        f"data is not decoded, it has attributes {undone}: open its file with "
        "mask_and_scale=True, or give xr.decode_cf(dataset)[name].",
    )
    if str(getattr(data, "dtype", "")) in ("Int128", "UInt128"):  # of Polars alone
        data = data.to_list()
    data = data.magnitude if library(data) == "pint" else data
    refuse(hasattr(data, "todense"), f"{what} but sparse: give data.todense().")
    fields = getattr(getattr(data, "dtype", None), "names", None)
    refuse(fields, f"{what} but of fields {fields}: take one, data[name].")
    kind = type(data).__name__
    try:
        shape = np.shape(data)
        advice = f", {shape}: take one column of it" if shape else ""
        advice = advice or ": give a list, an array or a Series"
        refuse(len(shape) != 1, f"{what} but of type {kind}{advice}.")
        # of astropy's; pandas' is a method, and xarray's may be a coordinate
        mask = None if hasattr(data, "attrs") else getattr(data, "mask", None)
        if getattr(mask, "shape", None) == shape:
            data = pd.Series(np.asarray(data)).mask(np.asarray(mask))
        series = pd.Series(data).reset_index(drop=True)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        message = str(error).partition("\n")[0].rstrip(".")
        message = message if message.startswith(what) else f"{what}: {message}"
        raise ValueError(f"{message}.") from None
    unread = len(series) != shape[0]  # pandas took it for a single thing
    refuse(unread, f"{what} in memory but of type {kind}: give data[:].")
    if series.dtype == object:  # which may be arrays of one number each
        alone = series.map(lambda x: x.item() if getattr(x, "ndim", 1) == 0 else x)
        series = alone.infer_objects()
    return series


def partitions(data):
    """Partitions of a Dask collection, computed one by one, or all of other data."""
    if hasattr(data, "dask"):
        return (data.partitions[i].compute() for i in range(data.npartitions))
    return iter([data])


def refuse_text(series: pd.Series, kind: str) -> None:
    """ValueError if some of the values are text, with what to do with that text.

    What says that a value is large or small must not be left out as if it were missing.
    """
    words = series.astype(object).dropna()
    words = words.map(lambda x: x.decode("latin-1") if type(x) is bytes else str(x))
    words = words[pd.to_numeric(words, errors="coerce").isna()]
    if words.empty:
        return
    beyond = words[words.str.contains(BEYOND_LIMIT)]
    marks = words.str.extract(MARK, expand=False).dropna()
    with_digits = words[words.str.contains(r"\d")]
    first = [*beyond.index, *marks.index, *with_digits.index, *words.index][0]
    is_text = f"data[{first}] is {series[first]!r}"
    text = 'str.decode("ascii")' if kind == "bytes" else "astype(str)"
    if len(beyond):
        raise ValueError(
            f"{is_text}, which is not missing but beyond a limit: without such values "
            "the clusters next to it would be wrong, and with them they cannot be "
            "fitted; take what was measured, if it is kept."
        )
    if len(marks):
        mark, role, new = marks[first], "is a decimal one", "."
        if words[marks.index].str.contains(THOUSANDS).all():
            role, new = "separates thousands", ""
        raise ValueError(
            f"{is_text}, which is no number: if the mark {mark!r} {role}, take "
            f"pd.Series(data).{text}.str.replace({mark!r}, {new!r}).astype(float)."
        )
    advice = f'it, or pd.to_numeric(pd.Series(data).{text}, errors="coerce").dropna()'
    advice += " leaves all such out"
    if len(with_digits):
        advice = "it, and leave none of its kind out, since they tell a size"
    if len(words) == series.count():
        advice = "all of them, none is a number"
    raise ValueError(f"{is_text}, which is no number: mend {advice}.")


def refuse_equal(data: Any, series: pd.Series, values: np.ndarray) -> None:
    """ValueError if different whole numbers have become equal floats."""
    if np.nanmax(np.abs(values), initial=0) < 2**53:
        return
    whole = series.dropna()
    if series.dtype.kind == "f":  # as pandas has them beside what is missing
        ways = (getattr(data, x, None) for x in ("to_pylist", "to_list", "tolist"))
        items = next(filter(None, ways), lambda: data)()
        whole = pd.Series([x for x in items if isinstance(x, Integral)], dtype=object)
    refuse(whole.astype(float).nunique() < whole.nunique(), EQUAL)


def refuse_other_order(one: Any, other: Any, what: str) -> None:
    """ValueError if two of pandas have the same labels of rows in another order."""
    one, other = index_of(one), index_of(other)
    if one is None or other is None or one.equals(other) or len(one) != len(other):
        return
    same = one.isin(other).all() and other.isin(one).all()
    refuse(same, f"{what} has the rows of data in another order: sort it as data is.")


def checked_values(data: Any) -> np.ndarray:
    """A column as floats, shape (n,), NaN where a value is missing.

    data : array, list, Series or other column of numbers, shape (n,); what its `mask`
        covers is missing
    Raises ValueError, with what to do, unless it is one column of real numbers.
    """
    series, types = as_series(data), pd.api.types
    kind = types.infer_dtype(series, skipna=True)
    numeric = types.is_numeric_dtype(series) or kind in NUMBERS
    if not numeric or types.is_bool_dtype(series) or types.is_complex_dtype(series):
        advice = WHAT_TO_DO.get(kind, "take the numbers that were measured")
        if kind in TEXT:
            refuse_text(series, kind)
            advice = "pd.Series(data).astype(float) makes numbers of them"
        raise ValueError(f"The values of data are not numbers but {kind}: {advice}.")
    try:
        values = series.to_numpy(dtype=float, na_value=np.nan)
    except OverflowError:  # whole numbers of any length
        raise ValueError(TOO_LARGE) from None
    refuse_equal(data, series, values)
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        i = infinite[0]
        raise ValueError(f"data[{i}] is {values[i]}: leave infinite values out.")
    return values


def checked_counts(counts: Any, values: np.ndarray) -> np.ndarray:
    """How often each of the values occurs, (n,), whole. Raises ValueError."""
    try:
        counts = checked_values(counts)
    except ValueError as error:
        raise ValueError(str(error).replace("data", "counts")) from None
    n, expected = len(counts), len(values)
    refuse(n != expected, f"{n:,} counts of {expected:,} values: give as many.")
    whole = (counts >= 0) & (counts <= 2**53) & (counts % 1 == 0)
    wrong = np.flatnonzero(~whole)
    if wrong.size:
        raise ValueError(
            f"counts[{wrong[0]}] is {counts[wrong[0]]:g}: counts say how often a value "
            "occurs, in whole numbers. Other weights do not tell how much was measured "
            "and how sure the answer is."
        )
    return counts.astype(np.int64)
