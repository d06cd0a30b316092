"""Prints what a fit of many values costs: make bench, or SIZE=1e9 make bench for Dask."""

import resource
import sys
import time

import arviz as az
import numpy as np

import mixtures as mx


def simulated(n, seed):
    """Three clusters of width one, five apart."""
    rng = np.random.default_rng(seed)
    return 5.0 * (rng.integers(0, 3, n) - 1) + rng.standard_normal(n)


def line(name, n, seconds, more=""):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name:28} {n:14,} {seconds:8.2f} s {memory:6.2f} GB at most  {more}")


def fitted(column):
    """Seconds to draws that can be trusted, k known, and their diagnostics."""
    begin = time.perf_counter()
    run = mx.gibbs(column, 3, chains=8, draws=400, tune=100)
    figures = az.summary(run, kind="diagnostics")
    r_hat, size = figures["r_hat"].max(), figures["ess_bulk"].min()
    return time.perf_counter() - begin, f"R-hat {r_hat:.3f}, effective size {size:.0f}"


def in_memory():
    for n in (10**5, 10**6, 10**7):
        y = simulated(n, 1)
        begin = time.perf_counter()
        column = mx.as_column(y)
        line("counted", n, time.perf_counter() - begin, f"{len(column.count)} places")
        line("  sampled, 8 x 500 sweeps", n, *fitted(column))


def by_dask(n, block=2 * 10**6):
    """Blocks that Dask makes and counts in the threads of one process."""
    import dask.array as da

    shape = dict(chunks=((block,) * (n // block),), dtype=float)
    rows = da.map_blocks(lambda block_id: simulated(block, block_id), **shape)
    for known in (dict(clusters=3, own_widths=False), {}):
        begin = time.perf_counter()
        verdict = mx.fit(rows, **known).verdict
        line(f"made and fitted, {known}", n, time.perf_counter() - begin, verdict)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        by_dask(int(float(sys.argv[1])))
    else:
        in_memory()
