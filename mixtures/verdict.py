"""The verdict on a fit: whether it can be trusted, why not, and what to do."""

from __future__ import annotations

import numpy as np

from . import remarks
from .diagnostics import (
    APART,
    LARGEST_R_HAT,
    LARGEST_SHIFT,
    SMALLEST_ESS,
    STAND_STILL,
    convergence,
)
from .posterior import log_components, log_density
from .trust import share_at_largest

FEW = 300  # draws, of which alone nothing is told: no run of 500 sweeps keeps so few
LONG = (60, 600)  # seconds, after which chains that are elsewhere will hardly meet


def different_answers(draws, density, column):
    """Groups of chains that do not meet: how many chains, and their log-likelihood.

    density : log densities, by which chains are told apart, (chain, draw, value)
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    chains = len(density)
    mean, spread = density.mean(axis=1), density.std(axis=1) + 1e-9
    away = np.abs(mean[:, None] - mean) / np.hypot(spread[:, None], spread)
    away = away.max(axis=2)[np.triu_indices(chains, 1)]
    label = fcluster(linkage(away), 2, "distance")
    last = log_components(column.values, draws.isel(draw=slice(-20, None))).values
    total = (np.logaddexp.reduce(last, axis=2) @ column.count).mean(axis=1)
    groups = [(sum(label == i), total[label == i].mean()) for i in set(label)]
    return sorted(groups, reverse=True)


def seconds_needed(judged, seconds):
    """So many as will probably do, to two digits, from what is short after `seconds`.

    Errors fall with the square root of time, and R-hat's distance from one with time.
    """
    short = SMALLEST_ESS / max(judged.ess, 1), (judged.r_hat - 1) / (LARGEST_R_HAT - 1)
    shift = max(judged.shift_of_mean, judged.shift_of_sd) / LARGEST_SHIFT
    needed = 1.5 * seconds * min(max(*short, shift**2, 1.3), 100)
    return float(f"{needed:.2g}")


def too_short(judged, quantity, seconds):
    """That the time was up, and how much will do: a sentence without its end."""
    needed = seconds_needed(judged, seconds)
    state, enough = "before the chains had drawn enough", judged.ess >= SMALLEST_ESS
    if enough and round(judged.r_hat, 3) <= LARGEST_R_HAT and not judged.trusted:
        state = "while it still hung on how many draws are forgotten what is said"
    figures = f" {judged.in_figures}"
    if not np.isfinite(judged.r_hat * judged.ess):  # of a few draws
        needed, figures = max(10 * seconds, LONG[0]), ""
    advice = f"give it more `seconds`, say {needed:g}"
    return f"the time was up {state} of {quantity}{figures}: {advice}"


def disagreement(judged, quantity, seconds, otherwise):
    """That chains are elsewhere, and what to do: a sentence without its end.

    otherwise : what to do if more time is of no use
    """
    reason = f"the chains do not agree on {quantity} {judged.in_figures}"
    if judged.flaw == STAND_STILL:
        reason = f"of {quantity} {judged.flaw.partition(';')[0]}"
    longer = [x for x in LONG if x > seconds]
    if longer:
        return f"{reason}: give it more `seconds`, say {longer[0]}, or {otherwise}"
    return f"{reason}, and more time will hardly help: {otherwise}"


def too_little(run, quantity, seconds, otherwise):
    """That draws are too few or do not agree, and what to do: without its end."""
    judged = run.convergence
    if judged.r_hat < APART or run.draws.sizes["draw"] < FEW:
        return too_short(judged, quantity, seconds)
    return disagreement(judged, quantity, seconds, otherwise)


def doubt_of_number(run, number, seconds):
    """Why the number of clusters cannot be trusted: a sentence, or none."""
    largest = number.index[-1]
    leans = number["probability"][largest] > 0.05
    if leans and (run.trusted or share_at_largest(run.draws, largest) > 0.05):
        advice = f"raise `largest`, to {min(99, 2 * largest)} for example."
        if largest == 99:
            advice = "normal distributions do not describe this column."
        return f"the number leans on the largest allowed, {largest}: {advice}"
    if run.trusted:
        return ""
    otherwise = "report that this column does not tell the number"
    return too_little(run, "the number of clusters", seconds, otherwise) + "."


def doubt_of_clusters(run, column, seconds, known):
    """Why the clusters cannot be trusted: a sentence, or none."""
    if run.trusted:
        return ""
    judged, length = run.convergence, run.draws.sizes["draw"]
    otherwise = "try fewer `clusters`" if known else "use `number` and `together`"
    short = too_little(run, "the clusters", seconds, otherwise)
    if judged.flaw == STAND_STILL or length < FEW:
        return f"{short}."
    if run.stuck and judged.trusted:
        return (
            "a chain refused all jumps for over a fifth of its draws, so it may be "
            f"where no other has been: give it more `seconds`, say {10 * seconds:g}."
        )
    draws = run.draws.isel(draw=slice(None, None, 1 + length // 400))
    density = log_density(draws, column)
    agreed = convergence(density.to_dataset(name="density")).trusted
    if judged.r_hat < APART:
        unnamed = "; `together` and `plot`, which need no names, can be used already"
        return f"{short}{unnamed * agreed}."
    answers = different_answers(draws, density.values, column)
    if len(answers) > 1:
        groups = ", ".join(f"{n} of log-likelihood {x:.1f}" for n, x in answers)
        advice = "leave `clusters` out, and the number is looked for"
        if not known:
            advice = "use `number` and `together`, which hang on none of them"
        return (
            f"the chains found {len(answers)} different answers ({groups}): {advice}."
        )
    if agreed:
        return (
            "no names tell the clusters apart, though the chains agree on the "
            "density: use `together` and `plot`" + ", or fewer `clusters`" * known + "."
        )
    return f"{short}."


def doubt(column, run, number_run, number, seconds):
    """Why the answer cannot be trusted, and what to do: a sentence, or none."""
    if run.interrupted or number_run and number_run.interrupted:
        return "it was interrupted; run it again."
    of_number = doubt_of_number(number_run, number, seconds) if number_run else ""
    return of_number or doubt_of_clusters(run, column, seconds, number_run is None)


def answer(k, number, missing):
    """What was found: k clusters, how probable that number is, what was left out."""
    text = f"{k} cluster{'s' * (k > 1)}"
    if number is not None:
        probability = number["probability"]
        error = number["Monte Carlo error"][k]
        text += f", with probability {probability[k]:.2f}"
        text += f" ± {error:.1g}" * bool(error > 0)
        others = probability.drop(k).nlargest(1)
        if others.gt(0.05).any():
            text += f" ({others.index[0]} has {others.iloc[0]:.2f})"
    return text + f"; {missing:,} missing left out" * bool(missing)


def verdict(column, run, number_run, number, seconds=60):
    """Whether a fit can be trusted, and a text that tells it with the reason.

    number : of `number_table`, or None; seconds : that the fit had
    """
    why = doubt(column, run, number_run, number, seconds)
    coarse = remarks.coarse_step(column)
    narrow = remarks.narrow_clusters(run.draws, column)
    rounding = remarks.mixed_rounding(column, coarse)
    notes = [remarks.odd_values(column, coarse), remarks.far_value(column)]
    if why and rounding and not run.interrupted:
        why = rounding
    elif narrow:
        notes.append(rounding)
    notes.append(remarks.width_of_ties(narrow, column))
    if why:
        notes.append(remarks.logarithms(column))
    begin = f"Not trusted: {why} What was found:" if why else "Trusted:"
    text = answer(run.draws.sizes["cluster"], number, column.missing)
    return not why, " ".join(filter(None, [f"{begin} {text}.", *notes]))
