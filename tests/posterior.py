"""Draws beside the reference, in Monte Carlo errors, those of both sides combined.

Beyond LIMIT a normal deviate lies with a chance of 5.7e-7, and some 200 are compared.
"""

import arviz as az
import numpy as np
import pandas as pd
from reference import simulate

LIMIT = 5.0
PRIORS = dict(center=0, scale=15, widest=20)  # the page's
DOUBTFUL = np.abs(np.abs(simulate()) - 2.5).argsort()[:8]  # halfway between two centers


def compare(rows):
    """Rows of name, value, its Monte Carlo error, the other value and its error."""
    table = pd.DataFrame(rows, columns=["", "value", "error", "other", "its error"])
    apart = table["value"] - table["other"]
    table["errors apart"] = apart / np.hypot(table["error"], table["its error"])
    far = table[~(table["errors apart"].abs() < LIMIT)]  # NaN is far, too
    assert len(table) and far.empty, f"too far apart:\n{far.round(4)}"


def functions(draws, reference):
    """Of draws by name: each parameter, its square around the reference's mean, whether
    it lies in either tail of the reference, and the probability of cluster 1 at the
    doubtful points."""
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


def compare_posterior(posterior, reference, category=None):
    """With the reference; `category`, of the doubtful points, as it was drawn."""
    draws = {"sd": posterior["sd"].values}
    for name in ("p", "means"):
        draws |= {f"{name}[{j}]": posterior[name].values[..., j] for j in range(3)}
    drawn, weighted = (functions(x, reference) for x in (draws, reference.draws))
    if category is not None:
        drawn = zip([*drawn][-len(DOUBTFUL) :], np.moveaxis(category == 1, 2, 0))
    compare(
        (name, x.mean(), float(az.mcse(x * 1.0)), *reference.mean(weighted[name]))
        for name, x in dict(drawn).items()
    )
