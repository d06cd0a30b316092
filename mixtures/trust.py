"""Sampled until it can be trusted, or until the time is up."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from .data import representatives
from .diagnostics import Convergence, arviz, convergence
from .model import Prior, as_dataset, falling_prior, model_of, prior_of
from .posterior import relabeled
from .sampler import Chains

TUNE = 500  # sweeps
FEW_VALUES, TUNE_OF_FEW = 10_000, 300  # of an unknown number, where sweeps cost more
FIRST_LOOK = 500  # sweeps after tuning; each further look comes with a third more
FORGOTTEN = 3  # of so many sweeps the first: chains may have been on their way still
KEPT = 1_000  # draws a chain, at most about two times that
CHAINS, CHAINS_OF_NUMBER = 16, 8  # which begin at all numbers and cost the more
TIME_OF_NUMBER, TIME_OF_TABLE = 0.8, 0.1  # shares of the time: at most, and at least
LEANS = 0.5  # share of draws at the largest number with which it needs no more of them
FEW = 150  # sweeps, of which a look is quick
RESERVED = 2.5  # times a look: one with a third more draws, and the verdict


@dataclass
class Run:
    """Draws of one model, and whether what is reported of them can be trusted."""

    all_draws: xr.Dataset
    draws: xr.Dataset  # what is reported of them
    convergence: Convergence
    trusted: bool
    prior: Prior  # in the data's units
    interrupted: bool = False
    stuck: bool = False  # a chain refused all its jumps for long


class Clock:
    """Counts sweeps until the time is up, less that of a look and a verdict."""

    def __init__(self, begin, seconds, bar):
        self.begin, self.end, self.bar = begin, begin + seconds, bar
        self.look = 0.0  # seconds that the longest took

    def sweeps(self, most):
        """Iterate over so many, or over fewer, but one, if the time is up."""
        for i in range(most):
            now = time.monotonic()
            self.bar.update(min(int(now - self.begin), self.bar.total) - self.bar.n)
            if i and now + RESERVED * self.look > self.end:
                return
            yield

    def timed(self, look, *arguments):
        """What a look finds, which is expected to take as long again."""
        begin = time.monotonic()
        result = look(*arguments)
        self.look = max(self.look, time.monotonic() - begin)
        return result


def looked_at(states, prior, column, reported) -> Run:
    """The `Run` of draws so far."""
    later = states[len(states) // FORGOTTEN :]
    all_draws = as_dataset(later[:: 1 + len(later) // KEPT], prior, column)
    draws = reported(all_draws)
    alone = draws.sizes.get("cluster") == 1  # then its weight is one
    judged = convergence(draws.drop_vars("p") if alone else draws)
    trusted = len(states) >= FIRST_LOOK and judged.trusted
    return Run(all_draws, draws, judged, trusted, prior)


def sample_until_trusted(chains, prior, column, clock, reported, decided) -> Run:
    """Sample chains of one model until what is reported of them can be trusted.

    prior : of the model, in the data's units
    reported : a function of draws that returns those that have to agree
    decided : a function of draws that tells if more of them would change nothing
    """
    states: list = []
    wanted, of_chains = FIRST_LOOK, (prior, column, reported)
    begin = time.monotonic()
    few = prior.unknown and column.size < FEW_VALUES
    tune = TUNE_OF_FEW if few else TUNE
    tuned = chains.draw(clock.sweeps(tune), tuning=True)
    over, run = len(tuned) < tune, None
    try:
        now = time.monotonic()
        if not over and now + 1.5 * (now - begin) > clock.end:
            # the first look may be the last one: how long does it take?
            clock.timed(looked_at, tuned, *of_chains)
        while not over:
            states += chains.draw(clock.sweeps(wanted - len(states)))
            if chains.interrupted or len(states) < FEW:
                break
            over = len(states) < wanted
            run = clock.timed(looked_at, states, *of_chains)
            run.stuck = chains.jumps is not None and chains.jumps.stuck(len(states))
            run.trusted = run.trusted and not run.stuck
            over = over or run.trusted or decided(run.all_draws)
            wanted = 4 * wanted // 3
    except KeyboardInterrupt:  # while it looked
        chains.interrupted = True
    if chains.interrupted or run is None:
        if not (states or tuned):
            raise KeyboardInterrupt("stopped before the first draw")
        drawn = states if len(states) >= FEW else (tuned + states)[-FEW:]  # quickly
        run = looked_at(drawn, *of_chains)
        run.trusted, run.interrupted = False, chains.interrupted
    return run


def share_at_largest(draws, largest):
    """In all chains at least this share of draws occupies the largest number."""
    return (draws["occupied"] == largest).mean("draw").min()


def sampled(column, clusters, own_widths, largest, seconds, rng):
    """The run with that many clusters, and before it one that tells how many, or None.

    Arguments as in `fit`, but for the column and the random numbers.
    """
    begin, number_run = time.monotonic(), None
    arviz()  # it takes a second to import, but once

    def run(chains, seconds, reported, decided=lambda draws: False, **number):
        prior = prior_of(column, own_widths=own_widths, **number)
        clock = Clock(begin, seconds, bar)
        chains = Chains(model_of(column, prior), chains, rng, jumps=True)
        return sample_until_trusted(chains, prior, column, clock, reported, decided)

    def leans(draws):
        return share_at_largest(draws, largest) > LEANS

    def clusters_of(draws):
        return relabeled(draws, representatives(column))

    with tqdm(total=int(seconds), delay=3, leave=False, unit="s") as bar:
        if clusters is None and largest > 1:
            prior, share = falling_prior(largest), TIME_OF_NUMBER * seconds
            of_number = CHAINS_OF_NUMBER, share, lambda draws: draws[["occupied"]]
            number_run = run(*of_number, leans, **prior)
            occupied = number_run.draws["occupied"].values
            clusters = np.bincount(occupied.ravel()).argmax()
            look = time.monotonic() - begin + TIME_OF_TABLE * seconds
            settled = number_run.trusted and clusters < largest
            seconds = max(seconds, look) if settled else look
        prior = dict(k=int(clusters or 1), concentration=1)
        return run(CHAINS, seconds, clusters_of, **prior), number_run


def number_table(run: Run) -> pd.DataFrame:
    """The probability of each number of clusters, with Monte Carlo errors."""
    number = np.arange(1, run.prior.largest + 1)
    share = run.draws["occupied"].values[..., None] == number
    share = xr.Dataset({"x": (("chain", "draw", "number"), share.astype(float))})
    error = np.nan_to_num(arviz().mcse(share)["x"].values)  # NaN: of too few draws
    probability = share["x"].mean(["chain", "draw"]).values
    table = {"probability": probability, "Monte Carlo error": error}
    return pd.DataFrame(table, pd.Index(number, name="clusters"))
