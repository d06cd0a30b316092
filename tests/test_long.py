"""Long looks: PyMC3's own step, other data, and chains that come late."""

import numpy as np
import pandas as pd
import pymc3 as pm
import pytest
import theano.tensor as tt
from page import MD, defined
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


def elsewhere(draws):
    """Draws of the galaxies in which the slow or the fast group is no cluster."""
    lost_slow = draws["means"][..., 0] > 14
    return (lost_slow | (draws["p"][..., 2] > 0.3)).values


@pytest.mark.parametrize("tune, late", [(150, range(1, 11)), (700, range(4))])
def test_chains_of_the_galaxies_that_come_late_are_seen(tune, late):
    """Ten seeds: none is trusted with a chain that begins in another mode, and nearly
    all are in which none does, nor stays in one later on."""
    _, _, rest = MD.read_text("utf-8").partition('velocities = """')
    velocities = np.array(rest.partition('"""')[0].split(), float) / 1000
    trusted = {"late": [], "": []}
    for seed in range(10):
        how = dict(own_widths=True, tune=tune, random_seed=seed)
        run = mx.gibbs(velocities, 3, **how)
        away = elsewhere(run)
        stays = np.apply_along_axis(np.convolve, 1, away, np.ones(50), "valid")
        kind = "late" if away[:, :20].sum(axis=1).max() >= 18 else ""
        if kind or stays.max() < 30:
            trusted[kind].append(mx.convergence(run).trusted)
    assert len(trusted["late"]) in late and not any(trusted["late"]), trusted
    assert len(trusted[""]) - sum(trusted[""]) <= 2, trusted
