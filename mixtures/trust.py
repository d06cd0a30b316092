"""Sampled until it can be trusted, and why it cannot be if it cannot."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from .data import places_to_look
from .diagnostics import Convergence, arviz, convergence
from .model import as_dataset, falling_prior, model_of, prior_of
from .posterior import log_components, log_density, relabeled
from .sampler import Chains

TUNE = 500  # sweeps


@dataclass
class Run:
    """Draws of one model, and whether what is reported of them can be trusted."""

    all_draws: xr.Dataset
    draws: xr.Dataset  # what is reported of them
    convergence: Convergence
    trusted: bool
    interrupted: bool = False


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


def sample_until_trusted(chains, column, until, reported, decided):
    """Sample chains of one model until what is reported of them can be trusted.

    until : iterates over so many sweeps, or fewer if the time is up
    reported : a function of draws that returns those that have to agree
    decided : a function of draws that tells if more of them would change nothing
    """
    kept, wanted, of_chains = [], 500, (chains.model.prior, column)
    tuned = chains.draw(until(TUNE), tuning=True)
    over, run = len(tuned) < TUNE, None
    try:
        while not over:
            kept += chains.draw(until(wanted - len(kept)))
            if chains.interrupted:
                break
            over = len(kept) < wanted
            run = looked_at(kept, of_chains, reported)
            over = over or run.trusted or decided(run.all_draws)
            wanted = 4 * wanted // 3
    except KeyboardInterrupt:  # while it looked
        chains.interrupted = True
    if chains.interrupted or run is None:
        if not (kept or tuned):
            raise KeyboardInterrupt("stopped before the first draw")
        run = looked_at(kept or tuned, of_chains, reported)
        run.trusted, run.interrupted = False, chains.interrupted
    return run


def leaning(draws, largest):
    """In all chains at least this share of draws occupies the largest number."""
    return (draws["occupied"] == largest).mean("draw").min()


def until(begin, seconds, bar, most):
    """Iterate over so many sweeps, or over fewer, but one, if the time is up."""
    for i in range(most):
        now = time.monotonic() - begin
        bar.update(min(int(now), bar.total) - bar.n)
        if i and now > seconds:
            return
        yield


def sampled(column, clusters, own_widths, largest, seconds, rng):
    """The run with that many clusters, and before it one that tells how many, or None.

    Arguments as in `fit`, but for the column and the random numbers.
    """
    begin, at, number_run = time.monotonic(), places_to_look(column), None

    def run(chains, seconds, reported, decided=lambda draws: False, **number):
        model = model_of(column, prior_of(column, own_widths=own_widths, **number))
        sweeps, chains = partial(until, begin, seconds, bar), Chains(model, chains, rng)
        return sample_until_trusted(chains, column, sweeps, reported, decided)

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


def different_answers(draws, column):
    """Groups of chains that do not meet: how many chains, and their log-likelihood.

    Chains are told apart by their log densities.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    chains, each = draws.sizes["chain"], log_density(draws, column).values
    mean, spread = each.mean(axis=1), each.std(axis=1) + 1e-9
    away = np.abs(mean[:, None] - mean) / np.hypot(spread[:, None], spread)
    away = away.max(axis=2)[np.triu_indices(chains, 1)]
    label = fcluster(linkage(away), 2, "distance")
    last = log_components(column.values, draws.isel(draw=slice(-20, None))).values
    each = (np.logaddexp.reduce(last, axis=2) @ column.count).mean(axis=1)
    groups = [(sum(label == i), each[label == i].mean()) for i in set(label)]
    return sorted(groups, reverse=True)


def shortage(r_hat, size, what, instead):
    """That draws are too few or do not agree, and what to do: a sentence."""
    said = f"(R-hat {r_hat:.3f}, effective size {size:.0f})"
    if r_hat < 1.1:
        return f"there were too few draws of {what} {said}: give it more `seconds`."
    return (
        f"the chains do not agree on {what} {said}: {instead}, or many times the "
        "`seconds`."
    )


def number_table(run, largest):
    """The probability of each number of clusters, with Monte Carlo errors."""
    number = np.arange(1, largest + 1)
    share = run.draws["occupied"].values[..., None] == number
    share = xr.Dataset({"x": (("chain", "draw", "number"), share.astype(float))})
    error = np.nan_to_num(arviz().mcse(share)["x"].values)  # NaN: of too few draws
    probability = share["x"].mean(["chain", "draw"]).values
    table = {"probability": probability, "Monte Carlo error": error}
    return pd.DataFrame(table, pd.Index(number, name="clusters"))


def doubt_of_number(run, number):
    """Why the number of clusters cannot be trusted: a sentence, or none."""
    largest = number.index[-1]
    leans = number["probability"][largest] > 0.05
    if leans and (run.trusted or leaning(run.draws, largest) > 0.05):
        what_to_do = f"raise `largest`, to {min(99, 2 * largest)} for example."
        if largest == 99:
            what_to_do = "normal distributions do not describe this column."
        return f"the number leans on the largest allowed, {largest}: {what_to_do}"
    if run.trusted:
        return ""
    instead = "give `clusters`, if you know how many"
    figures = run.convergence.r_hat, run.convergence.ess
    return shortage(*figures, "the number of clusters", instead)


def doubt_of_clusters(run, column):
    """Why the clusters cannot be trusted: a sentence, or none."""
    if run.trusted:
        return ""
    answers = different_answers(run.draws, column)
    if len(answers) > 1 and run.draws.sizes["draw"] > 200:
        each = ", ".join(f"{n} of log-likelihood {x:.1f}" for n, x in answers)
        return (
            f"the chains found {len(answers)} different answers ({each}): try "
            "another number of `clusters`, or leave it out."
        )
    density = log_density(run.draws, column)
    if convergence(density.to_dataset(name="density")).trusted:
        return (
            "no names tell the clusters apart, though the chains agree on the "
            "density: use `together` and `plot`, or fewer `clusters`."
        )
    figures = run.convergence.r_hat, run.convergence.ess
    return shortage(*figures, "the clusters", "try fewer `clusters`")


def doubt(column, run, number_run, number):
    """Why the answer cannot be trusted, and what to do: a sentence, or none."""
    if run.interrupted or number_run and number_run.interrupted:
        return "it was interrupted; run it again."
    about_number = doubt_of_number(number_run, number) if number_run else ""
    return about_number or doubt_of_clusters(run, column)


def answer(k, number, missing):
    """What was found: k clusters, how probable that number is, what was left out."""
    found = f"{k} cluster{'s' * (k > 1)}"
    if number is not None:
        probability = number["probability"]
        found += f", with probability {probability[k]:.2f}"
        others = probability.drop(k).nlargest(1)
        if others.gt(0.05).any():
            found += f" ({others.index[0]} has {others.iloc[0]:.2f})"
    return found + f"; {missing:,} missing left out" * bool(missing)


def advice(column):
    """What else to try with a column in which one value or a tail is too much."""
    count, order = column.count, np.argsort(-column.count)
    often = count[order]
    # one, two or three values that are five times as frequent as any other
    heaps = [n for n in (1, 2, 3) if n < len(often) - 1 and often[n - 1] > 5 * often[n]]
    if heaps and often[heaps[-1] - 1] > 0.05 * column.size:
        top = np.sort(order[: heaps[-1]])
        values = np.where(abs(column.values) < 1e-12 * column.scale, 0, column.values)
        named = " and ".join(f"{value:.15g}" for value in values[top])
        share = count[top].sum() / column.size
        alone = "alone are" if len(top) > 1 else "alone is"
        return (
            f" {named} {alone} {share:.0%} of the values: count each such value as a "
            "cluster of its own, and fit the others."
        )

    def skewness(x):
        away = x - np.average(x, weights=count)
        cube, square = (np.average(away**n, weights=count) for n in (3, 2))
        return cube / square**1.5

    if column.low > 0:
        plain, logarithm = skewness(column.mean), skewness(np.log(column.values))
        if plain > max(1, 2 * abs(logarithm)):
            return " All values are positive and skewed: try their logarithms."
    return ""
