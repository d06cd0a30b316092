"""Long looks: PyMC3's own step, and other data."""

import numpy as np
import pandas as pd
import pymc3 as pm
import pytest
import theano.tensor as tt
from page import defined
from posterior import PRIORS, compare_posterior
from reference import simulate
from scipy import stats

import mixtures as mx

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
