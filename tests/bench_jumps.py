"""Prints what jumps bring beside an earlier build, pair by pair: make bench.

Seconds are those of the processor, in processes of their own that take turns.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from package_helpers import groups
from reference import simulate

ROOT, EARLIER = Path(__file__).parents[1], "7d8e40f"
TUTORIAL = dict(priors=dict(center=0, scale=15, widest=20), own_widths=False)
PROGRAM = """
import json, sys, time
import arviz as az, numpy as np
import mixtures as mx
what, y, given = json.load(sys.stdin)
mx.gibbs(range(9), 1, draws=1, tune=1)  # imports what is loaded on first use
mx.fit
begin = time.process_time()
if what == "fit":
    verdict = mx.fit(y, seconds=600, **given).verdict
    print(f"{time.process_time() - begin:8.1f} s  {verdict}")
else:
    drawn = mx.gibbs(y, own_widths=given.pop("own_widths", True), **given)
    seconds, drawn = time.process_time() - begin, drawn[["p", "means", "sd"]]
    if what == "by width":
        order = np.argsort(drawn["sd"].values, axis=2)
        for name, x in drawn.items():
            drawn[name] = x.copy(data=np.take_along_axis(x.values, order, 2))
    size, r_hat = az.ess(drawn).to_array().min(), az.rhat(drawn).to_array().max()
    print(f"{size / seconds:8.0f} a second, R-hat {r_hat:.4f}, {seconds:.1f} s")
"""


def cases():
    """Of each row its name, what to time, the values and the arguments."""
    for distance in (2, 3, 5):
        given = dict(k=3, min_weight=0.1, **TUTORIAL)
        yield f"spread {distance}", "gibbs", simulate(spread=distance), given
    for k, apart in ((5, 2.5), (8, 3.0)):
        y = groups(*((apart * j, (1, 0.6)[j % 2], 100) for j in range(k)))
        yield f"{k} clusters", "gibbs", y, dict(k=k)
    one_mean = groups(*((0, width, 300) for width in (0.3, 1, 4)))
    yield "one mean, widths .3, 1, 4", "by width", one_mean, dict(k=3)
    close = groups((0, 1, 600), (2.5, 1, 400))
    for name, y, k in (("600 + 400", close, 2), ("spread 2", simulate(spread=2), 3)):
        yield f"fit of {name}, number known", "fit", y, dict(clusters=k)
        yield f"fit of {name}", "fit", y, {}
    yield "fit of two groups", "fit", groups((-5, 1, 300), (5, 1, 300)), {}
    yield "fit of one group", "fit", groups((0, 1, 300)), {}


def timed(folder, *job):
    """What a build in a folder prints of a job."""
    environment = dict(os.environ, PYTHONPATH=str(folder), OMP_NUM_THREADS="1")
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    text = json.dumps(job, default=np.ndarray.tolist)
    return subprocess.run(
        command, input=text, env=environment, cwd=folder, capture_output=True,
        text=True, check=True,
    ).stdout.strip()  # fmt: skip


if __name__ == "__main__":
    wanted, earlier = " ".join(sys.argv[1:]), ROOT / "build" / EARLIER
    if not earlier.exists():
        command = ["git", "worktree", "add", "--detach", str(earlier), EARLIER]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name, *job in cases():
        if wanted in name:
            for build, folder in ((EARLIER, earlier), ("now", ROOT)):
                print(f"{name:28} {build:8} {timed(folder, *job)}", flush=True)
