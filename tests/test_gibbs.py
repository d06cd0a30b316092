"""`gibbs` samples the posterior that the page writes down, at any scale, for each model.

Two proofs. *Exactness*: draw parameters from the prior and data given them; one sweep
must leave their joint law as it is. A hundred thousand independent pairs go through it
on the chains' axis. Sources: Geweke (2004), "Getting it right"; Gandy and Scott (2020),
arXiv 2001.06465. *Calibration*: chains start from the data alone, as a reader's do, and
the rank of the truth among their draws is uniform. Source: Talts, Betancourt, Simpson,
Vehtari and Gelman (2018), arXiv 1804.06788.
"""

import math
import os
import signal
import threading
import time

import arviz as az
import numpy as np
import pandas as pd
import pytest
from reference import simulate
from scipy import stats

N = 12  # points in each simulated data set
PRIORS = dict(center=1.0, scale=2.0, widest=3.0)
MODELS = {
    "one width, order, minimum weight": dict(k=3, min_weight=0.1),
    "one width, no order": dict(k=2, ordered=False),
    "own widths": dict(k=3, own_widths=True),
    "number unknown, flat": dict(k=np.ones(4) / 4, own_widths=True),
    "number unknown, falling": dict(
        k=np.array([0.4, 0.3, 0.2, 0.1]), concentration=1 / np.arange(1, 5)
    ),
}


def from_the_prior(model, sets, rng):
    """Parameters p, means, sd of shape (sets, k), numbers (sets,) and data (sets, N)."""
    k = model["k"]
    prior = np.eye(k)[-1] if np.ndim(k) == 0 else k
    numbers = rng.choice(np.arange(1, len(prior) + 1), sets, p=prior)
    alpha = np.broadcast_to(model.get("concentration", 1.0), len(prior))
    exists = np.arange(len(prior)) < numbers[:, None]
    p = np.zeros(exists.shape)
    todo = np.arange(sets)
    while todo.size:  # redraw what the minimum weight forbids
        each = np.repeat(alpha[numbers[todo] - 1, None], len(prior), axis=1)
        gamma = rng.standard_gamma(each) * exists[todo]
        p[todo] = gamma / gamma.sum(axis=1, keepdims=True)
        todo = todo[p[todo].min(axis=1) < model.get("min_weight", 0)]
    means = PRIORS["center"] + PRIORS["scale"] * rng.standard_normal(p.shape)
    if model.get("own_widths"):
        beta = rng.standard_gamma(0.2, (sets, 1)) * PRIORS["widest"] ** 2 / 10
        sd = 1 / np.sqrt(rng.standard_gamma(2, p.shape) / np.maximum(beta, 1e-6))
    else:
        sd = np.repeat(PRIORS["widest"] * rng.random((sets, 1)), len(prior), axis=1)
    if model.get("ordered", True):
        order = np.where(exists, means, np.inf).argsort(axis=1)
        p, means, sd = (np.take_along_axis(x, order, 1) for x in (p, means, sd))
    category = (rng.random((sets, N, 1)) >= p.cumsum(axis=1)[:, None]).sum(axis=2)
    category = np.minimum(category, numbers[:, None] - 1)
    y = np.take_along_axis(means, category, 1)
    y = y + np.take_along_axis(sd, category, 1) * rng.standard_normal(y.shape)
    return p, means, sd, numbers, y


def log_likelihood(y, p, means, sd):
    """Of each data set, (sets, N), the categories summed out: (sets,)."""
    z = (y[:, None] - means[..., None]) / sd[..., None]
    density = (p[..., None] * stats.norm.pdf(z) / sd[..., None]).sum(axis=1)
    return np.log(density + 1e-300).sum(axis=1)


def statistics(y, p, means, sd):
    """Bounded functions of parameters and data, by name: each of shape (sets, 1 or k)."""
    mean = (p * means).sum(axis=1, keepdims=True)
    squares = ((y - mean) ** 2).mean(axis=1) / (p * sd**2).sum(axis=1)
    return {
        "p": p,
        "p squared": p**2,
        "means": np.tanh(means - 1),
        "means squared": np.tanh((means - 1) ** 2),
        "sd": np.tanh(sd),
        "1 / sd": np.tanh(1 / sd),
        "p and means": p * np.tanh(means),
        "p and sd": p * np.tanh(sd),
        "likelihood": np.tanh(log_likelihood(y, p, means, sd) / 20)[:, None],
        "squares over variance": np.tanh(squares)[:, None],
        "first point": np.tanh((y[:, :1] - means) / sd),
    }


@pytest.mark.parametrize("name", MODELS)
def test_one_sweep_leaves_the_joint_law_as_it_is(
    tutorial, name, batches=25, sets=4_000
):
    """Functions of parameters and data before and after a sweep, as paired differences.

    Only data sets of a large mean take part, so that the data's middle is not the prior's."""
    model, rng = dict(MODELS[name]), np.random.default_rng(3)
    k = model.pop("k")
    changes = {}
    for batch in range(batches):
        *state, y = from_the_prior(MODELS[name], 3 * sets, rng)
        large = np.flatnonzero(y.mean(axis=1) > 1.5)[:sets]
        *state, y = (x[large] for x in (*state, y))
        one_sweep = dict(chains=len(y), draws=1, tune=0, start=state, random_seed=batch)
        drawn = tutorial["gibbs"](y, k, PRIORS, **model, **one_sweep).posterior
        if np.ndim(k):
            number, occupied = (drawn[x].values[:, 0] for x in ("k", "occupied"))
            assert (occupied <= number).all() and occupied.min() == 1
            for j in range(1, len(k) + 1):
                change = (number == j).astype(float) - (state[3] == j)
                changes.setdefault(f"k = {j}", []).append(change)
            continue
        after = [drawn[x].values.reshape(len(y), -1) for x in ("p", "means", "sd")]
        after[2] = np.broadcast_to(after[2], after[0].shape)
        before, after = statistics(y, *state[:3]), statistics(y, *after)
        for quantity in before:
            for j, change in enumerate((after[quantity] - before[quantity]).T):
                changes.setdefault(f"{quantity} {j}", []).append(change)
    changes = pd.DataFrame({name: np.concatenate(x) for name, x in changes.items()})
    z = changes.mean() / (changes.std() / len(changes) ** 0.5 + 1e-12)
    # at most 29 statistics a model; beyond 5 a normal deviate lies with a chance of 6e-7
    assert z.abs().max() < 5, f"off by so many errors:\n{z[z.abs() > 3].round(1)}"


def test_each_draw_is_the_page_s_conditional(tutorial):
    """One width, all chains from one state: each draw has the law that the page writes.

    The page's formulas stand here once more, with two points so near their clusters
    that the categories are certain, and then with one that could be in both."""
    y, chains, scale = np.array([-4.0, -4.2, 5.0, 5.5, 4.8]), 200_000, 15.0
    p, means, sd = np.array([0.5, 0.5]), np.array([-4.0, 5.0]), 0.7
    data, more = np.tile(y, (chains, 1)), dict(chains=chains, draws=1, tune=0)
    start = [np.tile(x, (chains, 1)) for x in (p, means, np.full(2, sd))]
    priors = dict(center=0, scale=scale, widest=20)
    drawn = tutorial["gibbs"](data, 2, priors, start=start, **more).posterior
    n, s = np.array([2, 3]), np.array([y[:2].sum(), y[2:].sum()])
    tau = n / sd**2 + 1 / scale**2
    new = {name: drawn[name].values[:, 0] for name in ("p", "means", "sd")}
    laws = {
        "p": (new["p"][:, 0], stats.beta(1 + n[0], 1 + n[1]).cdf),
        "mean": (
            new["means"][:, 1],
            stats.norm(s[1] / sd**2 / tau[1], tau[1] ** -0.5).cdf,
        ),
    }
    squares = (y[:2, None] - new["means"][:, 0]) ** 2
    rest = (y[2:, None] - new["means"][:, 1]) ** 2
    total = squares.sum(axis=0) + rest.sum(axis=0)
    laws["S / σ²"] = (total / new["sd"] ** 2 / 2, stats.gamma((y.size - 1) / 2).cdf)
    for name, (x, cdf) in laws.items():
        assert stats.kstest(x, cdf).pvalue > 1e-6, name
    y = np.array([-4.0, 0.3, 5.0])  # the one between: by its weight in each
    powers = tutorial["standard_powers"](y[None], 0, 1)
    state = [np.tile(x, (chains, 1)) for x in ([0.2, 0.8], means, [3.0, 3.0])]
    sums = tutorial["cluster_sums"](powers, *state, np.random.default_rng(0))
    terms = np.array([[0.2], [0.8]]) * stats.norm.pdf(y, means[:, None], 3.0)
    expected = (terms / terms.sum(axis=0))[0].sum()
    error = sums[0, :, 0].std() / chains**0.5
    assert abs(sums[0, :, 0].mean() - expected) < 5 * error


@pytest.mark.parametrize("name", MODELS)
def test_the_truth_has_a_uniform_rank(tutorial, name, sets=1_500, thin=40, ranks=19):
    """A chain for each data set, from `gibbs`'s own start: calibration by simulation."""
    model, rng = dict(MODELS[name]), np.random.default_rng(7)
    *truth, y = from_the_prior(model, sets, rng)
    k = model.pop("k")
    options = dict(chains=sets, draws=thin * ranks, tune=200, random_seed=8)
    drawn = tutorial["gibbs"](y, k, PRIORS, **model, **options).posterior
    drawn = drawn.isel(draw=slice(thin - 1, None, thin))
    if np.ndim(k):
        pairs = {"k": (truth[3], drawn["k"].values)}
    else:
        p, means, sd = (
            drawn[x].values.reshape(sets, ranks, -1) for x in ("p", "means", "sd")
        )
        named = (
            ("smallest p", truth[0].min(1), p.min(2)),
            ("means", truth[1][:, 0], means[..., 0]),
        )
        named += (
            ("largest sd", truth[2].max(1), sd.max(2)),
            ("sum", truth[1].sum(1), means.sum(2)),
        )
        pairs = {quantity: (a, b) for quantity, a, b in named}
    for quantity, (a, b) in pairs.items():
        a = a[:, None]
        ties = ((b == a).sum(axis=1) + 1) * rng.random(sets)  # a number has many
        rank = (b < a).sum(axis=1) + np.floor(ties).astype(int)
        counts = np.bincount(rank, minlength=ranks + 1)
        # smooth alternatives to uniform: Neyman's test with four Legendre polynomials
        x = (2 * rank + 1) / (ranks + 1) - 1
        shapes = [np.polynomial.Legendre.basis(i)(x) for i in (1, 2, 3, 4)]
        smooth = sum(shape.sum() ** 2 / (shape**2).sum() for shape in shapes)
        assert stats.chi2.sf(smooth, 4) > 1e-6, f"{quantity}: ranks {counts}"


@pytest.mark.parametrize("shift, unit", [(0, 1e-6), (0, 1e6), (1e9, 1), (-7, 1e-3)])
@pytest.mark.parametrize("own_widths", [False, True])
def test_data_of_any_location_and_scale(tutorial, shift, unit, own_widths):
    """The posterior of the standardized data: the same random numbers give the same draws."""
    y = simulate()
    run, other = (
        tutorial["gibbs"](
            x, 3, tutorial["own_priors"](x), own_widths, draws=50
        ).posterior
        for x in (y, shift + unit * y)
    )
    digits = 1e-6 if shift == 1e9 else 1e-9  # what 1e9 leaves of the data
    np.testing.assert_allclose(
        (other["means"] - shift) / unit, run["means"], atol=digits * 100
    )
    np.testing.assert_allclose(other["sd"] / unit, run["sd"], rtol=digits * 100)
    np.testing.assert_allclose(other["p"], run["p"], rtol=digits * 100)


def test_repeatable_and_labelled(tutorial):
    runs = [
        tutorial["gibbs"](simulate(), 3, tutorial["priors"], own_widths=True, draws=20)
        for _ in "ab"
    ]
    other = tutorial["gibbs"](
        simulate(), 3, tutorial["priors"], own_widths=True, draws=20, random_seed=1
    )
    assert runs[0].posterior.equals(runs[1].posterior)
    assert not runs[0].posterior.equals(other.posterior)
    posterior = runs[0].posterior
    assert dict(posterior.sizes) == {"chain": 32, "draw": 20, "cluster": 3}
    assert posterior["sd"].dims == ("chain", "draw", "cluster")
    assert posterior.attrs["sampling_time"] > 0
    assert (posterior["means"].diff("cluster") >= 0).all()
    np.testing.assert_allclose(posterior["p"].sum("cluster"), 1)


Y = np.arange(20.0)
REFUSED = {
    "chains = 1": dict(chains=1),
    "draws = 0": dict(draws=0),
    "cannot sum to one": dict(min_weight=0.4),
    "k has to be": dict(k=0),
    "k has to be a whole": dict(k=2.5),
    "leave min_weight at 0": dict(k=np.ones(3) / 3, min_weight=0.1),
    "concentration": dict(concentration=0),
    "scale = -1": dict(priors=dict(center=0, scale=-1, widest=20)),
    "do not fit": dict(priors=dict(center=1e6, scale=15, widest=20)),
    "take own_priors": dict(data=1e6 * Y),
    "with a range of 1.9e-05": dict(data=1e-6 * Y),
    "NaN": dict(data=np.r_[Y, np.nan]),
    "one column": dict(data=np.array(["a", "b"])),
    "All values": dict(data=np.ones(9)),
    "masked": dict(data=np.ma.masked_greater(Y, 15)),
    "3 different values: too few for 3": dict(data=np.arange(60.0) % 3),
    "0 occurs 6 times": dict(data=np.r_[Y, np.zeros(5)], own_widths=True),
    "3 occurs 4 times": dict(data=np.r_[Y, 3, 3, 3, 7, 7], own_widths=True),
    "3 occurs 15 times.*-0.5, 0.5": dict(
        data=np.int8(np.arange(300) % 20 + 3), own_widths=True, k=np.ones(4) / 4
    ),
}


@pytest.mark.parametrize("complaint", REFUSED)
def test_bad_arguments_are_refused_in_a_sentence(tutorial, complaint):
    given = dict(data=Y, k=3, priors=tutorial["priors"]) | REFUSED[complaint]
    with pytest.raises(ValueError, match=complaint) as refusal:
        tutorial["gibbs"](**given)
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)


def test_an_interrupt_keeps_what_all_chains_have(tutorial, capsys):
    def press():
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    run = tutorial["gibbs"](simulate(), 3, tutorial["priors"], draws=1_000_000)
    draws = run.posterior.sizes["draw"]
    assert 100 < draws < 1_000_000 and run.posterior.sizes["chain"] == 32
    assert f"stopped after {draws:,} of 1,000,000 draws" in capsys.readouterr().out


def test_a_long_run_shows_progress(tutorial, capsys):
    assert list(tutorial["progress"](range(3))) == [0, 1, 2]
    assert capsys.readouterr().out == ""
    for _ in tutorial["progress"](range(3), seconds=0):
        time.sleep(0.01)
    assert "[3/3" in capsys.readouterr().out


def test_a_far_outlier_keeps_its_cluster(tutorial):
    """Every density underflows there; the point still belongs to the nearest cluster."""
    y = np.r_[np.linspace(-1, 1, 50), np.linspace(9, 11, 50), 1e6]
    terms = tutorial["standard_powers"](y[None], 0, 1)
    state = np.full((2, 2), 0.5), np.array([[0.0, 10.0]] * 2), np.full((2, 2), 0.1)
    sums = tutorial["cluster_sums"](terms, *state, np.random.default_rng(0))
    np.testing.assert_allclose(sums[0], [[50, 51]] * 2)
    np.testing.assert_allclose(sums[1], [[0, 500 + 1e6]] * 2, atol=1e-6)


@pytest.mark.parametrize(
    "k, times, infinite",
    [
        (2, (6,), True), (2, (5,), False), (2, (4, 4), False),
        (3, (6,), True), (3, (4, 3), True), (3, (3, 3), False),
        (6, (2,) * 5, True), (6, (2,) * 4, False), (6, (), False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shift", [0, 1e9])
def test_ties_are_too_many_if_the_integral_is_infinite(
    tutorial, k, times, infinite, shift
):
    """J of k clusters on values that occur m_j times: sum (m_j + 3) >= 4 k + 0.4."""
    repeats = np.sort([m - 1 for m in times])[::-1][: k - 1]
    assert (repeats.sum() + 4 * (k - 1) >= 4 * k + 0.4) == infinite
    values = np.repeat(0.1 * np.arange(30) + shift, [*times, *[1] * (30 - len(times))])
    values += 1e-16 * np.arange(values.size)  # the computer's digits
    found, *_, step = tutorial["ties"](np.r_[values, shift + 0.123], k)
    assert found == infinite
    assert step == pytest.approx(0.1, rel=1e-4)  # though one value is finer


def test_many_different_values_are_no_ties(tutorial):
    values = np.random.default_rng(0).standard_normal(300_000)
    assert not tutorial["ties"](values, 30)[0]


def test_equal_values_short_of_the_limit(tutorial):
    """Five are taken, and no width shrinks below what the sums' digits can tell."""
    y = np.r_[np.random.default_rng(0).normal(5, 1, 200), np.zeros(5)]
    run = tutorial["gibbs"](y, 2, tutorial["own_priors"](y), own_widths=True, draws=500)
    assert run.posterior["sd"].min() >= 0.99e-6 * y.std()
    assert np.abs(run.posterior["means"]).max() < 100
    again = tutorial["gibbs"](np.repeat(y, 2), 2, tutorial["own_priors"](y), draws=500)
    assert np.isfinite(again.posterior["sd"]).all()  # one width: ties do no harm


@pytest.mark.parametrize(
    "n, chains, k", [(11, 5, 9), (49, 4, 9), (440, 1, 7), (510, 6, 7)]
)
def test_empty_clusters_have_sums_of_zero(tutorial, n, chains, k):
    """Rounding errors in them would grow without limit where a width is small.

    In which shapes there are any depends on OpenBLAS's kernels for the processor."""
    y = np.random.default_rng(0).normal(0, 1, n)
    powers = tutorial["standard_powers"](y[None], -5, 0.7)
    means = np.where(np.arange(k) % 2, 1e4, 7 + 0.3 * np.arange(k))
    state = (
        np.full((chains, k), 1 / k),
        np.tile(means, (chains, 1)),
        np.ones((chains, k)),
    )
    sums = tutorial["cluster_sums"](powers, *state, np.random.default_rng(0))
    np.testing.assert_array_equal(sums[:, :, 1::2], 0)
    assert sums[0].sum() == n * chains


# the number of clusters


def test_the_number_s_factors_are_the_formula(tutorial):
    """P(k) k! / (k - k₊)! Γ(kα) / Γ(n + kα) ∏ Γ(n_j + α) / Γ(α), in whole numbers."""
    prior, alpha, counts = np.array([0.4, 0.3, 0, 0.3]), 1 / np.arange(1, 5), [3, 0, 2]
    n, occupied, gamma = sum(counts), sum(x > 0 for x in counts), math.gamma
    of_k, names, of_count = tutorial["log_factors"](prior, alpha, n)
    for i, (of_prior, a) in enumerate(zip(prior, alpha)):
        k = i + 1
        expected = 0.0
        if k >= occupied:
            expected = of_prior * math.factorial(k) / math.factorial(k - occupied)
            expected *= gamma(k * a) / gamma(n + k * a)
            expected *= math.prod(gamma(x + a) / gamma(a) for x in counts if x)
        found = np.exp(of_k + names[occupied] + of_count[counts].sum(axis=0))[i]
        assert found == pytest.approx(expected, rel=1e-12)


def test_galaxies_reproduce_richardson_and_green(executed):
    """Their Table 1 for 3 to 8 components, with their priors."""
    table = executed.evaluate("of_galaxies").loc[3:8]
    published = np.array([0.061, 0.128, 0.182, 0.199, 0.160, 0.109])
    assert table["published k"].tolist() == published.tolist()
    assert (abs(table["k"] - published) < 4 * table["k ±"]).all(), table
    assert table["k ±"].max() < 0.012


def test_a_number_that_stands_still_is_not_trusted(tutorial):
    rng = np.random.default_rng(0)
    y = np.r_[rng.normal(-50, 1, 2_500), rng.normal(50, 1, 2_500)]
    options = dict(own_widths=True, draws=100)
    run = tutorial["gibbs"](
        y, priors=tutorial["own_priors"](y), **tutorial["reserve"], **options
    )
    assert "NOT TO BE TRUSTED" in tutorial["number_of_clusters"](run)[1]
    constant = run.copy()
    constant.posterior = run.posterior * 0 + 3  # no chain ever moved
    assert "NOT TO BE TRUSTED" in tutorial["number_of_clusters"](constant)[1]
    free = np.random.default_rng(1).integers(1, 4, (32, 500))
    free = az.from_dict({"k": free, "occupied": free})
    table, verdict = tutorial["number_of_clusters"](free)
    assert verdict == "the chains agree"
    np.testing.assert_allclose(table["k"].loc[1:3], 1 / 3, atol=0.05)


# columns of one's own

r = np.random.default_rng(2)
COLUMNS = {
    "Int64": pd.array(np.r_[r.poisson(20, 150), r.poisson(60, 150)], dtype="Int64"),
    "Float64": pd.Series(
        np.r_[r.normal(0, 1, 99), r.normal(9, 1, 99)], dtype="Float64"
    ),
    "integers with ties": np.r_[r.integers(0, 4, 200), r.integers(9, 14, 200)],
    "1e-6": 1e-6 * np.r_[r.normal(0, 1, 200), r.normal(8, 2, 200)],
    "two far outliers": np.r_[r.normal(0, 1, 200), r.normal(8, 2, 200), 900, -500],
    "widths 1 to 10": np.r_[
        r.normal(0, 1, 500), r.normal(15, 3, 500), r.normal(50, 10, 500)
    ],
    "bimodal 100,000": np.r_[r.normal(0, 1, 60_000), r.normal(6, 2, 40_000)],
    "a list of ties": [1, 1, 1, 1, 2, 2, 2, 3, 3, 8, 8, 8, 9, 9, 10] * 5,
    "a heap of zeros": np.r_[np.zeros(60), r.normal(5, 1, 240)],
    "two places of decimals": np.round(
        np.r_[r.normal(0, 0.1, 900), r.normal(1, 0.1, 900)], 2
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_own_column(tutorial, name, section):
    """The section's own cells, from the one that is edited to the last."""
    names = dict(tutorial) | {"display": lambda table: None}
    known = {
        "a heap of zeros": 2,
        "two places of decimals": 2,
        "widths 1 to 10": 3,
        "bimodal 100,000": 2,
        "two far outliers": 4,
    }
    edited, *following = section("Your own column")
    exec(edited, names)
    names |= {"column": COLUMNS[name], "unit": "unit", "clusters": known.get(name, 2)}
    for source in following:
        if "own_agreement" in source or "own = " in source:
            exec(source, names)
    own = names["own"].posterior
    column = np.asarray(names["column"], float)
    assert len(names["own_membership"]) == len(column)
    assert np.isfinite(own["means"]).all()
    assert (own["sd"] >= 0.99e-6 * np.std(column)).all()
    assert (np.abs(own["means"] - np.median(column)) < 10 * np.ptp(column)).all()
    if name in known:
        r_hat, ess, passed = tutorial["convergence"](names["own"])
        assert passed == "converged" or name == "two far outliers", (r_hat, ess)
    if name == "widths 1 to 10":
        widths = own["sd"].mean(["chain", "draw"])
        np.testing.assert_allclose(widths, [1, 3, 10], rtol=0.2)
    if name == "a heap of zeros":
        share, place = own["p"].mean(["chain", "draw"])[0], own["means"][..., 0]
        assert abs(share - 0.2) < 0.03 and np.abs(place).max() < 1e-2
    if name == "bimodal 100,000":
        np.testing.assert_allclose(
            own["p"].mean(["chain", "draw"]), [0.6, 0.4], atol=0.02
        )


def test_nuts_agrees_on_real_data_with_own_widths(tutorial):
    """The galaxies under `marginal_model`, which shares no code with `gibbs`."""
    t, names = tutorial, ["p", "means", "sd"]
    priors = t["own_priors"](t["velocities"])
    with t["marginal_model"](t["velocities"], 3, priors, own_widths=True):
        nuts = t["pm"].sample(
            draws=500,
            tune=750,
            chains=4,
            cores=4,
            target_accept=0.95,
            init="adapt_diag",
            random_seed=1,
            progressbar=False,
            return_inferencedata=True,
            compute_convergence_checks=False,
            idata_kwargs={"log_likelihood": False},
        )
    run = t["gibbs"](t["velocities"], 3, priors, own_widths=True, draws=10_000)
    a, b = (
        t["az"].summary(x, var_names=names, round_to="none").sort_index()
        for x in (nuts, run)
    )
    assert list(a.index) == list(b.index) and len(a) == 9
    apart = (a["mean"] - b["mean"]).abs() / np.hypot(a["mcse_mean"], b["mcse_mean"])
    assert apart.max() < 5, apart
    assert a["ess_bulk"].min() > 100, a
