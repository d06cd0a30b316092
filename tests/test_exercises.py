"""Each exercise of *On your own* is executed as it is worded, and does what it promises."""

import ast

import matplotlib.pyplot as plt
import numpy as np
import pymc3 as pm
import pytest
from conftest import cell_that_defines, parsed


def test_nearer_clusters(executed):
    """The first: the page samples these data itself, as the overlapping ones."""
    simulated = "3 * (np.arange(k) - (k - 1) / 2)[v] + data - centers[v]"
    assert executed.evaluate(f"np.allclose(nearer, {simulated})")
    slopes, doubtful, sizes = zip(
        *(
            executed.evaluate(
                f"[membership(np.linspace(data.min(), data.max(), 500), {run})[:, 0],"
                f" (membership({data}, {run}).max(axis=1) < 0.95).sum(),"
                f" convergence({run})[1]]"
            )
            for run, data in (("fit", "data"), ("nearer_fit", "nearer"))
        )
    )
    assert np.abs(np.diff(slopes[1])).max() < 0.7 * np.abs(np.diff(slopes[0])).max()
    assert doubtful[1] > 2 * doubtful[0] and sizes[1] < 0.7 * sizes[0]


class OwnWidths(ast.NodeTransformer):
    """The second, in `mixture_model`."""

    def visit_Call(self, node):
        self.generic_visit(node)
        of = getattr(node.args[0], "value", None) if node.args else None
        if of == "sd":
            node.keywords.append(ast.keyword("dims", ast.Constant("cluster")))
        if of == "obs":
            node.args[2] = ast.parse("sd[category]", mode="eval").body
        return node


@pytest.fixture
def short(monkeypatch):
    """`pm.sample` with few draws."""
    sample, few = pm.sample, dict(draws=20, tune=20, chains=2, cores=2)
    monkeypatch.setattr(pm, "sample", lambda **how: sample(**how | few))


def test_own_widths_in_the_model(tutorial, short):
    names = dict(tutorial)
    for name in ("mixture_model", "trace", "summary", "of_cluster"):
        tree = parsed(cell_that_defines(name))
        if name == "mixture_model":
            tree = ast.fix_missing_locations(OwnWidths().visit(tree))
        exec(compile(tree, "", "exec"), names)
    assert names["trace"].posterior["sd"].dims == ("chain", "draw", "cluster")
    assert names["summary"]["true"].tolist()[3:6] == [1, 1, 1]
    plt.close("all")


def test_a_second_variable(tutorial):
    t = tutorial
    with t["mixture_model"](t["data"], t["k"], t["priors"]) as model:
        others = pm.Normal("others", 0, 1, dims="cluster")
        category = model["category"]
        pm.Normal("other", others[category], 1, observed=t["data"] ** 2, dims="obs_id")
        step = t["VectorizedCategoricalGibbsMetropolis"]([category])
        after = step.step(model.test_point)["category"]
    assert after.shape == t["data"].shape


def test_clusters_that_run_empty(tutorial):
    run = tutorial["gibbs"](
        tutorial["data"], 4, tutorial["priors"], concentration=0.01, draws=500
    ).posterior
    smallest = run["p"].min("cluster")
    assert (smallest < 0.001).mean() > 0.5
    idle = run["means"].where(run["p"] == smallest).values
    assert np.nanstd(idle) > 0.8 * tutorial["priors"]["scale"]


def test_one_cluster_less(tutorial):
    t, most = tutorial, []
    for column in (t["velocities"], t["velocities"][7:]):
        priors, options = t["own_priors"](column), dict(draws=3_000, tune=1_000)
        run = t["gibbs"](
            column, priors=priors, own_widths=True, **t["reserve"], **options
        )
        most.append(t["number_of_clusters"](run)[0]["occupied"].idxmax())
    assert most[1] == most[0] - 1
