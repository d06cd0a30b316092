"""When a fit looks, what it forgets and when it stops: sweeps that tell their number."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from package_helpers import TWO, interrupt_sweep

import mixtures as mx
from mixtures import sampler, trust
from mixtures.diagnostics import Convergence
from mixtures.model import State


@pytest.fixture
def sweeps(monkeypatch):
    """Made sweeps whose means are their numbers, from 0, as is the time.

    enough : the number of the look at which draws can be trusted
    settled : whether the number of clusters always can
    interrupted : whether the next look is
    occupied : clusters, of one sweep after another
    """
    sweeps = SimpleNamespace(done=0, looks=[], enough=np.inf, occupied=[1])
    sweeps.settled = sweeps.interrupted = False

    def step(model, state, moves, rng):
        chains, k = len(state.p), model.prior.largest
        x, number = np.ones((chains, k)), np.full(chains, k)
        occupied = sweeps.occupied[sweeps.done % len(sweeps.occupied)]
        occupied = np.arange(k) < np.full((chains, 1), occupied)
        state = State(x / k, sweeps.done * x, x, number, occupied)
        sweeps.done += 1
        return state

    def judge(draws):
        if sweeps.interrupted:
            sweeps.interrupted = False
            raise KeyboardInterrupt
        if sweeps.done not in sweeps.looks:
            sweeps.looks.append(sweeps.done)
        settled = sweeps.settled and "occupied" in draws
        enough = settled or len(sweeps.looks) >= sweeps.enough
        return Convergence(1, 400 if enough else 300, 0, 0)

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


@pytest.mark.parametrize("clusters, tuned", [(1, 500), (None, 300)])
def test_a_fit_looks_after_500_sweeps_and_then_a_third_more(sweeps, clusters, tuned):
    """Until it can be trusted, once it has tuned."""
    sweeps.enough = 4
    fit = mx.fit(TWO, clusters, seconds=1e9)
    assert fit.trusted and float(fit.provenance["seconds"]) == sweeps.done
    assert sweeps.looks[:4] == [tuned + n for n in (500, 666, 888, 1184)]
    assert len(sweeps.looks) == 4 + (clusters is None)  # one of the clusters' own run


@pytest.mark.parametrize("looks, drawn, every", [(3, 888, 1), (6, 2104, 2)])
def test_a_fit_forgets_a_third_and_keeps_about_1000(sweeps, looks, drawn, every):
    """Of the sweeps after tuning, from all over the rest."""
    sweeps.enough = looks
    fit = mx.fit(TWO, 1, seconds=1e9)
    assert numbers(fit.draws) == [*range(500 + drawn // 3, 500 + drawn, every)]


def test_under_500_sweeps_are_never_trusted(sweeps):
    sweeps.enough = 1
    assert not mx.fit(TWO, 1, seconds=990).trusted
    assert sweeps.done < 1_000


@pytest.mark.parametrize("clusters, least", [(1, 1_998), (None, 1_700)])
def test_a_fit_ends_when_the_time_is_up(sweeps, clusters, least):
    """And that of an unknown number has time for the clusters; both ask for more."""
    fit = mx.fit(TWO, clusters, seconds=2_000)
    assert not fit.trusted and least <= sweeps.done <= 2_002
    assert "give it more `seconds`, say 4000." in fit.verdict


@pytest.mark.parametrize(
    "occupied, soon", [([3, 3, 3, 1], True), ([1, 1, 1, 3], False)]
)
def test_it_ends_soon_where_most_draws_have_the_largest_number(sweeps, occupied, soon):
    sweeps.occupied, sweeps.settled = occupied, soon
    mx.fit(TWO, largest=3, seconds=10_000)
    assert (sweeps.done < 3_000) == soon


def test_the_clusters_have_all_the_time_that_a_number_leaves_that_is_settled(sweeps):
    sweeps.settled = True
    assert not mx.fit(TWO, seconds=4_000).trusted and sweeps.done > 3_990


def test_an_interrupt_while_it_looks_keeps_what_was_drawn(sweeps):
    sweeps.enough, sweeps.interrupted = 1, True
    fit = mx.fit(TWO, 1, seconds=1e9)
    assert fit.interrupted and not fit.trusted
    assert numbers(fit.draws) == [*range(500 + 500 // 3, 1_000)]


@pytest.mark.parametrize("stop", [400, 520])
def test_an_early_interrupt_keeps_the_last_100_sweeps(sweeps, monkeypatch, stop):
    """Of 150, be it those of tuning."""
    interrupt_sweep(monkeypatch, stop)
    fit = mx.fit(TWO, 1, seconds=1e9)
    assert fit.interrupted and numbers(fit.draws) == [*range(stop - 101, stop - 1)]


def test_the_number_reported_is_the_most_probable(sweeps):
    """And neither the mean nor the median, the smallest or the largest."""
    sweeps.enough, sweeps.occupied = 1, [1, 2, 2, 2, 4, 4, 5, 5]
    fit = mx.fit(TWO, seconds=1e9)
    assert len(fit.clusters) == 2
    assert (fit.all_draws.sizes["chain"], fit.draws.sizes["chain"]) == (8, 16)


def test_gibbs_returns_the_sweeps_after_the_tuning_and_the_time_of_all(sweeps):
    drawn = mx.gibbs(TWO, 1, chains=2, draws=20, tune=30)
    assert numbers(drawn) == [*range(30, 50)] and drawn.sampling_time == 50
