from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.position_names import find_pairs
from convnet_galaxies.data.positions import _is_sentinel, read_positions
from convnet_galaxies.data.table_notes import add_units
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError

IDS = [f"a{number:02d}" for number in range(12)]


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("ra", "dec"),
        ("RA [deg]", "DEC [deg]"),
        ("ALPHA_J2000", "DELTA_J2000"),
        ("ALPHAWIN_J2000", "DELTAWIN_J2000"),
        ("RAJ2000", "DECJ2000"),
        ("_RAJ2000", "_DEJ2000"),
        ("RA_ICRS", "DE_ICRS"),
        ("TARGET_RA", "TARGET_DEC"),
        ("RAdeg", "DEdeg"),
        ("coord_ra", "coord_dec"),
        ("right_ascension", "declination"),
        ("Right Ascension", "Decl."),
        ("RA_deg", "Dec_deg"),
        ("ra_j2000", "dec_j2000"),
        ("alpha", "delta"),
        ("X_WORLD", "Y_WORLD"),
        ("ra_1", "dec_1"),
        ("raMean", "decMean"),
        ("RA (J2000)", "Dec (J2000)"),
        ("R.A.", "Dec."),
        ("RA(J2000)[deg]", "DEC(J2000)[deg]"),
        ("ra/deg", "dec/deg"),
        ("TILERA", "TILEDEC"),
        ("ra_hms", "dec_dms"),
        ("pos.ra", "pos.dec"),
    ],
)
def test_names_of_catalogues_are_recognised_among_their_errors_and_motions(ra: str, dec: str) -> None:
    columns = ["id", f"e_{ra}", f"e_{dec}", "ra_err", "dec_err", "pmra", "pmdec", "delta_ra", "delta_dec", ra, dec]
    assert [(one.column, other.column) for one, other in find_pairs(columns)[:1]] == [(ra, dec)]
    assert find_pairs(columns[:-2]) == []


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 359.999), st.floats(-90, 90))
def test_every_notation_gives_the_same_place(ra_deg: float, dec_deg: float) -> None:
    place = SkyCoord(ra_deg * u.deg, dec_deg * u.deg)
    hms, dms = (
        lambda sep: place.ra.to_string(u.hourangle, sep=sep, precision=6, pad=True),
        lambda sep: place.dec.to_string(u.deg, sep=sep, precision=5, alwayssign=True, pad=True),
    )
    frames = [
        pd.DataFrame({"RA [rad]": [place.ra.rad], "Dec [rad]": [place.dec.rad]}),
        pd.DataFrame({"RA [h]": [place.ra.hourangle], "Dec [deg]": [dec_deg]}),
        pd.DataFrame({"RA": [hms(":")], "Dec": [dms(":")]}),
        pd.DataFrame({"RA": [hms(" ")], "Dec": [dms(" ")]}),
        pd.DataFrame({"RA": [hms("hms")], "Dec": [dms("dms")]}),
        pd.DataFrame({"ra": [f"{ra_deg!r}"], "dec": [f"{dec_deg!r}"]}),
        add_units(pd.DataFrame({"ra": [place.ra.rad], "dec": [place.dec.rad]}), {"ra": "rad", "dec": "rad"}),
        add_units(pd.DataFrame({"ra": [place.ra.hourangle], "dec": [dec_deg]}), {"ra": "h", "dec": "degree"}),
        add_units(pd.DataFrame({"ra": [hms(":")], "dec": [dms(":")]}), {"ra": '"h:m:s"', "dec": '"d:m:s"'}),
    ]
    for frame in frames:
        found, remarks = read_positions(frame, "t")
        assert found is not None
        assert not remarks
        assert SkyCoord(found.ra_deg * u.deg, found.dec_deg * u.deg).separation(place)[0] < 1e-4 * u.arcsec


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv"])
def test_the_unit_of_a_column_goes_before_its_name(tmp_path: Path, ending: str) -> None:
    table = Table({"ra": [1.0, 2.0], "dec": [0.5, -0.5]}, units={"ra": "rad", "dec": "rad"})
    table.write(tmp_path / f"t.{ending}", format={"vot": "votable", "ecsv": "ascii.ecsv"}.get(ending, "fits"))
    found, _ = read_positions(read_table(tmp_path / f"t.{ending}"), "t")
    assert found is not None
    np.testing.assert_allclose(found.ra_deg, np.degrees([1, 2]))
    assert "in radians" in found.remark


def test_a_position_object_of_astropy_is_two_columns(tmp_path: Path) -> None:
    QTable({"id": ["a"], "place": SkyCoord([10.0], [20.0], unit="deg")}).write(tmp_path / "t.ecsv")
    found, _ = read_positions(read_table(tmp_path / "t.ecsv"), "t")
    assert found is not None
    np.testing.assert_allclose([found.ra_deg[0], found.dec_deg[0]], [10, 20])


def test_coordinates_of_rubin_without_a_unit_are_told_by_their_values() -> None:
    for values, unit in (([0.1, 6.2], "radians"), ([10.0, 350.0], "degrees")):
        found, _ = read_positions(pd.DataFrame({"coord_ra": values, "coord_dec": [1.0, -1.0]}), "t")
        assert found is not None
        assert f"in {unit}, assumed since no unit is given" in found.remark


def test_degrees_in_sexagesimal_notation_are_told_from_hours() -> None:
    found, _ = read_positions(pd.DataFrame({"ra": ["150:30:00", "10:00:00"], "dec": ["1:30:00", "-0:30:00"]}), "t")
    assert found is not None
    np.testing.assert_allclose(found.ra_deg, [150.5, 10])
    np.testing.assert_allclose(found.dec_deg, [1.5, -0.5])


def test_missing_coordinates_and_what_stands_for_them_are_missing_and_told(image_folder: Path, tmp_path: Path) -> None:
    ra = ["", "NULL", "-99", "999", "-9999", "1e20", *["10.0", "10.001"], *map(str, range(100, 104))]
    dec = ["1", "1", "-99", "999", "-9999", "1e20", *["1", "1"], *["5"] * 4]
    frame = pd.DataFrame({"id": IDS, "ra": ra, "dec": dec})
    frame.to_csv(tmp_path / "t.csv", index=False)
    records = read_image_folder(image_folder, tmp_path / "t.csv")
    assert "6 of 12 images have no position and are kept together with nothing" in records.remarks
    assert "1 image lies within 1 arcmin of another and is kept together" in records.remarks
    assert records.table["group"].nunique() == 11
    one = frame.assign(ra=["", *["10"] * 11], dec="1")
    one.to_csv(tmp_path / "t.csv", index=False)
    remarks = read_image_folder(image_folder, tmp_path / "t.csv").remarks
    assert "1 of 12 images has no position and is kept together with nothing" in remarks


def test_negative_right_ascensions_are_no_missing_ones() -> None:
    found, _ = read_positions(pd.DataFrame({"ra": [-99.0, -150.0], "dec": [1.0, 2.0]}), "t")
    assert found is not None
    assert found.ra_deg.tolist() == [-99, -150]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"ra": [1.0, 2.0], "dec": [1.0, 91.0]},
            r"t, row 2, column dec: found 91\.0, expected a number from -90 to 90",
        ),
        (
            {"ra": [400.0, 2.0], "dec": [1.0, 1.0]},
            r"row 1, column ra: found 400\.0, expected a number from -360 to 360",
        ),
        ({"ra_rad": [1.0, 7.0], "dec_rad": [1.0, 1.0]}, r"row 2, column ra_rad: found 7\.0, .* \(radians\)"),
        (
            {"ra": ["1:2:3", "x", "1:2:4"], "dec": ["1:2:3"] * 3},
            "row 2, column ra: found 'x', expected an angle such as",
        ),
        (
            {"ra": ["1:2:3"] * 2, "dec": ["1:2:3", "95:0:0"]},
            "row 2, column dec: found '95:0:0', expected a number from",
        ),
        ({"ra": [np.inf, 1], "dec": [1.0, 1.0]}, "row 1, column ra: found inf"),
    ],
)
def test_coordinates_out_of_range_are_named_by_row_and_column(columns: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_positions(pd.DataFrame(columns), "t")


@pytest.mark.parametrize(
    ("columns", "remark"),
    [
        ({"l": [1.0], "b": [2.0]}, "l, b are no right ascension and declination and are not used"),
        ({"GLON": [1.0], "GLAT": [2.0]}, "GLON, GLAT are no right ascension"),
        ({"ra": [1.0], "x": [1.0]}, "no position is recognised in ra, .*recognised are ra and dec"),
        ({"RAh": [1], "RAm": [2], "DEd": [3]}, "no position is recognised in RAh, RAm, DEd"),
        ({"coords": ["10:12:13 +1:2:3"]}, "no position is recognised in coords"),
        ({"alpha": [1.0], "delta": [100.0]}, "no position is recognised in alpha, delta"),
        ({"ra": [None, np.nan], "dec": [1.0, 2.0]}, r"no position is recognised in ra, dec \(ra and dec are empty\)"),
        ({"ra": [True, False], "dec": [1.0, 2.0]}, r"in ra, dec \(ra holds truth values\)"),
    ],
)
def test_columns_that_look_like_a_position_and_are_none_are_a_remark(columns: dict, remark: str) -> None:
    found, remarks = read_positions(pd.DataFrame(columns), "t")
    assert found is None
    assert pd.Series(remarks).str.contains(remark).any()


def test_a_table_without_positions_gives_no_remark() -> None:
    assert read_positions(pd.DataFrame({"id": ["a"], "size": [1.0], "radius": [2.0]}), "t") == (None, [])


def test_poles_and_the_wrap_of_right_ascension_keep_neighbours_together(image_folder: Path, tmp_path: Path) -> None:
    ra = [0.0, 120.0, 0.001, 359.999, *range(20, 100, 10)]
    dec = [90.0, 89.999, 5.0, 5.0, *[-30.0] * 8]
    frame = pd.DataFrame({"id": IDS, "ra": np.radians(ra).astype(np.float32), "dec": np.radians(dec)})
    frame["dec"] = frame["dec"].astype(np.float32)  # the pole lies beyond 90 degrees then
    Table.from_pandas(frame, units={"ra": "rad", "dec": "rad"}).write(tmp_path / "t.fits")
    groups = read_image_folder(image_folder, tmp_path / "t.fits").table["group"]
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert groups.nunique() == 10


def test_numbers_of_nines_are_found_as_they_are_written() -> None:
    """To ten digits; what is near them is a coordinate."""
    written = [99.0, -99.0, 99.9, -99.99, 999.0, 9999.0, 99999.99999, 998.9999999999, 99.00000000001, 99999999.9]
    near = [98.0, 100.0, 99.5, 99.95, 199.0, 998.99, 1000.0, 990.0, 9.9, 89.99]
    assert _is_sentinel(np.array(written)).all()
    assert not _is_sentinel(np.array(near)).any()


def test_units_that_a_file_declares_are_converted_and_those_of_no_angle_are_told() -> None:
    frame = add_units(pd.DataFrame({"ra": [36e3, 72e3], "dec": [600.0, -60.0]}), {"ra": "arcsec", "dec": "arcmin"})
    found, _ = read_positions(frame, "t")
    assert found is not None
    np.testing.assert_allclose([found.ra_deg, found.dec_deg], [[10, 20], [10, -1]])
    assert found.remark == "positions are read from ra and dec in arcsec and arcmin"
    found, remarks = read_positions(add_units(frame, {"dec": "m"}), "t")
    assert found is None
    assert "(the unit of dec is m)" in remarks[0]


@pytest.mark.parametrize("names", [("ra [rad]", "dec"), ("ra", "dec [rad]")])
def test_a_coordinate_without_a_unit_is_in_radians_where_the_other_one_is(names: tuple[str, str]) -> None:
    found, _ = read_positions(pd.DataFrame(dict(zip(names, ([0.5, 1.0], [0.25, -0.25]), strict=True))), "t")
    assert found is not None
    np.testing.assert_allclose([found.ra_deg, found.dec_deg], np.degrees([[0.5, 1.0], [0.25, -0.25]]))
    assert found.remark.endswith("in radians")


def test_positions_of_b1950_are_those_of_the_almanac_in_icrs() -> None:
    """The galactic pole is defined at 192.25, 27.4 of B1950, and lies at 192.85948, 27.12825 of J2000 (the Hipparcos
    catalogue, ESA SP-1200, volume 1, section 1.5.3)."""
    frame = pd.DataFrame({"RA_B1950": [192.25, np.nan, 83.0], "DEC_B1950": [27.4, 1.0, np.nan]})
    found, _ = read_positions(frame, "t")
    assert found is not None
    assert found.remark.startswith("positions are read from RA_B1950 and DEC_B1950 in degrees of B1950, assumed")
    np.testing.assert_allclose([found.ra_deg[0], found.dec_deg[0]], [192.85948, 27.12825], atol=2e-4)
    assert np.isnan([found.ra_deg[1:], found.dec_deg[1:]]).all()


def test_degrees_that_look_like_hours_or_radians_are_told_with_the_name_to_give() -> None:
    dec = np.linspace(-1.5, 1.5, 12)
    hours, _ = read_positions(pd.DataFrame({"ra": np.linspace(0, 23.5, 12), "dec": 40 * dec}), "t")
    radians, _ = read_positions(pd.DataFrame({"ra": np.linspace(0, 6, 12), "dec": dec}), "t")
    degrees, _ = read_positions(pd.DataFrame({"ra": np.linspace(0, 350, 12), "dec": dec}), "t")
    assert hours is not None
    assert radians is not None
    assert degrees is not None
    assert hours.remark.endswith("; if ra is in hours, call it 'ra [h]'")
    assert radians.remark.endswith("; if they are radians, call them 'ra [rad]' and 'dec [rad]'")
    assert degrees.remark.endswith("assumed since no unit is given")
