"""What tests of the package share; they run where `conftest.py` cannot, too."""

import itertools

import numpy as np
import xarray as xr

from mixtures import convergence, sampler, trust
from mixtures.data import as_column
from mixtures.fitting import fit_of_runs
from mixtures.model import falling_prior, prior_of


def same(a, b):
    """Whether two columns are the same to the last digit."""
    return all(np.array_equal(x, vars(b)[name]) for name, x in vars(a).items())


def interrupt_sweep(monkeypatch, number):
    """Let the sweep of that number, from one, be interrupted instead."""
    numbers, step = itertools.count(1), sampler.step

    def interrupted(*arguments):
        if next(numbers) == number:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(sampler, "step", interrupted)


def rng(seed=0):
    return np.random.default_rng(seed)


def groups(*laws):
    """Values of normal groups, each of its law (mean, sd, n)."""
    r = rng()
    return np.concatenate([r.normal(*law) for law in laws])


TWO = groups((-5, 1, 60), (5, 1, 40))
GAPS = np.insert(rng(1).permutation(TWO), [0, 50, 100], np.nan)  # in no order


def drawn(means, p=0.5, sd=1.0, clusters=2, draws=500):
    """Draws of 16 chains; means, p and sd broadcast to (chain, draw, cluster)."""
    shape, dims = (16, draws, clusters), ("chain", "draw", "cluster")
    arrays = dict(p=p, means=means, sd=sd)
    arrays = {x: (dims, np.broadcast_to(y, shape)) for x, y in arrays.items()}
    return xr.Dataset(arrays)


def made(draws, values=TWO, trusted=False, occupied=None, largest=10, of_all=None):
    """A `Fit` of draws that were not sampled.

    occupied : (chain, draw); of_all : draws of any number of clusters, else the same
    """

    def run(reported, trusted=None):
        judged = convergence(reported)
        trusted = judged.trusted if trusted is None else trusted
        return trust.Run(of_all or draws, reported, judged, trusted, prior)

    column, number = as_column(values, leave_out=True), None
    prior = prior_of(column, **falling_prior(largest))
    if occupied is not None:
        number = run(xr.Dataset({"occupied": (("chain", "draw"), occupied)}))
    return fit_of_runs(column, values, run(draws, trusted), number)
