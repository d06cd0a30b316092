"""Sampled until it can be trusted, or until the time is up."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from .data import places_to_look
from .diagnostics import Convergence, arviz, convergence
from .model import falling_prior, model_of, prior_of
from .posterior import relabeled
from .sampler import Chains, as_dataset

TUNE = 500  # sweeps
FEW = 150  # sweeps, of which a look is quick
RESERVED = 2.5  # times a look: one with a third more draws, and the verdict


@dataclass
class Run:
    """Draws of one model, and whether what is reported of them can be trusted."""

    all_draws: xr.Dataset
    draws: xr.Dataset  # what is reported of them
    convergence: Convergence
    trusted: bool
    interrupted: bool = False


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


def looked_at(kept, of_chains, reported):
    """The `Run` of draws so far."""
    # chains may have been on their way still: a third is forgotten
    some = kept[len(kept) // 3 :]
    all_draws = as_dataset(some[:: 1 + len(some) // 1_000], *of_chains)
    draws = reported(all_draws)
    alone = draws.sizes.get("cluster") == 1  # then its weight is one
    judged = convergence(draws.drop_vars("p") if alone else draws)
    trusted = len(kept) >= 500 and judged.trusted
    return Run(all_draws, draws, judged, trusted)


def sample_until_trusted(chains, column, clock, reported, decided):
    """Sample chains of one model until what is reported of them can be trusted.

    reported : a function of draws that returns those that have to agree
    decided : a function of draws that tells if more of them would change nothing
    """
    kept, wanted, of_chains = [], 500, (chains.model.prior, column)
    begin = time.monotonic()
    tuned = chains.draw(clock.sweeps(TUNE), tuning=True)
    over, run = len(tuned) < TUNE, None
    try:
        now = time.monotonic()
        if not over and now + 1.5 * (now - begin) > clock.end:
            # the first look may be the last one: how long does it take?
            clock.timed(looked_at, tuned, of_chains, reported)
        while not over:
            kept += chains.draw(clock.sweeps(wanted - len(kept)))
            if chains.interrupted or len(kept) < FEW:
                break
            over = len(kept) < wanted
            run = clock.timed(looked_at, kept, of_chains, reported)
            over = over or run.trusted or decided(run.all_draws)
            wanted = 4 * wanted // 3
    except KeyboardInterrupt:  # while it looked
        chains.interrupted = True
    if chains.interrupted or run is None:
        if not (kept or tuned):
            raise KeyboardInterrupt("stopped before the first draw")
        drawn = kept if len(kept) >= FEW else (tuned + kept)[-FEW:]  # quickly
        run = looked_at(drawn, of_chains, reported)
        run.trusted, run.interrupted = False, chains.interrupted
    return run


def leaning(draws, largest):
    """In all chains at least this share of draws occupies the largest number."""
    return (draws["occupied"] == largest).mean("draw").min()


def sampled(column, clusters, own_widths, largest, seconds, rng):
    """The run with that many clusters, and before it one that tells how many, or None.

    Arguments as in `fit`, but for the column and the random numbers.
    """
    begin, at, number_run = time.monotonic(), places_to_look(column), None
    arviz()  # it takes a second to import, but once

    def run(chains, seconds, reported, decided=lambda draws: False, **number):
        model = model_of(column, prior_of(column, own_widths=own_widths, **number))
        clock, chains = Clock(begin, seconds, bar), Chains(model, chains, rng)
        return sample_until_trusted(chains, column, clock, reported, decided)

    def leans(draws):
        return leaning(draws, largest) > 0.5

    with tqdm(total=int(seconds), delay=3, leave=False, unit="s") as bar:
        if clusters is None and largest > 1:
            prior, share = falling_prior(largest), 0.8 * seconds
            number_run = run(8, share, lambda x: x[["occupied"]], leans, **prior)
            occupied = number_run.draws["occupied"].values
            clusters = np.bincount(occupied.ravel()).argmax()
            look = time.monotonic() - begin + 0.1 * seconds
            settled = number_run.trusted and clusters < largest
            seconds = max(seconds, look) if settled else look
        one = dict(k=int(clusters or 1), concentration=1)
        return run(16, seconds, lambda draws: relabeled(draws, at), **one), number_run


def number_table(run, largest):
    """The probability of each number of clusters, with Monte Carlo errors."""
    number = np.arange(1, largest + 1)
    share = run.draws["occupied"].values[..., None] == number
    share = xr.Dataset({"x": (("chain", "draw", "number"), share.astype(float))})
    error = np.nan_to_num(arviz().mcse(share)["x"].values)  # NaN: of too few draws
    probability = share["x"].mean(["chain", "draw"]).values
    table = {"probability": probability, "Monte Carlo error": error}
    return pd.DataFrame(table, pd.Index(number, name="clusters"))
