"""What the verdict says: why an answer is not trusted, what to do, what strikes."""

import re

import numpy as np
import pytest
from package_helpers import drawn, groups, made, rng

import mixtures as mx
from mixtures import remarks, sampler, trust, verdict
from mixtures.data import as_column
from mixtures.diagnostics import Convergence

CENTERS = np.array([-5.0, 5])
NOISE = rng(1).normal(0, 0.01, (16, 1000, 2))
UNKNOWN = np.tile([1, 2, 2, 2], (8, 125))  # numbers of clusters
WEIGHTS, WIDTHS = 0.5 + NOISE, 1 + NOISE[::-1]  # that move, as those of a fit do


def slow(correlation):
    """Draws of chains that walk slowly about the clusters of TWO."""
    walk = rng().standard_normal((16, 1000, 2))
    for i in range(1, 1000):
        walk[:, i] *= np.sqrt(1 - correlation**2)
        walk[:, i] += correlation * walk[:, i - 1]
    return drawn(walk / 9 + CENTERS, WEIGHTS, WIDTHS, draws=1000)


def apart(*means):
    """Draws of chains that stand about one of these pairs of means each, in turn."""
    where = np.resize(means, (16, 2))[:, None]
    noise = 0.1 * rng().standard_normal((16, 1000, 2))
    return drawn(where + noise, WEIGHTS, WIDTHS, draws=1000)


def swapping(times):
    """Draws whose clusters change places so many times."""
    order = rng().random((16, times, 1)) < 0.5
    order = np.repeat(order, 1000 // times, axis=1)
    means = CENTERS + 0.1 * rng().standard_normal((16, 1000, 2))
    return drawn(np.where(order, means, means[..., ::-1]), WEIGHTS, WIDTHS, draws=1000)


def reason(fit):
    assert not fit.trusted
    return re.fullmatch("Not trusted: (.*) What was found: .*", fit.verdict)[1]


def test_time_comes_first_where_chains_nearly_agree():
    said = reason(made(slow(0.95)))
    assert re.fullmatch(
        r"the time was up before the chains had drawn enough of the clusters \(R-hat "
        r"1\.0\d\d, effective size \d+\): give it more `seconds`, say \d+;?.*\.",
        said,
    )


def test_names_that_swap_are_a_matter_of_time_until_chains_disagree():
    said = reason(made(swapping(20)))
    assert said.startswith("the time was up") and "`together` and `plot`" in said
    said = reason(made(swapping(4)))
    assert said.startswith("no names tell") and said.endswith("or fewer `clusters`.")


@pytest.mark.parametrize(
    "judged, seconds",
    [
        (Convergence(1.002, 100, 0.05, 0.05), 360),  # a quarter of the draws
        (Convergence(1.02, 900, 0.05, 0.05), 180),
        (Convergence(1.002, 900, 0.2, 0.05), 360),
        (Convergence(1.0, 399, 0.0, 0.0), 120),
    ],
)
def test_what_is_short_says_how_many_seconds_will_do(judged, seconds):
    assert verdict.seconds_needed(judged, 60) == pytest.approx(seconds, rel=0.03)


def test_what_hangs_on_forgotten_draws_is_said():
    judged = Convergence(1.0104, 900, 0.2, 0.05)
    said = verdict.too_short(judged, "the clusters", 60)
    assert "hung on how many draws are forgotten" in said and "`seconds`" in said


def test_a_run_that_agrees_but_is_too_short_has_refused_no_jumps():
    assert reason(made(slow(0))).startswith("the time was up before the chains had ")


def test_slow_chains_are_not_different_answers():
    said = reason(made(slow(0.999)))
    assert said.startswith("the chains do not agree on the clusters (R-hat ")
    assert said.endswith("give it more `seconds`, say 600, or try fewer `clusters`.")
    said = reason(made(slow(0.999), occupied=UNKNOWN))
    assert said.endswith("`seconds`, say 600, or use `number` and `together`.")


def test_advice_goes_in_no_circle():
    """With a number the advice leads to none, and without one it stays there."""
    draws = apart(CENTERS, [-5, 0], [0, 5])
    known = reason(made(draws))
    assert "3 different answers" in known and "leave `clusters` out" in known
    unknown = reason(made(draws, occupied=UNKNOWN))
    assert "3 different answers" in unknown and "`clusters`" not in unknown
    stuck = np.repeat(np.arange(2, 10)[:, None], 500, axis=1)
    number = reason(made(draws, occupied=stuck))
    assert "`clusters`" not in number and "`seconds`, say 600" in number


def test_more_time_is_asked_for_until_it_is_of_no_use():
    judged, otherwise = Convergence(2.0, 9, 1, 1), "report that"
    given = [verdict.disagreement(judged, "it", x, otherwise) for x in (6, 60, 600)]
    assert "say 60, or report that" in given[0] and "say 600, or" in given[1]
    assert given[2].endswith("more time will hardly help: report that")


def test_chains_that_stand_still_have_no_r_hat():
    stuck = np.repeat(np.arange(2, 10)[:, None], 500, axis=1)
    said = reason(made(slow(0.5), occupied=stuck))
    assert "of the number of clusters the chains stand still, each elsewhere" in said
    assert "R-hat" not in said


HEAPS = {
    "zeros": (np.r_[np.zeros(100), groups((20, 3, 200))], ["0 alone is 33%"]),
    "zeros and six": (np.r_[np.zeros(300), [5.0] * 6, groups((5, 1, 300))], ["0 alone is 50%"]),
    "inside": ([*groups((20, 1, 300)), *[23.417] * 200], ["23.417 alone is 40%"]),
    "two": ([*groups((50, 9, 50)), *[100] * 60, *[0] * 40], ["0 alone is 27%", "100 alone is 40%", "each such value"]),
    "two of other size": ([*groups((800, 300, 880)), *[-111] * 80, *[4095] * 40], ["-111 alone is 8%", "4095"]),
    "nearly all": (np.r_[np.zeros(15_933), groups((5, 1, 67))], ["0 alone is 99.6%"]),
    "in a long column": (np.r_[np.zeros(15_000), groups((0, 1, 235_000))], ["0 alone is 6%"]),
    "among counts": (np.r_[np.zeros(100), rng().poisson(20, 300)], ["0 alone is 25%"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAPS)
def test_heaps_are_told_one_by_one(name):
    values, told = HEAPS[name]
    remark = remarks.odd_values(as_column(values))
    assert all(text in remark for text in told) and remark.endswith(".")
    assert "100%" not in remark and remark.count(" alone is ") <= len(told)


@pytest.mark.parametrize("unit", [1e-9, 1, 1e9])
def test_the_places_of_a_long_column_are_no_heaps(unit):
    narrow = np.r_[groups((0, 1e-4, 120_000)), groups((50, 5, 180_001))]
    assert not remarks.odd_values(as_column(unit * narrow))


def test_a_share_is_never_all_or_nothing():
    shares = 0.334, 0.9958, 0.99996, 0.004
    assert [*map(remarks.percent, shares)] == ["33%", "99.6%", "99.996%", "0.4%"]


CODES = {
    "-999": (np.r_[groups((50, 3, 300)), [-999] * 15], ["-999 occurs 15 times"]),
    "-9999": (np.r_[rng().uniform(8, 23, 99).round(1), [-9999] * 7], ["-9999 occurs"]),
    "-32768": (np.r_[rng().integers(8, 24, 99), [-32768] * 2], ["-32768 occurs 2"]),
    "both ends": (np.r_[groups((50, 3, 300)), [-99] * 5, [999] * 4], ["-99 occurs 5 times", "999 occurs 4 times"]),
    "of many": (np.r_[groups((50, 3, 250_000)), [-999] * 9], ["-999 occurs 9 times"]),
    "in a row of many": (np.r_[groups((20, 5, 3_000)), [97] * 5, [98] * 6, [99] * 7],
                         ["97 occurs 5 times", "98 occurs 6 times", "99 occurs 7 times"]),
    "in a row": (np.r_[rng().integers(1, 6, 300), [-9] * 5, [-8] * 2], ["-9 occurs 5 times", "-8 occurs 2 times"]),
    "in two rows": (np.r_[rng().uniform(1, 5, 99), np.repeat([-999, -99, 77, 88, 99.9], 2)],
                    ["-999 occurs", "-99 occurs", "77 occurs", "88 occurs", "99.9 occurs"]),
    "once": ([*groups((5, 1, 200)), -999.0], ["-999 occurs once"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_codes_for_missing_are_named_beside_an_answer_that_is_trusted(name):
    values, told = CODES[name]
    for trusted in (True, False):
        said = made(slow(0.5), values, trusted).verdict
        assert all(text in said for text in told), said
        assert said.count(" occurs ") == len(told) and " alone is " not in said
        advice = "it stands for a missing value, leave it out."
        if len(told) > 1:
            advice = "they stand for missing values, leave them out."
        assert f", far outside all other values: if {advice}" in said


GOOD = {
    "normal": groups((20, 1, 400)),
    "whole numbers": groups((50, 10, 300)).round(),
    "coarse": groups((50, 3, 3000)).round(),
    "skewed": np.exp(groups((0, 1, 400))),
    "skewed and rounded": np.exp(groups((3, 1, 400))).round(1),
    "uniform": rng().uniform(0, 1, 300),
    "two groups": groups((0, 1, 150), (30, 1, 150)),
    "two rounded groups": groups((0, 1, 150), (50, 1, 150)).round(),
    "narrow groups": groups(*((x, 0.02, 99) for x in range(5))).round(2),
    "counts": rng().poisson(4, 500),
    "counts with a long tail": rng().geometric(0.1, 400),
    "heavy tails": rng().standard_cauchy(300).round(1),
    "a heap amid heavy tails": rng(0).standard_cauchy(500).round(),
    "an outlier": [*groups((0, 1, 200)), 1_000],
    "an outlier of three digits": [*groups((5, 1, 200)), 54.3],
    "few": [1.0, 2, 5, 7, 7],
    "long": groups((0, 1, 250_000)),
    "long and rounded": groups((0, 1, 250_000)).round(2),
    "milliseconds since 1970": 1.7e12 + groups((50, 7, 300)).round(),
    "a narrow group far out": groups((9, 2, 300), (94, 0.7, 50)).round(),
    "a few far out": [*groups((9, 2, 300)).round(), 93, 93, 94, 94, 94, 95, 95],
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("unit, shift", [(1, 0), (1e-9, 0), (1e6, 1e9)])
def test_good_columns_get_no_remark(name, unit, shift):
    column = as_column(shift + unit * np.array(GOOD[name]))
    coarse = remarks.coarse_step(column)
    assert not coarse and not remarks.odd_values(column, coarse)


@pytest.mark.parametrize("digits", [2, 9])
@pytest.mark.parametrize("size", [100, 10_000])
def test_values_that_are_rounded_twice_are_told(digits, size):
    values = groups((20, 2, size), (20, 2, size))
    values[:size] = values[:size].round()
    values = values.round(digits)
    said = reason(made(slow(0.999), values))
    assert "values are multiples of 1 and the others are written finer" in said
    assert said.endswith("round all to multiples of 1.")
    assert remarks.coarse_step(as_column(values.round())) == 0
    assert " alone is " not in made(slow(0.999), values).verdict
    # no word of it beside one cluster that is right, but beside heaps that seem such
    one = dict(clusters=1, p=1.0)
    assert "multiples" not in made(drawn([20.0], sd=2.0, **one), values, True).verdict
    narrow = drawn([20.0, 20], sd=[1e-12, 2.0])
    assert "multiples of 1" in made(narrow, values, True).verdict


def test_ties_at_a_few_values_are_no_rounding():
    ties = np.repeat(groups((3, 1, 12)).round(2), 10)
    assert remarks.coarse_step(as_column([*groups((0, 1, 280)), *ties])) == 0


def test_a_width_that_is_the_resolution_s_is_said():
    values = np.r_[[6.0] * 30, groups((0, 1, 100))]
    narrowest = as_column(values).narrowest
    found = made(drawn([0.0, 6], sd=[1.0, 1.05 * narrowest]), values, True)
    assert "The sd of cluster 1 is the resolution's and not the data's" in found.verdict
    found = made(drawn([0.0, 6], sd=[1.0, 2 * narrowest]), values, True)
    assert "resolution" not in found.verdict
    found = made(drawn([0.0, 6], sd=narrowest), values, True)
    assert "The sd of clusters 0 and 1 is" in found.verdict


TWO_POSITIVE = groups((4, 1.2, 200), (14, 2, 50)).round(2)


@pytest.mark.parametrize(
    "values, said",
    [
        (np.exp(groups((7, 1, 400))).round(), "1 normal group would"),
        (np.exp(groups((0, 0.5, 200), (3, 0.5, 200))), "2 normal groups would"),
        (np.exp(groups((0, 1, 400))) - 1, ""),
        (groups((20, 1, 400)), ""),
        (TWO_POSITIVE[TWO_POSITIVE > 0], ""),
        (rng().poisson(9, 300) + 1, ""),
    ],
)
def test_logarithms_are_advised_where_fewer_groups_describe_them(values, said):
    doubtful, right = (made(slow(0.5), values, x).verdict for x in (False, True))
    assert ("logarithms better: fit those." in doubtful) == bool(said)
    assert said in doubtful and "logarithms" not in right


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only pass where a test lets them, as a list of one."""
    now, step, look = [0.0], sampler.step, trust.looked_at

    def takes(function, seconds):
        def slower(*arguments):
            now[0] += seconds(*arguments)
            return function(*arguments)

        return slower

    monkeypatch.setattr(trust.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sampler, "step", takes(step, lambda *_: 0.01))
    monkeypatch.setattr(
        trust, "looked_at", takes(look, lambda kept, *_: len(kept) / 400)
    )
    density = takes(verdict.log_density, lambda *_: 1.5)
    monkeypatch.setattr(verdict, "log_density", density)
    return now


@pytest.mark.parametrize(
    "clusters, seconds", [*zip([4] * 4 + [None] * 2, [4, 12, 15, 30, 12, 40])]
)
def test_the_time_includes_looks_and_the_verdict(clock, clusters, seconds):
    fit = mx.fit(groups((0, 1, 50)), clusters, seconds=seconds)
    assert clock[0] <= 1.1 * seconds
    if clusters:
        assert not fit.trusted and clock[0] > 0.5 * seconds
    else:
        assert fit.trusted or clock[0] > 0.5 * seconds


def test_a_value_that_makes_the_prior_wide_is_named_and_not_an_outlier_or_a_code():
    values = [*rng().normal(20, 2, 80).round(2), 26.96]
    said = remarks.far_value(as_column([*values[:-1], 269.6]))
    assert said.startswith("269.6 is 3 times as far from all others")
    for other in (26.96, 45.0, 9999.0):
        assert remarks.far_value(as_column([*values[:-1], other])) == ""
