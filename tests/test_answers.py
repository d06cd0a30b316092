"""What a fit tells besides its clusters, as table, as frame, from a file and a pickle."""

import json
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from package_helpers import GAPS, TWO, drawn, made, rng, same
from scipy.stats import norm

import mixtures as mx
from mixtures import files, posterior

ROUNDED = rng(1).permutation(TWO.round(1))
KNOWN = dict(p=[0.4, 0.6], means=[0.0, 3], sd=np.array([1.0, 2]))
DRAWS = drawn(
    rng(2).normal([-5, 5], [0.5, 1], (16, 500, 2)),
    rng(3).dirichlet([4, 6], (16, 500)),
    rng(4).uniform([0.5, 1], [1, 3], (16, 500, 2)),
)
OCCUPIED = rng(5).choice([2, 3, 5], p=[0.6, 0.37, 0.03], size=(8, 500))


def fit_of(*draws):
    """A fit of draws, each weights, means and widths of clusters that it has."""
    most = max(len(draw[0]) for draw in draws)
    filled = [[[*x, *[np.nan] * (most - len(x))] for x in draw] for draw in draws]
    p, means, sd = np.resize(np.array(filled), (60, 3, most)).swapaxes(0, 1)
    return made(drawn(means, p, sd, most, 60))


@pytest.fixture(scope="module")
def two():
    return mx.fit(pd.Series(ROUNDED, name="length"), clusters=2, seconds=30)


def test_the_density_is_the_mean_of_the_draws_and_has_a_band():
    mixture = [0.4, 0.6], [0, 3], [1, 2]
    table = fit_of(mixture, ([1.0], [1], [1])).density([0.0, 2.5])
    x = table.index.to_numpy()
    first, second, other = 0.4 * norm.pdf(x), 0.6 * norm.pdf(x, 3, 2), norm.pdf(x, 1)
    np.testing.assert_allclose(table["cluster 0"], (first + other) / 2)
    np.testing.assert_allclose(table["cluster 1 97 %"], second)
    both = np.sort([first + second, other], axis=0)
    names = ["density 3 %", "density", "density 97 %"]
    np.testing.assert_allclose(table[names].T, [both[0], both.mean(0), both[1]])


def test_the_density_covers_the_column_and_sums_to_one():
    table = made(drawn(**KNOWN), np.linspace(-9, 15, 99)).density()
    x, y = table.index.to_numpy(), table["density"].to_numpy()
    np.testing.assert_allclose(x, np.linspace(-9, 15, 200))
    assert ((y[1:] + y[:-1]) / 2 @ np.diff(x)) == pytest.approx(1, abs=1e-4)


def test_densities_of_many_values_are_those_of_each():
    fit, values = made(drawn(**KNOWN)), np.linspace(-3, 8, 700)
    table = fit.density(values)
    assert list(table.index) == list(values)
    pd.testing.assert_frame_equal(table.iloc[650:652], fit.density(values[650:652]))


def test_new_values_are_those_of_the_mixture():
    fit = fit_of(
        ([0.25, 0.75], [0, 20], [1, 2]), ([0.5, 0.25, 0.25], [0, 0, 20], [1, 1, 2])
    )
    values = fit.sample(40_000, 1)
    low = values < 10
    assert low.mean() == pytest.approx(0.5, abs=0.01)
    moments = [f(x) for x in (values[low], values[~low]) for f in (np.mean, np.std)]
    np.testing.assert_allclose(moments, [0, 1, 20, 2], atol=0.05)
    assert len(fit.sample(0)) == 0
    assert (fit.sample(9, 2) == fit.sample(9, 2)).all()


def test_a_threshold_is_where_neighbors_are_equally_probable():
    table = fit_of(
        ([0.3, 0.7], [0, 4], [1, 2]), ([0.3, 0.7], [0, 5], [1, 1])
    ).threshold()
    assert list(table.index) == ["0 and 1"] and table["share of draws"].item() == 1
    ends = table["threshold 3 %"].item(), table["threshold 97 %"].item()
    for x, (m, s) in zip(ends, [(4, 2), (5, 1)]):
        assert 0.3 * norm.pdf(x) == pytest.approx(0.7 * norm.pdf(x, m, s))
    assert table["threshold"].item() == pytest.approx(np.mean(ends))


def test_a_threshold_is_of_the_draws_that_have_one():
    apart, hidden = ([0.5, 0.5], [0, 4], [1, 1]), ([0.01, 0.99], [0, 1], [1, 3])
    row = fit_of(apart, apart, hidden).threshold().loc["0 and 1"]
    assert row["threshold"] == 2 and row["share of draws"] == pytest.approx(2 / 3)
    row = fit_of(apart, hidden, hidden).threshold().loc["0 and 1"]
    assert row.isna().sum() == 3 and row["share of draws"] == pytest.approx(1 / 3)
    assert fit_of(([1], [0], [1])).threshold().empty
    first = [0.99, 0.01], [0, 1], [1, 3]  # is likelier all the way
    assert fit_of(first).threshold()["share of draws"].item() == 0


PEAKS = {
    "apart": ([0.5, 0.5], [0, 5], [1, 1], 2),
    "too near": ([0.5, 0.5], [0, 1.9], [1, 1], 1),
    "just apart": ([0.5, 0.5], [0, 2.3], [1, 1], 2),
    "narrow on broad": ([0.1, 0.9], [8, 0], [0.01, 4], 2),
    "shallow": ([0.187, 0.813], [-0.275, -1.243], [0.082, 5.531], 2),
    "of one mean": ([0.5, 0.5], [0, 0], [1, 9], 1),
    "three": ([0.2, 0.3, 0.5], [0, 9, 50], [1, 1, 1], 3),
    "one that holds no value": ([0.4995, 0.4995, 1e-3], [0, 9, 50], [1, 1, 1], 2),
}


@pytest.mark.parametrize("name", PEAKS)
def test_peaks_are_counted(name):
    *mixture, number = PEAKS[name]
    table = fit_of(mixture).peaks
    assert table["probability"][number] == 1 and table.index.name == "peaks"


def test_clusters_are_not_all_left_out():
    assert posterior.peaks_table(drawn([0.0, 9]), size=1)["probability"][2] == 1


@pytest.mark.parametrize("length", [60, 688, 751, 1_000])
def test_draws_are_thinned_once(length):
    thinned = posterior.thinned(drawn(np.arange(2.0), draws=length))
    assert 500 < 16 * thinned.sizes["draw"] < 1_016
    assert thinned.sizes == posterior.thinned(thinned).sizes


@pytest.fixture
def one_or_two():
    """A fit whose table has two clusters, and of any number nearly all draws have one."""
    one = drawn([0.0], 1.0, clusters=1)
    return made(drawn([-5.0, 5]), occupied=OCCUPIED, of_all=one)


def test_what_needs_no_names_averages_over_the_number(one_or_two):
    assert one_or_two.peaks["probability"][1] == 1
    assert one_or_two.together([-5.0, 5]).iloc[0, 1] == 1


def test_what_is_told_of_clusters_is_of_those_of_the_table(one_or_two):
    assert len(one_or_two.threshold()) == 1
    assert "cluster 1" in one_or_two.density()
    assert one_or_two.sample(99).std() > 4


def test_peaks_have_their_share_of_the_draws():
    one, two = ([1.0], [0], [1]), ([0.5, 0.5], [0, 5], [1, 1])
    assert list(fit_of(one, two, two).peaks["probability"]) == [20 / 60, 40 / 60]


def test_a_fit_tells_its_threshold_and_its_peaks(two):
    row = two.threshold().loc["0 and 1"]
    assert row["share of draws"] == 1 and two.peaks["probability"][2] > 0.99
    assert -2 < row["threshold 3 %"] < row["threshold"] < row["threshold 97 %"] < 2


def test_counts_give_the_draws_of_the_repeated_column(two):
    values, counts = np.unique(ROUNDED, return_counts=True)
    found = mx.fit(values, 2, seconds=30, counts=counts)
    assert found.draws.equals(two.draws) and found.verdict == two.verdict
    rows = two.membership().groupby(ROUNDED).first().reset_index(drop=True)
    pd.testing.assert_frame_equal(found.membership(), rows)


def test_memberships_are_a_frame_of_the_kind_that_came_in():
    fit = made(drawn([-5.0, 5]))
    table = fit.membership(pa.chunked_array([[-5.0, None, 5.0]]))
    assert isinstance(table, pa.Table) and table["cluster"].to_pylist() == [0, None, 1]
    assert table.column_names == [*fit.membership([0.0])]
    assert table["probability"].null_count == 1
    labeled = xr.DataArray([-5.0, 5], dims="t", coords={"t": [3, 7]})
    assert list(fit.membership(labeled).index) == [3, 7]


def test_rows_are_saved_after_those_of_a_table_of_arrow(tmp_path, monkeypatch):
    monkeypatch.setattr(files.report, "FIGURES", ())
    table = pa.table({"x": TWO, "id": [*range(100)]})
    fit = made(drawn([-5.0, 5]), table["x"])
    fit.save(tmp_path, table)
    rows = pd.read_csv(tmp_path / "membership.csv")
    assert list(rows)[:3] == ["x", "id", "cluster"]
    assert list(rows["id"]) == [*range(100)]
    assert (rows["cluster"] == (TWO > 0)).all()


def test_memberships_of_polars_are_a_frame_of_polars():
    polars = pytest.importorskip("polars")
    fit = made(drawn([-5.0, 5]), polars.Series("x", [*TWO, None]), True)
    table = fit.membership()
    assert isinstance(table, polars.DataFrame) and fit.name == "x"
    assert table["cluster"].to_list() == [*(TWO > 0), None]


def test_values_of_another_unit_are_refused():
    column = xr.DataArray(TWO, dims="t", attrs={"units": "mm"})
    fit = made(drawn([-5.0, 5]), column)
    assert fit.name == "value [mm]" and len(fit.membership(TWO)) == 100
    for ask in (fit.membership, fit.density, fit.together):
        with pytest.raises(ValueError, match="values are in km and the column in mm"):
            ask(column.assign_attrs(units="km"))


@pytest.mark.parametrize("occupied", [None, OCCUPIED])
@pytest.mark.parametrize("way", ["folder", "pickle"])
def test_a_fit_says_the_same_a_year_later(tmp_path, monkeypatch, occupied, way):
    monkeypatch.setattr(files.report, "FIGURES", ())
    fit, new = made(DRAWS, GAPS, True, occupied), [-5, 0.3, 40]
    fit.provenance = {"seed": "7"}
    fit.save(tmp_path)
    again = mx.load(tmp_path) if way == "folder" else pickle.loads(pickle.dumps(fit))
    assert repr(again) == repr(fit) and again.provenance == {"seed": "7"}
    assert same(again.column, fit.column) and str(again.prior) == str(fit.prior)
    for name in ("membership", "density", "together"):
        tables = (getattr(x, name)(new) for x in (again, fit))
        pd.testing.assert_frame_equal(*tables)
    pd.testing.assert_frame_equal(again.threshold(), fit.threshold())
    for name in ("clusters", "peaks"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(fit, name))
    if occupied is None:
        assert again.number is None
    else:
        pd.testing.assert_frame_equal(again.number, fit.number)
    assert (again.sample(9) == fit.sample(9)).all()
    if way == "folder":
        with pytest.raises(ValueError, match="values are not kept with the fit"):
            again.membership()


def test_what_is_no_saved_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no fit that was saved: FileNotFoundError"):
        mx.load(tmp_path)
    for content in ("{", "[]", json.dumps({"column": 3})):
        (tmp_path / "fit.json").write_text(content)
        with pytest.raises(ValueError, match="holds no fit that was saved"):
            mx.load(tmp_path)


def test_a_fit_knows_when_and_how_it_was_made(two):
    assert [*two.provenance] == ["date", "version", "seed", "seconds"]
    assert two.provenance["version"] == f"mixtures {mx.__version__}"
    assert two.provenance["seed"] == "8927" and float(two.provenance["seconds"]) < 60


def test_peaks_are_those_of_the_density_on_a_fine_grid():
    r, found, expected = rng(6), [], []
    x = np.linspace(-15, 15, 30_001)
    for _ in range(60):
        k = r.integers(1, 6)
        p, means = r.dirichlet(np.ones(k)), r.normal(0, 3, k)
        sd = r.uniform(0.3, 1.5, k)
        terms = norm.logpdf(x, means[:, None], sd[:, None]) + np.log(p)[:, None]
        density = np.logaddexp.reduce(terms)
        rises = np.diff(density) > 0
        expected.append((rises[:-1] & ~rises[1:]).sum())
        found.append(posterior.number_of_peaks(p[None], means[None], sd[None])[0])
    assert found == expected and len(set(found)) > 3
