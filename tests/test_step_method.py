"""The tutorial's step method is the stock class's Markov kernel, and refuses models where it would not be."""

import numpy as np
import pymc3 as pm
import pytest
import theano
import theano.tensor as tt
from scipy import stats

K = 3
P = np.array([0.2, 0.3, 0.5])
MEANS = np.array([-1.0, 0.0, 1.5])
SD = 1.2
Y = np.array([-1.3, 0.4, 0.9])


def mixture(y, k=K, shape=None):
    """A mixture with every parameter but the categories known."""
    with pm.Model() as model:
        category = pm.Categorical(
            "category", p=P[:k] / P[:k].sum(), shape=shape or np.shape(y)
        )
        pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=y)
    return model


def exact_transitions(y):
    return transitions(P * stats.norm.pdf(y, MEANS, SD))


def transitions(target):
    """Matrix (k, k): another category uniformly, accepted with the Metropolis probability."""
    matrix = np.minimum(1, target[None, :] / target[:, None]) / (len(target) - 1)
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


# each class with the number of copies of every point and of sweeps: 8,000 or 40,000 transitions from every state
@pytest.mark.parametrize(
    "name, copies, sweeps",
    [("stock", 4, 2_000), ("vectorized", 4, 10_000), ("vectorized", 400, 100)],
)
def test_transition_probabilities(tutorial, name, copies, sweeps):
    cls = {
        "stock": pm.CategoricalGibbsMetropolis,
        "vectorized": tutorial["VectorizedCategoricalGibbsMetropolis"],
    }[name]
    np.random.seed(1)
    # every value of y from every starting category, all side by side in one model
    cases = [(y, before) for y in Y for before in range(K)]
    y_of, start = (np.repeat(column, copies) for column in zip(*cases))
    with mixture(y_of):
        step = cls(vars=[pm.modelcontext(None)["category"]])
    counts = (
        observed_transitions(step, y_of, start, sweeps)
        .reshape(len(cases), copies, K)
        .sum(axis=1)
    )
    for (y, before), count in zip(cases, counts):
        expected = exact_transitions(y)[before] * count.sum()
        possible = expected > 0
        assert (count[~possible] == 0).all()
        p_value = stats.chisquare(count[possible], expected[possible]).pvalue
        # 27 tests at 1e-6; a kernel that is off by one part in a hundred fails with certainty
        assert p_value > 1e-6, (
            f"from category {before} at y = {y}: {count} transitions instead of {expected.round()}"
        )


def test_points_move_independently(tutorial):
    """Two points in one sweep: the chance that both move is the product of the chances."""
    with mixture(np.array([0.4, 0.4])) as model:
        step = tutorial["VectorizedCategoricalGibbsMetropolis"](
            vars=[model["category"]]
        )
    np.random.seed(2)
    start = np.array([1, 1])
    after = np.array(
        [step.step({"category": start})["category"] for _ in range(20_000)]
    )
    table = np.zeros((K, K))
    np.add.at(table, tuple(after.T), 1)
    expected = np.outer(exact_transitions(0.4)[1], exact_transitions(0.4)[1]) * len(
        after
    )
    assert stats.chisquare(table.ravel(), expected.ravel()).pvalue > 1e-6


@pytest.mark.parametrize("k, n", [(2, 1), (3, 2), (3, 50_000)])
def test_any_number_of_clusters_and_points(tutorial, k, n):
    with mixture(np.linspace(-2, 2, n), k=k) as model:
        step = tutorial["VectorizedCategoricalGibbsMetropolis"](
            vars=[model["category"]]
        )
    point = model.test_point
    seen = set()
    for _ in range(50):
        point = step.step(point)
        assert point["category"].shape == (n,) and point["category"].dtype.kind == "i"
        seen |= set(point["category"])
    assert seen == set(range(k))


def hidden_markov_chain():
    category = pm.Categorical("category", p=P, shape=20)
    pm.Potential(
        "transitions",
        tt.sum(
            tt.switch(tt.eq(category[1:], category[:-1]), np.log(0.9), np.log(0.05))
        ),
    )
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
            return tt.sum(
                tt.switch(tt.eq(value[1:], value[:-1]), np.log(0.9), np.log(0.05))
            )

    category = MarkovChain("category", p=P, shape=20)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def neighbors_in_the_likelihood():
    means = pm.Normal(
        "means", mu=0, sigma=15, shape=K
    )  # all zero at the test point: no dependence shows there
    category = pm.Categorical("category", p=P, shape=20)
    mu = means[category]
    pm.Normal(
        "obs",
        mu=mu + 0.5 * tt.concatenate([[0.0], mu[:-1]]),
        sigma=SD,
        observed=np.zeros(20),
    )


def category_of_another_shape():
    category = pm.Categorical("category", p=P, shape=20)
    pm.Normal(
        "obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros((30, 20))
    )


def one_category_for_all_points():
    category = pm.Categorical("category", p=P)
    pm.Normal("obs", mu=tt.constant(MEANS)[category], sigma=SD, observed=np.zeros(20))


def weighted_likelihood():
    category = pm.Categorical("category", p=P, shape=20)
    pm.Normal(
        "obs",
        mu=tt.constant(MEANS)[category],
        sigma=SD,
        observed=np.zeros(20),
        total_size=2000,
    )


REFUSED = [
    hidden_markov_chain,
    hidden_markov_chain_as_distribution,
    scalar_hidden_markov_chain,
    neighbors_in_the_likelihood,
    category_of_another_shape,
    one_category_for_all_points,
    weighted_likelihood,
]


@pytest.mark.parametrize("build", REFUSED, ids=lambda f: f.__name__)
def test_refuses_dependent_categories(tutorial, build):
    with theano.config.change_flags(cxx=""), pm.Model() as model:  # no minute of C++
        build()
        with pytest.raises(ValueError, match="cannot all be updated at once"):
            tutorial["VectorizedCategoricalGibbsMetropolis"]([model["category"]])


def widths(category):
    """Exercise 2: a width for each cluster."""
    sd = np.array([0.8, 1.2, 2.0])
    pm.Normal(
        "obs", tt.constant(MEANS)[category], tt.constant(sd)[category], observed=Y9
    )
    return stats.norm.pdf(Y[:, None], MEANS, sd)


def two_variables(category):
    """Exercise 3: a second observed variable over the same categories."""
    other = np.array([2.0, -1.0, 0.5])
    pm.Normal("obs", tt.constant(MEANS)[category], SD, observed=Y9)
    pm.Poisson("count", tt.exp(tt.constant(other))[category], observed=np.full(9, 2))
    return stats.norm.pdf(Y[:, None], MEANS, SD) * stats.poisson.pmf(2, np.exp(other))


def a_prior_of_each_point(category):
    """A third kind of term."""
    pm.Normal("obs", tt.constant(MEANS)[category], SD, observed=Y9)
    pm.Bernoulli("seen", tt.constant([0.9, 0.5, 0.1])[category], observed=np.ones(9))
    return stats.norm.pdf(Y[:, None], MEANS, SD) * np.array([0.9, 0.5, 0.1])


Y9 = np.repeat(Y, K)  # each value from every starting category


@pytest.mark.parametrize("build", [widths, two_variables, a_prior_of_each_point])
def test_samples_other_models_of_independent_categories(tutorial, build):
    """Exact transition probabilities again, with another density of each point."""
    with pm.Model() as model:
        density = build(pm.Categorical("category", p=P, shape=9))
        step = tutorial["VectorizedCategoricalGibbsMetropolis"]([model["category"]])
    np.random.seed(3)
    start = np.tile(np.arange(K), K)
    counts = observed_transitions(step, Y9, start, 10_000)
    for before, of_y, count in zip(start, np.repeat(P * density, K, axis=0), counts):
        expected = transitions(of_y)[before] * count.sum()
        possible = expected > 0
        assert stats.chisquare(count[possible], expected[possible]).pvalue > 1e-6


def test_takes_one_variable_and_only_a_categorical_one(tutorial):
    cls = tutorial["VectorizedCategoricalGibbsMetropolis"]
    with pm.Model():
        x = pm.Normal("x")
        a, b = (pm.Categorical(name, p=P, shape=4) for name in "ab")
        with pytest.raises(ValueError, match="a step for each"):
            cls(vars=[a, b])
        with pytest.raises(ValueError, match="categorical"):
            cls(vars=[x])
