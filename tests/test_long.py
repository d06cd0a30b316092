"""Long looks: PyMC3's own step, other data, and places beside points."""

import numpy as np
import pandas as pd
import pymc3 as pm
import pytest
import theano.tensor as tt
from conftest import defined
from reference import simulate
from scipy import stats
from test_posterior import PRIORS, compare_posterior

import mixtures as mx
from mixtures.results import PLACES
from mixtures.sampler import log_likelihood, model_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(0)]


def test_pymc3_s_own_step_samples_the_same_posterior(reference):
    """The example as it was, but for two processes: about an hour."""
    mixture_model = defined("mixture_model", np=np, pm=pm, tt=tt)
    how = dict(chains=2, cores=2, random_seed=1, progressbar=False)
    how |= dict(return_inferencedata=True, idata_kwargs={"log_likelihood": False})
    with mixture_model(simulate(), 3, PRIORS) as model:
        continuous = pm.Metropolis(vars=[model["p"], model["sd"], model["means"]])
        step = [continuous, pm.CategoricalGibbsMetropolis(vars=[model["category"]])]
        stock = pm.sample(draws=20_000, tune=5_000, step=step, **how)
    compare_posterior(stock.posterior, reference)


def test_fits_are_trusted_and_cover_the_truth_on_other_data():
    """Fifty columns: 94 % of the intervals hold the truth, by parameter and in all."""
    inside, truth = [], pd.DataFrame({"weight": 1 / 3, "mean": [-5, 0, 5], "sd": 1})
    for seed in range(1, 51):
        fit = mx.fit(simulate(seed), 3, own_widths=False, random_seed=seed)
        assert fit.trusted, f"{seed}: {fit.verdict}"
        low, high = (fit.clusters[[f"{x} {q} %" for x in truth]] for q in (3, 97))
        inside.append((low.values < truth.values) & (truth.values < high.values))
    seldom = stats.binom.ppf(0.001 / 9, 50, 0.94)
    assert (np.sum(inside, axis=0) >= seldom).all(), np.sum(inside, axis=0)
    of_set = np.mean(inside, axis=(1, 2))  # parameters are related, sets are not
    assert stats.ttest_1samp(of_set, 0.94).pvalue > 0.001, of_set.mean()


@pytest.mark.parametrize("places", [PLACES, 1_000])
@pytest.mark.parametrize("groups", [[(-6, 0.1), (0, 1), (6, 3)], [(-1.5, 1), (1.5, 1)]])
def test_places_are_as_good_as_points(groups, places):
    """Draws given 100,000 values at places, weighted so that they are given the values:
    means move by less than 0.1 standard deviations, these by less than 3 %."""
    rng, k = np.random.default_rng(1), len(groups)
    y = np.concatenate([rng.normal(*group, 100_000 // k) for group in groups])
    at_places, at_points = (mx.as_column(y, most) for most in (places, y.size))
    assert len(at_places.count) <= places < len(at_points.count) == y.size
    draws = mx.gibbs(at_places, k, own_widths=True, chains=16)
    draws = draws.stack(sample=("chain", "draw")).isel(sample=slice(None, None, 16))
    p, means, sd = (draws[name].values.T for name in ("p", "means", "sd"))
    log_weight = 0
    for column, sign in ((at_points, 1), (at_places, -1)):
        model = model_of(column, k, None, True, 0, 1, rng)
        state = p, (means - column.location) / column.scale, sd / column.scale
        few = zip(*(np.array_split(x, len(p) // 10) for x in state))
        log_weight += sign * np.concatenate([log_likelihood(model, *x) for x in few])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    assert 1 / (weight**2).sum() > len(p) / 2
    for x in (p, means, sd):
        exact, spread = weight @ x, x.std(axis=0)
        assert (np.abs(x.mean(axis=0) - exact) < 0.1 * spread).all()
        assert (np.abs(np.sqrt(weight @ (x - exact) ** 2) / spread - 1) < 0.03).all()
