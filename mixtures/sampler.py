"""A sampler of mixtures of normal distributions: many chains at once, in NumPy.

A sweep draws categories, number, weights, means and widths from their full conditionals
(Diebolt and Robert 1994, doi:10.1111/j.2517-6161.1994.tb01985.x; the number by the
telescoping sampler of Frühwirth-Schnatter, Malsiner-Walli and Grün 2021,
doi:10.1214/21-BA1294). Where that moves slowly it also splits and merges clusters, the
categories summed out (Richardson and Green 1997, doi:10.1111/1467-9868.00095).

Everything is in standard units. Chains come first: p, means and sd are (chains, k), and
a chain that has fewer clusters than others has weights of zero at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln

from .data import PLACES, as_column, refuse
from .jumps import Jumps
from .model import (
    TINY,
    WIDTH_SHAPE,
    Model,
    State,
    as_dataset,
    drawn_index,
    log_likelihood,
    log_terms,
    model_of,
    prior_of,
    resized,
    truncated_gamma,
)

if TYPE_CHECKING:
    import xarray as xr

MOVES = 2  # splits and merges a sweep: a compromise between columns
LOOK = 300  # sweeps in which chains of a known number split and merge, too
SMALL_PART, GROWS = 300, 400  # values at first, sweeps of tuning until it has all
# A split proposes how far the part lies from the whole, in standard deviations, and the
# log of its variance over that of the whole: normal with this sd and with this mean.
DISTANCE_SD, LOG_VARIANCE_MEAN = 1.5, -0.7


def draw_categories(model, state, rng):
    """Draw the category of every point; what clusters then hold, each (chains, k).

    Returns count, sum, and sum of squared distances from the present means.
    """
    weight, square = log_terms(model, state.p, state.means, state.sd)
    weight -= weight.max(axis=1, keepdims=True)
    if model.single:  # float32: half the bytes; one uniform number a point
        weight = np.exp(weight.astype(np.float32))
        for j in range(1, weight.shape[1]):
            weight[:, j] += weight[:, j - 1]
        shape = (len(weight), 1, weight.shape[2])
        u = rng.random(shape, dtype=np.float32) * weight[:, -1:]
        below = (u < weight).view(np.int8)
        held = np.diff(below, axis=1, prepend=np.int8(0)).astype(float)
    else:
        weight = np.exp(weight).swapaxes(1, 2)
        weight /= weight.sum(axis=2, keepdims=True)
        count = model.count.astype(np.int64)
        held = rng.multinomial(count, weight).astype(float).swapaxes(1, 2)
    total = (held @ model.z[..., None])[..., 0]
    return held.sum(axis=2), total, np.einsum("ckm,ckm->ck", held, square)


def draw_number(model, state, sums, beta, rng):
    """Draw the number of clusters given the partition; occupied clusters come first.

    sums : of `draw_categories`; beta : (chains, 1), of the prior of own widths
    Returns the state, with surplus clusters drawn from their prior, and the sums.
    """
    prior = model.prior
    order = np.argsort(sums[0] == 0, axis=1, kind="stable")
    state = state.taken(order)
    sums = [np.take_along_axis(x, order, 1) for x in sums]
    occupied, k = (sums[0] > 0).sum(axis=1), np.arange(1, prior.largest + 1)
    alpha, held = prior.concentration, sums[0][:, : occupied.max(), None]
    log_p = np.where(held > 0, gammaln(held + alpha), gammaln(alpha)).sum(axis=1)
    log_p += (k - occupied.max()) * gammaln(alpha) - gammaln(model.size + k * alpha)
    surplus = k - occupied[:, None]
    log_p += prior.log_number - gammaln(np.maximum(surplus, 0) + 1)
    if prior.own_widths:  # that a surplus cluster's width is over the floor
        log_p += np.maximum(surplus, 0) * np.log(prior.share_over_floor(beta))
    log_p = np.where(surplus >= 0, log_p, -np.inf)
    weights = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    number = 1 + drawn_index(rng, weights)
    state = replace(state, number=number).resized(number.max())
    sums = [resized(x, number.max()) for x in sums]
    if prior.own_widths:
        shape = np.full(state.p.shape, WIDTH_SHAPE)
        drawn = truncated_gamma(rng, shape, beta, 0, prior.floor**-2)
        state.sd = np.where(sums[0] == 0, 1 / np.sqrt(drawn + TINY), state.sd)
    else:
        state.sd = np.repeat(state.sd[:, :1], number.max(), axis=1)
    return state, sums


def draw_widths(model, count, squares, beta, rng):
    """Draw widths, (chains, k), from counts and squares about the means."""
    prior = model.prior
    low, high = (0 if prior.own_widths else prior.widest**-2), prior.floor**-2
    if prior.own_widths:
        shape, rate = WIDTH_SHAPE + count / 2, beta + squares / 2
    else:
        shape, rate = (model.size - 1) / 2, squares.sum(axis=1, keepdims=True) / 2
    inverse = truncated_gamma(rng, shape, np.maximum(rate, TINY), low, high)
    return 1 / np.sqrt(np.maximum(inverse, TINY)) * np.ones_like(squares)


def sweep(model: Model, state: State, rng: np.random.Generator) -> State:
    """One sweep over all full conditionals."""
    prior, exists, beta = model.prior, state.exists, None
    count, total, square = draw_categories(model, state, rng)
    if prior.own_widths:
        shape, rate = prior.rate_of_widths(state.sd, exists, state.number[:, None])
        beta = rng.standard_gamma(shape) / rate
    if prior.unknown:
        sums = (count, total, square)
        state, (count, total, square) = draw_number(model, state, sums, beta, rng)
    p, old, sd, exists = state.p, state.means, state.sd, state.exists
    # Weights
    alpha = prior.concentration[state.number - 1, None]
    gamma = np.maximum(rng.standard_gamma(alpha + count), TINY) * exists
    gamma /= gamma.sum(axis=1, keepdims=True)
    smallest = np.where(exists, gamma, 1).min(axis=1, keepdims=True)
    p = np.where(smallest >= prior.min_weight, gamma, p)
    # Means
    precision = count / sd**2 + 1 / prior.scale**2
    means = (total / sd**2 + prior.center / prior.scale**2) / precision
    means += rng.standard_normal(means.shape) / np.sqrt(precision)
    # Widths: squares about the old means become those about the new ones
    moved = means - old
    squares = square - 2 * moved * (total - count * old) + count * moved**2
    sd = draw_widths(model, count, np.maximum(squares, 0), beta, rng)
    return State(p, means, sd, state.number, count > 0)


def pairs(x):
    """The probability that two clusters are picked to merge; near ones are preferred.

    x : weights, means and variances, (3, chains, k)
    Returns an array of shape (chains, k, k), in which each pair stands twice.
    """
    gap, exists = (x[1, :, :, None] - x[1, :, None]) ** 2, x[0] > 0
    near = 0.01 + np.exp(gap / -2 / (x[2, :, :, None] + x[2, :, None]))
    near *= exists[:, :, None] & exists[:, None] & ~np.eye(x.shape[2], dtype=bool)
    return 2 * near / np.maximum(near.sum(axis=(1, 2), keepdims=True), TINY)


def propose(x, number, pair, grow, own_widths, rng):
    """Split a cluster in the chains in which `grow`, merge two in the others.

    A part leaves a cluster, or is taken up by a heavier one. The two keep the weight,
    mean and variance of the whole, or the variance of all clusters if it is one.
    x : weights, means and variances, (3, chains, k), with room for another cluster
    pair : `pairs` of x
    Returns the new x, its pairs and the logarithm of the ratio of proposals.
    """
    rows, (_, chains, k) = np.arange(x.shape[1]), x.shape
    # a and b: where the part and the rest are; a split takes the first free place
    i, j = np.divmod(drawn_index(rng, pair.reshape(chains, k * k)), k)
    lighter = x[0, rows, i] < x[0, rows, j]
    split = np.minimum(number, k - 1), drawn_index(rng, x[0])
    a, b = np.where(grow, split, np.where(lighter, [i, j], [j, i]))
    part, (weight, mean, variance) = x[:, rows, a], x[:, rows, b]
    weight = np.where(grow, weight, weight + part[0])
    share = np.where(grow, rng.random(chains) ** 2 / 2, part[0] / weight)
    middle = np.where(grow, mean, share * part[1] + (1 - share) * mean)
    away = rng.normal(0, DISTANCE_SD, chains) * np.sqrt(variance)
    away = np.where(grow, away, part[1] - middle)
    between = share / (1 - share) * away**2
    if own_widths:
        total = share * part[2] + (1 - share) * variance + between
    else:
        total = variance + weight * between
    total = np.where(grow, variance, total)
    size = rng.normal(LOG_VARIANCE_MEAN, 1, chains)
    size = np.where(grow, size, np.log(part[2] / total))
    widths = 2 * [total - weight * between]
    if own_widths:
        width = total * np.exp(size)
        widths = width, (total - share * width - between) / (1 - share)
    part = share * weight, middle + away, widths[0]
    rest = (1 - share) * weight, middle - share / (1 - share) * away, widths[1]
    new = x.copy()
    new[:, rows, b] = np.where(grow, rest, [weight, middle, total])
    new[:, rows, a] = np.where(grow, part, new[:, rows, number - 1])
    new[:, rows[~grow], number[~grow] - 1] = [[0], [0], [1]]
    if not own_widths:
        new[2] = np.where(grow, widths[0], total)[:, None]
    new_pair = pairs(new)
    log_ratio = np.log(np.where(grow[:, None, None], new_pair, pair)[rows, a, b])
    log_ratio += log_split_ratio(own_widths, share, away, total, size)
    return new, new_pair, np.where(grow, 1, -1) * log_ratio


def log_split_ratio(own_widths, share, away, total, size):
    """Jacobian of a split over the density of what it draws: its logarithm, (chains,).

    share, away : of the part, its share of the weight and its distance from the whole
    total : variance of the whole; size : logarithm of the part's variance over it
    """
    distance = away / np.sqrt(total)
    log_ratio = np.log(2 * share * total) / 2 - np.log(1 - share)
    log_ratio += (distance / DISTANCE_SD) ** 2 / 2
    log_ratio += np.log(DISTANCE_SD * np.sqrt(2 * np.pi))
    if own_widths:
        log_ratio += (size - LOG_VARIANCE_MEAN) ** 2 / 2 + np.log(np.sqrt(2 * np.pi))
        log_ratio += np.log(total) + size - np.log(1 - share)
    return log_ratio


def split_and_merge(model: Model, state: State, moves: int, rng) -> State:
    """Moves of all chains: a split or a merge, or one after the other if k is known."""
    prior, number = model.prior, state.number
    own_widths, all_chains = prior.own_widths, np.ones(len(number), bool)
    state = state.resized(min(number.max() + moves, prior.largest))
    x = np.array([state.p, state.means, state.sd**2])

    def log_target(x, number):
        state = x[0], x[1], np.sqrt(x[2])
        return log_likelihood(model, *state) + prior.log_density(*state, number)

    with np.errstate(all="ignore"):
        value, pair = log_target(x, number), pairs(x)
        for _ in range(moves):
            if prior.unknown:
                grow = rng.random(len(number)) < 0.5
                new, new_pair, log_ratio = propose(
                    x, number, pair, grow, own_widths, rng
                )
                other = number + np.where(grow, 1, -1)
            else:
                merged, new_pair, log_ratio = propose(
                    x, number, pair, ~all_chains, own_widths, rng
                )
                new, new_pair, log_ratio_of_split = propose(
                    merged, number - 1, new_pair, all_chains, own_widths, rng
                )
                log_ratio += log_ratio_of_split
                other = np.where(number > 1, number, 0)
            possible = (other > 0) & (other <= prior.largest)
            other = np.where(possible, other, number)
            after = log_target(new, other)
            odds = after - value + log_ratio
            accept = possible & (np.log(rng.random(len(number))) < odds)
            number = np.where(accept, other, number)
            value = np.where(accept, after, value)
            x = np.where(accept[:, None], new, x)
            pair = np.where(accept[:, None, None], new_pair, pair)
    return State(x[0], x[1], np.sqrt(x[2]), number).resized(number.max())


def starting_state(model: Model, chains: int, rng: np.random.Generator) -> State:
    """Clusters of the places that are nearest to drawn ones, others in every chain.

    Those are drawn far from each other, as in k-means++ (Arthur and Vassilvitskii 2007,
    doi:10.5555/1283383.1283494). Chains start from every number of clusters that the
    prior allows, one after another.
    """
    prior, number = model.prior, np.resize(model.prior.numbers, chains)
    clusters = np.arange(number.max())
    exists = clusters < number[:, None]
    shape, rows = (chains, model.z.shape[1]), np.arange(chains)
    z, count, variance = (
        np.broadcast_to(x, shape) for x in (model.z, model.count, model.variance)
    )
    nearest, away, weight = np.zeros(shape, int), np.full(shape, np.inf), count
    for j in clusters:
        square = (z - z[rows, drawn_index(rng, weight)][:, None]) ** 2
        square[~exists[:, j]] = np.inf
        nearest[square < away] = j
        away = np.minimum(away, square)
        weight = away * count
    held = (nearest[:, None] == clusters[:, None]) * count[:, None]
    held = held + 1e-9  # an empty cluster begins where all points are
    total = held.sum(axis=2)
    means = (held * z[:, None]).sum(axis=2) / total
    square = (z[:, None] - means[..., None]) ** 2 + variance[:, None]
    sd = np.sqrt((held * square).sum(axis=2) / total)
    sd = np.maximum(sd, 0.05 / number[:, None])
    share = exists * (1 / number[:, None] if prior.min_weight else total / model.size)
    if not prior.own_widths:
        sd = np.sqrt((share * sd**2).sum(axis=1, keepdims=True)) * np.ones_like(sd)
        sd = np.minimum(sd, prior.widest / 2)
    sd = np.where(exists, np.maximum(sd, 1.01 * prior.floor), 1)
    return State(np.where(exists, np.maximum(share, TINY), 0), means, sd, number)


def step(model: Model, state: State, moves: int, rng: np.random.Generator) -> State:
    """What chains do between two draws.

    To sample in another way, put another function in its place.
    """
    if moves:
        state = split_and_merge(model, state, moves, rng)
    with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
        return sweep(model, state, rng)


class Chains:
    """Chains of one mixture that go on from where they stand.

    They split and merge while they look for their place, and of an unknown number of
    clusters always.
    """

    def __init__(self, model: Model, chains: int, rng, ordered=True, jumps=False):
        self.model, self.rng, self.ordered = model, rng, ordered
        self.state, self.interrupted = starting_state(model, chains, rng), False
        known = not model.prior.unknown and model.prior.largest > 1
        self.jumps = Jumps(model, chains) if jumps and ordered and known else None

    def part_of_values(self, i: int) -> Model:
        """The model of a random part of many values, in sweep i of tuning.

        Clusters of few values split and merge, of many they hardly do; so tuning begins
        with few, as in Chopin (2002), doi:10.1093/biomet/89.3.539.
        """
        size = self.model.size.max()
        if i >= GROWS or size <= SMALL_PART or not self.model.prior.unknown:
            return self.model
        share = (SMALL_PART / size) ** (1 - (i / GROWS) ** 1.5)
        count = self.rng.binomial(self.model.count.astype(np.int64), share)
        return replace(self.model, count=count)

    def draw(self, sweeps: Iterable, tuning: bool = False) -> list:
        """The states of all chains, one a sweep; interrupted, those that were drawn."""
        draws, self.interrupted, jumps = [], True, self.jumps
        with suppress(KeyboardInterrupt):
            for i, _ in enumerate(sweeps):
                looking = tuning and i < LOOK
                model = self.part_of_values(i) if tuning else self.model
                moves = MOVES if model.prior.unknown else looking * (i % 2)
                moves *= not (jumps and jumps.trial)
                state = step(model, self.state, moves, self.rng)
                state = state.sorted() if self.ordered else state
                if jumps:
                    state = jumps(self.state, state, tuning, self.rng)
                self.state = state
                draws.append(state)
            self.interrupted = False
        return draws


def with_bar(sweeps, description):
    """So many sweeps, with a bar if they take long."""
    from tqdm import tqdm

    return tqdm(range(sweeps), description, delay=3, mininterval=0.5, leave=False)


def gibbs(
    data: Any,
    k: Any,
    priors: dict[str, float] | None = None,
    own_widths: bool = True,
    min_weight: float = 0,
    concentration: Any = 1,
    *,
    chains: int = 32,
    draws: int = 2_500,
    tune: int = 700,
    ordered: bool = True,
    jumps: bool = True,
    places: int = PLACES,
    random_seed: Any = 8927,
) -> xr.Dataset:
    """Sample a mixture of normal distributions from its full conditionals.

    Parameters
    ----------
    data : array-like or Dask collection, (n,)
        A column of numbers without missing values: array, list, Series, or a Dask array
        or column, which is read once.
    k : int or sequence of float
        The number of clusters, or the prior probabilities of 1, 2, … clusters.
    priors : dict, optional
        center and scale of the normal prior of the means, and widest, the largest
        width, in the data's units. Without them they follow from the range R of data,
        as the middle, R and R.
    own_widths : bool
        A width for each cluster, with the prior of Richardson and Green (1997), 1 / sd²
        ~ Gamma(2, beta), beta ~ Gamma(0.2, 10 / widest²), or one width ~ Uniform(0,
        widest). No width is under 0.7 steps, of those in which the values are written.
    min_weight : float
        The smallest weight that a cluster may have.
    concentration : float or sequence of float
        Of the Dirichlet prior of the weights, one or one for each number.
    chains, draws, tune : int
        How many; draws that are returned, and sweeps before them that are forgotten: of
        an unknown number the first on a part of many values that grows.
    ordered : bool
        Whether to sort the clusters of each draw by their means.
    jumps : bool
        Whether to propose whole states learned while tuning, where that pays, too: of
        a known number of clusters, and ordered.
    places : int
        About how many values are told apart, see `as_column`.
    random_seed : int
        The same seed gives the same draws.

    Returns
    -------
    xarray.Dataset
        Draws with dims chain, draw, cluster, in the data's units: p, means and sd, and
        if the number is unknown k and occupied, the number of clusters and of those
        that hold points; of clusters that a draw has not, the rest is NaN. Its
        attributes are points, places, step, sampling_time in seconds, jumps a sweep and
        refused, the most draws in a row in which a chain refused all jumps.
        Interrupted, it has what was drawn. ArviZ from 1.0 on takes it as
        `arviz.convert_to_datatree(draws)`.

    Raises
    ------
    ValueError
        With what to do, for data or arguments that cannot be sampled.

    References
    ----------
    Diebolt and Robert (1994), doi:10.1111/j.2517-6161.1994.tb01985.x; for the number
    Frühwirth-Schnatter, Malsiner-Walli and Grün (2021), doi:10.1214/21-BA1294, with
    moves of Richardson and Green (1997), doi:10.1111/1467-9868.00095.
    """
    begin = time.perf_counter()
    limits = dict(chains=(chains, 2), draws=(draws, 1), tune=(tune, 0))
    for name, (value, least) in (limits | dict(places=(places, 10))).items():
        whole = isinstance(value, (int, np.integer)) and value >= least
        refuse(not whole, f"{name} = {value}: give a whole number from {least}.")
    column, rng = as_column(data, places), np.random.default_rng(random_seed)
    prior = prior_of(column, k, priors, own_widths, min_weight, concentration)
    sampler = Chains(model_of(column, prior), chains, rng, ordered, jumps)
    sampler.draw(with_bar(tune, "tuning"), tuning=True)
    states = [] if sampler.interrupted else sampler.draw(with_bar(draws, "sampling"))
    if not states:
        raise KeyboardInterrupt("stopped before the first draw")
    if len(states) < draws:
        print(f"stopped after {len(states):,} of {draws:,} draws a chain")
    drawn = as_dataset(states, prior, column)
    drawn.attrs |= sampler.jumps.attrs if sampler.jumps else {}
    drawn.attrs["sampling_time"] = time.perf_counter() - begin
    return drawn
