"""The tutorial's step method is the stock class's Markov kernel, and refuses models where it would not be."""

import re

import arviz as az
import numpy as np
import pymc3 as pm
import pytest
import theano.tensor as tt
from conftest import cell_with, edited, run_in_kernel
from scipy import stats

K = 3
P = np.array([0.2, 0.3, 0.5])
MEANS = np.array([-1.0, 0.0, 1.5])
SD = 1.2
Y = np.array([-1.3, 0.4, 0.9])


def mixture(y, k=K, shape=None):
    """A mixture with every parameter but the categories known."""
    with pm.Model() as model:
        category = pm.Categorical("category", p=P[:k] / P[:k].sum(), shape=shape or np.shape(y))
        pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=y)
    return model


def exact_transitions(y, k=K):
    """Matrix (k, k): another category uniformly, accepted with the Metropolis probability."""
    target = P[:k] * stats.norm.pdf(y, MEANS[:k], SD)
    matrix = np.minimum(1, target[None, :] / target[:, None]) / (k - 1)
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return matrix


def observed_transitions(step, y_of, start, sweeps):
    """Counts (points, k) of the categories after one sweep from `start`, over many sweeps."""
    counts = np.zeros((len(y_of), K))
    for _ in range(sweeps):
        after = step.step({"category": start.copy()})["category"]
        counts[np.arange(len(y_of)), after] += 1
    return counts


# each class with the number of copies of every point and of sweeps: 40,000 transitions from every state
@pytest.mark.parametrize(
    "name, copies, sweeps", [("stock", 4, 10_000), ("vectorized", 4, 10_000), ("vectorized", 400, 100)]
)
def test_transition_probabilities(tutorial, name, copies, sweeps):
    cls = {"stock": pm.CategoricalGibbsMetropolis, "vectorized": tutorial["VectorizedCategoricalGibbsMetropolis"]}[name]
    np.random.seed(1)
    # every value of y from every starting category, all side by side in one model
    cases = [(y, before) for y in Y for before in range(K)]
    y_of, start = (np.repeat(column, copies) for column in zip(*cases))
    with mixture(y_of):
        step = cls(vars=[pm.modelcontext(None)["category"]])
    counts = observed_transitions(step, y_of, start, sweeps).reshape(len(cases), copies, K).sum(axis=1)
    for (y, before), count in zip(cases, counts):
        expected = exact_transitions(y)[before] * count.sum()
        possible = expected > 0
        assert (count[~possible] == 0).all()
        p_value = stats.chisquare(count[possible], expected[possible]).pvalue
        # 27 tests at 1e-6; a kernel that is off by one part in a hundred fails with certainty
        assert p_value > 1e-6, f"from category {before} at y = {y}: {count} transitions instead of {expected.round()}"


def test_points_move_independently(tutorial):
    """Two points in one sweep: the chance that both move is the product of the chances."""
    with mixture(np.array([0.4, 0.4])) as model:
        step = tutorial["VectorizedCategoricalGibbsMetropolis"](vars=[model["category"]])
    np.random.seed(2)
    start = np.array([1, 1])
    after = np.array([step.step({"category": start})["category"] for _ in range(20_000)])
    table = np.zeros((K, K))
    np.add.at(table, tuple(after.T), 1)
    expected = np.outer(exact_transitions(0.4)[1], exact_transitions(0.4)[1]) * len(after)
    assert stats.chisquare(table.ravel(), expected.ravel()).pvalue > 1e-6


@pytest.mark.parametrize("k, n", [(2, 1), (3, 2), (3, 50_000)])
def test_any_number_of_clusters_and_points(tutorial, k, n):
    with mixture(np.linspace(-2, 2, n), k=k) as model:
        step = tutorial["VectorizedCategoricalGibbsMetropolis"](vars=[model["category"]])
    point = model.test_point
    seen = set()
    for _ in range(50):
        point = step.step(point)
        assert point["category"].shape == (n,) and point["category"].dtype.kind == "i"
        seen |= set(point["category"])
    assert seen == set(range(k))


def hidden_markov_chain():
    category = pm.Categorical("category", p=P, shape=20)
    pm.Potential("transitions", tt.sum(tt.switch(tt.eq(category[1:], category[:-1]), np.log(0.9), np.log(0.05))))
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def hidden_markov_chain_as_distribution():
    class MarkovChain(pm.Categorical):
        def logp(self, value):
            stay = tt.switch(tt.eq(value[1:], value[:-1]), np.log(0.9), np.log(0.05))
            return tt.concatenate([tt.zeros(1), stay])

    category = MarkovChain("category", p=P, shape=20)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def scalar_hidden_markov_chain():
    class MarkovChain(pm.Categorical):
        def logp(self, value):
            return tt.sum(tt.switch(tt.eq(value[1:], value[:-1]), np.log(0.9), np.log(0.05)))

    category = MarkovChain("category", p=P, shape=20)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def neighbors_in_the_likelihood():
    means = pm.Normal("means", mu=0, sigma=15, shape=K)  # all zero at the test point: no dependence shows there
    category = pm.Categorical("category", p=P, shape=20)
    mu = means[category]
    pm.Normal("obs", mu=mu + 0.5 * tt.concatenate([[0.0], mu[:-1]]), sigma=SD, observed=np.zeros(20))


def two_mixtures_over_the_same_category():
    category = pm.Categorical("category", p=P, shape=20)
    for name in ("length", "weight"):
        pm.Normal(name, mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def category_of_another_shape():
    category = pm.Categorical("category", p=P, shape=20)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros((30, 20)))


def one_category_for_all_points():
    category = pm.Categorical("category", p=P)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def weighted_likelihood():
    category = pm.Categorical("category", p=P, shape=20)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20), total_size=2000)


REFUSED = {
    hidden_markov_chain: "transitions",
    hidden_markov_chain_as_distribution: "changes with the category of another",
    scalar_hidden_markov_chain: "shape",
    neighbors_in_the_likelihood: "changes with the category of another",
    two_mixtures_over_the_same_category: "length and weight",
    category_of_another_shape: "shape",
    one_category_for_all_points: "shape",
    weighted_likelihood: "not the sum",
}


@pytest.mark.parametrize("build", REFUSED, ids=lambda f: f.__name__)
def test_refuses_dependent_categories(tutorial, build):
    with pm.Model() as model:
        build()
        with pytest.raises(ValueError, match=REFUSED[build]):
            tutorial["VectorizedCategoricalGibbsMetropolis"](vars=[model["category"]])


def test_takes_one_variable_and_only_a_categorical_one(tutorial):
    cls = tutorial["VectorizedCategoricalGibbsMetropolis"]
    with pm.Model():
        x = pm.Normal("x")
        a, b = (pm.Categorical(name, p=P, shape=4) for name in "ab")
        with pytest.raises(ValueError, match="a step for each"):
            cls(vars=[a, b])
        with pytest.raises(ValueError, match="categorical"):
            cls(vars=[x])


def test_samples_under_other_start_methods():
    """The classes are defined in a notebook, and a process that does not fork cannot import them from there."""
    notebook = edited({"draws=20_000, tune=5_000": "draws=100, tune=100"})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    upto = [cell for cell in cells if "prints-times" not in cell.metadata.get("tags", [])]
    upto = upto[: upto.index(cell_with("trace = pm.sample(", cells))]
    sampling = cell_with("trace = pm.sample(", cells)
    sampling.source = sampling.source.replace("chains = 4", "chains = 2").split("    # a process for each chain")[0]
    sampling.source += """    gibbs_step = ConjugateGibbs(vars=[p, means, sd, category])
    for mp_ctx in ("forkserver", "spawn"):
        for step in (steps, gibbs_step):
            trace = pm.sample(100, tune=100, step=step, chains=2, cores=2, mp_ctx=mp_ctx, **settings)
            print("sampled", mp_ctx, trace.posterior.sizes["chain"])
"""
    notebook.cells = [*upto, cell_with("class ConjugateGibbs", cells), sampling]
    outputs = run_in_kernel(notebook).cells[-1].outputs
    text = "".join(out.text for out in outputs if out.output_type == "stream")
    assert re.findall("sampled .*", text) == ["sampled forkserver 2"] * 2 + ["sampled spawn 2"] * 2
    assert "singlethreaded" not in text


def conjugate_gibbs(tutorial, model, **constraints):
    variables = [model[name] for name in ("p", "means", "sd", "category")]
    return tutorial["ConjugateGibbs"](variables, model=model, **constraints)


def test_conjugate_gibbs_gets_it_right(tutorial):
    """Geweke (2004), "Getting it right": draws of parameters given data and of data given parameters, in turn,
    have the prior as their marginal distribution. Any mistake in any conditional moves it."""
    k, n, center, scale, widest, min_weight = 3, 6, 1.0, 2.0, 3.0, 0.1
    rng = np.random.default_rng(5)
    np.random.seed(5)
    start = np.sort(center + scale * rng.standard_normal(n))
    priors = dict(center=center, scale=scale, widest=widest, min_weight=min_weight)
    with tutorial["mixture_model"](start, k, **priors) as model:
        step = conjugate_gibbs(tutorial, model)
    point, chain = model.test_point, []
    for _ in range(60_000):
        point = step.step(point)
        log_p = np.append(point["p_stickbreaking__"], -point["p_stickbreaking__"].sum())
        sd = widest / (1 + np.exp(-point["sd_interval__"]))
        step.y = point["means"][point["category"]] + sd * rng.standard_normal(n)
        chain.append([*np.exp(log_p) / np.exp(log_p).sum(), *point["means"], sd])
    chain = np.array(chain)

    p = rng.dirichlet(np.ones(k), 400_000)
    p = p[p.min(axis=1) >= min_weight]
    means = np.sort(center + scale * rng.standard_normal((len(p), k)), axis=1)
    prior = np.column_stack([p, means, rng.uniform(0, widest, len(p))])
    for name, function in {"mean": lambda x: x, "square": lambda x: (x - 0.5) ** 2}.items():
        a, b = function(chain), function(prior)
        error = [np.hypot(az.mcse(x[None], method="mean"), y.std() / len(y) ** 0.5) for x, y in zip(a.T, b.T)]
        z = (a.mean(axis=0) - b.mean(axis=0)) / error
        # 14 statistics: a false alarm has a chance of 1e-4, and a mistake of a tenth of a prior's width shows
        assert np.abs(z).max() < 4.5, f"{name} of p, means, sd is off by {z.round(1)} errors"


def test_draws_that_do_not_fit_are_not_drawn_again(tutorial, monkeypatch):
    """With all points in one cluster hardly any weights reach 0.1, and to draw until they do would never end."""
    with tutorial["mixture_model"](np.random.default_rng(0).standard_normal(500), 3) as model:
        step = conjugate_gibbs(tutorial, model)
    draw, calls = np.random.standard_gamma, []

    def counted(*args):
        calls.append(args)
        assert len(calls) <= 2, "the weights were drawn again instead of kept"
        return draw(*args)

    monkeypatch.setattr(np.random, "standard_gamma", counted)
    before = {**model.test_point, "means": np.array([-90.0, 0.0, 90.0])}
    after = step.step(before)
    assert set(after["category"]) == {1} and len(calls) == 2
    np.testing.assert_array_equal(after["p_stickbreaking__"], before["p_stickbreaking__"])


def sd_of_each_cluster(tutorial):
    category = pm.Categorical("category", p=pm.Dirichlet("p", a=np.ones(K)), shape=20)
    means, sd = pm.Normal("means", 0, 15, shape=K), pm.Uniform("sd", 0, 20, shape=K)
    pm.Normal("obs", mu=means[category], sigma=sd[category], observed=np.zeros(20))


def other_prior_of_weights(tutorial, k=K):
    p = pm.Dirichlet("p", a=2 * np.ones(k))
    category = pm.Categorical("category", p=p, shape=20)
    means, sd = pm.Normal("means", 0, 15, shape=k), pm.Uniform("sd", 0, 20)
    pm.Normal("obs", mu=means[category], sigma=sd, observed=np.zeros(20))
    return p, means


def other_prior_of_many_weights(tutorial):
    """Random weights of eight clusters hardly ever reach 0.1: the check must look where the model allows them."""
    p, means = other_prior_of_weights(tutorial, k=8)
    pm.Potential("p_min_potential", tt.switch(tt.min(p) < 0.1, -np.inf, 0))
    pm.Potential("order_means_potential", tt.switch(tt.any(means[1:] < means[:-1]), -np.inf, 0))


@pytest.mark.parametrize(
    "build, constraints",
    [
        (lambda t: t["mixture_model"](np.arange(20.0), K), {"min_weight": 0.05}),
        (lambda t: t["mixture_model"](np.arange(20.0), K, min_weight=0.02), {}),
        (lambda t: t["mixture_model"](np.arange(20.0), K), {"ordered": False}),
        (lambda t: t["mixture_model"](np.arange(20.0), K, ordered=False), {}),
        (sd_of_each_cluster, {"min_weight": 0, "ordered": False}),
        (other_prior_of_weights, {"min_weight": 0, "ordered": False}),
        (other_prior_of_many_weights, {}),
    ],
    ids=["lower", "model lower", "unordered", "model unordered", "widths", "prior of weights", "prior of many weights"],
)
def test_conjugate_gibbs_refuses_other_models(tutorial, build, constraints):
    with pm.Model() as outer:
        built = build(tutorial)
    model = built if isinstance(built, pm.Model) else outer
    with model, pytest.raises(ValueError, match="posterior is not the one"):
        conjugate_gibbs(tutorial, model, **constraints)


@pytest.mark.parametrize("scale, n, k", [(1e-6, 500, 3), (1e6, 500, 3), (1.0, 50_000, 5), (1.0, 4, 4)])
def test_conjugate_gibbs_at_any_scale(tutorial, scale, n, k):
    rng = np.random.default_rng(1)
    np.random.seed(1)
    centers = 10.0 * np.arange(k)
    data = scale * (centers[np.arange(n) % k] + rng.standard_normal(n))
    priors = dict(center=data.mean(), scale=4 * data.std(), widest=5 * data.std())
    with tutorial["mixture_model"](data, k, **priors) as model:
        step = conjugate_gibbs(tutorial, model)
    point = model.test_point
    draws = []
    for _ in range(300):
        point = step.step(point)
        draws.append(point["means"] / scale)
    assert np.isfinite(draws).all()
    if n > k:
        np.testing.assert_allclose(np.mean(draws[100:], axis=0), centers, atol=0.5)


def test_a_far_outlier_keeps_its_cluster(tutorial):
    """Every cluster's density underflows at the outlier; it still belongs to the nearest."""
    data = np.r_[np.linspace(-1, 1, 50), np.linspace(9, 11, 50), 1e6]
    with tutorial["mixture_model"](data, 2) as model:
        step = conjugate_gibbs(tutorial, model)
    point = step.step({**model.test_point, "means": np.array([0.0, 10.0]), "sd_interval__": np.asarray(-3.0)})
    assert point["category"][-1] == 1


def test_log_components_are_the_marginal_likelihood(tutorial):
    """The density that leave-one-out uses, against SciPy's: the categories are summed out."""
    rng = np.random.default_rng(0)
    posterior = {"p": rng.dirichlet(np.ones(K), (2, 5)), "means": rng.standard_normal((2, 5, K))}
    posterior["sd"] = rng.uniform(0.5, 2, (2, 5))
    log_terms = tutorial["log_components"](Y, az.from_dict(posterior))
    p, means, sd = (posterior[name].reshape(10, -1, 1) for name in ("p", "means", "sd"))
    expected = (p * stats.norm.pdf(Y, means, sd)).sum(axis=1)
    np.testing.assert_allclose(np.exp(log_terms).sum(axis=1), expected, rtol=1e-12)
