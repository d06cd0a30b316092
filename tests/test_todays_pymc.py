"""The model of *In practice*, as it stands there, with the newest PyMC: `make modern`."""

from pathlib import Path

import numpy as np
import pytest
from posterior import compare_posterior
from reference import Reference, simulate

pytest.importorskip("pymc", reason="`make modern` installs it")
import arviz as az


def test_the_block_finds_the_posterior():
    md = Path(__file__).parents[1] / "gaussian_mixture_model.md"
    _, _, rest = md.read_text("utf-8").partition("\n```python\n")
    exec(rest.partition("\n```\n")[0], page := {})
    np.testing.assert_array_equal(page["data"], simulate())
    posterior = {x: page["idata"].posterior[x] for x in ("p", "means", "sd")}
    assert max(float(az.rhat(x).max()) for x in posterior.values()) < 1.01
    compare_posterior(posterior, Reference(simulate()))
