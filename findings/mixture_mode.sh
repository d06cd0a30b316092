#!/usr/bin/env bash
# SciPy 1.17.1, scipy.stats.Mixture (new in 1.15), .mode().
# Guess: the place where the density is highest.
# Seen (2026-11-27): a top near where the search began, whatever its height, without a
#   warning. .1 N(0, 1) + .9 N(100, 1) has the "mode" 0.0, where the density is a ninth
#   of that at 100. median() and mean() of the same object are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile scipy==1.17.1 numpy==2.4.6
bin/python -W error - <<'END'
from scipy.stats import Mixture, Normal

wrong = 0
for means, weights in ([0, 100], [0.1, 0.9]), ([0, 10], [0.4, 0.6]):
    mixture = Mixture([Normal(mu=m, sigma=1.0) for m in means], weights=weights)
    mode = float(mixture.mode())
    top = float(mixture.pdf(means[1]))
    print(f"means {means}, weights {weights}: mode {mode:.3f}, median "
          f"{mixture.median():.3f}, density {mixture.pdf(mode):.3f} at the mode "
          f"and {top:.3f} at {means[1]}")
    wrong += mixture.pdf(mode) < 0.7 * top
if wrong != 2:
    raise SystemExit("The behavior has changed.")
END
