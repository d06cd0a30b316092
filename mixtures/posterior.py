"""What draws of a mixture say at values: terms, names, densities, memberships."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .data import representatives
from .model import TINY

ENDS = 0.03, 0.97  # of intervals
ASSIGNED = 1.5e6  # pairs of a cluster and a name that take about half a second


def thinned(draws, most=1_000):
    """About so many of the draws at most, evenly, of all chains together.

    Thinned again they stay as they are, so that a fit that was saved says the same.
    """
    chains, length = draws["p"].shape[:2]
    return draws.isel(draw=slice(None, None, 1 + chains * (length - 1) // most))


def log_components(values: Any, draws: xr.Dataset) -> xr.DataArray:
    """log(p[j] Normal(value | means[j], sd[j])) at values, for each draw.

    The density of the mixture is the sum of their exponentials over the clusters, and
    the probability of a cluster, given a value and a draw, is its share of that sum.

    Parameters
    ----------
    values : array-like, (n,)
        In the data's units.
    draws : xarray.Dataset
        p, means and sd with dims chain, draw and cluster, as of `gibbs` or in the
        posterior group of PyMC; sd may be one for all clusters.

    Returns
    -------
    xarray.DataArray
        With dims chain, draw, cluster and value; minus infinity for clusters that a
        draw has not.
    """
    p, means, sd = draws["p"], draws["means"], draws["sd"]
    x = xr.DataArray(np.asarray(values, dtype=float), dims="value")
    with np.errstate(divide="ignore"):
        terms: xr.DataArray = np.log(p / sd) - ((means - x) / sd) ** 2 / 2
    terms = terms.where(p.notnull(), -np.inf) - np.log(2 * np.pi) / 2
    return terms.transpose("chain", "draw", "cluster", "value")


def shares(terms: np.ndarray) -> np.ndarray:
    """Probability of each cluster, from values of `log_components`."""
    terms = np.exp(terms - terms.max(axis=-2, keepdims=True))
    return terms / terms.sum(axis=-2, keepdims=True)


def nearest_order(membership, average):
    """The order of each draw's clusters that is nearest to an average membership.

    membership : (draws, clusters, values); average : (clusters, values)
    Returns the cluster of the draw that takes each name, (draws, clusters).
    """
    from scipy.optimize import linear_sum_assignment

    away = (average**2).sum(axis=1) + (membership**2).sum(axis=2)[..., None]
    away -= 2 * membership @ average.T  # (draws, cluster of the draw, name)
    order = away.argmin(axis=1)
    clear = (np.sort(order, axis=1) == np.arange(len(average))).all(axis=1)
    for i in np.flatnonzero(~clear):
        order[i] = linear_sum_assignment(away[i].T)[1]
    return order


def relabeled(draws, values):
    """Draws with clusters named by membership, and the names in the order of the means.

    Of each draw the clusters take the order that is nearest to the average membership
    of the values, so that clusters of one mean and other widths stay apart: the
    algorithm of Stephens, by squared distances instead of Kullback-Leibler divergences.
    Sources: Stephens (2000), doi:10.1111/1467-9868.00265; Rodríguez and Walker (2014),
    doi:10.1080/10618600.2012.735624.
    """
    membership = shares(log_components(values, draws).values).astype(np.float32)
    membership = membership.reshape(-1, *membership.shape[2:])
    average, subset = membership[-1], membership[:: 1 + len(membership) // 1_000]
    # rounds over all draws take long, and few of them find nearly the same average
    for x in (subset, membership):
        for _ in range(int(np.clip(ASSIGNED / len(x) / len(average) ** 2, 1, 30))):
            order, before = nearest_order(x, average), average
            average = np.take_along_axis(x, order[..., None], 1).mean(axis=0)
            if np.abs(average - before).max() < 1e-4:
                break
    means = np.take_along_axis(draws["means"].values.reshape(order.shape), order, 1)
    order = order[:, means.mean(axis=0).argsort()].reshape(draws["means"].shape)
    named = {x: draws[x] for x in ("p", "means", "sd") if draws[x].ndim == 3}
    for name, x in named.items():
        named[name] = x.copy(data=np.take_along_axis(x.values, order, 2))
    return draws.assign(named)


def log_density(draws, column):
    """The log density at values all over a column, which needs no names of clusters.

    Returns an xarray.DataArray with dims chain, draw and value.
    """
    terms = log_components(representatives(column), draws)
    density = np.maximum(np.logaddexp.reduce(terms.values, axis=2), np.log(TINY))
    return xr.DataArray(density, dims=("chain", "draw", "value"))


def membership(values: np.ndarray, draws: xr.Dataset, measured: bool) -> np.ndarray:
    """Membership probability of values, (n,) to (n, clusters).

    Of a measured value the probabilities of the draws are averaged; of another one the
    draws that expect such a value have more say.
    """
    pieces = []
    for piece in np.array_split(values, 1 + values.size // 300):  # to save memory
        terms = log_components(piece, draws).values
        if measured:
            pieces.append(shares(terms).mean(axis=(0, 1)).T)
        else:
            expected = np.exp(terms - terms.max(axis=(0, 1, 2))).mean(axis=(0, 1))
            pieces.append((expected / expected.sum(axis=0)).T)
    return np.concatenate(pieces)


def membership_function(fit, measured, largest_difference=0.01):
    """A function of values, (n,), that gives their `membership`, NaN where missing.

    In the range of the column it interpolates between values that lie so near that
    their memberships hardly differ, so the answer is the same whatever else is asked.
    """
    draws, low, high = thinned(fit.draws), fit.column.low, fit.column.high
    nodes = np.union1d(fit.column.values, np.linspace(low, high, 1_000))
    table = membership(nodes, draws, measured)
    for _ in range(20):
        difference = np.abs(np.diff(table, axis=0)).max(axis=1)
        steep = 1 + np.flatnonzero(difference > largest_difference)
        if not steep.size:
            break
        between = (nodes[steep - 1] + nodes[steep]) / 2
        table = np.insert(table, steep, membership(between, draws, measured), axis=0)
        nodes = np.insert(nodes, steep, between)

    def function(values):
        values = np.asarray(values, dtype=float)
        answer = np.stack([np.interp(values, nodes, x) for x in table.T], axis=1)
        beyond = (values < low) | (values > high)
        if beyond.any():
            distinct, back = np.unique(values[beyond], return_inverse=True)
            answer[beyond] = membership(distinct, draws, measured)[back]
        return answer

    return function


def togetherness(values: np.ndarray, draws: xr.Dataset, measured: bool) -> np.ndarray:
    """Probability that two values share a cluster, (n,) to (n, n).

    Of measured values the probabilities of the draws are averaged; of others the draws
    that expect such a pair have more say.
    """
    terms = log_components(values, draws).values
    if measured:
        share = shares(terms)
        return np.einsum("cskv,cskw->vw", share, share) / share[..., 0, 0].size
    component = np.exp(terms - terms.max(axis=(0, 1, 2)))
    density = component.sum(axis=2)
    same = np.einsum("cskv,cskw->vw", component, component)
    return same / np.maximum(np.einsum("csv,csw->vw", density, density), TINY)


def with_interval(title: str, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Means over draws, (draws, ...), and the ends of their intervals, by title."""
    table = {title: draws.mean(axis=0)}
    for q in ENDS:
        table[f"{title} {100 * q:.0f} %"] = np.quantile(draws, q, axis=0)
    return table


def density_table(values: np.ndarray, draws: xr.Dataset) -> pd.DataFrame:
    """The density at values, (n,), and that of each cluster, with their intervals."""
    tables = []
    for piece in np.array_split(values, 1 + values.size // 300):  # to save memory
        curves = np.concatenate(np.exp(log_components(piece, draws).values))
        table = with_interval("density", curves.sum(axis=1))
        for j in range(curves.shape[1]):
            table |= with_interval(f"cluster {j}", curves[:, j])
        tables.append(pd.DataFrame(table, pd.Index(piece, name="value")))
    return pd.concat(tables)


def by_draw(draws: xr.Dataset, least: float = 0.0) -> list[np.ndarray]:
    """Weights, means and widths of all chains, (draws, clusters) each.

    A cluster that a draw has not, or of a weight under the least, has none there, and
    mean and width of the heaviest.
    """
    dims, k = ("chain", "draw", "cluster"), draws.sizes["cluster"]
    arrays = xr.broadcast(draws["p"], draws["means"], draws["sd"])
    p, *others = (x.transpose(*dims).values.reshape(-1, k) for x in arrays)
    p = np.nan_to_num(p)
    heaviest = p.argmax(axis=1)[:, None]
    p = np.where(p < np.minimum(least, p.max(axis=1, keepdims=True)), 0, p)
    of_heaviest = (np.take_along_axis(x, heaviest, 1) for x in others)
    return [p, *(np.where(p > 0, x, y) for x, y in zip(others, of_heaviest))]


def new_values(draws: xr.Dataset, n: int, rng: np.random.Generator) -> np.ndarray:
    """Values that the mixture would make, (n,), each of a draw of its own."""
    p, means, sd = by_draw(draws)
    draw = rng.integers(len(p), size=n)
    below = p[draw].cumsum(axis=1)
    cluster = (rng.random((n, 1)) * below[:, -1:] > below).sum(axis=1)
    return rng.normal(means[draw, cluster], sd[draw, cluster])


def equally_probable(p, means, sd) -> np.ndarray:
    """Where two clusters are equally probable between their means, (draws,), or NaN.

    p, means, sd : (draws, 2) each
    """

    def first_is_likelier(x):
        terms = np.log(p / sd) - ((x[:, None] - means) / sd) ** 2 / 2
        return terms[:, 0] > terms[:, 1]

    low, high = means.T
    with np.errstate(divide="ignore"):
        exists = first_is_likelier(low) & ~first_is_likelier(high)
        for _ in range(60):  # the odds fall all the way from one mean to the other
            middle = (low + high) / 2
            first = first_is_likelier(middle)
            low, high = np.where(first, middle, low), np.where(first, high, middle)
    return np.where(exists, high, np.nan)


def thresholds(draws: xr.Dataset) -> pd.DataFrame:
    """Where neighbors are equally probable, a row a pair, with intervals.

    Of the draws that have such a place, whose share is told; blank if it is under half.
    """
    rows = {}
    arrays = by_draw(draws)
    for j in range(arrays[0].shape[1] - 1):
        places = equally_probable(*(x[:, j : j + 2] for x in arrays))
        exists = np.isfinite(places)
        places = places[exists] if exists.mean() >= 0.5 else np.array([np.nan])
        row = with_interval("threshold", places) | {"share of draws": exists.mean()}
        rows[f"{j} and {j + 1}"] = row
    columns = [*with_interval("threshold", np.zeros(1)), "share of draws"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("clusters")


def number_of_peaks(p, means, sd) -> np.ndarray:
    """How often the slope of the density turns down, (draws,).

    It is looked at every sixteenth of a width all over each cluster.

    p, means, sd : (draws, clusters) each
    """
    x = means[..., None] + sd[..., None] * np.linspace(-4, 4, 129)
    x = np.sort(x.reshape(len(p), -1), axis=1)[..., None]
    sd = sd[:, None]
    z = (means[:, None] - x) / sd  # (draws, points, clusters)
    with np.errstate(divide="ignore"):
        terms = np.log(p[:, None] / sd) - z**2 / 2
    terms = np.exp(terms - terms.max(axis=2, keepdims=True))
    rises = (terms * z / sd).sum(axis=2) > 0
    return (rises[:, :-1] & ~rises[:, 1:]).sum(axis=1)


def peaks_table(draws: xr.Dataset, size: int) -> pd.DataFrame:
    """The probability of each number of peaks; size : number of values."""
    arrays = by_draw(draws, least=1 / size)  # what holds no value makes no peak
    pieces = (np.array_split(x, 1 + len(x) // 100) for x in arrays)  # to save memory
    number = np.concatenate([number_of_peaks(*piece) for piece in zip(*pieces)])
    index = pd.RangeIndex(1, number.max() + 1, name="peaks")
    share = np.bincount(number)[1:] / number.size
    return pd.DataFrame({"probability": share}, index)
