"""What the figures of a fit and its report show, of draws that differ."""

import re
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from package_helpers import drawn, groups, made, rng
from scipy import stats

from mixtures import report

P = rng(1).dirichlet([4, 6], (16, 60))
MEANS = rng(2).normal([-5, 5], [0.5, 1], (16, 60, 2))
SD = rng(3).uniform([0.5, 1], [1, 3], (16, 60, 2))
DRAWS = drawn(MEANS, P, SD, draws=60)
OCCUPIED = rng(4).choice([2, 3, 5], p=[0.6, 0.37, 0.03], size=(8, 500))
VALUES = rng(5).permutation(groups((-5, 1, 200), (5, 2, 312)))  # 512
ENDS = [0.03, 0.97]


@pytest.fixture(scope="module")
def fit():
    return made(DRAWS, VALUES, True, OCCUPIED)


@pytest.fixture
def ax():
    yield plt.subplots()[1]
    plt.close("all")


@pytest.mark.parametrize("i, name", [*enumerate(["cluster 0", "cluster 1", "sum"])])
def test_curves_are_means_over_the_draws_and_bands_their_quantiles(fit, ax, i, name):
    line, area = fit.plot(ax).lines[i], ax.collections[i].get_paths()[0].vertices[:, 1]
    x, y = line.get_data()
    curves = P * stats.norm.pdf(x[:, None, None, None], MEANS, SD)
    curve = curves.sum(axis=-1) if name == "sum" else curves[..., i]
    band = area[1 : x.size + 1], area[x.size + 2 : -1][::-1]
    expected = [curve.mean(axis=(1, 2)), *np.quantile(curve, ENDS, axis=(1, 2))]
    np.testing.assert_allclose([y, *band], expected)
    assert line.get_label() == name


@pytest.mark.parametrize("step", [0, 0.5])
def test_the_histogram_is_of_the_column_in_bins_of_whole_steps(ax, step):
    values = step * np.round(VALUES / step) if step else VALUES
    made(DRAWS, values).plot(ax)
    heights, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose(heights, np.histogram(values, edges, density=True)[0])
    assert edges[0] == pytest.approx(values.min() - step / 2) and edges[-1] > max(
        values
    )
    rule = stats.iqr(VALUES) / 8  # the third root of 512
    width = step * round(rule / step) if step else rule
    np.testing.assert_allclose(np.diff(edges), width, rtol=0.02)


def test_replicates_are_of_single_draws_and_their_band_holds_94_percent(ax):
    """Of so many values that what the draws say matters, and chance hardly does."""
    values = np.tile(VALUES, 100)
    made(DRAWS, values).plot_replicates(ax)
    (high, edges, low), (heights, *_) = (x.get_data() for x in ax.patches)
    below = (P * stats.norm.cdf(edges[:, None, None, None], MEANS, SD)).sum(axis=-1)
    band = np.quantile(values.size * np.diff(below, axis=0), ENDS, axis=(1, 2))
    np.testing.assert_allclose([low, high], band, rtol=0.05, atol=100)
    assert (heights == np.histogram(values, edges)[0]).all()


def test_bars_are_probabilities_of_numbers_and_have_monte_carlo_errors(fit, ax):
    bars = fit.plot_number(ax).patches
    shown = [(x.get_x() + x.get_width() / 2, x.get_height()) for x in bars]
    errors = [np.ptp(x[:, 1]) / 2 for x in ax.collections[0].get_segments()]
    table = fit.number.loc[[2, 3, 5]].reset_index()
    np.testing.assert_allclose(np.c_[shown, errors], table)


def test_squares_show_who_belongs_together_all_over_the_column(fit, ax):
    mesh = fit.plot_together(ax).collections[0]
    values = np.linspace(VALUES.min(), VALUES.max(), 60)
    shown = np.reshape(mesh.get_array(), (60, 60))
    np.testing.assert_allclose(shown, fit.together(values))
    edges = mesh.get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges[1:] + edges[:-1], 2 * values)


@pytest.fixture
def reported(monkeypatch):
    """A report with the names of its figures instead of them, and its fit."""
    monkeypatch.setattr(report, "png", lambda fit, plot: plot.__name__)
    column = pd.Series(np.round(VALUES, 2), name="<x> & y")
    fit = made(DRAWS, column, True, OCCUPIED)
    return report.report(fit), fit


def test_the_report_has_the_estimates_and_intervals_of_the_clusters(reported):
    rows = re.findall('<tr><td data-name="cluster">(.*?)</td></tr>', reported[0])
    shown = [re.findall(r"-?[\d.]+", row) for row in rows]
    ends = ("", " 3 %", " 97 %")
    names = [name + end for name in ("weight", "mean", "sd") for end in ends]
    expected = reported[1].clusters[names].reset_index()
    np.testing.assert_allclose(np.array(shown, float), expected, rtol=5e-3)


def test_the_report_says_of_what_it_is_and_the_verdict(reported):
    page, fit = reported
    assert f"<strong>{fit.verdict}</strong>" in page
    assert "<h1>&lt;x&gt; &amp; y: " in page
    places = f"512 at {np.unique(fit.data).size} places, in steps of 0.01"
    assert f"<dt>values</dt><dd>{places}</dd>" in page
    assert "<dt>column</dt><dd>&lt;x&gt; &amp; y</dd>" in page
    assert f"<dt>prior</dt><dd>{escape(str(fit.prior))}</dd>" in page


def test_the_report_says_how_many_are_uncertain_and_how_it_was_made(fit, monkeypatch):
    monkeypatch.setattr(report, "FIGURES", ())
    monkeypatch.setattr(fit, "provenance", {"file": "a<b.csv", "left out": "2 rows"})
    number = int((fit.membership()["probability"] < 0.8).sum())
    page = report.report(fit)
    assert 0 < number < 256 and f"\n{number} of 512 values ({number / 512:.1%})" in page
    assert "<dt>file</dt><dd>a&lt;b.csv</dd>" in page
    assert "<dt>left out</dt><dd>2 rows</dd>" in page


def test_the_report_has_every_figure_under_its_heading(reported):
    shown = re.findall(r"<h2>(\w+ \w+).*?,plot_(\w+)", reported[0], re.S)
    assert shown == [
        ("The column", "clusters"), ("How many", "number"),
        ("Does the", "replicates"), ("Which values", "together"),
    ]  # fmt: skip


def test_a_picture_is_of_the_fit_that_is_reported(fit):
    shown = []
    picture = report.png(fit, lambda of, ax: shown.append(of))
    assert shown == [fit] and picture.startswith("iVBORw0KGgo")
