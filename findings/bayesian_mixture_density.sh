#!/usr/bin/env bash
# scikit-learn 1.9.1, BayesianGaussianMixture.score_samples.
# Guess: "log-likelihood of each sample under the current model": exp of it is a density
#   and has the integral 1, as in GaussianMixture.
# Seen (2026-11-27): 0.93 with twenty values a cluster, 0.87 with ten, 0.84 with four.
#   The weights and precisions in it are exponentials of expected logarithms, which are
#   too small. Held-out scores of it and of GaussianMixture cannot be compared.
#   Reported as scikit-learn issue 10148.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
bin/python - <<'END'
import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import norm
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

grid = np.linspace(-100, 100, 400_001)


def integral(estimator, values):
    model = estimator(n_components=2, max_iter=1000, random_state=0).fit(values)
    return trapezoid(np.exp(model.score_samples(grid[:, None])), grid)


seen = {}
for n in 20, 10, 4:
    cluster = norm.ppf((np.arange(n) + 0.5) / n)
    values = np.concatenate([cluster, cluster + 8])[:, None]
    plain = integral(GaussianMixture, values)
    seen[n] = integral(BayesianGaussianMixture, values)
    print(f"{n:3} a cluster: GaussianMixture {plain:.3f}, Bayesian {seen[n]:.3f}")
    if abs(plain - 1) > 0.001:
        raise SystemExit("The integral of GaussianMixture is not 1 here.")
if not (seen[20] < 0.97 and seen[10] < 0.92 and seen[4] < 0.9):
    raise SystemExit("The behavior has changed.")
END
