"""`as_column` takes every column of numbers, keeps its sums, and refuses the rest."""

import re
import warnings
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from package_helpers import same
from scipy import sparse

from mixtures import as_column, data, fit, gibbs, range_priors
from mixtures.values import index_of, name_of, unit_of

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(0, 1, 60)
CONTAINERS = {
    "array": np.array,
    "list": list,
    "tuple": tuple,
    "objects": lambda x: np.array(x, object),
    "Series with any index": lambda x: pd.Series(x, index=[7] * len(x)),
    "Float64": lambda x: pd.array(x, dtype="Float64"),
    "nothing masked": np.ma.array,
    "Decimal": lambda x: [Decimal(value) for value in x],
}
TYPES = ["uint8", "int16", "float16", "float32", "Int64", "UInt8"]


@pytest.mark.parametrize("name", [*CONTAINERS, *TYPES])
def test_containers(name):
    values = np.round(50 + 10 * NORMAL)
    whole = name in TYPES
    data = pd.Series(values, dtype=name) if whole else CONTAINERS[name](values)
    column = as_column(data)
    assert same(column, as_column(values)) and as_column(column) is column
    different, count = np.unique(values, return_counts=True)
    np.testing.assert_allclose(column.values, different, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(column.count, count)
    points = column.as_points()
    np.testing.assert_array_equal(points.mean, np.repeat(column.mean, count))
    assert (points.count == 1).all()
    off = column.quantile([0, 0.3, 1]) - np.quantile(values, [0, 0.3, 1])
    assert not column.sd.any() and np.abs(off).max() < 1


MASK = np.array([False, True, False])


class Column(np.ndarray):
    """As astropy's are: with a unit, a name apart, and a mask that NumPy ignores."""

    unit, info, mask = "mm", SimpleNamespace(name="V"), MASK


def of(library, what):
    return getattr(pytest.importorskip(library), what)


def of_polars(kind):
    return of("polars", "Series")("n", [1, None, 4], dtype=of("polars", kind))


def of_astropy(unit):
    values = of("astropy.utils.masked", "Masked")([1.0, -99, 4], mask=MASK)
    unit = of("astropy.units", unit) if unit else 1
    return of("astropy.table", "QTable")({"V": values * unit})["V"]


LABELS = {"t": [0, 2, 4], "mask": ("t", ~MASK), "unit": ("t", [1, 2, 3])}
TIMES = dict(dims="t", coords=LABELS, name="T", attrs={"units": "K"})
ROWS = ["unit", "name", "attrs"]
# 1, a missing value and 4 with the name that they get, which has the unit
COLUMNS = {
    "list": (lambda: [1, None, 4], "value"),
    "arrays of one number": (lambda: [np.array(1.0), None, np.array(4)], "value"),
    "index": (lambda: pd.Index([1, None, 4], name=" x "), "x"),
    "series": (lambda: pd.Series([1, None, 4], ROWS, name=7), "7"),
    "xarray": (lambda: xr.DataArray([1, np.nan, 4], **TIMES), "T [K]"),
    "masked": (lambda: np.ma.array([1, -99, 4], mask=MASK), "value"),
    "with a mask": (lambda: np.array([1.0, -99, 4]).view(Column), "V [mm]"),
    "whole, with a mask": (lambda: np.array([1, -99, 4]).view(Column), "V [mm]"),
    "objects": (lambda: np.array([1, -99, 4], object).view(Column), "V [mm]"),
    "polars": (lambda: of_polars("Int64"), "n"),
    "polars, long": (lambda: of_polars("Int128"), "n"),
    "astropy": (lambda: of_astropy(""), "V"),
    "astropy, unit": (lambda: of_astropy("mm"), "V [mm]"),
    "pint": (lambda: of("pint", "Quantity")(np.array([1, np.nan, 4]), "mm"), "value [millimeter]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_any_library_keep_values_name_unit_and_index(kind):
    make, name = COLUMNS[kind]
    column, index = as_column(make(), leave_out=True), index_of(make())
    assert [*column.values] == [1, 4] and column.missing == 1
    assert name_of(make()) == name
    assert column.unit == name.partition(" [")[2].rstrip("]")
    expected = {"series": ROWS, "xarray": [0, 2, 4]}.get(kind)
    assert (None if index is None else [*index]) == expected


def test_the_unit_may_be_that_of_the_type():
    """As pint-pandas has it."""
    dtype = SimpleNamespace(units="mm")
    assert unit_of(SimpleNamespace(attrs={}, dtype=dtype)) == "mm"


class InFile:
    """As arrays of netCDF4 and Zarr are: pandas takes them for one thing."""

    shape = (3,)


REFUSED = {
    "two columns": (np.ones((3, 2)), r"of type ndarray, \(3, 2\): take one column"),
    "a row a value": (np.ones((3, 1)), r"\(3, 1\): take one column"),
    "a number": (3.0, "of type float: give a list"),
    "a generator": ((x for x in [1, 2]), "of type generator: give a list"),
    "fields": (np.zeros(2, "f8,f8"), r"of fields \('f0', 'f1'\): take one"),
    "sparse": (sparse.eye(3).tocsr(), r"but sparse: give data\.todense\(\)"),
    "not decoded": (xr.DataArray([1, -99], attrs={"_FillValue": -99}), r"decoded, .*\['_Fill"),
    "in a file": (InFile(), r"in memory but of type InFile: give data\[:\]"),
    "digits without end": ([10**400, 1, 2], "too large"),
    "percent": (["3%", "4%"], r"data\[0\] is '3%', .* mend all of them"),
    "text": (pd.Series(["1", None, "bad", "4"], [7, 8, 9, 9]), r"data\[2\] is 'bad', .* mend it, or pd"),
    "a size in text": (["n/a", "(1)", "4"], r"data\[1\] is '\(1\)', .* leave none of its"),
    "text among numbers": ([1, 2, "n/a"], r"data\[2\] is 'n/a'"),
    "text and masked": (np.ma.array(["a", "1", "2", "3"], mask=[0, 1, 0, 0]), r"data\[0\] is 'a'"),
    "thousands": (["900", "1,550"], r"data\[1\] is '1,550'.* ',' separates thousands"),
    "thousands among other text": (["n/a", "5mm", "1,550", "2"], r"data\[2\] is '1,550'.* separates thousands"),
    "decimal commas": (["20,030", "18,1"], "mark ',' is a decimal one"),
    "censored": (["n/a", "<0.5", "1,5"], r"data\[1\] is '<0.5', which is not missing"),
    "censored among numbers": ([3, "<LOD", 9.5], "not missing but beyond a limit"),
    "censored in words": (["8", "LOD", "9"], "not missing but beyond a limit"),
    "numbers as text": (["1", "2.5"], r"not numbers but string: pd\.Series\(data\)\.as"),
    "numbers as bytes": (np.array([b"1", b"2.5"]), r"but bytes: pd\.Series"),
    "text as bytes": ([b"1", b"%", b"4"], r"data\[1\] is b'%', .* mend it, or pd"),
    "bool among numbers": ([2.5, True, 3], r"data\[1\] is True, which is no number"),
    "bool": ([True, False], "not numbers but boolean: take the numbers"),
    "masked bool": (np.ma.array([True, False]), "not numbers but boolean"),
    "bool or missing": (pd.array([True, None], dtype="boolean"), "but boolean"),
    "complex": ([1 + 2j, 3], "not numbers but complex: take abs"),
    "datetime": (pd.date_range("2020", periods=3), "but datetime64: take pd"),
    "categories": (pd.Series([1, 2], dtype="category"), r"but categorical: pd\.Series"),
    "labels": (pd.Categorical(["1", "low", "2"]), r"data\[1\] is 'low', .* mend it, or pd"),
    "intervals": (pd.interval_range(0, 3), "but interval: take their middles"),
    "times": (pd.to_timedelta([1, 2], unit="s"), r"but timedelta64: take pd\."),
    "equal as floats": (np.array([2**63, 2**63 + 1], "u8"), "16 digits .* subtract"),
    "equal beside missing": ([2**60, 2**60 + 1, None], "16 digits .* subtract"),
    "equal beside a mask": (np.ma.array([2**60, 2**60 + 1, 7], mask=[0, 0, 1]), "16 digits"),
    "equal at the limit": ([2**53, 2**53 + 1, 3], "16 digits"),
    "of any length": ([10**20, 10**20 + 1, None], "16 digits .* subtract"),
    "NaN": ([1, np.nan, 3], r"data\[1\] is missing \(1 such in all\)"),
    "None": ([1, 2, None], r"data\[2\] is missing"),
    "NA": (pd.array([1, 2, None], dtype="Int64"), r"data\[2\] is missing"),
    "masked": (np.ma.masked_greater([1, 2, 3], 2), r"data\[2\] is missing"),
    "infinite": ([1, 2, -np.inf], r"data\[2\] is -inf: leave infinite values out"),
    "empty": ([], "data is empty"),
    "all the same": ([0.1] * 9, "All values of data are 0.1"),
    "1e20 for missing": ([*NORMAL / 9, 1e20], r"The value 1e\+20 .*leave it out"),
    "largest int32": ([*RNG.normal(50, 3, 300), 2**31 - 1], "The value 2147483647 "),
    "fill value of many": ([*RNG.normal(50, 3, 300_000), 1e30], r"The value 1e\+30 "),
    "too large": ([1.7e308, -1.7e308], "too large for a computer: rescale"),
    "too small": ([0, 5e-324], "too small for a computer: rescale"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_to_do(name):
    data, complaint = REFUSED[name]
    with pytest.raises(ValueError, match=complaint) as refusal:
        as_column(data)
    said = str(refusal.value)
    assert said.endswith(".") and "\n" not in said
    advice = re.search(r"pd\..*\)", said)
    if advice and "other" not in name:  # followed to the letter it helps
        assert as_column(eval(advice[0])).size >= 2


COUNTS = RNG.poisson(50, 300)
STEPS = {
    "decimals": (NORMAL.round(2), 0.01),
    "thousands": (1_000 * COUNTS, 1_000),
    "prices": (COUNTS - 0.01, 1),
    "inches in centimeters": (2.54 * COUNTS, 2.54),
    "with some halves": (np.r_[COUNTS, 30.5, 31.5], 1),
    "few, five apart": ([5, 5, 10, 10, 20, 20], 1),
    "thirds": (COUNTS / 3, 1 / 3),
    "logarithms": (np.log([*range(40, 90), 60]), np.log(89 / 88)),
    "milliseconds since 1970": (1.7e12 + COUNTS, 1),
    "nearly all zero": (np.r_[np.zeros(400_000), 3, 5], 1),
    "fewer than a divisor needs": ([1.23, 4.56, 7.89], 0.01),
    "eight": (2.0 * np.arange(8), 1),
    "nine": (2.0 * np.arange(9), 2),
    "two near the middle": ([*range(12), 5.5, 5.5 + 1e-8], 1e-8),
    "none": (NORMAL, np.spacing(np.abs(NORMAL).max())),
    "none, beside a mean of 1e13": (1e13 + NORMAL, np.spacing(1e13)),
}


@pytest.mark.parametrize("name", STEPS)
def test_resolution(name):
    values, step = STEPS[name]
    column = as_column(values)
    assert column.step == pytest.approx(step, rel=1e-9, abs=0)
    steps = np.arange(-9, 10) * step / (column.floor * column.scale)
    promised = steps[10] * np.exp(-(steps**2) / 2).sum() / np.sqrt(2 * np.pi)
    assert 1 < promised < 1.0002  # in sum, to all that can be written


OTHER = np.random.default_rng(1)
COUNTED = [3, 1, np.nan, 2.5, 1, 9], np.array([5, 10, 2, 30, 20.0, 0])


@pytest.mark.parametrize("factor", [1, 50_000])
def test_counts_are_as_good_as_the_repeated_values(factor):
    values, counts = COUNTED[0], factor * COUNTED[1]
    other_labels = pd.Series(counts, range(9, 15))
    column = as_column(pd.Series(values), leave_out=True, counts=other_labels)
    repeated = np.repeat(values, counts.astype(int))
    assert same(column, as_column(repeated, leave_out=True))
    billions = as_column(values, leave_out=True, counts=10**9 * counts)
    assert billions.size == 10**9 * column.size and billions.step == column.step
    assert billions.missing == 10**9 * column.missing
    np.testing.assert_allclose(billions.mean, column.mean, atol=1e-12)


def test_counts_of_many_values_are_those_of_the_repeated_column(monkeypatch):
    values, counts = MANY[:20_000], RNG.integers(0, 40, 20_000)
    column = as_column(values, counts=counts)
    assert same(column, as_column(np.repeat(values, counts)))
    monkeypatch.setattr(data, "REPEATED", 0)
    direct = as_column(values, counts=counts)
    assert direct.step > 1e-12  # they are repeated: no digits of a float
    assert len(direct.count) <= 400 and direct.size == column.size
    assert (direct.low, direct.high) == (column.low, column.high)
    sums = [
        (x.count * (x.values**2 + (x.scale * x.sd) ** 2)).sum()
        for x in (column, direct)
    ]
    assert sums[0] == pytest.approx(sums[1])


NO_COUNTS = {
    "half": ([1, 0.5, 2], r"counts\[1\] is 0.5: counts say how often"),
    "negative": ([1, 1, -1], r"counts\[2\] is -1"),
    "missing": ([1, None, 1], r"counts\[1\] is nan"),
    "too large": ([1, 1e30, 1], r"counts\[1\] is 1e\+30"),
    "too few": ([1, 2], "2 counts of 3 values: give as many"),
    "text": (["1", "x", "2"], r"counts\[1\] is 'x'"),
    "none": ([0, 0, 0], "empty"),
}


@pytest.mark.parametrize("name", NO_COUNTS)
def test_weights_that_are_no_counts_are_refused(name):
    counts, complaint = NO_COUNTS[name]
    with pytest.raises(ValueError, match=complaint):
        fit([1, 2, 3], counts=counts)


NO_FILL_VALUES = {
    "five": [0, 0, 0, 1e-9, 1.0],
    "rounding noise": [0.3] * 6 + [0.1 + 0.2, 1.2, 1.4],
    "traces": [0] * 70 + [*1e-7 * OTHER.uniform(1, 2, 20), *OTHER.lognormal(0, 1, 40)],
    "traces and two others": [0] * 70 + [*1e-7 * OTHER.uniform(1, 2, 20), 1.5, 4],
    "in grams": [0, 0, 0, 1e-6, 1_000],
    "a second group": [*1e-8 * NORMAL, *1_000 + NORMAL],
}


@pytest.mark.parametrize("name", NO_FILL_VALUES)
def test_what_is_no_fill_value_is_taken(name):
    assert as_column(NO_FILL_VALUES[name]).size == len(NO_FILL_VALUES[name])


COARSE = {
    "two values": [0, 1] * 150,
    "two of any unit": [0.37, 2.5] * 20,
    "three": [1] + [2] * 17 + [5],
    "three of any unit": [0.37 * x for x in [0, 1, 2]] * 30,
    "counts of rare events": OTHER.poisson(0.8, 300),
    "four": [1e6, 2e6, 3e6, 4e6] * 9,
}


@pytest.mark.parametrize("name", COARSE)
def test_a_table_of_counts_is_refused(name):
    different = len(np.unique(COARSE[name]))
    said = rf"table of counts.* each of the {different} values"
    for refused in (fit, gibbs):
        with pytest.raises(ValueError, match=said) as refusal:
            refused(COARSE[name], 2)
        assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")


@pytest.mark.parametrize("unit, shift", [(1, 0), (1e-9, 0), (1e9, 0), (1, 1e6)])
def test_what_is_told_of_coarse_values_hangs_on_no_unit(unit, shift):
    normal = NORMAL.round(0)  # of standard deviation 1: in halves it is fine enough
    with pytest.raises(ValueError, match="table of counts"):
        gibbs(shift + unit * normal, 2)
    assert gibbs(shift + unit * (2 * NORMAL).round(0), 2, draws=5, tune=5)


TWO_WIDTHS = np.r_[RNG.normal(0, 2, 200), RNG.normal(60, 20, 200)].round()
SHIFTED = [0, 32, -273.15, 1_000, -1 / 3]


@pytest.mark.parametrize(
    "step", [1, 1 / 16, 1 / 128, 0.00025, 2.54, 1 / 3, 9 / 5, 1e-9]
)
@pytest.mark.parametrize("count", [30, 100, 400])
def test_the_step_follows_the_unit(step, count):
    values = TWO_WIDTHS[:: 400 // count][:count]
    values = np.r_[values, values[0] + 1]  # so that one is the divisor
    whole = as_column(values)
    for shift in SHIFTED[: 1 if step == 1e-9 else None]:
        column = as_column(shift + step * values)
        assert column.step == pytest.approx(step * whole.step, rel=1e-6)
        np.testing.assert_allclose(column.mean, whole.mean, atol=1e-6)
        assert column.floor == pytest.approx(whole.floor, rel=1e-6)


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_the_step_of_values_that_are_kept_in_fewer_digits(kind):
    assert as_column((TWO_WIDTHS / 16).astype(kind)).step == 1 / 16
    if kind == "float32":
        step = as_column((20 + 0.00025 * TWO_WIDTHS).astype(kind)).step
        assert step == pytest.approx(0.00025, rel=1e-3)


def moments(values, column):
    """Mean and mean square about the column's location, of values and of its places."""
    z = (values - column.location) / column.scale
    count, mean, sd = column.count, column.mean, column.sd
    assert count.sum() == len(values) == column.size
    assert (column.low, column.high) == (values.min(), values.max())
    found = [(count * x).sum() / column.size for x in (mean, mean**2 + sd**2)]
    return [z.mean(), (z**2).mean()], found


MANY = np.r_[RNG.normal(0, 1, 180_000), RNG.standard_t(3, 120_000)]
LONG = {"many": MANY, "tiny": 1e-170 * MANY, "large": 1e154 * MANY}
LONG |= {"beside 1e13": 1e13 + MANY, "not so many": MANY[:50_000]}
LONG["a third far out"] = np.r_[MANY, 1_000 + MANY[:100_000] / 1_000]


@pytest.mark.parametrize("name", LONG)
def test_places_are_neighbors_and_keep_the_sums(name):
    values, most = np.sort(LONG[name]), 500
    column = as_column(LONG[name], most)
    assert 100 < len(column.count) <= most and (np.diff(column.mean) > 0).all()
    digits = np.spacing(np.abs(values).max()) / column.scale
    expected, found = moments(values, column)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 + digits)
    z, count = (values - column.location) / column.scale, column.count.astype(int)
    last = count.cumsum() - 1
    first = last - count + 1
    each = np.add.reduceat(z, first) / count
    np.testing.assert_allclose(column.mean, each, atol=1e-9 + digits)
    square = np.add.reduceat((z - np.repeat(each, count)) ** 2, first)
    np.testing.assert_allclose(column.sd, np.sqrt(square / count), atol=1e-5 + digits)
    # half of the places go by the number of points and half by the stretch of values
    low, center, high = np.quantile(values, [0.1, 0.5, 0.9])
    stretched = np.arcsinh((values - center) / (high - low) * 2)
    stretch = (stretched[last] - stretched[first]) / np.ptp(stretched)
    share = np.where(stretch > 1e-4, count / len(values), 0)
    assert (share + stretch).max() < 3.5 / most  # but for single ones at the ends


def test_a_narrow_group_far_out_keeps_places_of_its_own():
    group = 1_000 + MANY[:3_000] / 1_000
    column = as_column(np.r_[MANY, group], 1_000)
    far = column.values > 999
    assert column.count[far].sum() == len(group) and (~far).sum() > 500
    spread = np.sqrt((column.count * column.sd**2)[far].sum() / len(group))
    assert spread * column.scale < 2e-3


@pytest.mark.parametrize("more, exact", [(0, True), (1, False)])
def test_different_values_are_kept_up_to_twice_the_places(more, exact):
    values = np.repeat(np.arange(40.0 + more) ** 2, 3)
    column = as_column(values, most=20)
    assert (len(column.count) == 40) == exact == (not column.sd.any())


def test_priors_follow_from_the_range():
    assert range_priors([2, 10, 3]) == dict(center=6, scale=8, widest=8)


def rounded(values, unit, shift, decimals):
    return [shift + unit * round(value, decimals) for value in values]


NUMBERS = st.floats(width=64) | st.integers(-(10**40), 10**40) | st.integers(-9, 9)
SMALL = st.lists(st.floats(-10, 10) | st.floats(-1, 1), min_size=2, max_size=40)
UNITS = [5e-324, 1e-310, 1e-170, 1e-9, 1, 1 / 3, 1e154, 1e298, 1e299]
SHIFTS = [0, 0, 0, 1e3, 1e13, -1e16, 1e299]
LISTS = st.lists(NUMBERS, max_size=40) | st.builds(
    rounded, SMALL, *map(st.sampled_from, (UNITS, SHIFTS, [0, 1, 2, 6, 15]))
)


CALM = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODELS = st.tuples(st.sampled_from([2, [0.5, 0.3, 0.2]]), st.booleans())


@given(LISTS, st.sampled_from(list(CONTAINERS)), st.sampled_from([5, 1_000]), MODELS)
@settings(max_examples=200, derandomize=True, **CALM)
def test_any_numbers_can_be_sampled_or_are_refused(values, name, most, model):
    values, (k, own_widths) = np.array(values, float), model
    data = CONTAINERS[name](values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            column = as_column(data, most)
        except ValueError as refusal:
            assert str(refusal).endswith(".") and "\n" not in str(refusal)
            return
        expected, found = moments(values, column)
        digits = 8 * np.spacing(np.abs(values).max()) / column.scale
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 + digits)
        assert 0 < column.floor < np.inf
        if column.narrowest > np.std(values / column.scale) * column.scale / 2:
            with pytest.raises(ValueError, match="table of counts"):
                gibbs(column, k, own_widths=own_widths)
            return
        drawn = gibbs(column, k, own_widths=own_widths, chains=2, draws=5, tune=5)
        assert np.isfinite(drawn.means.where(drawn.p.notnull(), 0)).all()
        np.testing.assert_allclose(drawn.p.sum("cluster"), 1)
        assert drawn.sd.min() > 0.99 * column.floor * column.scale
        assert drawn.sd.max() < np.inf
