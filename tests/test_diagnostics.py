"""The rule of trust, on draws that are made."""

import arviz as az
import numpy as np
import pytest
import xarray as xr

import mixtures as mx
from mixtures.diagnostics import Convergence


def dataset(x, name="x"):
    """Draws of one variable: (chain, draw) or (chain, draw, element)."""
    return xr.Dataset({name: (("chain", "draw", "element")[: np.ndim(x)], x)})


def normal(chains, draws, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal((chains, draws, *shape))


def slow(chains, draws, correlation):
    """Stationary chains of N(0, 1), of which successive draws are correlated."""
    x = normal(chains, draws)
    for i in range(1, draws):
        x[:, i] *= (1 - correlation**2) ** 0.5
        x[:, i] += correlation * x[:, i - 1]
    return x


def late(chains, draws, stray, distance):
    """Independent draws, the first of one chain far out."""
    x = normal(chains, draws)
    x[0, :stray] += distance
    return dataset(x)


LATE = {
    "42 of 64 x 2,500": late(64, 2_500, 42, 60),
    "17 of 80,000": late(32, 2_500, 17, 100),
    "20 of 80,000": late(32, 2_500, 20, 25),
    "500 of 2,500": late(32, 2_500, 500, 20),
}


@pytest.mark.parametrize("draws", LATE.values(), ids=LATE)
def test_a_chain_that_came_late_is_not_trusted(draws):
    assert "tune for longer" in mx.convergence(draws).reason


@pytest.mark.parametrize("draws", LATE.values(), ids=LATE)
def test_the_same_draws_are_trusted_without_its_way(draws):
    assert mx.convergence(draws.isel(draw=slice(500, None))).trusted


def test_a_far_stray_of_a_mean_is_seen_by_the_size_of_the_mean():
    assert mx.convergence(late(16, 1_000, 100, 40)).ess < 400


def test_the_size_of_the_sd_does_not_hang_on_where_the_mean_is():
    """Scales change from draw to draw slowly, signs do not: squares are correlated."""
    x = dataset(normal(4, 1_000) * np.exp(slow(4, 1_000, 0.98)))
    assert mx.convergence(x + 1e6).ess == pytest.approx(mx.convergence(x).ess, rel=0.01)
    assert mx.convergence(x).ess < az.ess(x)["x"] / 3


@pytest.mark.parametrize("draws, trusted", [(600, False), (6_000, True)])
def test_slow_but_honest_chains_are_trusted_once_they_are_long(draws, trusted):
    """Sizes of some 190 and 1,900."""
    assert mx.convergence(dataset(slow(16, draws, 0.96))).trusted == trusted


def test_shifts_are_those_of_mean_and_sd_without_the_first_fifth():
    x = normal(4, 1_000)
    x[:, :200] += 1
    found, later = mx.convergence(dataset(x)), x[:, 200:]
    shift = (x.mean() - later.mean()) / later.std(), x.std() / later.std() - 1
    assert (found.shift_of_mean, found.shift_of_sd) == pytest.approx(shift)


@pytest.mark.parametrize("apart, trusted", [(0.05, True), (0.4, False)])
def test_chains_apart_are_not_trusted(apart, trusted):
    """By the largest R-hat of all elements; distances in standard deviations."""
    shift = apart * np.linspace(-1, 1, 16)[:, None]
    x = np.stack([normal(16, 500), normal(16, 500, seed=1) + shift], axis=2)
    assert mx.convergence(dataset(x)).trusted == trusted


@pytest.mark.parametrize("r_hat, ess", [(1.011, 400), (1.01, 399), (np.nan, 400)])
def test_thresholds(r_hat, ess):
    assert Convergence(1.0104, 400, 0.1, 0.1).trusted
    assert not Convergence(r_hat, ess, 0, 0).trusted


@pytest.mark.parametrize("count", [3, True])
def test_a_count_that_never_moves_is_certain(count):
    assert mx.convergence(dataset(np.full((4, 500), count))).trusted


def test_an_element_that_never_moves_is_certain_beside_others_that_do():
    x = normal(4, 500, 2)
    x[..., 1] = 0.1
    assert mx.convergence(dataset(x)).trusted


def test_a_variable_that_never_moved_was_not_sampled():
    draws = dataset(normal(4, 500)).assign(sd=dataset(np.full((4, 500), 0.1))["x"])
    assert mx.convergence(draws).reason.startswith("sd never moved")
    assert mx.convergence(draws, ["x"]).trusted


@pytest.mark.parametrize("kind", [int, float])
def test_chains_that_stand_still_each_elsewhere_are_never_trusted(kind):
    still = np.repeat(np.arange(4, dtype=kind)[:, None], 500, axis=1)
    said = str(mx.convergence(dataset(np.stack([still, normal(4, 500)], axis=2))))
    assert said.startswith("not trusted: the chains stand still, each elsewhere")


def test_a_count_that_is_rarely_another_is_trusted():
    """Its sd hangs on the few draws that are: a hundred of 16,000, in the first fifth."""
    x = np.full((16, 1_000), 2)
    x[:10, 50:60] = 3
    assert mx.convergence(dataset(x)).shift_of_sd == 0


@pytest.mark.parametrize("shape", [(16, 3), (1, 1_000)])
def test_too_few_draws_or_chains_are_not_trusted(shape):
    assert "two chains of four draws" in mx.convergence(dataset(normal(*shape))).reason
    assert not mx.convergence(dataset(normal(2, 4))).flaw


def test_what_is_no_number_is_not_trusted():
    x = normal(4, 500)
    x[0, 0] = np.nan
    assert "x is no number" in mx.convergence(dataset(x)).reason


def test_the_sentence():
    assert str(Convergence(1, 8440, 0, 0)) == (
        "trusted (R-hat 1.000, effective size 8,440)"
    )
    assert str(Convergence(1.0004, 352.3, 0, 0)) == (
        "not trusted: take more draws (R-hat 1.000, effective size 352)"
    )


def test_inference_data_and_its_posterior_are_taken_whatever_the_arviz():
    x = normal(4, 500)
    convert = getattr(az, "convert_to_datatree", None) or az.convert_to_inference_data
    run = convert({"x": x})
    judged = mx.convergence(dataset(x))
    assert mx.convergence(run) == judged == mx.convergence(run.posterior)
