"""What draws of a mixture say at values: terms, names, densities, memberships."""

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

from .data import places_to_look
from .model import TINY

ENDS = 0.03, 0.97  # of intervals


def thinned(draws, most=1_000):
    """At most so many of the draws, evenly, of all chains together."""
    chains, length = draws["p"].shape[:2]
    return draws.isel(draw=slice(None, None, -(-chains * length // most)))


def log_components(values, draws):
    """log(p[j] Normal(value | means[j], sd[j])) of draws, (samples, clusters, values).

    draws : p, means and sd as of `gibbs`, in any number of chains
    """
    p, means, sd = (draws[name].values for name in ("p", "means", "sd"))
    sd = np.broadcast_to(sd if sd.ndim == p.ndim else sd[..., None], p.shape)
    p, means, sd = (x.reshape(-1, p.shape[-1], 1) for x in (p, means, sd))
    with np.errstate(divide="ignore"):
        terms = np.log(p / sd) - ((values - means) / sd) ** 2 / 2
    return np.where(np.isnan(p), -np.inf, terms - np.log(2 * np.pi) / 2)


def shares(terms):
    """Probability of each cluster, from `log_components`."""
    terms = np.exp(terms - terms.max(axis=1, keepdims=True))
    return terms / terms.sum(axis=1, keepdims=True)


def relabeled(draws, at, rounds=30):
    """Draws with clusters named by membership, and the names in the order of the means.

    Of each draw the clusters take the order that is nearest to the average membership
    of some values `at`, so that clusters of one mean and other widths stay apart.
    Sources: Stephens (2000), doi:10.1111/1467-9868.00265; Rodríguez and Walker (2014),
    doi:10.1080/10618600.2012.735624.
    """
    membership = shares(log_components(at, draws)).astype(np.float32)
    average = membership[-1]
    for _ in range(rounds):
        away = (average**2).sum(axis=1) + (membership**2).sum(axis=2)[..., None]
        away -= 2 * membership @ average.T  # (draws, cluster of the draw, name)
        order = away.argmin(axis=1)
        clear = (np.sort(order, axis=1) == np.arange(len(average))).all(axis=1)
        for i in np.flatnonzero(~clear):
            order[i] = linear_sum_assignment(away[i].T)[1]
        before = average
        average = np.take_along_axis(membership, order[..., None], 1).mean(axis=0)
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
    each = np.logaddexp.reduce(log_components(places_to_look(column), draws), axis=1)
    each = np.maximum(each, np.log(TINY)).reshape(*draws["p"].shape[:2], -1)
    return xr.DataArray(each, dims=("chain", "draw", "value"))


def membership_function(fit, measured, most=3_000):
    """Membership probability of values, (n,) to (n, clusters), NaN where missing.

    Of a measured value the probabilities of the draws are averaged; of another one the
    draws that expect such a value have more say. Of more than `most` different values
    the probabilities are interpolated between the places of the column.
    """
    draws = thinned(fit.draws)
    even = np.linspace(fit.column.low, fit.column.high, most // 3)
    grid = np.union1d(fit.column.values, even)

    def exactly(values):
        terms = log_components(values, draws)
        if measured:
            return shares(terms).mean(axis=0).T
        each = np.exp(terms - terms.max(axis=(0, 1))).mean(axis=0)
        return (each / each.sum(axis=0)).T

    def function(values):
        values = np.asarray(values, dtype=float)
        different, back = np.unique(values, return_inverse=True)
        many = different.size > most
        at = grid if many else different
        pieces = np.array_split(at, 1 + at.size // 300)  # to save memory
        each = np.concatenate([exactly(piece) for piece in pieces])
        if not many:
            return each[back]
        return np.stack([np.interp(values, grid, x) for x in each.T], axis=1)

    return function
