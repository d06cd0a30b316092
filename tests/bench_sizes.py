"""Prints what a fit of many values costs: make bench, or SIZE=1e9 make bench for Dask

One core: set OMP_NUM_THREADS=1. Beside it scikit-learn's point estimate, if installed.
"""

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
    print(
        f"{name:28} {n:14,} {seconds:8.2f} s {memory:6.2f} GB at most  {more}",
        flush=True,
    )


def fitted(column):
    """Seconds to draws that can be trusted, k known, and their diagnostics."""
    begin = time.perf_counter()
    run = mx.gibbs(column, 3, chains=8, draws=400, tune=100)
    figures = az.summary(run, kind="diagnostics")
    r_hat, size = figures["r_hat"].max(), figures["ess_bulk"].min()
    return time.perf_counter() - begin, f"R-hat {r_hat:.3f}, effective size {size:.0f}"


def in_memory():
    """Arrays, and scikit-learn's expectation maximization beside them."""
    for n in (10**5, 10**6, 10**7):
        y = simulated(n, 1)
        begin = time.perf_counter()
        column = mx.as_column(y)
        line("counted", n, time.perf_counter() - begin, f"{len(column.count)} places")
        line("  sampled, 8 x 500 sweeps", n, *fitted(column))
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError:
        print("scikit-learn is not installed: no line of it")
    else:
        begin = time.perf_counter()
        GaussianMixture(3, covariance_type="tied", random_state=1).fit(y[:, None])
        line("scikit-learn's EM", n, time.perf_counter() - begin)


if __name__ == "__main__":  # the workers of Dask import this file
    in_memory()
    if len(sys.argv) > 1:
        import dask.array as da
        from distributed import Client

        with Client(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as client:
            n, begin = int(float(sys.argv[1])), time.perf_counter()
            chunks = ((10**6,) * (n // 10**6),)
            rows = da.map_blocks(
                lambda block_id: simulated(10**6, block_id), chunks=chunks, dtype=float
            )
            column = mx.as_column(rows)
            memory = client.run(
                lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            )
            more = f"workers {' '.join(f'{x:.2f}' for x in memory.values())} GB at most"
            line("made and counted by Dask", n, time.perf_counter() - begin, more)
            line("  sampled", n, *fitted(column))
            begin = time.perf_counter()
            found = mx.fit(rows)
            line("  number unknown", n, time.perf_counter() - begin, found.verdict)
