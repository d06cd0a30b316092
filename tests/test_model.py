"""The models are the specified ones, and columns and settings that do not fit are refused."""

import shutil
import sysconfig

import numpy as np
import pandas as pd
import pytest
import theano
from conftest import MD, cell_that_defines, parsed
from scipy import stats


def test_data_are_the_specified_ones(tutorial):
    data = tutorial["data"]
    assert np.bincount(tutorial["v"]).tolist() == [160, 182, 158]
    moments = [data.mean(), data.std(ddof=1)]
    np.testing.assert_allclose(moments, [-0.01786, 4.09001], atol=5e-6)
    np.testing.assert_allclose(data[[194, 346, 422]], [1.953, -1.97, 0.703], atol=5e-4)


def test_model_has_the_specified_variables(tutorial):
    model, one, points = tutorial["model"], ("cluster",), ("obs_id",)
    shapes = {"p": (3,), "means": (3,), "sd": (), "category": (500,), "obs": (500,)}
    for name, shape in shapes.items():
        assert model[name].tag.test_value.shape == shape
    assert model.RV_dims == {"p": one, "means": one, "category": points, "obs": points}
    assert {name: list(values) for name, values in model.coords.items()} == {
        "cluster": list(range(3)),
        "obs_id": list(range(500)),
    }
    potentials = {potential.name for potential in model.potentials}
    assert potentials == {"p_min_potential", "order_means_potential"}


PRIORS = dict(center=1.0, scale=6.0, widest=4.0)


def log_density_at(model):
    """A function of untransformed values: the model's log-density in these, whatever
    coordinates PyMC3 samples in."""
    with theano.config.change_flags(cxx=""):
        log_density = model.logp_nojac

    def at(**values):
        point = {}
        for name, value in values.items():
            value, rv = np.asarray(value), model[name]
            if hasattr(rv, "transformation"):
                name, value = rv.transformed.name, rv.transformation.forward_val(value)
            point[name] = value
        return float(log_density(point))

    return at


def deterministics_at(model):
    """A function of untransformed values: those that the model records in their place."""
    names = {rv.name for rv in model.unobserved_RVs}
    inputs = [model[name] for name in ("rest", "z", "inverse") if name in names]
    found = ["p", "means", "sd"] if "inverse" in names else ["p", "means"]
    with theano.config.change_flags(cxx=""):
        function = theano.function(inputs, [model[name] for name in found])
    return lambda values: dict(
        zip(found, function(*(values[rv.name] for rv in inputs)))
    )


def log_priors(p, means, sd, min_weight, beta=None):
    """The page's formulas, up to a constant."""
    if p.min() < min_weight or (np.diff(means) < 0).any():
        return -np.inf
    total = stats.norm.logpdf(means, PRIORS["center"], PRIORS["scale"]).sum()
    if beta is not None:
        total += stats.gamma.logpdf(beta, 0.2, scale=PRIORS["widest"] ** 2 / 10)
        inverse = stats.gamma.logpdf(sd**-2.0, 2, scale=1 / beta)
        return total + inverse.sum()
    return total if 0 < sd < PRIORS["widest"] else -np.inf


def test_log_probability_of_the_mixture(tutorial):
    """Priors, potentials and likelihood at points inside and outside of the walls."""
    rng, k, min_weight = np.random.default_rng(0), 3, 0.1
    y = rng.normal(0, 3, 40)
    model = tutorial["mixture_model"](y, k, PRIORS, min_weight)
    unordered = tutorial["mixture_model"](y, k, PRIORS, min_weight, ordered=False)
    at, at_unordered = log_density_at(model), log_density_at(unordered)
    constant = np.log(2) - np.log(PRIORS["widest"])  # of Dirichlet(1, 1, 1), Uniform
    for i in range(30):
        p = min_weight + (1 - k * min_weight) * rng.dirichlet(np.ones(k))
        p = rng.permutation([0.09, 0.11, 0.8]) if i % 5 == 0 else p
        means = rng.normal(1, 6, k)
        means = means if i % 7 == 0 else np.sort(means)
        sd, category = rng.uniform(0.1, 4), rng.integers(0, k, y.size)
        likelihood = stats.norm.logpdf(y, means[category], sd).sum()
        likelihood += np.log(p[category]).sum() + constant
        here = dict(p=p, means=means, sd=sd, category=category)
        expected = likelihood + log_priors(p, means, sd, min_weight)
        assert (expected == -np.inf) == (i % 5 == 0 or (np.diff(means) < 0).any())
        np.testing.assert_allclose(at(**here), expected, rtol=1e-9)
        expected = likelihood + log_priors(p, np.sort(means), sd, min_weight)
        np.testing.assert_allclose(at_unordered(**here), expected, rtol=1e-9)


@pytest.mark.parametrize("min_weight", [0, 0.1])
@pytest.mark.parametrize("own_widths", [False, True], ids=["one width", "own widths"])
def test_log_probability_of_the_marginal_model(tutorial, own_widths, min_weight):
    """Twenty points: the density may differ by a constant factor and by nothing else."""
    rng, k, widest = np.random.default_rng(0), 3, PRIORS["widest"]
    y, differences = rng.normal(0, 3, 40), []
    model = tutorial["marginal_model"](y, k, PRIORS, own_widths, min_weight)
    at, deterministics = log_density_at(model), deterministics_at(model)
    for _ in range(20):
        rest, z = rng.dirichlet(np.ones(k)), np.sort(rng.standard_normal(k))
        p, means = min_weight + (1 - k * min_weight) * rest, 1 + 6 * z
        if own_widths:
            sd, beta = rng.uniform(0.2, 6, k), rng.gamma(0.5)
            widths = dict(inverse=(widest / sd) ** 2, beta=beta / widest**2)
        else:
            sd, beta = rng.uniform(0.2, widest), None
            widths = dict(sd=sd)
        density = p[:, None] * stats.norm.pdf(y, means[:, None], np.c_[sd * np.ones(k)])
        expected = np.log(density.sum(axis=0)).sum()
        expected += log_priors(p, means, sd, min_weight, beta)
        differences.append(at(rest=rest, z=z, **widths) - expected)
        of_point = deterministics({"rest": rest, "z": z, **widths})
        for name, value in dict(p=p, means=means, sd=sd).items():
            np.testing.assert_allclose(of_point.get(name, value), value)
    np.testing.assert_allclose(differences, differences[0], rtol=1e-9)


@pytest.mark.parametrize("k", [-2, 0, 1, 2.5, 10])
def test_impossible_numbers_of_clusters_are_refused(tutorial, k):
    with pytest.raises(ValueError, match="take a whole number from 2"):
        tutorial["mixture_model"](tutorial["data"], k, tutorial["priors"])


def test_as_many_clusters_as_the_smallest_weight_allows(tutorial):
    model = tutorial["mixture_model"](tutorial["data"], 9, tutorial["priors"])
    assert np.isfinite(log_density_at(model)(**untransformed_start(model)))


def untransformed_start(model):
    k = len(model.coords["cluster"])
    category = np.arange(len(model.coords["obs_id"])) % k
    return dict(p=np.ones(k) / k, means=np.arange(k), sd=1.0, category=category)


BAD_COLUMNS = {
    "np.array([])": "0 different values",
    "[]": "not numeric",
    "np.zeros((9, 2))": r"shape \(9, 2\)",
    "3.5": r"shape \(\)",
    "pd.DataFrame({'x': range(9)})": r"shape \(9, 1\)",
    "list('abcdef')": "not numeric",
    "list('123456')": "not numeric",
    "np.array([1, 2, None, 4, 5, 6])": "not numeric",
    "np.ones(9, dtype=bool)": "not numeric",
    "np.ones(9, dtype=complex)": "not numeric",
    "pd.Series(pd.date_range('2026-01-01', periods=9))": "not numeric",
    "np.array([1, 2, np.nan, 4, 5, 6])": r"data\[2\] is nan, and 1 are such",
    "np.array([1, 2, 3, -np.inf, 5, np.nan])": r"data\[3\] is -inf, and 2 are such",
    "pd.Series([1, 2, None, 4, 5, 6], dtype='Int64')": r"data\[2\] is nan",
    "np.ma.masked_greater([1.0, 2, 3, 4, 5, 9], 5)": "masked",
    "np.repeat([-5, -2, 0, 5], 100)": "4 different values",
}


@pytest.mark.parametrize("expression", BAD_COLUMNS)
def test_bad_columns_are_refused(tutorial, expression):
    with pytest.raises(ValueError, match=BAD_COLUMNS[expression]):
        tutorial["check_data"](eval(expression, dict(np=np, pd=pd)))


COLUMNS = [
    "[1, 2, 3, 4, 5]",
    "(1, 2, 3, 4, 5.5)",
    "range(1, 6)",
    "np.float32([1, 2, 3, 4, 5])",
    "pd.Series([1, 2, 3, 4, 5], index=list('cabca'))",
    "pd.Series([1, 2, 3, 4, 5], index=[7, 3, 3, 9, -1])",
    "pd.Series([1, 2, 3, 4, 5], dtype='Int64')",
    "pd.Series([1, 2, 3, 4, 5], dtype='Float64')",
    "np.ma.array([1.0, 2, 3, 4, 5])",
]


@pytest.mark.parametrize("expression", COLUMNS)
def test_columns_of_numbers_are_taken(tutorial, expression):
    column = eval(expression, dict(np=np, pd=pd))
    checked = tutorial["check_data"](column)
    assert type(checked) is np.ndarray and checked.dtype == float
    assert checked.tolist() == [float(x) for x in column]


@pytest.mark.parametrize("missing", ["compiler", "headers", "theano's own setting"])
def test_a_missing_compiler_is_told(tutorial, monkeypatch, missing):
    """Before anything is compiled, with what to install on three systems."""
    cell = cell_that_defines(
        "independent_terms" if "theano" in missing else "how_to_install"
    )
    if missing == "compiler":
        monkeypatch.setattr(shutil, "which", lambda name: None)
    if missing == "headers":
        monkeypatch.setattr(sysconfig, "get_path", lambda name: "/nowhere")
    flags = {"cxx": ""} if "theano" in missing else {}
    with theano.config.change_flags(**flags):
        with pytest.raises(RuntimeError, match="apt install.*xcode-select.*conda inst"):
            exec(compile(parsed(cell), MD.name, "exec"), dict(tutorial))
