"""The model of *In practice*, as it stands there, with the newest PyMC: `make modern`."""

from pathlib import Path

import numpy as np
import pytest
from posterior import DOUBTFUL, compare_posterior
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
    _, _, rest = md.read_text("utf-8").partition("\n```python\n")
    exec(rest.partition("\n```\n")[0], page := {})
    return page


def test_the_block_finds_the_posterior(page):
    np.testing.assert_array_equal(page["data"], simulate())
    posterior = {x: page["draws"][x] for x in ("p", "means", "sd")}
    assert max(float(az.rhat(x).max()) for x in posterior.values()) < 1.01
    compare_posterior(posterior, Reference(simulate()))


def test_its_memberships_are_those_of_its_draws(page):
    """Those of the points in doubt, which the comparison above has, too."""
    terms = mx.log_components(simulate()[DOUBTFUL], page["draws"])
    share = np.exp(terms) / np.exp(terms).sum("cluster")
    share = share.mean(["chain", "draw"]).transpose("cluster", "value")
    ours = page["membership"].transpose("cluster", "point")[:, DOUBTFUL]
    np.testing.assert_allclose(ours, share, rtol=1e-9)


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
