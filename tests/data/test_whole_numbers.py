"""Whole numbers of 64 bits keep every digit, from and to every format, whatever their column is called."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convnet_galaxies.data.columns import tidy
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import connect
from convnet_galaxies.data.tables import numbers, read_table, write_table
from convnet_galaxies.data.vote_table import read_votes
from convnet_galaxies.decision_tree import VOTE_COLUMNS

ENDINGS = (".csv", ".csv.gz", ".parquet", ".fits", ".fits.gz", ".vot")
DESI = 39627835576420141
HIGHEST = 2**64 - 1


def digits(values: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in values]


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.one_of(
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
        st.lists(st.none() | st.integers(0, HIGHEST), min_size=1, max_size=5),
        st.lists(st.none() | st.integers(-(2**80), 2**80), min_size=1, max_size=5),
    )
)
def test_every_whole_number_comes_back_digit_by_digit(tmp_path: Path, ending: str, values: list) -> None:
    path = tmp_path / f"t{ending}"
    frame = pd.DataFrame({"key": range(len(values)), "TARGETID": pd.Series(values, dtype=object)})
    write_table(path, frame, force=True)
    assert digits(read_table(path)["TARGETID"]) == [None if value is None else str(value) for value in values]


def test_one_blank_leaves_the_other_ids_as_they_are_in_files_of_other_programs(tmp_path: Path) -> None:
    ids, mask = [DESI, DESI + 1, DESI + 2], [0, 1, 0]
    expected = [str(DESI), None, str(DESI + 2)]
    table = Table({"file": ["a", "b", "c"], "TARGETID": MaskedColumn(ids, mask=mask)})
    for form, name in (("fits", "a.fits"), ("votable", "a.vot"), ("ascii.ecsv", "a.ecsv"), ("ascii.ipac", "a.tbl")):
        table.write(tmp_path / name, format=form)
    pq.write_table(pa.table({"TARGETID": pa.array([DESI, None, DESI + 2])}), tmp_path / "arrow.parquet")
    decimals = [Decimal(DESI), None, Decimal(DESI + 2)]
    pq.write_table(pa.table({"TARGETID": pa.array(decimals, pa.decimal128(20, 0))}), tmp_path / "decimal.parquet")
    text = f"file,TARGETID\na,{DESI}\nb,\nc,{DESI + 2}\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "null.csv").write_text(text.replace("b,\n", "b,NULL\n"))
    (tmp_path / "as_float.csv").write_text(f"TARGETID\n{DESI}.0\nNaN\n{DESI + 2}.0\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", text)
    for path in sorted(tmp_path.iterdir()):
        assert digits(read_table(path)["TARGETID"]) == expected, path.name


def test_unsigned_numbers_of_fits_with_and_without_tnull_are_exact(tmp_path: Path) -> None:
    ids = np.array([2**63 + 5, 7, HIGHEST], np.uint64)
    hdu = fits.BinTableHDU.from_columns([fits.Column("u", "K", bzero=2**63, array=ids)])
    hdu.writeto(tmp_path / "all.fits")
    hdu.header["TNULL1"] = 7 - 2**63
    hdu.writeto(tmp_path / "null.fits")
    assert digits(read_table(tmp_path / "all.fits")["u"]) == [str(value) for value in ids]
    assert digits(read_table(tmp_path / "null.fits")["u"]) == [str(ids[0]), None, str(ids[2])]


def test_missing_numbers_of_a_fits_file_do_not_take_a_number_that_is_there(tmp_path: Path) -> None:
    values = [999999, None, -(2**63)]
    write_table(tmp_path / "a.fits", pd.DataFrame({"n": pd.array(values, dtype="Int64")}))
    assert digits(read_table(tmp_path / "a.fits")["n"]) == ["999999", None, str(-(2**63))]


def test_float_texts_stay_floats_and_names_stay_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mass,flag,run,id\n1.5e18,1.0,007,12\n2e18,0.0,008,13\n,,009,\n")
    frame = read_table(tmp_path / "a.csv")
    np.testing.assert_array_equal(frame["mass"], [1.5e18, 2e18, np.nan])
    np.testing.assert_array_equal(frame["flag"], [1, 0, np.nan])
    assert frame["mass"].dtype == frame["flag"].dtype == float
    assert list(frame["run"]) == ["007", "008", "009"]
    assert digits(frame["id"]) == ["12", "13", None]


def test_ids_in_a_pack_are_exact_and_link_images(image_folder: Path, tmp_path: Path) -> None:
    names = [f"a{number:02d}" for number in range(12)]
    ids = [HIGHEST, HIGHEST - 1, HIGHEST, None, *range(DESI, DESI + 8)]
    lines = [
        f"{name},{'' if number is None else number},{row % 2}"
        for row, (name, number) in enumerate(zip(names, ids, strict=True))
    ]
    (tmp_path / "t.csv").write_text("file,object,is_lens\n" + "\n".join(lines))
    records = read_image_folder(image_folder, tmp_path / "t.csv", label="is_lens", group="object")
    write_pack(records, Preprocess(size_px=8), tmp_path / "p.pack")
    table = read_pack(tmp_path / "p.pack").table
    assert digits(table["object"]) == [None if number is None else str(number) for number in ids]
    assert table["group"].nunique() == 11
    assert table["group"][0] == table["group"][2] == f"object={HIGHEST}"


def test_numbers_and_links_bear_whole_numbers_with_gaps() -> None:
    frame = tidy(pd.DataFrame({"id": list("abc"), "n": pd.array([DESI, None, DESI], dtype="Int64")}))
    np.testing.assert_array_equal(numbers(frame, "n", "t", missing=True), [DESI, np.nan, DESI])
    assert list(connect(frame, ["n"])) == [f"n={DESI}", "b", f"n={DESI}"]


def test_galaxy_ids_of_64_bits_find_their_images(tmp_path: Path, image_bytes) -> None:
    sdss = [587722981742084144, 587722981742084145]  # one number in float64
    (tmp_path / "images").mkdir()
    votes = pd.DataFrame(np.zeros((2, len(VOTE_COLUMNS))), columns=list(VOTE_COLUMNS))
    votes.insert(0, "GalaxyID", sdss)
    for galaxy in sdss:
        (tmp_path / "images" / f"{galaxy}.jpg").write_bytes(image_bytes(galaxy % 100))
    for ending in (".csv", ".parquet"):
        write_table(tmp_path / f"votes{ending}", votes)
        assert read_votes(tmp_path / f"votes{ending}")["GalaxyID"].tolist() == sdss
        records = read_galaxy_zoo(tmp_path / "images", tmp_path / f"votes{ending}")
        assert records.table["id"].tolist() == [str(galaxy) for galaxy in sdss]
