"""The tutorial's step method is the stock class's Markov kernel, and refuses models where it would not be."""

import numpy as np
import pymc3 as pm
import pytest
import theano.tensor as tt
from conftest import edited, run_in_kernel
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


def test_samples_under_every_start_method():
    """The class is defined in a notebook, and a spawned process cannot import it from there."""
    notebook = edited(
        {"draws=20_000": "draws=100", "tune=5_000": "tune=100", "cores=chains,": "cores=2, mp_ctx=mp_ctx,"}
    )
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = next(i for i, cell in enumerate(cells) if "trace = pm.sample(" in cell.source)
    sampling = cells[last].source
    cells[last].source = "for mp_ctx in ('fork', 'forkserver', 'spawn'):\n" + "".join(
        f"    {line}\n" for line in [*sampling.splitlines(), "print(mp_ctx, dict(trace.posterior.sizes)['chain'])"]
    )
    notebook.cells = [
        cell for i, cell in enumerate(cells[: last + 1]) if "prints-times" not in cell.metadata.get("tags", [])
    ]
    outputs = run_in_kernel(notebook).cells[-1].outputs
    text = "".join(out.text for out in outputs if out.output_type == "stream")
    assert [line for line in text.splitlines() if line.endswith(" 4")] == ["fork 4", "forkserver 4", "spawn 4"]
    assert "singlethreaded" not in text
