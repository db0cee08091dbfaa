"""Positions come from any table or a HATS folder, with exact ids, and are found on the tile that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from made_fits import save, sky

from convnet_galaxies.data.survey.positions import Positions, find_on_tile, grid_positions, read_positions
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.errors import InputError

LARGE = [2305843009213693951, 2305843009213693952, 1234567890123456789]


def catalogue() -> pd.DataFrame:
    return pd.DataFrame({"TARGETID": LARGE, "TARGET_RA": [10.0, np.nan, 359.9999], "TARGET_DEC": [-5.0, 2.0, 89.5]})


def place(ra: list[float], dec: list[float]) -> Positions:
    return Positions("here", np.arange(len(ra)), np.array(ra), np.array(dec))


@pytest.mark.parametrize("ending", [".csv", ".fits", ".vot", ".parquet"])
def test_ids_of_19_digits_are_exact_and_rows_without_a_position_are_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"objects{ending}"
    write_table(path, catalogue())
    found = read_positions(path)
    assert found.ids.tolist() == [str(LARGE[0]), str(LARGE[2])]
    assert found.ra_deg.tolist() == [10.0, 359.9999]
    assert found.left_out == {"without a position": 1}
    assert f"1 of 3 rows have no position and are left out: {LARGE[1]}" in found.remarks


def test_a_hats_folder_is_read_leaf_by_leaf(tmp_path: Path) -> None:
    (tmp_path / "hats.properties").write_text("dataproduct_type=object\nhats_col_ra=raMean\n")
    rows = {0: [1, 2], 1: [3]}
    for pixel, ids in rows.items():
        folder = tmp_path / "dataset" / "Norder=1" / "Dir=0"
        folder.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(
            {
                "_healpix_29": np.array(ids, np.int64),
                "objID": np.array(ids, np.int64) + 2**61,
                "raMean": np.array(ids, float),
                "decMean": -np.array(ids, float),
                "petroR90": np.array(ids, np.float32) / 2,
                "notes": "text",
            }
        )
        frame.to_parquet(folder / f"Npix={pixel}.parquet", index=False)
    (tmp_path / "dataset" / "_metadata").write_bytes(b"no Parquet file")
    frame.to_parquet(tmp_path / "dataset" / "data_thumbnail.parquet")
    nested = folder / "Npix=2"
    nested.mkdir()
    frame.assign(objID=2**61 + 4).to_parquet(nested / "part0.parquet")
    found = read_positions(tmp_path, size_column="petroR90")
    assert found.ids.tolist() == [str(2**61 + k) for k in (1, 2, 3, 4)]
    assert found.ra_deg.tolist() == [1.0, 2.0, 3.0, 3.0]
    assert found.dec_deg.tolist() == [-1.0, -2.0, -3.0, -3.0]
    assert found.size is not None
    assert found.size.tolist() == [0.5, 1.0, 1.5, 1.5]


def test_positions_of_hats_are_degrees_also_where_they_could_be_radians(tmp_path: Path) -> None:
    """coord_ra of Rubin is in radians elsewhere, and other columns may look like positions as well."""
    (tmp_path / "properties").write_text("hats_col_ra = coord_ra\nhats_col_dec = coord_dec\n")
    folder = tmp_path / "dataset" / "Norder=0" / "Dir=0"
    folder.mkdir(parents=True)
    columns = {
        "objectId": [7, 8],
        "ra": [200.0, 201.0],
        "dec": [9.0, 9.0],
        "coord_ra": [3.0, 4.0],
        "coord_dec": [0.5, 1.0],
    }
    pd.DataFrame(columns).to_parquet(folder / "Npix=0.parquet", index=False)
    found = read_positions(tmp_path)
    assert (found.ra_deg.tolist(), found.dec_deg.tolist(), found.ids.tolist()) == ([3.0, 4.0], [0.5, 1.0], ["7", "8"])


def test_pixels_of_named_tiles_are_positions_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("tile,x_px,y_px\n007,10,20\n7,1,2\n007,99,20\n007,,3\n")
    (tmp_path / "b.csv").write_text("tile,X_IMAGE,Y_IMAGE\n007,11,21\n")
    save(tmp_path / "007.fits", sky(0, (40, 50)))
    first, second = read_positions(tmp_path / "a.csv"), read_positions(tmp_path / "b.csv")
    assert first.ids.tolist() == ["1", "2", "3"]
    with open_survey_image(list_tiles(tmp_path / "007.fits").tiles[0]) as opened:
        for found in (first, second):
            rows, x, y = find_on_tile(found, opened)
            assert (rows.tolist(), x.tolist(), y.tolist()) == ([0], [10.0], [20.0])
        with pytest.raises(InputError, match="tile 007: found no world coordinate system"):
            find_on_tile(place([1.0], [2.0]), opened)


@pytest.mark.parametrize("text", ["name,flux\na,1\n", "ra,dec\n,\n,\n", "tile,x_px\nt,1\n"])
def test_a_table_without_positions_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"found (the columns|no position)"):
        read_positions(tmp_path / "a.csv")


@pytest.mark.parametrize(("ra", "dec"), [(0.001, 30.0), (359.999, -60.0), (120.0, 89.999), (45.0, -90.0)])
def test_all_and_only_positions_on_a_tile_are_found_also_at_ra_0_and_the_pole(
    tmp_path: Path, ra: float, dec: float
) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, dec], [25.5, 20.5]
    wcs.wcs.cdelt = [-2 / 3600, 2 / 3600]
    save(tmp_path / "t.fits", sky(0, (40, 50)), primary=dict(wcs.to_header()))
    y, x = np.mgrid[-3:43, -3:53].reshape(2, -1).astype(float)
    there = wcs.pixel_to_world_values(x, y)
    positions = place(list(there[0]), list(there[1]))
    with open_survey_image(list_tiles(tmp_path / "t.fits").tiles[0]) as opened:
        rows, found_x, found_y = find_on_tile(positions, opened)
        again = opened.to_sky(found_x, found_y)
    expected = np.flatnonzero((x >= 0) & (x < 50) & (y >= 0) & (y < 40))
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(found_x, x[expected], atol=1e-6)
    np.testing.assert_allclose(found_y, y[expected], atol=1e-6)
    np.testing.assert_allclose(again[1], there[1][expected], atol=1e-9)


def test_distortions_count_on_a_whole_tile(tmp_path: Path) -> None:
    """SIP terms that move the corner by dozens of pixels."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = 150.0, 2.0, 200.0, 200.0
    header["CD1_1"], header["CD2_2"] = -1 / 3600, 1 / 3600
    header["A_ORDER"], header["B_ORDER"], header["A_2_0"], header["B_1_1"] = 2, 2, 5e-4, 3e-4
    save(tmp_path / "t.fits", sky(0, (400, 400)), primary=dict(header))
    ra, dec = WCS(header).all_pix2world([390.0, 12.0], [15.0, 380.0], 0)
    far = place([*ra, 150.9, 330.0], [*dec, 2.9, -2.0])
    with open_survey_image(list_tiles(tmp_path / "t.fits").tiles[0]) as opened:
        rows, x, y = find_on_tile(far, opened)
    assert rows.tolist() == [0, 1]
    np.testing.assert_allclose([x, y], [[390.0, 12.0], [15.0, 380.0]], atol=0.01)


@pytest.mark.parametrize("step", [7.0, 16.0, 500.0])
def test_a_grid_leaves_no_pixel_farther_than_half_a_step(tmp_path: Path, step: float) -> None:
    save(tmp_path / "t.fits", sky(0, (40, 50)))
    with open_survey_image(list_tiles(tmp_path / "t.fits").tiles[0]) as opened:
        x, y = grid_positions(opened, step)
    grid = np.mgrid[:40, :50].reshape(2, -1)
    nearest = np.maximum(np.abs(x[:, None] - grid[1]), np.abs(y[:, None] - grid[0])).min(axis=0)
    assert nearest.max() <= step / 2
    assert len(x) == len(set(zip(x, y, strict=True)))
