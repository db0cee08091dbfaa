from __future__ import annotations

import gzip
import string
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convnet_galaxies.data.tables import numbers, read_table, tidy, write_table
from convnet_galaxies.errors import InputError, OutputExistsError

GOLDEN = Path(__file__).parents[1] / "golden"
ENDINGS = (".csv", ".csv.gz", ".parquet", ".fits", ".fits.gz", ".vot")

words = st.text(string.ascii_letters + string.digits + " ,;\"'-_+<>&", max_size=8).map(lambda text: f"w{text}".strip())
floats = st.floats(allow_nan=True, allow_infinity=False)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 6))

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=n, max_size=n))

    return pd.DataFrame(
        {
            "id": [f"{number}" for number in range(n)],
            "word": ["present", *column(st.none() | words)[1:]],
            "value": [0.5, *column(floats)[1:]],
            "count": column(st.integers(-(2**53), 2**53)),
            "sure": column(st.booleans()),
        }
    )


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=tables())
def test_every_format_gives_back_what_was_written(tmp_path: Path, ending: str, frame: pd.DataFrame) -> None:
    path = tmp_path / f"table{ending}"
    write_table(path, frame, force=True)
    pd.testing.assert_frame_equal(read_table(path), tidy(frame), check_exact=True)


def test_truth_values_with_gaps_become_float_in_every_format(tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": pd.array([True, None, False], dtype="boolean")})
    for ending in ENDINGS:
        write_table(tmp_path / f"t{ending}", frame)
        np.testing.assert_array_equal(read_table(tmp_path / f"t{ending}")["b"], [1, np.nan, 0])


def test_ids_keep_their_zeros_in_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,run,value\n007,0012,1.5\n008,0013,\n")
    frame = read_table(tmp_path / "a.csv")
    assert list(frame["id"]) == ["007", "008"]
    assert list(frame["run"]) == ["0012", "0013"]
    assert frame["value"].iloc[0] == 1.5
    assert np.isnan(frame["value"].iloc[1])


@pytest.mark.parametrize("name", ["galaxies.csv", "galaxies.vot", "galaxies.fits"])
def test_golden_tables_written_by_hand_read_alike(name: str) -> None:
    frame = read_table(GOLDEN / name)
    assert list(frame.columns) == ["name", "ra_deg", "arms"]
    assert list(frame["name"]) == ["NGC 1300", "M 51"]
    np.testing.assert_array_equal(frame["ra_deg"], [49.92125, 202.46958])
    np.testing.assert_array_equal(frame["arms"], [2, 2])


def test_csv_in_a_zip_is_found_beside_macos_entries(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/a.csv", "x\n1\n")
        archive.writestr("__MACOSX/deep/._a.csv", b"\0\1")
    assert list(read_table(tmp_path / "a.zip")["x"]) == [1]


def test_vector_column_of_a_fits_table_gives_a_column_each(tmp_path: Path) -> None:
    from astropy.table import Table

    Table({"id": ["a", "b"], "flux": [[1.0, 2.0], [3.0, 4.0]]}).write(tmp_path / "a.fits")
    frame = read_table(tmp_path / "a.fits")
    assert list(frame.columns) == ["id", "flux_1", "flux_2"]
    assert list(frame["flux_2"]) == [2.0, 4.0]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "an empty file"), (b"<!DOCTYPE html><html></html>", "a web page"), (b"\x00\x01\x02" * 99, "something else")],
)
def test_file_of_another_kind_is_named_as_such(tmp_path: Path, ending: str, content: bytes, found: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{found}.*expected a (CSV|Parquet|FITS|VOTable) table"):
        read_table(path)


def test_truncated_gzip_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:30])
    with pytest.raises(InputError, match="expected a CSV table"):
        read_table(tmp_path / "a.csv.gz")


def test_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"ending '.xlsx', expected one of .csv"):
        read_table(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("cell", "found"), [("abc", "'abc'"), ("", "nothing"), ("nan", "nothing"), ("inf", "inf"), ("1.5", "1.5")]
)
def test_cell_that_is_no_number_in_range_is_named_by_row_and_column(tmp_path: Path, cell: str, found: str) -> None:
    (tmp_path / "a.csv").write_text(f"id,x\nfirst,0.5\nsecond,{cell}\n")
    frame = read_table(tmp_path / "a.csv")
    with pytest.raises(InputError, match=rf"a.csv, row 2 \(id second\), column x: found {found}, expected a number"):
        numbers(frame, "x", "a.csv", low=0, high=1, row_name="id")


def test_fits_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text in FITS is ASCII"):
        write_table(tmp_path / "a.fits", pd.DataFrame({"name": ["Čapek"]}))
    with pytest.raises(InputError, match="differ by case alone"):
        write_table(tmp_path / "a.fits", pd.DataFrame({"id": ["a"], "ID": ["b"]}))
    assert list(tmp_path.iterdir()) == []


def test_existing_table_is_kept_without_force(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", pd.DataFrame({"x": [1]}))
    with pytest.raises(OutputExistsError, match="already exists"):
        write_table(tmp_path / "a.csv", pd.DataFrame({"x": [2]}))
    assert list(read_table(tmp_path / "a.csv")["x"]) == [1]


def test_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "x": [0.1, 0.2]})
    for ending in (".csv", ".csv.gz", ".parquet", ".fits"):
        write_table(tmp_path / f"a{ending}", frame)
        write_table(tmp_path / f"b{ending}", frame)
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
