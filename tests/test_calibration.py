"""Simulation-based calibration of the step methods that the tutorial defines.

Draw parameters from the prior and data from them. Then the parameters are one more draw of the posterior of these
data, and their rank among draws of a right sampler is uniform, for any quantity. Draws of a wrong one lie too low, too
high, too close together or too far apart, and the histogram of ranks over many data sets leans or bends.

Each chain starts at the parameters that made its data, so its draws are of the posterior from the first, however
slowly it mixes; that a step moves at all is therefore asked separately.

Sources: Talts, Betancourt, Simpson, Vehtari and Gelman (2018), "Validating Bayesian inference algorithms with
simulation-based calibration", arXiv 1804.06788; Modrák, Moon, Kim, Bürkner, Huurre, Faltejsková, Gelman and Vehtari
(2023), arXiv 2211.02383, for the likelihood as a quantity that depends on the data.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ROOT, cell_with, code_cells, run_here
from scipy import stats
from scipy.special import expit, softmax

K, N, DRAWS = 3, 12, 9  # clusters, points, and draws a data set, so ranks from 0 to 9
PRIOR = dict(center=1.0, scale=2.0, widest=3.0, min_weight=0.1)
QUANTITIES = ["p[0]", "p[1]", "p[2]", "means[0]", "means[1]", "means[2]", "sd", "log-likelihood", "share of cluster 0"]


def simulate(rng):
    """A point of the model from its prior, in PyMC3's coordinates, and data of shape (N,) from it."""
    p = np.zeros(K)
    while p.min() < PRIOR["min_weight"]:
        p = rng.dirichlet(np.ones(K))
    means = np.sort(rng.normal(PRIOR["center"], PRIOR["scale"], K))
    sd = rng.uniform(0, PRIOR["widest"])
    category = rng.choice(K, N, p=p)
    point = {
        "p_stickbreaking__": (np.log(p) - np.log(p).mean())[:-1],
        "means": means,
        "sd_interval__": np.log(sd / (PRIOR["widest"] - sd)),
        "category": category,
    }
    return point, rng.normal(means[category], sd)


def quantities(point, y):
    log_p, means, category = point["p_stickbreaking__"], point["means"], point["category"]
    sd = PRIOR["widest"] * expit(point["sd_interval__"])
    log_likelihood = -N * np.log(sd) - ((y - means[category]) ** 2).sum() / (2 * sd**2)
    return np.array([*softmax(np.append(log_p, -log_p.sum())), *means, sd, log_likelihood, (category == 0).mean()])


@pytest.fixture(scope="module")
def samplers(tutorial):
    """For each step method a function that takes new data and a point, and gives the chain from there."""
    y = np.linspace(-3, 5, N)
    with tutorial["mixture_model"](y, K, **PRIOR) as model:
        gibbs = tutorial["ConjugateGibbs"]([model[name] for name in ("p", "means", "sd", "category")])

    def conjugate_gibbs(y, point):
        gibbs.y = y
        while True:
            for _ in range(20):
                point = gibbs.step(point)
            yield point

    definition = cell_with("def mixture_model", code_cells())
    definition.source = definition.source.replace("observed=data", 'observed=pm.Data("y", data)')  # data to be replaced
    names = run_here([definition], dict(tutorial))
    with names["mixture_model"](y, K, **PRIOR) as model:
        p, sd, means, category = (model[name] for name in ("p", "sd", "means", "category"))
        metropolis = names["pm"].Metropolis(vars=[p, sd, means], tune_interval=50)
        categories = names["VectorizedCategoricalGibbsMetropolis"](vars=[category])

    def metropolis_and_categories(y, point):
        model["y"].set_value(y)
        metropolis.reset_tuning()
        for step in metropolis.methods:
            step.tune = True
        for _ in range(200):
            point = categories.step(metropolis.step(point)[0])
        metropolis.stop_tuning()
        while True:
            for _ in range(60):
                point = categories.step(metropolis.step(point)[0])
            yield point

    return {"Metropolis and categories": metropolis_and_categories, "ConjugateGibbs": conjugate_gibbs}


def ranks(sampler, sets, seed):
    """Rank of the truth among DRAWS draws for each data set and quantity, shape (sets, len(QUANTITIES))."""
    rng = np.random.default_rng(seed)
    np.random.seed(seed)
    below, equal = np.zeros((2, sets, len(QUANTITIES)), dtype=int)
    for i in range(sets):
        truth, y = simulate(rng)
        chain = sampler(y, truth)
        next(chain)  # forget the truth
        draws = np.array([quantities(next(chain), y) for _ in range(DRAWS)])
        assert np.isfinite(draws).all()
        here = quantities(truth, y)
        below[i], equal[i] = (draws < here).sum(axis=0), (draws == here).sum(axis=0)
    stands_still = (equal[:, :-2] == DRAWS).mean(axis=0)
    assert (stands_still < 0.1).all(), f"share of chains that never move: {dict(zip(QUANTITIES, stands_still))}"
    return rng.integers(below, below + equal + 1)


def judge(by_sampler):
    """Neyman's smooth test of each histogram: the three components of Pearson's chi-square that tell a lean, a bend
    and a twist. A histogram of a right sampler is refused with a chance of 4e-6, so one of all 18 with less than 1e-4.

    Source: Rayner, Thas and Best (2009), "Smooth Tests of Goodness of Fit", for the components.
    """
    cells = DRAWS + 1
    shapes = np.sqrt(cells) * np.linalg.qr(np.vander(np.arange(cells), 4, increasing=True))[0][:, 1:]
    for sampler, rank in by_sampler.items():
        counts = np.array([np.bincount(column, minlength=cells) for column in rank.T])
        p_values = stats.chi2.sf(((counts @ shapes) ** 2).sum(axis=1) / len(rank), shapes.shape[1])
        print(sampler, {name: float(f"{p_value:.2g}") for name, p_value in zip(QUANTITIES, p_values)})
        # 3e-6 by the chi-square distribution; simulated histograms of 200 and 1,000 ranks pass it 1.4 times as often
        bad = [f"{QUANTITIES[i]} {counts[i]}" for i in np.flatnonzero(p_values < 3e-6)]
        assert not bad, f"{sampler} does not sample the posterior: ranks 0 to {DRAWS} of the truth are {bad}"


@pytest.mark.parametrize("sampler, sets", [("Metropolis and categories", 200), ("ConjugateGibbs", 1_000)])
def test_ranks_are_uniform(samplers, sampler, sets):
    judge({sampler: ranks(samplers[sampler], sets, seed=1)})


@pytest.mark.long
def test_ranks_are_uniform_over_many_data_sets(samplers, sets=2_000):
    by_sampler = {name: ranks(sampler, sets, seed=2) for name, sampler in samplers.items()}
    fig, axes = plt.subplots(len(QUANTITIES), len(by_sampler), figsize=(8, 16), sharex=True, sharey=True)
    band = stats.binom.ppf([0.005, 0.995], sets, 1 / (DRAWS + 1))
    for column, (sampler, rank) in zip(axes.T, by_sampler.items()):
        for ax, name, of_quantity in zip(column, QUANTITIES, rank.T):
            ax.axhspan(*band, color="C0", alpha=0.3, lw=0)
            ax.bar(np.arange(DRAWS + 1), np.bincount(of_quantity, minlength=DRAWS + 1), color="0.5", width=0.8)
            ax.set(title=f"{name}, {sampler}", ylabel="data sets")
            ax.title.set_size("medium")
        ax.set_xlabel("rank of the truth among the draws")
    figure = ROOT / "build" / "calibration.png"
    figure.parent.mkdir(exist_ok=True)
    fig.savefig(figure, bbox_inches="tight")
    print(f"{figure}: {sets} data sets; the band holds 99 % of the bars of a right sampler")
    judge(by_sampler)
