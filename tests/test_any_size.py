"""Millions of points: neither split nor workers nor faults change the posterior."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import arviz as az
import dask
import dask.array as da
import numpy as np
import psutil
import pytest
from conftest import living, wait_until
from distributed import Client

pytestmark = pytest.mark.machinery
page = SimpleNamespace()  # the tutorial's definitions, once a test begins


@pytest.fixture(scope="module", autouse=True)
def definitions_of_the_page(tutorial):
    vars(page).update(tutorial)


N, K = 40_000, 3
TRUE = dict(
    p=np.array([0.25, 0.45, 0.3]),
    means=np.array([-5.0, 0, 5]),
    sd=np.array([0.8, 1, 1.4]),
)


def values(n=N):
    """Three clusters that overlap, of different weight and width."""
    rng = np.random.default_rng(1)
    v = rng.choice(K, n, p=TRUE["p"])
    return TRUE["means"][v] + TRUE["sd"][v] * rng.standard_normal(n)


def array(y, shards):
    return da.from_array(y, chunks=-(-len(y) // shards))


def fit(client, y, draws=100, own_widths=True, **settings):
    sample, sums = page.in_shards(client, y)
    settings = (
        dict(chains=4, draws=draws, own_widths=own_widths, categories=sums) | settings
    )
    return page.gibbs(sample, K, page.priors, **settings)


def digits(run):
    return np.concatenate(
        [run.posterior[name].values.ravel() for name in ("p", "means", "sd")]
    )


def processes():
    """All below this one that could be a worker, a nanny or their helpers."""
    return living(psutil.Process().children(recursive=True))


def worker_pids(client):
    return list(client.run(os.getpid).values())


def local(workers=2):
    return Client(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )


@pytest.fixture(scope="module")
def client():
    with local() as client:
        yield client


def state(chains=4):
    return [np.tile(TRUE[name], (chains, 1)) for name in ("p", "means", "sd")]


@pytest.mark.parametrize("shards", [1, 4, 16, "in memory"])
def test_law_of_the_sums(client, shards):
    """Of a million points: the sums against their exact means and variances."""
    y, repeats = values(1_000_000), 6
    p, means, sd = state()
    if shards == "in memory":
        rng, terms = np.random.default_rng(5), page.standard_powers(y[None], 0, 1)
        drawn = [page.sums_in_pieces(terms, p, means, sd, rng) for _ in range(repeats)]
    else:
        _, sums = page.in_shards(client, array(y, shards))
        drawn = [sums(sweep, 0, 1, p, means, sd) for sweep in range(-2, repeats - 2)]
    drawn = np.moveaxis(drawn, 2, 0).reshape(-1, 3, K)  # (draws, which sum, cluster)
    weight = (
        TRUE["p"]
        / TRUE["sd"]
        * np.exp(-(((y[:, None] - TRUE["means"]) / TRUE["sd"]) ** 2) / 2)
    )
    weight /= weight.sum(axis=1, keepdims=True)
    powers = np.stack([np.ones_like(y), y, y**2])
    mean, variance = powers @ weight, powers**2 @ (weight * (1 - weight))
    z = (drawn.mean(axis=0) - mean) / np.sqrt(variance / len(drawn))
    assert np.abs(z).max() < 4.5, z
    spread = (
        drawn.var(axis=0, ddof=1) / variance
    )  # chains and sweeps are independent of each other
    assert 0.2 < spread.min() and spread.max() < 3, spread


@pytest.mark.parametrize(
    "own_widths, ordered, splits",
    [(True, True, (1, 16)), (False, True, (4,)), (True, False, (4,))],
    ids=["own widths", "one width", "not ordered"],
)
def test_the_split_does_not_matter(client, own_widths, ordered, splits):
    """The posterior in memory, and of 1, 4 and 16 shards, the last of another size."""
    y, settings = (
        values(20_000),
        dict(own_widths=own_widths, draws=80, chains=16, ordered=ordered),
    )
    runs = {shards: fit(client, array(y, shards), **settings) for shards in splits}
    runs["in memory"] = page.gibbs(y, K, page.priors, random_seed=3, **settings)
    if not ordered:  # compare what does not depend on names
        for run in runs.values():
            order = run.posterior["means"].mean("draw").argsort(axis=-1)
            for name in ("p", "means") + ("sd",) * own_widths:
                run.posterior[name] = run.posterior[name].isel(
                    cluster=order.drop_vars("cluster", errors="ignore")
                )
    tables = {name: az.summary(run, round_to="none") for name, run in runs.items()}
    expected = tables.pop("in memory")
    for shards, table in tables.items():
        error = np.hypot(table["mcse_mean"], expected["mcse_mean"])
        assert (np.abs(table["mean"] - expected["mean"]) / error).max() < 4.5, shards
        ratio = table["sd"] / expected["sd"]
        assert 0.6 < ratio.min() and ratio.max() < 1.7, shards
        assert table["r_hat"].max() < 1.1, shards


def test_repeatable_to_the_digit():
    """For one and two workers, and when one is killed in mid-run, and later both."""
    random = da.random.default_rng(2)  # made by the workers
    y = 4 * random.integers(-1, 2, N, chunks=N // 8) + random.standard_normal(
        N, chunks=N // 8
    )
    settings = dict(chains=4, draws=30, tune=20, own_widths=True)
    with local(1) as client:
        one = digits(fit(client, y, **settings))
    with local(2) as client:
        two = digits(fit(client, y, **settings))
        sample, sums = page.in_shards(client, y)
        killed = []

        def sums_and_kills(sweep, *state):
            if sweep in (5, 15):
                killed.append(worker_pids(client)[: 1 if sweep == 5 else None])
                for pid in killed[-1]:
                    os.kill(pid, signal.SIGKILL)
            return sums(sweep, *state)

        after = digits(
            page.gibbs(sample, K, page.priors, categories=sums_and_kills, **settings)
        )
        assert len(killed) == 2 and not set(sum(killed, [])) & set(worker_pids(client))
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, after)


def test_streams_differ(client):
    """Between shards, between sweeps before and after 0, and from the chains'."""
    y = np.tile(values(2_000), 3)
    _, sums = page.in_shards(client, array(y, 3))
    several = [sums(sweep, 0, 1, *state()) for sweep in (-1, 0, 1, -1)]
    np.testing.assert_array_equal(several[0], several[3])
    parts = [
        page.shard_sums(y[:2_000], i, s, 1, 0, 1, *state())
        for i in range(3)
        for s in (-2, -1, 0, 1)
    ]
    assert len({part.tobytes() for part in parts}) == len(parts)
    first = np.random.default_rng(page.RANDOM_SEED).random(4)
    assert not np.array_equal(
        first, np.random.default_rng([page.RANDOM_SEED, 1, 0]).random(4)
    )


def test_nan_is_refused_by_name(client):
    y = values()
    y[[5, 15_000, 15_001]] = np.nan, np.inf, np.nan
    with pytest.raises(
        ValueError,
        match=r"NaN or infinite: 1 in shard 0, 2 in shard 1\.$",
    ):
        fit(client, array(y, 4))


def test_rounded_values_take_the_page_s_noise(client):
    """Without it they are refused before the first sweep."""
    step = 0.01
    y, settings = array(values().round(2), 4), dict(chains=4, draws=20, tune=20)

    def own(y):
        sample, categories = page.in_shards(client, y)
        of_sample = (page.own_priors(sample), True)
        return page.gibbs(sample, K, *of_sample, **settings, categories=categories)

    with pytest.raises(ValueError, match="times; on ties a width could shrink"):
        own(y)
    noise = da.random.default_rng(1).uniform(
        -step / 2, step / 2, y.shape, chunks=y.chunks
    )
    means = own(y + noise).posterior["means"].mean(["chain", "draw"])
    np.testing.assert_allclose(means, TRUE["means"], atol=0.1)


def test_the_look(client):
    y = values()
    sample, _ = page.in_shards(client, array(y, 7))
    assert (
        10_000 <= sample.size <= 10_007
        and np.isin(sample, y).all()
        and np.unique(sample).size == sample.size
    )
    sample, _ = page.in_shards(client, array(np.arange(50), 4))  # whole numbers
    assert np.isin(sample, np.arange(50)).all() and sample.dtype == float
    sample, _ = page.in_shards(client, array(y[:50], 4))
    np.testing.assert_array_equal(np.sort(sample), np.sort(y[:50]))


def test_all_workers_gone():
    """Killed ones start again; if none is left, the run ends with one sentence."""
    with (
        dask.config.set({"distributed.scheduler.no-workers-timeout": "2 s"}),
        local() as client,
    ):
        sample, sums = page.in_shards(client, array(values(), 4))

        def sums_until_all_are_gone(sweep, *state):
            if sweep == 5:
                client.cluster.scale(0)
            return sums(sweep, *state)

        with pytest.raises(
            Exception, match="timed out after 2.* waiting without any running workers"
        ) as caught:
            page.gibbs(
                sample,
                K,
                page.priors,
                chains=4,
                draws=100,
                categories=sums_until_all_are_gone,
            )
        assert type(caught.value).__name__ == "NoWorkerError" and "\n" not in str(
            caught.value
        )


SCRIPT = """
import sys

if __name__ == "__main__":  # the workers, who import this script, need nothing of it
    sys.path.insert(0, {tests!r})
    from conftest import cell_that_defines, definitions

    globals().update(definitions())
    exec(cell_that_defines("in_shards").source)  # with the settings of the workers
    y = da.random.default_rng(3).standard_normal(2_000_000, chunks=250_000)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
        sample, sums = in_shards(client, y)

        def told(sweep, *state):
            if sweep == 1:
                print("sampling", file=sys.stderr, flush=True)
            return sums(sweep, *state)

        how = dict(chains=4, draws=10_000, tune=20, categories=told)
        run = gibbs(sample, 2, priors, **how)
    means = run.posterior["means"]
    print("kept", means.sizes["draw"], np.isfinite(means).all().item())
"""


@pytest.mark.parametrize("whom", ["the group", "the kernel alone"])
def test_interrupt(tmp_path, whom):
    """Ctrl+C and the stop button reach the group: draws are kept, no process is."""
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    (tmp_path / "script.py").write_text(script)
    started = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    errors = iter(started.stderr.readline, "")
    assert any("sampling" in line for line in errors), "sampling never began"
    family = psutil.Process(started.pid).children(recursive=True)
    assert len(family) >= 2
    time.sleep(1)
    (os.killpg if whom == "the group" else os.kill)(started.pid, signal.SIGINT)
    out, errors = started.communicate(timeout=60)
    assert started.returncode == 0, errors
    assert "KeyboardInterrupt" not in errors, errors  # neither the run's nor a worker's
    kept, finite = out.split("kept")[1].split()
    assert int(kept) >= 1 and finite == "True"
    wait_until(lambda: not living(family), "a process lives on")


def test_no_process_is_left():
    """After the context, also when it ends with an error."""
    before = len(processes())
    with pytest.raises(ZeroDivisionError), local():
        1 / 0  # noqa: B018
    # multiprocessing's resource tracker stays
    wait_until(lambda: len(processes()) <= before + 1, "a process lives on")
