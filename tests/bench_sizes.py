"""Prints what a fit of many values costs: make bench, or SIZE=1e9 make bench for Dask."""

import resource
import sys
import time

from reference import simulate

import mixtures as mx


def line(name, n, seconds, more=""):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name:28} {n:14,} {seconds:8.2f} s {memory:6.2f} GB at most  {more}")


def fitted(name, rows, n, **known):
    begin = time.perf_counter()
    verdict = mx.fit(rows, **known).verdict
    line(name, n, time.perf_counter() - begin, verdict)


def in_memory():
    for n in (10**5, 10**6, 10**7):
        y = simulate(1, n)
        begin = time.perf_counter()
        column = mx.as_column(y)
        line("counted", n, time.perf_counter() - begin, f"{len(column.count)} places")
        fitted("  counted and fitted", y, n, clusters=3, own_widths=False)


def by_dask(n, block=2 * 10**6):
    """Blocks that Dask makes and counts in the threads of one process."""
    import dask.array as da

    shape = dict(chunks=((block,) * (n // block),), dtype=float)
    rows = da.map_blocks(lambda block_id: simulate(block_id, block), **shape)
    for known in (dict(clusters=3, own_widths=False), {}):
        fitted(f"made and fitted, {known}", rows, n, **known)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        by_dask(int(float(sys.argv[1])))
    else:
        in_memory()
