"""What the tutorial says of its posterior, and what each sampler makes of it, against `reference.py`.

Each comparison is a difference in Monte Carlo errors, those of both sides combined. Beyond LIMIT a normal deviate
lies with a chance of 5.7e-7, and 152 are compared: a false alarm of the whole has a chance of 1e-4 at most.
Over 24 runs with other seeds, 16 of conjugate Gibbs and 8 of Metropolis, the largest of their 36 was 3.5.
"""

import re

import arviz as az
import numpy as np
import pandas as pd
import pytest
from conftest import cell_with, code_cells, html_table, run_here, texts
from reference import Reference, simulate

LIMIT = 5.0


@pytest.fixture(scope="module")
def reference():
    return Reference(simulate())


@pytest.fixture(scope="module")
def sampled(tutorial):
    """A run of each of the tutorial's samplers, in this process; that of Metropolis is shorter than the stored one."""
    sampling, nuts, gibbs = (cell_with(text, code_cells()) for text in ("trace = pm.s", "nuts = pm.s", "gibbs = sam"))
    sampling.source = sampling.source.replace("draws=20_000, tune=5_000", "draws=5_000, tune=2_000")
    gibbs.source = gibbs.source.split("with model:\n    gibbs_step")[0]  # without the times
    loo = cell_with("def leave_one_out", code_cells())
    loo.source = loo.source.replace("range(1, 7)", "[k]")
    names = run_here([sampling, nuts, gibbs, loo], dict(tutorial))
    runs = {"Metropolis": "trace", "NUTS": "nuts", "conjugate Gibbs": "gibbs", "leave-one-out": "by_clusters"}
    return {sampler: names[name] for sampler, name in runs.items()}


def compare(rows):
    """A table of rows of name, value, error, reference's value and error, with their difference in errors."""
    table = pd.DataFrame(rows, columns=["", "value", "error", "reference", "its error"])
    table["errors apart"] = (table["value"] - table["reference"]) / np.hypot(table["error"], table["its error"])
    return table.set_index("")


def agree(rows):
    table = compare(rows)
    print(table.round(4))
    far = table[~(table["errors apart"].abs() < LIMIT)]  # NaN is far, too
    assert far.empty, f"off the reference posterior:\n{far.round(4)}"


def test_reference_can_be_trusted(reference, tutorial):
    np.testing.assert_array_equal(simulate(), tutorial["data"])
    assert reference.effective_size > reference.weight.size / 2
    assert reference.pareto_k < 0.5


def rows_of_summary(table, reference):
    """The mean, the standard deviation and the bounds of the shortest interval, whose errors follow from the
    effective size: the table rounds its own to a digit."""
    shortest = reference.shortest(int(table["ess_bulk"].min()))
    for name, x in reference.draws.items():
        row = table.loc[name]
        error = row["sd"] / row["ess_bulk"] ** 0.5
        yield f"{name} mean", row["mean"], error, *reference.mean(x)
        yield f"{name} sd", row["sd"], error / 2**0.5, *reference.sd(x)
        for bound, (value, error) in zip(("hdi_3%", "hdi_97%"), shortest[name]):
            yield f"{name} {bound}", row[bound], error, value, 0


def test_stored_summary(stored, reference):
    agree(rows_of_summary(html_table(cell_with("worst_r_hat", stored.cells)), reference))


def rows_of_membership(text, fewest, draws, reference):
    """A probability q varies by s over the posterior. The computed mean has the error of every 20th draw at most.
    The sampled one adds the categories' own variance, q (1 - q) - s**2 a draw: given the parameters, the two chances
    to leave the cluster and to come back add up to a half at least, so three draws are worth one or more."""
    printed = re.findall(r"^(\d+) +\S+ +(\d) +(\S+) +(\S+) *$", text, flags=re.M)
    points, clusters = np.array([row[:2] for row in printed], dtype=int).T
    for row, i, x in zip(printed, points, reference.membership(simulate()[points], clusters).T):
        (q, error), (s, _) = reference.mean(x), reference.sd(x)
        common = s**2 / fewest + 0.001**2 / 12  # of the parameters, and of rounding to three digits
        yield f"{i} sampled", float(row[2]), (common + 3 * (q * (1 - q) - s**2) / draws) ** 0.5, q, error
        yield f"{i} computed", float(row[3]), (common + 20 * s**2 / draws) ** 0.5, q, error


def test_stored_membership_probabilities(stored, reference):
    text = texts(cell_with("least_certain", stored.cells))
    fewest = html_table(cell_with("worst_r_hat", stored.cells))["ess_bulk"].min()
    rows = list(rows_of_membership(text, fewest, draws=80_000, reference=reference))
    assert len(rows) == 16
    agree(rows)


def rows_of_run(run, reference, log_components):
    """Means over draws: of each parameter, its square around the reference's mean, of being below the reference's
    quantiles, and of the probability of cluster 1 at the points halfway between two centers."""
    shape = run.posterior["sd"].shape
    columns = [run.posterior[name].values.reshape(*shape, -1) for name in ("p", "sd", "means")]
    draws = dict(zip(reference.draws, np.moveaxis(np.concatenate(columns, axis=2), 2, 0)))
    functions = []
    for name, x in reference.draws.items():
        (mean, _), (low, _), (high, _) = reference.mean(x), reference.quantile(x, 0.03), reference.quantile(x, 0.97)
        functions += [(f"{name}", draws[name], x)]
        functions += [(f"({name} - mean)²", (draws[name] - mean) ** 2, (x - mean) ** 2)]
        functions += [(f"{name} below {q:.4f}", draws[name] < q, x < q) for q in (low, high)]
    y = simulate()
    points = np.abs(np.abs(y) - 2.5).argsort()[:8]
    terms = np.exp(log_components(y[points], run))
    ours = (terms[:, 1] / terms.sum(axis=1)).reshape(*shape, -1)
    theirs = reference.membership(y[points], np.ones(8, dtype=int))
    functions += [(f"cluster 1 at point {i}", ours[:, :, j], theirs[:, j]) for j, i in enumerate(points)]
    for name, x, weighted in functions:
        error = reference.sd(weighted)[0] / az.ess(x.astype(float), method="mean") ** 0.5
        yield name, x.mean(), error, *reference.mean(weighted)


@pytest.mark.parametrize("sampler", ["Metropolis", "NUTS", "conjugate Gibbs"])
def test_sampler(sampled, reference, tutorial, sampler):
    agree(rows_of_run(sampled[sampler], reference, tutorial["log_components"]))


def test_leave_one_out(sampled, reference):
    """That of the marginal likelihood: given the sampled categories it would come out hundreds higher."""
    expected, error = reference.leave_one_out(simulate())
    found = sampled["leave-one-out"].loc[3, "loo"]
    # ArviZ gives no Monte Carlo error, but what another likelihood gives is hundreds away
    assert error < 0.1 and abs(found - expected) < 1, f"leave-one-out is {found}, not {expected:.2f} ± {error:.2f}"
