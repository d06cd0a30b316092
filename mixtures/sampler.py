"""A sampler of mixtures of normal distributions: many chains at once, in NumPy.

A sweep draws categories, number, weights, means and widths from their full conditionals
(Diebolt and Robert 1994, doi:10.1111/j.2517-6161.1994.tb01985.x; the number by the
telescoping sampler of Frühwirth-Schnatter, Malsiner-Walli and Grün 2021,
doi:10.1214/21-BA1294). Where that moves slowly it also splits and merges clusters, the
categories summed out (Richardson and Green 1997, doi:10.1111/1467-9868.00095).

Everything is in standard units. Chains come first: p, means and sd are (chains, k), and
a chain that has fewer clusters than others has weights of zero at the end.
"""

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv, gammaln
from tqdm import tqdm

from .data import as_column, refuse
from .model import TINY, State, log_likelihood, log_prior, log_terms, model_of, resized

MOVES = 2  # splits and merges a sweep: a compromise between columns
LOOK = 300  # sweeps in which chains of a known number split and merge, too


def truncated_gamma(rng, shape, rate, low, high):
    """Gamma(shape, rate) between low and high, of their common shape."""
    shape, rate = np.broadcast_arrays(shape, rate)
    drawn = rng.standard_gamma(shape) / rate
    out = (drawn < low) | (drawn > high)
    if out.any():  # by the inverse of the distribution function, from its smaller tail
        a, b, u = shape[out], rate[out], rng.random(np.count_nonzero(out))
        ends = np.array([gammainc(a, b * low), gammainc(a, b * high)])
        upper = np.array([gammaincc(a, b * low), gammaincc(a, b * high)])
        lower_tail = gammaincinv(a, ends[0] + u * (ends[1] - ends[0]))
        upper_tail = gammainccinv(a, upper[0] + u * (upper[1] - upper[0]))
        drawn[out] = np.where(ends[0] < 0.5, lower_tail, upper_tail) / b
        # Where a tail underflows, the logarithm falls off exponentially from its bound
        above, below = upper[0] < 1e-200, ends[1] < 1e-200
        slope = np.where(below, a - b * high, np.where(above, a - b * low, 1.0))
        width = np.log(high) - np.log(np.maximum(low, TINY))
        near = np.exp(np.log1p(u * np.expm1(-np.abs(slope) * width)) / slope)
        near *= np.where(below, high, low)
        drawn[out] = np.where(below | above, near, drawn[out])
    return np.minimum(np.maximum(drawn, low), high)


def drawn_index(rng, weights):
    """An index in proportion to weights, (chains, k), which need not sum to one."""
    cumulative = weights.cumsum(axis=1)
    u = rng.random((len(weights), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= u).sum(axis=1), weights.shape[1] - 1)


def draw_categories(model, state):
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
        u = model.rng.random(shape, dtype=np.float32) * weight[:, -1:]
        below = (u < weight).view(np.int8)
        held = np.diff(below, axis=1, prepend=np.int8(0)).astype(float)
    else:
        weight = np.exp(weight).swapaxes(1, 2)
        weight /= weight.sum(axis=2, keepdims=True)
        count = model.count.astype(np.int64)
        held = model.rng.multinomial(count, weight).astype(float).swapaxes(1, 2)
    total = (held @ model.z[..., None])[..., 0]
    return held.sum(axis=2), total, np.einsum("ckm,ckm->ck", held, square)


def draw_number(model, state, sums, beta):
    """Draw the number of clusters given the partition; occupied clusters come first.

    sums : of `draw_categories`; beta : (chains, 1), of the prior of own widths
    Returns the state, with surplus clusters drawn from their prior, and the sums.
    """
    order = np.argsort(sums[0] == 0, axis=1, kind="stable")
    state = state.taken(order)
    sums = [np.take_along_axis(x, order, 1) for x in sums]
    occupied, k = (sums[0] > 0).sum(axis=1), np.arange(1, len(model.prior) + 1)
    alpha, held = model.alpha, sums[0][:, : occupied.max(), None]
    log_p = np.where(held > 0, gammaln(held + alpha), gammaln(alpha)).sum(axis=1)
    log_p += (k - occupied.max()) * gammaln(alpha) - gammaln(model.size + k * alpha)
    surplus = k - occupied[:, None]
    log_p += model.of_number - gammaln(np.maximum(surplus, 0) + 1)
    top = 1 / model.floor**2
    if model.own_widths:  # the prior of a surplus cluster's width over the floor
        log_p += np.maximum(surplus, 0) * np.log(gammainc(2, beta * top))
    log_p = np.where(surplus >= 0, log_p, -np.inf)
    weights = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    number = 1 + drawn_index(model.rng, weights)
    state = replace(state, number=number).resized(number.max())
    sums = [resized(x, number.max()) for x in sums]
    if model.own_widths:
        drawn = truncated_gamma(model.rng, np.full(state.p.shape, 2.0), beta, 0, top)
        state.sd = np.where(sums[0] == 0, 1 / np.sqrt(drawn + TINY), state.sd)
    else:
        state.sd = np.repeat(state.sd[:, :1], number.max(), axis=1)
    return state, sums


def sweep(model, state):
    """One sweep over all full conditionals, and how many clusters held points."""
    rng, exists = model.rng, state.exists
    count, total, square = draw_categories(model, state)
    beta = None
    if model.own_widths:
        rate = 10 / model.widest**2 + (exists / state.sd**2).sum(axis=1, keepdims=True)
        beta = rng.standard_gamma(0.2 + 2 * state.number[:, None]) / rate
    if model.unknown:
        sums = (count, total, square)
        state, (count, total, square) = draw_number(model, state, sums, beta)
    p, old, sd = state.p, state.means, state.sd
    # Weights
    exists = state.exists
    gamma = rng.standard_gamma(model.alpha[state.number - 1, None] + count)
    gamma = np.maximum(gamma, TINY) * exists
    gamma /= gamma.sum(axis=1, keepdims=True)
    fits = np.where(exists, gamma, 1).min(axis=1, keepdims=True) >= model.min_weight
    p = np.where(fits, gamma, p)
    # Means
    precision = count / sd**2 + 1 / model.scale**2
    means = (total / sd**2 + model.center / model.scale**2) / precision
    means += rng.standard_normal(means.shape) / np.sqrt(precision)
    # Widths: squares about the old means become those about the new ones
    moved = means - old
    squares = square - 2 * moved * (total - count * old) + count * moved**2
    squares = np.maximum(squares, 0)
    low, high = (0 if model.own_widths else model.widest**-2), model.floor**-2
    if model.own_widths:
        shape, rate = 2 + count / 2, beta + squares / 2
    else:
        shape, rate = (model.size - 1) / 2, squares.sum(axis=1, keepdims=True) / 2
    inverse = truncated_gamma(rng, shape, np.maximum(rate, TINY), low, high)
    sd = 1 / np.sqrt(np.maximum(inverse, TINY)) * np.ones_like(means)
    return State(p, means, sd, state.number), (count > 0).sum(axis=1)


def pairs(x):
    """The probability that two clusters are picked to merge; near ones are preferred.

    x : weights, means and variances, (3, chains, k)
    Returns an array of shape (chains, k, k), in which each pair stands twice.
    """
    gap, exists = (x[1, :, :, None] - x[1, :, None]) ** 2, x[0] > 0
    near = 0.01 + np.exp(gap / -2 / (x[2, :, :, None] + x[2, :, None]))
    near *= exists[:, :, None] & exists[:, None] & ~np.eye(x.shape[2], dtype=bool)
    return 2 * near / np.maximum(near.sum(axis=(1, 2), keepdims=True), TINY)


def propose(model, x, number, pair, grow):
    """Split a cluster in the chains in which `grow`, merge two in the others.

    A part leaves a cluster, or is taken up by a heavier one. The two keep the weight,
    mean and variance of the whole, or the variance of all clusters if it is one.
    x : weights, means and variances, (3, chains, k), with room for another cluster
    pair : `pairs` of x
    Returns the new x, its pairs and the logarithm of the ratio of proposals.
    """
    rng, rows, (_, chains, k) = model.rng, np.arange(x.shape[1]), x.shape
    # a and b: where the part and the rest are; a split takes the first free place
    i, j = np.divmod(drawn_index(rng, pair.reshape(chains, k * k)), k)
    lighter = x[0, rows, i] < x[0, rows, j]
    split = np.minimum(number, k - 1), drawn_index(rng, x[0])
    a, b = np.where(grow, split, np.where(lighter, [i, j], [j, i]))
    part, (weight, mean, variance) = x[:, rows, a], x[:, rows, b]
    weight = np.where(grow, weight, weight + part[0])
    share = np.where(grow, rng.random(chains) ** 2 / 2, part[0] / weight)
    middle = np.where(grow, mean, share * part[1] + (1 - share) * mean)
    away = rng.normal(0, 1.5, chains) * np.sqrt(variance)
    away = np.where(grow, away, part[1] - middle)
    between = share / (1 - share) * away**2
    if model.own_widths:
        total = share * part[2] + (1 - share) * variance + between
    else:
        total = variance + weight * between
    total = np.where(grow, variance, total)
    size = np.where(grow, rng.normal(-0.7, 1, chains), np.log(part[2] / total))
    widths = 2 * [total - weight * between]
    if model.own_widths:
        width = total * np.exp(size)
        widths = width, (total - share * width - between) / (1 - share)
    part = share * weight, middle + away, widths[0]
    rest = (1 - share) * weight, middle - share / (1 - share) * away, widths[1]
    new = x.copy()
    new[:, rows, b] = np.where(grow, rest, [weight, middle, total])
    new[:, rows, a] = np.where(grow, part, new[:, rows, number - 1])
    new[:, rows[~grow], number[~grow] - 1] = [[0], [0], [1]]
    if not model.own_widths:
        new[2] = np.where(grow, widths[0], total)[:, None]
    new_pair = pairs(new)
    log_ratio = np.log(np.where(grow[:, None, None], new_pair, pair)[rows, a, b])
    log_ratio += log_split_ratio(model, share, away, total, size)
    return new, new_pair, np.where(grow, 1, -1) * log_ratio


def log_split_ratio(model, share, away, total, size):
    """Jacobian of a split over the density of what it draws: its logarithm, (chains,).

    share, away : of the part, its share of the weight and its distance from the whole
    total : variance of the whole; size : logarithm of the part's variance over it
    """
    distance = away / np.sqrt(total)
    log_ratio = np.log(2 * share * total) / 2 - np.log(1 - share)
    log_ratio += (distance / 1.5) ** 2 / 2 + np.log(1.5 * np.sqrt(2 * np.pi))
    if model.own_widths:
        log_ratio += (size + 0.7) ** 2 / 2 + np.log(np.sqrt(2 * np.pi))
        log_ratio += np.log(total) + size - np.log(1 - share)
    return log_ratio


def split_and_merge(model, state, moves):
    """Moves of all chains: a split or a merge, or one after the other if k is known."""
    number, all_chains = state.number, np.ones(len(state.number), bool)
    state = state.resized(min(number.max() + moves, len(model.prior)))
    x = np.array([state.p, state.means, state.sd**2])

    def log_target(x, number):
        each = x[0], x[1], np.sqrt(x[2])
        return log_likelihood(model, *each) + log_prior(model, *each, number)

    with np.errstate(all="ignore"):
        value, pair = log_target(x, number), pairs(x)
        for _ in range(moves):
            if model.unknown:
                grow = model.rng.random(len(number)) < 0.5
                new, new_pair, log_ratio = propose(model, x, number, pair, grow)
                other = number + np.where(grow, 1, -1)
            else:
                merged, at, back = propose(model, x, number, pair, ~all_chains)
                split = propose(model, merged, number - 1, at, all_chains)
                new, new_pair, log_ratio = *split[:2], back + split[2]
                other = np.where(number > 1, number, 0)
            possible = (other > 0) & (other <= len(model.prior))
            other = np.where(possible, other, number)
            after = log_target(new, other)
            odds = after - value + log_ratio
            yes = possible & (np.log(model.rng.random(len(number))) < odds)
            number, value = np.where(yes, other, number), np.where(yes, after, value)
            x = np.where(yes[:, None], new, x)
            pair = np.where(yes[:, None, None], new_pair, pair)
    return State(x[0], x[1], np.sqrt(x[2]), number).resized(number.max())


def starting_state(model, chains):
    """Clusters of the places that are nearest to drawn ones, others in every chain.

    Those are drawn far from each other, as in k-means++ (Arthur and Vassilvitskii 2007,
    doi:10.5555/1283383.1283494). Chains start from every number of clusters that the
    prior allows, one after another.
    """
    number = np.resize(model.numbers, chains)
    clusters = np.arange(number.max())
    exists = clusters < number[:, None]
    shape, rows = (chains, model.z.shape[1]), np.arange(chains)
    z, count, variance = (
        np.broadcast_to(x, shape) for x in (model.z, model.count, model.variance)
    )
    nearest, away, weight = np.zeros(shape, int), np.full(shape, np.inf), count
    for j in clusters:
        square = (z - z[rows, drawn_index(model.rng, weight)][:, None]) ** 2
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
    share = exists * (1 / number[:, None] if model.min_weight else total / model.size)
    if not model.own_widths:
        sd = np.sqrt((share * sd**2).sum(axis=1, keepdims=True)) * np.ones_like(sd)
        sd = np.minimum(sd, model.widest / 2)
    sd = np.where(exists, np.maximum(sd, 1.01 * model.floor), 1)
    return State(np.where(exists, np.maximum(share, TINY), 0), means, sd, number)


class Chains:
    """Chains of one mixture that go on from where they stand.

    They split and merge while they look for their place, and of an unknown number of
    clusters always.
    """

    def __init__(self, model, chains, ordered=True):
        self.model, self.ordered = model, ordered
        self.state, self.sweeps = starting_state(model, chains), 0
        self.interrupted = False

    def sweep(self, tuning=False):
        """One sweep of all chains; returns the state and the numbers of occupied."""
        look = tuning and self.sweeps < LOOK
        moves = MOVES if self.model.unknown else look * (self.sweeps % 2)
        state, self.sweeps = self.state, self.sweeps + 1
        if moves:
            state = split_and_merge(self.model, state, moves)
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
            state, occupied = sweep(self.model, state)
        if self.ordered:
            means = np.where(state.exists, state.means, np.inf)
            state = state.taken(means.argsort(axis=1))
        self.state = state
        return state, occupied

    def draw(self, sweeps, tuning=False):
        """What all chains drew in each of the sweeps, or in fewer if interrupted."""
        kept, self.interrupted = [], True
        with suppress(KeyboardInterrupt):
            for _ in sweeps:
                kept.append(self.sweep(tuning))
            self.interrupted = False
        return kept


def with_bar(sweeps, say):
    """So many sweeps, with a bar if they take long."""
    return tqdm(range(sweeps), say, delay=3, mininterval=0.5, leave=False)


def as_dataset(kept, model, column):
    """Draws of `Chains.draw` in the data's units, with dims chain, draw and cluster."""
    most = max(state.p.shape[1] for state, _ in kept)
    shape = (len(kept[0][1]), len(kept), most)
    p, means, sd = (np.full(shape, np.nan) for _ in range(3))
    for i, (state, _) in enumerate(kept):
        exists, k = state.exists, state.p.shape[1]
        for whole, x in zip((p, means, sd), (state.p, state.means, state.sd)):
            whole[:, i, :k] = np.where(exists, x, np.nan)
    means, sd = column.location + column.scale * means, column.scale * sd
    dims = ("chain", "draw", "cluster")
    names = dict(p=(dims, p), means=(dims, means), sd=(dims, sd))
    if not model.own_widths:
        names["sd"] = (dims[:2], sd[..., 0])
    if model.unknown:
        names["k"] = (dims[:2], np.array([state.number for state, _ in kept]).T)
        names["occupied"] = (dims[:2], np.array([filled for _, filled in kept]).T)
    coords = {name: np.arange(n) for name, n in zip(dims, shape)}
    attrs = dict(places=len(column.count), points=column.size, step=column.step)
    return xr.Dataset(names, coords, attrs)


def gibbs(
    data,
    k,
    priors=None,
    own_widths=False,
    min_weight=0,
    concentration=1,
    *,
    chains=32,
    draws=2_500,
    tune=700,
    ordered=True,
    places=1_000,
    random_seed=8927,
):
    """Sample a mixture of normal distributions from its full conditionals.

    data : a column of n numbers, without missing values: array, list, Series, or a Dask
        array or column, which is read once
    k : the number of clusters, or the prior probabilities of 1, 2, … clusters
    priors : center and scale of the normal prior of the means, and widest, the largest
        width, in the data's units; without them they follow from the range R of data,
        as the middle, R and R
    own_widths : a width for each cluster, with the prior of Richardson and Green
        (1997), 1 / sd² ~ Gamma(2, beta), beta ~ Gamma(0.2, 10 / widest²), instead of
        one width ~ Uniform(0, widest). No width is under 0.7 steps, of those in which
        the values are written
    min_weight : the smallest weight that a cluster may have
    concentration : of the Dirichlet prior of the weights, one or one for each number
    chains, draws, tune : how many; draws that are kept, after sweeps that are forgotten
    ordered : whether to sort the clusters of each draw by their means
    places : about how many values are told apart, see `as_column`

    Returns an xarray.Dataset with dims chain, draw, cluster, in the data's units: p,
    means and sd, and if the number is unknown k and occupied, the number of clusters
    and of those that hold points; of clusters that a draw has not, the rest is NaN. Its
    attributes are points, places, step and sampling_time in seconds. The same seed
    gives the same draws. Interrupted, it returns what was drawn.
    Raises ValueError, with what to do, for data or arguments that do not fit.

    Source: Diebolt and Robert (1994); the number, Frühwirth-Schnatter, Malsiner-Walli
    and Grün (2021), with moves of Richardson and Green (1997).
    """
    begin, whole = time.perf_counter(), (int, np.integer)
    for name, value, least in (
        ("chains", chains, 2),
        ("draws", draws, 1),
        ("tune", tune, 0),
        ("places", places, 10),
    ):
        fits = isinstance(value, whole) and value >= least
        refuse(not fits, f"{name} = {value}: give a whole number from {least}.")
    column, rng = as_column(data, places), np.random.default_rng(random_seed)
    model = model_of(column, k, priors, own_widths, min_weight, concentration, rng)
    sampler = Chains(model, chains, ordered)
    sampler.draw(with_bar(tune, "tuning"), tuning=True)
    kept = [] if sampler.interrupted else sampler.draw(with_bar(draws, "sampling"))
    if not kept:
        raise KeyboardInterrupt("stopped before the first draw")
    if len(kept) < draws:
        print(f"stopped after {len(kept):,} of {draws:,} draws a chain")
    drawn = as_dataset(kept, model, column)
    drawn.attrs["sampling_time"] = time.perf_counter() - begin
    return drawn
