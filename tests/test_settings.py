"""The page runs to its end with other settings and with the exercises' models."""

import pytest
from nbformat.v4 import new_code_cell
from page import code_cells, executed_in_a_kernel, read

pytestmark = pytest.mark.machinery

SETTINGS = {"k": 4, "ndata": 200, "spread": 3, "RANDOM_SEED": 1, "chains": 2}
SHORT = """\
sample, sampler, fit_column = pm.sample, mx.gibbs, mx.fit
def shorter(*of, **how): return sampler(*of, **how | dict(draws=200))
mx.gibbs = shorter  # which other processes know, too
pm.sample = lambda *_, **how: sample(**how | dict(draws=200, tune=200))
mx.fit = lambda *of, **how: fit_column(*of, **how | dict(seconds=3))"""
OTHER = 'pm.Normal("other", means[category], 1, observed=-data, dims="obs_id")'
EXERCISES = {  # a width for each cluster, and a second variable of the same points
    'upper=priors["widest"])': 'upper=priors["widest"], dims="cluster")',
    "means[category], sd, obs": "means[category], sd[category], obs",
    'observed=data, dims="obs_id")': f'observed=data, dims="obs_id"); {OTHER}',
}


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    notebook = read(**SETTINGS)
    imports = [i for i, x in enumerate(notebook.cells) if "import mixtures" in x.source]
    notebook.cells.insert(imports[0] + 1, new_code_cell(SHORT))
    yield from executed_in_a_kernel(notebook, tmp_path_factory.mktemp("short"))


def from_to(short, first, last):
    """Sources of the cells from that which has one text to that which has another."""
    cells = [cell.source for cell in code_cells(short.notebook)]
    a, b = (next(i for i, x in enumerate(cells) if text in x) for text in (first, last))
    return cells[a : b + 1]


def test_runs_to_the_end_with_other_settings(short):
    for run in ("trace", "nuts"):
        assert short.evaluate(f"{run}.posterior['means'].shape") == (2, 200, 4)
    assert short.evaluate("trace.posterior['category'].shape[2]") == 200
    assert short.evaluate("len(costs), large.draws.sizes['cluster']") == (7, 4)


def test_samples_where_processes_do_not_fork(short):
    """They cannot import the page's class from anywhere; Windows knows no other."""
    (source,) = from_to(short, "pm.sample(draws", "pm.sample(draws")
    source = source.replace("settings = dict(", "settings = dict(mp_ctx='spawn', ")
    short.run("pm._log.setLevel('INFO')")
    said = "".join(out.get("text", "") for out in short.run(source))
    assert said in ("", "Only 200 samples in chain.\n")  # and nothing of one process
    assert short.evaluate("settings['mp_ctx']") == "spawn"
    assert short.evaluate("trace.posterior['sd'].shape") == (2, 200)


def test_exercises_of_the_model(short):
    """All cells from the model to the replicates take it as it then is."""
    model, *others = from_to(short, "def mixture_model", "replicates = []")
    for old, new in EXERCISES.items():
        assert model.count(old) == 1
        model = model.replace(old, new)
    for source in (model, *others):
        short.run(source)
    assert short.evaluate("trace.posterior['sd'].dims") == ("chain", "draw", "cluster")
    assert short.evaluate("summary['true'].tolist()[4:8]") == [1, 1, 1, 1]
