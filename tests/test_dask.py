"""Millions of points: neither partitions nor lost workers change what is counted."""

import logging
import os
import re
import signal
import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client
from package_helpers import same

from mixtures import as_column, gibbs

RNG = np.random.default_rng(0)
FEW = RNG.normal(0, 1, 30_000).round(2)
MANY = np.r_[RNG.normal(0, 1, 250_000), RNG.standard_t(3, 100_000)]


def in_chunks(values, *lengths):
    """A Dask array with chunks of these lengths, and of the rest."""
    return da.from_array(values, chunks=((*lengths, len(values) - sum(lengths)),))


class Series:
    """What makes a Dask Series one for `as_column`."""

    def __init__(self, array):
        self.dask, self.to_dask_array = array.dask, lambda: array


FORMS = {
    "one chunk": da.from_array,
    "unequal chunks": lambda values: in_chunks(values, 5, 20_000, 1),
    "empty chunks": lambda values: in_chunks(values, 0, 700, 0),
    "chunks of unknown length": lambda values: (x := in_chunks(values, 900))[x < 99],
    "whole numbers": lambda values: (100 * in_chunks(values, 9)).round().astype("i2"),
    "Series": lambda values: Series(in_chunks(values, 700)),
}


@pytest.mark.parametrize("form", FORMS)
def test_few_different_values_are_counted_exactly(form):
    unit = 100 if form == "whole numbers" else 1
    assert same(as_column(FORMS[form](FEW)), as_column((unit * FEW).round(2)))


@pytest.mark.parametrize("lengths", [(), (200_000,), (300_000, 0, 40_000)])
def test_many_different_values_keep_their_sums(lengths):
    column, whole = as_column(in_chunks(MANY, *lengths)), as_column(MANY)
    assert len(column.count) <= 1_000 and column.size == len(MANY)
    for name in ("low", "high", "step"):
        assert getattr(column, name) == getattr(whole, name)
    squares = column.values**2 + (column.sd * column.scale) ** 2
    sums = [(column.count * x).sum() for x in (column.values, squares)]
    np.testing.assert_allclose(sums, [MANY.sum(), (MANY**2).sum()], rtol=1e-9)
    q = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(column.quantile(q), whole.quantile(q), atol=5e-3)


def test_missing_values_are_named_before_anything_is_sampled():
    values = FEW.copy()
    values[[5, 15_000, 15_001]] = np.nan, np.inf, np.nan
    data = in_chunks(values, 0, 10_000, 10_000)
    named = "values, 1 in partition 1, 2 in partition 2: leave them out: data"
    with pytest.raises(ValueError, match=named) as refusal:
        gibbs(data, 2)
    advice = re.search(r"data\[.*\]", str(refusal.value))[0]
    assert as_column(eval(advice)).size == len(values) - 3


@pytest.mark.parametrize("data, error, complaint", [
    (da.ones((3, 2)), ValueError, "data has 2 dimensions: give one column"),
    (dask.delayed(1), ValueError, "dimensions: give one column"),
    (da.ma.masked_equal(da.arange(9.0), 0), ValueError, "missing .* 1 in partition 0"),
    (da.ones(0), ValueError, "data is empty"),
    (da.ones(9), ValueError, "All values of data are 1"),
    (da.ones(9, dtype=bool), ValueError, "not numbers but boolean"),
    (da.from_array(np.array(["1", "3%"])), ValueError, r"data\[1\] is '3%'"),
    (da.from_array(np.array([1, None], object), 2), ValueError, "1 in partition 0"),
    (da.ones(9).map_blocks(int, dtype=int), TypeError, "only .* arrays"),
    (da.ones(9).map_blocks(lambda x: [][9], dtype=int), RuntimeError, "IndexError"),
])  # fmt: skip
def test_what_cannot_be_counted_is_said(data, error, complaint):
    with pytest.raises(error, match=complaint):
        as_column(data)


def local():
    quiet = dict(dashboard_address=":0", silence_logs=logging.CRITICAL)
    return Client(n_workers=2, threads_per_worker=1, **quiet)


def slowly(block, begun):
    """The block after a while, and a file that says that its turn has come."""
    if block.size:
        begun.touch()
        time.sleep(0.3)
    return block


@pytest.mark.machinery
@pytest.mark.parametrize("whom", ["one", "all"])
def test_workers_that_are_lost_in_mid_pass(tmp_path, whom):
    begun = tmp_path / "begun"
    soon = {"distributed.scheduler.no-workers-timeout": "2 s"}
    data = in_chunks(FEW, *[3_000] * 9).map_blocks(slowly, begun, dtype=float)
    with dask.config.set(soon), local() as client:
        pids = list(client.run(os.getpid).values())

        def lose():
            while not begun.exists():
                time.sleep(0.01)
            if whom == "one":
                os.kill(pids[0], signal.SIGKILL)
            else:
                client.cluster.scale(0)

        threading.Thread(target=lose, daemon=True).start()
        if whom == "one":
            assert same(as_column(data), as_column(FEW))
            assert pids[0] not in client.run(os.getpid).values()
        else:
            with pytest.raises(RuntimeError, match="lost all its workers") as caught:
                as_column(data)
            assert "\n" not in str(caught.value)
