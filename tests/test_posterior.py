"""What each sampler makes of the tutorial's posterior, and what the page says of it, against `reference.py`.

Each comparison is a difference in Monte Carlo errors, those of both sides combined. Beyond LIMIT a normal deviate
lies with a chance of 5.7e-7, and 137 are compared: a false alarm of the whole has a chance of 1e-4 at most.
Over 16 runs of conjugate Gibbs with other seeds the largest of their 36 was 3.6.
"""

import arviz as az
import numpy as np
import pandas as pd
import pytest
from reference import Reference, simulate

LIMIT = 5.0
DOUBTFUL = np.abs(np.abs(simulate()) - 2.5).argsort()[:8]  # halfway between two centers


def compare(rows):
    """Rows of name, value, error, reference's value and its error."""
    table = pd.DataFrame(rows, columns=["", "value", "error", "reference", "its error"])
    table = table.set_index("")
    combined = np.hypot(table["error"], table["its error"])
    table["errors apart"] = (table["value"] - table["reference"]) / combined
    print(table.round(4).to_string())
    far = table[~(table["errors apart"].abs() < LIMIT)]  # NaN is far, too
    assert len(table) and far.empty, f"off the reference posterior:\n{far.round(4)}"


def rows_of_means(drawn, weighted, reference):
    """Rows of the means of functions of draws, shape (chain, draw), and of the reference's draws."""
    for name, x in drawn.items():
        error = az.mcse(x.astype(float), method="mean")
        yield name, x.mean(), error, *reference.mean(weighted[name])


def functions(draws, reference):
    """Of draws by name: each parameter, its square around the reference's mean, whether it lies in either tail of the
    reference, and the probability of cluster 1 at the doubtful points."""
    found = dict(draws)
    for name, x in draws.items():
        known = reference.draws[name]
        found[f"({name} - mean)²"] = (x - reference.mean(known)[0]) ** 2
        for tail in (0.03, 0.97):
            found[f"{name} below {tail:.0%}"] = x < reference.quantile(known, tail)
    for i, y in zip(DOUBTFUL, simulate()[DOUBTFUL]):
        z = ((y - draws[f"means[{j}]"]) / draws["sd"] for j in range(3))
        terms = [draws[f"p[{j}]"] * np.exp(-(x**2) / 2) for j, x in enumerate(z)]
        found[f"cluster 1 at point {i}"] = terms[1] / sum(terms)
    return found


def compare_posterior(posterior, reference):
    draws = {"sd": posterior["sd"].values}
    for name in ("p", "means"):
        draws |= {f"{name}[{j}]": posterior[name].values[..., j] for j in range(3)}
    of_both = (functions(x, reference) for x in (draws, reference.draws))
    compare(rows_of_means(*of_both, reference))


def test_gibbs(tutorial, reference):
    run = tutorial["gibbs"](simulate(), 3, tutorial["priors"], min_weight=0.1)
    assert tutorial["convergence"](run)[2] == "converged"
    compare_posterior(run.posterior, reference)


@pytest.mark.parametrize("run", ["trace", "nuts"])
def test_sampler(executed, reference, run):
    compare_posterior(
        executed.evaluate(f"{run}.posterior[['p', 'means', 'sd']]"), reference
    )


def test_categories(executed, reference):
    of_doubtful = f"trace.posterior['category'].values[..., {DOUBTFUL.tolist()}]"
    category = executed.evaluate(of_doubtful)
    names = [f"cluster 1 at point {i}" for i in DOUBTFUL]
    drawn = dict(zip(names, np.moveaxis(category == 1, 2, 0)))
    compare(rows_of_means(drawn, functions(reference.draws, reference), reference))


def test_summary(executed, reference):
    """The page's table: means, standard deviations and intervals, which hold 94 % of the reference."""
    rows = []
    for name, row in executed.evaluate("summary").iterrows():
        x, size = reference.draws[name], row[["ess_bulk", "ess_tail"]].min()
        rows.append((name, row["mean"], row["mcse_mean"], *reference.mean(x)))
        rows.append((f"{name} sd", row["sd"], row["mcse_sd"], *reference.sd(x)))
        inside = reference.mean((row["hdi_3%"] < x) & (x < row["hdi_97%"]))
        rows.append((f"{name} inside", 0.94, (0.94 * 0.06 / size) ** 0.5, *inside))
    compare(rows)


def test_an_untrustworthy_reference_is_refused():
    with pytest.raises(AssertionError, match="effective size"):
        Reference(simulate(), n=20_000, start=(0.4, 0.3, -5.5, 0.5, 5.5, 1.2))
