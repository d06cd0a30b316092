"""What strikes in a column: codes, heaps, mixed rounding, ties, logarithms."""

from __future__ import annotations

import itertools
import re

import numpy as np

# As -32768, the least number of 16 bits, and 9, -98 and 99.9 are written for "missing"
CODE = re.compile(r"-?([789]|9+\.?[6-9]|77+|88+|32768)")
MOST_CODES = 4  # at either end
FAR = 3  # times as far as the others are apart


def percent(share: float) -> str:
    """A share of neither none nor all, with as many digits as it takes to show that."""
    digits = 0
    while float(f"{100 * share:.{digits}f}") in (0, 100):
        digits += 1
    return f"{100 * share:.{digits}f}%"


def written(value, column):
    """A value as it was written: places have only digits that the largest leaves."""
    share = abs(value) / max(-column.low, column.high)
    digits = 15 + min(0, int(np.floor(np.log10(share + 1e-99))))
    return f"{value:.{digits}g}" if digits > 0 else "0"


def joined(words, most=4):
    """Words in a row, of many the first few."""
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def multiples(column, coarse):
    """Which places are of one value that is a multiple of a step, (places,)."""
    multiple = column.values / coarse
    off = np.abs(multiple - np.round(multiple))
    noise = 8 * np.spacing(max(-column.low, column.high)) / coarse
    return (column.sd == 0) & (off <= max(noise, 1e-9)) & (noise < 0.01)


def codes(column):
    """Places of values at either end, far outside all others.

    That is, farther from the next value than all others are apart. A value that occurs
    once, and all of several at one end, are written as codes are: neither an outlier
    nor a narrow group is one.
    """
    values, last = column.values, len(column.count) - 1
    for low, high in itertools.product(range(MOST_CODES, -1, -1), repeat=2):
        below, above = [*range(low)], [*range(last + 1 - high, last + 1)]
        inside, outside = values[low : last + 1 - high], below + above
        if len(inside) < 5 or not outside:
            continue
        gap = np.diff(values)[below[-1:] + [last - high] * (high > 0)].min()
        alike = column.sd[outside] * column.scale < 1e-6 * gap
        several = below * (low > 1) + above * (high > 1)
        several += [i for i in outside if column.count[i] == 1]
        as_code = (CODE.fullmatch(written(values[i], column)) for i in several)
        if gap > np.ptp(inside) and alike.all() and all(as_code):
            return outside
    return []


def far_value(column):
    """That a value is `FAR` times as far off as the others are apart, or nothing."""
    values, last = column.values, len(column.count) - 1
    for i, rest in ((0, values[1:]), (last, values[:-1])):
        alone = column.count[i] == 1 and len(rest) > 4
        far = alone and np.abs(rest - values[i]).min() > FAR * np.ptp(rest)
        if far and not codes(column):
            return (
                f"{written(values[i], column)} is {FAR} times as far from all others "
                "as they are apart, and the prior is as wide as all: check it."
            )
    return ""


def heaps(column):
    """Places of a value that over three in a hundred have, far oftener than neighbors.

    That is, over five times as often as the two values on either side, by their median,
    and over four times as often as what is a step away: a narrow group is no heap.
    """
    count, values, heaps = column.count, column.values, []
    often = (column.sd == 0) & (count > max(3, 0.03 * column.size))
    for i in np.flatnonzero(often):
        first = max(0, min(i - 2, len(count) - 5))
        near = np.delete(count[first : first + 5], i - first)
        beside = np.abs(values - values[i]) < 1.5 * column.step
        beside = count[beside & (values != values[i])].max(initial=0)
        if count[i] > max(5 * np.median(near) + 5, 4 * beside):
            heaps.append(i)
    return heaps


def odd_values(column, coarse=0.0):
    """What to do with codes and heaps: sentences, or none.

    coarse : of `coarse_step`, whose multiples are no heaps of their own
    """
    values, count = column.values, column.count
    sentences, outside = [], codes(column)
    if outside:
        what = "it stands for a missing value, leave it out"
        if len(outside) > 1:
            what = "they stand for missing values, leave them out"
        each = [
            f"{written(values[i], column)} occurs {count[i]:,.0f} times".replace(
                " 1 times", " once"
            )
            for i in outside
        ]
        each = joined(each, 2 * MOST_CODES)
        sentences.append(f"{each}, far outside all other values: if {what}.")
    named = [*outside, *np.flatnonzero(multiples(column, coarse) if coarse else [])]
    alone = [
        f"{written(values[i], column)} alone is {percent(count[i] / column.size)} of "
        "the values"
        for i in heaps(column)
        if i not in named
    ]
    if alone:
        what = "each such value" if len(alone) > 1 else "it"
        alone = joined(alone)
        sentences.append(
            f"{alone}: count {what} as a cluster of its own, and fit the others."
        )
    return " ".join(sentences)


def coarse_step(column):
    """The step to which part of the values is rounded more than the others, or 0.

    Its multiples, but for the one that most have, have then three times the count of
    other values, or more. Of several steps it is the likeliest, by counts as Poisson's.
    """
    count, size, best = column.count, column.size, (0.0, 0.0)
    top = np.floor(np.log10(column.deviation))
    for coarse in np.outer(10.0 ** np.arange(top - 3, top + 1), [1, 2, 5]).ravel():
        on = multiples(column, coarse)
        n, places = count[on].sum(), np.count_nonzero(on)
        if places < 4 or not 0.1 * size < n < size:
            continue
        if np.median(np.diff(column.values[on])) > 1.5 * coarse:
            continue  # ties that are multiples by chance
        others = (size - n) / max(1, len(count) - places)
        excess = (n - count[on].max()) / (places - 1) / max(others, 1)
        fine = 1.5 * column.step < coarse <= column.deviation / 1.5
        if fine and excess > 3:
            best = max(best, (n * np.log(excess) - n + n / excess, coarse))
    return best[1]


def mixed_rounding(column, coarse):
    """That part of the values is rounded more, and what to do: a sentence, or none."""
    if not coarse:
        return ""
    n = column.count[multiples(column, coarse)].sum()
    return (
        f"{n:,.0f} of the {column.size:,} values are multiples of {coarse:g} and the "
        "others are written finer, which makes heaps that look like clusters: round "
        f"all to multiples of {coarse:g}."
    )


def narrow_clusters(draws, column):
    """Names of clusters that are as narrow as the resolution lets them be."""
    sd = draws["sd"].broadcast_like(draws["p"]).median(["chain", "draw"])
    return [str(i) for i in np.flatnonzero(sd < 1.2 * column.narrowest)]


def width_of_ties(narrow, column):
    """Which widths are the resolution's: a sentence, or none."""
    if not narrow:
        return ""
    clusters = f"cluster{'s' * (len(narrow) > 1)} {joined(narrow)}"
    return (
        f"The sd of {clusters} is the resolution's and not the data's: narrower than "
        f"{column.narrowest:.3g} the values could not tell it."
    )


def least_bic(x, count, narrowest, most=4):
    """The smallest BIC of up to `most` normal groups, and their number, by EM."""
    size, best = count.sum(), (np.inf, 0)
    share = (count.cumsum() - count / 2) / size
    for k in range(1, most + 1):
        held = (np.floor(k * share) == np.arange(k)[:, None]) * count
        for _ in range(100):
            total = held.sum(axis=1, keepdims=True) + 1e-9
            mean = held @ x[:, None] / total
            square = (held * (x - mean) ** 2).sum(axis=1, keepdims=True) / total
            variance = np.maximum(square, narrowest**2)
            terms = np.log(total / size) - np.log(2 * np.pi * variance) / 2
            terms = terms - (x - mean) ** 2 / variance / 2
            density = np.logaddexp.reduce(terms, axis=0)
            held = np.exp(terms - density) * count
        best = min(best, ((3 * k - 1) * np.log(size) - 2 * density @ count, k))
    return best


def logarithms(column):
    """That fewer groups describe the logarithms better: a sentence, or none."""
    value, count = column.values, column.count
    if column.low <= 0 or value[0] <= 0:
        return ""
    plain, number = least_bic(value, count, column.narrowest)
    narrowest = column.narrowest / column.quantile(0.1)
    logarithmic, fewer = least_bic(np.log(value), count, narrowest, number)
    logarithmic += 2 * count @ np.log(value)
    if fewer == number or logarithmic > plain - 10:
        return ""
    groups = f"{fewer} normal group{'s' * (fewer > 1)}"
    return (
        f"All values are positive, and {groups} would describe their logarithms "
        "better: fit those."
    )
