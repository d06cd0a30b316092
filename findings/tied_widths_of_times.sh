#!/usr/bin/env bash
# scikit-learn 1.9.1, the covariance_type of GaussianMixture in one dimension.
# Guess: with two clusters of one width all four types find the same; values of ten
#   digits are no trouble for doubles, which have sixteen.
# Seen (2026-11-27): of times in seconds near 2^30 (the year 2004), 8 s about two centers,
#   "full" finds the standard deviation 8 and "tied", "diag" and "spherical" find .001,
#   the square root of reg_covar, and say that they converged. They take the mean of the
#   squares less the square of the mean; near 2^60 doubles lie 256 apart, and the 64
#   of 8 s are lost on any processor.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
bin/python -W error - <<'END'
import numpy as np
from sklearn.mixture import GaussianMixture

cluster = 2.0**30 + np.tile([-8.0, 8.0], 128)
times = np.concatenate([cluster, cluster + 4096])[:, None]
widths = {}
for kind in "full", "tied", "diag", "spherical":
    model = GaussianMixture(n_components=2, covariance_type=kind, random_state=0)
    widths[kind] = np.sqrt(np.ravel(model.fit(times).covariances_))
    print(f"{kind}: standard deviation {widths[kind]}, converged: {model.converged_}")
found = [bool(np.allclose(width, 8)) for width in widths.values()]
lost = [bool((width < 0.01).all()) for width in widths.values()]
if found != [True, False, False, False] or lost != [False, True, True, True]:
    raise SystemExit("The behavior has changed.")
END
