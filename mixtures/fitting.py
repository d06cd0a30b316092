"""A fit of a column, and what it says."""

from __future__ import annotations

import numbers
import textwrap
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import __version__, files, posterior, report
from .data import Column, as_column
from .model import Prior
from .trust import Run, number_table, sampled
from .values import (
    checked_values,
    in_kind_of,
    index_of,
    name_of,
    partitions,
    refuse,
    unit_of,
)
from .verdict import verdict


def membership_table(function, values):
    """The likeliest cluster of values, its probability and that of all, as a table.

    function : of `membership_function`; values : array, list or Series, (n,)
    """
    probability = function(checked_values(values))
    table = pd.DataFrame(probability, index_of(values)).add_prefix("cluster ")
    best = pd.Series(probability.argmax(axis=1), table.index, "Int64")
    table.insert(0, "cluster", best.where(~np.isnan(probability[:, 0])))
    table.insert(1, "probability", probability.max(axis=1))
    return table


@dataclass(kw_only=True, repr=False, eq=False)
class Fit:
    """What a mixture says of a column; `fit` makes it.

    Attributes
    ----------
    trusted : bool
        Whether the answer can be trusted.
    verdict : str
        That in words, with what was found, the reason and what to do.
    clusters : DataFrame
        Weight, mean and standard deviation of each cluster, in the data's units, with
        intervals that hold 94 % of the posterior.
    number : DataFrame or None
        Probability of each number of clusters, with its Monte Carlo error; None if the
        number was given.
    draws : xarray.Dataset
        The draws behind the table, with dims chain, draw and cluster.
    all_draws : xarray.Dataset
        Those of any number of clusters if it was unknown, else the same.
    prior : Prior
        Of which the number is told, or the clusters if it was given.
    interrupted : bool
        Whether sampling was stopped before its end.
    column : Column
        The fitted values as places with counts.
    data : array-like, Dask collection or None
        The fitted column as it was given; None of a fit that was loaded.
    name : str
        The column's name, with its unit if that is known.
    provenance : dict of str
        When and how it was made, as the report tells it.
    """

    column: Column
    data: Any
    name: str
    draws: xr.Dataset
    all_draws: xr.Dataset
    prior: Prior
    number: pd.DataFrame | None
    trusted: bool
    verdict: str
    interrupted: bool
    provenance: dict[str, str] = field(default_factory=dict)

    @cached_property
    def clusters(self) -> pd.DataFrame:
        table: dict[str, np.ndarray] = {}
        for title, name in (("weight", "p"), ("mean", "means"), ("sd", "sd")):
            x = self.draws[name].broadcast_like(self.draws["p"]).values
            table |= posterior.with_interval(title, x.reshape(-1, x.shape[2]))
        return pd.DataFrame(table).rename_axis("cluster")

    def membership(self, values: Any = None) -> Any:
        """The likeliest cluster of each value, its probability and that of each.

        Parameters
        ----------
        values : array-like or Dask collection, (n,), optional
            In the unit of the column; without them the fitted column.

        Returns
        -------
        DataFrame or dask Array
            A row a value, by its index, blank where it is missing; of Polars or Arrow
            if the values are. Of Dask's a lazy array of probabilities, (n, clusters).

        Raises
        ------
        ValueError
            For what is no column of numbers, or in another unit.
        """
        function = posterior.membership_function(self, values is None)
        values = self.rows if values is None else self.in_its_unit(values)
        if hasattr(values, "dask"):
            values = getattr(values, "to_dask_array", lambda: values)()
            chunks = values.chunks[0], (len(self.clusters),)
            return values.map_blocks(function, dtype=float, chunks=chunks, new_axis=1)
        return in_kind_of(values, membership_table(function, values))

    @property
    def rows(self):
        """The fitted column, refused with a ValueError if it was not kept."""
        refuse(self.data is None, "The values are not kept with the fit: give them.")
        return self.data

    def in_its_unit(self, values):
        """The values, refused with a ValueError if they have another unit."""
        unit, own = unit_of(values), self.column.unit
        refuse(
            unit and unit != own,
            f"values are in {unit} and the column in {own or 'no unit'}: convert them.",
        )
        return values

    def membership_tables(self):
        """`membership()` as tables: of a Dask column one a partition, when it is asked.

        Returns an iterator.
        """
        function = posterior.membership_function(self, True)
        return (membership_table(function, x) for x in partitions(self.rows))

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
        values = checked_values(self.in_its_unit(values))
        draws = posterior.thinned(self.all_draws)
        share = posterior.togetherness(values, draws, measured)
        return pd.DataFrame(share, values, values)

    def density(self, values: Any = None) -> pd.DataFrame:
        """The density at values, of all and of each cluster.

        Parameters
        ----------
        values : array-like, (n,), optional
            Without them 200, evenly from the smallest to the largest of the column.

        Returns
        -------
        DataFrame
            A row a value, with intervals that hold 94 % of the posterior, per unit of
            the values.
        """
        if values is None:
            values = np.linspace(self.column.low, self.column.high, 200)
        values = checked_values(self.in_its_unit(values))
        return posterior.density_table(values, posterior.thinned(self.draws))

    def sample(self, n: int, random_seed: Any = 8927) -> np.ndarray:
        """Values that the mixture would make, (n,), each of a draw of its own."""
        rng = np.random.default_rng(random_seed)
        return posterior.new_values(posterior.thinned(self.draws), n, rng)

    def threshold(self) -> pd.DataFrame:
        """Where two neighbors are equally probable, a row a pair, with an interval.

        The last column is the share of draws that have such a place between the two
        means. If it is under half the place is blank: one cluster is likelier all the
        way.
        """
        return posterior.thresholds(posterior.thinned(self.draws))

    @property
    def peaks(self) -> pd.DataFrame:
        """The probability of each number of peaks of the density.

        It averages over the number of clusters if that was unknown. A cluster that
        holds less than one value makes no peak.
        """
        return posterior.peaks_table(
            posterior.thinned(self.all_draws), self.column.size
        )

    plot, plot_number = report.plot_clusters, report.plot_number
    plot_replicates, plot_together = report.plot_replicates, report.plot_together
    save = files.save

    @property
    def label(self):
        return self.name.replace("$", r"\$")  # no formula

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


def fit_of_runs(
    column: Column, data: Any, run: Run, number_run: Run | None, seconds: float = 60
) -> Fit:
    """The `Fit` that runs of a column make, the second of its number or None."""
    number = number_table(number_run) if number_run else None
    trusted, told = verdict(column, run, number_run, number, seconds)
    first = number_run or run
    return Fit(
        column=column,
        data=data,
        name=name_of(data),
        draws=run.draws,
        all_draws=number_run.all_draws if number_run else run.draws,
        prior=first.prior,
        number=number,
        trusted=trusted,
        verdict=told,
        interrupted=run.interrupted or first.interrupted,
    )


def fit(
    data: Any,
    clusters: int | None = None,
    own_widths: bool = True,
    largest: int = 10,
    seconds: float = 60,
    random_seed: Any = 8927,
    counts: Any = None,
) -> Fit:
    """Fit a mixture of normal distributions to a column, until it can be trusted.

    Parameters
    ----------
    data : array-like or Dask collection, (n,)
        A column of numbers: array, list or Series, in which values may be missing, or a
        Dask array or column without missing values.
    clusters : int, optional
        How many, if you know. Then their weights have a uniform prior; the number is
        looked for under one that lets clusters run empty, see `falling_prior`.
    own_widths : bool
        A width for each cluster, or one for all.
    largest : int
        The largest number of clusters that is looked for.
    seconds : float
        Give up after about so long, with an answer that is not trusted.
    random_seed : int
        The same seed gives the same answer, if there was time for it.
    counts : array-like, (n,), optional
        How often each of the values occurs, whole numbers, as in a histogram.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        With what to do, for what cannot be fitted.
    """
    for name, value in (("clusters", clusters), ("largest", largest)):
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        whole = real and value in range(1, 100) or name == "clusters" and value is None
        refuse(not whole, f"{name} = {value!r}: give a whole number from 1 to 99.")
    whether = isinstance(own_widths, (bool, np.bool_))
    refuse(not whether, f"own_widths = {own_widths!r}: give True or False.")
    positive = isinstance(seconds, numbers.Real) and 0 < seconds < np.inf
    refuse(not positive, f"seconds = {seconds!r}: give a positive number.")
    begin, rng = time.monotonic(), np.random.default_rng(random_seed)
    column = as_column(data, leave_out=True, counts=counts)
    run, number_run = sampled(column, clusters, own_widths, int(largest), seconds, rng)
    result = fit_of_runs(column, data, run, number_run, seconds)
    result.provenance = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "version": f"mixtures {__version__}",
        "seed": str(random_seed),
        "seconds": f"{time.monotonic() - begin:.1f}",
    }
    return result
