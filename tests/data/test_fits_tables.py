from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from convnet_galaxies.data.describe import describe, render_description
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.table_notes import table_remarks, table_units
from convnet_galaxies.data.tables import list_fits_tables, read_table
from convnet_galaxies.errors import InputError

IDS = [f"a{number:02d}" for number in range(12)]


def _ldac(path: Path, name: str = "id") -> Path:
    card = fits.Column("Field Header Card", "80A", array=["SIMPLE  =                    T"])
    columns = [
        fits.Column(name, "4A", array=IDS),
        fits.Column("is_lens", "J", array=[0, 1] * 6),
        fits.Column("ALPHA_J2000", "D", unit="deg", array=np.arange(12.0) * 10),
        fits.Column("DELTA_J2000", "D", unit="deg", array=np.arange(12.0)),
    ]
    tables = [
        fits.BinTableHDU.from_columns([card], name="LDAC_IMHEAD"),
        fits.BinTableHDU.from_columns(columns, name="LDAC_OBJECTS"),
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    return path


def test_the_objects_of_an_ldac_catalogue_are_read_and_both_tables_named(image_folder: Path, tmp_path: Path) -> None:
    path = _ldac(tmp_path / "t.fits")
    records = read_image_folder(image_folder, path, label="is_lens")
    assert len(records) == 12
    assert records.link_columns == ("sky_group",)
    remark = "LDAC_OBJECTS is read, of 2 tables: LDAC_IMHEAD (1 row, 1 column), LDAC_OBJECTS (12 rows, 4 columns)"
    assert remark in records.remarks
    assert remark in render_description(describe(path))
    assert list_fits_tables(path.read_bytes()) == [("LDAC_IMHEAD", 1, 1), ("LDAC_OBJECTS", 12, 4)]
    assert list_fits_tables(gzip.compress(path.read_bytes())) == list_fits_tables(path.read_bytes())


def test_errors_name_the_table_and_its_neighbours(image_folder: Path, tmp_path: Path) -> None:
    path = _ldac(tmp_path / "t.fits", name="object")
    with pytest.raises(
        InputError, match=r"LDAC_OBJECTS, table 2 of 2 \(LDAC_IMHEAD, LDAC_OBJECTS\), header: found obj"
    ):
        read_image_folder(image_folder, path)


def test_the_wanted_columns_go_before_the_number_of_rows(tmp_path: Path) -> None:
    tables = [
        fits.BinTableHDU(np.rec.fromarrays([np.arange(rows)], names=[name]))
        for name, rows in (("truth", 2), ("x", 9), ("y", 3))
    ]
    fits.HDUList([fits.PrimaryHDU(np.ones((2, 3))), *tables]).writeto(tmp_path / "t.fits")
    assert list(read_table(tmp_path / "t.fits")) == ["x"]
    frame = read_table(tmp_path / "t.fits", wanted=(("truth", "label"),))
    assert list(frame) == ["truth"]
    assert table_remarks(frame)[0] == "the file holds PRIMARY (3 x 2 px) as well, which is no table"
    assert "extension 1 (2 rows, 1 column), extension 2 (9 rows" in table_remarks(frame)[1]


def test_ascii_tables_and_arrays_of_any_length_are_read(tmp_path: Path) -> None:
    columns = [
        fits.Column("id", "I20", array=np.array([39627835576420141, -1]), null="-1"),
        fits.Column("x", "F8.3", unit="mag", array=[1.5, 2.5]),
        fits.Column("name", "A5", array=["007", "b"]),
    ]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "ascii.fits")
    frame = read_table(tmp_path / "ascii.fits")
    assert frame["id"].astype(str).fillna("-").tolist() == ["39627835576420141", "-"]
    assert list(frame["x"]) == [1.5, 2.5]
    assert list(frame["name"]) == ["007", "b"]
    assert table_units(frame) == {"x": "mag"}
    lengths = np.array([np.array([1.0, 2.0]), np.array([3.0])], dtype=object)
    columns = [
        fits.Column("flux", "PE()", array=lengths),
        fits.Column("word", "PA()", array=np.array(["abc", "d"], dtype=object)),
        fits.Column("sure", "L", array=[True, False]),
        fits.Column("scaled", "J", array=[10, 20], null=20),
    ]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TSCAL4"] = 0.5
    hdu.writeto(tmp_path / "arrays.fits")
    frame = read_table(tmp_path / "arrays.fits")
    assert list(frame["flux"]) == ["1.0 2.0", "3.0"]
    assert list(frame["word"]) == ["abc", "d"]
    assert list(frame["sure"]) == [True, False]
    np.testing.assert_array_equal(frame["scaled"], [5, np.nan])


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    hdu = fits.BinTableHDU.from_columns([fits.Column(name, "J", array=[1, 2]) for name in ("id", "x")])
    hdu.writeto(tmp_path / "b.fits")
    (tmp_path / "a.fits").write_bytes((tmp_path / "b.fits").read_bytes().replace(b"'x       '", b"'id      '"))
    with pytest.raises(InputError, match="found the column id twice, expected each name once"):
        read_table(tmp_path / "a.fits")


def test_a_file_without_a_table_tells_what_it_holds(tmp_path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.ones((30, 40), "f4"))]).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"no table but the image COMPRESSED_IMAGE \(40 x 30 px\)"):
        read_table(tmp_path / "a.fits")
    fits.PrimaryHDU().writeto(tmp_path / "b.fits")
    with pytest.raises(InputError, match="no table and no image"):
        read_table(tmp_path / "b.fits")


def test_an_index_of_pandas_with_a_name_is_a_column(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="id")).to_parquet(tmp_path / "t.parquet")
    assert sorted(read_table(tmp_path / "t.parquet")) == ["id", "x"]
    pd.DataFrame({"x": [1, 2]}, index=[5, 7]).to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet")) == ["x"]
