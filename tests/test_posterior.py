"""The page's models are the specified ones, and each sampler finds their posterior."""

import arviz as az
import numpy as np
import pymc3 as pm
import pytest
import theano
import theano.tensor as tt
import xarray as xr
from page import defined
from posterior import DOUBTFUL, PRIORS, compare, compare_posterior
from reference import Reference, simulate
from scipy import stats

import mixtures as mx

NARROW = dict(center=1, scale=6, widest=4)
Y = np.random.default_rng(1).normal(0, 3, 40)


def log_density_at(model):
    """A function of values by name: the model's log-density in these, untransformed."""
    with theano.config.change_flags(cxx=""):
        log_density = model.logp_nojac

    def at(**values):
        point = {}
        for name, value in values.items():
            value, rv = np.asarray(value), model[name]
            if hasattr(rv, "transformation"):
                name, value = rv.transformed.name, rv.transformation.forward_val(value)
            point[name] = value
        return float(log_density(point))

    return at


def log_prior(p, means, sd, min_weight):
    """The page's formulas and walls, with the priors `NARROW`."""
    if p.min() < min_weight or (np.diff(means) < 0).any():
        return -np.inf
    of_means = stats.norm.logpdf(means, 1, 6).sum() + stats.uniform.logpdf(sd, 0, 4)
    return stats.dirichlet.logpdf(p, np.ones(len(p))) + of_means


def test_log_probability_of_the_mixture():
    """Priors, potentials and likelihood at points inside and outside of the walls."""
    rng, outside = np.random.default_rng(0), 0
    at = log_density_at(defined("mixture_model", np=np, pm=pm, tt=tt)(Y, 3, NARROW))
    for i in range(30):
        p = 0.1 + 0.7 * rng.dirichlet(np.ones(3))
        p = rng.permutation([0.09, 0.11, 0.8]) if i % 5 == 0 else p
        means = rng.normal(1, 6, 3)
        means = means if i % 7 == 0 else np.sort(means)
        sd, category = rng.uniform(0.1, 4), rng.integers(0, 3, Y.size)
        expected = stats.norm.logpdf(Y, means[category], sd).sum()
        expected += np.log(p[category]).sum() + log_prior(p, means, sd, 0.1)
        found = at(p=p, means=means, sd=sd, category=category)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        outside += found == -np.inf
    assert 5 < outside < 20


@pytest.mark.parametrize("min_weight", [0, 0.1])
def test_log_probability_of_the_marginal_model(min_weight):
    """Twenty points: the density may differ by a constant factor and nothing else."""
    rng, differences = np.random.default_rng(0), []
    marginal_model = defined("marginal_model", np=np, pm=pm, tt=tt)
    model = marginal_model(Y, 3, NARROW, min_weight)
    at, recorded = log_density_at(model), [model["p"], model["means"]]
    with theano.config.change_flags(cxx=""):
        recorded = theano.function([model["rest"], model["z"]], recorded)
    for _ in range(20):
        rest, z = rng.dirichlet(np.ones(3)), np.sort(rng.standard_normal(3))
        p, means = min_weight + (1 - 3 * min_weight) * rest, 1 + 6 * z
        np.testing.assert_allclose(recorded(rest, z), [p, means])
        sd = rng.uniform(0.2, 4)
        density = (p[:, None] * stats.norm.pdf(Y, means[:, None], sd)).sum(axis=0)
        expected = np.log(density).sum() + log_prior(p, means, sd, min_weight)
        differences.append(at(rest=rest, z=z, sd=sd) - expected)
    np.testing.assert_allclose(differences, differences[0], rtol=1e-9)


def test_gibbs_of_the_package(reference):
    compare_posterior(mx.gibbs(simulate(), 3, PRIORS, False, min_weight=0.1), reference)


@pytest.mark.parametrize("run", ["trace.posterior", "nuts.posterior", "fit"])
def test_samplers_of_the_page(executed, reference, run):
    compare_posterior(executed.evaluate(f"{run}[names]"), reference)


def test_categories(executed, reference):
    category = f"trace.posterior['category'].values[..., {[*DOUBTFUL]}]"
    drawn = executed.evaluate(f"(trace.posterior[names], {category})")
    compare_posterior(drawn[0], reference, drawn[1])


def test_gibbs_of_the_package_is_trusted_where_clusters_overlap():
    """As the page says of its default run, with `spread = 2`."""
    run = mx.gibbs(simulate(spread=2), 3, PRIORS, own_widths=False, min_weight=0.1)
    assert mx.convergence(run).trusted and run.attrs["jumps"]


def test_gibbs_of_the_page_is_that_of_the_package():
    """Where clusters overlap and both walls cut off much, and the priors are narrow."""
    rng, priors = np.random.default_rng(8), dict(center=1, scale=2, widest=1.1)
    of = np.r_[rng.normal(-1.5, 1, 60), rng.normal(1.5, 1, 20)], 2, priors
    gibbs = defined("gibbs", np=np, xr=xr)
    pages, ours = gibbs(*of, 0.3), mx.gibbs(*of, own_widths=False, min_weight=0.3)
    assert (pages["p"].min("cluster") < 0.31).mean() > 0.05
    assert (pages["sd"] > 1.05).mean() > 0.3
    average, rows = lambda x: x.mean(["chain", "draw"]), []
    for name in ("p", "means", "sd"):
        for power in (1, 2):
            both = [(run[[name]] - ours[name].mean()) ** power for run in (pages, ours)]
            each = [np.ravel(f(x)[name]) for x in both for f in (average, az.mcse)]
            rows += [(f"{name}, power {power}", *x) for x in zip(*each)]
    compare(rows)


def test_gibbs_of_the_page_keeps_what_comes_after_tuning():
    gibbs = defined("gibbs", np=np, xr=xr)
    whole = gibbs(Y, 2, PRIORS, chains=3, tune=0, draws=12)
    after = gibbs(Y, 2, PRIORS, chains=3, tune=5, draws=7)
    xr.testing.assert_equal(after, whole.isel(draw=slice(5, None)))


def test_an_untrustworthy_reference_is_refused():
    with pytest.raises(AssertionError, match="effective size"):
        Reference(simulate(), n=20_000, start=(0.4, 0.3, -5.5, 0.5, 5.5, 1.2))
