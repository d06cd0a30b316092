"""The notebook runs to its end with other settings, on one processor, and samples in any kind of process."""

import os
import re

import jupytext
import pytest
from conftest import MD, executed_in_a_kernel
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.machinery

SETTINGS = {"k": 4, "ndata": 200, "spread": 3, "RANDOM_SEED": 1, "chains": 2}
LONG = r"\b(draws|tune)=\d[\d_]{3,}"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    notebook = jupytext.read(MD)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for name, value in SETTINGS.items():
        line = re.compile(f"^{name} = \\S+", flags=re.M)
        cell = next(cell for cell in code if line.search(cell.source))
        cell.source = line.sub(f"{name} = {value}", cell.source)
    for cell in code:
        cell.source = re.sub(LONG, r"\1=200", cell.source)
    can_pin = hasattr(os, "sched_setaffinity")
    before = os.sched_getaffinity(0) if can_pin else None
    if can_pin:
        os.sched_setaffinity(0, {min(before)})
    try:
        yield from executed_in_a_kernel(notebook, tmp_path_factory.mktemp("short"))
    finally:
        if can_pin:
            os.sched_setaffinity(0, before)


def test_runs_to_the_end_with_other_settings(short):
    assert short.evaluate("len(data), k, model['p'].dshape") == (200, 4, (4,))
    for run in ("trace", "nuts"):
        sizes = short.evaluate(f"dict({run}.posterior.sizes)")
        assert sizes["chain"] == 2 and sizes["cluster"] == 4
    assert short.evaluate("len(costs)") == 6  # with `spread = 3`, as an exercise has it


def test_samples_where_processes_do_not_fork(short):
    """They cannot import the notebook's class from anywhere; Windows knows no other."""
    code = """with model:
    other = {**settings, "mp_ctx": "spawn"}
    new = [  # the notebook's have been stopped to tune in the kernel itself
        pm.Metropolis([model["p"], model["sd"], model["means"]]),
        VectorizedCategoricalGibbsMetropolis([model["category"]]),
    ]
    drawn = pm.sample(draws=50, tune=50, step=new, initvals=start, **other)
print("sampled", dict(drawn.posterior["means"].sizes))"""
    said = "".join(out.get("text", "") for out in short.run(code))
    assert re.search(r"sampled {'chain': 2, 'draw': 50, 'cluster': 4}", said), said
    assert "singlethreaded" not in said


def test_one_chain_is_refused(short):
    cells = short.notebook.cells
    cell = next(cell for cell in cells if "pm.sample(" in cell.source)
    with pytest.raises(CellExecutionError, match="take 2 or more"):
        short.run(cell.source.replace("chains = 2", "chains = 1"))
