"""Files as people have them: the numbers that are fitted, or what is said instead."""

import gzip
import io
import os
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from mixtures.__main__ import arguments
from mixtures.read import open_table

VALUES = np.random.default_rng(0).normal(20, 2, 60).round(2)
POINT = [f"{x:.2f}" for x in VALUES]
COMMA = [x.replace(".", ",") for x in POINT]


def lines(header, row, texts=COMMA):
    """Text with a row for each value: {} is the value, {i} its number, {j} from one."""
    rows = (row.format(text, i=i, j=i + 1) for i, text in enumerate(texts))
    return header + "".join(one + "\n" for one in rows)


@pytest.fixture
def read(tmp_path):
    """A function of a file's content: its table and the column as it is fitted."""

    def table_and_column(content, column="v", *given, file="f.csv"):
        path = tmp_path / file
        content = content.encode() if isinstance(content, str) else content
        if content is not None:
            path.write_bytes(content)
        options = arguments([str(path), column, *given])
        table = open_table(options)
        return table, table.column(options)

    return table_and_column


DIALECTS = {
    "plain": (lines("v,id\n", "{},{i}", POINT), []),
    "decimal commas": (lines("v\n", "{}"), ["decimal commas between"]),
    "some without": (lines("v\n", "{}", [*COMMA[:-1], "20"]), [f"'{COMMA[0]}' is"]),
    "decimal commas between commas": (lines("v,id\n", "{},{i}"), ["decimal commas"]),
    "the second of two": (lines("id,v\n", "{i},{}"), ["decimal commas"]),
    "semicolons": (lines("id;v\n", "{i};{}"), ["by ';'", f"'{COMMA[0]}' is"]),
    "semicolons and points": (lines("id;v\n", "{i};{}", POINT), ["by ';'"]),
    "all with commas": (lines("id;v\n", "1,5;{}"), ["by ';'"]),
    "text with commas": (lines("note;v\n", "Hello, world, and;{}", POINT), ["by ';'"]),
    "ends with a comma": (lines("v\n", "{},", POINT), ["a separator ends each row"]),
    "two that end so": (lines("v,id\n", "{},{i},", POINT), ["a separator ends each"]),
    "text and decimal commas": (lines("name,v\n", "a,{}"), ["decimal commas"]),
    "quotes and decimal commas": (lines('"name","v"\n', '"a",{}'), ["decimal commas"]),
    "R": (lines('"v","g"\n', '"{j}",{},"a"', POINT), ["names of rows"]),
    "R in Europe": (lines('"v";"g"\n', '"{j}";{};"a"'), ["names of rows"]),
    "R with blanks": (lines('"v" "g"\n', '"{j}" {} "a b"', POINT), ["names of rows"]),
    "R, some rows": (lines('"v","g"\n', '"{i}7",{},"a"', POINT), ["names of rows"]),
    "R with names": (lines("v\n", "row {j},{}", POINT), ["names of rows"]),
    "tabs": (lines("id\tv\n", "{i}\t{}"), ["by tabs"]),
    "bars": (lines("id|v\n", "{i}|{}", POINT), ["by '|'"]),
    "blanks": (lines("v    id\n", "  {}   {i}", POINT), ["by blanks"]),
    "comments": (lines("# 2020, a\n# by X\nv,id\n", "{},{i}", POINT), []),
    "comments between": (lines("v,id\n", "{},{i}\n# {i}", POINT), []),
    "comments all over": (lines("\n# a\n\nv,id\n# b\n\n", "{},{i}\n# {i}", POINT), []),
    "comments alone": (lines("# v,id\n", "{},{i}", POINT), ["no header"]),
    "notes": (lines("Made by, X\nDate, 2020\n\nv,id,z\n", "{},{i},1", POINT), ["line 4"]),
    "a hint to Excel": (lines("sep=;\nid;v\n", "{i};{}"), ["by ';'"]),
    "units": (lines("v,id\nmm,-\n", "{},{i}", POINT), ["units below"]),
    "units and commas": (lines("id;v\n-;[mm]\n", "{i};{}"), ["units below"]),
    "quoted": (lines('v,note\n', '"{}","a\nb, {i}"', POINT), ["60 rows of 120 lines"]),
    "quoted commas": (lines('v,note\n', '"{}",x'), [f"'{COMMA[0]}' is"]),
    "of Windows": (lines("v,id\n", "{},{i}", POINT).replace("\n", "\r\n"), []),
    "of old computers": (lines("v,id\n", "{},{i}", POINT).replace("\n", "\r"), []),
    "blank lines first": (lines("\n\nv,id\n", "{},{i}", POINT), []),
    "no text of Windows": (lines("L\x81nge,v\n", "{i},{}", POINT).encode("latin-1"), ["latin-1"]),
    "Windows": (lines("“Länge”,v\n", "{i},{}", POINT).encode("cp1252"), ["cp1252"]),
    "big-endian": (lines("\ufeffv\n", "{}", POINT).encode("utf-16-be"), ["utf-16"]),
    "UTF-16": (lines("Länge,v\n", "{i},{}", POINT).encode("utf-16"), ["utf-16"]),
    "byte order mark": (lines("\ufeffv,id\n", "{},{i}", POINT), []),
    "explicit signs": (lines("v,id\n", "+{},{i}", POINT), []),
    "hard blanks": (lines("v,id\n", "\u00a0{}\u202f,{i}", POINT), []),
    "packed": (gzip.compress(lines("id;v\n", "{i};{}").encode()), ["by ';'"]),
    "packed Latin": (gzip.compress(lines("ä;v\n", "{i};{}").encode("cp1252")), ["cp1252"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_same_numbers_and_says_what_was_guessed(read, name):
    text, notes = DIALECTS[name]
    table, column = read(text, "1" if "no header" in notes else "v")
    expected = np.r_[VALUES[:-1], 20] if name == "some without" else VALUES
    np.testing.assert_array_equal(column, expected)
    assert column.name == (
        "v [mm]" if "units" in name else table.names[0] if "alone" in name else "v"
    )
    assert all(x in "; ".join(table.notes) for x in notes)
    assert bool(notes) == bool(table.notes)


SIGNS = {
    "1,550.5": (["1,550.5", "900"], [], [1550.5, 900]),
    "thousands without doubt": (["1,550,000", "900"], [], [1_550_000, 900]),
    "thousands given": (["1,550", "900"], ["--thousands", ","], [1550, 900]),
    "decimal given": (["1,550", "900"], ["--decimal", ","], [1.55, 900]),
    "points given": (["1.550", "900"], ["--thousands", "."], [1550, 900]),
    "points for thousands": (["1.550,5", "900", "2.000"], [], [1550.5, 900, 2000]),
    "three decimals": (["1.550", "2.000"], [], [1.55, 2]),
    "blanks": (["1 550", "900", "12\u00a0000,5"], [], [1550, 900, 12_000.5]),
    "narrow blanks": (["1\u202f234.5", "900"], [], [1234.5, 900]),
    "of India": (["12,34,567.8", "900", "1,00,000"], [], [1_234_567.8, 900, 100_000]),
    "apostrophes": (["1'550", "900", "1’234.5"], [], [1550, 900, 1234.5]),
    "zero": (["0,123", "1,456"], [], [0.123, 1.456]),
    "exponents": (["1,5E-3", "2e5"], [], [0.0015, 2e5]),
    "signs late": ([*["900"] * 1500, "1,550,000"], [], [*[900] * 1500, 1_550_000]),
}


@pytest.mark.parametrize("name", SIGNS)
def test_signs_between_digits(read, name):
    texts, given, expected = SIGNS[name]
    assert read(lines("id;v\n", "{i};{}", texts), "v", *given)[1].tolist() == expected


def test_what_may_be_thousands_is_told(read):
    table = read(lines("id;v\n", "{i};{}", ["1.550", "2.000"]))[0]
    assert table.notes[1:] == ["'1.550' is 1.55"]


def test_missing_values_are_those_that_are_usual_or_given(read):
    usual = ["NA", "n/a", "#N/A", "NULL", ".", "-", "", '""', "nan"]
    texts = ["1.5", *usual, "-999", "-999.0", "timeout", "2.5"]
    text = lines("id,v\n", "{i},{}", texts)
    column = read(text, "v", "--missing", "-999,timeout")[1]
    np.testing.assert_array_equal(column, [1.5, *12 * [np.nan], 2.5])


def test_codes_that_the_column_has_not_are_said(read):
    text = lines("v,w\n", "{},-99", ["1", "-9", "x", "2.0"])
    assert not read(text, "v", "--missing=-9,x,2")[0].notes
    table, column = read(text, "v", "--missing", "x,-99,y")
    assert table.notes == ["no value of 'v' is -99 or y"]
    assert column.isna().sum() == 1


CENSORED = ["line 2: '<0.5' in column 'v' is beyond a limit, not missing"]
REFUSED = {
    "1,550 or 1.55": (["1,550", "900"], ["'1,550' may be 1.55 or 1550", "--thousands"]),
    "1.550 or 1550": (["1.550", "900"], ["'1.550' may be 1.55 or 1550", "--thousands"]),
    "censored": (["<0.5", "3", "<0.5"], CENSORED),
    "LOD": (["1", "<LOD", "x"], ["line 3: '<LOD'", "beyond a limit"]),
    "text": (["1", "bad", "3", "x", "bad"], ["line 3: 'bad'", "no number (3 such)", '--missing "bad,x"']),
    "mixed signs": (["1.5", "2,5"], ["line 3: '2,5'", "no number"]),
    "infinite": (["1", "inf"], ["line 3: 'inf'", "no number"]),
    "underscore": (["1", "1_000"], ["line 3: '1_000'", "no number"]),
    "hexadecimal": (["0x1F", "0x20"], ["line 2: '0x1F'", "nor is another of its 2"]),
    "percent": (["5%", "6%"], ["line 2: '5%'", "nor is another"]),
    "money": (["$5.00", "6"], ["line 2: '$5.00'", "no number (1 such)"]),
    "date": (["2020-01-01", "2020-01-02"], ["'2020-01-01'", "nor is another"]),
    "minus of print": (["1", "−5"], ["'−5'", "no number (1 such)"]),
    "not seen": (["1", "\u200b5"], ["'\\u200b5'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_number_is_refused(read, name):
    texts, parts = REFUSED[name]
    with pytest.raises(ValueError) as refusal:
        read(lines("id;v\n", "{i};{}", texts))
    assert all(part in str(refusal.value) for part in parts), refusal.value


ROWS = lines("id,v\n", "{i},{}", POINT)
SHAPES = {
    "two ways": ("v,id\n20,13,10\n18,19,11\n", "v", "2 names .* 3 fields, .* in 2 ways"),
    "R or decimals": ("v\n1,20\n2,30\n", "v", "can be read in 2 ways"),
    "R, some rows, or decimals": ('"v","w"\n"a",20,13\n"b",21,14\n', "w", "in 2 ways"),
    "far too many": (lines("v" + 39 * ",w" + "\n", "{}" + 49 * ",{i}", POINT), "v", "in no ways"),
    "too many": (ROWS + "1,2,3\n", "v", "3 fields instead of 2 in line 62: '1,2,3'"),
    "too few": (ROWS + "1\n", "v", "1 field instead of 2 in line 62"),
    "gap between blanks": (lines("a b v\n", "1 2 {}") + "1   3\n", "v", "2 fields instead of 3"),
    "open quote": (ROWS + '1,"2\n', "v", "quote without its end"),
    "twice": (lines("v,v\n", "{i},{}", POINT), "v", "2 columns 'v': .* 1 or 2"),
    "near": (lines("body length,v\n", "{i},{}"), "Bodylenth", "no column .*; it has 'body length'\\."),
    "far": (lines("v,w\n", "{i},{}"), "zz", "no column 'zz'; it has 'v', 'w'"),
    "no header": (lines("", "{}", POINT), "v", "no column 'v'; it has '1'"),
    "a value for a name": (lines("", "a,{}", POINT), "2", "--no-header if it is a value"),
    "sum below": (ROWS + "Sum,1201.3\n", "v", "row 'Sum': delete it"),
    "sum and source below": (ROWS + "Grand total,1201.3\n,\nSource,\n", "v", "'Grand total': "),
    "mean below": (lines("g;v\n", "a;{}") + "Mittelwert;20,1\n", "v", "row 'Mittelwert': "),
    "sum alone below": (ROWS + f",{VALUES.sum():.1f}\n", "v", "ends with the sum of all others"),
    "sum above": (f"id,v\nAll,{VALUES.sum():.1f}\n" + ROWS[5:], "v", "ends with the sum"),
    "total above": ("id,v\nTotal,7\n" + ROWS[5:], "v", "ends with a row 'Total': delete it"),
    "a title": (ROWS + "Total Recall,x\n", "v", "'x' in column 'v' is no number"),
    "line ends": (ROWS.replace("\n", "\r\r\n"), "v", "where its lines end cannot be told"),
    "decimal commas, no header": (lines("", "{}"), "1", "may hold decimal commas"),
    "sorted thousands": (lines("g;v\n", "a;{}", [*map(str, range(1, 1500)), "1.500"]), "v", "may be 1.5 or 1500"),
    "errors of a sheet": (lines("r,v\n", "#DIV/0!,{}", POINT) + "1,2\n", "v", "a row or a comment"),
    "rows with #": (lines("r,v\n1,2\n", "#{i},{}", POINT), "v", "a row or a comment"),
    "# inside": (lines("r,v\n", "a#{i},{}", POINT) + "# end\n", "v", "inside of 'a#0,"),
    "header after #": (lines("#chrom\tpos\tv\n", "chr1\t{i}\t{}", POINT), "v", "--comment !"),
    "title above": (lines("Report,,\na,b,v\n", "x,{i},{}", POINT), "v", "Line 2 has it"),
    "limit for a name": (lines("", "{}", ["<0.5", *POINT]), "1", "--no-header if it is a value"),
    "equal as floats": ("v\n" + "9007199254740992\n9007199254740993\n", "v", "16 digits"),
    "empty": ("", "v", "there is no row"),
    "no text": ("\0\1\2" * 50, "v", "is no text"),
    "Latin later": (ROWS.encode() * 2000 + b"\xe9", "v", "1 field instead of 2 in line 122001"),
    "bz2": (b"BZh9", "v", r"bzcat .*f.csv \| mixtures - v"),
    "FITS": (b"SIMPLE  = ", "v", r"Table.read\('.*'\)\['v'\]\), Table of astropy"),
}  # fmt: skip


def test_whole_numbers_that_r_writes(read):
    text = lines('"v","w"\n', '"{j}",{},5', [str(int(x)) for x in VALUES])
    assert read(text)[1].tolist() == [*VALUES.astype(int)]


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_no_table_or_no_column_is_refused(read, name):
    text, column, refusal = SHAPES[name]
    with pytest.raises(ValueError, match=refusal):
        read(text, column)


def test_files_of_other_programs_are_named_by_their_ends(read):
    with pytest.raises(ValueError, match=r"mixtures.fit\(pd.read_stata\('.*'\)\['v'\]"):
        read(b"", file="f.dta")


def test_options_say_what_would_be_guessed(read):
    text = lines("! 2020\n", "{i};{}", ["1.500", *POINT])
    table, column = read(
        text, "2", *"--sep ; --decimal . --comment ! --no-header".split()
    )
    assert column.tolist() == [1.5, *VALUES] and not table.notes
    assert read(lines("2019,2020\n", "{i},{}", POINT), "2020")[1].tolist() == [*VALUES]
    text = lines("", "{i},{}", POINT)
    table, column = read(text, "2")
    assert column.tolist() == [*VALUES]
    assert table.notes == ["no header, so columns go by number"]
    text = "v\n1,5 é\n".encode("latin-1")
    with pytest.raises(ValueError, match="'1,5 é'"):
        read(text, "v", "--sep", "tab", "--encoding", "latin-1")


ENCODINGS = {"mac-roman": "", "utf-16-le": "", "L1": "", "ascii": "f.csv is not UTF-8"}
ENCODINGS |= {
    "utf-7": "f.csv is not utf-7",
    "x": "f.csv is not x",
    "hex": "f.csv is not hex",
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings_that_are_given(read, name):
    refusal = ENCODINGS[name]
    text = lines("Länge,v\n", "{i},{}", POINT).encode("cp1252" if refusal else name)
    for content in (text, gzip.compress(text)):
        if refusal:
            with pytest.raises(ValueError, match=f"{refusal}: give "):
                read(content, "v", "--encoding", name)
        else:
            column = read(content, "v", "--encoding", name)[1]
            assert column.tolist() == [*VALUES]


MASKED = pa.table({
    "v": np.r_[VALUES, -99], "v.mask": [False] * 60 + [True],
    "s": [{"v": x} for x in VALUES] + [None], "t": [*COMMA, "NA"],
    "flag": [True] * 61, "d": pa.array([*VALUES, None]).cast(pa.decimal128(9, 2), safe=False),
})  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_columns_that_know_their_types(read, tmp_path, kind):
    write = parquet.write_table if kind == "parquet" else feather.write_feather
    write(MASKED, tmp_path / f"f.{kind}")
    for name in ("v", "s.v", "t", "d"):
        table, column = read(None, name, file=f"f.{kind}")
        np.testing.assert_allclose(
            column, [*VALUES, np.nan], atol=0.0051 * (name == "d")
        )
        assert ("'v.mask' says what is missing" in table.notes) == (name == "v")
    with pytest.raises(ValueError, match="'flag' holds BOOLEAN, no numbers"):
        read(None, "flag", file=f"f.{kind}")


def test_parquet_as_pandas_and_others_write_it(read, tmp_path):
    frame = pd.DataFrame({"w": 1.0}, index=pd.Index(VALUES, name="v"))
    (tmp_path / "parts").mkdir()
    for part in (0, 1):
        frame.iloc[30 * part :].head(30).to_parquet(tmp_path / f"parts/{part}.parquet")
    assert read(None, file="parts")[1].tolist() == [*VALUES]
    twice = pa.table([pa.array([1.0, 2]), pa.array([2.0, 3])], ["v", "v"])
    parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(ValueError, match="2 columns 'v': give the number of one"):
        read(None, file="twice.parquet")
    assert read(None, "2", file="twice.parquet")[1].tolist() == [2, 3]
    wide = pa.array(POINT).cast(pa.decimal256(50, 10))
    single = np.r_[VALUES[:-1], -99.9].astype("f4")
    parquet.write_table(pa.table({"v": wide, "w": single}), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="holds DECIMAL of more than 38 digits"):
        read(None, file="f.parquet")
    column = read(None, "w", "--missing", "-99.9", file="f.parquet")[1]
    assert column.isna().tolist() == [False] * 59 + [True]


def test_late_rows_that_look_like_comments_are_told(read):
    table, column = read("v\n" + "1\n" * 1_000 + "#2\n", "v", "--missing", "#2")
    assert table.notes == ["1 rows begin with #"] and column.isna().sum() == 1


def test_very_many_columns(read):
    text = lines("v" + 4_999 * ",w" + "\n", "{}" + 4_999 * ",1.234", POINT * 4)
    assert read(text)[1].tolist() == [*VALUES] * 4


def test_lines_of_json(read):
    text = lines("", '{{"v": {}, "s": {{"w": {i}}}}}', POINT)
    assert read(text, file="f.jsonl")[1].tolist() == [*VALUES]
    assert read(text, "s.w", file="f.jsonl")[1].tolist() == [*range(60)]
    text = '{"v": 1.5}\n{"v": "bad"}\n{"v": null}\n'
    with pytest.raises(ValueError, match="row 2: 'bad'"):
        read(text, file="f.jsonl")
    late = lines("", '{{"v": {}}}', ["7"] * 21_000 + ["1.5"])
    assert read(late, file="f.jsonl")[1].iloc[-1] == 1.5


def test_a_sheet_of_a_workbook(read, tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame({"#": "#a", "v": VALUES, "note": "a, b"})
    with pd.ExcelWriter(tmp_path / "f.xlsx") as book:
        frame.to_excel(book, sheet_name="first", index=False)
        frame.assign(v=2 * VALUES).to_excel(book, sheet_name="other", index=False)
    table, column = read(None, file="f.xlsx")
    assert column.tolist() == [*VALUES] and table.notes == ["sheet 'first' of 2"]
    column = read(None, "v", "--sheet", "other", file="f.xlsx")[1]
    assert column.tolist() == [*2 * VALUES]
    with pytest.raises(ValueError, match="f.xlsx: .*'third' not found"):
        read(None, "v", "--sheet", "third", file="f.xlsx")


def test_files_of_a_wrong_name_are_read_or_refused(read, tmp_path):
    frame = pd.DataFrame({"v": VALUES})
    frame.to_excel(tmp_path / "f.xlsx", index=False)
    frame.to_parquet(tmp_path / "f.parquet")
    frame.to_feather(tmp_path / "f.feather")
    for kind in ("xlsx", "parquet", "feather"):
        content = (tmp_path / f"f.{kind}").read_bytes()
        assert read(content)[1].tolist() == [*VALUES]
        with pytest.raises(ValueError, match=f"gunzip -c .*f.{kind}.gz "):
            read(gzip.compress(content), file=f"f.{kind}.gz")
        for torn in (ROWS, b"PK\3\4" + content[8:2000]):
            with pytest.raises(ValueError, match=f"is no .{kind} file.*as .csv"):
                read(torn, file=f"f.{kind}")


def test_a_header_of_positions_is_a_header(read):
    for first in (0, 1):
        text = lines(f",{first},{first + 1}\n", "{i},{},7", POINT)
        table, column = read(text, str(first))
        assert column.tolist() == [*VALUES]
        assert table.notes == [f"column {first} is the one with this header"]


def test_names_of_files_are_no_patterns(read, tmp_path):
    (tmp_path / "f1.csv").write_text("v\n1\n2\n")
    assert read(ROWS, file="f[1].csv")[1].tolist() == [*VALUES]


def test_a_compressed_file_that_is_torn_is_refused(read):
    packed = gzip.compress((ROWS * 100).encode())
    for file in ("f.csv.gz", "f.jsonl.gz"):
        for content in (packed[:-9], packed[:99]):
            with pytest.raises(ValueError, match=f"{file} is not whole"):
                read(content, file=file)


def test_what_can_be_read_only_once(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ROWS.encode())))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=[ROWS], daemon=True).start()
    for file in ("-", str(pipe)):
        options = arguments([file, "v"])
        assert open_table(options).column(options).tolist() == [*VALUES]


def test_logarithms(read):
    column = read(ROWS, "v", "--log")[1]
    np.testing.assert_array_equal(column, np.log(VALUES))
    assert column.name == "log of v"
    with pytest.raises(ValueError, match="0 of data has no logarithm"):
        read(ROWS + "1,0\n", "v", "--log")
