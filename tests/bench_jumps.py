"""Prints what a sampler draws a second, without jumps and with them: make bench.

Seconds are those of the processor. Words after the name choose the rows that have them.
"""

import sys
import time

import arviz as az
import numpy as np
from package_helpers import groups
from reference import simulate

import mixtures as mx

TUTORIAL = dict(priors=dict(center=0, scale=15, widest=20), own_widths=False)


def cases():
    """Of each row its name, the values and the arguments."""
    for distance in (2, 3, 5):
        given = dict(k=3, min_weight=0.1, **TUTORIAL)
        yield f"spread {distance}", simulate(spread=distance), given
    for k, apart in ((5, 2.5), (8, 3.0)):
        y = groups(*((apart * j, (1, 0.6)[j % 2], 100) for j in range(k)))
        yield f"{k} clusters", y, dict(k=k)
    of_one_mean = groups(*((0, width, 300) for width in (0.3, 1, 4)))
    yield "widths .3, 1, 4 of one mean", of_one_mean, dict(k=3)


def line(y, by_width, **given):
    """How many independent draws a second are had, of clusters by means or widths."""
    begin = time.process_time()
    drawn = mx.gibbs(y, **given)
    seconds, drawn = time.process_time() - begin, drawn[["p", "means", "sd"]]
    if by_width:
        order = np.argsort(drawn["sd"].values, axis=2)
        for name, x in drawn.items():
            drawn[name] = x.copy(data=np.take_along_axis(x.values, order, 2))
    size, r_hat = az.ess(drawn).to_array().min(), az.rhat(drawn).to_array().max()
    return f"{size / seconds:8.0f} a second, R-hat {r_hat:.4f}, {seconds:.1f} s"


if __name__ == "__main__":
    for name, y, given in cases():
        if " ".join(sys.argv[1:]) in name:
            for jumps in (False, True):
                text = line(y, "widths" in name, jumps=jumps, **given)
                print(f"{name:28} {'jumps' if jumps else 'none':8} {text}", flush=True)
