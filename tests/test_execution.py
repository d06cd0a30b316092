"""The page, executed: its outputs are the stored ones, and what it says holds."""

import re

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from page import MD, code_cells, defined, differ, figures, tags
from pair import settings
from posterior import PRIORS
from reference import SEED, simulate
from scipy import stats

import mixtures as mx
from mixtures.posterior import togetherness

FAINT = 1.0  # of 255: one point in another bar of a histogram makes 4
CENTERS, V = np.array([-5, 0, 5]), np.random.default_rng(SEED).integers(0, 3, 500)


def text(cell):
    """What a cell's outputs say in words and numbers."""
    data = [out.get("data", {"text/html": out.get("text")}) for out in cell.outputs]
    data = [one for one in data if "image/png" not in one]
    return "\n".join(one.get("text/html", one.get("text/plain")) for one in data)


def words_and_numbers(cell):
    """Why and by how much a run is not trusted hangs on luck: it is not compared."""
    number = r"-?\d[\d,_]*(?:\.\d*)?(?:e-?\d+)?"
    said = re.sub(r"not trusted: [^<\n]*", "not trusted", text(cell))
    numbers = re.findall(number, said)
    return re.sub(rf"{number}|\s+", " ", said).split(), [
        float(x.replace(",", "")) for x in numbers
    ]


def test_outputs_are_the_stored_ones(executed, stored):
    """Word for word; numbers that were sampled, with room, and not of time and luck."""
    cells, sampled = [code_cells(nb) for nb in (executed.notebook, stored)], False
    for now, then in zip(*cells, strict=True):
        assert now.source == then.source, "run `make pair`"
        (words, numbers), known = map(words_and_numbers, (now, then))
        assert words == known[0], now.source
        sampled |= "pm.sample(" in now.source
        if not sampled:
            assert text(now) == text(then), now.source
        elif "nbval-ignore-output" not in tags(now):
            room = dict(rtol=0.3, atol=0.1, err_msg=now.source)
            np.testing.assert_allclose(numbers, known[1], **room)


def test_figures_are_the_stored_ones(executed, stored, tmp_path):
    """Elsewhere than where they were stored, as many."""
    same = stored.metadata.get("settings") == settings()
    for cells in zip(code_cells(executed.notebook), code_cells(stored)):
        for one, other in zip(*map(figures, cells), strict=True):
            far = differ(one, other, tmp_path) if same else 0
            assert far < FAINT, f"{far:.1f} apart, see {tmp_path}:\n{cells[0].source}"


def test_nothing_but_progress_is_said_on_stderr(executed):
    outputs = [out for cell in code_cells(executed.notebook) for out in cell.outputs]
    assert [out.text for out in outputs if out.get("name") == "stderr"] == []


# A fragment of a sentence, and what has to hold in the kernel for it to be true.
CLAIMS = {
    "rules out 51 % of all possible weights": "abs((rng.dirichlet(np.ones(3), 10**5)"
    ".min(axis=1) < mixture_model.__defaults__[0]).mean() - 0.51) < 0.01",
    "Four chains of 20,000 draws, after 5,000": "[settings['cores'], *trace.posterior["
    "'sd'].shape, trace.posterior.tuning_steps] == [4, 4, 20_000, 5_000]",
    "worth only some thousands": "1_000 < summary['ess_bulk'].min() < 10_000",
    "far too large, are refused": "(first_mean['not tuned'].diff('draw') == 0).mean() > 0.95",
    "There is a second way to the same probabilities": "(certainty['computed'] -"
    " certainty['probability, sampled']).abs().max() < 0.04",
    "and 250 sweeps are forgotten": "[*fit['sd'].shape, gibbs.__defaults__[-2]] =="
    " [64, 2_500, 250]",
    "differ by no more than chance allows": "((hits['right'] - hits['expected right'])"
    ".abs() < 1 + 4 * (hits['points'] - hits['expected right']) ** 0.5).all()",
    "halfway between two": "(abs(abs(data[listed[-5:]]) - 2.5) < 0.6).all()",
    "names change places": "namings[least].size > 1",
    "chains differ in their names: R-hat is large": "az.rhat(switching)['means'].max() > 1.1",
    "it is the overlap that asks for more": "not mx.convergence(in_order).trusted",
    "worth some ten times as much as Metropolis": "(lambda x: (5 < x[:2] / x[2]) & (x["
    ":2] / x[2] < 20))(np.array([x['ESS'] / x['draws'] for x in costs.values()])).all()",
    "The galaxies occupy three to seven clusters": "min(float(x['occupied'].isin(range"
    "(3, 8)).mean()) for x in found.values()) > 0.8",
}


@pytest.mark.parametrize("fragment", CLAIMS)
def test_what_is_said_of_the_runs(executed, fragment):
    assert fragment in MD.read_text(encoding="utf-8")
    assert executed.evaluate(f"bool({CLAIMS[fragment]})")


# The numbers that a figure draws, and the draws or data that it says it shows.
DRAWN = {
    1: "_bars(1) == np.histogram(data, 40)[0]",
    2: "np.sort(_lines(2, 5), 0) == np.sort(np.concatenate(trace.posterior['means']"
    ".transpose('chain', 'cluster', 'draw')), 0)",
    3: "[x[1, 1] for x in _axis(3).collections[1].get_segments()] == az.autocorr("
    "trace.posterior['sd'].values[0])[:200]",
    4: "_lines(4) == [*first_mean.values()]",
    5: "_lines(5, 1) == trace.posterior['category'][:, ::40, points[0]]",
    7: "[y for x in _axis(7).patches for y in x.get_data()[::2]][:3] == [*np.quantile(["
    "np.histogram(y, bins)[0] for y in replicates], [0.97, 0.03], axis=0),"
    " np.histogram(data, bins)[0]]",
    8: "_bars(8) == np.histogram(close, 40)[0]",
    "8, middle and right": "[_lines(8, 1), _lines(8, 2)] == (lambda x: [x.T, np.sort(x)"
    ".T])(switching['means'][int(least)].values)",
    9: "[_bars(9, 0), _bars(9, 1)] == [np.bincount(x, minlength=11) for x in"
    " ranks.values()]",
    10: "_lines(10, 1) == (lambda x: [*x, sum(x)])(np.exp(mx.log_components(np.linspace("
    "7, 37, 300), thinned_galaxies)).mean(['chain', 'draw']).values)",
}


@pytest.mark.parametrize("number", DRAWN)
def test_a_figure_shows_what_it_says(executed, number):
    drawn, known = DRAWN[number].split(" == ")
    drawn, known = executed.evaluate(f"(np.array({drawn}), np.array({known}))")
    np.testing.assert_allclose(drawn, known, rtol=1e-9)


@pytest.mark.parametrize("i, name", [*enumerate(["flat prior", "falling prior"])])
def test_bars_of_figure_11(executed, i, name):
    """Prior, posterior and that with twice the range, for one to eight clusters."""
    bars = f"[(x.get_x() + 0.15, x.get_height()) for x in _axis(11, {i}).patches]"
    bars = np.reshape(executed.evaluate(bars), (3, 8, 2))
    shift = [[-0.3], [0], [0.3]]
    np.testing.assert_allclose(bars[..., 0], np.arange(1, 9) + shift)
    labels = f"[x.get_label() for x in _axis(11, {i}).containers]"
    labels = executed.evaluate(labels)
    assert labels == ["prior", "posterior", "posterior, twice the range"]
    numbers = executed.evaluate(
        f"[occupied_a_priori(**prior_of_number[{name!r}]),"
        f" *(np.ravel(run[{name!r}]['occupied']) for run in (found, wider))]"
    )
    shares = [[np.mean(np.equal(x, j)) for j in range(1, 9)] for x in numbers]
    np.testing.assert_allclose(bars[1:, :, 1], shares[1:])
    np.testing.assert_allclose(bars[0, :, 1], shares[0], atol=0.05)  # drawn anew


def test_bands_hold_94_percent():
    ax, curves = (
        plt.figure().subplots(),
        np.random.default_rng(0).normal(size=(9, 99, 2)),
    )
    dims = "chain", "draw", "value"
    defined("plot_with_band")(ax, [0, 1], xr.DataArray(curves, dims=dims))
    (band,) = ax.collections[0].get_paths()
    for x in (0, 1):
        ends = band.vertices[band.vertices[:, 0] == x, 1]
        known = np.quantile(curves[..., x], [0.03, 0.97])
        np.testing.assert_allclose([ends.min(), ends.max()], known)


def test_data_are_the_specified_ones(executed):
    data, v = executed.evaluate("(data, v)")
    np.testing.assert_array_equal([data, v], [simulate(), V])


def test_steps_are_the_specified_ones(executed):
    steps = "{v.name: x.name for x in (*steps[0].methods, steps[1]) for v in x.vars}"
    assert executed.evaluate(steps) == {
        **dict.fromkeys(["p_stickbreaking__", "sd_interval__", "means"], "metropolis"),
        "category": "vectorized_categorical_gibbs_metropolis",
    }


def test_run_is_trusted_and_covers_the_truth(executed):
    asked = "(summary, mx.convergence(trace, names).trusted)"
    table, trusted = executed.evaluate(asked)
    truth = [1 / 3, 1 / 3, 1 / 3, 1, *CENTERS]
    np.testing.assert_allclose(table["true"], truth, atol=5e-4)
    assert ((table["hdi_3%"] < truth) & (truth < table["hdi_97%"])).sum() >= 5
    assert trusted


def terms(x, p, means, sd):
    """p[j] Normal(x | means[j], sd) by SciPy, shape (draws, clusters, x)."""
    p, means = (each.reshape(-1, 3, 1) for each in (p, means))
    return p * stats.norm.pdf(x, means, sd.reshape(-1, 1, 1))


def averaged(each):
    return (each / each.sum(axis=1, keepdims=True)).mean(axis=0)


def test_membership_is_bayes_rule(executed):
    """Of the data each draw's probabilities are averaged, of new values the two sums."""
    draws = "[trace.posterior[x].values[:, ::40] for x in ('p', 'means', 'sd')]"
    draws = executed.evaluate(draws)
    membership = averaged(terms(simulate(), *draws))
    found = executed.evaluate("membership.values")
    np.testing.assert_allclose(found, membership, rtol=1e-9)
    assert executed.evaluate("hits['right'].sum()") == (membership.argmax(0) == V).sum()

    lines = "[[x.get_xydata() for x in ax.lines] for ax in (top, bottom)]"
    top, bottom = map(np.array, executed.evaluate(lines))
    curves = terms(top[0, :, 0], *draws).mean(axis=0)
    np.testing.assert_allclose(top[:, :, 1], [*curves, curves.sum(axis=0)], rtol=1e-9)
    np.testing.assert_allclose(bottom[..., 1], curves / curves.sum(axis=0), rtol=1e-9)


def test_replicates_are_of_the_posterior(executed):
    """Of its draws, and not of their mean, of which averages vary half as much."""
    draws = "{x: fit[x].values.reshape(-1, fit[x][0, 0].size).T for x in names}"
    sets, draws = executed.evaluate(f"(replicates, {draws})")
    p, sd, means = draws.values()
    values = np.random.default_rng(0).choice(np.ravel(sets), 5_000)
    of_mean = [x.mean(axis=1) for x in (means, sd)]
    terms = stats.norm.cdf(values[:, None], *of_mean)
    test = stats.kstest(terms @ p.mean(axis=1), "uniform")
    assert test.pvalue > 1e-5 and np.shape(sets) == (300, 500)
    center = (p * means).sum(axis=0)
    within = (p * (sd**2 + (means - center) ** 2)).sum(axis=0)
    variance = center.var() + within.mean() / 500
    apart = (np.mean(sets, axis=1) - center.mean()) ** 2 / variance
    assert 1e-5 < stats.chi2(300).cdf(apart.sum()) < 1 - 1e-5


def test_most_measures_of_the_data_lie_among_those_of_replicates(executed):
    measured = "[[f(x) for f in measures.values()] for x in (data, *replicates)]"
    of_data, *of_replicates = executed.evaluate(measured)
    np.testing.assert_allclose(of_data[:2], [simulate().min(), simulate().max()])
    low, high = np.quantile(of_replicates, (0.03, 0.97), axis=0)
    assert ((low < of_data) & (of_data < high)).sum() >= 3


def test_ranks_tell_a_right_sampler_from_a_wrong_one(executed):
    ranks = executed.evaluate("[np.bincount(x, minlength=11) for x in ranks.values()]")
    right, wrong = (stats.chisquare(x).pvalue for x in ranks)
    assert right > 0.001 and wrong < 1e-6 and np.sum(ranks) == 400


def test_costs_are_those_of_their_own_runs(executed):
    costs, close = executed.evaluate("(costs, close)")
    np.testing.assert_allclose(close, simulate(spread=2))
    runs = "fit nuts.posterior trace.posterior package fit_2 nuts_2.posterior package_2"
    for (key, row), run in zip(costs.items(), runs.split(), strict=True):
        run = executed.evaluate(f"{run}[names]")
        trusted = key[0] == "Figure 1" or key[1] == "mx.gibbs"
        ess = int(az.ess(run).to_array().min())
        assert (row["draws"], row["ESS"]) == (run["sd"].size, ess)
        assert (row["off by"] == 0) == (key[1] == "Gibbs")
        assert row["off by"] < (4 if trusted else 9)
        assert row["verdict"].startswith("trusted") == trusted


def test_number_of_clusters_of_the_galaxies(executed):
    """As Richardson and Green (1997), table 1, found it, for 3 to 8 clusters."""
    table = executed.evaluate("table")
    known = [0.061, 0.128, 0.182, 0.199, 0.160, 0.109]
    assert [float(x) for x in table["published", "k"][2:]] == known
    np.testing.assert_allclose(table["flat prior", "k"][2:], known, atol=0.03)
    assert table["flat prior", "occupied"].idxmax() in (5, 6)
    assert table["falling prior", "occupied"].idxmax() == 3


def test_prior_of_the_occupied_number():
    """Of two points: half of the time one cluster, else they meet in two of three."""
    prior = defined("occupied_a_priori", np=np, rng=np.random.default_rng(0))
    occupied = np.array(prior([0.5, 0.5], [1, 1], n=2, size=20_000))
    assert abs((occupied == 2).mean() - 1 / 6) < 0.013


def test_column_is_trusted_and_togetherness_is_that_of_the_package(executed):
    number = "found_in_column.number['probability'].idxmax()"
    assert executed.evaluate(f"(found_in_column.trusted, {number})") == (True, 3)
    draws = "found_in_column.all_draws.isel(draw=slice(None, None, 4))"
    drawn = "_axis(13, 1).images[0].get_array().data"
    drawn, velocities, draws = executed.evaluate(f"({drawn}, velocities, {draws})")
    known = togetherness(velocities, draws, measured=True)
    np.testing.assert_allclose(drawn, known, atol=0.05)


def test_twenty_million_rows(executed):
    """Memberships are nearly those of the truth, computed where they are asked for."""
    found = "(large.trusted, large.column.size, of_rows.shape, type(of_rows).__name__)"
    assert executed.evaluate(found) == (True, 2 * 10**7, (2 * 10**7, 3), "Array")
    y, found = executed.evaluate("(rows[:2_000].compute(), of_rows[:2_000].compute())")
    each = stats.norm.pdf(y, CENTERS[:, None])
    np.testing.assert_allclose(found.T, each / each.sum(axis=0), atol=0.005)


def test_exercise_1():
    found = []
    for y in (simulate(), simulate(spread=3)):
        run = mx.gibbs(y, 3, PRIORS, False, min_weight=0.1, draws=500, jumps=False)
        draws = [run[x].values[:, ::20] for x in ("p", "means", "sd")]
        curve = averaged(terms(np.linspace(-7, 7, 500), *draws))[0]
        certain = averaged(terms(y, *draws)).max(axis=0) > 0.95
        ess = az.ess(run).to_array().min()
        found.append([np.abs(np.diff(curve)).max(), certain.mean(), ess])
    assert (np.divide(*found[::-1]) < [0.7, 0.9, 0.7]).all(), found


def test_exercise_4():
    run = mx.gibbs(simulate(), 4, PRIORS, False, concentration=0.01, draws=500)
    smallest = run["p"].min("cluster")
    assert (smallest < 0.001).mean() > 0.5
    assert run["means"].where(run["p"] == smallest).std() > 0.8 * PRIORS["scale"]


def test_exercise_5(executed):
    """One less than the table's three."""
    how = dict(own_widths=True, chains=8, draws=400, **mx.falling_prior(8))
    run = mx.gibbs(executed.evaluate("velocities[7:]"), **how)
    assert np.bincount(np.ravel(run["occupied"])).argmax() == 2
