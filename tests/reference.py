"""The posterior of the tutorial's data by importance sampling, without the tutorial.

Six parameters are free: p[0], p[1], means[0..2] and sd. Draws come from a multivariate
Student t distribution, each weighted by posterior over proposal. The first proposal is
a guess; each further one has the mean and the covariance of the draws before, whose
largest hundredth count alike. An optimizer's last step would depend on the processor.

Sources: Owen, "Monte Carlo theory, methods and examples", chapter 9,
https://artowen.su.domains/mc/; Vehtari and others, "Pareto smoothed importance
sampling", arXiv 1507.02646 (k-hat: below 0.5 the weights have a variance).
"""

import os

import numpy as np
from scipy import stats

SEED = int(os.environ.get("RANDOM_SEED", 8927))  # `make plain` tries another
NAMES = ["p[0]", "p[1]", "p[2]", "sd", "means[0]", "means[1]", "means[2]"]


def simulate(seed=SEED, n=500, spread=5):
    """The tutorial's data, shape (n,)."""
    rng = np.random.default_rng(seed)
    v = rng.integers(0, 3, n)
    return spread * np.array([-1, 0, 1])[v] + rng.standard_normal(n)


def log_posterior(theta, y):
    """Log-density up to a constant for theta of shape (n, 6): shape (n,)."""
    p = np.column_stack([theta[:, :2], 1 - theta[:, 0] - theta[:, 1]])
    means, sd = theta[:, 2:5], theta[:, 5]
    inside = (p >= 0.1).all(axis=1) & (np.diff(means) >= 0).all(axis=1)
    inside &= (sd > 0) & (sd < 20)
    log_density = np.full(len(theta), -np.inf)
    pieces = len(theta) // 500 + 1  # small enough for the cache
    for some in np.array_split(np.flatnonzero(inside), pieces):
        z = (y - means[some, :, None]) / sd[some, None, None]
        density = (p[some, :, None] * np.exp(-(z**2) / 2)).sum(axis=1)
        log_density[some] = np.log(density / sd[some, None]).sum(axis=1)
    return log_density - (means**2).sum(axis=1) / (2 * 15**2)


class Reference:
    """Weighted draws of the posterior of `y`; an AssertionError if not to be trusted.

    draws : arrays of shape (n,) by NAMES
    weight : shape (n,), sums to one
    """

    def __init__(self, y, n=100_000, seed=1, start=(1 / 3, 1 / 3, -5, 0, 5, 1)):
        rng = np.random.default_rng(seed)
        center, covariance = start, 0.1**2 * np.eye(6)
        for size in [n // 20] * 4 + [n]:
            proposal = stats.multivariate_t(center, covariance, df=10)
            theta = proposal.rvs(size, random_state=rng)
            log_weight = log_posterior(theta, y) - proposal.logpdf(theta)
            weight = np.exp(log_weight - log_weight.max())
            clipped = np.minimum(weight, np.sort(weight)[-size // 100])
            center = np.average(theta, axis=0, weights=clipped)
            covariance = np.cov(theta.T, aweights=clipped)
        p0, p1, *means, sd = theta.T
        self.draws = dict(zip(NAMES, [p0, p1, 1 - p0 - p1, sd, *means]))
        self.weight = weight / weight.sum()
        effective_size = 1 / (self.weight**2).sum()
        tail = np.sort(self.weight)[-int(3 * n**0.5) :]
        excess = tail[1:] - tail[0]
        excess /= excess.mean()  # a fit to numbers of 1e-5 gets lost
        pareto_k = stats.genpareto.fit(excess, floc=0)[0]
        quality = f"effective size {effective_size:.0f} of {n}, k-hat {pareto_k:.2f}"
        assert effective_size > n / 2 and pareto_k < 0.5, quality

    def mean(self, x):
        """Mean of a function of the draws, shape (n,), and its Monte Carlo error."""
        mean = self.weight @ x
        return mean, np.sqrt(self.weight**2 @ (x - mean) ** 2)

    def quantile(self, x, probability):
        order = np.argsort(x)
        cumulative = np.cumsum(self.weight[order]) - self.weight[order] / 2
        return np.interp(probability, cumulative, x[order])
