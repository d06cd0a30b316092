"""What the tutorial says of its posterior, and what each sampler makes of it, against `reference.py`.

Each comparison is a difference in Monte Carlo errors, those of both sides combined. Beyond LIMIT a normal deviate
lies with a chance of 5.7e-7, and 152 are compared: a false alarm of the whole has a chance of 1e-4 at most.
Over 24 runs with other seeds, 16 of conjugate Gibbs and 8 of Metropolis, the largest of their 36 was 3.5.
"""

import arviz as az
import numpy as np
import pandas as pd
import pytest
from reference import Reference, simulate

LIMIT = 5.0


@pytest.fixture(scope="module")
def reference():
    return Reference(simulate())


def compare(rows):
    """A table of rows of name, value, error, reference's value and error, with their difference in errors."""
    table = pd.DataFrame(rows, columns=["", "value", "error", "reference", "its error"])
    table["errors apart"] = (table["value"] - table["reference"]) / np.hypot(
        table["error"], table["its error"]
    )
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


def test_summary(executed, reference):
    agree(rows_of_summary(executed.evaluate("summary"), reference))


def rows_of_membership(shown, fewest, draws, reference):
    """A probability q varies by s over the posterior. The computed mean has the error of
    2,000 of the draws. The sampled one adds the categories' own variance, q (1 - q) - s**2
    a draw: given the parameters, the two chances to leave the cluster and to come back add
    up to a half at least, so three draws are worth one or more."""
    points, clusters = shown.index.to_numpy(), shown["likely cluster"].to_numpy()
    shares = reference.membership(simulate()[points], clusters).T
    for (point, row), x in zip(shown.iterrows(), shares):
        (q, error), (s, _) = reference.mean(x), reference.sd(x)
        common = s**2 / fewest
        own = 3 * (q * (1 - q) - s**2) / draws
        sampled, computed = row["probability, sampled"], row["computed"]
        yield f"{point} sampled", sampled, (common + own) ** 0.5, q, error
        yield f"{point} computed", computed, (common + s**2 / 2_000) ** 0.5, q, error


def test_membership_probabilities(executed, reference):
    shown = executed.evaluate(MEMBERSHIP)
    fewest = executed.evaluate("summary['ess_bulk'].min()")
    rows = list(rows_of_membership(shown, fewest, 80_000, reference))
    assert len(rows) == 16
    agree(rows)


# of the eight points that the page shows, unrounded
MEMBERSHIP = """(lambda of: pd.DataFrame({
    "likely cluster": likely[of],
    "probability, sampled": (trace.posterior["category"][..., of] == likely[of]).mean(["chain", "draw"]),
    "computed": probability[of],
}, of))(np.r_[points, probability.argsort()[:5]])"""


def rows_of_run(run, reference, log_components):
    """Means over draws: of each parameter, its square around the reference's mean, of being below the reference's
    quantiles, and of the probability of cluster 1 at the points halfway between two centers."""
    shape = run.posterior["sd"].shape
    columns = [
        run.posterior[name].values.reshape(*shape, -1) for name in ("p", "sd", "means")
    ]
    draws = dict(
        zip(reference.draws, np.moveaxis(np.concatenate(columns, axis=2), 2, 0))
    )
    functions = []
    for name, x in reference.draws.items():
        (mean, _), (low, _), (high, _) = (
            reference.mean(x),
            reference.quantile(x, 0.03),
            reference.quantile(x, 0.97),
        )
        functions += [(f"{name}", draws[name], x)]
        functions += [(f"({name} - mean)²", (draws[name] - mean) ** 2, (x - mean) ** 2)]
        functions += [
            (f"{name} below {q:.4f}", draws[name] < q, x < q) for q in (low, high)
        ]
    y = simulate()
    points = np.abs(np.abs(y) - 2.5).argsort()[:8]
    every = run.posterior["sd"].size
    terms = np.exp(log_components(y[points], run, most=every))
    ours = (terms[:, 1] / terms.sum(axis=1)).reshape(*shape, -1)
    theirs = reference.membership(y[points], np.ones(8, dtype=int))
    functions += [
        (f"cluster 1 at point {i}", ours[:, :, j], theirs[:, j])
        for j, i in enumerate(points)
    ]
    for name, x, weighted in functions:
        error = (
            reference.sd(weighted)[0] / az.ess(x.astype(float), method="mean") ** 0.5
        )
        yield name, x.mean(), error, *reference.mean(weighted)


@pytest.mark.parametrize("run", ["trace", "nuts", "fit"])
def test_sampler(executed, reference, tutorial, run):
    names = ("p", "means", "sd")
    posterior = f"{{name: {run}.posterior[name].values for name in {names}}}"
    dims = {"p": ["cluster"], "means": ["cluster"]}
    drawn = az.from_dict(executed.evaluate(posterior), dims=dims)
    agree(rows_of_run(drawn, reference, tutorial["log_components"]))
