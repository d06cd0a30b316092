"""A fit of a column, and what it says."""

from __future__ import annotations

import numbers
import textwrap
from typing import Any

import numpy as np
import pandas as pd

from . import report
from .data import as_column, checked_values, partitions, refuse
from .files import save
from .posterior import ENDS, membership_function, thinned, togetherness
from .trust import number_table, sampled
from .verdict import verdict

PLACES = 400  # of values


def membership_table(function, values):
    """The likeliest cluster of values, its probability and that of all, as a table.

    function : of `membership_function`; values : array, list or Series, (n,)
    """
    probability = function(checked_values(values))
    index = values.index if isinstance(values, pd.Series) else None
    table = pd.DataFrame(probability, index).add_prefix("cluster ")
    best = pd.Series(probability.argmax(axis=1), table.index, "Int64")
    table.insert(0, "cluster", best.where(~np.isnan(probability[:, 0])))
    table.insert(1, "probability", probability.max(axis=1))
    return table


class Fit:
    """What a mixture says of a column; `fit` makes it.

    trusted : whether the answer can be trusted; verdict : that with its reason, a text
    number : the probability of each number of clusters, or None if it was given
    clusters : weight, mean and standard deviation of each cluster, with intervals
    draws : the draws behind it, an xarray.Dataset with dims chain, draw and cluster
    """

    def __init__(
        self, column, data, name, run, number_run=None, largest=10, seconds=60
    ):
        self.column, self.data, self.draws = column, data, run.draws
        self.name = ("" if name is None else str(name)).strip() or "value"
        # of which togetherness is told: of any number of clusters if it was unknown
        self.all_draws = (number_run or run).all_draws if number_run else run.draws
        self.interrupted = any(one.interrupted for one in (number_run or run, run))
        self.number = number_table(number_run, largest) if number_run else None
        self.clusters = self._table_of_clusters()
        self.trusted, self.verdict = verdict(
            column, run, number_run, self.number, seconds
        )

    def _table_of_clusters(self):
        table = {}
        for title, name in (("weight", "p"), ("mean", "means"), ("sd", "sd")):
            x = self.draws[name].broadcast_like(self.draws["p"]).values
            table[title] = x.mean(axis=(0, 1))
            for q in ENDS:
                table[f"{title} {100 * q:.0f} %"] = np.quantile(x, q, axis=(0, 1))
        return pd.DataFrame(table).rename_axis("cluster")

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
        return membership_table(function, values)

    def membership_tables(self):
        """`membership()` as tables: of a Dask column one a partition, when it is asked.

        Returns an iterator.
        """
        function = membership_function(self, True)
        return (membership_table(function, x) for x in partitions(self.data))

    def together(self, values: Any = None) -> pd.DataFrame:
        """The probability that two values share a cluster.

        It needs no names and averages over the number of clusters if that was unknown.

        Parameters
        ----------
        values : array-like, (n,), optional
            New values; without them nine that were measured, all over the column. Of
            new values the draws that expect such a pair have more say.

        Returns
        -------
        DataFrame, (n, n)

        References
        ----------
        Wade and Ghahramani (2018), doi:10.1214/17-BA1073.
        """
        measured = values is None
        if measured:
            spread = self.column.quantile(np.linspace(0.05, 0.95, 9))
            near = np.abs(self.column.values - spread[:, None]).argmin(axis=1)
            values = self.column.values[np.unique(near)]
        draws = thinned(self.all_draws)
        share = togetherness(checked_values(values), draws, measured)
        return pd.DataFrame(share, values, values)

    def plot(self, ax=None):
        """The column and the clusters, with bands that hold 94 % of the posterior."""
        return report.plot_clusters(self, ax)

    def plot_replicates(self, ax=None):
        """The histogram of the column over those of data that the mixture makes."""
        return report.plot_replicates(self, ax)

    def plot_number(self, ax=None):
        """The probability of each number of clusters, with Monte Carlo errors.

        Raises ValueError if the number was given.
        """
        return report.plot_number(self, ax)

    def plot_together(self, ax=None):
        """The probability that two values share a cluster, for values all over."""
        return report.plot_together(self, ax)

    @property
    def label(self):
        return self.name.replace("$", r"\$")  # no formula

    def save(self, folder, frame=None):
        """Write clusters.csv, number.csv, membership.csv and report.html, all or none.

        Memberships of a Dask column are written partition by partition, and where
        pyarrow is installed as membership.parquet. Files of an earlier fit go.
        frame : a table, of Dask if the column is, whose columns come before ours
        Raises OSError if the folder cannot be written.
        """
        save(self, folder, frame)

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
    largest, rng = int(largest), np.random.default_rng(random_seed)
    column = as_column(data, PLACES, leave_out=True)
    run, number_run = sampled(column, clusters, own_widths, largest, seconds, rng)
    name = getattr(data, "name", None) if hasattr(data, "index") else None
    return Fit(column, data, name, run, number_run, largest, seconds)
