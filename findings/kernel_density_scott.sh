#!/usr/bin/env bash
# scikit-learn 1.9.1, KernelDensity(bandwidth="scott") and "silverman".
# Guess: the rules of these names, as in SciPy: a factor times the standard deviation.
# Seen (2026-11-27): the factor alone. 500 values with the standard deviation 1, 1,000
#   and .001 all get the bandwidth 0.289: the density of lengths in millimeters is a
#   row of needles, that of the same lengths in kilometers is a single bump.
#   Reported as scikit-learn issue 26658.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
bin/python - <<'END'
import numpy as np
from scipy.stats import gaussian_kde, norm
from sklearn.neighbors import KernelDensity

lengths = norm.ppf((np.arange(500) + 0.5) / 500)
for rule in "scott", "silverman":
    bandwidths = []
    for unit in 1, 1000, 0.001:
        values = lengths * unit
        bandwidths.append(KernelDensity(bandwidth=rule).fit(values[:, None]).bandwidth_)
        scipy = gaussian_kde(values, rule).covariance[0, 0] ** 0.5
        print(f"{rule:9} times {unit:8}: {bandwidths[-1]:.4f}, SciPy {scipy:.4g}")
    if len(set(bandwidths)) != 1:
        raise SystemExit("The behavior has changed.")
END
