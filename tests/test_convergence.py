"""Fifty other data sets of the tutorial's size: `make convergence` runs it."""

import ast

import numpy as np
import pandas as pd
import pymc3 as pm
import pytest
from conftest import cell_that_defines, parsed, with_values
from scipy import stats

SETS = 50
FALSE_ALARM = 0.001  # that a sampler fails a test of coverage though it is right


@pytest.mark.long
@pytest.mark.timeout(0)
def test_converges_and_covers_the_truth_on_other_data(tutorial, monkeypatch):
    """Data and chains from other seeds, through the notebook's own cells and settings."""
    sample = pm.sample
    monkeypatch.setattr(pm, "sample", lambda **how: sample(progressbar=False, **how))
    settings, *cells = map(cell_that_defines, ("ndata", "mixture_model", "trace"))
    # of the cell that looks at `trace` no more than the numbers
    judging = [s for s in parsed(cell_that_defines("summary")).body if not is_plot(s)]
    summaries = {"Metropolis": [], "Gibbs": []}
    for seed in range(1, SETS + 1):
        names = dict(tutorial)
        exec(with_values(settings, RANDOM_SEED=seed), names)
        for cell in cells:
            exec(compile(parsed(cell), "", "exec"), names)
        gibbs, of = names["gibbs"], (names["data"], names["k"], names["priors"])
        runs = dict(Metropolis=names["trace"])
        runs["Gibbs"] = gibbs(*of, min_weight=0.1, random_seed=seed)
        for name, run in runs.items():
            print(f"set {seed:2}, {name}:", end=" ")
            names["trace"] = run
            exec(compile(ast.Module(judging, []), "", "exec"), names)
            found = names["summary"].assign(inside=names["inside"])
            summaries[name].append(found)

    for name, found in summaries.items():
        every = pd.concat(found)
        by_parameter = every.groupby(level=0, sort=False)
        table = by_parameter.agg({"r_hat": "max", "ess_bulk": "min", "inside": "sum"})
        worst = np.array([x["r_hat"].max(skipna=False) for x in found])
        inside = np.array([x["inside"].sum() for x in found])
        # each parameter by the binomial distribution; all together by the sets' own
        # scatter, as parameters are related
        fewest = int(stats.binom.ppf(FALSE_ALARM / 4 / len(table), SETS, 0.94))
        expected = 0.94 * len(table)
        z = (inside.mean() - expected) / (inside.std(ddof=1) / np.sqrt(SETS))
        print(
            f"\n{name}: worst of {SETS} sets, and true values inside\n{table.round(4)}"
        )
        print(f"sets with R-hat at most 1.01 throughout: {(worst <= 1.01).sum()}")
        share = every["inside"].mean()
        print(f"inside: {share:.1%}, {z:.1f} standard errors from 94 %")
        assert (worst <= 1.01).all(), f"{name} did not converge: {worst.max()}"
        assert table["inside"].min() >= fewest, f"{name}: too seldom inside"
        assert abs(z) < stats.t.isf(FALSE_ALARM / 8, SETS - 1), f"{name}: {share:.1%}"


def is_plot(statement):
    """Whether a statement draws, or shows what the cell ends with."""
    code = ast.unparse(statement)
    calls = ("plt.", "az.plot", "axes")
    ends = isinstance(statement, ast.Expr) and "print" not in code
    return ends or any(name in code for name in calls)
