"""When a fit looks, what it forgets and when it stops: sweeps that tell their number."""

import numpy as np
import pytest
from package_helpers import TWO

import mixtures as mx
from mixtures import sampler, trust
from mixtures.diagnostics import Convergence
from mixtures.model import State


class Sweeps:
    """Stands for the sampler's step, the clock and the judge of convergence.

    The mean is the number of the sweep, from 0; it is also the time. The look of number
    `enough` is trusted, and occupied are so many clusters, one after another.
    """

    def __init__(self):
        self.done, self.looks, self.enough, self.occupied = 0, [], np.inf, [1]

    def step(self, model, state, moves, rng):
        chains, k = len(state.p), model.prior.largest
        shape, number = (chains, k), np.full(chains, k)
        occupied = self.occupied[self.done % len(self.occupied)]
        means = np.full(shape, float(self.done))
        self.done += 1
        state = State(np.full(shape, 1 / k), means, np.ones(shape), number)
        return state, np.full(chains, occupied)

    def judge(self, draws, var_names=None):
        if self.done not in self.looks:
            self.looks.append(self.done)
        few = len(self.looks) < self.enough
        return Convergence(1.05, 300, 0, 0) if few else Convergence(1, 400, 0, 0)


@pytest.fixture
def sweeps(monkeypatch):
    sweeps = Sweeps()
    monkeypatch.setattr(sampler, "step", sweeps.step)
    monkeypatch.setattr(trust, "convergence", sweeps.judge)
    monkeypatch.setattr(trust.time, "monotonic", lambda: sweeps.done)
    monkeypatch.setattr(sampler.time, "perf_counter", lambda: sweeps.done)
    return sweeps


def numbers(draws):
    """The numbers of the sweeps that are in the draws of the first chain."""
    column = mx.as_column(TWO)
    means = draws["means"].values[0, :, 0]
    return list(np.round((means - column.location) / column.scale))


def test_a_fit_looks_after_500_sweeps_and_a_third_more_until_it_can_be_trusted(sweeps):
    sweeps.enough = 4
    assert mx.fit(TWO, 1, seconds=1e9).trusted
    assert sweeps.looks == [500 + n for n in (500, 666, 888, 1184)]


def test_a_fit_forgets_the_tuning_and_a_third_of_the_other_sweeps(sweeps):
    sweeps.enough = 3
    fit = mx.fit(TWO, 1, seconds=1e9)
    assert numbers(fit.draws) == [*range(500 + 888 // 3, 500 + 888)]


def test_under_500_sweeps_are_never_trusted(sweeps):
    sweeps.enough = 1
    assert not mx.fit(TWO, 1, seconds=990).trusted
    assert sweeps.done < 1_000


def test_a_fit_ends_when_the_time_is_up(sweeps):
    assert not mx.fit(TWO, 1, seconds=2_000).trusted
    assert sweeps.done == pytest.approx(2_000, abs=2)


def test_of_an_unknown_number_the_clusters_get_some_of_the_time(sweeps):
    mx.fit(TWO, seconds=3_000)
    assert 2_500 < sweeps.done < 3_003


def test_it_ends_soon_where_the_number_is_at_its_limit(sweeps):
    sweeps.occupied = [3]
    mx.fit(TWO, largest=3, seconds=10_000)
    assert sweeps.done < 3_000


def test_the_number_reported_is_the_most_probable(sweeps):
    """And neither the mean nor the median, the smallest or the largest."""
    sweeps.enough, sweeps.occupied = 1, [1, 2, 2, 2, 4, 4, 5, 5]
    assert len(mx.fit(TWO, seconds=1e9).clusters) == 2


def test_gibbs_returns_the_sweeps_after_the_tuning(sweeps):
    drawn = mx.gibbs(TWO, 1, chains=2, draws=20, tune=30)
    assert numbers(drawn) == [*range(30, 50)]


def test_the_sampling_time_has_the_tuning_in_it(sweeps):
    assert mx.gibbs(TWO, 1, chains=2, draws=20, tune=30).sampling_time == 50
