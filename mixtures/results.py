"""A fit of a column: sampled until it can be trusted, and what it says."""

import base64
import html
import io
import tempfile
import time
from pathlib import Path

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln, ndtr
from tqdm import tqdm

from .data import as_column, checked_values
from .sampler import Chains, as_dataset, model_of, refuse

CHAINS, TUNE, SHARE, PLACES = 16, 500, 0.94, 400
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


def relabeled(draws, at, rounds=3):
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
        average = np.take_along_axis(membership, order[..., None], 1).mean(axis=0)
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
    r_hat, effective = 1.0, np.inf
    for x in draws.data_vars.values():
        x = x.astype(float).values.reshape(*x.shape[:2], -1)
        for each in np.moveaxis(x, 2, 0):
            if np.ptp(each) > 1e-12 * np.abs(each).max():
                one = xr.Dataset({"x": (("chain", "draw"), each)})
                r_hat = np.fmax(r_hat, float(az.rhat(one)["x"]))
                sizes = (float(az.ess(one, method=m)["x"]) for m in ("bulk", "tail"))
                effective = np.fmin(effective, min(sizes))
    return r_hat, effective


def good(draws):
    """Whether chains agree: R-hat of at most 1.01 and an effective size of 400."""
    r_hat, effective = checks(draws)
    return round(r_hat, 3) <= 1.01 and effective >= 400


class Run:
    """Chains of one model, sampled until what is reported of them can be trusted.

    reported : a function of draws that returns those that have to agree
    seconds : when to give up; until then the same seed gives the same draws
    """

    def __init__(self, column, model, reported, seconds, bar):
        end, kept, wanted = time.monotonic() + seconds, [], 500
        chains = Chains(model, CHAINS)
        chains.draw(range(TUNE), tuning=True)
        while True:
            kept += chains.draw(self.until(end, wanted - len(kept), bar))
            late = chains.interrupted or time.monotonic() > end
            refuse(not kept, "seconds: there was no time for a single draw: give more.")
            # chains may have been on their way still: a third is forgotten
            some = kept[len(kept) // 3 :]
            draws = as_dataset(some[:: 1 + len(some) // 4_000], model, column)
            self.all_draws, self.draws = draws, reported(draws)
            self.trusted = len(kept) >= 500 and good(self.draws)
            if self.trusted or late:
                break
            wanted = 3 * wanted // 2
        self.interrupted = chains.interrupted and not self.trusted

    @staticmethod
    def until(end, sweeps, bar):
        """So many sweeps, or fewer if the time is up, which the bar shows."""
        for _ in range(sweeps):
            bar.n = min(bar.total, round(bar.total - (end - time.monotonic())))
            bar.update(0)
            if time.monotonic() > end:
                return
            yield


def numbers(draws):
    """k and occupied of draws."""
    return draws[["k", "occupied"]]


def different_answers(draws, at):
    """Groups of chains that do not meet: a label for each chain, and log-likelihoods.

    Chains are told apart by their density at some values, which needs no names.
    """
    chains = draws.sizes["chain"]
    density = np.exp(log_components(at, draws)).sum(axis=1).reshape(chains, -1, len(at))
    mean, spread = density.mean(axis=1), density.std(axis=1) + 1e-12 * density.max()
    away = (mean[:, None] - mean) ** 2 / (spread[:, None] ** 2 + spread**2)
    away = np.sqrt(away.mean(axis=2))
    return fcluster(linkage(away[np.triu_indices(chains, 1)]), 1.5, "distance")


class Fit:
    """What a mixture says of a column; `fit` makes it.

    trusted : whether the answer can be trusted; verdict : one sentence, with the reason
    number : the probability of each number of clusters, or None if it was given
    clusters : weight, mean and standard deviation of each cluster, with intervals
    draws : the draws behind it, an xarray.Dataset with dims chain, draw and cluster
    """

    def __init__(self, column, values, name, run, number_run, largest, missing):
        self.column, self.values, self.name = column, values, name
        self.draws, self._number_run, self._run = run.draws, number_run, run
        self.missing, self.largest = missing, largest
        runs = [one for one in (number_run, run) if one]
        self.interrupted = any(one.interrupted for one in runs)
        self.number = self._table_of_numbers() if number_run else None
        leans = number_run and self.number["probability"].get(largest, 0) > 0.05
        self.trusted = all(one.trusted for one in runs) and not leans
        self.verdict = self._verdict(leans)

    def _table_of_numbers(self):
        drawn, rows = self._number_run.draws["occupied"].astype(float), {}
        for number in range(1, int(drawn.max()) + 1):
            share = (drawn == number).astype(float)
            sure = bool((share == share[0, 0]).all())
            error = 0.0 if sure else float(az.mcse(share.to_dataset(name="x"))["x"])
            rows[number] = [float(share.mean()), error]
        columns = ["probability", "Monte Carlo error"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return table.rename_axis("clusters")

    def _verdict(self, leans):
        k = self.draws.sizes["cluster"]
        found = f"{k} cluster{'s' * (k > 1)}"
        if self.number is not None:
            probability = self.number["probability"]
            found += f", with probability {probability.get(k, 0):.2f}"
            others = probability.drop(k, errors="ignore").nlargest(1)
            if others.gt(0.05).any():
                found += f" ({others.index[0]} has {others.iloc[0]:.2f})"
        if self.missing:
            found += f"; {self.missing:,} missing left out"
        if self.trusted:
            return f"Trusted: {found}."
        return f"Not trusted: {self._why(leans)} What was found: {found}."

    def _why(self, leans):
        """Why the answer cannot be trusted and what to do: a sentence."""
        if self.interrupted:
            return "it was interrupted; run it again."
        if leans:
            return (
                f"the number leans on the largest that was allowed, {self.largest}: "
                f"raise `largest`, to {2 * self.largest} for example."
            )
        if self._number_run and not self._number_run.trusted:
            r_hat, effective = checks(self._number_run.draws)
            return (
                "the chains do not agree yet on the number of clusters (R-hat "
                f"{r_hat:.3f}, effective size {effective:.0f}): give them more `seconds`,"
                " or `clusters` if you know how many."
            )
        label = different_answers(self.draws, self._at())
        if label.max() > 1:
            terms = log_components(
                self.column.values, self.draws.isel(draw=slice(-20, None))
            )
            each = np.log(np.exp(terms).sum(axis=1)) @ self.column.count
            each = each.reshape(CHAINS, -1).mean(axis=1)
            groups = [(sum(label == i), each[label == i].mean()) for i in set(label)]
            said = ", ".join(
                f"{n} of log-likelihood {x:.1f}" for n, x in sorted(groups)[::-1]
            )
            return (
                f"the chains found {len(groups)} different answers ({said}): try "
                "another number of `clusters`, or leave it out."
            )
        density = np.exp(log_components(self._at(), self.draws)).sum(axis=1)
        density = density.reshape(*self.draws["p"].shape[:2], -1)
        if good(xr.Dataset({"density": (("chain", "draw", "value"), density)})):
            return (
                "no names tell the clusters apart, though the chains agree on the "
                "density: use what needs no names, `together` and `plot`, or fewer "
                "`clusters`."
            )
        r_hat, effective = checks(self.draws)
        return (
            f"there were too few draws (R-hat {r_hat:.3f}, effective size "
            f"{effective:.0f}): give it more `seconds`."
        )

    def _at(self):
        return places_to_look(self.column)

    @property
    def clusters(self):
        low, high = (1 - SHARE) / 2, (1 + SHARE) / 2
        table = {}
        for title, name in (("weight", "p"), ("mean", "means"), ("sd", "sd")):
            x = self.draws[name].broadcast_like(self.draws["p"])
            table[title] = x.mean(["chain", "draw"]).values
            for q in (low, high):
                table[f"{title} {100 * q:.0f} %"] = x.quantile(
                    q, ["chain", "draw"]
                ).values
        return pd.DataFrame(table).rename_axis("cluster")

    def membership(self, values=None):
        """The likeliest cluster of each value, its probability and that of each.

        values : numbers, (n,), or a Dask array or column, whose answer is a lazy Dask
            array (n, clusters); without them the fitted column, one row a row of it, by
            its index, blank where a value is missing
        """
        measured, values = values is None, self.values if values is None else values
        if hasattr(values, "dask"):
            values = getattr(values, "to_dask_array", lambda: values)()
            sizes = (values.chunks[0], (self.draws.sizes["cluster"],))
            function, new = membership_function(self, measured), dict(new_axis=1)
            return values.map_blocks(function, dtype=float, chunks=sizes, **new)
        index = values.index if isinstance(values, pd.Series) else None
        each = membership_function(self, measured)(checked_values(values))
        table = pd.DataFrame(each, index).add_prefix("cluster ")
        found = ~np.isnan(each[:, 0])
        best = np.where(found, np.where(found[:, None], each, 0).argmax(axis=1), -1)
        likely = pd.Series(best, table.index, "Int64").where(found)
        table.insert(0, "cluster", likely)
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
        return pd.DataFrame(
            np.einsum("skv,skw->vw", each, each) / len(each), values, values
        )

    def plot(self, ax=None):
        """The column and the clusters, with bands that hold 94 % of the posterior."""
        ax = plt.subplots(figsize=(8, 4), layout="constrained")[1] if ax is None else ax
        edges, heights = histogram(self.column)
        size = self.column.size * np.diff(edges)
        ax.stairs(heights / size, edges, fill=True, color="0.8", label="data")
        x = np.unique(
            np.r_[np.linspace(edges[0], edges[-1], 400), self.clusters["mean"]]
        )
        each = np.exp(log_components(x, thinned(self.draws)))
        curves = {f"cluster {j}": each[:, j] for j in range(each.shape[1])}
        curves["sum"] = each.sum(axis=1)
        for j, (label, curve) in enumerate(curves.items()):
            color = "black" if label == "sum" else COLORS[j % len(COLORS)]
            ax.plot(
                x,
                curve.mean(axis=0),
                ":" if label == "sum" else "-",
                color=color,
                label=label,
            )
            low, high = np.quantile(curve, [(1 - SHARE) / 2, (1 + SHARE) / 2], axis=0)
            ax.fill_between(x, low, high, color=color, alpha=0.2, lw=0)
        ax.set(xlabel=self.name, ylabel="density")
        ax.legend(fontsize="small")
        return ax

    def plot_replicates(self, ax):
        """The histogram of the column over those of data that the mixture makes."""
        edges, heights = histogram(self.column)
        draws, rng = thinned(self.draws, 300), np.random.default_rng(0)
        p, means, sd = (draws[name].values for name in ("p", "means", "sd"))
        sd = np.broadcast_to(sd if sd.ndim == 3 else sd[..., None], p.shape)
        below = (p * ndtr((edges[:, None, None, None] - means) / sd)).sum(axis=-1)
        inside = np.maximum(np.diff(below.reshape(len(edges), -1), axis=0).T, 0)
        chances = np.c_[inside, np.maximum(1 - inside.sum(axis=1), 0)]
        chances /= chances.sum(axis=1, keepdims=True)
        made = rng.multinomial(self.column.size, chances)[:, :-1]
        low, high = np.quantile(made, [(1 - SHARE) / 2, (1 + SHARE) / 2], axis=0)
        ax.stairs(high, edges, baseline=low, fill=True, color="0.8", label="replicates")
        ax.stairs(heights, edges, color="black", label="data")
        ax.set(xlabel=self.name, ylabel="values")
        ax.legend(fontsize="small")

    def plot_number(self, ax):
        """The probability of each number of clusters, with Monte Carlo errors."""
        table = self.number[self.number["probability"] > 0.001]
        ax.bar(
            table.index,
            table["probability"],
            color="0.4",
            yerr=table["Monte Carlo error"],
        )
        ax.set(xlabel="number of clusters", ylabel="probability", xticks=table.index)

    def plot_together(self, ax):
        """The probability that two values share a cluster, for values all over."""
        values = np.linspace(self.column.low, self.column.high, 60)
        shown = ax.pcolormesh(
            values,
            values,
            self.together(values),
            vmin=0,
            vmax=1,
            cmap="cividis",
            shading="nearest",
        )
        plt.colorbar(shown, ax=ax, label="probability to share a cluster")
        ax.set(xlabel=self.name, ylabel=self.name)

    def save(self, folder, frame=None):
        """Write clusters.csv, number.csv, membership.csv and report.html, all or none.

        frame : a table whose columns membership.csv keeps before its own
        Raises OSError if the folder cannot be written.
        """
        folder, membership = Path(folder), self.membership()
        if frame is not None:
            membership = frame.join(membership, rsuffix=" of the fit")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            self.clusters.to_csv(Path(aside, "clusters.csv"))
            if self.number is not None:
                self.number.to_csv(Path(aside, "number.csv"))
            index = not isinstance(membership.index, pd.RangeIndex)
            membership.to_csv(Path(aside, "membership.csv"), index=index)
            Path(aside, "report.html").write_text(report(self), encoding="utf-8")
            for path in sorted(Path(aside).iterdir()):
                path.replace(folder / path.name)

    def __repr__(self):
        table = self.clusters[["weight", "mean", "sd"]]
        return f"{self.verdict}\n{table.to_string(float_format='{:.4g}'.format)}"


def histogram(column):
    """Edges and heights of a histogram whose bins follow the step of the values."""
    iqr = np.diff(column.quantile([0.25, 0.75]))[0] or (column.high - column.low) / 4
    width = max(iqr / column.size ** (1 / 3), (column.high - column.low) / 200)
    if column.step > width / 50:  # bins of as many written values each
        width = column.step * max(1, round(width / column.step))
        first = column.low - column.step / 2
    else:
        first = column.low
    edges = first + width * np.arange(np.ceil((column.high - first) / width) + 1)
    return edges, np.histogram(column.values, edges, weights=column.count)[0]


STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; height: auto; background: white; border-radius: 0.5rem; }
figure { margin: 1.5rem 0; } .table { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: 0.2rem 0.6rem; text-align: right; }
tbody tr { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
"""


def report(fit):
    """One page of HTML that says all of a fit and needs nothing else."""
    title, k = html.escape(fit.name), fit.draws.sizes["cluster"]
    pictures = [
        (fit.plot, "The column and its clusters", f"Histogram of {title} under {k} "
         "fitted bell curves and their sum, dotted. Bands hold 94 % of the posterior."),
        (fit.plot_replicates, "Does the mixture fit?", "Histogram of the data over the "
         "band that holds 94 % of the heights in data that the mixture would make. The "
         "line should leave the band seldom and by little."),
        (fit.plot_together, "Which values belong together?", "Probability that two "
         "values share a cluster: light squares are groups, whatever their names."),
    ]  # fmt: skip
    if fit.number is not None:
        text = "Probability of each number of clusters, with Monte Carlo errors."
        pictures.insert(1, (fit.plot_number, "How many clusters?", text))
    table = fit.clusters.to_html(border=0, float_format="{:.4g}".format)
    body = f"<h1>{title}: a mixture of normal distributions</h1>"
    body += f"<p><strong>{html.escape(fit.verdict)}</strong></p>"
    body += '<div class="table" tabindex="0" role="region" aria-label="clusters">'
    body += f"{table}</div>"
    for draw, heading, text in pictures:
        figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
        draw(ax)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150)
        plt.close(figure)
        data = base64.b64encode(file.getvalue()).decode()
        body += (
            f'<h2>{heading}</h2><figure><img alt="{text}" src="data:image/png;base64,'
        )
        body += f'{data}"><figcaption>{text}</figcaption></figure>'
    column = fit.column
    body += f"<p>{column.size:,} values at {len(column.count):,} places, in steps of "
    body += f"{column.step:.3g}.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<title>{title}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def thinned(draws, most=1_000):
    """At most about so many of the draws, evenly."""
    return draws.isel(draw=slice(None, None, 1 + draws["p"][..., 0].size // most))


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
    grid = np.unique(np.r_[fit.column.values, even])

    def exactly(values):
        terms = log_components(values, draws)
        if measured:
            return shares(terms).mean(axis=0).T
        each = np.exp(terms - terms.max(axis=(0, 1))).mean(axis=0)
        return (each / each.sum(axis=0)).T

    def function(values):
        values = np.asarray(values, dtype=float)
        different, back = np.unique(values, return_inverse=True)
        if different.size <= most:
            return exactly(different)[back]
        at = exactly(grid)
        return np.stack([np.interp(values, grid, x) for x in at.T], axis=1)

    return function


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
        whole = np.ndim(value) == 0 and not isinstance(value, (bool, np.bool_, str))
        fits = value is None or whole and value == value // 1 and 0 < value < 100
        refuse(not fits, f"{name} = {value!r}: give a whole number from 1 to 99.")
    good_time = (
        np.ndim(seconds) == 0 and isinstance(seconds, (int, float)) and seconds > 0
    )
    refuse(not good_time, f"seconds = {seconds!r}: give a positive number.")
    rng, missing, values = np.random.default_rng(random_seed), 0, data
    if not hasattr(data, "dask"):
        there = checked_values(data)
        missing, there = int(np.isnan(there).sum()), there[~np.isnan(there)]
    column = as_column(data if hasattr(data, "dask") else there, PLACES)
    at, number_run = places_to_look(column), None

    def run(reported, seconds, **number):
        model = model_of(
            column, priors=None, own_widths=own_widths, min_weight=0, rng=rng, **number
        )
        with tqdm(total=round(seconds), delay=3, leave=False, unit="s") as bar:
            return Run(column, model, reported, seconds, bar)

    begin = time.monotonic()
    if clusters is None:
        number_run = run(numbers, 0.7 * seconds, **falling_prior(int(largest)))
        clusters = int(number_run.draws["occupied"].to_series().mode()[0])
        hopeless = number_run.interrupted or clusters == largest > 1
        seconds = max(seconds - (time.monotonic() - begin), 0.1 * seconds)
        seconds = min(seconds, 2) if hopeless else seconds
    one = dict(k=int(clusters), concentration=1)
    named = run(lambda draws: relabeled(draws, at), seconds, **one)
    name = getattr(data, "name", None) or "value"
    return Fit(column, values, str(name), named, number_run, largest, missing)
