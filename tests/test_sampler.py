"""`mixtures.sampler` samples the posterior that it says, for every kind of model.

Two proofs. *Exactness*: draw parameters from the prior and data given them; one sweep
must leave their joint law as it is. A hundred thousand independent pairs go through it
on the chains' axis. Sources: Geweke (2004), "Getting it right"; Gandy and Scott (2020),
arXiv 2001.06465. *Calibration*: chains start from the data alone, as a reader's do, and
the rank of the truth among their draws is uniform. Source: Talts, Betancourt, Simpson,
Vehtari and Gelman (2018), arXiv 1804.06788.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mixtures.sampler import Chains, Model, State, split_and_merge, sweep

N = 12  # points in each simulated data set
FALLING = dict(prior=[0.4, 0.3, 0.2, 0.1], alpha=1 / np.arange(1, 5))
MODELS = {
    "one width, minimum weight": dict(prior=[0, 0, 1], min_weight=0.1),
    "one width over a floor": dict(prior=[0, 1], floor=0.8),
    "own widths over a floor": dict(prior=[0, 0, 1], own_widths=True, floor=0.3),
    "one width, number unknown": FALLING,
    "own widths, number unknown": dict(prior=[0.25] * 4, own_widths=True),
    "own widths, falling, floor": dict(**FALLING, own_widths=True, floor=0.3),
}


def model_of(y, **more):
    """A model of data sets, (sets, points), one for each chain."""
    one = np.ones_like(y)
    given = dict(alpha=1.0, floor=1e-6, own_widths=False, min_weight=0) | more
    given["prior"] = np.array(given["prior"], float)
    given["alpha"] = np.broadcast_to(given["alpha"], given["prior"].shape)
    return Model(y, one, 0 * one, center=1.0, scale=2.0, widest=3.0, **given)


def from_the_prior(model, sets):
    """States of the prior, cut off at the walls, and data of each, (sets, N)."""
    rng, most = model.rng, len(model.prior)
    number = rng.choice(np.arange(1, most + 1), sets, p=model.prior)
    exists = np.arange(most) < number[:, None]
    p, sd, todo = np.zeros(exists.shape), np.ones(exists.shape), np.arange(sets)
    while todo.size:  # draw anew what is beyond a wall
        shape, here = (todo.size, most), exists[todo]
        gamma = rng.standard_gamma(model.alpha[number[todo] - 1, None] * np.ones(most))
        gamma = np.maximum(gamma, 1e-300) * here
        p[todo] = gamma / gamma.sum(axis=1, keepdims=True)
        if model.own_widths:
            beta = rng.standard_gamma(0.2, (todo.size, 1)) * model.widest**2 / 10
            drawn = np.sqrt(np.maximum(beta, 1e-300) / rng.standard_gamma(2, shape))
        else:
            drawn = model.widest * rng.random((todo.size, 1))
        sd[todo] = np.where(here, drawn, 1)
        inside = (sd[todo] >= model.floor) & (p[todo] >= model.min_weight) | ~here
        todo = todo[~inside.all(axis=1)]
    means = model.center + model.scale * rng.standard_normal(p.shape)
    means = np.where(exists, means, 0)
    state = State(p, means, sd, number)
    category = (rng.random((sets, N, 1)) >= p.cumsum(axis=1)[:, None]).sum(axis=2)
    category = np.minimum(category, state.number[:, None] - 1)
    noise = rng.standard_normal(category.shape)
    y = np.take_along_axis(means, category, 1)
    return state, y + np.take_along_axis(sd, category, 1) * noise


def statistics(y, state):
    """Bounded functions of parameters and data that need no names: (sets,) by name."""
    exists, p, means, sd = state.exists, state.p, state.means, state.sd
    z = (y[:, None] - means[..., None]) / sd[..., None]
    each = p[..., None] * stats.norm.pdf(z) / sd[..., None]
    density = each.sum(axis=1) + 1e-300
    mean = (p * means).sum(axis=1)
    spread = (p * (sd**2 + means**2)).sum(axis=1) - mean**2
    found = {f"k = {j}": state.number == j for j in range(1, p.shape[1] + 1)}
    smallest, k = np.where(exists, sd, np.inf).min(axis=1), state.number
    return found | {
        "p": (p**2).sum(axis=1),
        "smallest p": np.where(exists, p, 1).min(axis=1),
        "means": np.tanh(np.where(exists, means, 0).sum(axis=1) / k - 1),
        "lowest mean": np.tanh(np.where(exists, means, np.inf).min(axis=1)),
        "means squared": np.tanh((exists * (means - 1) ** 2).sum(axis=1) / 4 / k),
        "smallest sd": np.tanh(smallest),
        "1 / smallest sd": np.tanh(0.3 / smallest),
        "largest sd": np.tanh(np.where(exists, sd, 0).max(axis=1) / 3),
        "p and sd": np.tanh((p * sd).sum(axis=1)),
        "p and means": np.tanh(mean - 1),
        "likelihood": np.tanh(np.log(density).sum(axis=1) / 20),
        "spread over variance": np.tanh(((y.T - mean) ** 2).mean(axis=0) / spread),
        "first point": np.tanh(each[:, :, 0].max(axis=1) / density[:, 0] / 2),
        "sd of the first point": np.tanh(
            (each * sd[..., None]).sum(1)[:, 0] / density[:, 0]
        ),
        "its squared distance": np.tanh(
            (each * z**2).sum(axis=1)[:, 0] / density[:, 0]
        ),
    }


def changes(name, step, sets=100_000, batches=25):
    """Changes of the statistics by a step, in standard errors."""
    rng, found = np.random.default_rng(3), []
    for _ in range(batches):
        model = model_of(np.zeros((1, 1)), rng=rng, **MODELS[name])
        state, y = from_the_prior(model, sets // batches)
        model = model_of(y, rng=rng, **MODELS[name])
        before = pd.DataFrame(statistics(y, state), dtype=float)
        with np.errstate(divide="ignore"):
            after = step(model, state)
        width = state.p.shape[1]
        pad = ((0, 0), (0, width - after.p.shape[1]))
        each = (np.pad(x, pad) for x in (after.p, after.means))
        after = State(*each, np.pad(after.sd, pad, constant_values=1), after.number)
        found.append(pd.DataFrame(statistics(y, after), dtype=float) - before)
    found = pd.concat(found)
    return found.mean() / (found.std() / len(found) ** 0.5 + 1e-12)


STEPS = {
    "sweep": lambda model, state: sweep(model, state)[0],
    "moves": lambda model, state: split_and_merge(model, state, 4),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", MODELS)
def test_each_step_leaves_the_joint_law_as_it_is(name, step):
    z = changes(name, STEPS[step])
    # at most 19 statistics; beyond 5 a normal deviate lies with a chance of 6e-7
    assert z.abs().max() < 5, f"off by so many errors:\n{z[z.abs() > 3].round(1)}"
