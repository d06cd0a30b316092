"""What the page makes of a run: densities, memberships, replicates and the figures' data."""

import inspect

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pymc3 as pm
import pytest
from scipy import stats

K, Y = 3, np.linspace(-3, 3, 7)
DIMS = {"p": ["cluster"], "means": ["cluster"]}


def test_log_components_are_the_marginal_likelihood(tutorial):
    """The terms that memberships, curves and the density add up, against SciPy's."""
    rng = np.random.default_rng(0)
    posterior = {
        "p": rng.dirichlet(np.ones(K), (2, 5)),
        "means": rng.standard_normal((2, 5, K)),
    }
    posterior["sd"] = rng.uniform(0.5, 2, (2, 5))
    run = az.from_dict(posterior, dims=DIMS)
    log_terms = tutorial["log_components"](Y, run, most=10)
    p, means, sd = (posterior[name].reshape(10, -1, 1) for name in ("p", "means", "sd"))
    expected = (p * stats.norm.pdf(Y, means, sd)).sum(axis=1)
    np.testing.assert_allclose(np.exp(log_terms).sum(axis=1), expected, rtol=1e-12)


def test_membership_is_bayes_rule(tutorial):
    """p_j Normal(x | μ_j, σ) over the sum of such terms, averaged over the draws."""
    rng, x = np.random.default_rng(0), np.linspace(-3, 3, 25_001)
    p, means = rng.dirichlet(np.ones(K), (2, 50)), rng.standard_normal((2, 50, K))
    sd = rng.uniform(0.5, 2, (2, 50))
    run = az.from_dict({"p": p, "means": means, "sd": sd}, dims=DIMS)
    found = tutorial["membership"](x, run)
    assert found.shape == (x.size, K)
    terms = p[..., None] * stats.norm.pdf(x, means[..., None], sd[..., None, None])
    shares = (terms / terms.sum(axis=2, keepdims=True)).mean(axis=(0, 1)).T
    # of the draws it may take some more often than others
    np.testing.assert_allclose(found, shares, atol=0.02)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.fixture
def of_two_places(tutorial):
    """A run whose first half has all weight on a narrow cluster, the second on a wide."""
    p = np.repeat([[[1.0, 0.0]], [[0.0, 1.0]]], 50, axis=1).reshape(1, 100, 2)
    means, sd = np.tile([-10.0, 10.0], (1, 100, 1)), np.tile([1.0, 3.0], (1, 100, 1))
    dims = {**DIMS, "sd": ["cluster"]}
    return az.from_dict({"p": p, "means": means, "sd": sd}, dims=dims)


def test_replicates_follow_the_draws(tutorial, of_two_places):
    """Each from one draw, of all draws alike; each point by its cluster's mean and width."""
    rng = np.random.default_rng(0)
    sets = tutorial["replicate"](of_two_places, 2_000, rng, count=200)
    assert sets.shape == (200, 2_000)
    left = sets.mean(axis=1) < 0
    assert abs(left.mean() - 0.5) < 0.15
    for which, mean, width in ((left, -10, 1), (~left, 10, 3)):
        law = stats.norm(mean, width)
        assert stats.kstest(sets[which].ravel()[:10_000], law.cdf).pvalue > 1e-6
    one_width = of_two_places.copy()
    one_width.posterior = of_two_places.posterior.isel(draw=slice(50))
    one_width.posterior["sd"] = 2 + 0 * one_width.posterior["sd"][..., 0]
    sets = tutorial["replicate"](one_width, 2_000, rng, count=10)
    assert stats.kstest(sets.ravel(), stats.norm(-10, 2).cdf).pvalue > 1e-6


def test_replicates_are_compared_with_the_data(tutorial):
    """The figure's bars and bands, and the table's verdicts, for data that fit and not."""
    rng = np.random.default_rng(1)
    sets = rng.standard_normal((300, 500))
    for data, fits in (
        (rng.standard_normal(500), True),
        (rng.normal(3, 5, 500), False),
    ):
        fig, ax = plt.subplots()
        table = tutorial["compare"](data, sets, ax)
        band, outline = ax.patches
        heights, edges, _ = outline.get_data()
        np.testing.assert_array_equal(heights, np.histogram(data, edges)[0])
        top, _, bottom = band.get_data()
        between = [np.histogram(y, edges)[0] for y in sets]
        low, high = np.quantile(between, (0.03, 0.97), axis=0)
        np.testing.assert_array_equal(
            np.transpose([bottom, top]), np.transpose([low, high])
        )
        assert edges[0] == data.min() and edges[-1] == data.max()
        inside = table["inside"].astype(bool)
        between = table["data"].between(table["replicates, 3 %"], table["97 %"])
        assert (inside == between).all()
        assert (
            inside.all()
            if fits
            else not inside[["standard deviation", "largest"]].any()
        )
        assert table.loc["largest", "data"] == round(data.max(), 3)
        assert table.loc["standard deviation", "data"] == round(data.std(ddof=1), 3)
        plt.close(fig)


def test_curves_are_the_densities(tutorial, of_two_places):
    """Each cluster's curve and the sum's, means over the draws, above the histogram."""
    data = np.linspace(-12, 15, 101)
    fig, ax = plt.subplots()
    x, component = tutorial["plot_mixture"](ax, data, of_two_places)
    expected = [0.5 * stats.norm(m, s).pdf(x) for m, s in ((-10, 1), (10, 3))]
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == ["cluster 0", "cluster 1", "sum"]
    for line, curve in zip(lines.values(), (*expected, sum(expected))):
        np.testing.assert_array_equal(line.get_xdata(), x)
        # of the draws it may take some more often than others
        np.testing.assert_allclose(line.get_ydata(), curve, rtol=0.02)
    assert [line.get_color() for line in lines.values()] == ["C0", "C1", "black"]
    np.testing.assert_allclose(component.mean(axis=0), expected, rtol=0.02)
    bars = sum(bar.get_height() * bar.get_width() for bar in ax.patches)
    assert bars == pytest.approx(1)
    plt.close(fig)


def test_one_bad_variable_is_enough_for_no(tutorial):
    rng = np.random.default_rng(0)
    good = {name: rng.standard_normal((4, 500, 2)) for name in ("p", "means")}
    good["sd"] = rng.standard_normal((4, 500))

    def verdict(**bad):
        return tutorial["convergence"](az.from_dict(good | bad, dims=DIMS))[2]

    one_chain = np.array([1, 0, 0, 0])
    assert verdict() == "converged"
    assert verdict(sd=0 * good["sd"]) != "converged"  # it never moved: no R-hat
    apart = good["means"] + np.multiply.outer(one_chain, np.tile([0, 1], (500, 1)))
    assert verdict(means=apart) != "converged"
    nearly = good["means"] + 0.5 * (apart - good["means"])
    assert verdict(means=nearly) != "converged"  # an R-hat of some 1.03
    assert verdict(sd=good["sd"] * (1 + 2 * one_chain[:, None])) != "converged"
    few = {name: draws[:, :80] for name, draws in good.items()}
    assert verdict(**few) != "converged"


def test_a_stopped_run_keeps_all_chains(tutorial):
    """What PyMC3 calls when it is interrupted, in place of its own."""
    assert "_choose_chains(traces, tune)" in inspect.getsource(pm.sampling._mp_sample)
    assert pm.sampling._choose_chains is tutorial["keep_all_chains"]
    traces = [range(30), range(20), range(25)]
    assert pm.sampling._choose_chains(traces, 10) == (traces, 20)
    with pytest.raises(ValueError, match="no draws were kept"):
        pm.sampling._choose_chains(traces, 20)
