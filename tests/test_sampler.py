"""`mixtures.sampler` samples the posterior that it says, for every kind of model.

Two proofs. *Exactness*: draw parameters from the prior and data given them; one sweep
must leave their joint law as it is. A hundred thousand independent pairs go through it
on the chains' axis. Sources: Geweke (2004), "Getting it right"; Gandy and Scott (2020),
arXiv 2001.06465. *Calibration*: chains start from the data alone, as a reader's do, and
the rank of the truth among their draws is uniform: Talts and others, arXiv 1804.06788.
"""

from dataclasses import replace

import arviz
import numpy as np
import pandas as pd
import pytest
from package_helpers import interrupt_sweep
from scipy import stats

from mixtures import as_column, gibbs, jumps, sampler
from mixtures.model import (
    Model,
    Prior,
    State,
    falling_prior,
    log_likelihood,
    model_of,
    prior_of,
    truncated_gamma,
)
from mixtures.sampler import Chains

N = 12  # points in each simulated data set
FALLING = dict(number=[0.4, 0.3, 0.2, 0.1], concentration=1 / np.arange(1, 5))
MODELS = {
    "one cluster": dict(number=[1]),
    "one width, minimum weight": dict(number=[0, 0, 1], min_weight=0.1),
    "one width over a floor": dict(number=[0, 1], floor=0.8),
    "own widths over a floor": dict(number=[0, 0, 1], own_widths=True, floor=0.3),
    "one width, number unknown": FALLING,
    "own widths, number unknown": dict(number=[0.25] * 4, own_widths=True),
    "own widths, falling, floor": dict(**FALLING, own_widths=True, floor=0.3),
}


def prior_for(**more):
    """A prior with limits that N points feel."""
    given = dict(concentration=1.0, floor=1e-6, own_widths=False) | more
    given["number"] = np.array(given["number"], float)
    alpha = np.broadcast_to(given["concentration"], given["number"].shape)
    return Prior(**given | dict(concentration=alpha), center=1.0, scale=2.0, widest=3.0)


def model_for(y, prior):
    """A model of data sets, (sets, points), one for each chain."""
    one = np.ones_like(y)
    return Model(z=y, count=one, variance=0 * one, prior=prior)


def simulated(prior, sets, rng):
    """States of the prior and data of each, (sets, N)."""
    state = prior.draw(rng, sets)
    category = (rng.random((sets, N, 1)) >= state.p.cumsum(axis=1)[:, None]).sum(axis=2)
    category = np.minimum(category, state.number[:, None] - 1)
    noise = rng.standard_normal(category.shape)
    y = np.take_along_axis(state.means, category, 1)
    return state, y + np.take_along_axis(state.sd, category, 1) * noise


def statistics(y, state):
    """Bounded functions of parameters and data that need no names: (sets,) by name."""
    exists, p, means, sd = state.exists, state.p, state.means, state.sd
    z = (y[:, None] - means[..., None]) / sd[..., None]
    each = p[..., None] * stats.norm.pdf(z) / sd[..., None]
    density = each.sum(axis=1) + 1e-300
    share = each[..., 0] / density[:, :1]  # of each cluster in the first point
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
        "first point": np.tanh(share.max(axis=1) / 2),
        "sd of the first point": np.tanh((share * sd).sum(axis=1)),
        "its squared distance": np.tanh((share * z[..., 0] ** 2).sum(axis=1)),
    }


def changes(name, step, sets=100_000, batches=25):
    """Changes of the statistics by a step, in standard errors."""
    rng, prior, found = np.random.default_rng(3), prior_for(**MODELS[name]), []
    for _ in range(batches):
        state, y = simulated(prior, sets // batches, rng)
        before = pd.DataFrame(statistics(y, state), dtype=float)
        with np.errstate(divide="ignore"):
            after = step(model_for(y, prior), state, rng)
        width = state.p.shape[1]
        pad = ((0, 0), (0, width - after.p.shape[1]))
        each = (np.pad(x, pad) for x in (after.p, after.means))
        after = State(*each, np.pad(after.sd, pad, constant_values=1), after.number)
        found.append(pd.DataFrame(statistics(y, after), dtype=float) - before)
    found = pd.concat(found)
    return found.mean() / (found.std() / len(found) ** 0.5 + 1e-12)


def jumped(model, state, rng):
    """Five jumps of a proposal that knows the prior and no data."""
    chains, prior = len(state.p), model.prior
    jump = jumps.Jumps(model, chains)
    x = prior.draw(np.random.default_rng(5), 2_000).sorted()
    x = jumps.pack(x, prior.own_widths)
    jump.proposal, jump.rate, jump.fixed = jumps.fitted(x, x[:5]), 5, True
    after = jump.jumped(state.sorted(), rng)
    assert 0.05 < (after.means != state.sorted().means).any(axis=1).mean()
    return after


STEPS = {
    "sweep": sampler.sweep,
    "moves": lambda model, state, rng: sampler.split_and_merge(model, state, 4, rng),
    "jumps": jumped,
}
KNOWN = [x for x, model in MODELS.items() if np.count_nonzero(model["number"]) == 1]
CHANGED = [(x, y) for x in MODELS for y in STEPS if y != "jumps" or x in KNOWN]
RANKED = [*((x, False) for x in [*MODELS][1::2]), *((x, True) for x in KNOWN[1:])]


@pytest.mark.parametrize("name, step", CHANGED)
def test_each_step_leaves_the_joint_law_as_it_is(name, step, monkeypatch):
    monkeypatch.setattr(jumps, "BLOCK", 5)
    z = changes(name, STEPS[step])
    # at most 19 statistics; beyond 5 a normal deviate lies with a chance of 6e-7
    assert z.abs().max() < 5, f"off by so many errors:\n{z[z.abs() > 3].round(1)}"


@pytest.mark.parametrize("name, with_jumps", RANKED)
def test_the_truth_has_a_uniform_rank(name, with_jumps, sets=400, thin=25, ranks=19):
    rng = np.random.default_rng(7)
    prior = prior_for(**MODELS[name])
    truth, y = simulated(prior, sets, rng)
    chains = Chains(model_for(y, prior), sets, rng, jumps=with_jumps)
    assert set(chains.state.number) == set(prior.numbers)
    chains.draw(range(200), tuning=True)
    chains.draw(range(1))
    if with_jumps:  # hardly any, of a proposal for all data sets together
        chains.jumps.rate = 10
    kept = chains.draw(range(thin * ranks))[thin - 1 :: thin]
    drawn = [statistics(y, state) for state in kept]
    for quantity, true in statistics(y, truth).items():
        each = np.array([x.get(quantity, 0 * true) for x in drawn])
        ties = ((each == true).sum(axis=0) + 1) * rng.random(sets)
        rank = (each < true).sum(axis=0) + np.floor(ties).astype(int)
        # smooth alternatives to uniform: Neyman's test with four Legendre polynomials
        x = (2 * rank + 1) / (ranks + 1) - 1
        shapes = [np.polynomial.Legendre.basis(i)(x) for i in (1, 2, 3, 4)]
        smooth = sum(shape.sum() ** 2 / (shape**2).sum() for shape in shapes)
        counts = np.bincount(rank, minlength=ranks + 1)
        assert stats.chi2.sf(smooth, 4) > 1e-6, f"{quantity}: ranks {counts}"


def test_a_sweep_draws_the_number_too():
    """Which splits and merges would hide."""
    prior = prior_for(**MODELS["own widths, number unknown"])
    state, y = simulated(prior, 100, rng := np.random.default_rng(0))
    with np.errstate(divide="ignore"):
        after = sampler.sweep(model_for(y, prior), state, rng)
    assert (after.number != state.number).any()


def chains_of(values, chains, jumps=False, **prior):
    """Chains of a column that always draw the same random numbers."""
    column = as_column(values)
    model = model_of(column, prior_of(column, **prior))
    return Chains(model, chains, np.random.default_rng(0), jumps=jumps)


def test_tuning_begins_with_a_part_of_many_values():
    """Of an unknown number; few values, and a known number, have all of them at once."""

    def sizes(n, **number):
        chains = chains_of(np.random.default_rng(1).standard_normal(n), 2, **number)
        parts = map(chains.part_of_values, (0, 200, 399, 400, 699))
        return [int(part.size[0, 0]) for part in parts]

    unknown = falling_prior(4)
    first, middle, *last, whole, later = sizes(50_000, **unknown)
    assert 200 < first < 400 < middle < 10_000 and last[0] > 45_000
    assert whole == later == 50_000
    assert sizes(250, **unknown) == [250] * 5 and sizes(50_000, k=2) == [50_000] * 5


def test_what_is_proposed_is_fixed_when_tuning_ends():
    """And it has been learned while tuning until then."""
    y = np.random.default_rng(1).normal([-2, 0, 2], 1, (150, 3)).ravel()
    chains, proposals = chains_of(y, 8, True, k=3, own_widths=False), []
    for tuning in (True, True, True, False, False, False):
        chains.draw(range(110), tuning=tuning)
        proposals.append((chains.jumps.proposal, chains.jumps.rate))
    assert len(set(proposals[:4])) == 3 and len(set(proposals[3:])) == 1
    assert proposals[-1][1] > 0 and not chains.jumps.seen


def test_jumps_meet_modes_that_no_sweep_crosses():
    """Three groups, mirrored, as two clusters: by symmetry both modes have a half."""
    r = np.random.default_rng(2)
    y = np.r_[r.normal(20, 1, 60), r.normal(0, 1, 30)]
    settings = dict(chains=16, draws=800, tune=400, random_seed=1)
    plain, share = (
        (gibbs(np.r_[y, -y], 2, jumps=x, **settings).means[..., 0] < -15).mean("draw")
        for x in (False, True)
    )
    assert set(plain.values) == {0, 1}
    # jumps forget in a few sweeps: 12,800 draws are worth a thousand and more
    assert abs(share.mean() - 0.5) < 0.08 and abs(share - 0.5).max() < 0.3


def test_jumps_that_are_refused_are_counted():
    y = np.random.default_rng(1).normal([-3, 3], 1, (50, 2)).ravel()
    chains = chains_of(y, 4, True, k=2)
    chains.draw(range(101), tuning=True)
    chains.draw(range(1))
    away = replace(chains.jumps.proposal, mean=100 + chains.jumps.proposal.mean)
    chains.jumps.proposal, chains.jumps.block, chains.jumps.rate = away, [], 1 / 2
    chains.draw(range(40))
    assert chains.jumps.attrs == dict(jumps=0.5, refused=40)
    assert chains.jumps.stuck(199) and not chains.jumps.stuck(200)


def test_arviz_takes_the_draws():
    new = hasattr(arviz, "convert_to_datatree")  # from 1.0 on
    convert = arviz.convert_to_datatree if new else arviz.convert_to_inference_data
    summary = arviz.summary(convert(gibbs(Y, 2, **SHORT)), var_names=["means"])
    assert list(summary.index) == ["means[0]", "means[1]"]


Y = np.random.default_rng(1).normal([0, 0, 8], [1, 1, 2], (101, 3)).ravel()
SHORT = dict(chains=4, draws=20, tune=20)


@pytest.mark.parametrize("own_widths", [False, True])
@pytest.mark.parametrize("k", [2, [0.2, 0.5, 0.3]])
def test_data_of_any_location_and_scale_give_the_same_draws(k, own_widths):
    """And the same seed does, another one not; draws are labeled."""
    drawn = gibbs(Y, k, own_widths=own_widths, **SHORT)
    for shift, unit in ((0, 1), (0, 1e-6), (-1e4, 1), (1e-150, 1e-150), (7e3, 1e3)):
        other = gibbs(shift + unit * Y, k, own_widths=own_widths, **SHORT)
        means, sd = (other.means - shift) / unit, other.sd / unit
        other = other.assign(means=means, sd=sd)
        for name, x in drawn.items():
            np.testing.assert_allclose(other[name], x, rtol=1e-6, atol=1e-6)
    other = gibbs(Y, k, own_widths=own_widths, random_seed=1, **SHORT)
    assert not np.allclose(other.p, drawn.p, equal_nan=True)
    names = {"p", "means", "sd"} | ({"k", "occupied"} if np.ndim(k) else set())
    assert set(drawn) == names and drawn.p.dims == ("chain", "draw", "cluster")
    assert drawn.sd.dims == drawn.p.dims[: 2 + own_widths]
    assert dict(drawn.sizes) == dict(chain=4, draw=20, cluster=3 if np.ndim(k) else 2)
    assert (drawn.points, drawn.places, drawn.step) == (303, 303, as_column(Y).step)
    assert drawn.sampling_time > 0 and not (drawn.means.diff("cluster") < 0).any()
    assert not np.ndim(k) or (drawn.p.notnull().sum("cluster") == drawn.k).all()
    unsorted = gibbs(Y, [0.2, 0.5, 0.3], ordered=False, chains=4, draws=200).means
    assert (unsorted.diff("cluster") < 0).any()


REFUSED = {
    "k = 0: give a whole": dict(k=0),
    "k = 2.5: give": dict(k=2.5),
    "k = True": dict(k=True),
    r"k = \[0.5, -0.5, 1\]": dict(k=[0.5, -0.5, 1]),
    r"k = \[inf, 1\]": dict(k=[np.inf, 1]),
    "chains = 1: .* from 2": dict(chains=1),
    "draws = 0": dict(draws=0),
    r"data\[303\] is missing": dict(data=[*Y, np.nan]),
    "tune = -1": dict(tune=-1),
    "places = 9": dict(places=9),
    "3 weights over 0.4 cannot sum to one": dict(min_weight=0.4),
    "leave min_weight at 0": dict(k=[0.5, 0.5], min_weight=0.1),
    "concentration = 0": dict(concentration=0),
    "concentration = inf": dict(concentration=np.inf),
    r"concentration = \[1, 2\]": dict(concentration=[1, 2]),
    "scale = -1": dict(priors=dict(center=0, scale=-1, widest=20)),
    "priors lacks scale, widest": dict(priors=dict(center=0)),
    "widest = nan": dict(priors=dict(center=0, scale=1, widest=np.nan)),
    r"Means of 1e\+06 ± 15 .* fit": dict(priors=dict(center=1e6, scale=15, widest=20)),
    r"Means of 0 ± 1e\+06 .* fit": dict(priors=dict(center=0, scale=1e6, widest=20)),
    "up to 0.7 do not": dict(data=range(9), priors=dict(center=0, scale=9, widest=0.7)),
}


@pytest.mark.parametrize("complaint", REFUSED)
def test_bad_arguments_are_refused_in_a_sentence(complaint):
    with pytest.raises(ValueError, match=complaint) as refusal:
        gibbs(**dict(data=Y, k=3) | REFUSED[complaint])
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)


def test_an_interrupt_keeps_what_all_chains_have(monkeypatch, capsys):
    interrupt_sweep(monkeypatch, 60)
    drawn = gibbs(Y, 2, chains=4, draws=500, tune=10)
    assert drawn.sizes["draw"] == 49 and drawn.p.notnull().all()
    assert "stopped after 49 of 500 draws" in capsys.readouterr().out
    interrupt_sweep(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        gibbs(Y, 2, chains=4, draws=500, tune=10)


@pytest.mark.parametrize("count", [1, 3])
def test_a_far_outlier_keeps_its_cluster(count):
    """Every density underflows there; the point still belongs to the nearest cluster."""
    y = np.r_[np.linspace(-1, 1, 50), np.linspace(9, 11, 50), 1e6]
    model = model_for(y[None], prior_for(number=[0, 1]))
    model = replace(model, count=count * model.count)
    state = np.full((2, 2), 0.5), np.array([[0.0, 10]] * 2), np.full((2, 2), 0.1)
    state = State(*state, np.array([2, 2]))
    held, total, _ = sampler.draw_categories(model, state, np.random.default_rng(0))
    np.testing.assert_array_equal(held, [[50 * count, 51 * count]] * 2)
    np.testing.assert_allclose(total, [[0, count * (500 + 1e6)]] * 2, atol=1e-6)


@pytest.mark.parametrize("kind", ["points", "places", "wide places"])
def test_the_law_of_the_sums(kind, chains=40_000):
    """Mean and variance of what clusters hold, against their formulas."""
    z, rng = np.linspace(-2, 3, 30), np.random.default_rng(0)
    count = np.ones(30) if kind == "points" else rng.integers(1, 20, 30) * 1.0
    variance = (kind == "wide places") * rng.random(30)
    model = model_for(z[None], prior_for(number=[0, 0, 1]))
    model = replace(model, count=count[None], variance=variance[None])
    p, means, sd = np.array([[0.2, 0.3, 0.5], [-1, 0, 2], [0.5, 2, 1]])
    square = (z - means[:, None]) ** 2 + variance
    weight = (p / sd)[:, None] * np.exp(-square / 2 / sd[:, None] ** 2)
    weight /= weight.sum(axis=0)
    state = State(*(np.tile(x, (chains, 1)) for x in (p, means, sd)), 3)
    for x, found in zip((1, z, square), sampler.draw_categories(model, state, rng)):
        expected = (count * x * weight).sum(axis=1)
        spread = (count * x**2 * weight * (1 - weight)).sum(axis=1)
        error = (found.mean(axis=0) - expected) / np.sqrt(spread / chains)
        assert np.abs(error).max() < 5
        np.testing.assert_allclose(found.var(axis=0), spread, rtol=0.05)


def test_places_shift_no_posterior_mean():
    """By a fiftieth of its error: the slope of what they change in the likelihood."""
    rng, n = np.random.default_rng(0), 20_000
    x = p, means, sd = np.array([[0.3, 0.4, 0.3], [0, 1, 5], [0.1, 1, 3]])
    category = rng.choice(3, n, p=p)
    y = rng.normal(means[category], sd[category])
    columns = as_column(y, n), as_column(y, 500)
    models = [model_of(one, prior_of(one, 3)) for one in columns]
    assert [model.z.size for model in models] == [n, len(columns[1].count)]

    def change(x):
        found = []
        for model, one in zip(models, columns):
            p, means, sd = x[:, None]
            of_model = p, (means - one.location) / one.scale, sd / one.scale
            found.append(log_likelihood(model, *of_model)[0])
        return found[1] - found[0]

    errors = np.array([np.sqrt(p * (1 - p)), sd / np.sqrt(p), sd / np.sqrt(2 * p)])
    for i, j in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i, j] = errors[i, j] / np.sqrt(n)
        assert abs(change(x + step) - change(x - step)) / 2 < 0.02


@pytest.mark.parametrize(
    "shape, low, high",
    [
        (2, 0, 0.1), (0.7, 0.01, 0.02), (50, 70, np.inf), (50, 90, 91),
        (5e4, 0, 4.9e4), (5e4, 0, 4.3e4), (5e4, 0, 1), (5e4, 5.2e4, 1e9),
        (5e4, 5.8e4, 1e9), (100, 3_000, 1e5), (2, 900, 900.5),
    ],
)  # fmt: skip
def test_truncated_gamma(shape, low, high):
    rng, rate, n = np.random.default_rng(0), 2.0, 20_000
    bounds = low / rate, high / rate
    drawn = truncated_gamma(rng, np.full(n, shape), rate, *bounds)
    mode = np.clip(shape, low, high)  # of the logarithm, whose density is integrated
    steep = max(abs(shape - mode), np.sqrt(shape))
    y = np.log(mode) + np.linspace(-50, 50, 400_001) / steep
    with np.errstate(divide="ignore"):
        y = y[(y >= np.log(low)) & (y <= np.log(high))]
    density = np.exp(shape * (y - np.log(mode)) - np.exp(y) + mode)
    cdf = np.r_[0, ((density[1:] + density[:-1]) * np.diff(y)).cumsum()]
    u = np.interp(np.log(drawn * rate), y, cdf / cdf[-1])
    assert stats.kstest(u, "uniform").pvalue > 1e-6


@pytest.mark.parametrize("ties", [2, 6, 60, 3_000])
@pytest.mark.parametrize("own_widths", [False, True])
def test_ties_of_any_number(ties, own_widths):
    """A heap of equal values is a cluster as narrow as the resolution allows."""
    y = np.r_[np.zeros(ties), np.random.default_rng(0).normal(5, 1, 300).round(2)]
    more, floor = dict(chains=4, draws=100, tune=100), 0.007
    drawn = gibbs(y, 2, own_widths=own_widths, **more)
    assert np.isfinite(drawn.means).all() and 0.999 * floor < drawn.sd.min()
    assert drawn.sd.max() < 10
    if own_widths and ties >= 60:
        assert np.abs(drawn.means[..., 0]).max() < floor
        np.testing.assert_allclose(drawn.sd[..., 0], floor, rtol=0.3)
        share = drawn.p[..., 0].mean()
        assert abs(share - ties / len(y)) < 0.02


def test_chains_start_apart_and_where_the_data_are():
    """Groups of 5, 90 and 5 points: most chains begin with a cluster in each."""
    rng = np.random.default_rng(3)
    y = np.repeat([-10.0, 0, 10], [5, 90, 5]) + rng.normal(0, 1, 100)
    model = model_for(np.tile(y, (200, 1)), prior_for(number=[0, 0, 1]))
    start = sampler.starting_state(model, 200, rng)
    near = abs(np.sort(start.means, axis=1) - [-10, 0, 10]) < 2
    assert near.all(axis=1).mean() > 0.5
    np.testing.assert_allclose(start.p.sum(axis=1), 1)
    assert len(np.unique(start.means, axis=0)) > 10


SPIKE = [0, 6.7, 14], [1, 1e-3, 1], [150, 20, 150]
SMALL = [0, 10, 20, 30], [1, 1, 1, 1], [600, 20, 20, 20]


@pytest.mark.parametrize("groups, least", [(SPIKE, 28), (SMALL, 25)])
def test_chains_find_narrow_and_small_groups(groups, least):
    """So many of 32 soon do; without split and merge two thirds find the small ones."""
    means, widths, sizes = map(np.array, groups)
    y = np.random.default_rng(2).normal(*(np.repeat(x, sizes) for x in groups[:2]))
    drawn = gibbs(y, len(means), own_widths=True, chains=32, draws=1, tune=200)
    assert (abs(drawn.means[:, 0] - means) < widths).all("cluster").sum() >= least
