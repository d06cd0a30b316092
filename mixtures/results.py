"""A fit of a column: sampled until it can be trusted, and what it says."""

import base64
import html
import io
import numbers
import tempfile
import textwrap
import time
import warnings
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln, ndtr
from tqdm import tqdm

from .data import as_column, checked_values
from .sampler import TINY, Chains, as_dataset, model_of, refuse

with warnings.catch_warnings():  # ArviZ 0.23 announces its successor
    warnings.simplefilter("ignore", FutureWarning)
    import arviz as az

TUNE, PLACES, ENDS = 500, 400, (0.03, 0.97)  # sweeps, of values, of intervals
# safe for the color-blind (Okabe and Ito)
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]


def falling_prior(largest):
    """Prior of the number of clusters from 1 to largest, and of their concentration.

    Beta-negative-binomial (1, 4, 3), cut off, and 1 / number: most of many clusters are
    nearly empty. Source: Frühwirth-Schnatter, Malsiner-Walli and Grün (2021).
    """
    number = np.arange(1, largest + 1)
    prior = np.exp(gammaln(number + 2) - gammaln(number + 7))
    return dict(k=prior / prior.sum(), concentration=1 / number)


def thinned(draws, most=1_000):
    """At most so many of the draws, evenly, of all chains together."""
    chains, length = draws["p"].shape[:2]
    return draws.isel(draw=slice(None, None, -(-chains * length // most)))


def log_components(values, draws):
    """log(p[j] Normal(value | means[j], sd[j])) of draws, (samples, clusters, values).

    draws : p, means and sd as of `gibbs`, in any number of chains
    """
    p, means, sd = (draws[name].values for name in ("p", "means", "sd"))
    sd = np.broadcast_to(sd if sd.ndim == p.ndim else sd[..., None], p.shape)
    p, means, sd = (x.reshape(-1, p.shape[-1], 1) for x in (p, means, sd))
    with np.errstate(divide="ignore"):
        terms = np.log(p / sd) - ((values - means) / sd) ** 2 / 2
    return np.where(np.isnan(p), -np.inf, terms - np.log(2 * np.pi) / 2)


def shares(terms):
    """Probability of each cluster, from `log_components`."""
    terms = np.exp(terms - terms.max(axis=1, keepdims=True))
    return terms / terms.sum(axis=1, keepdims=True)


def relabeled(draws, at, rounds=30):
    """Draws with clusters named by membership, and the names in the order of the means.

    Of each draw the clusters take the order that is nearest to the average membership
    of some values `at`, so that clusters of one mean and other widths stay apart.
    Sources: Stephens (2000), doi:10.1111/1467-9868.00265; Rodríguez and Walker (2014),
    doi:10.1080/10618600.2012.735624.
    """
    membership = shares(log_components(at, draws)).astype(np.float32)
    average = membership[-1]
    for _ in range(rounds):
        away = (average**2).sum(axis=1) + (membership**2).sum(axis=2)[..., None]
        away -= 2 * membership @ average.T  # (draws, cluster of the draw, name)
        order = away.argmin(axis=1)
        clear = (np.sort(order, axis=1) == np.arange(len(average))).all(axis=1)
        for i in np.flatnonzero(~clear):
            order[i] = linear_sum_assignment(away[i].T)[1]
        before = average
        average = np.take_along_axis(membership, order[..., None], 1).mean(axis=0)
        if np.abs(average - before).max() < 1e-4:
            break
    means = np.take_along_axis(draws["means"].values.reshape(order.shape), order, 1)
    order = order[:, means.mean(axis=0).argsort()].reshape(draws["means"].shape)
    named = {x: draws[x] for x in ("p", "means", "sd") if draws[x].ndim == 3}
    for name, x in named.items():
        named[name] = x.copy(data=np.take_along_axis(x.values, order, 2))
    return draws.assign(named)


def checks(draws):
    """Largest R-hat and smallest effective size of draws, dims chain and draw first.

    What never moves, in any chain, is certain and has neither.
    Source: Vehtari and others (2021), doi:10.1214/20-BA1221.
    """
    each = [x.values.reshape(*x.shape[:2], -1) for x in draws.data_vars.values()]
    each = np.concatenate(each, axis=2, dtype=float)
    moves = np.ptp(each, axis=(0, 1)) > 1e-12 * np.abs(each).max(axis=(0, 1))
    if each.shape[1] < 4:
        return np.inf, 1.0
    if not moves.any():
        return 1.0, np.inf
    moving = xr.Dataset({"x": (("chain", "draw", "what"), each[..., moves])})
    with np.errstate(all="ignore"):  # chains that stand still, each elsewhere
        sizes = [az.ess(moving, method=m)["x"].min() for m in ("bulk", "tail")]
        return float(az.rhat(moving)["x"].max()), float(min(sizes))


def good(r_hat, effective):
    """Whether chains agree: R-hat of at most 1.01 and an effective size of 400."""
    return round(r_hat, 3) <= 1.01 and effective >= 400


class Run:
    """Chains of one model, sampled until what is reported of them can be trusted.

    until : iterates over so many sweeps, or fewer if the time is up
    reported : a function of draws that returns those that have to agree
    decided : a function of draws that tells if more of them would change nothing
    """

    def __init__(self, column, model, chains, until, reported, decided):
        tuned, kept, wanted = [], [], 500
        self._of, self._reported = (model, column), reported
        try:
            tuned = chains.draw(until(TUNE), tuning=True)
            over = len(tuned) < TUNE
            while not over:
                kept += chains.draw(until(wanted - len(kept)))
                over = len(kept) < wanted
                self._look(kept)
                over = over or self.trusted or decided(self.all_draws)
                wanted = 4 * wanted // 3
            self.interrupted = chains.interrupted
        except KeyboardInterrupt:  # while it looked
            self.interrupted = True
        if self.interrupted or not kept:
            self._look(kept or tuned)
            self.trusted = False

    def _look(self, kept):
        # chains may have been on their way still: a third is forgotten
        some = kept[len(kept) // 3 :]
        if not some:
            raise KeyboardInterrupt("stopped before the first draw")
        self.all_draws = as_dataset(some[:: 1 + len(some) // 1_000], *self._of)
        self.draws = self._reported(self.all_draws)
        self.checks = checks(self.draws)
        self.trusted = len(kept) >= 500 and good(*self.checks)


def leaning(draws, largest):
    """In all chains at least this share of draws occupies the largest number."""
    return (draws["occupied"] == largest).mean("draw").min()


def log_density(draws, column):
    """The log density at values all over a column, which needs no names of clusters.

    Returns an xarray.DataArray with dims chain, draw and value.
    """
    each = np.logaddexp.reduce(log_components(places_to_look(column), draws), axis=1)
    each = np.maximum(each, np.log(TINY)).reshape(*draws["p"].shape[:2], -1)
    return xr.DataArray(each, dims=("chain", "draw", "value"))


def different_answers(draws, column):
    """Groups of chains that do not meet: how many chains, and their log-likelihood.

    Chains are told apart by their log densities.
    """
    chains, each = draws.sizes["chain"], log_density(draws, column).values
    mean, spread = each.mean(axis=1), each.std(axis=1) + 1e-9
    away = np.abs(mean[:, None] - mean) / np.hypot(spread[:, None], spread)
    away = away.max(axis=2)[np.triu_indices(chains, 1)]
    label = fcluster(linkage(away), 2, "distance")
    last = log_components(column.values, draws.isel(draw=slice(-20, None)))
    each = np.logaddexp.reduce(last, axis=1) @ column.count
    each = each.reshape(chains, -1).mean(axis=1)
    groups = [(sum(label == i), each[label == i].mean()) for i in set(label)]
    return sorted(groups, reverse=True)


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


def shortage(r_hat, size, what, instead):
    """That draws are too few or do not agree, and what to do: a sentence."""
    said = f"(R-hat {r_hat:.3f}, effective size {size:.0f})"
    if r_hat < 1.1:
        return f"there were too few draws of {what} {said}: give it more `seconds`."
    return (
        f"the chains do not agree on {what} {said}: {instead}, or many times the "
        "`seconds`."
    )


class Fit:
    """What a mixture says of a column; `fit` makes it.

    trusted : whether the answer can be trusted; verdict : one sentence, with the reason
    number : the probability of each number of clusters, or None if it was given
    clusters : weight, mean and standard deviation of each cluster, with intervals
    draws : the draws behind it, an xarray.Dataset with dims chain, draw and cluster
    """

    def __init__(self, column, data, name, run, number_run, largest, missing):
        self.column, self.data, self.draws = column, data, run.draws
        self.name = ("" if name is None else str(name)).strip() or "value"
        self._run, self._number_run, self._largest = run, number_run, largest
        self.missing = missing
        self.interrupted = any(one.interrupted for one in (number_run or run, run))
        self.number = self._table_of_numbers() if number_run else None
        self.clusters = self._table_of_clusters()
        why = self._why()
        self.trusted = not why
        self.verdict = f"Not trusted: {why} What was found: " if why else "Trusted: "
        self.verdict += f"{self._found()}.{advice(column)}"

    def _table_of_numbers(self):
        number = np.arange(1, self._largest + 1)
        share = self._number_run.draws["occupied"].values[..., None] == number
        share = xr.Dataset({"x": (("chain", "draw", "number"), share.astype(float))})
        error = np.nan_to_num(az.mcse(share)["x"].values)  # NaN: of too few draws
        probability = share["x"].mean(["chain", "draw"]).values
        table = {"probability": probability, "Monte Carlo error": error}
        return pd.DataFrame(table, pd.Index(number, name="clusters"))

    def _table_of_clusters(self):
        table = {}
        for title, name in (("weight", "p"), ("mean", "means"), ("sd", "sd")):
            x = self.draws[name].broadcast_like(self.draws["p"]).values
            table[title] = x.mean(axis=(0, 1))
            for q in ENDS:
                table[f"{title} {100 * q:.0f} %"] = np.quantile(x, q, axis=(0, 1))
        return pd.DataFrame(table).rename_axis("cluster")

    def _found(self):
        k = len(self.clusters)
        found = f"{k} cluster{'s' * (k > 1)}"
        if self.number is not None:
            probability = self.number["probability"]
            found += f", with probability {probability[k]:.2f}"
            others = probability.drop(k).nlargest(1)
            if others.gt(0.05).any():
                found += f" ({others.index[0]} has {others.iloc[0]:.2f})"
        return found + f"; {self.missing:,} missing left out" * (self.missing > 0)

    def _why(self):
        """Why the answer cannot be trusted, and what to do: a sentence, or none."""
        largest, run = self._largest, self._number_run
        if self.interrupted:
            return "it was interrupted; run it again."
        leans = run and self.number["probability"][largest] > 0.05
        if leans and (run.trusted or leaning(run.draws, largest) > 0.05):
            advice = f"raise `largest`, to {min(99, 2 * largest)} for example."
            if largest == 99:
                advice = "normal distributions do not describe this column."
            return f"the number leans on the largest allowed, {largest}: {advice}"
        if run and not run.trusted:
            instead = "give `clusters`, if you know how many"
            return shortage(*run.checks, "the number of clusters", instead)
        if self._run.trusted:
            return ""
        answers = different_answers(self.draws, self.column)
        if len(answers) > 1 and self.draws.sizes["draw"] > 200:
            each = ", ".join(f"{n} of log-likelihood {x:.1f}" for n, x in answers)
            return (
                f"the chains found {len(answers)} different answers ({each}): try "
                "another number of `clusters`, or leave it out."
            )
        density = log_density(self.draws, self.column)
        if good(*checks(density.to_dataset(name="density"))):
            return (
                "no names tell the clusters apart, though the chains agree on the "
                "density: use `together` and `plot`, or fewer `clusters`."
            )
        return shortage(*self._run.checks, "the clusters", "try fewer `clusters`")

    def membership(self, values=None):
        """The likeliest cluster of each value, its probability and that of each.

        values : numbers, (n,), or a Dask array or column, whose answer is a lazy Dask
            array (n, clusters); without them the fitted column, one row a row of it, by
            its index, blank where a value is missing
        """
        function = membership_function(self, values is None)
        values = self.data if values is None else values
        if hasattr(values, "dask"):
            values = getattr(values, "to_dask_array", lambda: values)()
            chunks = values.chunks[0], (len(self.clusters),)
            return values.map_blocks(function, dtype=float, chunks=chunks, new_axis=1)
        each = function(checked_values(values))
        index = values.index if isinstance(values, pd.Series) else None
        table = pd.DataFrame(each, index).add_prefix("cluster ")
        best = pd.Series(each.argmax(axis=1), table.index, "Int64")
        table.insert(0, "cluster", best.where(~np.isnan(each[:, 0])))
        table.insert(1, "probability", each.max(axis=1))
        return table

    def together(self, values=None):
        """The probability that points at two values share a cluster, as a table.

        It needs no names and averages over the number of clusters if that was unknown.
        Source: Wade and Ghahramani (2018), doi:10.1214/17-BA1073.
        values : numbers, (n,); without them nine quantiles of the column
        """
        if values is None:
            values = np.unique(self.column.quantile(np.linspace(0.05, 0.95, 9)))
        draws = self._number_run.all_draws if self._number_run else self.draws
        each = shares(log_components(checked_values(values), thinned(draws)))
        together = np.einsum("skv,skw->vw", each, each) / len(each)
        return pd.DataFrame(together, values, values)

    def plot(self, ax=None):
        """The column and the clusters, with bands that hold 94 % of the posterior."""
        ax = plt.subplots(figsize=(8, 4), layout="constrained")[1] if ax is None else ax
        edges, heights = histogram(self.column)
        size = self.column.size * np.diff(edges)
        ax.stairs(heights / size, edges, fill=True, color="0.8", label="data")
        mean, sd = (self.clusters[name].to_numpy()[:, None] for name in ("mean", "sd"))
        near = (mean + sd * np.linspace(-3, 3, 25)).clip(edges[0], edges[-1])
        x = np.union1d(np.linspace(edges[0], edges[-1], 300), near)
        each = np.exp(log_components(x, thinned(self.draws)))
        curves = {f"cluster {j}": each[:, j] for j in range(each.shape[1])}
        curves["sum"] = each.sum(axis=1)
        for j, (label, curve) in enumerate(curves.items()):
            color, line = COLORS[j % len(COLORS)], ["-", "--"][j // len(COLORS) % 2]
            color, line = ("black", ":") if label == "sum" else (color, line)
            ax.plot(x, curve.mean(axis=0), line, color=color, label=label)
            band = np.quantile(curve, ENDS, axis=0)
            ax.fill_between(x, *band, color=color, alpha=0.2, lw=0)
        ax.set(xlabel=self.label, ylabel="density")
        ax.legend(fontsize="small")
        return ax

    def plot_replicates(self, ax):
        """The histogram of the column over those of data that the mixture makes."""
        edges, heights = histogram(self.column)
        draws, rng = thinned(self.draws), np.random.default_rng(0)
        p, means, sd = xr.broadcast(draws["p"], draws["means"], draws["sd"])
        below = ndtr((xr.DataArray(edges, dims="edge") - means) / sd)
        below = (p * below).sum("cluster").stack(s=["chain", "draw"]).values
        inside = np.maximum(np.diff(below, axis=0).T, 0)
        chances = np.c_[inside, np.maximum(1 - inside.sum(axis=1), 0)]
        chances /= chances.sum(axis=1, keepdims=True)
        made = rng.multinomial(self.column.size, chances)[:, :-1]
        low, high = np.quantile(made, ENDS, axis=0)
        ax.stairs(high, edges, baseline=low, fill=True, color="0.8", label="replicates")
        ax.stairs(heights, edges, color="black", label="data")
        ax.set(xlabel=self.label, ylabel="values")
        ax.legend(fontsize="small")

    def plot_number(self, ax):
        """The probability of each number of clusters, with Monte Carlo errors."""
        table = self.number[self.number["probability"] > 0.001]
        height, error = table.to_numpy().T
        ax.bar(table.index, height, yerr=error, color="0.4")
        ax.set(xlabel="number of clusters", ylabel="probability", xticks=table.index)
        ax.set_xlim(table.index.min() - 1.5, table.index.max() + 1.5)

    def plot_together(self, ax):
        """The probability that two values share a cluster, for values all over."""
        values = np.linspace(self.column.low, self.column.high, 60)
        style = dict(vmin=0, vmax=1, cmap="cividis", shading="nearest")
        shown = ax.pcolormesh(values, values, self.together(values), **style)
        plt.colorbar(shown, ax=ax, label="probability to share a cluster")
        ax.set(xlabel=self.label, ylabel=self.label)

    @property
    def label(self):
        return self.name.replace("$", r"\$")  # no formula

    def save(self, folder, frame=None):
        """Write clusters.csv, number.csv, membership.csv and report.html, all or none.

        frame : a table whose columns membership.csv keeps before its own
        Raises OSError if the folder cannot be written.
        """
        folder, rows = Path(folder), self.membership()
        if frame is not None:
            rows = rows.rename(columns=lambda x: x + " of the fit" * (x in frame))
            rows = pd.concat([frame, rows.set_axis(frame.index)], axis=1)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            self.clusters.to_csv(Path(aside, "clusters.csv"))
            if self.number is not None:
                self.number.to_csv(Path(aside, "number.csv"))
            index = not isinstance(rows.index, pd.RangeIndex)
            rows.to_csv(Path(aside, "membership.csv"), index=index)
            Path(aside, "report.html").write_text(report(self), encoding="utf-8")
            for path in sorted(Path(aside).iterdir()):
                path.replace(folder / path.name)

    @property
    def digits(self):
        """How many significant digits of means tell them apart."""
        ratio = np.abs(self.clusters["mean"]) / self.clusters["sd"]
        return int(np.clip(np.log10(ratio.max() + 1) + 2, 4, 15))

    def __repr__(self):
        digits = dict(weight=4, mean=self.digits, sd=4)
        form = {name: f"{{:.{n}g}}".format for name, n in digits.items()}
        table = self.clusters[[*digits]].to_string(formatters=form)
        return f"{textwrap.fill(self.verdict, 79)}\n{table}"


def histogram(column):
    """Edges and heights of a histogram whose bins follow the step of the values."""
    iqr = np.diff(column.quantile([0.25, 0.75]))[0] or (column.high - column.low) / 4
    width = max(iqr / column.size ** (1 / 3), (column.high - column.low) / 200)
    first = column.low
    if column.step > width / 50:  # bins of as many written values each
        width = column.step * max(1, round(width / column.step))
        first -= column.step / 2
    edges = first + width * np.arange(np.ceil((column.high - first) / width) + 1)
    return edges, np.histogram(column.values, edges, weights=column.count)[0]


STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; background: white; border-radius: 0.5rem; }
figure { margin: 1.5rem 0; } .table { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: 0.2rem 0.6rem; text-align: right; white-space: nowrap; }
tbody tr { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
"""


def picture(draw):
    """A figure as the text of a PNG file, from a function of its axes."""
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    draw(ax)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()


def html_table(fit):
    """The table of clusters in HTML, a column for each estimate and its interval."""
    low, high = (f" {100 * q:.0f} %" for q in ENDS)
    table, said = fit.clusters, {"cluster": fit.clusters.index}
    for name, n in (("weight", 3), ("mean", fit.digits), ("sd", 3)):
        columns = zip(table[name], table[name + low], table[name + high])
        said[name] = [f"{x:.{n}g} ({a:.{n}g} to {b:.{n}g})" for x, a, b in columns]
    return (
        '<div class="table" tabindex="0" role="region" aria-label="clusters">'
        f"{pd.DataFrame(said).to_html(index=False, border=0)}</div>"
        "<p>In parentheses: intervals that hold 94 % of the posterior.</p>"
    )


def report(fit):
    """One page of HTML that says all of a fit and needs nothing else."""
    title, column = html.escape(fit.name), fit.column
    pictures = [
        (fit.plot, "The column and its clusters", f"Histogram of {title} under "
         "the fitted bell curves and their sum, dotted. Bands hold 94 %."),
        (fit.plot_replicates, "Does the mixture fit?", "Histogram of the data over the "
         "band that holds 94 % of the heights in data that the mixture would make. The "
         "line should leave the band seldom and by little."),
        (fit.plot_together, "Which values belong together?", "Probability that two "
         "values share a cluster: light squares are groups, whatever their names."),
    ]  # fmt: skip
    if fit.number is not None:
        text = "Probability of each number of clusters, with Monte Carlo errors."
        pictures.insert(1, (fit.plot_number, "How many clusters?", text))
    body = f"<h1>{title}: a mixture of normal distributions</h1>"
    body += f"<p><strong>{html.escape(fit.verdict)}</strong></p>"
    body += html_table(fit)
    for draw, heading, text in pictures:
        image = f'<img alt="{text}" src="data:image/png;base64,{picture(draw)}">'
        body += f"<h2>{heading}</h2><figure>{image}"
        body += f"<figcaption>{text}</figcaption></figure>"
    body += f"<p>{column.size:,} values at {len(column.count):,} places, in steps of "
    body += f"{column.step:.3g}.</p>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def places_to_look(column, n=20):
    """Values all over a column: quantiles and an even grid."""
    even = np.linspace(column.low, column.high, n)
    return np.r_[column.quantile(np.linspace(0, 1, n)), even]


def membership_function(fit, measured, most=3_000):
    """Membership probability of values, (n,) to (n, clusters), NaN where missing.

    Of a measured value the probabilities of the draws are averaged; of another one the
    draws that expect such a value have more say. Of more than `most` different values
    the probabilities are interpolated between the places of the column.
    """
    draws = thinned(fit.draws)
    even = np.linspace(fit.column.low, fit.column.high, most // 3)
    grid = np.union1d(fit.column.values, even)

    def exactly(values):
        terms = log_components(values, draws)
        if measured:
            return shares(terms).mean(axis=0).T
        each = np.exp(terms - terms.max(axis=(0, 1))).mean(axis=0)
        return (each / each.sum(axis=0)).T

    def function(values):
        values = np.asarray(values, dtype=float)
        different, back = np.unique(values, return_inverse=True)
        many = different.size > most
        at = grid if many else different
        pieces = np.array_split(at, 1 + at.size // 300)  # to save memory
        each = np.concatenate([exactly(piece) for piece in pieces])
        if not many:
            return each[back]
        return np.stack([np.interp(values, grid, x) for x in each.T], axis=1)

    return function


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
        more = dict(priors=None, own_widths=own_widths, min_weight=0, rng=rng)
        model = model_of(column, **number, **more)
        sweeps = partial(until, begin, seconds, bar)
        return Run(column, model, Chains(model, chains), sweeps, reported, decided)

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


def fit(data, clusters=None, own_widths=True, largest=10, seconds=60, random_seed=8927):
    """Fit a mixture of normal distributions to a column, until it can be trusted.

    data : a column of numbers: array, list or Series, (n,), in which values may be
        missing, or a Dask array or column without missing values
    clusters : how many, or None if nobody knows
    own_widths : a width for each cluster, or one for all
    largest : the largest number of clusters if nobody knows
    seconds : give up after about so long, with an answer that is not trusted
    random_seed : the same seed gives the same answer, if there was time for it

    Returns a `Fit`. Raises ValueError, with what to do, for what cannot be fitted.
    """
    for name, value in (("clusters", clusters), ("largest", largest)):
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        fits = name == "clusters" and value is None or real and value in range(1, 100)
        refuse(not fits, f"{name} = {value!r}: give a whole number from 1 to 99.")
    whether = isinstance(own_widths, (bool, np.bool_))
    refuse(not whether, f"own_widths = {own_widths!r}: give True or False.")
    fits = isinstance(seconds, numbers.Real) and 0 < seconds < np.inf
    refuse(not fits, f"seconds = {seconds!r}: give a positive number.")
    largest, missing, values = int(largest), 0, data
    if not hasattr(data, "dask"):
        values = checked_values(data)
        missing = int(np.isnan(values).sum())
        values = values[~np.isnan(values)]
    column, rng = as_column(values, PLACES), np.random.default_rng(random_seed)
    runs = sampled(column, clusters, own_widths, largest, seconds, rng)
    name = getattr(data, "name", None) if hasattr(data, "index") else None
    return Fit(column, data, name, *runs, largest, missing)
