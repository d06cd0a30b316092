"""What `fit` says of columns of all kinds, and what it refuses."""

import re
import time
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from package_helpers import GAPS, TWO, drawn, groups, interrupt_sweep, made, rng
from scipy import stats
from scipy.special import beta

import mixtures as mx
from mixtures import jumps, posterior, trust
from mixtures.data import representatives


@pytest.fixture(scope="module", autouse=True)
def processor_time():
    """Seconds are those of the processor, so that a busy machine changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust.time, "monotonic", time.process_time)
        yield


SHUFFLED = pd.Series(GAPS, rng(2).permutation(np.arange(103) // 2), name=7)


@pytest.fixture(scope="module")
def two():
    """A fit of two clear groups, shuffled, with missing values and an index of its own."""
    return mx.fit(SHUFFLED)


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


def test_a_million_values_are_as_soon_trusted_as_few():
    """Chains that start with ten clusters would stay there, were all values at once."""
    fit = mx.fit(rng().standard_normal(10**6))
    assert fit.trusted and len(fit.clusters) == 1, fit.verdict


def test_what_never_moves_is_certain():
    found = mx.fit(np.r_[5 + 1e-3 * rng().standard_normal(199), 100.0])
    assert found.trusted and "2 clusters" in found.verdict, found.verdict
    assert found.clusters["weight"][1] == pytest.approx(2 / 202, rel=0.1)


def test_a_chain_that_refuses_all_jumps_is_a_reason_not_to_trust(monkeypatch):
    monkeypatch.setattr(jumps.Jumps, "stuck", lambda self, draws: draws >= 500)
    fit = mx.fit(TWO, 2, seconds=5)
    assert not fit.trusted and "refused all jumps" in fit.verdict


def test_no_number_over_the_largest_of_all_is_asked_for():
    found = made(drawn([-5.0, 5]), occupied=np.full((8, 500), 99), largest=99)
    assert "raise" not in found.verdict


def numbers(often):
    """Numbers of clusters in 8 chains of 500 draws, in any order: {number: draws}."""
    one_chain = np.repeat([*often], [*often.values()])
    return rng().permuted(np.tile(one_chain, (8, 1)), axis=1)


LIMIT = (
    "the number leans on the largest allowed, 10: raise `largest`, to 20 for example"
)
VERDICTS = {
    "Trusted: 2 clusters, with probability 0.60 ± 0.008 (3 has 0.37).": {
        2: 300,
        3: 185,
        5: 15,
    },
    "Trusted: 2 clusters, with probability 0.96 ± 0.003.": {2: 480, 3: 20},
    "Trusted: 2 clusters, with probability 1.00.": {2: 500},
    f"Not trusted: {LIMIT}. What was found: 2 clusters, with probability 0.90 ± 0.005 (10 has "
    "0.10).": {2: 450, 10: 50},
}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_verdicts_in_full(verdict):
    number = numbers(VERDICTS[verdict])
    fit = made(drawn([-5.0, 5]), trusted=True, occupied=number)
    assert fit.verdict == verdict and fit.trusted == verdict.startswith("Trusted")


def test_one_chain_at_the_largest_number_does_not_lean_on_it():
    number = numbers({2: 400, 3: 100})
    number[5] = rng().choice([9, 10], 500)
    fit = made(drawn([-5.0, 5]), occupied=number)
    assert "do not agree on the number of clusters (R-hat" in fit.verdict


def test_different_answers_have_their_likelihoods_ties_counted():
    values = np.r_[np.round(TWO, 1), [5.0] * 30]
    means = np.where(np.arange(16)[:, None, None] < 10, [-5.0, 5], [-4.0, 6])
    noise = 0.001 * rng().standard_normal((16, 500, 2))
    draws = drawn(means + noise, p=[0.4, 0.6] + noise, sd=1 + noise)
    verdict = made(draws, values).verdict
    told = re.findall(r"(\d+) of log-likelihood (-[\d.]+)", verdict)
    density = stats.norm.pdf(values[:, None, None], [[-5, 5], [-4, 6]])
    expected = np.log(density @ [0.4, 0.6]).sum(axis=0)
    np.testing.assert_allclose(
        np.array(told, float), np.c_[[10, 6], expected], atol=0.5
    )


FEW = [1.0, 2, 5], np.arange(6.0) ** 2, [0, 0, 0, 1e-9, 1.0]


@pytest.mark.parametrize("values", FEW)
def test_few_values_are_fitted(values):
    found = mx.fit(values, seconds=1)
    assert found.number["probability"].sum() == pytest.approx(1)
    assert len(found.clusters) < len(values)
    assert found.verdict.startswith(("Trusted: ", "Not trusted: "))


REFUSED = [
    *(("clusters", x, "a whole number") for x in ([2], 1.5, True, "2", np.nan, 0, 100)),
    ("largest", None, "a whole number"),
    ("own_widths", "no", "True or False"),
    *(("seconds", x, "a positive number") for x in (0, "60", np.inf)),
]


@pytest.mark.parametrize("name, value, advice", REFUSED)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(name, value, advice):
    with pytest.raises(ValueError) as refusal:
        mx.fit(TWO, **{name: value})
    assert str(refusal.value).startswith(f"{name} = {value!r}: give {advice}")


def test_whole_numbers_of_any_type_are_taken():
    found = mx.fit(pd.array([1, 2, None, 11, 12] * 9, "Int64"), 2.0, True, 10.0, 0.5)
    assert len(found.clusters) == 2 and found.column.missing == 9
    assert "9 missing left out" in found.verdict and found.number is None
    assert "weights ~ Dirichlet of concentration 1;" in str(found.prior)
    assert len(mx.fit([1, 2, 3.5], largest=1, seconds=0.5).clusters) == 1


def test_a_fit_keeps_the_order_of_rows_their_index_and_their_name(two):
    assert two.trusted and "3 missing" in two.verdict and two.name == "7"
    rows, there = two.membership(), SHUFFLED.notna().to_numpy()
    assert rows.index.equals(SHUFFLED.index) and rows["cluster"].dtype == "Int64"
    assert rows[~there].isna().all(axis=None)
    assert (rows["cluster"][there] == (SHUFFLED > 0)[there]).all()


@pytest.mark.parametrize("new", [False, True])
def test_memberships_are_those_of_the_rows(new):
    """Over 3,000 values in no order, with ties, missing first, last and between."""
    values = rng(3).permutation(np.resize(rng(4).normal(0, 4, 3_100), 3_500))
    values = np.insert(values, [0, 7, 1_700, 3_500], np.nan)
    column = pd.Series(values, rng(5).permutation(3_504))
    p, means, sd = [0.3, 0.7], [-5.0, 5], np.array([3.0, 2])
    fit = made(drawn(means, p, sd, draws=60), 0.5 * column if new else column)
    rows = fit.membership(*[column] * new)
    share = p * stats.norm.pdf(values[:, None], means, sd)
    share /= share.sum(axis=1, keepdims=True)
    best = share.max(axis=1)
    expected, clear = np.c_[best, share], best > 0.51
    assert np.allclose(rows.iloc[:, 1:], expected, atol=2e-3, equal_nan=True)
    assert (rows["cluster"][clear] == share.argmax(axis=1)[clear]).all()
    assert rows.index.equals(column.index)


def test_memberships_are_of_draws_from_the_first_to_the_last():
    means = np.where(np.arange(500)[:, None] < 250, [-5.0, 5], [5.0, -5])
    assert np.allclose(made(drawn(means)).membership()["probability"], 0.5, atol=0.02)


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


def test_membership_is_the_same_whatever_else_is_asked():
    fit, values = made(drawn([-5.0, 5])), rng().permutation(np.linspace(-20, 20, 4_000))
    assert fit.membership(values[7:8]).equals(fit.membership(values)[7:8].set_axis([0]))


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
    spread = two.column.quantile(np.linspace(0.05, 0.95, 9))
    np.testing.assert_allclose(two.together().index, spread, atol=0.3)
    assert np.allclose(made(drawn([0.0], 1.0, clusters=1)).together(), 1)


def test_togetherness_of_new_values_weighs_the_draws():
    """Measured values average the draws; a pair of new ones weighs them by the pair."""
    means = np.array([[0.0, 1], [0, 50]])[np.arange(60) % 2]
    fit = made(drawn(means, draws=60), np.linspace(0, 8, 99))
    measured = fit.together()
    values = measured.index.to_numpy()[:2]
    component = np.exp(-((values[:, None, None] - [[0, 1], [0, 50]]) ** 2) / 2)
    density = component.sum(axis=2)
    together = (component[0] * component[1]).sum() / (density[0] * density[1]).sum()
    assert fit.together(values).iloc[0, 1] == pytest.approx(together, rel=0.02)
    average = (component / density[..., None]).prod(axis=0).sum(axis=1).mean()
    assert measured.iloc[0, 1] == pytest.approx(average, rel=0.02)
    assert average > together + 0.05


def test_representatives_are_all_over_the_column(two):
    look, (low, high) = representatives(two.column), (TWO.min(), TWO.max())
    assert np.allclose(look[20:], np.linspace(low, high, 20)) and look.max() == high


VARIED = dict(
    mean=rng(1).normal([-5, 5], [0.1, 1], (16, 60, 2)),
    weight=rng(2).dirichlet([4.0, 6], (16, 60)),
    sd=rng(3).uniform([1, 2], [2, 4], (16, 60, 2)),
)


@pytest.mark.parametrize("name", VARIED)
def test_the_table_has_means_over_the_draws_and_intervals(name):
    table, draws = made(drawn(*VARIED.values(), draws=60)).clusters, VARIED[name]
    expected = np.vstack([draws.mean((0, 1)), np.quantile(draws, [0.03, 0.97], (0, 1))])
    columns = [name, f"{name} 3 %", f"{name} 97 %"]
    np.testing.assert_allclose(table[columns].T, expected)


def test_the_table_of_the_number_has_shares_and_monte_carlo_errors():
    number = rng().choice([1, 2], p=[0.3, 0.7], size=(8, 500))
    probability, error = made(drawn([-5.0, 5]), occupied=number).number.loc[2]
    assert probability == pytest.approx((number == 2).mean())
    assert error == pytest.approx((0.21 / 4_000) ** 0.5, rel=0.2)


def test_means_have_the_digits_that_tell_them_apart():
    assert "-5.0012346 " in repr(made(drawn([-5.00123456, -5], sd=1e-6)))


def test_the_falling_prior_is_that_of_its_authors():
    m = np.arange(5)  # of the number less one: beta-negative-binomial (1, 4, 3)
    expected = beta(5, m + 3) / beta(4, 3)
    found = mx.falling_prior(5)
    assert np.allclose(found["k"], expected / expected.sum())
    assert np.allclose(found["concentration"], 1 / (m + 1))


def test_the_same_seed_gives_the_same_answer_whatever_ran_before(two):
    np.random.seed(1)
    again = mx.fit(SHUFFLED.sort_values())
    assert again.draws.equals(two.draws) and again.verdict == two.verdict
    other = mx.fit(TWO, random_seed=1)
    assert other.trusted and not other.draws.equals(two.draws)


def test_one_width_is_one_and_own_widths_are_not():
    fits = (mx.fit(TWO, 2, np.bool_(x), seconds=1e-9) for x in (False, True))
    one, own = (fit.clusters["sd"] for fit in fits)
    assert one.nunique() == 1 and own.nunique() == 2


@pytest.mark.parametrize("largest", [3, 99])
def test_the_largest_number_ends_the_table(largest):
    fit = mx.fit(TWO, largest=largest, seconds=1e-9)
    assert fit.number.index[-1] == fit.prior.largest == largest


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
