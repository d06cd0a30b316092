"""`Fit.save` writes all of a fit or nothing, and the figures of a fit need no axes."""

from pathlib import Path

import dask.array as da
import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from package_helpers import GAPS, TWO, drawn, made, rng

import mixtures as mx
from mixtures import files

KNOWN = drawn([-5.0, 5]), TWO, True
OCCUPIED = np.tile([1, 2], (8, 250))
CSV = {"clusters.csv", "fit.json", "membership.csv", "report.html"}
SHUFFLED = pd.Series(GAPS, rng(2).permutation(103), name="x")
TABLE = pd.DataFrame({"x": TWO, "probability": "p"})


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Pages without figures, which take seconds."""
    monkeypatch.setattr(files.report, "FIGURES", ())


def in_folder(folder):
    """The text of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_fit_without_a_number_removes_that_of_an_earlier_one(tmp_path):
    made(*KNOWN, occupied=OCCUPIED).save(tmp_path)
    assert {*in_folder(tmp_path)} == CSV | {"number.csv"}
    made(*KNOWN).save(tmp_path)
    assert {*in_folder(tmp_path)} == CSV


def test_files_of_others_stay(tmp_path):
    (tmp_path / "number.csv").write_text("of somebody else")
    (tmp_path / "notes.txt").write_text("probability")
    made(*KNOWN).save(tmp_path)
    assert {*in_folder(tmp_path)} == CSV | {"number.csv", "notes.txt"}


@pytest.mark.parametrize("at", range(1, 10))  # five files go, and four come
def test_a_failure_leaves_the_earlier_files_as_they_were(tmp_path, monkeypatch, at):
    made(*KNOWN, occupied=OCCUPIED).save(tmp_path)
    before, calls, rename = in_folder(tmp_path), [], Path.rename

    def fails(path, target):
        calls.append(path)
        if len(calls) == at:
            raise OSError("full")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="full"):
        made(drawn([-4.0, 4])).save(tmp_path)
    assert in_folder(tmp_path) == before


def test_a_folder_of_such_a_name_is_not_replaced(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match="Is a folder: .*report.html"):
        made(*KNOWN).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


CHUNKS = ((30, 0, 0, 70, 0),)


def computed_one_by_one(values):
    """A Dask array, and a list of the blocks that were asked for."""
    asked = []

    def block(x, block_info=None):
        asked.append(block_info[0]["chunk-location"][0])
        return x

    array = da.from_array(values, chunks=CHUNKS)
    return array.map_blocks(block, dtype=float, meta=np.empty(0)), asked


def test_memberships_of_dask_are_written_partition_by_partition(tmp_path):
    array, asked = computed_one_by_one(TWO)
    fit = made(drawn([-5.0, 5]), array, True)
    asked.clear()
    tables = fit.membership_tables()
    assert len(next(tables)) == 30 and asked == [0]
    fit.save(tmp_path)
    assert {*in_folder(tmp_path)} == CSV - {"membership.csv"} | {"membership.parquet"}
    rows = pd.read_parquet(tmp_path / "membership.parquet")
    pd.testing.assert_frame_equal(rows, made(*KNOWN).membership())


def test_saved_rows_keep_their_order_and_index_and_come_after_their_table(tmp_path):
    fit, frame = made(drawn([-5.0, 5]), SHUFFLED), SHUFFLED.to_frame()
    fit.save(tmp_path, frame)
    rows = pd.read_csv(
        tmp_path / "membership.csv", index_col=0, dtype={"cluster": "Int64"}
    )
    pd.testing.assert_frame_equal(rows, pd.concat([frame, fit.membership()], axis=1))


def test_tables_are_saved_as_they_are(tmp_path):
    fit = made(*KNOWN, occupied=OCCUPIED)
    fit.save(tmp_path)
    for name, index in (("clusters", "cluster"), ("number", "clusters")):
        table = pd.read_csv(tmp_path / f"{name}.csv", index_col=index)
        pd.testing.assert_frame_equal(table, getattr(fit, name))


def test_rows_of_dask_keep_their_index_and_their_table(tmp_path):
    series = dd.from_pandas(SHUFFLED.dropna(), npartitions=3, sort=False)
    made(drawn([-5.0, 5]), series).save(tmp_path)
    rows = pd.read_parquet(tmp_path / "membership.parquet")
    assert list(rows.index) == list(SHUFFLED.dropna().index)
    assert (rows["cluster"].to_numpy() == (SHUFFLED.dropna() > 0)).all()
    frame = dd.from_pandas(TABLE, npartitions=3)
    made(drawn([-5.0, 5]), frame["x"]).save(tmp_path, frame)
    rows = pd.read_parquet(tmp_path / "membership.parquet")
    assert list(rows)[:4] == ["x", "probability", "cluster", "probability of the fit"]
    assert (rows["x"] == TWO).all() and (rows["cluster"] == (TWO > 0)).all()


def test_without_pyarrow_dask_is_written_as_csv(tmp_path, monkeypatch):
    fit = made(drawn([-5.0, 5]), da.from_array(TWO, chunks=((0, 30, 70),)))
    fit.save(tmp_path)
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    fit.save(tmp_path)
    assert {*in_folder(tmp_path)} == CSV
    rows = pd.read_csv(tmp_path / "membership.csv")
    assert len(rows) == 100 and (rows["cluster"] == (TWO > 0)).all()


def test_a_table_of_other_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not those of the column"):
        made(*KNOWN).save(tmp_path, TABLE[:99])
    assert not in_folder(tmp_path)


PLOTS = ["plot", "plot_replicates", "plot_number", "plot_together"]


@pytest.mark.parametrize("name", PLOTS)
def test_figures_take_axes_or_none(name):
    plot = getattr(made(*KNOWN, occupied=OCCUPIED), name)
    plt.close("all")
    _, ax = plt.subplots()
    assert plot(ax) is ax and len(plt.get_fignums()) == 1
    assert plot().get_xlabel() == ax.get_xlabel() and len(plt.get_fignums()) == 2


def test_without_a_number_to_tell_that_figure_is_refused():
    with pytest.raises(ValueError, match="was given, .* leave `clusters` out"):
        made(*KNOWN).plot_number()


def test_a_folder_of_others_is_refused(tmp_path):
    (tmp_path / "clusters.csv").write_text("mine, probability")
    with pytest.raises(FileExistsError, match="Is of no fit"):
        made(*KNOWN).save(tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ["clusters.csv"]


def test_no_values_have_empty_tables():
    fit = made(*KNOWN)
    for table in (fit.density([]), fit.membership([]), fit.together([])):
        assert len(table) == 0
    assert list(fit.density([])) == list(fit.density([1.0]))


def test_rows_in_another_order_are_refused(tmp_path):
    column = pd.Series(TWO, name="v")
    with pytest.raises(ValueError, match="frame has the rows of data in another order"):
        made(KNOWN[0], column).save(tmp_path / "new", column[::-1].to_frame())
    with pytest.raises(
        ValueError, match="counts has the rows of data in another order"
    ):
        mx.fit(column, counts=pd.Series(1, column.index)[::-1])
