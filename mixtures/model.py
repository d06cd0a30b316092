"""Prior, data and densities of a mixture, states of its chains, and their draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv, gammaln

from .data import Column, as_column, refuse, refuse_counts

if TYPE_CHECKING:
    import xarray as xr

TINY = 1e-300  # keeps the weight of a cluster that is all but empty over zero
# Of own widths: 1 / sd² ~ Gamma(WIDTH_SHAPE, beta), beta ~ Gamma(RATE_SHAPE,
# RATE_FACTOR / widest²), as in Richardson and Green (1997)
WIDTH_SHAPE, RATE_SHAPE, RATE_FACTOR = 2.0, 0.2, 10


@dataclass
class State:
    """Weights, means and widths, (chains, k) each, and numbers of them, (chains,).

    occupied : after a sweep, whether clusters hold points, (chains, k)
    """

    p: np.ndarray
    means: np.ndarray
    sd: np.ndarray
    number: np.ndarray
    occupied: np.ndarray | None = None

    @property
    def exists(self) -> np.ndarray:
        return np.arange(self.p.shape[1]) < self.number[:, None]

    @property
    def of_clusters(self) -> dict[str, np.ndarray]:
        """The arrays of shape (chains, k), by their names."""
        return {name: x for name, x in vars(self).items() if np.ndim(x) == 2}

    def taken(self, order: np.ndarray) -> State:
        """The state with its clusters in another order, (chains, k)."""
        rows, arrays = np.arange(len(order))[:, None], self.of_clusters.items()
        return replace(self, **{name: x[rows, order] for name, x in arrays})

    def sorted(self) -> State:
        """The state with its clusters in the order of their means."""
        return self.taken(np.where(self.exists, self.means, np.inf).argsort(axis=1))

    def resized(self, width: int) -> State:
        """The state with room for so many clusters a chain."""
        if self.p.shape[1] == width:
            return self
        arrays = self.of_clusters.items()
        new = {name: resized(x, width, name == "sd") for name, x in arrays}
        return replace(self, **new)


def resized(x, width, value=0):
    """An array (chains, k) with its first so many columns, new ones of that value."""
    new = np.full((len(x), max(0, width - x.shape[1])), value, x.dtype)
    return np.concatenate([x[:, :width], new], axis=1)


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


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Prior of a mixture of normal distributions.

    Weights are Dirichlet(concentration) and means Normal(center, scale). One width of
    all clusters is Uniform(floor, widest). Widths of their own learn from each other,
    1 / sd² ~ Gamma(2, beta) with beta ~ Gamma(0.2, 10 / widest²), cut off at the floor.

    Attributes
    ----------
    number, concentration : ndarray, (largest,)
        Probability of each number of clusters from 1, and concentration of its weights.
    center, scale : float
        Mean and standard deviation of the prior of the means.
    widest, floor : float
        Bounds of the widths; of own widths `widest` is the scale of the prior.
    own_widths : bool
        Whether each cluster has a width of its own.
    min_weight : float
        The smallest weight that a cluster may have.

    References
    ----------
    Richardson and Green (1997), doi:10.1111/1467-9868.00095.
    """

    number: np.ndarray
    concentration: np.ndarray
    center: float
    scale: float
    widest: float
    floor: float
    own_widths: bool
    min_weight: float = 0.0

    @property
    def largest(self) -> int:
        """The largest number of clusters."""
        return len(self.number)

    @cached_property
    def numbers(self) -> np.ndarray:
        """The numbers of clusters that are possible."""
        return np.flatnonzero(self.number) + 1

    @property
    def unknown(self) -> bool:
        """Whether more than one number of clusters is possible."""
        return self.numbers.size > 1

    def standardized(self, location: float, unit: float) -> Prior:
        """The prior of (value - location) / unit."""
        return replace(
            self,
            center=(self.center - location) / unit,
            scale=self.scale / unit,
            widest=self.widest / unit,
            floor=self.floor / unit,
        )

    @cached_property
    def log_number(self) -> np.ndarray:
        """Log weight of each number with its weights and names: (largest,).

        log P(k) k! Gamma(k concentration) / Gamma(concentration)^k, over the
        probability that k widths of their own are over the floor.
        """
        k, alpha = np.arange(1, self.largest + 1), self.concentration
        with np.errstate(divide="ignore"):  # a number that is impossible
            log_number = np.log(self.number)
        log_number = log_number + gammaln(k + 1) + gammaln(k * alpha)
        log_number -= k * gammaln(alpha)
        if self.own_widths:
            beta = gammaincinv(RATE_SHAPE, np.linspace(0.00005, 0.99995, 10_000))
            over = self.share_over_floor(beta * self.widest**2 / RATE_FACTOR)
            log_number -= np.log((over[:, None] ** k).mean(axis=0))
        return log_number

    def share_over_floor(self, beta):
        """Prior probability that an own width is over the floor, given beta."""
        return gammainc(WIDTH_SHAPE, beta * self.floor**-2)

    def log_density(self, p, means, sd, number) -> np.ndarray:
        """Of number, weights, means and widths as a set without names: (chains,).

        But for a constant. It is the density of variances, with beta averaged out.
        """
        exists = np.arange(p.shape[1]) < number[:, None]
        terms = (self.concentration[number - 1, None] - 1) * np.log(
            np.where(exists, p, 1)
        )
        terms -= ((means - self.center) / self.scale) ** 2 / 2
        terms -= np.log(self.scale * np.sqrt(2 * np.pi))
        inside = (sd >= self.floor) & (p >= self.min_weight)
        if self.own_widths:
            terms -= 2 * (WIDTH_SHAPE + 1) * np.log(sd)
            shape, rate = self.rate_of_widths(sd, exists, number[:, None])
            value = gammaln(shape[:, 0]) - shape[:, 0] * np.log(rate[:, 0])
        else:
            inside &= sd <= self.widest
            value = -np.log(sd[:, 0])
        value = value + self.log_number[number - 1] + (terms * exists).sum(axis=1)
        return np.where((inside | ~exists).all(axis=1), value, -np.inf)

    def rate_of_widths(self, sd, exists, number):
        """Shape and rate of beta's gamma distribution given own widths: (chains, 1)."""
        rate = (exists / sd**2).sum(axis=1, keepdims=True)
        rate = RATE_FACTOR / self.widest**2 + rate
        return RATE_SHAPE + WIDTH_SHAPE * number, rate

    def draw(self, rng: np.random.Generator, size: int) -> State:
        """So many states from the prior, those beyond a wall drawn anew."""
        number = rng.choice(np.arange(1, self.largest + 1), size, p=self.number)
        exists = np.arange(self.largest) < number[:, None]
        p, sd, todo = np.zeros(exists.shape), np.ones(exists.shape), np.arange(size)
        while todo.size:
            here, shape = exists[todo], (todo.size, self.largest)
            alpha = self.concentration[number[todo] - 1, None]
            gamma = np.maximum(rng.standard_gamma(alpha, shape), TINY) * here
            p[todo] = gamma / gamma.sum(axis=1, keepdims=True)
            if self.own_widths:
                beta = rng.standard_gamma(RATE_SHAPE, (todo.size, 1))
                beta = np.maximum(beta, TINY) * self.widest**2 / RATE_FACTOR
                drawn = np.sqrt(beta / rng.standard_gamma(WIDTH_SHAPE, shape))
            else:
                drawn = self.widest * rng.random((todo.size, 1))
            sd[todo] = np.where(here, drawn, 1)
            inside = (sd[todo] >= self.floor) & (p[todo] >= self.min_weight)
            todo = todo[~(inside | ~here).all(axis=1)]
        means = self.center + self.scale * rng.standard_normal(p.shape)
        return State(p, np.where(exists, means, 0), sd, number)

    def __str__(self) -> str:
        """The prior in a sentence."""
        number = f"{self.largest} clusters" if self.largest > 1 else "1 cluster"
        if self.unknown:
            shares = ", ".join(f"{x:.2g}" for x in self.number[self.numbers - 1])
            number = f"{self.numbers[0]} to {self.largest} clusters, of prior "
            number += f"probabilities {shares}"
        alpha = self.concentration[self.numbers - 1][[0, -1]]
        weights = " to ".join(dict.fromkeys(f"{x:.3g}" for x in alpha))
        least = f", none under {self.min_weight:g}" if self.min_weight else ""
        widths = f"one width, Uniform({self.floor:.3g}, {self.widest:.6g})"
        if self.own_widths:
            widths = f"widths with 1 / sd² ~ Gamma({WIDTH_SHAPE:g}, beta) and "
            widths += f"beta ~ Gamma({RATE_SHAPE}, {RATE_FACTOR} / {self.widest:.6g}²)"
            widths += f", none under {self.floor:.3g}"
        return (
            f"{number}; weights ~ Dirichlet of concentration {weights}{least}; means ~ "
            f"Normal({self.center:.6g}, {self.scale:.6g}); {widths}."
        )


@dataclass(kw_only=True)
class Model:
    """Data and prior of a mixture, in standard units.

    Attributes
    ----------
    z, count, variance : ndarray, (1, places) or (chains, places)
        Of each place; a row for each chain if chains have data of their own.
    prior : Prior
        In standard units, too.
    """

    z: np.ndarray
    count: np.ndarray
    variance: np.ndarray
    prior: Prior

    def __post_init__(self):
        self.single = (self.count == 1).all()
        self.size = self.count.sum(axis=1, keepdims=True)


def log_terms(model, p, means, sd):
    """log(p[j] Normal(z | means[j], sd[j])) + log(2 pi) / 2, and the squared distances.

    Both (chains, k, places). Of places the mean log density of their points is taken.
    """
    square = model.z[:, None] - means[..., None]
    np.square(square, out=square)
    if model.variance.any():
        square += model.variance[:, None]
    terms = square * (-0.5 / sd**2)[..., None]
    terms += np.log(p / sd)[..., None]
    return terms, square


def log_likelihood(model, p, means, sd):
    """Of the data, the categories summed out: (chains,)."""
    terms, _ = log_terms(model, p, means, sd)
    top = terms.max(axis=1)
    terms -= top[:, None]
    # float32 is quicker, and would be off by one in the sum over a billion points
    density = np.exp(terms.astype("f4" if model.single else "f8")).sum(axis=1)
    return ((np.log(density) + top) * model.count).sum(axis=1)


def falling_prior(largest: int) -> dict[str, np.ndarray]:
    """Prior of the number of clusters that falls, and of their concentration.

    Beta-negative-binomial (1, 4, 3), cut off, and 1 / number: most of many clusters are
    nearly empty.

    Parameters
    ----------
    largest : int
        The largest number of clusters.

    Returns
    -------
    dict
        `k` and `concentration` of `gibbs`, (largest,) each.

    References
    ----------
    Frühwirth-Schnatter, Malsiner-Walli and Grün (2021), doi:10.1214/21-BA1294.
    """
    number = np.arange(1, largest + 1)
    prior = np.exp(gammaln(number + 2) - gammaln(number + 7))
    return dict(k=prior / prior.sum(), concentration=1 / number)


def range_priors(data: Any) -> dict[str, float]:
    """Priors from the range R of data: means ~ Normal(middle, R), widths up to R.

    Of own widths R is the scale in the prior of Richardson and Green (1997).

    Parameters
    ----------
    data : array-like, (n,)
        A column of numbers, as `as_column` takes it.

    Returns
    -------
    dict
        center, scale and widest, in the data's units: the `priors` of `gibbs`.
    """
    column = as_column(data)
    width = column.high - column.low
    center = column.low + width / 2
    return dict(center=center, scale=width, widest=width)


def checked_number(k, min_weight, concentration):
    """Prior and concentration of each number of clusters from 1, or a ValueError."""
    real = isinstance(k, (int, float, np.number)) and not isinstance(k, bool)
    whole = real and k > 0 and k % 1 == 0
    number = np.asarray(np.eye(int(k))[-1] if whole else k if np.ndim(k) else [], float)
    refuse(
        number.ndim > 1 or (number < 0).any() or not 0 < number.sum() < np.inf,
        f"k = {k}: give a whole number from 1, or a list with the prior probability of "
        "each number from 1.",
    )
    alpha, limit = np.asarray(concentration, float), 1 / len(number)
    right_shape = alpha.ndim == 0 or alpha.shape == number.shape
    refuse(
        not right_shape or not ((alpha > 0) & (alpha < np.inf)).all(),
        f"concentration = {concentration}: give a positive number, or one for each k.",
    )
    refuse(
        not 0 <= min_weight < limit,
        f"{len(number)} weights over {min_weight} cannot sum to one: take a min_weight "
        f"from 0 to under {limit:.3g}.",
    )
    refuse(
        min_weight and np.count_nonzero(number) > 1,
        "With an unknown number a cluster may be empty: leave min_weight at 0.",
    )
    return number / number.sum(), np.broadcast_to(alpha, number.shape)


def prior_of(
    column: Column, k, priors=None, own_widths=True, min_weight=0, concentration=1
) -> Prior:
    """The `Prior` for a column; arguments as in `gibbs`, refused likewise."""
    number, alpha = checked_number(k, min_weight, concentration)
    refuse_counts(column)
    priors = range_priors(column) if priors is None else priors
    names = ("center", "scale", "widest")
    lacking = ", ".join(name for name in names if name not in priors)
    refuse(lacking, f"priors lacks {lacking}: give all three, or leave priors out.")
    center, scale, widest = (float(priors[name]) for name in names)
    width, floor = column.high - column.low, column.narrowest
    positive = np.isfinite(center) and 0 < scale < np.inf and 0 < widest < np.inf
    refuse(not positive, f"Of the priors {scale = } and {widest = } must be positive.")
    plausible = abs(column.location - center) < 5 * scale + width
    plausible &= max(scale, widest) / 1_000 < width < 1_000 * scale
    refuse(
        not (plausible and floor < 0.9 * widest),
        f"Means of {center:g} ± {scale:g} and widths up to {widest:g} do not fit data "
        f"around {column.location:g} with a range of {width:g}: leave priors out, and "
        "they follow from the range.",
    )
    return Prior(
        number=number, concentration=alpha, center=center, scale=scale, widest=widest,
        floor=floor, own_widths=own_widths, min_weight=min_weight,
    )  # fmt: skip


def model_of(column: Column, prior: Prior) -> Model:
    """The `Model` of a column under a prior in the data's units."""
    if column.size < 4 * len(column.count):
        column = column.as_points()
    return Model(
        z=column.mean[None],
        count=column.count[None],
        variance=column.sd[None] ** 2,
        prior=prior.standardized(column.location, column.scale),
    )


def as_dataset(draws: list, prior: Prior, column: Column) -> xr.Dataset:
    """Draws of `Chains.draw` in the data's units, with dims chain, draw and cluster."""
    import xarray as xr

    largest = max(state.p.shape[1] for state in draws)
    shape = (len(draws[0].p), len(draws), largest)
    p, means, sd = (np.full(shape, np.nan) for _ in range(3))
    for i, state in enumerate(draws):
        exists, k = state.exists, state.p.shape[1]
        for whole, x in zip((p, means, sd), (state.p, state.means, state.sd)):
            whole[:, i, :k] = np.where(exists, x, np.nan)
    means, sd = column.location + column.scale * means, column.scale * sd
    dims = ("chain", "draw", "cluster")
    variables: dict[str, tuple] = dict(p=(dims, p), means=(dims, means), sd=(dims, sd))
    if not prior.own_widths:
        variables["sd"] = (dims[:2], sd[..., 0])
    if prior.unknown:
        for name, number in (
            ("k", [state.number for state in draws]),
            ("occupied", [state.occupied.sum(axis=1) for state in draws]),
        ):
            variables[name] = (dims[:2], np.array(number).T)
    coords = {name: np.arange(n) for name, n in zip(dims, shape)}
    attrs = dict(places=len(column.count), points=column.size, step=column.step)
    return xr.Dataset(variables, coords, attrs)
