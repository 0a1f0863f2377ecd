"""The command line on files as people have them: how cells, headings and files are written, and what is said of it."""

import builtins
import bz2
import gzip
import io
import json
import lzma
import os
import random
import re
import subprocess
import sys
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_squared_error
from sklearn.pipeline import Pipeline

from gdregress import GradientDescentRegressor
from gdregress.__main__ import UNFORESEEN, main
from gdregress.command_line.csv_tables import read_table
from gdregress.command_line.readings import Numbers, as_dates

READ = "cells read as numbers"
STRAY = "text, not numbers or dates, because of some cells: "
HOUSES = "area,age,price\n1,10,3\n2,20,5\n3,15,8\n4,30,9\n5,12,12\n"


def csv_of(names, columns, separator=","):
    rows = zip(*columns, strict=True)
    return "\n".join([separator.join(names), *(separator.join(map(str, row)) for row in rows)])


def quoted(cells):
    return [f'"{cell}"' for cell in cells]


def find(notes, start):
    """The one note that starts so."""
    (note,) = [note for note in notes if note.startswith(start)]
    return note


# --- how a number is written ---

WRITTEN = {
    "1050": (1050, 1050), "-3": (-3, -3), "+1.5": (1.5, None), "3,00": (None, 3), "3,0": (None, 3), ",5": (None, 0.5),
    "1,050": (1050, 1.05), "1.050": (1.05, 1050), "1,050.25": (1050.25, None), "1.050,25": (None, 1050.25),
    "1,050,000": (1050000, None), "0,050": (None, 0.05), "10,50": (None, 10.5), "1,05,000": (None, None),
    "1'050": (1050, 1050), "1\u2019050.5": (1050.5, None), "1 050": (1050, 1050), "1\u00a0050,5": (None, 1050.5),
    "$1,050": (1050, 1.05), "-$5": (-5, -5), "$-5": (-5, -5), "5 \u20ac": (5, 5), "10.5%": (10.5, None),
    "\u22123.5": (-3.5, None), "1e3": (1000, 1000), "1.5E\u22123": (0.0015, None), "1_000": (None, None),
    "inf": (None, None), "1e999": (None, None), "--5": (None, None), "-$-5": (None, None), "1'05": (None, None),
    "1 050'000": (None, None), ".": (None, None), "12:30": (None, None), "\u0663": (None, None), "": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_a_number_with_a_decimal_point_and_with_a_decimal_comma(text):
    expected = [np.nan if value is None else value for value in WRITTEN[text]]
    ways = [Numbers(*way, unit="%" * ("%" in text)) for way in ((".", ",'\u2019 \u00a0"), (",", ".'\u2019 \u00a0"))]
    read = [way.values([text])[0] for way in ways]
    assert read == pytest.approx(expected, nan_ok=True)


def test_decimal_commas_beside_semicolons(write, document):
    result = document(write("Temperatur;Verbrauch\n3,00;45\n7,25;39,5\n12,50;30\n"))
    assert f"{READ}: Temperatur ('3,00' as 3), Verbrauch ('39,5' as 39.5)" in result["notes"]
    assert result["coefficients"]["Temperatur"] == pytest.approx(np.polyfit([3, 7.25, 12.5], [45, 39.5, 30], 1)[0])


COLUMNS = [
    ["1,050", "950", "2,300", "12,000"],
    ["$1050", "$950", "$2300", "$12000"],
    ["1050%", "950%", "2300%", "12000%"],
    ["1050 kg", "950 kg", "2300 kg", "12000 kg"],
    ["1'050", "950", "2'300", "12'000"],
    ["1 050", "950", "2 300", "12 000"],
]


@pytest.mark.parametrize("cells", COLUMNS)
def test_what_stands_in_a_number_is_read_and_said(cells, write, document):
    result = document(write(csv_of(["x", "y"], [quoted(cells), [1, 2, 5, 3]])))
    assert find(result["notes"], READ).startswith(f"{READ}: x ({cells[0]!r} as 1050")
    assert result["coefficients"] == pytest.approx({"x": np.polyfit([1050, 950, 2300, 12000], [1, 2, 5, 3], 1)[0]})


def test_a_minus_of_typesetters(write, document):
    result = document(write(csv_of(["x", "y"], [["\u22123", "1", "\u22122"], [1, 4, 3]])))
    assert f"{READ}: x ('\u22123' as -3)" in result["notes"]
    assert result["coefficients"]["x"] == pytest.approx(np.polyfit([-3, 1, -2], [1, 4, 3], 1)[0])


AMBIGUOUS = csv_of(["x", "y"], [quoted(["1,050", "2,300", "4,100"]), [1, 2, 5]])


def test_commas_before_three_digits_are_thousands_unless_it_is_said(write, document):
    path = write(AMBIGUOUS)
    result, decimal = document(path), document(path, "--decimal", ",")
    assert f"{READ}: x ('1,050' as 1050; --decimal , reads it otherwise)" in result["notes"]
    assert decimal["coefficients"]["x"] == pytest.approx(1000 * result["coefficients"]["x"])


def test_the_same_beside_semicolons_are_decimals_unless_it_is_said(write, document):
    path = write(AMBIGUOUS.replace('",', '";').replace("x,y", "x;y"))
    result, thousands = document(path), document(path, "--thousands", ",")
    assert f"{READ}: x ('1,050' as 1.05; --decimal . reads it otherwise)" in result["notes"]
    assert result["coefficients"]["x"] == pytest.approx(1000 * thousands["coefficients"]["x"])


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_one_column_leaves_open_another_decides(separator, write, document):
    text = csv_of(["a", "b", "y"], [["1.050", "2.300", "4.100"], ["3,5", "1,25", "7"], [1, 2, 5]], separator)
    result = document(write(text))
    assert f"{READ}: a ('1.050' as 1050; --decimal . reads it otherwise), b ('3,5' as 3.5)" in result["notes"]
    points = document(write(text.replace("3,5", "3.5").replace("1,25", "1.25")))
    assert not [note for note in points["notes"] if READ in note or "decimal" in note]


def test_percentages_beside_plain_numbers_are_text(write, document):
    result = document(write(csv_of(["x", "y"], [["10%", "0.1", "0.1", "0.2", "0.2", "10%"], range(6)])))
    assert "x=10%" in result["coefficients"]


DOTS = "price;area\n139.750;{}\n250.500;{}\n180.000;{}\n99.900;{}\n"


def test_dots_that_may_be_of_thousands_are_decided_by_another_column(write, document):
    (points,) = document(write(DOTS.format("30.5", "55.25", "40", "22.5")))["coefficients"].values()
    result = document(write(DOTS.format("30,5", "55,25", "40", "22,5")))
    assert result["coefficients"] == {"price": pytest.approx(points / 1000)}
    assert "price ('139.750' as 139750; --decimal . reads it otherwise), " in find(result["notes"], READ)


def test_dots_of_which_only_semicolons_speak_are_asked_about(write, document, fail):
    path = write(DOTS.format(3, 5, 4, 2))
    assert fail(path) == "data.csv has '139.750', whose sign may be decimal or of thousands: say which by --decimal."
    points, commas = (document(path, "--decimal", sign)["coefficients"]["price"] for sign in ".,")
    assert points == pytest.approx(1000 * commas)
    assert points == document(write(DOTS.format(3, 5, 4, 2).replace(";", ",")))["coefficients"]["price"]
    assert document(path, "--thousands", ".")["coefficients"]["price"] == commas


def test_dots_that_may_be_of_thousands_are_said(write, document):
    cells = [f"\N{EURO SIGN} {size}.000" for size in (632, 897, 500, 414)]
    result = document(write(csv_of(["price", "size", "y"], [cells, ["1.25", "2.5", "3.125", "4"], [1, 4, 2, 3]])))
    said = f"{READ}: price ('\N{EURO SIGN} 632.000' as 632; --decimal , reads it otherwise)"
    assert said in result["notes"]
    cells = quoted(["1,234", "1.250", "2,500", "900"])
    mixed = document(write(csv_of(["price", "y"], [cells, [1, 4, 2, 3]])))["notes"]
    assert f"{READ}: price ('1,234' as 1234; --decimal , reads it otherwise)" in mixed


def test_dots_are_decimal_where_a_later_row_shows_it(write, document):
    cells = ["1.050", "2.300", "4.100"] * 20
    result = document(write(csv_of(["x", "y"], [[*cells, "3.5"], range(61)], ";")))
    points = document(write(csv_of(["x", "y"], [[*cells, "3.5"], range(61)])))
    assert result["coefficients"] == points["coefficients"]


def test_pandas_reads_decimal_commas(write):
    frame = read_table(write("a;b;c\n1,5;x;1\n2,25;y;2\n;y;3\n")).frame
    assert frame["a"].tolist()[:2] == [1.5, 2.25]
    assert read_table(write("a;b\n1,5;1.5\n2,25;1.5\n")).frame["b"].tolist() == [1.5, 1.5]


@pytest.mark.parametrize("cells", [["$3", "\u20ac4"], ["3.5kg", "400g"], ["0.1", "10%"]])
def test_signs_and_units_that_differ_are_said(cells, write, document):
    result = document(write(csv_of(["fee", "x", "y"], [cells * 5, [1, 5, 2, 7, 4] * 2, range(10)])))
    assert f"{STRAY}fee ({cells[1]!r} on line 3); write all in one way, or name gaps by --gaps" in result["notes"]


@pytest.mark.parametrize("options", [(), ("--decimal", ",")])
def test_decimal_signs_that_are_mixed_are_said(options, write, document):
    table = csv_of(["size", "y"], [quoted(["1,5", "2.5", "0,5", "3.25"] * 5), range(20)])
    notes = document(write(table), *options)["notes"]
    assert find(notes, STRAY).startswith(f"{STRAY}size ('{'2.5' if options else '1,5'}' on line ")


CODES = ["02134", "02135", "10001", "94110"] * 5


@pytest.mark.parametrize("gap", ["", "?", "n.a."])
def test_a_number_that_begins_with_zero_is_a_code(gap, write, document):
    result = document(write(csv_of(["zip", "y"], [[gap, *CODES[1:]], range(20)])))
    assert "text, as numbers would lose the zeros that they begin with: zip ('02135')" in result["notes"]
    assert {"zip=02134", "zip=10001"} <= result["coefficients"].keys()


def test_a_code_is_found_in_a_late_row_and_by_a_saved_model(write, document, tmp_path, capsys):
    model, late = (
        str(tmp_path / "m.joblib"),
        csv_of(["x", "zip", "y"], [range(100), [*CODES[2:4] * 48, *CODES[:4]], range(100)]),
    )
    result = document(write(late.replace(",", ";")), "--save", model)
    assert [name for name in result["coefficients"] if name.startswith("zip")] == [
        f"zip={code}" for code in sorted(CODES[:4])
    ]
    assert main(["predict", model, write(late)]) == 0
    assert "no training row has" not in capsys.readouterr().err


def test_a_code_is_found_at_the_beginning_of_a_row(write, document):
    result = document(write("zip,y,z\n" + "\n".join(f"{code},{i},{i}" for i, code in enumerate(CODES))))
    assert "zip=02134" in result["coefficients"]


@pytest.mark.parametrize("cells", [["0", "10", "20", "30"], ["0.5", "01.5", "2", "3"], ["01", "2.5", "3", "4"]])
def test_a_zero_before_a_fraction_or_alone_is_no_code(cells, write, document):
    assert list(document(write(csv_of(["x", "y"], [cells, [1, 4, 2, 3]])))["coefficients"]) == ["x"]


def test_a_target_that_begins_with_zero_is_a_number(write, document):
    assert document(write(csv_of(["x", "y"], [range(4), ["01", "03", "05", "07"]])))["coefficients"][
        "x"
    ] == pytest.approx(2)


def test_a_unit_that_all_cells_share_is_stripped_and_said(write, document, succeed, tmp_path, capsys):
    cells = quoted(["3.5 kg", "4 kg", "1,200 kg", "-", "-2.5 kg", "80 kg"])
    path = write(csv_of(["size", "y"], [cells, [3.5, 4, 1200, 4, -2.5, 80]]))
    result = document(path)
    assert result["preparation"]["fills"] == {"size": 4}
    assert f"{READ}: size ('3.5 kg' as 3.5)" in result["notes"]
    succeed(path, "--save", str(tmp_path / "model.joblib"))
    for new, said in (("3.5 kg", ""), ("3.5", "units lack where the model has learnt with them: size ('kg')")):
        assert main(["predict", str(tmp_path / "model.joblib"), write(f"size\n{new}\n", "new.csv")]) == 0
        out, err = capsys.readouterr()
        assert said in err
        assert bool(said) == bool(err)
        assert float(out.split()[1]) == pytest.approx(3.5)
    grams = write("size\n3500 g\n", "new.csv")
    assert main(["predict", str(tmp_path / "model.joblib"), grams]) == 2
    assert "has no number in size but '3500 g'" in capsys.readouterr().err


@pytest.mark.parametrize("cells", [["Q1", "Q2"], ["flat 1", "flat 2"], ["1.10.37", "1.9.2"]])
def test_of_codes_no_unit_is_said(cells, write, document):
    notes = document(write(csv_of(["size", "y"], [cells * 4, range(8)])))["notes"]
    assert not any(READ in note for note in notes)


def test_a_file_of_numbers_is_read_once(write, document, monkeypatch):
    reads, read_csv = [], pd.read_csv
    monkeypatch.setattr(pd, "read_csv", lambda *args, **options: reads.append(1) or read_csv(*args, **options))
    document(write("a,b,y\n1.5,x,2\n2.25,x,3\n,y,7\n"))
    document(write("a;b;y\n1,5;x;2\n2,25;x;3\n;y;7\n"))
    document(write("a;b;y\n1.5;x;2\n2.25;x;3\n;y;7\n"))
    assert len(reads) == 3


# --- gaps ---


@pytest.mark.parametrize("mark", ["?", "#N/A", "<NA>", ".", "-", "--", r"\N", "NaT", "#DIV/0!", "\u2014"])
def test_what_stands_for_a_gap_is_one(mark, write, document):
    result = document(write(csv_of(["age", "y"], [[30, 31, mark, 38, mark, 60], range(6)])))
    assert "2 gaps in age filled with the median, 34.5" in result["notes"]
    assert list(result["coefficients"]) == ["age"]


@pytest.mark.parametrize("odd", ["unknown", "12 m2", "2024-02-31"])
def test_a_gap_may_have_a_name_of_its_own(odd, write, document, succeed, tmp_path, capsys):
    sizes = [f"2024-01-{1 + i % 28:02}" if odd[0] == "2" else 1.5 * i for i in range(60)]
    path = write(csv_of(["size", "y"], [[*sizes[:2], odd, *sizes[3:]], range(60)]))
    named, model = ("--gaps", f"{odd},nil"), str(tmp_path / "m.joblib")
    assert f"size ({odd!r} on line 4)" in find(document(path, "--keep", "size")["notes"], STRAY)
    result = document(path, *named)
    assert list(result["coefficients"]) == ["size"]
    assert "1 gap in size filled" in find(result["notes"], "1 gap")
    succeed(path, *named, "--save", model)
    assert main(["predict", model, path, *named]) == 0
    assert capsys.readouterr().err.endswith("medians of the training rows: size (1)\n")


def test_in_the_target_an_odd_text_is_none(write, fail):
    path = write(csv_of(["x", "y"], [range(40), ["unknown", *range(39)]]))
    assert "line 2: y is 'unknown', not a number, but it is the target: make it a number, empty the cell" in fail(path)


def test_notes_of_a_kind_are_one_line(write, document):
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(60)]
    columns = [rng.choice(["#N/A", "1", "2"], size=30) for _ in range(30)]
    columns += [rng.choice(["a", "b", ""], size=30) for _ in range(30)]
    notes = document(write(csv_of([*names, "y"], [*columns, range(30)])))["notes"]
    assert len(notes) == 5  # of them one on more features than rows
    assert find(notes, "text one-hot").endswith("c30 (3), c31 (3), c32 (3), c33 (3), c34 (3), and 25 more")


def test_rows_that_sum_up_others_are_named(write, document):
    rows = [("north", 1), ("north", 2), ("Subtotal north", 3), ("south", 4), ("south", 5), ("Subtotal south", 9)] * 2
    notes = document(write(csv_of(["region", "y"], zip(*rows, strict=True))))["notes"]
    assert find(notes, "rows that may sum up").startswith(
        "rows that may sum up others are learnt from: region ('Subtotal north', 'Subtotal south')"
    )
    totals = [("totally", 1), ("mean", 2), ("meaning", 3), ("totally", 4)] * 3
    notes = document(write(csv_of(["word", "y"], zip(*totals, strict=True))))["notes"]
    assert "word ('mean');" in find(notes, "rows that may sum up")


def test_parentheses_are_negative(write, document):
    result = document(
        write(csv_of(["change", "y"], [["(123.45)", '"1,234.50"', "$5", "($7)", "3"], [-123.45, 1234.5, 5, -7, 3]]))
    )
    assert result["scores"]["train"]["r2"] == pytest.approx(1)
    assert f"{READ}: change ('(123.45)' as -123.45)" in result["notes"]


SPELLINGS = {
    "2019-01-01T00:00:00Z": ["2019-01-05", "2019-01-05 00:00:00", "2019-01-05T00:00:00.000", "2019/01/05"],
    "2019-01-01": ["2019-01-05T00:00:00Z", "2019-01-05 00:00", "5 Jan 2019", "January 5, 2019"],
    "01.01.2019": ["5.1.19", "05.01.2019 00:00", "2019-01-05"],
    "13/01/2019": ["05/01/19", "5-1-2019", "2019-01-05"],
    "01/13/2019": ["01/05/19", "1-5-2019", "2019-01-05"],
}


@pytest.mark.parametrize("first", SPELLINGS)
def test_a_date_is_read_in_another_spelling(first, write, succeed, tmp_path):
    """The model knows days since the first; in which order day and month stand it has learnt."""
    import pandas as pd

    days = pd.date_range("2019-01-01", periods=40)
    form = {"T": "%Y-%m-%dT00:00:00Z", ".": "%d.%m.%Y", "3": "%d/%m/%Y", "/": "%m/%d/%Y"}
    key = (
        "T" if "T" in first else "." if "." in first else "3" if first.startswith("13") else "/" if "/" in first else ""
    )
    path, model = (
        write(csv_of(["when", "y"], [days.strftime(form.get(key, "%Y-%m-%d")), range(40)])),
        tmp_path / "m.joblib",
    )
    succeed(path, "--save", str(model))
    for text in SPELLINGS[first]:
        rows = pd.DataFrame({"when": [text], "y": ["0"]})
        assert joblib.load(model).predict(rows)[0] == pytest.approx(4)


def test_what_cannot_be_read_in_python_is_warned_of(write, succeed, tmp_path):
    import pandas as pd

    model = tmp_path / "m.joblib"
    succeed(
        write(csv_of(["when", "size", "y"], [pd.date_range("2019-01-01", periods=9), range(9), range(9)])),
        "--save",
        str(model),
    )
    pipeline = joblib.load(model)
    rows = pd.DataFrame({"when": ["soon", "2019-01-05"], "size": ["big", "4"]})
    with pytest.warns(UserWarning, match=r"count as gaps: 'when' \(1, such as 'soon'\), 'size' \(1, such as 'big'\)"):
        pipeline.predict(rows)
    assert list(pipeline[:-1].get_feature_names_out()) == ["numbers__when", "numbers__size"]


# --- above and beside the table ---

ABOVE = ["Houses of 2024\n", "Houses of 2024,,\n", "# sold\n# by, us, in, June\n"]


@pytest.mark.parametrize("above", ABOVE)
def test_lines_above_the_heading_are_skipped_where_it_is_said(above, write, document, fail):
    path, plain = write(above + HOUSES), document(write(HOUSES, "plain.csv"))
    result = document(path, "--skip", str(above.count("\n")))
    assert (result["coefficients"], result["notes"]) == (plain["coefficients"], plain["notes"])
    assert "--skip how many lines stand above the heading" in fail(path)
    late = f"line {above.count(chr(10)) + 7}: price is 'dear'"
    assert late in fail(write(above + HOUSES + "6,7,dear\n"), "--skip", str(above.count("\n")))
    assert "has no rows" in fail(path, "--skip", "99")


def test_a_first_line_may_name_the_separator(write, document):
    result = document(write("sep=;\n" + HOUSES.replace(",", ";")))
    assert result["coefficients"] == document(write(HOUSES))["coefficients"]


def test_a_heading_of_numbers_and_text_is_remarked_upon(write, document):
    notes = document(write("red,3,5\nblue,4,6\nred,7,8\nblue,1,9\n"))["notes"]
    assert "the first line, although with numbers, was taken for the names: red, 3, 5" in notes


def test_an_option_names_the_separator(write, document, fail):
    text = HOUSES.replace(",", "^")
    assert list(document(write(text), "--sep", "^")["coefficients"]) == ["area", "age"]
    assert "by what --sep says" in fail(write(text))
    assert document(write(HOUSES.replace(",", "\t")), "--sep", "tab")["data"]["columns"] == 2
    assert fail(write(HOUSES), "--sep", "ab").startswith("argument --sep: must be one character")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_an_option_names_the_encoding(encoding, write, document, fail):
    path = write("größe,preis\n1,2\n2,4\n3,7\n".encode(encoding))
    assert list(document(path, "--encoding", encoding)["coefficients"]) == ["größe"]
    assert fail(path).endswith("name its encoding with --encoding, such as cp1252 or utf-16.")
    assert fail(path, "--encoding", "base64").startswith("argument --encoding: must be the name of an encoding")


def test_a_cell_and_a_heading_may_be_long(write, document, succeed):
    assert document(write("a,note,y\n1,x,2\n2,x,3\n4," + "x" * 200_000 + ",3\n"))["data"]["features"] == 3
    path = write("a,note,y\n1,x,2\n2,x,3\n4," + "x" * 200_000 + ",3\n")
    assert max(map(len, succeed(path).splitlines())) < 200
    names = [f"a_column_of_a_long_name_{'x' * 300}_{i}" for i in range(500)]
    wide = csv_of([*names, "y"], np.random.default_rng(0).normal(size=(501, 3)).round(3))
    assert document(write(wide))["data"]["features"] == 500


# --- what a column is ---


@pytest.mark.parametrize(
    ("texts", "written", "days"),
    [
        (["2020-01-31", "2020-01-01"], "year-month-day", [30, 0]),
        (["2020-01-01T12:00:00+02:00", "2020-01-02T10:00:00Z"], "year-month-day", [0, 1]),
        (["2020-01-01 00:00", "2020-01-01 06:00"], "year-month-day", [0, 0.25]),
        (["31.12.2019", "01.01.2020"], "day.month.year", [0, 1]),
        (["01/02/2020", "01/01/2020"], "month/day/year", [1, 0]),
        (["13/02/2020", "01/02/2020"], "day/month/year", [12, 0]),
        (["1 Mar 2020", "29 Feb 2020"], "day month year", [1, 0]),
        (["Mar 2020", "Feb 2020"], "month year", [29, 0]),
        (["02-13-20", "02-01-20"], "month-day-year", [12, 0]),
        (["13-02-20", "01-02-20"], "day-month-year", [12, 0]),
        (["Jan 02 2020 12:00PM", "Jan 01 2020 12:00AM"], "month day year", [1.5, 0]),
        (["20200301", "20200229"], "yearmonthday", [1, 0]),
    ],
)
def test_dates_are_days_since_the_first(texts, written, days):
    dates = as_dates(texts)
    assert dates.written == written
    np.testing.assert_allclose(dates.values(texts), days)


@pytest.mark.parametrize("texts", [["2020-01-01", "soon"], ["12:30"], ["a-1"], ["v1.2.3"], ["2020-13-01"], []])
def test_what_is_no_date(texts):
    assert as_dates(texts) is None


def test_repeated_dates_are_one_feature(write, document):
    days = [f"2020-03-{1 + i // 3:02}" for i in range(30)]
    result = document(write(csv_of(["day", "y"], [days, np.arange(30) // 3 * 2 + 5])))
    assert "dates made days since the first: day (year-month-day, since 2020-03-01)" in result["notes"]
    assert result["coefficients"] == pytest.approx({"day": 2.0})
    assert result["intercept"] == pytest.approx(5.0)
    assert result["preparation"]["days_since"] == {"day": "2020-03-01T00:00:00"}


def test_it_is_said_where_day_and_month_may_be_the_other_way_round(write, document):
    days = ["01/02/2020", "03/04/2020", "05/01/2020", "01/02/2020"]
    notes = document(write(csv_of(["day", "y"], [days, [1, 2, 5, 3]])))["notes"]
    assert find(notes, "dates made").endswith(
        "(month/day/year, since 2020-01-02; --day-first reads day/month/year, which fits as well)"
    )
    notes = document(write(csv_of(["day", "y"], [["13/02/2020", *days[1:]], [1, 2, 5, 3]])))["notes"]
    assert find(notes, "dates made").endswith("(day/month/year, since 2020-01-05)")


OPEN = ["01/02/2020", "03/04/2020", "05/01/2020", "01/02/2020"]


@pytest.mark.parametrize(
    ("option", "written", "first"),
    [("--day-first", "day/month/year", "2020-01-05"), ("--no-day-first", "month/day/year", "2020-01-02")],
)
def test_an_option_names_the_order_of_day_and_month(option, written, first, write, document):
    notes = document(write(csv_of(["day", "y"], [OPEN, [1, 2, 5, 3]])), option)["notes"]
    assert find(notes, "dates made").endswith(f": day ({written}, since {first})")
    sure = document(write(csv_of(["day", "y"], [["13/02/2020", *OPEN[1:]], [1, 2, 5, 3]])), option)["notes"]
    assert find(sure, "dates made").endswith(": day (day/month/year, since 2020-01-05)")  # no other order fits


def test_the_order_that_one_column_leaves_open_is_that_of_the_others(write, document):
    for sure, written, first in (("13/02/2020", "day/month/year", "01-05"), ("02/13/2020", "month/day/year", "01-02")):
        table = csv_of(["sold", "built", "y"], [OPEN, [sure, *OPEN[1:]], [1, 2, 5, 3]])
        note = find(document(write(table))["notes"], "dates made")
        assert f": sold ({written}, since 2020-{first}), built ({written}, " in note
        assert "fits as well" not in note
    both = csv_of(["a", "b", "c", "y"], [OPEN, ["13/02/2020", *OPEN[1:]], ["02/13/2020", *OPEN[1:]], [1, 2, 5, 3]])
    assert "a (month/day/year, since 2020-01-02; --day-first" in find(document(write(both))["notes"], "dates made")


COMPACT = ["20240131", "20240201", "20240203", "20240205"]


@pytest.mark.parametrize("gap", ["", "?"])
def test_whole_numbers_that_are_all_days_are_dates(gap, write, document):
    result = document(write(csv_of(["day", "y"], [[*COMPACT, gap], [0, 1, 3, 5, 2]])))
    assert "dates made days since the first: day (yearmonthday, since 2024-01-31)" in result["notes"]
    assert result["coefficients"]["day"] == pytest.approx(1)


@pytest.mark.parametrize(
    "numbers",
    [
        [*COMPACT[:3], "20240231"],  # no day
        [*COMPACT[:3], "17991231"],  # too early
    ],
)
def test_whole_numbers_of_which_one_is_no_day_are_numbers(numbers, write, document):
    result = document(write(csv_of(["n", "y"], [numbers, [0, 1, 3, 5]])))
    assert not any(note.startswith("dates") for note in result["notes"])
    assert list(result["coefficients"]) == ["n"]


def test_a_target_of_whole_numbers_is_no_date(write, document):
    assert document(write(csv_of(["x", "day"], [[0, 1, 3, 5], COMPACT])))["coefficients"]["x"] > 1


def test_days_as_whole_numbers_are_read_by_a_saved_model(write, succeed, tmp_path):
    model, path = str(tmp_path / "m.joblib"), write(csv_of(["day", "y"], [COMPACT, [0, 1, 3, 5]]))
    succeed(path, "--save", model)
    for rows in (pd.read_csv(path), pd.read_csv(path, dtype=str), pd.DataFrame({"day": ["2024-01-31", "1 Feb 2024"]})):
        np.testing.assert_allclose(joblib.load(model).predict(rows)[:2], [0, 1], atol=1e-9)
    median = joblib.load(model).predict(pd.DataFrame({"day": [np.nan]}))[0]
    for odd in (0.5, np.inf, 2024013, -20240131, 20240201.25, 1e30, 1.7e18, "2024013", "202401311", True):
        with pytest.warns(UserWarning, match=rf"'day' \(1, such as '{re.escape(str(odd))}'"):
            predicted = joblib.load(model).predict(
                pd.DataFrame({"day": ["20240201" if isinstance(odd, str) else 20240201, odd]})
            )
        np.testing.assert_allclose(predicted, [1, median], atol=1e-9)


def test_days_of_one_digit_are_no_odd_texts(write, document):
    days = [f"{day.day}.{day.month}.{day:%y}" for day in pd.date_range("2019-10-01", periods=94)]
    notes = document(write(csv_of(["when", "y"], [days, range(94)])))["notes"]
    assert "dates made days since the first: when (day.month.year, since 2019-10-01)" in notes
    assert not any("taken as" in note for note in notes)


def test_truth_values_are_spelt_as_in_the_file(write, document, capsys, tmp_path):
    model, path = str(tmp_path / "m.joblib"), write(csv_of(["sold", "y"], [["TRUE", "FALSE"] * 4, range(8)]))
    assert list(document(path, "--save", model)["coefficients"]) == ["sold=FALSE", "sold=TRUE"]
    assert main(["predict", model, path]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["bool", "boolean", "timedelta"])
def test_columns_of_another_type_are_read_as_text(kind, write, succeed, tmp_path):
    """A pipeline that has learnt dates, numbers and truth values, and rows that pandas holds as another type."""
    model = str(tmp_path / "m.joblib")
    cells = [
        pd.date_range("2024-01-01", periods=8).strftime("%Y-%m-%d"),
        [1, 4, 2, 5, 3, 9, 7, 8],
        ["True", "False"] * 4,
    ]
    succeed(write(csv_of(["when", "size", "sold", "y"], [*cells, [2, 5, 3, 9, 4, 8, 6, 7]])), "--save", model)
    pipeline = joblib.load(model)
    rows = pd.DataFrame({"when": cells[0], "size": cells[1], "sold": cells[2]})
    truth = rows.assign(sold=pd.Series([True, False] * 4, dtype="bool" if kind == "timedelta" else kind))
    np.testing.assert_array_equal(pipeline.predict(truth), pipeline.predict(rows))
    odd = pd.Series(pd.to_timedelta(range(8), "D") if kind == "timedelta" else [True, False] * 4).astype(
        "timedelta64[ns]" if kind == "timedelta" else kind
    )
    with pytest.warns(UserWarning, match="count as gaps: 'when' .8, such as "):
        predicted = pipeline.predict(rows.assign(when=odd))
    np.testing.assert_array_equal(predicted, pipeline.predict(rows.assign(when="")))


@pytest.mark.parametrize(
    ("new", "option", "days", "is_said"),
    [
        ("13/02/2020\n05/01/2020\n", None, [43, 4], True),  # the file shows it
        ("02/13/2020\n05/01/2020\n", None, [43, 121], False),
        ("05/01/2020\n05/01/2020\n", None, [121, 121], False),
        ("05/01/2020\n05/01/2020\n", "--day-first", [4, 4], True),
        ("05/01/2020\n05/01/2020\n", "--no-day-first", [121, 121], False),
    ],
)
def test_new_dates_may_have_day_and_month_in_the_other_order(new, option, days, is_said, write, capsys, tmp_path):
    model = str(tmp_path / "m.joblib")
    learnt = [f"{day:%m/%d/%Y}" for day in pd.date_range("2020-01-01", periods=40)]
    assert main([write(csv_of(["when", "y"], [learnt, range(40)])), "--save", model]) == 0
    capsys.readouterr()
    assert main(["predict", model, write(f"when\n{new}"), *([option] if option else [])]) == 0
    out, err = capsys.readouterr()
    np.testing.assert_allclose([float(line) for line in out.splitlines()[1:]], days, atol=1e-6)
    assert ("when: dates read as day/month/year, unlike those learnt from" in err) == is_said


def test_what_is_kept_is_learnt_from_although_it_names_the_rows(write, document, fail):
    rng = random.Random(0)
    path = write(
        csv_of(["id", "name", "void", "y"], [rng.sample(range(99), 12), list("abcdefghijkl"), [""] * 12, range(12)])
    )
    assert "left out: whole numbers" in fail(path)
    result = document(path, "--keep", "id")
    assert list(result["coefficients"]) == ["id"]
    assert "what seems to name the rows is learnt from with --keep: name" in result["notes"]
    result = document(path, "--keep", "id", "--keep", "name,void")
    assert list(result["coefficients"]) == ["id", *(f"name={letter}" for letter in "abcdefghijkl")]
    assert result["preparation"]["left_out"] == ["void"]
    assert "did you mean 'name'" in fail(path, "--keep", "nam")
    assert fail(path, "--keep", "id,name", "--drop", "name") == (
        "'name' of data.csv cannot be both dropped and kept: leave out --drop or --keep."
    )


def test_what_only_names_the_rows_is_left_out(write, document):
    rng = random.Random(0)
    x = np.arange(20) ** 2 % 7
    columns = [range(20), rng.sample(range(99), 20), x, np.arange(20) // 5, x % 3]
    result = document(write(csv_of(["", "customer_id", "x", "floor_id", "y"], columns)))
    assert list(result["coefficients"]) == ["x", "floor_id"]
    assert result["preparation"]["left_out"] == ["column 1", "customer_id"]
    assert "column 1 left out: whole numbers that never repeat, which name the rows; customer_id left out" in str(
        result
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([-999, 3, 5, -999, 8], "x (2 cells -999)"),
        ([99, 3, 5, 99, 8], "x (2 cells 99)"),
        ([99999999, 3, 5, 99999999, 8], "x (2 cells 99999999)"),
        ([-999, 3, 5, 7, 8], ""),  # one may be right
        ([99, 98, 5, 99, 8], ""),  # near others
        ([-990, 3, 5, -990, 8], ""),
    ],
)
def test_numbers_that_may_stand_for_gaps_are_named(values, said, write, document):
    notes = document(write(csv_of(["x", "y"], [values, range(5)])))["notes"]
    whole = f"numbers far from all others are learnt from: {said}; empty such cells if they are gaps"
    assert (whole in notes) == bool(said)
    assert said or not any("far from all others" in note for note in notes)


@pytest.mark.parametrize("name", ["humid", "paid", "BID", "Solid", "grid"])
def test_a_name_that_only_ends_in_id_is_of_use(name, write, document):
    assert list(document(write(csv_of([name, "y"], [np.arange(12) ** 2, range(12)])))["coefficients"]) == [name]


@pytest.mark.parametrize("name", ["userId", "UserID", "user_id", "USER ID", "id", "ID"])
def test_the_name_of_an_identifier(name, write, document):
    result = document(write(csv_of([name, "x", "y"], [np.arange(12) ** 2, np.arange(12) % 5, range(12)])))
    assert result["preparation"]["left_out"] == [name]


def test_columns_are_dropped_as_asked(write, document, fail):
    path = write('"a, b",c,d,y\n1,2,3,4\n2,3,5,6\n3,5,4,7\n5,4,4,4\n')
    result = document(path, "--drop", "a, b", "--drop", "y")
    assert (result["data"]["target"], list(result["coefficients"])) == ("d", ["c"])
    assert "dropped: a, b, y" in result["notes"]
    assert "as all are dropped" in fail(path, "--drop", "a, b", "--drop", "y,c")
    assert "is left without 'd', its target" in fail(path, "--drop", "d", "--target", "d")
    assert "did you mean 'y'" in fail(path, "--drop", "Y")


def test_the_nearest_names_of_a_wide_table(write, fail):
    names = [f"column_{i}" for i in range(20_000)]
    sentence = fail(write(csv_of(names, [[1]] * 20_000)), "--target", "column_12345x")
    assert re.fullmatch(r"data.csv has no column 'column_12345x': did you mean '\w+', '\w+' or '\w+'\?", sentence)
    assert "'column_12345'" in sentence
    assert "column_4, and 19995 more; " in fail(write(csv_of(names, [[1]] * 20_000)), "--target", "?")


def test_escape_sequences_are_shown_escaped(write, succeed, fail):
    path = write("\x1b[31mred\x1b[0m,\u202ey\n1,2\n2,4\n3,7\n")
    out = succeed(path)
    assert r"\u202ey = 2.5 * \x1b[31mred\x1b[0m - 0.666667" in out
    assert "\x1b" not in out
    assert "\x1b" not in fail(path, "--target", "\x1b[31m")


# --- in time ---


def test_many_rows_are_compared_where_it_is_asked_for(write, succeed, monkeypatch):
    monkeypatch.setattr("gdregress.__main__.COMPARED_ROWS", 4)
    out = succeed(write(HOUSES))
    assert "- not compared with other solvers, which take long on so many rows: --compare does it" in out
    y = [3, 5, 8, 9, 12]
    fitted = GradientDescentRegressor().fit([[1, 10], [2, 20], [3, 15], [4, 30], [5, 12]], y)
    mse = mean_squared_error(y, fitted.predict([[1, 10], [2, 20], [3, 15], [4, 30], [5, 12]]))
    assert f"\ntrain MSE {mse:.6g}, train mean absolute error " in out
    assert "SGDRegressor  " not in out
    assert "SGDRegressor  " in succeed(write(HOUSES), "--compare")


def test_many_features_are_sparse_and_the_closed_form_is_left_out(write, succeed, document, monkeypatch):
    rng = np.random.default_rng(0)
    columns = [rng.choice(list("abcd"), size=40) for _ in range(5)]
    path = write(csv_of([*"uvwxz", "y"], [*columns, rng.normal(size=40)]))
    dense = document(path)
    monkeypatch.setattr("gdregress.command_line.preparation.DENSE_LIMIT", 10)
    monkeypatch.setattr("gdregress.comparison.compare.COST_LIMIT", 10)
    assert "without the closed form and the distances from it: 40 x 20 would take too long" in succeed(path)
    sparse = document(path)
    assert sparse["coefficients"] == pytest.approx(dense["coefficients"], abs=1e-5)


# --- the model ---


def test_options_of_the_model(write, document):
    path = write(HOUSES)
    given = {"loss": "huber", "epsilon": 2.0, "penalty": "l1", "alpha": 0.5}
    result = document(path, *(part for name, value in given.items() for part in (f"--{name}", str(value))))
    assert {name: result["parameters"][name] for name in given} == given
    assert [row["solver"] for row in result["comparison"]] == [
        "GradientDescentRegressor",
        "SGDRegressor",
        "StandardScaler + SGDRegressor",
    ]
    alone = document(path, "--loss", "quantile", "--penalty", "l2")
    assert alone["comparison"] == []
    assert "not compared: no other solver of scikit-learn minimises this objective" in alone["notes"]


def test_without_pandas_a_file_is_refused_and_the_houses_are_not(write, succeed, fail, monkeypatch):
    import_module = builtins.__import__

    def without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ModuleNotFoundError(name)
        return import_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    assert 'python -m pip install "gdregress[cli]"' in fail(write(HOUSES))
    assert "price = 84.7368 * bedrooms - 46.3158" in succeed()


# --- saved, and used ---

SOLD = csv_of(
    ["area", "kind", "sold", "fee", "price"],
    [
        [50, 70, "", 120, 90, 60, 80, 100],
        ["flat", "house", "flat", "house", "flat", "house", "flat", "house"],
        [
            "2024-01-05",
            "2024-02-01",
            "2024-01-05",
            "2024-03-10",
            "2024-03-10",
            "2024-02-01",
            "2024-01-05",
            "2024-02-01",
        ],
        quoted(["$1,000", "$2,000", "$1,500", "$900", "$1,100", "$2,500", "$800", "$1,900"]),
        [100, 150, 170, 230, 160, 140, 150, 210],
    ],
)


@pytest.fixture
def model(write, succeed, tmp_path):
    """A model that was saved, with the path of its file."""
    path = str(tmp_path / "model.joblib")
    assert f"- the pipeline saved in {path}, fitted to 8 rows" in succeed(write(SOLD, "sold.csv"), "--save", path)
    return path


def test_the_saved_pipeline_predicts_the_same_from_python(model, write, capsys):
    path = write(SOLD, "sold.csv")
    assert main(["predict", model, path]) == 0
    out, err = capsys.readouterr()
    heading, *lines = out.splitlines()
    pipeline = joblib.load(model)
    assert isinstance(pipeline, Pipeline)
    assert heading == "price"
    np.testing.assert_allclose(list(map(float, lines)), pipeline.predict(pd.read_csv(path)), rtol=1e-12)
    np.testing.assert_allclose(list(map(float, lines)), pipeline.predict(pd.read_csv(path, dtype=str)), rtol=1e-12)
    assert err == "gdregress: note: gaps filled with the medians of the training rows: area (1)\n"
    assert len(lines) == 8


def test_what_is_new_in_the_rows_to_predict_is_said(model, write, capsys):
    rows = "fee;kind;sold;colour;area\n900;tent;2024-04-01;red;12 m2\n800;flat;2024-04-02;red;70\n"
    assert main(["predict", model, write(rows)]) == 0
    out, err = capsys.readouterr()
    assert [line.removeprefix("gdregress: note: ") for line in err.splitlines()] == [
        "the columns are in another order than the model's: they were taken by name",
        "not used, as the model has not learnt from them: colour",
        "cells that are neither numbers nor dates filled with the medians: area (1, such as '12 m2')",
        "kind has a value that no training row has in 1 row: its features are all 0",
    ]
    frame = pd.DataFrame({"area": [None, 70], "kind": ["tent", "flat"], "fee": [900, 800]})
    frame["sold"] = pd.to_datetime(["2024-04-01", "2024-04-02"])
    np.testing.assert_allclose([float(line) for line in out.splitlines()[1:]], joblib.load(model).predict(frame))


def test_numbers_far_outside_what_was_learnt_from_are_said(write, succeed, tmp_path, capsys):
    path = str(tmp_path / "model.joblib")
    rows = zip(["11,5", "13,2", "15", "12,8"], [0, 1, 3, 2], [5] * 4, [1, 2, 4, 3], strict=True)
    succeed(write("alcohol;age;same;y\n" + "".join("{};{};{};{}\n".format(*row) for row in rows)), "--save", path)

    def said(*rows):
        new = "alcohol;age;same\n" + "".join(f"{row}\n" for row in rows)
        assert main(["predict", path, write(new, "new.csv"), "--decimal", ","]) == 0
        return [line for line in capsys.readouterr().err.splitlines() if "far outside" in line]

    far = "alcohol: 2 cells far outside what the model has learnt from (13234; 11.5 to 15)"
    assert said("13.234;2;5", "12.345;2;5", "12,8;2;5") == [f"gdregress: note: {far}"]
    assert said("18,5;-3;9", ";6;") == []
    assert said("7,9;6,1;")[0].endswith("; age: 1 cell far outside what the model has learnt from (6.1; 0 to 3)")
    assert "alcohol" not in said("8;6,1;")[0]


def test_a_model_of_one_feature_predicts_rows_that_have_no_target(write, capsys, tmp_path):
    model = str(tmp_path / "one.joblib")
    assert main([write("x,y\n1,2\n2,4\n3,6\n"), "--save", model]) == 0
    capsys.readouterr()
    assert main(["predict", model, write("x\n4\n")]) == 0
    assert float(capsys.readouterr().out.splitlines()[1]) == pytest.approx(8)


@pytest.mark.parametrize(
    ("learnt", "new", "said"),
    [
        ("x;y\n0.1;1\n0.2;2\n0.3;3\n", "x\n10%\n0.2\n", "such as '10%'"),
        ("x;y\n10%;1\n20%;2\n30%;3\n", "x\n0.1\n0.2\n", "units lack where the model has learnt with them: x ('%')"),
        ("x;z;y\n1;0,5;1\n2;0,7;2\n3;0,1;3\n", "x;z\n1,5;0,5\n", ""),
    ],
    ids=["percent beside shares", "shares after percent", "fractions where there were none"],
)
def test_new_cells_are_read_as_the_file_was_that_was_learnt_from(learnt, new, said, write, capsys, tmp_path):
    model = str(tmp_path / "model.joblib")
    assert main([write(learnt), "--save", model]) == 0
    capsys.readouterr()
    assert main(["predict", model, write(new)]) == 0
    out, err = capsys.readouterr()
    assert said in err
    assert bool(said) == bool(err)
    assert said or float(out.splitlines()[1]) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("new", "arguments", "value"),
    [
        ("x;z\n0,525;3\n1,250;3\n", (), 1.25),
        ("x;z\n1,250;3\n1,250;3\n", ("--decimal", ","), 1.25),
        ("x;z\n1,250;3\n1,250;3\n", ("--decimal", "."), 1250),
        ("x,z\n0.525,3\n1.250,3\n", (), 1.25),
    ],
)
def test_new_numbers_may_have_another_decimal_sign(new, arguments, value, write, capsys, tmp_path):
    model = str(tmp_path / "model.joblib")
    assert main([write("x,z,y\n0.5,1,0.5\n2.5,3,2.5\n3.5,2,3.5\n4.0,5,4\n"), "--save", model]) == 0
    capsys.readouterr()
    assert main(["predict", model, write(new), *arguments]) == 0
    out, err = capsys.readouterr()
    assert float(out.splitlines()[2]) == pytest.approx(value)
    said = "decimal sign is another than in the rows learnt from, as the cells show: x (',')"
    assert (said in err) == ("0,525" in new)


def test_new_numbers_whose_sign_is_open_are_refused(write, fail, capsys, tmp_path):
    model = str(tmp_path / "model.joblib")
    assert main([write("x,z,y\n0.5,1,0.5\n2.5,3,2.5\n3.5,2,3.5\n4.0,5,4\n"), "--save", model]) == 0
    capsys.readouterr()
    assert fail("predict", model, write("x;z\n1,250;3\n")).endswith(
        "may be decimal or of thousands: say which by --decimal."
    )
    assert fail("predict", model, write("x,z\nmany,3\n")).startswith(
        "data.csv has no number in x but 'many': write numbers, or leave out --decimal and --thousands, "
    )


def test_what_is_advised_about_new_cells_makes_numbers_of_them(write, fail, capsys, tmp_path):
    model, new = str(tmp_path / "model.joblib"), write('x,z\n"1,5",0.5\n"2,5",1.5\n', "new.csv")
    assert main([write("x,z,y\n0.5,1,0.5\n2.5,3,2.5\n3.5,2,3.5\n4.0,5,4\n"), "--save", model]) == 0
    capsys.readouterr()
    assert fail("predict", model, new, "--decimal", ".").startswith(
        "new.csv has no number in x but '1,5': write numbers, or leave out --decimal and --thousands, "
    )
    assert main(["predict", model, new]) == 0
    assert [float(line) for line in capsys.readouterr().out.splitlines()[1:]] == pytest.approx([1.5, 2.5])


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_columns_with_decimal_signs_of_their_own_are_predicted_as_they_were_learnt(order, write, capsys, tmp_path):
    """Points in one column, commas in the other; of the new rows some leave the sign of b open."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, 60).round(3), rng.uniform(0, 9, 60).round(3)
    cells = {"a": a, "b": [f'"{value:.3f}"'.replace(".", ",") for value in b]}
    path = write(csv_of([*order, "y"], [*(cells[name] for name in order), a + 3 * b]))
    model = str(tmp_path / "m.joblib")
    assert main([path, "--target", "y", "--save", model]) == 0
    capsys.readouterr()
    for rows in (range(60), [i for i in range(60) if b[i] >= 1]):
        columns = [[cells[name][i] for i in rows] for name in order]
        assert main(["predict", model, write(csv_of(order, columns), "new.csv")]) == 0
        out, err = capsys.readouterr()
        np.testing.assert_allclose(list(map(float, out.split()[1:])), (a + 3 * b)[rows], atol=1e-6)
        assert err == ""


def test_whole_numbers_before_three_zeros_are_said(write, document):
    table = csv_of(["price", "size", "y"], [["632.000", "", "500.000", "414.000"], [1.125, 2, 3.5, 4], [1, 4, 2, 3]])
    result = document(write(table))
    assert f"{READ}: price ('632.000' as 632; --decimal , reads it otherwise)" in result["notes"]
    assert document(write(table), "--decimal", ",", "--drop", "size")["coefficients"]["price"] != 0
    other = document(write(table.replace("500.000", "500.500")))
    assert not any(note.startswith(READ) for note in other["notes"])


def test_what_is_advised_about_new_dates_makes_dates_of_them(write, fail, capsys, tmp_path):
    model = str(tmp_path / "model.joblib")
    assert (
        main([write(csv_of(["when", "y"], [pd.date_range("2019-01-01", periods=9), range(9)])), "--save", model]) == 0
    )
    capsys.readouterr()
    assert fail("predict", model, write("when\n4. Woche\n")).endswith(
        "has no date in when but '4. Woche': write dates as 2024-12-31."
    )


def test_the_columns_of_a_saved_model_are_those_of_pandas(model, write):
    import polars as pl

    with pytest.raises(ValueError, match="the columns are read by name: pass a DataFrame with"):
        joblib.load(model).predict(pl.read_csv(write(SOLD, "sold.csv"), separator=SOLD[3]))


@pytest.mark.parametrize("option", ["--alpha", "--quantile", "--epsilon"])
def test_an_option_that_counts_for_nothing_is_refused(option, write, fail):
    assert f"{option} counts only with --" in fail(write(HOUSES), option, "0.5")


def test_rows_without_a_column_of_the_model_are_refused(model, write, fail):
    sentence = fail("predict", model, write("area,kind\n1,flat\n"))
    assert sentence == (
        "data.csv cannot be predicted: 2 columns lacking that the model has learnt from: 'sold', 'fee'."
    )
    with pytest.raises(ValueError, match="3 columns lacking"):
        joblib.load(model).predict(pd.DataFrame({"area": [1]}))
    with pytest.raises(ValueError, match="pass a DataFrame with 'area'"):
        joblib.load(model).predict(np.ones((1, 4)))


def test_the_nearest_names_are_named_where_a_column_lacks(model, write, fail):
    sentence = fail("predict", model, write("Area,kind,sold_on,fees,fee2\n1,flat,2024-01-05,1,1\n"))
    assert sentence.endswith("from: 'area' (it has 'Area'), 'sold' (it has 'sold_on'), 'fee' (it has 'fees').")


def test_columns_are_printed_before_the_predictions(model, write, capsys, fail):
    path = write(SOLD.replace("area,", "id,area,").replace("\n", '\n"0,1",').replace('\n"0,1",70', "\n,70"))
    assert main(["predict", model, path, "--keep", "id", "--keep", "price,kind"]) == 0
    out, err = capsys.readouterr()
    heading, first, second, *_ = out.splitlines()
    assert heading == "id,price,kind,predicted price"
    assert first.startswith('"0,1",100,flat,')
    assert second.startswith(",150,house,")
    assert "not used" not in err
    assert main(["predict", model, path]) == 0
    assert [line.rpartition(",")[2] for line in out.splitlines()[1:]] == capsys.readouterr().out.splitlines()[1:]
    assert "did you mean 'kind'" in fail("predict", model, path, "--keep", "kinds")


def test_a_column_that_is_kept_is_not_written_over_by_the_predictions(model, write, capsys):
    path = write(SOLD.replace("area,", "predicted price,area,").replace("\n", "\n7,").removesuffix("7,"))
    assert main(["predict", model, path, "--keep", "price,predicted price"]) == 0
    heading, first, *_ = capsys.readouterr().out.splitlines()
    assert heading == "price,predicted price,predicted price (2)"
    assert first.startswith("100,7,")


def test_a_file_without_rows_to_predict_is_refused(model, write, fail):
    assert fail("predict", model, write("area,kind,sold,fee\n")).endswith("has no rows below its heading: add some.")


def test_paths_are_not_cut(write, fail, tmp_path):
    folder = str(tmp_path / ("a" * 60) / "model.joblib")
    assert f"{folder!r} cannot be written" in fail(write(HOUSES), "--save", folder)
    assert f"{folder!r} cannot be read" in fail("predict", folder, write(HOUSES))


def test_a_system_that_refuses_is_not_told_as_output_that_cannot_be_written(write, fail, monkeypatch):
    def refuse(*args, **options):
        raise OSError(28, "No space left on device", "/scratch/x")

    monkeypatch.setattr("gdregress.__main__.prepare", refuse)
    assert fail(write(HOUSES)) == (
        "'/scratch/x' cannot be read or written (No space left on device): check its path and the disk."
    )


def test_what_is_no_model_is_refused(write, tmp_path, fail):
    data = write(HOUSES)
    assert "cannot be read as a model (No such file" in fail("predict", str(tmp_path / "none.joblib"), data)
    for text in (HOUSES, "gene0,gene1\n1,2\n", "bene\n1\n"):  # some begin as pickles do
        sentence = fail("predict", write(text, "no.csv"), data)
        assert "no.csv' cannot be read as a model (" in sentence
        assert sentence.endswith("give what --save wrote.")
    joblib.dump({"a": 1}, tmp_path / "other.joblib")
    assert "holds no pipeline" in fail("predict", str(tmp_path / "other.joblib"), data)
    assert "cannot be written" in fail(data, "--save", str(tmp_path))


def test_json_has_fills_and_categories(write, document):
    preparation = document(write(SOLD))["preparation"]
    assert preparation["fills"]["area"] == 80
    assert preparation["categories"] == {"kind": ["flat", "house"]}


# --- whatever is wrong is a sentence ---


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_output_that_cannot_be_written(redirection):
    command = f'"{sys.executable}" -m gdregress {redirection}'
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=buffered)
    assert done.returncode == 2
    assert re.fullmatch(
        r"gdregress: error: (standard output is closed|the output cannot be written \().+\n", done.stderr
    )


def test_without_a_standard_error_nothing_is_said(write, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert main([write("")]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no /dev/zero")
def test_an_endless_file_is_refused_at_once(fail):
    assert "it holds a zero byte" in fail("/dev/zero")
    assert "it holds a zero byte" in fail("/dev/zero", "--encoding", "utf-16-le")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("sep=,\n", "has no rows below its heading"),
        ('"', "has no rows below its heading"),
        ("sep;=;\nt;y\n3,00%;45\n4,5;1.000\n", "line 2: 2 fields where the heading has 3"),
        ("A|B|C|\n4|1|6|\n5|1|7|\n2|x|6|\n", "has no value of column 4 in any row"),
    ],
)
def test_a_file_with_next_to_nothing_in_it(content, sentence, write, fail):
    assert sentence in fail(write(content))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (gzip.compress(HOUSES.encode())[:-9], "cannot be unpacked (Compressed file ended before the "),
        (gzip.compress(b"a\0b"), "is not text (it holds a zero byte): "),
        (b"BZh9" + b"x" * 20, "cannot be "),
        (b"\xfd7zXZ\0" + b"x" * 20, "cannot be unpacked ("),
        (b"PK\3\4\x14\0", "cannot be unpacked (File is not a zip file): "),
        (b"PAR1\x15\x04", "is not read by pandas ("),
    ],
)
def test_a_file_of_another_kind_is_named(content, sentence, write, fail):
    assert sentence in fail(write(content))
    assert sentence in fail(write(content), "--encoding", "latin-1")


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda text: zipped({"a/": "", "a/b": text, "__MACOSX/b": "x"}),
        lambda text: gzip.compress(bz2.compress(text)),
    ],
    ids=["gzip", "bzip2", "xz", "zip", "twice"],
)
def test_a_file_that_is_packed_is_unpacked(pack, write, document, succeed, tmp_path):
    result, plain = document(write(pack(HOUSES.encode()))), document(write(HOUSES, "plain.csv"))
    assert (result["coefficients"], result["notes"]) == (plain["coefficients"], plain["notes"])
    model = str(tmp_path / "m.joblib")
    succeed(write(pack(b"\xef\xbb\xbf" + HOUSES.encode())), "--save", model)
    assert len(succeed("predict", model, write(pack(HOUSES.encode()))).splitlines()) == 6
    assert list(document(write(pack(HOUSES.encode("utf-16"))), "--encoding", "utf-16")["coefficients"]) == [
        "area",
        "age",
    ]


def test_an_archive_of_several_files_is_refused(write, fail):
    assert fail(write(zipped({"a": "x,y\n1,2\n", "b": "x"}))).endswith("holds 2 files, and not one: unpack it first.")


@pytest.fixture
def sold():
    """A frame of each kind of column, of which the last line is line 9 of its file."""
    days = pd.to_datetime(["2024-01-05", "2024-02-01", "2024-01-05", "2024-03-10"] * 2)
    columns = {
        "area": [50, 70, None, 120, 90, 60, 80, 100],
        "kind": ["flat", "<NA>"] * 4,
        "sold": days,
        "big": [True, False] * 4,
    }
    return pd.DataFrame(columns | {"fee": np.arange(8) ** 2 * 0.1, "price": [100, 150, 170, 230, 160, 140, 150, 210]})


def test_a_parquet_file_is_read_as_its_csv_is(sold, write, document, tmp_path):
    pytest.importorskip("pyarrow")
    sold.to_parquet(tmp_path / "sold.parquet")
    sold.set_index("area").to_parquet(tmp_path / "indexed.parquet")
    plain = document(write(sold.to_csv(index=False)))
    for name in ("sold", "indexed"):
        result = document(str(tmp_path / f"{name}.parquet"))
        assert (result["coefficients"], result["notes"]) == (plain["coefficients"], plain["notes"])


def test_a_workbook_is_read_as_its_csv_is(sold, write, document, fail, tmp_path):
    pytest.importorskip("openpyxl")
    path = str(tmp_path / "sold.xlsx")
    with pd.ExcelWriter(path) as workbook:
        sold.to_excel(workbook, sheet_name="2024", index=False, startrow=1)
        workbook.sheets["2024"]["A1"] = "Houses"
        pd.DataFrame({"a": [1]}).to_excel(workbook, sheet_name="notes")
    result, plain = document(path, "--skip", "1"), document(write(sold.to_csv(index=False)))
    assert result["notes"][0] == "the first of 2 sheets is read: 2024"
    assert (result["coefficients"], result["notes"][1:]) == (plain["coefficients"], plain["notes"])
    assert "line 3: kind is 'flat', not a number" in fail(path, "--target", "kind", "--skip", "1")
    assert "is not read by pandas (" in fail(write(zipped({"[Content_Types].xml": "x"})))


@pytest.mark.parametrize("content", [zipped({"mimetype": "x"}), b"\xd0\xcf\x11\xe0", b"PAR1"])
def test_what_pandas_lacks_to_read_a_file_is_said(content, write, fail, monkeypatch):
    def lack(*args, **options):
        raise ImportError("Missing optional dependency 'openpyxl'. Use pip or conda to install openpyxl.")

    monkeypatch.setattr(pd, "ExcelFile", lack)
    monkeypatch.setattr(pd, "read_parquet", lack)
    assert "is not read by pandas (ImportError: Missing optional dependency 'openpyxl'." in fail(write(content))


def test_a_fault_of_ours_is_a_sentence(write, fail, monkeypatch):
    monkeypatch.setattr("gdregress.__main__.prepare", lambda *args, **options: [][0])
    assert fail(write(HOUSES)).startswith(f"{UNFORESEEN} (IndexError: list index out of range)")


def test_paths_that_are_none(fail, tmp_path):
    assert "embedded null" in fail("a\0b.csv")
    assert "cannot be read (" in fail(str(tmp_path))
    assert "embedded null" in fail("predict", "a\0b", "c")


BASES = [
    HOUSES.encode(), SOLD.encode(), SOLD.replace(",", ";").encode("cp1252"), HOUSES.encode("utf-16"),
    b'a,b,y\n"1","x, ""y""",2\n"3","z\nw",4\n5,,6\n', b"sep=;\nt;y\n3,00;45\n4,5;1.000\n", b"A|B|C|\n1|2|3|\n4|1|6|\n",
    b"x\n1\n2\n", b"",
]  # fmt: skip
PIECES = [b",", b";", b"|", b"\t", b'"', b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"#N/A", b"-", b"inf", b"1,050",
    b"\n\n", b"2020-01-01", b"a,a,a\n", b"1e999", b"sep=,\n", b"# x\n", b"%", b"$", b"'", b"x" * 300, b" ", b"\xc3\xa4",
]  # fmt: skip


def mutated(rng):
    """A file with a few faults."""
    content = bytearray(rng.choice(BASES))
    for _ in range(rng.randrange(5)):
        place = rng.randrange(len(content) + 1)
        if rng.random() < 0.6:
            content[place:place] = rng.choice(PIECES)
        else:
            del content[place : place + rng.randrange(1, 9)]
    return bytes(content)


def test_no_file_makes_a_traceback(write, capsys):
    rng = random.Random(0)
    statuses = set()
    for _ in range(150):
        content = mutated(rng)
        options = rng.choice([[], [], ["--json"], ["--decimal", ","], ["--encoding", "cp1252"], ["--test-size", "0.4"]])
        status = main([write(content), "--epochs", "3", *options])
        out, err = capsys.readouterr()
        assert status in (0, 1, 2), content
        assert UNFORESEEN not in err, content
        if status == 2:
            assert re.fullmatch(r"gdregress: error: [^\n]+\n", err), content
            assert out == ""
        elif status == 0 and options == ["--json"]:
            json.loads(out)
        statuses.add(status)
    assert {0, 2} <= statuses


def test_no_file_to_predict_makes_a_traceback(model, write, capsys):
    rng = random.Random(0)
    statuses = set()
    for _ in range(60):
        content = mutated(rng)
        status = main(["predict", model, write(content), *rng.choice([[], ["--keep", "price"], ["--decimal", "."]])])
        out, err = capsys.readouterr()
        assert UNFORESEEN not in err, content
        if status == 2:
            assert re.fullmatch(r"gdregress: error: [^\n]+\n", err), content
            assert out == ""
        else:
            assert status == 0, content
            assert len(out.splitlines()) > 1
        statuses.add(status)
    assert statuses == {0, 2}
