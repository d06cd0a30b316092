#!/usr/bin/env bash
# BlackJAX 1.7.1, blackjax.irmh(logdensity_fn, proposal_distribution), its docstring's
# example.
# Guess: an independence sampler is never symmetric, so it corrects for its proposals, or
#   asks for their density.
# Seen (2026-11-27): without the third argument the proposals are taken as symmetric, and
#   the draws follow the target times the density of the proposals: with proposals from
#   N(0, 2) the target N(2, 1) comes out with the mean 1.6 and the sd 0.9. The third
#   argument mends it if it is a function of (from_state, to_state), of which the
#   density of the second is asked; that of the first gives the mean 1.3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile blackjax==1.7.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1
bin/python - <<'END'
import blackjax
import jax

keys = jax.random.split(jax.random.key(1), 20_000)


def log_target(x):
    return -0.5 * (x - 2.0) ** 2


def proposals(key):
    return 2.0 * jax.random.normal(key)


def figures(*log_proposal):
    sampler = blackjax.irmh(log_target, proposals, *log_proposal)
    step = lambda state, key: (sampler.step(key, state)[0],) * 2
    draws = jax.lax.scan(step, sampler.init(0.0), keys)[1].position
    return float(draws.mean()), float(draws.std())


seen = {
    "as in the docstring": figures(),
    "density of the first": figures(lambda old, new: -0.5 * (old.position / 2) ** 2),
    "density of the second": figures(lambda old, new: -0.5 * (new.position / 2) ** 2),
}
for name, (mean, sd) in seen.items():
    print(f"{name:22} mean {mean:.3f}, sd {sd:.3f}; the target's: 2 and 1")
means = [mean for mean, _ in seen.values()]
if not (means[0] < 1.75 and means[1] < 1.5 and abs(means[2] - 2) < 0.1):
    raise SystemExit("The behavior has changed.")
END
