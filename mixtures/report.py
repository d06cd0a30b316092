"""The figures of a fit, and all of it as one page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from .posterior import ENDS, by_draw, membership_function, thinned
from .values import refuse

if TYPE_CHECKING:
    from .fitting import Fit

# safe for the color-blind (Okabe and Ito)
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
CLEAR = 0.8  # probability from which on it is clear to which cluster a value belongs


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


def axes(given):
    """The axes that were given, or new ones of a figure of their own."""
    import matplotlib.pyplot as plt

    return given or plt.subplots(figsize=(8, 4), layout="constrained")[1]


def plot_clusters(fit, ax=None):
    """The column and the clusters, with bands that hold 94 % of the posterior."""
    ax, (edges, heights) = axes(ax), histogram(fit.column)
    size = fit.column.size * np.diff(edges)
    ax.stairs(heights / size, edges, fill=True, color="0.8", label="data")
    mean, sd = (fit.clusters[name].to_numpy()[:, None] for name in ("mean", "sd"))
    near = (mean + sd * np.linspace(-3, 3, 25)).clip(edges[0], edges[-1])
    x = np.union1d(np.linspace(edges[0], edges[-1], 300), near)
    table = fit.density(x)
    for j, name in enumerate([*table.columns[3::3], "density"]):
        color, line = COLORS[j % len(COLORS)], ["-", "--"][j // len(COLORS) % 2]
        color, line = ("black", ":") if name == "density" else (color, line)
        label = "sum" if name == "density" else name
        ax.plot(x, table[name], line, color=color, label=label)
        band = (table[f"{name} {100 * q:.0f} %"] for q in ENDS)
        ax.fill_between(x, *band, color=color, alpha=0.2, lw=0)
    ax.set(xlabel=fit.label, ylabel="density")
    ax.legend()
    return ax


def plot_replicates(fit, ax=None):
    """The histogram of the column over those of data that the mixture makes."""
    ax, (edges, heights) = axes(ax), histogram(fit.column)
    rng, (p, means, sd) = np.random.default_rng(0), by_draw(thinned(fit.draws))
    below = (p * ndtr((edges[:, None, None] - means) / sd)).sum(axis=2)
    inside = np.maximum(np.diff(below, axis=0).T, 0)
    chances = np.c_[inside, np.maximum(1 - inside.sum(axis=1), 0)]
    chances /= chances.sum(axis=1, keepdims=True)
    made = rng.multinomial(fit.column.size, chances)[:, :-1]
    low, high = np.quantile(made, ENDS, axis=0)
    ax.stairs(high, edges, baseline=low, fill=True, color="0.8", label="replicates")
    ax.stairs(heights, edges, color="black", label="data")
    ax.set(xlabel=fit.label, ylabel="values")
    ax.legend()
    return ax


def plot_number(fit, ax=None):
    """The probability of each number of clusters, with Monte Carlo errors."""
    refuse(
        fit.number is None,
        "The number of clusters was given, so there are no probabilities of it to "
        "show: leave `clusters` out of the fit.",
    )
    ax, table = axes(ax), fit.number[fit.number["probability"] > 0.001]
    height, error = table.to_numpy().T
    ax.bar(table.index, height, yerr=error, color="0.4")
    ax.set(xlabel="number of clusters", ylabel="probability", xticks=table.index)
    ax.set_xlim(table.index.min() - 1.5, table.index.max() + 1.5)
    return ax


def plot_together(fit, ax=None):
    """The probability that two values share a cluster, for values all over."""
    ax = axes(ax)
    values = np.linspace(fit.column.low, fit.column.high, 60)
    style = dict(vmin=0, vmax=1, cmap="cividis", shading="nearest")
    shown = ax.pcolormesh(values, values, fit.together(values), **style)
    ax.figure.colorbar(shown, ax=ax, label="probability to share a cluster")
    ax.set(xlabel=fit.label, ylabel=fit.label)
    return ax


def png(fit, plot):
    """A figure, from a function of a fit and axes, as the base64 text of a PNG file."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    plot(fit, ax)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()


# What the page shows, in order: a function of a fit and axes, a heading, a caption
FIGURES = (
    (plot_clusters, "The column and its clusters",
     "Histogram of {name} under the fitted bell curves and their sum, dotted. Bands "
     "hold 94 %."),
    (plot_number, "How many clusters?",
     "Probability of each number of clusters, with Monte Carlo errors."),
    (plot_replicates, "Does the mixture fit?",
     "Histogram of the data over the band that holds 94 % of the heights in data that "
     "the mixture would make. The line should leave the band seldom and by little."),
    (plot_together, "Which values belong together?",
     "Probability that two values share a cluster: light squares are groups, whatever "
     "their names."),
)  # fmt: skip


def estimates(fit: Fit) -> tuple[list, list]:
    """Names of estimates, and for each cluster its number and estimates in words."""
    low, high = (f" {100 * q:.0f} %" for q in ENDS)
    digits = dict(weight=3, mean=fit.digits, sd=3)
    rows = []
    for cluster, row in fit.clusters.iterrows():
        ends = {x: (row[x], row[x + low], row[x + high]) for x in digits}
        cells = ["{:.{n}g} ({:.{n}g} to {:.{n}g})".format(*ends[x], n=n)
                 for x, n in digits.items()]  # fmt: skip
        rows.append((cluster, cells))
    return [*digits], rows


def uncertain(fit: Fit) -> int:
    """How many of the values no cluster holds with a probability of CLEAR."""
    sure = membership_function(fit, True)(fit.column.values).max(axis=1)
    return int(fit.column.count[sure < CLEAR].sum())


def facts(fit: Fit) -> dict[str, str]:
    """What was fitted, when and how, as far as it is known."""
    column = fit.column
    values = f"{column.size:,} at {column.count.size:,} places, in steps of "
    missing = f"{column.missing:,} missing" if column.missing else "nothing"
    return {
        "column": fit.name,
        "values": values + f"{column.step:.3g}",
        "left out": missing,
        "prior": str(fit.prior),
        **fit.provenance,
    }


def report(fit: Fit) -> str:
    """One page of HTML that tells all of a fit and needs nothing else."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    figures = [
        dict(heading=heading, caption=caption.format(name=fit.name), png=png(fit, plot))
        for plot, heading, caption in FIGURES
        if plot is not plot_number or fit.number is not None
    ]
    names, rows = estimates(fit)
    environment = Environment(
        loader=PackageLoader("mixtures"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("report.html")
    return template.render(
        fit=fit, names=names, rows=rows, figures=figures, facts=facts(fit),
        uncertain=uncertain(fit), clear=CLEAR,
    )  # fmt: skip
