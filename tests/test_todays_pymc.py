"""The model of *In practice*, as it stands there, with the newest PyMC: `make modern`."""

import re
from pathlib import Path

import numpy as np
import pytest
from reference import Reference, simulate

pytest.importorskip("pymc", reason="`make modern` installs it")
import arviz as az


def test_the_block_finds_the_posterior():
    """To five Monte Carlo errors, of both sides combined."""
    md = Path(__file__).parents[1] / "gaussian_mixture_model.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", md.read_text("utf-8"), re.M | re.S)
    exec(block, page := {})
    np.testing.assert_array_equal(page["data"], simulate())
    reference, posterior = Reference(simulate()), page["idata"].posterior
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
