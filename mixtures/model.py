"""Data, priors and densities of a mixture, and states of its chains: standard units."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc, gammaincinv, gammaln

from .data import as_column, refuse

TINY = 1e-300  # keeps the weight of a cluster that is all but empty over zero


@dataclass
class State:
    """Weights, means and widths, (chains, k) each, and numbers of them, (chains,)."""

    p: np.ndarray
    means: np.ndarray
    sd: np.ndarray
    number: np.ndarray

    @property
    def exists(self):
        return np.arange(self.p.shape[1]) < self.number[:, None]

    def taken(self, order):
        """The state with its clusters in another order, (chains, k)."""
        rows = np.arange(len(order))[:, None]
        each = (x[rows, order] for x in (self.p, self.means, self.sd))
        return State(*each, self.number)

    def resized(self, width):
        """The state with room for so many clusters a chain."""
        if self.p.shape[1] == width:
            return self
        each = zip((self.p, self.means, self.sd), (0.0, 0.0, 1.0))
        return State(*(resized(x, width, value) for x, value in each), self.number)


def resized(x, width, value=0.0):
    """An array (chains, k) with its first so many columns, new ones of that value."""
    new = np.full((len(x), max(0, width - x.shape[1])), value)
    return np.concatenate([x[:, :width], new], axis=1)


@dataclass(kw_only=True)
class Model:
    """Data and priors of a mixture, in standard units.

    z, count, variance : of each place, (1, places), or (chains, places) if every chain
        has data of its own
    prior, alpha : of each number of clusters from 1, (largest,)
    center, scale : of the normal prior of the means; widest, floor : bounds of widths,
        of which `widest` is the scale of the prior if clusters have their own
    """

    z: np.ndarray
    count: np.ndarray
    variance: np.ndarray
    prior: np.ndarray
    alpha: np.ndarray
    center: float
    scale: float
    widest: float
    floor: float
    own_widths: bool
    min_weight: float
    rng: np.random.Generator

    def __post_init__(self):
        self.numbers = np.flatnonzero(self.prior) + 1
        self.unknown = self.numbers.size > 1
        self.single = (self.count == 1).all()
        self.size = self.count.sum(axis=1, keepdims=True)
        k, alpha = np.arange(1, len(self.prior) + 1), self.alpha
        with np.errstate(divide="ignore"):  # a number that is impossible
            log_prior = np.log(self.prior)
        # of weights and names: log k! Gamma(k alpha) / Gamma(alpha)^k
        self.of_number = log_prior + gammaln(k + 1) + gammaln(k * alpha)
        self.of_number -= k * gammaln(alpha)
        if self.own_widths:  # over the probability that k widths are over the floor
            beta = gammaincinv(0.2, np.linspace(0.00005, 0.99995, 10_000))
            over = gammainc(2, beta * self.widest**2 / 10 / self.floor**2)
            self.of_number -= np.log((over[:, None] ** k).mean(axis=0))


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


def log_prior(model, p, means, sd, number):
    """Of number, weights, means and widths as a set without names: (chains,).

    With own widths the density is that of variances, and beta is averaged out.
    """
    exists = np.arange(p.shape[1]) < number[:, None]
    each = (model.alpha[number - 1, None] - 1) * np.log(np.where(exists, p, 1))
    each -= ((means - model.center) / model.scale) ** 2 / 2
    each -= np.log(model.scale * np.sqrt(2 * np.pi))
    inside = (sd >= model.floor) & (p >= model.min_weight)
    if model.own_widths:
        each -= 6 * np.log(sd)
        rate = 10 / model.widest**2 + (exists / sd**2).sum(axis=1)
        shape = 0.2 + 2 * number
        value = gammaln(shape) - shape * np.log(rate)
    else:
        inside &= sd <= model.widest
        value = -np.log(sd[:, 0])
    value = value + model.of_number[number - 1] + (each * exists).sum(axis=1)
    return np.where((inside | ~exists).all(axis=1), value, -np.inf)


def falling_prior(largest):
    """Prior of the number of clusters from 1 to largest, and of their concentration.

    Beta-negative-binomial (1, 4, 3), cut off, and 1 / number: most of many clusters are
    nearly empty. Source: Frühwirth-Schnatter, Malsiner-Walli and Grün (2021).
    """
    number = np.arange(1, largest + 1)
    prior = np.exp(gammaln(number + 2) - gammaln(number + 7))
    return dict(k=prior / prior.sum(), concentration=1 / number)


def range_priors(data):
    """Priors from the range R of data: means ~ Normal(middle, R), widths up to R.

    Of own widths R is the scale in the prior of Richardson and Green (1997). Returns a
    dictionary: center, scale and widest, in the data's units.
    """
    column = as_column(data)
    width = column.high - column.low
    center = column.low + width / 2
    return dict(center=center, scale=width, widest=width)


def checked_number(k, min_weight, concentration):
    """Prior and concentration of each number of clusters from 1, or a ValueError."""
    number = isinstance(k, (int, float, np.number)) and not isinstance(k, bool)
    whole = number and k > 0 and k % 1 == 0
    prior = np.asarray(np.eye(int(k))[-1] if whole else k if np.ndim(k) else [], float)
    refuse(
        prior.ndim > 1 or (prior < 0).any() or not 0 < prior.sum() < np.inf,
        f"k = {k}: give a whole number from 1, or a list with the prior probability of "
        "each number from 1.",
    )
    alpha, most = np.asarray(concentration, float), 1 / len(prior)
    fits = alpha.ndim == 0 or alpha.shape == prior.shape
    refuse(
        not fits or not ((alpha > 0) & (alpha < np.inf)).all(),
        f"concentration = {concentration}: give a positive number, or one for each k.",
    )
    refuse(
        not 0 <= min_weight < most,
        f"{len(prior)} weights over {min_weight} cannot sum to one: take a min_weight "
        f"from 0 to under {most:.3g}.",
    )
    refuse(
        min_weight and np.count_nonzero(prior) > 1,
        "With an unknown number a cluster may be empty: leave min_weight at 0.",
    )
    return prior / prior.sum(), np.broadcast_to(alpha, prior.shape)


def model_of(column, k, priors, own_widths, min_weight, concentration, rng):
    """The `Model` of a `Column`; arguments as in `gibbs`, refused likewise."""
    number = checked_number(k, min_weight, concentration)
    priors = range_priors(column) if priors is None else priors
    names = ("center", "scale", "widest")
    lacking = ", ".join(name for name in names if name not in priors)
    refuse(lacking, f"priors lacks {lacking}: give all three, or leave priors out.")
    center, scale, widest = (float(priors[name]) for name in names)
    width, floor = column.high - column.low, column.floor * column.scale
    positive = np.isfinite(center) and 0 < scale < np.inf and 0 < widest < np.inf
    refuse(not positive, f"Of the priors {scale = } and {widest = } must be positive.")
    fits = abs(column.location - center) < 5 * scale + width
    fits &= max(scale, widest) / 1_000 < width < 1_000 * scale and floor < 0.9 * widest
    refuse(
        not fits,
        f"Means of {center:g} ± {scale:g} and widths up to {widest:g} do not fit data "
        f"around {column.location:g} with a range of {width:g}: leave priors out, and "
        "they follow from the range.",
    )
    if column.size < 4 * len(column.count):
        column = column.as_points()
    unit = column.scale
    prior, alpha = number
    return Model(
        z=column.mean[None],
        count=column.count[None],
        variance=column.sd[None] ** 2,
        prior=prior,
        alpha=alpha,
        center=(center - column.location) / unit,
        scale=scale / unit,
        widest=widest / unit,
        floor=column.floor,
        own_widths=own_widths,
        min_weight=min_weight,
        rng=rng,
    )
