"""The notebook runs to its end with other settings, and samples in any kind of process.

One cell is put in after that of the settings. It simulates again, with other values,
and caps the draws of both samplers.
"""

import re

import jupytext
import nbformat
import pytest
from conftest import MD, cell_that_defines, executed_in_a_kernel, with_values

pytestmark = pytest.mark.machinery
OTHER = dict(k=4, ndata=200, spread=2, RANDOM_SEED=1)
CAP = """
def capped(sample):
    def short(*args, draws=1, tune=200, **more):
        draws, args = (args[0], ()) if sample is long_sample and args else (draws, args)
        return sample(*args, draws=min(draws, 200), tune=min(tune, 200), **more)
    return short

def cap_gibbs(result):
    if "prepare" in globals() and prepare.__name__ == "prepare":
        globals()["prepare"] = capped(prepare)

long_sample = pm.sample
pm.sample = capped(pm.sample)
get_ipython().events.register("post_run_cell", cap_gibbs)
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


@pytest.mark.parametrize("mp_ctx", ["forkserver", "spawn"])
def test_samples_under_other_start_methods(short, mp_ctx):
    """A process that does not fork cannot import the notebook's class from anywhere."""
    code = f"""with model:
    other = {{**settings, "chains": 2, "cores": 2, "mp_ctx": {mp_ctx!r}}}
    untuned = [type(step)(step.vars) for step in steps]
    drawn = pm.sample(draws=50, tune=50, step=untuned, initvals=start, **other)
print("sampled", dict(drawn.posterior["means"].sizes))"""
    said = "".join(out.get("text", "") for out in short.run(code))
    assert re.search(r"sampled {'chain': 2, 'draw': 50, 'cluster': 4}", said), said
    assert "singlethreaded" not in said
