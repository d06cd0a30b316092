"""What the figures of a fit and its report show, of draws that are not constant."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from package_helpers import TWO, drawn, groups, made, rng
from scipy import stats

from mixtures import report

SHAPE = (16, 60, 1)
P = rng(1).uniform(0.2, 0.6, SHAPE)
DRAWS = drawn(
    rng(2).normal([-5, 5], [0.5, 1], (16, 60, 2)),
    p=np.concatenate([P, 1 - P], axis=2),
    sd=rng(3).uniform([0.5, 1], [1, 3], (16, 60, 2)),
    draws=60,
)
P, MEANS, SD = (DRAWS[name].values.reshape(-1, 2) for name in ("p", "means", "sd"))
OCCUPIED = rng(4).choice([2, 3, 5], p=[0.6, 0.37, 0.03], size=(8, 500))
VALUES = rng(5).permutation(groups((-5, 1, 200), (5, 2, 312)))  # 512


@pytest.fixture(scope="module")
def fit():
    return made(DRAWS, VALUES, True, OCCUPIED)


@pytest.fixture
def ax():
    yield plt.subplots()[1]
    plt.close("all")


def filled(area, n):
    """Lower and upper ends of a filled area over n points."""
    y = area.get_paths()[0].vertices[:, 1]
    return y[1 : n + 1], y[n + 2 : 2 * n + 2][::-1]


@pytest.mark.parametrize("i, name", enumerate(["cluster 0", "cluster 1", "sum"]))
def test_curves_are_means_over_the_draws_and_bands_their_quantiles(fit, ax, i, name):
    line, area = fit.plot(ax).lines[i], ax.collections[i]
    x, y = line.get_data()
    curves = P * stats.norm.pdf(x[:, None, None], MEANS, SD)
    curve = curves.sum(axis=2) if name == "sum" else curves[..., i]
    assert line.get_label() == name
    np.testing.assert_allclose(y, curve.mean(axis=1))
    np.testing.assert_allclose(
        filled(area, x.size), np.quantile(curve, [0.03, 0.97], 1)
    )


def test_curves_end_where_the_column_does(fit, ax):
    x = fit.plot(ax).lines[0].get_xdata()
    assert (x[0], x[-1]) == pytest.approx((VALUES.min(), VALUES.max()), abs=1)


@pytest.mark.parametrize("step", [0, 0.5])
def test_the_histogram_is_of_the_column(ax, step):
    values = step * np.round(VALUES / step) if step else VALUES
    made(DRAWS, values).plot(ax)
    heights, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose(heights, np.histogram(values, edges, density=True)[0])
    assert edges[0] == pytest.approx(values.min() - step / 2) and edges[-1] > max(
        values
    )


def test_bins_are_as_wide_as_the_rule_says_and_of_whole_steps(ax):
    rule = stats.iqr(VALUES) / 8  # the third root of 512
    for step in (0, 0.5):
        values = step * np.round(VALUES / step) if step else VALUES
        width = np.diff(report.histogram(made(DRAWS, values).column)[0])
        expected = step * round(rule / step) if step else rule
        np.testing.assert_allclose(width, expected, rtol=0.02)


def test_replicates_are_of_single_draws_and_their_band_holds_94_percent(ax):
    """Of so many values that what the draws say matters, and chance hardly does."""
    values = np.tile(VALUES, 100)
    made(DRAWS, values).plot_replicates(ax)
    high, edges, low = ax.patches[0].get_data()
    below = (P * stats.norm.cdf(edges[:, None, None], MEANS, SD)).sum(axis=2)
    expected = np.quantile(values.size * np.diff(below, axis=0), [0.03, 0.97], axis=1)
    np.testing.assert_allclose([low, high], expected, rtol=0.05, atol=100)
    heights, *_ = ax.patches[1].get_data()
    assert (heights == np.histogram(values, edges)[0]).all()


def test_bars_are_the_probabilities_of_the_numbers(fit, ax):
    bars = fit.plot_number(ax).patches
    table = fit.number.loc[[2, 3, 5], "probability"]
    shown = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in bars}
    assert shown == pytest.approx(dict(table))


def test_bars_have_monte_carlo_errors(fit, ax):
    ends = [x[:, 1] for x in fit.plot_number(ax).collections[0].get_segments()]
    error = fit.number.loc[[2, 3, 5], "Monte Carlo error"]
    np.testing.assert_allclose(np.ptp(ends, axis=1) / 2, error)


def test_squares_show_who_belongs_together_all_over_the_column(fit, ax):
    mesh = fit.plot_together(ax).collections[0]
    values = np.linspace(VALUES.min(), VALUES.max(), 60)
    shown = np.reshape(mesh.get_array(), (60, 60))
    np.testing.assert_allclose(shown, fit.together(values))
    centers = mesh.get_coordinates()[:-1, :-1, 0] + np.ptp(values) / 59 / 2
    np.testing.assert_allclose(centers, np.tile(values, (60, 1)))


def rows_of(page):
    """Rows of the table of a page, numbers by cluster: estimate, low, high, and so on."""
    cells = [re.findall("<td>(.*?)</td>", row) for row in page.split("<tr>")[2:]]
    return {int(x): re.findall(r"-?[\d.]+", " ".join(rest)) for x, *rest in cells}


def test_the_report_has_the_estimates_and_intervals_of_the_clusters(fit, monkeypatch):
    monkeypatch.setattr(report, "FIGURES", ())
    page = report.report(fit)
    ends = ("", " 3 %", " 97 %")
    names = [name + end for name in ("weight", "mean", "sd") for end in ends]
    assert re.findall("<th>(.*?)</th>", page) == ["cluster", "weight", "mean", "sd"]
    for cluster, shown in rows_of(page).items():
        expected = fit.clusters.loc[cluster, names]
        np.testing.assert_allclose(np.array(shown, float), expected, rtol=5e-3)
    assert list(rows_of(page)) == [0, 1]


def test_the_report_says_of_what_it_is_and_the_verdict(monkeypatch):
    monkeypatch.setattr(report, "FIGURES", ())
    fit = made(DRAWS, pd.Series(np.round(VALUES, 2), name="<x> & y"), True)
    page = report.report(fit)
    assert f"<strong>{fit.verdict}</strong>" in page
    assert "<h1>&lt;x&gt; &amp; y: " in page
    assert f"512 values at {np.unique(fit.data).size} places, in steps of 0.01." in page


FIGURES = {
    "The column and its clusters": "plot_clusters",
    "How many clusters?": "plot_number",
    "Does the mixture fit?": "plot_replicates",
    "Which values belong together?": "plot_together",
}


def test_the_report_has_every_figure_under_its_heading(fit, monkeypatch):
    monkeypatch.setattr(report, "png", lambda fit, plot: plot.__name__)
    shown = r"<h2>(.*?)</h2>.*?base64,(\w+)"
    assert dict(re.findall(shown, report.report(fit), re.S)) == FIGURES
    without = dict(re.findall(shown, report.report(made(DRAWS, TWO, True)), re.S))
    assert without == {x: y for x, y in FIGURES.items() if y != "plot_number"}


def test_a_picture_is_of_the_fit_that_is_reported(fit):
    drawn_of = []
    picture = report.png(fit, lambda of, ax: drawn_of.append(of) or ax.plot([1, 2]))
    assert drawn_of == [fit] and picture.startswith("iVBORw0KGgo")
