"""The notebook runs to its end with other settings, and samples in any kind of process.

One cell is put in after that of the settings. It simulates again, with other values,
and caps the draws of both samplers, the seconds of timing and the points of Dask.
"""

import re

import jupytext
import nbformat
import pytest
from conftest import MD, cell_that_defines, executed_in_a_kernel, with_values

pytestmark = pytest.mark.machinery
OTHER = dict(k=4, ndata=200, spread=3, RANDOM_SEED=1)
CAP = """
import functools, inspect

def capped(function, **most):
    @functools.wraps(function)
    def short(*args, **more):
        call = inspect.signature(function).bind(*args, **more)
        call.apply_defaults()
        for name, limit in most.items():
            call.arguments[name] = min(call.arguments[name], limit)
        return function(*call.args, **call.kwargs)
    return short

def cap_what_was_defined(result):
    for name, most in CAPS.items():
        if name in globals() and not hasattr(globals()[name], "__wrapped__"):
            globals()[name] = capped(globals()[name], **most)

CAPS = {
    "prepare": {"draws": 200, "tune": 200},
    "milliseconds": {"seconds": 0.1},
    "like_data": {"n": 10_000},
}
pm.sample = capped(pm.sample, draws=200, tune=200)
get_ipython().events.register("post_run_cell", cap_what_was_defined)
"""


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    notebook = jupytext.read(MD)
    settings = cell_that_defines("ndata", notebook.cells)
    injected = nbformat.v4.new_code_cell(with_values(settings, **OTHER) + CAP)
    notebook.cells.insert(notebook.cells.index(settings) + 1, injected)
    yield from executed_in_a_kernel(notebook, tmp_path_factory.mktemp("short"))


def test_runs_to_the_end_with_other_settings(short):
    assert short.evaluate("len(data), k, model['p'].dshape") == (200, 4, (4,))
    sizes = short.evaluate("[dict(x.posterior.sizes) for x in (trace, nuts, own)]")
    assert [size["draw"] for size in sizes] == [200] * 3
    assert sizes[0]["cluster"] == sizes[1]["cluster"] == 4
    assert short.evaluate("len(costs)") == 6  # with `spread = 3`, as an exercise has it


def test_samples_where_processes_do_not_fork(short):
    """They cannot import the notebook's class from anywhere; Windows knows no other."""
    code = """with model:
    other = {**settings, "chains": 2, "cores": 2, "mp_ctx": "spawn"}
    new = [  # the notebook's have been stopped to tune in the kernel itself
        pm.Metropolis([model["p"], model["sd"], model["means"]]),
        VectorizedCategoricalGibbsMetropolis([model["category"]]),
    ]
    drawn = pm.sample(draws=50, tune=50, step=new, initvals=start, **other)
print("sampled", dict(drawn.posterior["means"].sizes))"""
    said = "".join(out.get("text", "") for out in short.run(code))
    assert re.search(r"sampled {'chain': 2, 'draw': 50, 'cluster': 4}", said), said
    assert "singlethreaded" not in said
