"""What `fit` says of columns of all kinds, and what it refuses."""

import time
import warnings

import dask.array as da
import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from package_helpers import TWO, drawn, groups, interrupt_sweep, made, rng
from scipy.special import beta

import mixtures as mx
from mixtures import posterior, trust
from mixtures import report as reports
from mixtures.data import places_to_look
from mixtures.verdict import different_answers


@pytest.fixture(scope="module", autouse=True)
def processor_time():
    """Seconds are those of the processor, so that a busy machine changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust.time, "monotonic", time.process_time)
        yield


@pytest.fixture(scope="module")
def two():
    """A fit of two clear groups with missing values and an index of its own."""
    column = pd.Series(np.r_[TWO, np.nan], name=7, index=np.arange(101) // 2)
    return mx.fit(column)


WIDTHS = ((0, 1, 350), (0, 5, 150)), ((0, 0.3, 200), (0, 2, 200), (0, 12, 200))


@pytest.mark.parametrize("each", WIDTHS)
def test_groups_of_one_mean_stay_apart_by_their_widths(each):
    found = mx.fit(groups(*each), clusters=len(each))
    assert found.trusted, found.verdict
    table = found.clusters.sort_values("sd")
    mean, sd, n = np.transpose(each)
    assert np.allclose(table["sd"], sd, rtol=0.25)
    assert np.allclose(table["weight"], n / n.sum(), atol=0.09)
    far = found.membership([1.6 * sd[-1]])
    assert far["cluster"][0] == table.index[-1] and far["probability"][0] > 0.9


def test_names_are_those_of_the_groups_for_any_number_of_clusters():
    r, k = rng(), 10
    means, sd = np.repeat(np.arange(5.0), 2) * 10, np.tile([0.5, 3], 5)
    p = r.dirichlet(np.full(k, 50.0), (16, 50))
    order = r.permuted(np.broadcast_to(np.arange(k), p.shape), axis=2)
    mixed = [np.take_along_axis(np.broadcast_to(x, p.shape), order, 2)
             for x in (means + 0 * p, p, sd)]  # fmt: skip
    named = posterior.relabeled(drawn(*mixed, k, 50), np.linspace(-5, 45, 60))
    for name in ("sd", "means"):
        assert (np.ptp(named[name].values, axis=(0, 1)) == 0).all()
    assert (np.diff(named["means"].values[0, 0]) >= 0).all()


def test_names_settle_where_clusters_of_one_mean_are_alike():
    values = groups((0, 0.3, 200), (0, 1, 200), (0, 4, 200))
    draws = mx.gibbs(values, 3, own_widths=True, chains=8, draws=1_000)
    at = np.quantile(values, np.linspace(0, 1, 40))
    named = posterior.relabeled(draws, at)
    again = posterior.relabeled(named.isel(draw=slice(None, None, -1)), at)
    same = (again["sd"][:, ::-1].values == named["sd"].values).mean()
    assert same > 0.999, same


def test_one_group_is_one_cluster_and_trusted():
    found = mx.fit(rng().normal(100, 1, 150))
    assert found.trusted and "1 cluster," in found.verdict, found.verdict
    assert (found.clusters.filter(like="weight") == 1).all(axis=None)


def test_what_never_moves_is_certain():
    found = mx.fit(np.r_[5 + 1e-3 * rng().standard_normal(199), 100.0])
    assert found.trusted and "2 clusters" in found.verdict, found.verdict
    assert found.clusters["weight"][1] == pytest.approx(2 / 202, rel=0.1)


def test_chains_with_different_answers_are_counted():
    found = mx.fit(groups((-20, 1, 60), (0, 1, 60), (20, 1, 60)), clusters=2, seconds=2)
    assert not found.trusted
    assert "2 different answers" in found.verdict and "log-lik" in found.verdict
    assert "seconds" not in found.verdict
    density = posterior.log_density(found.draws, found.column).values
    answers = different_answers(found.draws, density, found.column)
    assert sum(n for n, _ in answers) == 16 and answers == sorted(answers)[::-1]


def test_a_number_at_its_limit_asks_for_a_larger_one():
    found = mx.fit(groups(*((10 * i, 1, 40) for i in range(6))), largest=4, seconds=10)
    assert not found.trusted and "raise `largest`, to 8" in found.verdict
    found = made(drawn([-5.0, 5]), occupied=np.full((8, 500), 99), largest=99)
    assert "raise" not in found.verdict


def test_the_runner_up_is_in_the_verdict():
    number = rng().choice([2, 3, 5], p=[0.6, 0.37, 0.03], size=(8, 500))
    found = made(drawn([-5.0, 5]), trusted=True, occupied=number)
    assert found.trusted and "probability 0.6" in found.verdict
    assert "(3 has 0.3" in found.verdict and found.number["probability"][7] == 0
    assert (found.number["Monte Carlo error"][[2, 3, 5]] > 0.001).all()


FEW = [1.0, 2, 5], np.arange(6.0) ** 2, [0, 0, 0, 1e-9, 1.0]


@pytest.mark.parametrize("values", FEW)
def test_few_values_are_fitted(values):
    found = mx.fit(values, seconds=1)
    assert found.number["probability"].sum() == pytest.approx(1)
    assert len(found.clusters) < len(values)
    assert found.verdict.startswith(("Trusted: ", "Not trusted: "))


@pytest.mark.parametrize(
    "given, said",
    [
        *(
            (dict(clusters=x), "whole number")
            for x in ([2], 1.5, True, "2", np.nan, 100)
        ),
        (dict(largest=None), "whole number"),
        (dict(own_widths="no"), "True or False"),
        (dict(seconds=0), "positive"),
        (dict(seconds="60"), "positive"),
        (dict(data=["3%", "4%"]), "3%"),
        (dict(data=pd.array([None, None], "Int64")), "empty"),
        (dict(data=[3.0, 3, 3]), "the same|nothing to fit"),
    ],
    ids=str,
)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(given, said):
    with pytest.raises(ValueError, match=said) as refused:
        mx.fit(**{"data": TWO, **given})
    assert "\n" not in str(refused.value)


def test_whole_numbers_of_any_type_are_taken():
    found = mx.fit(pd.array([1, 2, None, 11, 12] * 9, "Int64"), 2.0, True, 10.0, 0.5)
    assert len(found.clusters) == 2 and found.column.missing == 9
    assert "9 missing left out" in found.verdict and found.number is None
    assert len(mx.fit([1, 2, 3.5], largest=1, seconds=0.5).clusters) == 1


def test_rows_stay_with_their_index(two):
    assert two.trusted and "1 missing" in two.verdict and two.name == "7"
    rows = two.membership()
    assert list(rows.index) == list(np.arange(101) // 2)
    assert rows.iloc[-1].isna().all() and rows["cluster"].dtype == "Int64"
    assert (rows["cluster"][:100].to_numpy(int) == (TWO > 0)).all()
    assert np.allclose(rows.filter(like="cluster ").sum(axis=1)[:100], 1)


def test_membership_of_new_values_weighs_the_draws():
    means = np.array([[0.0, 1], [0, 50]])[np.arange(60) % 2]
    found = made(drawn(means, draws=60))
    new, measured = found.membership([0.5, np.nan]), found.membership()
    assert np.allclose(new.iloc[0, 2:].astype(float), [0.5, 0.5], atol=0.17)
    terms = np.exp(-((TWO[:, None] - [0, 1, 0, 50]) ** 2) / 2)
    each = (terms[:, 0] / terms[:, :2].sum(1) + terms[:, 2] / terms[:, 2:].sum(1)) / 2
    assert np.allclose(measured["cluster 0"], each)
    far = found.membership([45.0]).iloc[0]  # only a draw with a cluster there has a say
    assert far["cluster"] == 1 and far["probability"] > 0.99
    assert new.iloc[1].isna().all()


def test_membership_is_the_same_whatever_else_is_asked(two):
    values = rng().permutation(np.linspace(-20, 20, 4_000))  # beyond the column, too
    many, alone = two.membership(values), two.membership(values[7:8])
    assert (many.loc[[7]].to_numpy() == alone.to_numpy()).all()
    exact = posterior.membership(values, posterior.thinned(two.draws), measured=False)
    assert np.allclose(many.filter(like="cluster "), exact, atol=2e-3)


def test_membership_of_a_narrow_cluster_in_a_wide_column_is_not_blurred():
    found = made(drawn([0.0, 0], sd=np.array([1e-3, 1])), np.r_[0, 0.5, 1e4])
    narrow = found.membership([0.0, 0.002, 0.005])["cluster 0"]
    ratio = 1_000 * np.exp(np.array([0, -2, -12.5]))
    assert np.allclose(narrow, ratio / (1 + ratio), atol=5e-3)


def test_dask_collections_are_mapped_lazily(two):
    expected = two.membership(TWO)["cluster 0"]
    array = da.from_array(TWO, chunks=30)
    for collection in (array, dd.from_pandas(pd.Series(TWO), npartitions=3)):
        each = two.membership(collection)
        assert isinstance(each, da.Array) and each.dtype == float
        assert np.allclose(each.compute()[:, 0], expected)
    found = mx.fit(array, clusters=2, seconds=1)
    assert found.name == "value" and found.membership().shape == (100, 2)


def test_togetherness_needs_no_names(two):
    together = two.together([-5.0, -4, 5])
    assert np.allclose(together, together.T) and (np.diag(together) > 0.8).all()
    assert together.iloc[0, 1] > 0.8 and together.iloc[0, 2] < 0.01
    assert list(together.columns) == list(together.index) == [-5, -4, 5]
    assert two.together().shape == (9, 9)


def test_togetherness_of_new_values_weighs_the_draws():
    """Measured values average the draws; a pair of new ones weighs them by the pair."""
    means = np.array([[0.0, 1], [0, 50]])[np.arange(60) % 2]
    found, values = made(drawn(means, draws=60)), np.array([0.0, 1.0])
    component = np.exp(-((values[:, None, None] - [[0, 1], [0, 50]]) ** 2) / 2)
    density = component.sum(axis=2)
    together = (component[0] * component[1]).sum() / (density[0] * density[1]).sum()
    assert found.together(values).iloc[0, 1] == pytest.approx(together, rel=0.02)
    average = (component / density[..., None]).prod(axis=0).sum(axis=1).mean()
    measured = posterior.togetherness(values, found.draws, measured=True)[0, 1]
    assert measured == pytest.approx(average, rel=0.02) and measured > together + 0.05


def test_places_to_look_are_all_over_the_column(two):
    look, (low, high) = places_to_look(two.column), (TWO.min(), TWO.max())
    assert np.allclose(look[20:], np.linspace(low, high, 20)) and look.max() == high


NORMAL = rng(3).normal([-5, 5], 0.1, (16, 500, 2))


def test_tables_are_those_of_the_draws():
    number = rng().choice([1, 2], p=[0.3, 0.7], size=(8, 500))
    found = made(drawn(NORMAL, p=[0.4, 0.6], sd=2.0), occupied=number)
    table, share = found.clusters, (number == 2).mean()
    assert np.allclose(table["weight"], [0.4, 0.6]) and (table["sd 97 %"] == 2).all()
    for name, q in (("mean 3 %", 0.03), ("mean 97 %", 0.97)):
        assert np.allclose(table[name], np.quantile(NORMAL, q, axis=(0, 1)))
    assert np.allclose(table["mean"], NORMAL.mean(axis=(0, 1)))
    probability, error = found.number.loc[2]
    assert probability == pytest.approx(share)
    assert error == pytest.approx((share * (1 - share) / number.size) ** 0.5, rel=0.2)
    found.clusters["sd"] = 1e-6  # then means need more digits
    assert found.digits == 8 and f"{table['mean'][1]:.8g}" in repr(found)
    density = posterior.log_density(found.draws, found.column).values
    answers, density = different_answers(found.draws, density, found.column), 0
    for p, mean in zip((0.4, 0.6), NORMAL[:, -20:].reshape(-1, 2, 1).swapaxes(0, 1)):
        density += p * np.exp(-(((TWO - mean) / 2) ** 2) / 2) / (8 * np.pi) ** 0.5
    assert answers == [(16, pytest.approx(np.log(density).sum(1).mean()))]


def test_the_falling_prior_is_that_of_its_authors():
    m = np.arange(5)  # of the number less one: beta-negative-binomial (1, 4, 3)
    expected = beta(5, m + 3) / beta(4, 3)
    found = mx.falling_prior(5)
    assert np.allclose(found["k"], expected / expected.sum())
    assert np.allclose(found["concentration"], 1 / (m + 1))


@pytest.mark.parametrize("step", [0, 1])
def test_figures_are_of_the_column_and_the_draws(step):
    values = groups((-5, 1, 400), (5, 1, 600))
    values = step * np.round(values / step) if step else values
    found = made(drawn([-5.0, 5], p=[0.4, 0.6]), values)
    figure, (ax, replicates) = plt.subplots(2)
    assert found.plot(ax) is ax
    heights, edges, _ = ax.patches[0].get_data()
    width = np.diff(edges)[0]
    assert [(heights * width).sum(), width % (step or width)] == pytest.approx([1, 0])
    iqr = np.diff(np.quantile(values, [0.25, 0.75]))[0]
    assert width == pytest.approx(max(step, iqr / 10), rel=0.02 if not step else 0.5)
    assert edges[0] == pytest.approx(values.min() - step / 2)
    first, second, both = (line.get_xydata().T for line in ax.lines)
    expected = 0.4 * np.exp(-((first[0] + 5) ** 2) / 2) / (2 * np.pi) ** 0.5
    assert np.allclose(first[1], expected)
    band = ax.collections[0].get_datalim(ax.transData)
    assert band.y1 == pytest.approx(first[1].max())
    assert np.allclose(first[1] + second[1], both[1])
    reports.plot_replicates(found, replicates)
    high, edges, low = replicates.patches[0].get_data()
    heights, *_ = replicates.patches[1].get_data()
    assert heights.sum() == 1_000
    assert ((low <= heights) & (heights <= high)).mean() > 0.8
    assert 1_000 < high.sum() < 2 * 1_000 and low.sum() < 1_000
    plt.close(figure)


def test_the_same_seed_gives_the_same_answer_whatever_ran_before(two):
    np.random.seed(1)
    again = mx.fit(np.r_[TWO, np.nan])
    assert again.draws.equals(two.draws) and again.verdict == two.verdict
    other = mx.fit(TWO, random_seed=1)
    assert other.trusted and not other.draws.equals(two.draws)


def test_a_short_fit_is_not_trusted_and_a_shorter_one_is_none(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mx.fit(TWO, clusters=2, seconds=0.2)
        found = mx.fit(TWO, seconds=1e-9)
    assert not found.trusted and "`seconds`" in found.verdict
    interrupt_sweep(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        mx.fit(TWO)


@pytest.mark.parametrize("at", [5, 700, 1300], ids=["tuning", "number", "looking"])
def test_an_interrupt_keeps_what_there_is(monkeypatch, at):
    interrupt_sweep(monkeypatch, at)
    found = mx.fit(TWO, seconds=20)
    assert found.interrupted and not found.trusted
    assert "interrupted" in found.verdict and len(found.clusters) >= 1
    assert np.isfinite(found.clusters).all(axis=None)
