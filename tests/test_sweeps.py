"""When a fit looks, what it forgets and when it stops: sweeps that tell their number."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from package_helpers import TWO

import mixtures as mx
from mixtures import sampler, trust
from mixtures.diagnostics import Convergence
from mixtures.model import State


@pytest.fixture
def sweeps(monkeypatch):
    """Made sweeps whose means are their numbers, from 0, as is the time.

    enough : the number of the look at which draws can be trusted
    occupied : clusters, of one sweep after another
    """
    sweeps = SimpleNamespace(done=0, looks=[], enough=np.inf, occupied=[1])

    def step(model, state, moves, rng):
        chains, k = len(state.p), model.prior.largest
        x, number = np.ones((chains, k)), np.full(chains, k)
        occupied = sweeps.occupied[sweeps.done % len(sweeps.occupied)]
        occupied = np.arange(k) < np.full((chains, 1), occupied)
        state = State(x / k, sweeps.done * x, x, number, occupied)
        sweeps.done += 1
        return state

    def judge(draws):
        if sweeps.done not in sweeps.looks:
            sweeps.looks.append(sweeps.done)
        size = 300 if len(sweeps.looks) < sweeps.enough else 400
        return Convergence(1, size, 0, 0)

    monkeypatch.setattr(sampler, "step", step)
    monkeypatch.setattr(trust, "convergence", judge)
    for clock in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: sweeps.done)
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


@pytest.mark.parametrize("clusters, least", [(1, 1_998), (None, 1_700)])
def test_a_fit_ends_when_the_time_is_up(sweeps, clusters, least):
    """And that of an unknown number has time for the clusters."""
    assert not mx.fit(TWO, clusters, seconds=2_000).trusted
    assert least <= sweeps.done <= 2_002


def test_it_ends_soon_where_the_number_is_at_its_limit(sweeps):
    sweeps.occupied = [3]
    mx.fit(TWO, largest=3, seconds=10_000)
    assert sweeps.done < 3_000


def test_the_number_reported_is_the_most_probable(sweeps):
    """And neither the mean nor the median, the smallest or the largest."""
    sweeps.enough, sweeps.occupied = 1, [1, 2, 2, 2, 4, 4, 5, 5]
    assert len(mx.fit(TWO, seconds=1e9).clusters) == 2


def test_gibbs_returns_the_sweeps_after_the_tuning_and_the_time_of_all(sweeps):
    drawn = mx.gibbs(TWO, 1, chains=2, draws=20, tune=30)
    assert numbers(drawn) == [*range(30, 50)] and drawn.sampling_time == 50
