"""What draws of a mixture say at values: terms, names, densities, memberships."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .data import places_to_look
from .model import TINY

ENDS = 0.03, 0.97  # of intervals
ASSIGNED = 1.5e6  # pairs of a cluster and a name that take about half a second


def thinned(draws, most=1_000):
    """At most so many of the draws, evenly, of all chains together."""
    chains, length = draws["p"].shape[:2]
    return draws.isel(draw=slice(None, None, -(-chains * length // most)))


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
    at = xr.DataArray(np.asarray(values, dtype=float), dims="value")
    with np.errstate(divide="ignore"):
        terms: xr.DataArray = np.log(p / sd) - ((means - at) / sd) ** 2 / 2
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


def relabeled(draws, at):
    """Draws with clusters named by membership, and the names in the order of the means.

    Of each draw the clusters take the order that is nearest to the average membership
    of the values `at`, so that clusters of one mean and other widths stay apart: the
    algorithm of Stephens, by squared distances instead of Kullback-Leibler divergences.
    Sources: Stephens (2000), doi:10.1111/1467-9868.00265; Rodríguez and Walker (2014),
    doi:10.1080/10618600.2012.735624.
    """
    membership = shares(log_components(at, draws).values).astype(np.float32)
    membership = membership.reshape(-1, *membership.shape[2:])
    average, few = membership[-1], membership[:: 1 + len(membership) // 1_000]
    # rounds over all draws take long, and few of them find nearly the same average
    for used in (few, membership):
        for _ in range(int(np.clip(ASSIGNED / len(used) / len(average) ** 2, 1, 30))):
            order, before = nearest_order(used, average), average
            average = np.take_along_axis(used, order[..., None], 1).mean(axis=0)
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
    terms = log_components(places_to_look(column), draws)
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
            different, back = np.unique(values[beyond], return_inverse=True)
            answer[beyond] = membership(different, draws, measured)[back]
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
