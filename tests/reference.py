"""The posterior of the tutorial's data by importance sampling: NumPy and SciPy, and nothing of the tutorial's.
`python tests/reference.py` prints it.

With the categories summed out six parameters are free, theta = (p[0], p[1], means[0..2], sd), and inside
the constraints (weights of at least 0.1, means in order, 0 < sd < 20) their log-density is

    sum_i log sum_j p[j] Normal(y[i] | means[j], sd) - sum_j means[j]**2 / (2 * 15**2) + constant,

since Dirichlet(1, 1, 1) and Uniform(0, 20) are flat and theta is not transformed. Outside it is minus infinity.

Draws come from a multivariate Student t distribution with 10 degrees of freedom, each weighted by posterior over
proposal. Outside the constraints that is zero, and nowhere infinite. The first proposal is a guess; each further
one has the mean and the covariance of the draws before, whose largest hundredth count alike, so that no few of them
decide. No optimizer has a part in it, whose last step would depend on the processor.

Sources: Owen, "Monte Carlo theory, methods and examples", chapter 9, https://artowen.su.domains/mc/ (weights,
effective size, errors); Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling",
arXiv 1507.02646 (k-hat: below 0.5 the weights have a variance, so the errors can be believed).
"""

import numpy as np
from scipy import stats

NAMES = ["p[0]", "p[1]", "p[2]", "sd", "means[0]", "means[1]", "means[2]"]


def simulate(seed=8927):
    """The tutorial's data, shape (500,)."""
    rng = np.random.default_rng(seed)
    v = rng.integers(0, 3, 500)
    return np.array([-5, 0, 5])[v] + rng.standard_normal(500)


def log_posterior(theta, y, prior_sd=15, widest=20, min_weight=0.1):
    """Log-density up to a constant for theta of shape (n, 6): shape (n,)."""
    p = np.column_stack([theta[:, :2], 1 - theta[:, 0] - theta[:, 1]])
    means, sd = theta[:, 2:5], theta[:, 5]
    inside = (p >= min_weight).all(axis=1) & (np.diff(means) >= 0).all(axis=1)
    inside &= (sd > 0) & (sd < widest)
    log_density = np.full(len(theta), -np.inf)
    pieces = len(theta) // 500 + 1  # small enough for the cache
    for some in np.array_split(np.flatnonzero(inside), pieces):
        width = sd[some, None, None]
        terms = np.exp(-(((y - means[some, :, None]) / width) ** 2) / 2) / width
        density = (p[some, :, None] * terms).sum(axis=1)
        log_prior = -(means[some] ** 2).sum(axis=1) / (2 * prior_sd**2)
        log_density[some] = np.log(density).sum(axis=1) + log_prior
    return log_density


class Reference:
    """Weighted draws of the posterior of `y`, and what follows from them; an AssertionError if they cannot be trusted.

    draws : arrays of shape (n,) by NAMES
    weight : shape (n,), sums to one
    quality : how many independent draws would be worth as much, and k-hat: the shape of the generalized Pareto
        distribution of the largest weights
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
        self.quality = (
            f"effective size {effective_size:.0f} of {n}, Pareto k {pareto_k:.2f}"
        )
        assert effective_size > n / 2 and pareto_k < 0.5, self.quality

    def mean(self, x):
        """Mean of a function of the draws, shape (n,), and its Monte Carlo error."""
        mean = self.weight @ x
        return mean, np.sqrt(self.weight**2 @ (x - mean) ** 2)

    def sd(self, x):
        """Standard deviation and its error, that of the variance over twice the standard deviation."""
        variance, error = self.mean((x - self.weight @ x) ** 2)
        return variance**0.5, error / (2 * variance**0.5)

    def quantile(self, x, probability):
        order = np.argsort(x)
        cumulative = np.cumsum(self.weight[order]) - self.weight[order] / 2
        return np.interp(probability, cumulative, x[order])


if __name__ == "__main__":
    reference = Reference(simulate())
    print(reference.quality)
    print("mean and standard deviation, each ± its Monte Carlo error; 3 % and 97 %")
    for name, x in reference.draws.items():
        (mean, of_mean), (sd, of_sd) = reference.mean(x), reference.sd(x)
        low, high = reference.quantile(x, [0.03, 0.97])
        print(
            f"{name:8} {mean:9.5f} ± {of_mean:.5f} {sd:9.5f} ± {of_sd:.5f} {low:9.5f} {high:9.5f}"
        )
