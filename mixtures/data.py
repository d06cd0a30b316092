"""A column of numbers as places with counts: checks, resolution, priors from the range.

A sweep of the sampler needs of the data only how often each value occurs. A place is a
set of neighboring values, kept as their count, mean and standard deviation: one value,
however often it occurs, or, of columns with many different values, a narrow interval.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

PLACES = 400  # about how many values of a column are told apart
FINE_CELLS = 2**14  # of the grid on which long arrays are counted
COUNTED_WHOLE = 200_000  # values that are counted exactly rather than on that grid
LARGEST = 1e300  # of which a float still holds multiples and sums
TOO_LARGE = "The values of data are too large for a computer: rescale them."
FEW_DIFFERENT = 8  # values: all even by chance, one column in 256
FAR = 1e6  # times the distance of the rest: a value there stands for something else
SMALLEST_CODE = 99  # in size, of numbers that are written for what is missing


@dataclass
class Column:
    """A column as places, in standard units: value = location + scale * z.

    count, mean, sd : of each place, (places,); sd is zero where all values are the same
    size : number of values
    low, high : smallest and largest value, in the data's units
    step : the resolution of the values, in the data's units (see `resolution`)
    missing : number of values that were left out
    """

    count: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    location: float
    scale: float
    size: int
    low: float
    high: float
    step: float
    missing: int = 0

    @property
    def narrowest(self):
        """The smallest width of a cluster, in the data's units.

        What a density promises to all values that can be written, step times its height
        at each, may sum to no more than one. At 0.7 steps it is 1 + 2 exp(-2 pi² 0.7²),
        0.013 % too much; half as wide, a cluster for each value would beat the truth.
        """
        return 0.7 * self.step

    @property
    def floor(self):
        """The smallest width of a cluster, in standard units."""
        return self.narrowest / self.scale

    @property
    def deviation(self):
        """The standard deviation of the values, in the data's units."""
        mean = np.average(self.mean, weights=self.count)
        square = np.average((self.mean - mean) ** 2 + self.sd**2, weights=self.count)
        return self.scale * np.sqrt(square)

    @property
    def values(self):
        """The mean of each place, in the data's units."""
        return self.location + self.scale * self.mean

    def quantile(self, q):
        """Quantiles of the column, as far as its places tell, in the data's units."""
        share = (self.count.cumsum() - self.count / 2) / self.size
        ends = np.r_[0, share, 1], np.r_[self.low, self.values, self.high]
        return np.interp(q, *ends)

    def as_points(self):
        """The same column with a place for each single value."""
        repeated = (np.repeat(x, self.count.astype(int)) for x in (self.mean, self.sd))
        return replace(
            self, count=np.ones(self.size), **dict(zip(("mean", "sd"), repeated))
        )


def checked_values(data):
    """A column as floats, shape (n,), NaN where a value is missing.

    data : array, list, Series or other column of numbers, shape (n,); what its `mask`
        covers is missing
    Raises ValueError, with what to do, unless it is one column of real numbers.
    """
    try:
        shape = np.shape(data)
        if len(shape) != 1:
            raise ValueError(f"it has shape {shape} instead of (n,)")
        mask = getattr(data, "mask", None)  # of astropy's; pandas' is a method
        if getattr(mask, "shape", None) == shape:
            data = pd.Series(np.asarray(data)).mask(np.asarray(mask))
        series = pd.Series(data).reset_index(drop=True)
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
        what = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(f"data is not one column of numbers: {what}.") from None
    types = pd.api.types
    kind = types.infer_dtype(series, skipna=True)
    numbers = ("integer", "floating", "mixed-integer-float", "decimal", "empty")
    numeric = types.is_numeric_dtype(series) or kind in numbers
    if not numeric or types.is_bool_dtype(series) or types.is_complex_dtype(series):
        unread = pd.to_numeric(series.astype(str), errors="coerce").isna()
        text = series[unread & series.notna()]
        if kind in ("string", "mixed", "mixed-integer") and not text.empty:
            advice = 'pd.to_numeric(pd.Series(data), errors="coerce").dropna()'
            advice = f"it, or {advice} leaves all such out"
            if len(text) == series.count():
                advice = "all of them, none is a number"
            raise ValueError(
                f"data[{text.index[0]}] is {text.iloc[0]!r}, which is no number: mend "
                f"{advice}."
            )
        advice = "take the numbers that were measured"
        if kind == "categorical":
            advice = "data.astype(float) makes numbers of categories that are such"
        if kind == "string" or kind.startswith("mixed"):
            advice = "pd.to_numeric(data) makes numbers of them"
        raise ValueError(f"The values of data are not numbers but {kind}: {advice}.")
    try:
        values = series.to_numpy(dtype=float, na_value=np.nan)
    except OverflowError:  # whole numbers of any length
        raise ValueError(TOO_LARGE) from None
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        i = infinite[0]
        raise ValueError(f"data[{i}] is {values[i]}: leave infinite values out.")
    return values


def combined(parts, labels):
    """Merge places of one label, labels being in order: (3, places) to (3, fewer)."""
    count, mean, sd = parts
    first = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    total = np.add.reduceat(count, first)
    offset = mean[first]  # sums about a value nearby keep their digits
    away = mean - np.repeat(offset, np.diff(first, append=len(mean)))
    unit = np.abs(away).max() + sd.max() or 1.0  # squares of tiny numbers vanish
    away, sd = away / unit, sd / unit
    average = np.add.reduceat(count * away, first) / total
    square = np.add.reduceat(count * (sd**2 + away**2), first) / total
    variance = np.maximum(square - average**2, 0)
    return np.array([total, offset + unit * average, unit * np.sqrt(variance)])


def spread_of(low, high, width):
    """Half the distance of two quantiles, or the width if most values are equal."""
    return max((high - low) / 2, 1e-140 * width) if high > low else width


def stretched(values, center, spread):
    """Values about a center on a scale that is logarithmic far out."""
    return np.arcsinh((values - center) / spread)


def merged(parts, most):
    """At most `most` places of (3, places), or up to 2 * `most` if they are exact.

    Half of the budget goes by the number of points and half by the stretch of values.
    """
    parts = parts[:, np.argsort(parts[1], kind="stable")]
    same = np.cumsum(np.diff(parts[1], prepend=parts[1, :1]) > 0)
    parts = combined(parts, same)
    count, mean, sd = parts
    if len(count) <= 2 * most and not sd.any() or len(count) <= most:
        return parts
    share = (count.cumsum() - count / 2) / count.sum()
    low, center, high = np.interp([0.1, 0.5, 0.9], share, mean)
    stretch = stretched(mean, center, spread_of(low, high, np.ptp(mean)))
    stretch = (stretch - stretch[0]) / (stretch[-1] - stretch[0])
    return combined(parts, np.floor(most * (1 - 1e-9) * (share + stretch) / 2))


def counted_on_grid(values, some, cells=FINE_CELLS, piece=50_000):
    """Places of a long array, (3, places): cells of a fine grid, in one pass.

    some : a sample of the values, which give the middle and scale of the grid
    """
    low, center, high = np.quantile(some, [0.1, 0.5, 0.9])
    spread = spread_of(low, high, np.ptp(values))
    first, last = stretched(np.array([values.min(), values.max()]), center, spread)
    sums = np.zeros((3, cells))
    for i in range(0, values.size, piece):  # pieces stay in the processor's cache
        z = (values[i : i + piece] - center) / spread
        cell = ((np.arcsinh(z) - first) * ((cells - 1e-6) / (last - first))).astype(int)
        sums[0] += np.bincount(cell, minlength=cells)
        sums[1] += np.bincount(cell, z, minlength=cells)
        sums[2] += np.bincount(cell, z * z, minlength=cells)
    count, total, square = sums[:, sums[0] > 0]
    square /= count  # zero is kept for places of one value
    variance = np.maximum(square - (total / count) ** 2, np.finfo(float).eps * square)
    return np.array(
        [count, center + spread * total / count, spread * np.sqrt(variance)]
    )


def counted(values, most, blocks=1):
    """What is kept of one of the blocks of a column, in which some values may miss.

    parts : places, (3, places); some : a sample of the values; low, high : their range
    missing : how many are NaN or infinite; without any other value the rest is empty
    """
    values = np.asarray(values, dtype=float).ravel()
    missing = values.size - np.count_nonzero(np.isfinite(values))
    if missing:
        values = values[np.isfinite(values)]
    kept = dict(parts=np.zeros((3, 0)), some=values[:0], missing=missing)
    if not values.size:
        return kept
    some = values[:: 1 + values.size // COUNTED_WHOLE]
    few = some[:: 1 + some.size // (20 * most)]
    # a copy: a view would keep all of the block in the worker's memory
    kept.update(some=few[:: 1 + blocks * few.size // (20 * most + 1)].copy())
    kept.update(low=values.min(), high=values.max())
    if max(-kept["low"], kept["high"]) > LARGEST:
        raise ValueError(TOO_LARGE)
    different, often = np.unique(few, return_counts=True)
    if values.size > COUNTED_WHOLE and len(different) > 2 * most:
        heaps = different[often > max(3, len(few) / 100)]  # places of their own
        rest = values[~np.isin(values, heaps)] if heaps.size else values
        often = [np.count_nonzero(values == heap) for heap in heaps]
        parts = np.array([often, heaps, np.zeros(len(heaps))])
        parts = np.concatenate([counted_on_grid(rest, some), parts], axis=1)
    else:
        counts = pd.Series(values).value_counts(sort=False)  # linear, as sorting is not
        parts = np.array([counts, counts.index, np.zeros(len(counts))], dtype=float)
    kept["parts"] = merged(parts, 4 * most)
    return kept


def common_divisor(different, tolerance):
    """The largest step of which all differences are multiples, or 0 if there is none.

    Euclid's algorithm on all gaps at once; least squares then give the step the digits
    that remainders lose. It has to be 50 times the tolerance: that nine values or more
    fit such a step by chance is then too improbable.

    different : sorted values, (n,); tolerance : of what is a multiple
    """
    unit = different[-1] - different[0]  # squares of tiny and large numbers overflow
    away, tolerance = (different[1:] - different[0]) / unit, tolerance / unit
    rest = np.diff(away, prepend=0)
    step = rest.min()
    while step > 50 * tolerance:
        rest = np.abs(rest - step * np.round(rest / step))
        rest = rest[rest > 16 * tolerance]
        if not rest.size:
            break
        rest = np.r_[rest, step]
        step = rest.min()
    if step <= 50 * tolerance:
        return 0
    for size in 2 ** np.arange(1, 1 + int(np.ceil(np.log2(away.size)))):
        near = away[:size]  # the farther off, the more digits
        multiple = np.round(near / step)
        step = near @ multiple / (multiple @ multiple)
    exact = np.abs(away - step * np.round(away / step)).max() <= tolerance
    return float(f"{step * unit:.12g}") if exact else 0  # .01, not .00999


def decimal_step(different, exact):
    """The fewest decimals that reproduce values, (n,), as a step; 0 if none do."""
    for exponent in range(int(np.ceil(np.log10(np.abs(different).max()))), -324, -1):
        step = float(f"1e{exponent}")
        if step <= 4 * exact:
            break
        if (np.abs(different - step * np.round(different / step)) <= exact).all():
            return step
    return 0


def resolution(different, often):
    """The step in which values are written, as far as a sample of them tells.

    It is the common divisor of the differences between more than FEW_DIFFERENT values,
    whatever their unit; in fewer a divisor is chance, and decimals tell. Where most
    values repeat it is at least the usual gap between neighbors, as with some halves
    among whole numbers. Where there is no divisor, it is the smallest gap if some value
    occurs twice, as in logarithms of rounded values, and otherwise what the digits of a
    float allow. Two values are one step apart.

    different : its different values, sorted; often : how often each of them occurs
    """
    if different.size == 2:
        return np.ptp(different)
    largest, gaps = np.abs(different).max(), np.sort(np.diff(different))
    exact = min(1e-12 * largest, 1e-4 * np.ptp(different))
    some, gaps = different[:: 1 + different.size // 1_000], gaps[gaps > exact]
    many = different.size > FEW_DIFFERENT
    # few values have to repeat often, and all their gaps count
    usual = np.quantile(often, 0.5, method="lower") > (1 if many else 9)
    gap = gaps[len(gaps) // 4 if many else 0] if usual else 0
    step = 0
    if many:
        tolerances = [1e-12 * largest, *np.spacing(largest) * np.array([64, 4])]
        with np.errstate(over="ignore"):
            if (different.astype(np.float32) == different).all():  # rounded to such
                tolerances.insert(0, 2.0 * np.spacing(np.float32(largest)))
        steps = (common_divisor(different, tolerance) for tolerance in tolerances)
        step = next(filter(None, steps), 0)
    step = step or decimal_step(some, exact)
    repeated = (often > 1).any() and gaps.size
    return max(step, gap) or (gaps[0] if repeated else np.spacing(largest))


def refuse_fill_values(parts):
    """ValueError if a rare value lies so far out that it stands for something else."""
    count, value = parts[:2]
    share = (count.cumsum() - count / 2) / count.sum()
    away = np.abs(value / 2 - np.interp(0.5, share, value) / 2)
    order = np.argsort(away)
    value, away, inside = value[order], away[order], count[order].cumsum()
    different = len(value) - np.arange(1, len(value))  # values farther out
    noise = 4 * np.spacing(np.maximum.accumulate(np.abs(value)))
    jump = (away[1:] > FAR * away[:-1]) & (away[:-1] > noise[:-1])
    jump &= (inside[:-1] > 0.75 * inside[-1]) & (inside[:-1] >= 10 * different)
    jump &= (different <= 2) & (np.abs(value[1:]) >= SMALLEST_CODE)
    if jump.any():
        far = value[np.flatnonzero(jump)[0] + 1]
        raise ValueError(
            f"The value {far:.15g} lies a million times farther out than the rest: if "
            "it stands for a missing value leave it out, else give it its own column."
        )


def refuse_counts(column):
    """ValueError if the values are too coarse to tell widths.

    One normal group whose deviation is under 1.4 steps seems wider than it is, and
    even shares of four neighboring values seem to be two groups.
    """
    refuse(
        column.narrowest > column.deviation / 2,
        f"The values of data are a table of counts: in steps of {column.step:.3g} with "
        f"a standard deviation of {column.deviation:.3g} they are too coarse to tell a "
        f"width; count how often each of the {len(column.count)} values occurs.",
    )


def in_blocks(collection, most):
    """`counted` of every block of a Dask array or Dask Series, in their order.

    One pass, with no random numbers and no state in the workers. Raises ValueError that
    names blocks with missing values and RuntimeError if the cluster fails.
    """
    if hasattr(collection, "to_dask_array"):
        collection = collection.to_dask_array()
    if collection.ndim != 1:
        raise ValueError(f"data has {collection.ndim} dimensions: give one column.")
    blocks = collection.numblocks[0]
    counts = collection.map_blocks(
        _one_block, most, blocks, dtype=object, chunks=((1,) * blocks,)
    )
    try:
        found = list(counts.compute())
    except (ValueError, TypeError):  # of the reader's own functions: they say it best
        raise
    except Exception as error:
        name = type(error).__name__
        raise RuntimeError(
            f"Dask could not count the column: {name}: {error}. Look at its cluster, "
            "which may have lost all its workers, and run this again."
        ) from error
    bad = {i: one["missing"] for i, one in enumerate(found) if one["missing"]}
    if bad:
        where = ", ".join(f"{n:,} in partition {i}" for i, n in list(bad.items())[:5])
        raise ValueError(
            f"data has missing or infinite values, {where}: leave them out: "
            "data[abs(data) < np.inf]."
        )
    return found


def partitions(data):
    """Partitions of a Dask collection, computed one by one, or all of other data."""
    if hasattr(data, "dask"):
        return (data.partitions[i].compute() for i in range(data.npartitions))
    return iter([data])


def _one_block(block, most, blocks):
    """`counted` as a block of a Dask array of objects."""
    if block.dtype.kind not in "iuf":
        block = checked_values(block)
    return np.array([counted(block, most, blocks), None], dtype=object)[:1]


def as_column(data, most=PLACES, leave_out=False):
    """A column as places with counts.

    data : array, list or Series of numbers, (n,), or a Dask array or Dask column; a
        `Column` is returned as it is
    most : largest number of places. Up to 2 * `most` different values are kept exactly;
        of more, neighbors share a place. What is kept is then exact but for the weights
        of the clusters, taken at the place's middle. That is good where every cluster
        is wider than the places that it covers, as a second run with twice as many
        shows, and not for a cluster that is narrower than a place.
    leave_out : whether to leave missing values out, but of Dask's

    Raises ValueError for what is not a column of numbers, for missing, infinite and
    fill values, and if all values are the same.
    """
    if isinstance(data, Column):
        return data
    if hasattr(data, "dask"):
        found = in_blocks(data, most)
    else:
        values = checked_values(data)
        missing = np.flatnonzero(np.isnan(values))
        if missing.size and not leave_out:
            raise ValueError(
                f"data[{missing[0]}] is missing ({missing.size:,} such in all): leave "
                "missing values out, as pd.Series(data).dropna() does."
            )
        found = [counted(values, most)]
    missing = sum(one["missing"] for one in found)
    found = [one for one in found if one["parts"].size]
    if not found:
        raise ValueError("data is empty: give a column with at least two values.")
    low, high = min(x["low"] for x in found), max(x["high"] for x in found)
    if low == high:
        raise ValueError(f"All values of data are {low:g}: there is nothing to fit.")
    if high - low < 1 / LARGEST:
        raise ValueError(
            "The values of data are too small for a computer: rescale them."
        )
    parts = np.concatenate([x.pop("parts") for x in found], axis=1)
    count, mean, sd = merged(parts, most)
    refuse_fill_values((count, mean))
    some = np.concatenate([x["some"] for x in found])
    sample = mean, count
    if sd.any():  # in which values share a place
        ends = np.setdiff1d([low, high], some)
        sample = np.unique(np.r_[ends, some], return_counts=True)
    step = resolution(*sample)
    location = np.interp(0.5, (count.cumsum() - count / 2) / count.sum(), mean)
    z, unit = mean - location, np.abs(mean - location).max()
    scale = unit * np.sqrt(
        (count * ((z / unit) ** 2 + (sd / unit) ** 2)).sum() / count.sum()
    )
    size = int(count.sum())
    return Column(
        count, z / scale, sd / scale, location, scale, size, low, high, step, missing
    )


def places_to_look(column, n=20):
    """Values all over a column: quantiles and an even grid."""
    even = np.linspace(column.low, column.high, n)
    return np.r_[column.quantile(np.linspace(0, 1, n)), even]


def refuse(applies, complaint):
    if applies:
        raise ValueError(complaint)
