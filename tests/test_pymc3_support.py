"""The vectorized step is the stock class's kernel and is refused where it would not be; PyMC3 is made ready."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pymc3 as pm
import pytest
import theano
import theano.tensor as tt
from page import ROOT, code_cells, defined, read
from scipy import stats
from theano.graph.fg import FunctionGraph
from theano.graph.op import COp
from theano.link.c.basic import CLinker

import pymc3_support
from pymc3_support import independent_terms

K = 3
P = np.array([0.2, 0.3, 0.5])
MEANS = np.array([-1.0, 0.0, 1.5])
SD = np.array([0.8, 1.2, 2.0])
Y = np.array([-1.3, 0.4, 0.9])
NAMES = dict(np=np, pm=pm, independent_terms=independent_terms)
Vectorized = defined("VectorizedCategoricalGibbsMetropolis", **NAMES)


def categories(shape, kind=pm.Categorical, p=P):
    return kind("category", p=p, shape=shape)


def of(values, category):
    return tt.constant(values)[category]


def one_width(y):
    pm.Normal("obs", of(MEANS, categories(len(y))), SD[1], observed=y)
    return P * stats.norm.pdf(Y[:, None], MEANS, SD[1])


def terms_of_all_kinds(y):
    """Weights of each point, a width for each cluster, another observed variable, and a
    potential that is computed element by element, a column."""
    p, factor = np.array([P, P[::-1], P]), np.array([[2.0, 1, 1], [1, 4, 3], [1, 1, 1]])
    number, rate = np.searchsorted(Y, y), np.array([5.0, 0.5, 1.5])
    category = categories(len(y), p=p[number])
    pm.Normal("obs", of(MEANS, category), of(SD, category), observed=y)
    pm.Poisson("count", of(rate, category), observed=np.full(len(y), 2))
    pm.Potential("factor", tt.log(tt.constant(factor)[number, category])[:, None])
    normal = stats.norm.pdf(Y[:, None], MEANS, SD)
    return p * factor * normal * stats.poisson.pmf(2, rate)


def transitions(target):
    """Matrix (k, k): another category uniformly, accepted by Metropolis' rule."""
    matrix = np.minimum(1, target[None, :] / target[:, None]) / (len(target) - 1)
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return matrix


@pytest.mark.parametrize(
    "build, copies, sweeps, stock",
    [
        (one_width, 4, 1_000, True),
        (one_width, 400, 100, False),
        (terms_of_all_kinds, 40, 2_000, False),
    ],
)
def test_transition_probabilities(build, copies, sweeps, stock):
    """From any category, side by side; counts of copies that depend vary too much."""
    y = np.repeat(Y, K * copies)
    start = np.tile(np.repeat(np.arange(K), copies), len(Y))
    with pm.Model() as model:
        target = build(y)
        kind = pm.CategoricalGibbsMetropolis if stock else Vectorized
        step = kind([model["category"]])
    np.random.seed(1)
    counts = np.zeros((len(y), K))
    for _ in range(sweeps):
        after = step.step({"category": start.copy()})["category"]
        counts[np.arange(len(y)), after] += 1
    counts = counts.reshape(len(Y), K, copies, K).sum(axis=2)
    expected = copies * sweeps * np.array([transitions(of_y) for of_y in target])
    possible = expected > 0
    assert (counts[~possible] == 0).all()
    fixed = counts.shape[0] * K - 1  # the sums of the rows, but for one
    test = stats.chisquare(counts[possible], expected[possible], ddof=fixed)
    assert test.pvalue > 1e-6, f"{counts} instead of {expected.round()}"


def test_takes_one_variable_and_only_a_categorical_one():
    with pm.Model():
        step = Vectorized([categories(1)])
        assert step.step({"category": np.array([0])})["category"] in range(K)
        for variables, said in [("ab", "a step for each"), ("x", "categorical")]:
            kind = pm.Normal if variables == "x" else pm.Bernoulli
            with pytest.raises(ValueError, match=said):
                Vectorized([kind(name, 0.5, shape=4) for name in variables])


def stay(c):
    return tt.switch(tt.eq(c[1:], c[:-1]), np.log(0.9), np.log(0.05))


# in the last two no category meets another, but the points are not the one axis, in order
DEPENDENT = {
    "a chain": lambda c: tt.concatenate([tt.zeros(1), stay(c)]),
    "a chain, summed": lambda c: tt.sum(stay(c)),
    "no small cluster": lambda c: tt.switch(tt.eq(c, 0).sum() < 3, -np.inf, 0),
    "not all in one": lambda c: tt.switch(tt.all(tt.eq(c, c[0])), -np.inf, of(P, c)),
    "pairs": lambda c: tt.eq(c[:, None], c),
    "distance from the average": lambda c: of(P, c) - of(P, c).sum() / 20,
    "a mask of the points": lambda c: of(np.arange(20.0), tt.lt(c, K)),
    "in another order": lambda c: of(P, c)[np.arange(20)[::-1]],
    "three a point": lambda c: of(np.eye(K), c),
}


@pytest.mark.parametrize("form", ["potential", "prior", "likelihood"])
@pytest.mark.parametrize("term", DEPENDENT)
def test_refuses_dependent_categories(term, form):
    f, kind = DEPENDENT[term], pm.Categorical
    if form == "prior":
        kind = type("Custom", (pm.Categorical,), {"logp": lambda self, c: f(c)})
    with pm.Model() as model:
        category = categories(20, kind)
        if form == "potential":
            pm.Potential("x", f(category))
        if form == "likelihood":
            pm.DensityDist("x", lambda _: f(category), observed=np.zeros(20))
    with pytest.raises(ValueError, match="cannot all be updated at once"):
        independent_terms([category], model)


OTHER = [(20, (30, 20), {}), ((), 20, {}), (20, 20, {"total_size": 2000})]


@pytest.mark.parametrize("shape, data, more", OTHER)
def test_refuses_other_than_one_term_a_point(shape, data, more):
    with pm.Model() as model:
        category = categories(shape)
        pm.Normal("obs", of(MEANS, category), observed=np.zeros(data), **more)
    with pytest.raises(ValueError, match="cannot all be updated at once"):
        independent_terms([category], model)


def test_refuses_a_table_of_categories():
    with pm.Model() as model:
        table = pm.Bernoulli("table", 0.5, shape=(4, 4))
        pm.Potential("symmetric", tt.switch(tt.eq(table, table.T), 0, -np.inf))
    with pytest.raises(ValueError, match="cannot all be updated at once"):
        independent_terms([table], model)


IMPORT = "import pymc3_support"
INSTALL = "RuntimeError: PyMC3 needs .*apt install.*xcode-select.*conda install"
UNTOUCHED = "sys.modules['pymc3'] = None; "  # to import it would be another error
HALF = f"sys.modules['pymc3.sampling'] = None\ntry: {IMPORT}\nexcept ImportError: pass"
BEFORE = {
    "pass": "^$",
    UNTOUCHED + "import shutil; shutil.which = lambda name: None": INSTALL,
    UNTOUCHED + "import sysconfig; sysconfig.get_path = lambda name: '/no'": INSTALL,
    "import os; os.environ['THEANO_FLAGS'] = 'cxx='": INSTALL,
    HALF: "RuntimeError: PyMC3 was imported only in part: restart the kernel",
}


@pytest.mark.parametrize("before, said", BEFORE.items())
def test_the_import_is_silent_or_says_what_to_do(before, said):
    command = [sys.executable, "-c", f"import sys\n{before}\n{IMPORT}"]
    ended = subprocess.run(command, cwd=ROOT, text=True, stderr=subprocess.PIPE)
    assert re.search(said, ended.stderr)


def test_the_page_says_what_it_misses(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymc3_support", None)
    with pytest.raises(
        ModuleNotFoundError, match="open this notebook where its zip file was unpacked"
    ):
        exec(code_cells(read())[0].source, {})


def test_headers_are_read_once_and_modules_found_again():
    """Also those of operations without properties, whatever a process calls a hash."""
    theano.function([], theano.shared(P) + 1)
    read = [*Path(theano.config.compiledir).glob("headers*.gch")]
    assert bool(read) == (CLinker.compile_args is pymc3_support.with_headers_read)
    with theano.config.change_flags(compute_test_value="off"):  # other tests' models
        x = tt.matrix()
        graph = FunctionGraph([x], [tt.nnet.Softmax()(x).dimshuffle(1, 0)])
    version, _ = CLinker().accept(graph).cmodule_key()
    assert (1,) in version


def test_metropolis_compares_with_all_terms_that_a_variable_enters():
    priors = dict(center=0, scale=3, widest=5)
    model = defined("mixture_model", np=np, pm=pm, tt=tt)(Y, 2, priors, 0)
    at = {**model.test_point, "means": np.array([0.3, 0.9])}
    variables = [model[x] for x in ("p", "sd", "means")]
    for step in pm.Metropolis(variables, model=model).methods:
        for variable, shared in step.shared.items():
            shared.set_value(at[variable])
        name, old = step.vars[0].name, at[step.vars[0].name]
        apart = model.logp({**at, name: old + 0.1}) - model.logp(at)
        found = step.delta_logp(*(np.atleast_1d(x) for x in (old + 0.1, old)))
        assert found == pytest.approx(apart)


def test_building_a_model_compiles_nothing(monkeypatch):
    monkeypatch.setattr(COp, "make_c_thunk", lambda *_: pytest.fail("it compiles"))
    with pm.Model():
        one_width(Y)


def test_a_stopped_run_keeps_all_chains():
    """What PyMC3 calls when it is interrupted, in place of its own."""
    traces = [range(30), range(20), range(25)]
    assert pm.sampling._choose_chains(traces, 10) == (traces, 20)
    with pytest.raises(ValueError, match="no draws were kept"):
        pm.sampling._choose_chains(traces, 20)
