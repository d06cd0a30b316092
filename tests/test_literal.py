"""The original as specified, stock step and all: left out of the test suite, `make literal` runs it."""

import arviz as az
import numpy as np
import pandas as pd
import pymc3 as pm
import pytest
from conftest import cell_that_defines, parsed


def statistics(posterior, points):
    """Rows of name, value and Monte Carlo error: each parameter's mean, standard deviation and two quantiles,
    and the share of draws in the middle cluster for each of `points`."""
    columns = {}
    for name in ("p", "sd", "means"):
        draws = posterior[name].values.reshape(*posterior[name].shape[:2], -1)
        columns |= {f"{name}[{j}]": draws[:, :, j] for j in range(draws.shape[2])}
    for name, x in columns.items():
        yield f"{name} mean", x.mean(), az.mcse(x, method="mean")
        yield f"{name} sd", x.std(ddof=1), az.mcse(x, method="sd")
        for prob in (0.03, 0.97):
            yield (
                f"{name} {prob:.0%}",
                np.quantile(x, prob),
                az.mcse(x, method="quantile", prob=prob),
            )
    for point in points:
        x = (posterior["category"].values[:, :, point] == 1).astype(float)
        yield f"category[{point}]", x.mean(), az.mcse(x, method="mean")


@pytest.mark.long
@pytest.mark.timeout(0)
def test_the_stock_step_samples_the_same_posterior(tutorial):
    names, model = dict(tutorial), tutorial["model"]
    exec(compile(parsed(cell_that_defines("trace")), "", "exec"), names)
    ours = names["trace"].posterior
    with model:
        stock = pm.sample(
            draws=20_000,
            tune=5_000,
            step=[
                pm.Metropolis(vars=[model["p"], model["sd"], model["means"]]),
                pm.CategoricalGibbsMetropolis(vars=[model["category"]]),
            ],
            chains=2,
            cores=2,
            random_seed=1,
            progressbar=False,
            return_inferencedata=True,
            idata_kwargs={"log_likelihood": False},
        )
    print(
        az.summary(
            stock, var_names=["p", "sd", "means"], hdi_prob=0.94, round_to=4
        ).to_string()
    )
    print("seconds of the stock run:", round(stock.posterior.attrs["sampling_time"]))

    share = (ours["category"] == 1).mean(["chain", "draw"]).values
    in_doubt = np.flatnonzero((share > 0.01) & (share < 0.99))
    rows = [
        (name, a, b, (a - b) / np.hypot(error_a, error_b))
        for (name, a, error_a), (_, b, error_b) in zip(
            statistics(ours, in_doubt),
            statistics(stock.posterior, in_doubt),
            strict=True,
        )
    ]
    table = pd.DataFrame(
        rows, columns=["", "tutorial", "stock", "difference in Monte Carlo errors"]
    )
    print(table.round(4).to_string(index=False))
    # at 4.5 a false alarm has a chance of 7e-6 for each of some eighty rows
    assert table.iloc[:, -1].abs().max() < 4.5
