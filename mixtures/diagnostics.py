"""The rule of trust: chains agree, are long enough, and none of them came late."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

# The least that Vehtari and others (2021), doi:10.1214/20-BA1221, ask for
LARGEST_R_HAT = 1.01
SMALLEST_ESS = 400
APART = 1.1  # an R-hat from which on chains are elsewhere, and more draws may not help
# Ranks hardly see a chain that was still on its way, however far out it was: so nothing
# that is reported may hang on whether the first draws, a share f of all, are left out.
# By chance a mean moves by sqrt(f / (1 - f) / ess) of its sd: by a fortieth at the
# least size and f = 1/5, a quarter of what is allowed, and by a fifth of that at 1/100
LARGEST_SHIFT = 0.1
WEIGHT_OF_FIRST = {1 / 5: 1, 1 / 100: 5}
STAND_STILL = "the chains stand still, each elsewhere; sample in another way"


@dataclass(frozen=True)
class Convergence:
    """Whether draws can be trusted, and why not; `convergence` makes it.

    Attributes
    ----------
    r_hat : float
        The largest rank-normalized split R-hat.
    ess : float
        The smallest effective sample size, of bulk, tail, mean and sd.
    shift_of_mean, shift_of_sd : float
        The largest change with the first fifth of the draws left out, or five times
        that with the first hundredth: of a posterior mean, in posterior sds, and of a
        posterior sd, relative.
    flaw : str
        Why these figures would say nothing, or empty.
    """

    r_hat: float
    ess: float
    shift_of_mean: float
    shift_of_sd: float
    flaw: str = ""

    @property
    def reason(self) -> str:
        """Why the draws cannot be trusted, and what to do: empty if they can."""
        if self.flaw:
            return self.flaw
        if not self.r_hat < APART:
            return "the chains disagree; sample for much longer, or in another way"
        if not max(self.shift_of_mean, self.shift_of_sd) <= LARGEST_SHIFT:
            return "results hang on how many draws are forgotten; tune for longer"
        if not (round(self.r_hat, 3) <= LARGEST_R_HAT and self.ess >= SMALLEST_ESS):
            return "take more draws"
        return ""

    @property
    def trusted(self) -> bool:
        return not self.reason

    @property
    def in_figures(self) -> str:
        return f"(R-hat {self.r_hat:.3f}, effective size {self.ess:,.0f})"

    def __str__(self) -> str:
        if self.flaw:
            return f"not trusted: {self.flaw}"
        verdict = f"not trusted: {self.reason}" if self.reason else "trusted"
        return f"{verdict} {self.in_figures}"


def arviz():
    """ArviZ, which takes seconds to import, where it is used."""
    with warnings.catch_warnings():  # 0.23 announces its successor
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    return arviz


def still(x, axis):
    """Whether draws (chain, draw, element) do not move, but for rounding."""
    return np.ptp(x, axis=axis) <= 1e-12 * np.abs(x).max(axis=(0, 1))


def flaw_of(variables):
    """Why figures would say nothing of variables, as of `convergence`, or empty."""
    chains, draws = next(iter(variables.values())).shape[:2]
    if chains < 2 or draws < 4:
        return "it takes at least two chains of four draws; take more"
    for name, x in variables.items():
        if not np.isfinite(x).all():
            return f"{name} is no number in some draws; leave it out"
        never = still(x, (0, 1))
        if never.all() and x.dtype.kind == "f":
            return f"{name} never moved; sample it, or leave it out if it is certain"
        if (still(x, 1).all(axis=0) & ~never).any():
            return STAND_STILL
    return ""


def shifts(x, real):
    """The `shift_of_mean` and `shift_of_sd` of draws of mean 0 and sd 1."""
    largest = np.zeros(2)
    for share, weight in WEIGHT_OF_FIRST.items():
        later = x[:, int(share * x.shape[1]) :]
        # of a count no sd is reported, and it may be zero
        sd = np.where(real, later.std(axis=(0, 1)), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.abs([later.mean(axis=(0, 1)) / sd, 1 / sd - 1]).max(axis=1)
        largest = np.maximum(largest, weight * shift)
    return largest


def figures(x, real):
    """The `Convergence` of draws (chain, draw, element) that all move.

    real : whether elements are real numbers, (element,); others are counts
    """
    az, x = arviz(), (x - x.mean(axis=(0, 1))) / x.std(axis=(0, 1))
    draws = xr.Dataset({"x": (("chain", "draw", "element"), x)})
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = az.rhat(draws)["x"].max()
        sizes = [az.ess(draws, method=method) for method in ("bulk", "tail", "mean")]
        sizes.append(az.ess(draws**2, method="mean"))  # of the sd, alike in all ArviZ
    ess = min(size["x"].min() for size in sizes)
    return Convergence(*map(float, (r_hat, ess, *shifts(x, real))))


def convergence(draws: Any, var_names: list[str] | None = None) -> Convergence:
    """Judge whether draws can be trusted, by all that is reported of them.

    What never moves in any chain has no R-hat. A count that never moves is certain, and
    so is an element of a variable whose others move. A variable of real numbers of
    which nothing moves was not sampled: leave it out if it is known, as is the weight
    of an only cluster.

    Parameters
    ----------
    draws : xarray.Dataset or ArviZ's InferenceData, or its posterior
        With dims chain, draw and any others.
    var_names : list of str, optional
        The variables that are reported, or all.

    Returns
    -------
    Convergence

    References
    ----------
    Vehtari and others (2021), doi:10.1214/20-BA1221.
    """
    if not isinstance(draws, xr.Dataset):
        draws = getattr(draws, "posterior", draws)
        draws = getattr(draws, "dataset", draws)  # of a tree, as ArviZ has it from 1.0
    variables = {}
    for name in var_names or draws.data_vars:
        x = draws[name].transpose("chain", "draw", ...).values
        x = x.astype(float if x.dtype.kind == "f" else int)
        variables[name] = x.reshape(*x.shape[:2], -1)
    if flaw := flaw_of(variables):
        return Convergence(np.inf, 0.0, np.inf, np.inf, flaw)
    moving = [x[..., ~still(x, (0, 1))] for x in variables.values()]
    real = np.concatenate([np.full(x.shape[2], x.dtype.kind == "f") for x in moving])
    if not real.size:  # counts that are certain
        return Convergence(1.0, np.inf, 0.0, 0.0)
    return figures(np.concatenate(moving, axis=2), real)
