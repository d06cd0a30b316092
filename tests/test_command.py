"""The command `mixtures`, in a process of its own once, and the report in a browser."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from package_helpers import GAPS, drawn, interrupt_sweep, made

from mixtures import __version__, fitting, report, sampler
from mixtures.__main__ import main

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(report.__file__).parents[1])}
QUICK = ["--clusters", "2", "--seconds", "20", "--seed", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a file of two groups, names, and missing values."""
    frame = pd.DataFrame({"length": GAPS, "cluster": "a & b"})
    frame.to_csv(tmp_path / "two.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "")  # which the command sets
    return tmp_path


@pytest.fixture
def asked(folder, monkeypatch):
    """What the command asks `fit` for, which is made and not sampled."""
    asked = {}

    def fit(column, clusters=None, **options):
        asked.update(options, clusters=clusters)
        return made(drawn([-5.0, 5]), column, True)

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(report, "FIGURES", ())
    return asked


def test_a_fit_in_a_process_of_its_own(folder):
    command = [sys.executable, "-m", "mixtures", "two.csv", "length", *QUICK]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # no bar where nobody looks
    assert done.stdout.startswith("Trusted: 2 clusters; 3 missing left out.")
    assert max(map(len, done.stdout.splitlines())) < 80
    names = "clusters.csv fit.json membership.csv report.html"
    assert {*os.listdir("result")} == {*names.split()}


def test_rows_keep_order_and_columns_and_without_value_are_blank(asked, capsys):
    assert main(["two.csv", "length", "--out", "a/b"]) == 0
    assert f"See {Path('a/b/report.html')}." in capsys.readouterr().out
    rows, given = pd.read_csv("a/b/membership.csv"), pd.read_csv("two.csv")
    assert list(rows)[:4] == ["length", "cluster", "cluster of the fit", "probability"]
    pd.testing.assert_frame_equal(rows[["length", "cluster"]], given)
    known = given["length"].notna()
    assert rows[~known].iloc[:, 2:].isna().all(axis=None)
    assert (rows["cluster of the fit"] == (given["length"] > 0))[known].all()


DEFAULTS = dict(clusters=None, own_widths=True, largest=10, seconds=60)
OPTIONS = {
    "": dict(random_seed=8927),
    "--clusters 3": dict(clusters=3),
    "--one-width": dict(own_widths=False),
    "--largest 7": dict(largest=7),
    "--seconds 2.5": dict(seconds=2.5),
    "--seed 5": dict(random_seed=5),
    "--missing -999,x --quiet": {},
}


@pytest.mark.parametrize("given", OPTIONS)
def test_an_option_changes_what_it_says_and_nothing_else(asked, given):
    assert main(["two.csv", "length", *given.split()]) == 0
    assert asked.items() >= (DEFAULTS | OPTIONS[given]).items()


def test_parquet_is_read_as_csv_is(folder):
    pd.read_csv("two.csv").to_parquet("two.PARQUET")
    assert main(["two.PARQUET", "length", *QUICK]) == 0


def test_what_is_not_trusted_is_written_all_the_same(folder, capsys):
    assert main(["two.csv", "length", "--seconds", "0.01", "--out", "here"]) == 3
    said = capsys.readouterr().out
    assert said.startswith("Not trusted: ") and max(map(len, said.splitlines())) < 80
    assert Path("here/number.csv").exists() and Path("here/report.html").exists()


@pytest.mark.parametrize("at", [1, 40])
def test_an_interrupt_has_its_status(folder, monkeypatch, capsys, at):
    interrupt_sweep(monkeypatch, at)
    assert main(["two.csv", "length", *QUICK]) == 130
    assert "interrupted" in "".join(capsys.readouterr())
    assert Path("result").exists() == (at > 1)


@pytest.mark.parametrize(
    "file, content, column, said",
    [
        ("two.csv", None, "lengths", "no column 'lengths'; it has 'length'."),
        ("two.csv", None, "§", "no column '§'; it has 'length', 'cluster'."),
        (
            "two.csv",
            None,
            "cluster",
            "line 2: 'a & b' in column 'cluster' is no number",
        ),
        ("some.csv", b"x\n1\n2\nthree\n4.5\n", "x", '--missing "three".'),
        ("torn.csv", b"x\n1\n2,3,4\n", "x", "line 3: '2,3,4' .* (1 such): mend it."),
        ("same.csv", b"x\n1\n1\n", "x", "All values of column 'x' are 1"),
        ("header.csv", b"x\n", "x", "column 'x' is empty"),
        ("none.csv", None, "x", "none.csv: No such file"),
        (".", None, "x", "No files found"),
        ("empty.csv", b"", "x", "no row"),
        ("torn.parquet", b"PAR1", "x", "torn.parquet"),
    ],
)
def test_what_cannot_be_read_is_said(folder, capsys, file, content, column, said):
    if content is not None:
        Path(file).write_bytes(content)
    assert main([file, column, *QUICK]) == 2
    out, error = capsys.readouterr()
    assert not out and error.startswith("mixtures: ")
    assert all(part in error for part in said.split(" .* "))
    assert error.count("\n") == 1 and not Path("result").exists()


def test_what_was_guessed_and_left_out_is_said_unless_quiet(asked, capsys):
    rows = "".join(f"{i},5;a\nk.A.;b\n" for i in range(1, 41))
    Path("de.csv").write_text("x;y\n" + rows)
    given = ["de.csv", "x", "--missing", "k.A."]
    assert main(given) == 0
    out, error = capsys.readouterr()
    assert error == "mixtures: de.csv: separated by ';'; '1,5' is 1.5.\n"
    assert "40 missing left out" in out and "report.html" in out
    rows = pd.read_csv("result/membership.csv")
    assert [*rows["x"][:3], rows["y"][1]] == ["1,5", "k.A.", "2,5", "b"]
    assert rows["cluster"][0] == 1 and rows.iloc[1, 2:].isna().all()
    assert main([*given, "--quiet"]) == 0
    out, error = capsys.readouterr()
    assert not error and out.startswith("Trusted") and "report.html" not in out


def test_logarithms_are_told_in_the_column_s_units_too(asked):
    frame = pd.DataFrame({"x": np.exp(np.linspace(1, 9, 80))})
    frame.to_csv("wide.csv", index=False)
    assert main(["wide.csv", "x", "--log"]) == 0
    table = pd.read_csv("result/clusters.csv")
    for of in ("", " 3 %", " 97 %"):
        np.testing.assert_allclose(np.log(table[f"median{of}"]), table[f"mean{of}"])
    rows = pd.read_csv("result/membership.csv")
    np.testing.assert_allclose(rows["x"], frame["x"])


def test_rows_of_many_blocks_are_written_in_order(asked):
    """DuckDB reads them in more than one thread."""
    values = np.random.default_rng(0).normal(size=1_000_000).round(3)
    frame = pd.DataFrame({"row": np.arange(values.size), "x": values, "text": "a" * 20})
    frame.loc[::1000, "x"] = np.nan
    frame.to_csv("many.csv", index=False)
    assert main(["many.csv", "x"]) == 0
    rows = pd.read_csv("result/membership.csv")
    pd.testing.assert_frame_equal(rows[list(frame)], frame)
    known = frame["x"].notna()
    assert (rows["cluster"] == (frame["x"] > 0))[known & (frame["x"] != 0)].all()
    assert rows["cluster"].isna().equals(~known)


def test_nobody_has_to_read_to_the_end(asked, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["two.csv", "length"]) == 0
    assert Path("result/report.html").exists()


def test_help_is_fast_and_tells_defaults_and_statuses(capsys):
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as status:
            main([option])
        assert status.value.code == 0
    said = capsys.readouterr().out
    for part in ("default: 60", "3 not trusted", "example:", f"mixtures {__version__}"):
        assert part in said
    code = "import sys, mixtures.__main__; print(*sys.modules)"
    loaded = subprocess.check_output(
        [sys.executable, "-c", code], env=ENVIRONMENT, text=True
    )
    assert not {"numpy", "duckdb", "pandas"} & {*loaded.split()}


def test_a_folder_of_other_files_is_not_taken(asked, capsys):
    assert main(["two.csv", "length", "--out", "."]) == 2
    assert "holds other files: give another folder as --out" in capsys.readouterr().err
    for _ in range(2):
        assert main(["two.csv", "length", "--out", "new"]) == 0


def test_a_folder_is_tried_before_sampling(folder, capsys, monkeypatch):
    monkeypatch.setattr(sampler, "step", None)
    assert main(["two.csv", "length", "--out", "two.csv/result"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_nothing(folder, monkeypatch, capsys):
    def full(_):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(report, "report", full)
    assert main(["two.csv", "length", *QUICK]) == 2
    assert "report.html: No space left" in capsys.readouterr().err
    assert not list(Path("result").iterdir())


@pytest.mark.machinery
@pytest.mark.parametrize("name", ['<b>"$x^ & y$', "a" * 200])
def test_the_report_is_accessible_in_light_dark_and_on_a_phone(folder, browser, name):
    from axe_playwright_python.sync_playwright import Axe  # not on today's Python

    pd.read_csv("two.csv").rename(columns={"length": name}).to_csv("odd.csv")
    assert main(["odd.csv", name, "--seconds", "1"]) in (0, 3)
    for scheme, width in (("light", 1000), ("dark", 1000), ("light", 390)):
        size = dict(width=width, height=800)
        page = browser.new_page(color_scheme=scheme, viewport=size)
        page.goto(Path("result/report.html").absolute().as_uri())
        assert page.locator("h1").inner_text().startswith(name)
        assert not page.locator("b").count()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        widths = "all => all.map(image => image.naturalWidth)"
        pictures = page.locator("img").evaluate_all(widths)
        assert len(pictures) == 4 and min(pictures) > 500
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()
        page.close()


def test_what_is_said_of_arguments_names_the_options(folder, capsys):
    assert main(["two.csv", "length", "--largest", "0"]) == 2
    assert capsys.readouterr().err.startswith("mixtures: --largest 0: give a whole")
    assert main(["two.csv", "length", "--seconds", "0.01", "--quiet"]) == 3
    assert "give it more --seconds, say" in capsys.readouterr().out


def test_the_report_has_the_command_as_a_shell_takes_it(asked):
    assert main(["two.csv", "length", "--out", "a b"]) == 0
    page = Path("a b/report.html").read_text(encoding="utf-8")
    assert "mixtures two.csv length --out &#39;a b&#39;" in page
    assert "<dt>file</dt><dd>two.csv</dd>" in page


def test_a_decimal_sign_is_a_point_or_a_comma(folder):
    with pytest.raises(SystemExit):
        main(["two.csv", "length", "--decimal", "x"])


def test_a_fit_of_logarithms_says_so(asked, capsys):
    pd.DataFrame({"x": np.exp(np.linspace(1, 9, 80))}).to_csv("wide.csv", index=False)
    assert main(["wide.csv", "x", "--log", "--quiet"]) == 0
    advice = "All of it is of logarithms, as new values have to be."
    assert capsys.readouterr().out.endswith(f" {advice}\n")


@pytest.mark.parametrize("given, disabled", [([], ""), (["--quiet"], "1")])
def test_there_is_a_bar_where_somebody_looks(asked, monkeypatch, given, disabled):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["two.csv", "length", *given]) == 0
    assert os.environ["TQDM_DISABLE"] == disabled
