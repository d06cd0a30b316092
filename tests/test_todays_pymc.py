"""The model of *In practice*, as it stands there, with the newest PyMC: `make modern`."""

import re
from pathlib import Path

import numpy as np
import pytest
from reference import Reference, simulate

pytest.importorskip("pymc", reason="`make modern` installs it")
import arviz as az
import pymc as pm
import xarray as xr

import mixtures as mx


@pytest.fixture(scope="module")
def page():
    """The names of the block after it ran."""
    md = Path(__file__).parents[1] / "gaussian_mixture_model.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", md.read_text("utf-8"), re.M | re.S)
    exec(block, page := {})
    return page


@pytest.fixture(scope="module")
def reference():
    return Reference(simulate())


def test_the_block_finds_the_posterior(page, reference):
    """To five Monte Carlo errors, of both sides combined."""
    np.testing.assert_array_equal(page["data"], simulate())
    posterior = page["idata"].posterior
    for name, known in reference.draws.items():
        variable, *index = re.findall(r"\w+", name)
        drawn = posterior[variable].values[(..., *map(int, index))]
        assert az.rhat(drawn) < 1.01, name
        mean, _ = reference.mean(known)
        for power in (1, 2):  # the mean, and the variance
            x, y = (drawn - mean) ** power, (known - mean) ** power
            average, error = reference.mean(y)
            apart = (x.mean() - average) / np.hypot(az.mcse(x), error)
            assert abs(apart) < 5, f"{name}, power {power}: {apart:.1f} errors"


def test_its_memberships_are_those_of_the_reference(page, reference):
    """Of the points in doubt, halfway between two centers."""
    doubtful = np.abs(np.abs(simulate()) - 2.5).argsort()[:8]
    ours = page["membership"].transpose("point", "cluster")
    for point in doubtful:
        y, of = simulate()[point], reference.draws
        z = [(y - of[f"means[{j}]"]) / of["sd"] for j in range(3)]
        terms = [of[f"p[{j}]"] * np.exp(-(x**2) / 2) for j, x in enumerate(z)]
        known, _ = reference.mean(terms[1] / sum(terms))
        assert abs(float(ours[point, 1]) - known) < 0.02


def test_a_reader_can_go_on_to_loo_and_replicates(page):
    with page["model"]:
        pm.compute_log_likelihood(page["idata"])
        replicates = pm.sample_posterior_predictive(page["idata"], random_seed=1)
    assert abs(az.loo(page["idata"]).elpd + 1249) < 3
    made = replicates.posterior_predictive["obs"].values
    assert abs(made.mean() - simulate().mean()) < 0.5
    assert abs(made.std() / simulate().std() - 1) < 0.05


def test_draws_of_the_package_go_through_a_file_to_arviz(tmp_path):
    """ArviZ 1.3 summarizes no Dataset that it read from a file; a DataTree it does."""
    draws = mx.gibbs(simulate(), 3, own_widths=False, chains=4, draws=200)
    draws.to_netcdf(tmp_path / "draws.nc")
    tree = az.convert_to_datatree(xr.open_dataset(tmp_path / "draws.nc"))
    summary = az.summary(tree, var_names=["means"])
    assert list(summary.index) == [f"means[{j}]" for j in range(3)]
