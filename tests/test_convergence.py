"""Fifty other data sets of the tutorial's size: left out of the test suite, `make convergence` runs it."""

import numpy as np
import pandas as pd
import pytest
from conftest import cell_with, edited, run_here
from scipy import stats

SETS = 50
FALSE_ALARM = 0.001  # the chance that either sampler fails a test of coverage though its intervals are right


@pytest.mark.long
def test_converges_and_covers_the_truth_on_other_data(tutorial):
    """Data and chains from other seeds, through the notebook's own cells, settings and summary."""
    alone = {"step=steps, chains=chains, cores=chains": "step=steps, chains=chains, cores=chains, progressbar=False"}
    summaries = {"Metropolis": [], "conjugate Gibbs": []}
    for seed in range(1, SETS + 1):
        cells = edited(alone | {"RANDOM_SEED = 8927": f"RANDOM_SEED = {seed}"}).cells
        wanted = "k = 3  # clusters", "def check_data", "def mixture_model", "trace = pm.sample("
        names = run_here([cell_with(text, cells) for text in wanted], dict(tutorial))
        samplers = cell_with("def sample_gibbs", cells)
        samplers.source = samplers.source.split("\n\n\n")[0]
        run_here([samplers], names)
        for name, found in summaries.items():
            if name == "conjugate Gibbs":
                names["trace"] = names["sample_gibbs"](names["model"], draws=20_000)
            print(f"set {seed:2}, {name}:", end=" ")
            run_here([cell_with("worst_r_hat", cells)], names)
            found.append(names["summary"].assign(inside=names["inside"]))

    for name, found in summaries.items():
        every = pd.concat(found)
        by_parameter = every.groupby(level=0, sort=False)
        table = by_parameter.agg({"r_hat": "max", "ess_bulk": "min", "ess_tail": "min", "inside": "sum"})
        worst = [x["r_hat"].max(skipna=False) for x in found]
        sets = pd.DataFrame({"r_hat": worst, "inside": [x["inside"].sum() for x in found]}, range(1, SETS + 1))
        # each parameter by the binomial distribution; all together by the sets' own scatter, as parameters are related
        fewest = int(stats.binom.ppf(FALSE_ALARM / 2 / 2 / len(table), SETS, 0.94))
        z = (sets["inside"].mean() - 0.94 * len(table)) / (sets["inside"].std() / np.sqrt(SETS))
        largest = stats.t.isf(FALSE_ALARM / 2 / 2 / 2, SETS - 1)
        print(f"\n{name}: worst R-hat, worst effective sizes and true values inside, of {SETS}\n{table.round(4)}")
        print(f"sets with R-hat at most 1.01 throughout: {(sets['r_hat'] <= 1.01).sum()} of {SETS}")
        print(f"true values inside their interval: {every['inside'].mean():.1%}, {z:.1f} standard errors from 94 %")
        print(f"accepted: at least {fewest} of {SETS} for each, {largest:.1f} standard errors for all")
        assert (sets["r_hat"] <= 1.01).all(), f"{name} did not converge on\n{sets[~(sets['r_hat'] <= 1.01)]}"
        assert table["inside"].min() >= fewest, f"{name}: an interval holds the truth too seldom"
        assert abs(z) < largest, f"{name}: intervals hold the truth too often or too seldom"
