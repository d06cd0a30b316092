"""`mixtures.model.Prior` is the prior that it says: its density, its draws, its words."""

import numpy as np
import pytest
from scipy import integrate, stats

from mixtures import as_column
from mixtures.model import Prior, prior_of

OF_MEANS = dict(center=1.0, scale=2.0)
STATES = [  # of two and of three clusters
    (np.array([0.3, 0.7]), np.array([0.5, 2.0]), np.array([0.8, 1.5])),
    (np.array([0.2, 0.3, 0.5]), np.array([-1.0, 0.5, 3.0]), np.array([0.7, 2.0, 1.1])),
]


def prior(own_widths, floor=0.5):
    number, alpha = np.array([0.2, 0.5, 0.3]), np.array([1.0, 0.5, 0.25])
    rest = dict(OF_MEANS, widest=3.0, floor=floor, own_widths=own_widths)
    return Prior(number=number, concentration=alpha, **rest)


def log_density_of_variances(sd, own_widths, floor):
    """By integration over beta, normalized over widths that are over the floor."""
    if not own_widths:
        return -np.log(2 * sd[0])  # sd is uniform: the density of a variance

    def over_beta(function):
        def integrand(log_beta):
            beta = np.exp(log_beta)
            return beta * stats.gamma.pdf(beta, 0.2, scale=9 / 10) * function(beta)

        return integrate.quad(integrand, -80, 5, limit=500)[0]

    of_precisions = over_beta(
        lambda beta: np.prod(stats.gamma.pdf(sd**-2, 2, scale=1 / beta))
    )
    over_floor = over_beta(
        lambda beta: stats.gamma.cdf(floor**-2, 2, scale=1 / beta) ** len(sd)
    )
    return np.log(of_precisions) - 4 * np.log(sd).sum() - np.log(over_floor)


@pytest.mark.parametrize("own_widths", [False, True])
def test_log_density_of_number_weights_means_and_widths(own_widths):
    """The difference of two states' densities: names, Dirichlet, normal and widths."""
    ours, expected, of = [], [], prior(own_widths)
    for p, means, sd in STATES:
        sd = sd if own_widths else np.full(len(p), sd[0])
        k, named = len(p), np.log(np.arange(1, len(p) + 1)).sum()
        ours.append(of.log_density(p[None], means[None], sd[None], np.array([k]))[0])
        log_density = named + np.log(of.number[k - 1])
        log_density += stats.dirichlet.logpdf(p, np.full(k, of.concentration[k - 1]))
        log_density += stats.norm.logpdf(means, 1, 2).sum()
        expected.append(log_density + log_density_of_variances(sd, own_widths, 0.5))
    assert ours[1] - ours[0] == pytest.approx(expected[1] - expected[0], abs=2e-3)


@pytest.mark.parametrize("wall", [dict(floor=0.9), dict(min_weight=0.4)], ids=str)
def test_nothing_is_probable_beyond_a_wall(wall):
    given = dict(number=np.array([0, 1.0]), concentration=np.ones(2), floor=0.1)
    of = Prior(**OF_MEANS, widest=3.0, own_widths=True, **given | wall)
    p, means, sd = (x[None] for x in STATES[0])
    assert of.log_density(p, means, sd, np.array([2]))[0] == -np.inf
    drawn = of.draw(np.random.default_rng(0), 500)
    assert drawn.sd.min() >= of.floor and drawn.p.min() >= of.min_weight


def test_draws_of_own_widths_are_of_the_prior():
    """Of one cluster: the distribution function of a precision, beta averaged out."""
    of = Prior(
        number=np.ones(1), concentration=np.ones(1), **OF_MEANS,
        widest=3.0, floor=1e-9, own_widths=True,
    )  # fmt: skip
    drawn = of.draw(np.random.default_rng(1), 4_000).sd[:, 0]
    beta = stats.gamma.ppf(np.linspace(5e-4, 1 - 5e-4, 1_000), 0.2, scale=9 / 10)
    for sd in (0.05, 0.3, 1):
        below = stats.gamma.sf(sd**-2, 2, scale=1 / beta).mean()
        assert (drawn < sd).mean() == pytest.approx(below, abs=0.04)


def test_a_prior_in_other_units_is_the_same_prior():
    of = prior(True)
    moved = of.standardized(10.0, 4.0)
    assert (moved.center, moved.scale) == (-2.25, 0.5)
    assert (moved.widest, moved.floor) == (0.75, 0.125)
    np.testing.assert_allclose(moved.log_number, of.log_number)


def test_the_prior_describes_itself():
    column = as_column([2.0, 3.5, 10])
    words = str(prior_of(column, [0.5, 0.5], concentration=[1, 0.5]))
    assert words == (
        "1 to 2 clusters, of prior probabilities 0.5, 0.5; weights ~ Dirichlet of "
        "concentration 1 to 0.5; means ~ Normal(6, 8); widths with 1 / sd² ~ Gamma(2, "
        "beta) and beta ~ Gamma(0.2, 10 / 8²), none under 0.07."
    )
    assert str(prior_of(column, 1)).startswith("1 cluster; weights")
    one_width = str(prior_of(column, 2, own_widths=False, min_weight=0.1))
    assert one_width.startswith("2 clusters; weights ~ Dirichlet of concentration 1, ")
    assert "none under 0.1; means" in one_width
    assert one_width.endswith("one width, Uniform(0.07, 8).")
