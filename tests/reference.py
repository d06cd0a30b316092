"""The posterior of the tutorial's data by importance sampling: NumPy and SciPy, and nothing of the tutorial's.
`python tests/reference.py` prints it.

With the categories summed out six parameters are free, theta = (p[0], p[1], means[0..2], sd), and inside
the constraints (weights of at least 0.1, means in order, 0 < sd < 20) their log-density is

    sum_i log sum_j p[j] Normal(y[i] | means[j], sd) - sum_j means[j]**2 / (2 * 15**2) + constant,

since Dirichlet(1, 1, 1) and Uniform(0, 20) are flat and theta is not transformed. Outside it is minus infinity.

Draws come from a multivariate Student t distribution with 10 degrees of freedom, first around the mode with the
inverse Hessian that the optimizer found, then with the mean and the covariance of those pilot draws. Each draw is
weighted by posterior over proposal. Outside the constraints that is zero, and nowhere infinite.

Sources: Owen, "Monte Carlo theory, methods and examples", chapter 9, https://artowen.su.domains/mc/ (weights,
effective size, errors); Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling",
arXiv 1507.02646 (k-hat: below 0.5 the weights have a variance, so the errors can be believed).
"""

import numpy as np
from scipy import optimize, stats

NAMES = ["p[0]", "p[1]", "p[2]", "sd", "means[0]", "means[1]", "means[2]"]


def simulate(seed=8927):
    """The tutorial's data, shape (500,)."""
    rng = np.random.default_rng(seed)
    v = rng.integers(0, 3, 500)
    return np.array([-5, 0, 5])[v] + rng.standard_normal(500)


def components(theta, y):
    """p[j] Normal(y | means[j], sd) without 1 / sqrt(2 pi), for theta of shape (n, 6): shape (n, 3, y.size)."""
    p = np.column_stack([theta[:, :2], 1 - theta[:, 0] - theta[:, 1]])
    means, sd = theta[:, 2:5, None], theta[:, 5, None, None]
    return p[:, :, None] / sd * np.exp(-(((y - means) / sd) ** 2) / 2)


def log_posterior(theta, y, prior_sd=15, widest=20, min_weight=0.1):
    """Log-density up to a constant for theta of shape (n, 6): shape (n,)."""
    p0, p1, means, sd = theta[:, 0], theta[:, 1], theta[:, 2:5], theta[:, 5]
    inside = (np.minimum(np.minimum(p0, p1), 1 - p0 - p1) >= min_weight) & (
        np.diff(means) >= 0
    ).all(axis=1)
    inside &= (sd > 0) & (sd < widest)
    log_density = np.full(len(theta), -np.inf)
    for chunk in np.array_split(
        np.flatnonzero(inside), len(theta) // 500 + 1
    ):  # small enough for the cache
        density = components(theta[chunk], y).sum(axis=1)
        log_density[chunk] = np.log(density).sum(axis=1) - (means[chunk] ** 2).sum(
            axis=1
        ) / (2 * prior_sd**2)
    return log_density


class Reference:
    """Weighted draws of the posterior of `y`, shape (500,), and what follows from them.

    draws : arrays of shape (n,) by NAMES
    weight : shape (n,), sums to one
    effective_size : how many independent draws would be worth as much
    pareto_k : shape of the generalized Pareto distribution of the largest weights
    """

    def __init__(
        self, y, n=100_000, seed=1, start=(1 / 3, 1 / 3, -5, 0, 5, 1), **prior
    ):
        rng = np.random.default_rng(seed)
        with np.errstate(invalid="ignore"):  # the optimizer may look behind a wall
            found = optimize.minimize(
                lambda theta: -log_posterior(theta[None], y, **prior)[0],
                start,
                method="BFGS",
            )
        center, covariance = found.x, found.hess_inv
        for size in (n // 20, n):
            proposal = stats.multivariate_t(center, covariance, df=10)
            self.theta = proposal.rvs(size, random_state=rng)
            log_weight = log_posterior(self.theta, y, **prior) - proposal.logpdf(
                self.theta
            )
            self.weight = np.exp(log_weight - log_weight.max())
            self.weight /= self.weight.sum()
            center, covariance = (
                self.weight @ self.theta,
                np.cov(self.theta.T, aweights=self.weight),
            )
        p0, p1, *means, sd = self.theta.T
        self.draws = dict(zip(NAMES, [p0, p1, 1 - p0 - p1, sd, *means]))
        self.effective_size = 1 / (self.weight**2).sum()
        tail = np.sort(self.weight)[-int(3 * n**0.5) :]
        self.pareto_k = stats.genpareto.fit(tail[1:] - tail[0], floc=0)[0]

    def mean(self, x):
        """Mean of a function of the draws, shape (n,), and its Monte Carlo error."""
        mean = self.weight @ x
        return mean, np.sqrt(self.weight**2 @ (x - mean) ** 2)

    def sd(self, x):
        """Standard deviation and its error, that of the variance over twice the standard deviation."""
        variance, error = self.mean((x - self.weight @ x) ** 2)
        return variance**0.5, error / (2 * variance**0.5)

    def quantile(self, x, probability):
        """Quantile and its error: half the distance between the quantiles one error of the probability up and down."""
        order = np.argsort(x)
        cumulative = np.cumsum(self.weight[order]) - self.weight[order] / 2
        value = np.interp(probability, cumulative, x[order])
        _, error = self.mean(x <= value)
        low, high = np.interp(
            [probability - error, probability + error], cumulative, x[order]
        )
        return value, (high - low) / 2

    def shortest(self, size, share=0.94, repeats=200):
        """The shortest interval with `share` of `size` independent draws: for each parameter the lower and the upper
        bound, each with its error. No formula gives that, so both come from repeated samples of `size` draws."""
        chosen = np.random.default_rng(2).choice(
            self.weight.size, (repeats, size), p=self.weight
        )
        inside, bounds = int(share * size), {}
        for name, x in self.draws.items():
            x = np.sort(x[chosen], axis=1)
            first = (x[:, inside:] - x[:, :-inside]).argmin(axis=1)
            ends = [x[np.arange(repeats), first + shift] for shift in (0, inside)]
            bounds[name] = [(end.mean(), end.std()) for end in ends]
        return bounds

    def membership(self, y, cluster):
        """Probability that the points `y` belong to `cluster`, one for each, at every draw: shape (n, y.size)."""
        density = components(self.theta, y)
        return density[:, cluster, np.arange(len(y))] / density.sum(axis=1)


if __name__ == "__main__":
    reference = Reference(simulate())
    print(
        f"effective size {reference.effective_size:.0f}, Pareto k {reference.pareto_k:.2f}"
    )
    print(
        "mean, standard deviation, 3 % and 97 % quantiles, each with its Monte Carlo error"
    )
    for name, x in reference.draws.items():
        numbers = [
            reference.mean(x),
            reference.sd(x),
            *(reference.quantile(x, q) for q in (0.03, 0.97)),
        ]
        print(f"{name:9}", *(f"{value:9.5f} ± {error:.5f}" for value, error in numbers))
