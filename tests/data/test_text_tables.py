from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convnet_galaxies.data.table_notes import table_remarks, table_units
from convnet_galaxies.data.tables import pick_tables, read_table
from convnet_galaxies.errors import InputError

PLAIN = "id,is_lens\n" + "".join(f"g{k},{k % 2}\n" for k in range(6))
BARS = "+----+---------+\n| id | is_lens |\n+----+---------+\n"
ROWS = [(f"g{k}", str(k % 2)) for k in range(6)]


def _rows(separator: str) -> str:
    return "".join(f"{name}{separator}{label}\n" for name, label in ROWS)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "id;is_lens\n" + _rows(";"),
        "id\tis_lens\n" + _rows("\t"),
        "id|is_lens\n" + _rows("|"),
        "id is_lens\n" + _rows(" "),
        "  id     is_lens\n" + _rows("\t   "),
        "# selection of 2024-05-01, r < 19\n# by the team\n" + PLAIN,
        "# r < 19, b > 2\n" + PLAIN,
        "#" + PLAIN,
        "# made by hand\n#id is_lens\n" + _rows(" "),
        "# id, is_lens\n" + _rows("\t"),
        "sep=;\nid;is_lens\n" + _rows(";"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\n\n" + PLAIN + "\n\n",
        PLAIN.replace(",", ", "),
        '"id","is_lens"\n' + "".join(f'"{name}","{label}"\n' for name, label in ROWS),
        PLAIN.replace("\n", ",\n"),
        " id | is_lens \n----+---------\n" + _rows(" | ") + "(6 rows)\n",
        BARS + "".join(f"| {name} |       {label} |\n" for name, label in ROWS) + BARS[:17],
        "id,is_lens\n" + _rows(",") + "# the end, at last\n",
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".txt", ".dat.gz"])
def test_one_table_in_the_texts_of_many_programs(tmp_path: Path, text: str, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    frame = read_table(path)
    assert list(frame) == ["id", "is_lens"]
    assert list(zip(frame["id"], frame["is_lens"].astype(str), strict=True)) == ROWS


@pytest.mark.parametrize(
    "form", ["ascii.ecsv", "ascii.ipac", "ascii.mrt", "ascii.commented_header", "ascii.fixed_width", "ascii.csv"]
)
def test_texts_of_astropy_are_read_with_their_units(tmp_path: Path, form: str) -> None:
    table = Table({"id": ["g 0", "g1"], "ra": [10.5, 11.25], "n": [3, 4]}, units={"ra": "deg"})
    table.write(tmp_path / "t.csv", format=form)
    frame = read_table(tmp_path / "t.csv")
    assert list(frame["id"]) == ["g 0", "g1"]
    np.testing.assert_array_equal(frame["ra"], [10.5, 11.25])
    assert list(frame["n"]) == [3, 4]
    has_units = form in ("ascii.ecsv", "ascii.ipac", "ascii.mrt")
    assert table_units(frame) == ({"ra": "deg"} if has_units else {})


def test_catalogue_of_sextractor_is_read_by_its_numbered_header(tmp_path: Path) -> None:
    (tmp_path / "t.dat").write_text(
        "#   1 NUMBER       Running object number\n#   2 ALPHA_J2000  Right ascension  [deg]\n 1 150.1\n 2 150.2\n"
    )
    frame = read_table(tmp_path / "t.dat")
    assert list(frame["ALPHA_J2000"]) == [150.1, 150.2]
    assert table_units(frame) == {"ALPHA_J2000": "deg"}


@pytest.mark.parametrize(
    "encoded",
    [
        codecs.BOM_UTF8 + "id,who\ng0,Müller\n".encode(),
        "id,who\ng0,Müller\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "id\twho\ng0\tMüller\n".encode("utf-16-be"),
        "id,who\ng0,Müller\n".encode("utf-16-le"),
        "id,who\ng0,Müller\n".encode("utf-16-be"),
        "id,who\ng0,Müller\n".encode("utf-32"),
    ],
)
def test_encodings_are_told_by_their_bytes(tmp_path: Path, encoded: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(encoded)
    frame = read_table(tmp_path / "t.csv")
    assert frame.to_dict("list") == {"id": ["g0"], "who": ["Müller"]}
    assert table_remarks(frame) == ()


def test_latin_1_is_read_and_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("id,who\ng0,Muller\ng1,Müller\n".encode("latin-1"))
    frame = read_table(tmp_path / "t.csv")
    assert list(frame["who"]) == ["Muller", "Müller"]
    assert table_remarks(frame)[0].endswith("is not UTF-8 (byte 0xfc in line 3) and is read as Latin-1")


def test_decimal_commas_between_semicolons_are_points(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id;ra;dec;note\ng0;10,5;-1,25;a, b\ng1;11;;1,2,3\n")
    frame = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(frame["ra"], [10.5, 11])
    np.testing.assert_array_equal(frame["dec"], [-1.25, np.nan])
    assert list(frame["note"]) == ["a, b", "1,2,3"]
    assert table_remarks(frame)[0].endswith("the commas in ra, dec are read as decimal points")


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        (
            "id,is_lens,note\n" + "".join(f"g{k},0,arc, faint\n" for k in range(3)),
            r"row 1: found 4 cells, expected 3 as in the header \(line 2; 3 rows do not fit the header\)",
            "quote texts that hold a comma",
        ),
        (
            "a,b\n1,2\n1,2,3\n",
            r"row 2: found 3 cells, expected 2 as in the header \(line 3\)",
            "quote texts that hold a",
        ),
        ("id;note\ng0;a;b\ng1;c\n", "row 1: found 3 cells, expected 2", "quote texts that hold a semicolon"),
        ("id,ra,dec\ng0,10,5,1,2\n", "row 1: found 5 cells, expected 3", "write numbers with a decimal point"),
        ("id,x,y\ng0,1\ng1,2,3\n", "row 1: found 2 cells, expected 3", "write a comma for each empty cell"),
        ("id,x,y\ng0,1,2\ng1,2\n", "row 2: found 2 cells, expected 3", "where the file was cut off, fetch it again"),
        ("id x y\ng0 1 2\ng1 2\n", "row 2: found 2 cells, expected 3", "write nan where a cell is empty"),
        ("# by me\n\nid,x\ng0,1,2\n", r"row 1: found 3 cells.*\(line 4\)", "quote"),
        ("id,x,id\ng0,1,2\n", r"header: found the column id twice \(columns 1 and 3\)", "rename one"),
        ('id,note\ng0,"arc\ng1,b\n', "line 2: found a cell that begins with a quote", "close the quote"),
        ("1 2.5\n2 3.5\n", "line 1: found 1, 2.5, expected the names of the columns", "write a header"),
        ("SIMPLE  =    T\n", "found a FITS file, expected a CSV table", "ends in .fits"),
        ("PK\x03\x04...", "found a zip archive or an Excel workbook, expected a CSV", "save it as CSV"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place_with_its_cause(
    tmp_path: Path, text: str, message: str, fix: str
) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as error:
        read_table(tmp_path / "t.csv")
    assert fix in error.value.fix


def test_columns_without_a_name_get_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",id,x\n0,g0,1\n1,g1,2\n")
    frame = read_table(tmp_path / "t.csv")
    assert list(frame) == ["column_1", "id", "x"]
    assert table_remarks(frame)[0].endswith("column 1 has no name and is called column_1")


def test_quotes_inside_of_texts_and_lines_inside_of_quotes_stay(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,note\ng0,5" seeing\ng1,"two\nlines, ""quoted"""\n# g2,x\n')
    frame = read_table(tmp_path / "t.csv")
    assert list(frame["note"]) == ['5" seeing', 'two\nlines, "quoted"']
    assert "comments (#) below the header are passed over, 1 of them" in table_remarks(frame)[0]


cells = st.text("ab1.,;|\t \"'#", max_size=6).map(str.strip).filter(lambda text: not text.startswith("#"))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(cells, min_size=1, max_size=6), st.sampled_from(",;\t|"))
def test_texts_come_back_whatever_separator_stands_in_them(tmp_path: Path, texts: list[str], separator: str) -> None:
    frame = pd.DataFrame({"id": [f"g{row}" for row in range(len(texts))], "name": texts})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=separator, quoting=1)
    assert list(read_table(tmp_path / "t.csv")["name"].fillna("")) == texts


def test_notes_beside_a_table_are_no_tables() -> None:
    assert pick_tables(["readme.txt", "a.csv", "b.png"]) == ["a.csv"]
    assert pick_tables(["table.txt", "b.png"]) == ["table.txt"]
