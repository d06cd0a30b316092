#!/usr/bin/env bash
# scikit-learn 1.9.1, GaussianMixture(covariance_type="tied") in one dimension.
# Guess: one common variance, as exact as "full" gives with equal clusters; doubles have
#   sixteen digits.
# Seen (2026-11-27): "tied", "diag" and "spherical" take the variance as the mean of the
#   squares less the square of the mean. Of times in seconds since 1970 the squares are
#   near 3e18, where doubles lie 512 apart: the standard deviation 4 s, which "full"
#   finds, comes out 0.001 or over 16, or an error is raised.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
bin/python -W ignore - <<'END'
import numpy as np
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

cluster = 4 * norm.ppf((np.arange(300) + 0.5) / 300)
times = (1.79e9 + np.concatenate([cluster, cluster + 3600]))[:, None]
near = {}
for kind in "full", "tied", "diag", "spherical":
    model = GaussianMixture(n_components=2, covariance_type=kind, random_state=0)
    try:
        sd = np.sqrt(np.ravel(model.fit(times).covariances_))
        print(f"{kind:9} standard deviation {sd.round(3)}, converged: {model.converged_}")
    except ValueError as error:
        sd = np.array([np.nan])
        print(f"{kind:9} ValueError: {str(error)[:60]} ...")
    near[kind] = bool((abs(sd - 4) < 1).all())
if near != {"full": True, "tied": False, "diag": False, "spherical": False}:
    raise SystemExit("The behavior has changed.")
END
