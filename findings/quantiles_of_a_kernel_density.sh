#!/usr/bin/env bash
# statsmodels 0.15.0, KDEUnivariate(...).fit(weights=...).icdf.
# Guess: "Inverse Cumulative Distribution (Quantile) Function": the inverse of .cdf of
#   the same fitted object.
# Seen (2026-11-27): quantiles of the values as they are, without the kernel and
#   without the weights. Nine tenths of the weight lie at 0 and one tenth at 10: the
#   median is 0.3 by .cdf and 5.0, in the empty gap, by .icdf.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1
bin/python -W error - <<'END'
import numpy as np
from scipy.stats import norm
from statsmodels.nonparametric.kde import KDEUnivariate

cluster = norm.ppf((np.arange(50) + 0.5) / 50)
density = KDEUnivariate(np.concatenate([cluster, cluster + 10]))
density.fit(weights=np.repeat([9.0, 1.0], 50), fft=False)
by_cdf = np.interp(0.5, density.cdf, density.support)
by_icdf = np.interp(0.5, np.linspace(0, 1, len(density.icdf)), density.icdf)
print(f"median by .cdf {by_cdf:.2f}, by .icdf {by_icdf:.2f}")
if not (by_cdf < 1 and by_icdf > 4):
    raise SystemExit("The behavior has changed.")
END
