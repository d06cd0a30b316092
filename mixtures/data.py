"""A column of numbers as places with counts: checks, resolution, priors from the range.

A sweep needs to know only how often each value occurs. A place is one value, or, of
very many, those of a narrow interval, kept as their count, mean and deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .values import (
    TOO_LARGE,
    checked_counts,
    checked_values,
    refuse,
    refuse_other_order,
    unit_of,
)

PLACES = 400  # about how many values of a column are told apart
FINE_CELLS = 2**14  # of the grid on which long arrays are counted
COUNTED_WHOLE = 200_000  # values that are counted exactly rather than on that grid
REPEATED = 10_000_000  # values that come with their counts and are written out
LARGEST = 1e300  # of which a float still holds multiples and sums
FEW_DISTINCT = 8  # values: all even by chance, one column in 256
FAR = 1e6  # times the distance of the rest: a value there stands for something else
SMALLEST_CODE = 99  # in size, of numbers that are written for what is missing


@dataclass
class Column:
    """A column as places, in standard units: value = location + scale * z.

    Attributes
    ----------
    count, mean, sd : ndarray, (places,)
        Of each place; sd is zero where all values are the same.
    size, missing : int
        Numbers of values, and of those that were left out.
    low, high, step : float
        Smallest and largest value, and the resolution of the values (see `resolution`),
        in the data's units.
    unit : str
        Of the values, if it is known.
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
    unit: str = ""

    @property
    def narrowest(self) -> float:
        """The smallest width of a cluster, in the data's units.

        What a density promises to all values that can be written, step times its height
        at each, may sum to no more than one. At 0.7 steps it is 1 + 2 exp(-2 pi² 0.7²),
        0.013 % too much; half as wide, a cluster for each value would beat the truth.
        """
        return 0.7 * self.step

    @property
    def floor(self) -> float:
        """The smallest width of a cluster, in standard units."""
        return self.narrowest / self.scale

    @property
    def deviation(self) -> float:
        """The standard deviation of the values, in the data's units."""
        mean = np.average(self.mean, weights=self.count)
        square = np.average((self.mean - mean) ** 2 + self.sd**2, weights=self.count)
        return self.scale * np.sqrt(square)

    @property
    def values(self) -> np.ndarray:
        """The mean of each place, in the data's units."""
        return self.location + self.scale * self.mean

    def quantile(self, q: Any) -> np.ndarray:
        """Quantiles of the column, as far as its places tell, in the data's units."""
        share = (self.count.cumsum() - self.count / 2) / self.size
        ends = np.r_[0, share, 1], np.r_[self.low, self.values, self.high]
        return np.interp(q, *ends)

    def as_points(self) -> Column:
        """The same column with a place for each single value."""
        number = self.count.astype(int)
        mean, sd = (np.repeat(x, number) for x in (self.mean, self.sd))
        return replace(self, count=np.ones(self.size), mean=mean, sd=sd)


def pooled(places, labels):
    """Places with those of one label as one, labels being in order: (3, fewer)."""
    count, mean, sd = places
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


def at_most(places, most):
    """At most so many places of (3, places), or up to twice as many if they are exact.

    Half of the budget goes by the number of points and half by the stretch of values.
    A hundredth of it at either end is for single ones: codes for missing values.
    """
    places = places[:, np.argsort(places[1], kind="stable")]
    same = np.cumsum(np.diff(places[1], prepend=places[1, :1]) > 0)
    places = pooled(places, same)
    count, mean, sd = places
    if len(count) <= 2 * most and not sd.any() or len(count) <= most:
        return places
    share = (count.cumsum() - count / 2) / count.sum()
    low, center, high = np.interp([0.1, 0.5, 0.9], share, mean)
    stretch = stretched(mean, center, spread_of(low, high, np.ptp(mean)))
    stretch = (stretch - stretch[0]) / (stretch[-1] - stretch[0])
    ends = most // 100
    labels = np.floor((most - 2 * ends) * (1 - 1e-9) * (share + stretch) / 2)
    first = np.diff(labels, prepend=-1) > 0
    first[: ends + 1] = first[len(first) - ends :] = True
    return pooled(places, first.cumsum())


def exact_places(values, counts):
    """A place for each value, (3, places)."""
    return np.array([counts, values, np.zeros(len(values))], dtype=float)


def places_on_grid(values, sample, cells=FINE_CELLS, piece=50_000):
    """Places of a long array, (3, places): cells of a fine grid, in one pass.

    sample : of the values, which gives the middle and scale of the grid
    """
    low, center, high = np.quantile(sample, [0.1, 0.5, 0.9])
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


@dataclass
class Tally:
    """What a block of a column, or all of it, is reduced to.

    places : (3, places); sample : of the values; low, high : their range
    missing : how many are NaN or infinite
    """

    places: np.ndarray
    sample: np.ndarray
    low: float
    high: float
    missing: int


def tally_of(values, most, blocks=1):
    """The `Tally` of one of the blocks of a column, in which some values may miss."""
    values = np.asarray(values, dtype=float).ravel()
    missing = values.size - np.count_nonzero(np.isfinite(values))
    if missing:
        values = values[np.isfinite(values)]
    if not values.size:
        return Tally(np.zeros((3, 0)), values[:0], np.inf, -np.inf, missing)
    low, high = values.min(), values.max()
    refuse(max(-low, high) > LARGEST, TOO_LARGE)
    sample = values[:: 1 + values.size // COUNTED_WHOLE]
    small = sample[:: 1 + sample.size // (20 * most)]
    distinct, counts = np.unique(small, return_counts=True)
    if values.size > COUNTED_WHOLE and len(distinct) > 2 * most:
        heaps = distinct[counts > max(3, len(small) / 100)]  # places of their own
        others = values[~np.isin(values, heaps)] if heaps.size else values
        counts = [np.count_nonzero(values == heap) for heap in heaps]
        places = places_on_grid(others, sample), exact_places(heaps, counts)
        places = np.concatenate(places, axis=1)
    else:
        counts = pd.Series(values).value_counts(sort=False)  # linear, as sorting is not
        places = exact_places(counts.index, counts)
    # a copy: a view would keep all of the block in the worker's memory
    small = small[:: 1 + blocks * small.size // (20 * most + 1)].copy()
    return Tally(at_most(places, 4 * most), small, low, high, missing)


def tally_of_counts(values, counts, most):
    """The `Tally` of values, (n,), that occur so often, (n,).

    It is that of the repeated values, but of very many the more exact.
    """
    if counts.sum() <= REPEATED:
        return tally_of(np.repeat(values, counts), most)
    missing = int(counts[np.isnan(values)].sum())
    there = np.isfinite(values) & (counts > 0)
    values, counts = values[there], counts[there]
    stride = slice(None, None, 1 + len(values) // (20 * most))
    sample = np.repeat(values[stride], np.minimum(counts[stride], 2))
    places = at_most(exact_places(values, counts), 4 * most)
    tally = tally_of(values, most)
    return replace(tally, places=places, sample=sample, missing=missing)


def common_divisor(distinct, tolerance):
    """The largest step of which all differences are multiples, or 0 if there is none.

    Euclid's algorithm on all gaps at once; least squares then give the step the digits
    that remainders lose. It has to be 50 times the tolerance: that nine values or more
    fit such a step by chance is then too improbable.

    distinct : sorted values, (n,); tolerance : of what is a multiple
    """
    unit = distinct[-1] - distinct[0]  # squares of tiny and large numbers overflow
    away, tolerance = (distinct[1:] - distinct[0]) / unit, tolerance / unit
    remainders = np.diff(away, prepend=0)
    step = remainders.min()
    while step > 50 * tolerance:
        remainders = np.abs(remainders - step * np.round(remainders / step))
        remainders = remainders[remainders > 16 * tolerance]
        if not remainders.size:
            break
        remainders = np.r_[remainders, step]
        step = remainders.min()
    if step <= 50 * tolerance:
        return 0
    for size in 2 ** np.arange(1, 1 + int(np.ceil(np.log2(away.size)))):
        near = away[:size]  # the farther off, the more digits
        multiple = np.round(near / step)
        step = near @ multiple / (multiple @ multiple)
    exact = np.abs(away - step * np.round(away / step)).max() <= tolerance
    return float(f"{step * unit:.12g}") if exact else 0  # .01, not .00999


def decimal_step(distinct, tolerance):
    """The fewest decimals that reproduce values, (n,), as a step; 0 if none do."""
    for exponent in range(int(np.ceil(np.log10(np.abs(distinct).max()))), -324, -1):
        step = float(f"1e{exponent}")
        if step <= 4 * tolerance:
            break
        if (np.abs(distinct - step * np.round(distinct / step)) <= tolerance).all():
            return step
    return 0


def resolution(distinct, counts):
    """The step in which values are written, as far as a sample of them tells.

    It is the common divisor of the differences between more than FEW_DISTINCT values,
    whatever their unit; in fewer a divisor is chance, and decimals tell. Where most
    values repeat it is at least the usual gap between neighbors, as with some halves
    among whole numbers. Where there is no divisor, it is the smallest gap if some value
    occurs twice, as in logarithms of rounded values, and otherwise what the digits of a
    float allow. Two values are one step apart.

    distinct : its different values, sorted; counts : how often each of them occurs
    """
    if distinct.size == 2:
        return np.ptp(distinct)
    largest, gaps = np.abs(distinct).max(), np.sort(np.diff(distinct))
    tolerance = min(1e-12 * largest, 1e-4 * np.ptp(distinct))
    sample, gaps = distinct[:: 1 + distinct.size // 1_000], gaps[gaps > tolerance]
    many = distinct.size > FEW_DISTINCT
    # few values have to repeat often, and all their gaps count
    usual = np.quantile(counts, 0.5, method="lower") > (1 if many else 9)
    gap = gaps[len(gaps) // 4 if many else 0] if usual else 0
    step = 0
    if many:
        tolerances = [1e-12 * largest, *np.spacing(largest) * np.array([64, 4])]
        with np.errstate(over="ignore"):
            if (distinct.astype(np.float32) == distinct).all():  # rounded to such
                tolerances.insert(0, 2.0 * np.spacing(np.float32(largest)))
        steps = (common_divisor(distinct, x) for x in tolerances)
        step = next(filter(None, steps), 0)
    step = step or decimal_step(sample, tolerance)
    repeated = (counts > 1).any() and gaps.size
    return max(step, gap) or (gaps[0] if repeated else np.spacing(largest))


def refuse_fill_values(count, value):
    """ValueError if a rare value lies so far out that it stands for something else."""
    share = (count.cumsum() - count / 2) / count.sum()
    away = np.abs(value / 2 - np.interp(0.5, share, value) / 2)
    order = np.argsort(away)
    value, away, inside = value[order], away[order], count[order].cumsum()
    farther = len(value) - np.arange(1, len(value))  # how many values
    noise = 4 * np.spacing(np.maximum.accumulate(np.abs(value)))
    jump = (away[1:] > FAR * away[:-1]) & (away[:-1] > noise[:-1])
    jump &= (inside[:-1] > 0.75 * inside[-1]) & (inside[:-1] >= 10 * farther)
    jump &= (farther <= 2) & (np.abs(value[1:]) >= SMALLEST_CODE)
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
    """The `Tally` of every block of a Dask array or Dask Series, in their order.

    One pass, with no random numbers and no state in the workers. Raises ValueError that
    names blocks with missing values and RuntimeError if the cluster fails.
    """
    if hasattr(collection, "to_dask_array"):
        collection = collection.to_dask_array()
    dimensions = str(getattr(collection, "ndim", "no"))  # of what is lazy anything
    refuse(dimensions != "1", f"data has {dimensions} dimensions: give one column.")
    blocks = collection.numblocks[0]
    tallies = collection.map_blocks(
        _one_block, most, blocks, dtype=object, chunks=((1,) * blocks,)
    )
    try:
        tallies = list(tallies.compute())
    except (ValueError, TypeError):  # of the reader's own functions: they say it best
        raise
    except Exception as error:
        name = type(error).__name__
        raise RuntimeError(
            f"Dask could not count the column: {name}: {error}. Look at its cluster, "
            "which may have lost all its workers, and run this again."
        ) from error
    missing = [f"{x.missing:,} in partition {i}" for i, x in enumerate(tallies)]
    missing = [text for text, x in zip(missing, tallies) if x.missing]
    refuse(
        missing,
        f"data has missing or infinite values, {', '.join(missing[:5])}: leave them "
        "out: data[abs(data) < np.inf], of a mask after da.ma.filled(data, np.nan).",
    )
    return tallies


def _one_block(block, most, blocks):
    """The `Tally` as a block of a Dask array of objects."""
    if block.dtype.kind != "f" or np.ma.isMaskedArray(block):
        block = checked_values(block)
    return np.array([tally_of(block, most, blocks), None], dtype=object)[:1]


def column_of(tallies, most):
    """The `Column` of the tallies of its blocks. Raises ValueError."""
    low, high = min(x.low for x in tallies), max(x.high for x in tallies)
    refuse(low > high, "data is empty: give a column with at least two values.")
    refuse(low == high, f"All values of data are {low:g}: there is nothing to fit.")
    small = high - low < 1 / LARGEST
    refuse(small, "The values of data are too small for a computer: rescale them.")
    places = np.concatenate([x.places for x in tallies], axis=1)
    count, mean, sd = at_most(places, most)
    refuse_fill_values(count, mean)
    distinct = mean, count
    if sd.any():  # values share a place
        sample = np.concatenate([x.sample for x in tallies])
        ends = np.setdiff1d([low, high], sample)
        distinct = np.unique(np.r_[ends, sample], return_counts=True)
    step = resolution(*distinct)
    location = np.interp(0.5, (count.cumsum() - count / 2) / count.sum(), mean)
    z, unit = mean - location, np.abs(mean - location).max()
    square = (count * ((z / unit) ** 2 + (sd / unit) ** 2)).sum() / count.sum()
    scale = unit * np.sqrt(square)
    missing, size = sum(x.missing for x in tallies), int(count.sum())
    return Column(
        count, z / scale, sd / scale, location, scale, size, low, high, step, missing
    )


def as_column(
    data: Any, most: int = PLACES, leave_out: bool = False, counts: Any = None
) -> Column:
    """A column as places with counts.

    Parameters
    ----------
    data : array-like or Dask collection, (n,)
        A column of numbers; a `Column` is returned as it is.
    most : int
        Largest number of places. Up to twice as many different values are kept exactly;
        of more, neighbors share a place. All is then exact but for the weights of the
        clusters, taken at its middle: good where clusters are wider than places, as a
        second run with twice as many shows.
    leave_out : bool
        Whether to leave missing values out, but of Dask's.
    counts : array-like, (n,), optional
        How often each value occurs, whole numbers; not of Dask's.

    Returns
    -------
    Column

    Raises
    ------
    ValueError
        For what is not a column of numbers, for missing, infinite and fill values, for
        weights that are no counts, and if all values are the same.
    """
    lazy = hasattr(data, "dask")
    refuse(
        counts is not None and (lazy or isinstance(data, Column)),
        "counts go with values in memory: compute them, or leave counts out.",
    )
    if isinstance(data, Column):
        return data
    if lazy:
        return column_of(in_blocks(data, most), most)
    values = checked_values(data)
    missing = np.flatnonzero(np.isnan(values))
    if missing.size and not leave_out:
        raise ValueError(
            f"data[{missing[0]}] is missing ({missing.size:,} such in all): leave "
            "missing values out, as pd.Series(data).dropna() does."
        )
    if counts is None:
        tally = tally_of(values, most)
    else:
        refuse_other_order(data, counts, "counts")
        tally = tally_of_counts(values, checked_counts(counts, values), most)
    return replace(column_of([tally], most), unit=unit_of(data))


def representatives(column, n=20):
    """Values all over a column: quantiles and an even grid."""
    even = np.linspace(column.low, column.high, n)
    return np.r_[column.quantile(np.linspace(0, 1, n)), even]
