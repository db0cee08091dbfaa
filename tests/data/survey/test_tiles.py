"""Tiles of a survey are found by a table, by a pattern, or by the names of their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_tiles import LAYOUTS, write

from convnet_galaxies.data.survey.tiles import Tile, list_tiles
from convnet_galaxies.errors import InputError, UsageError


def facts(tile: Tile) -> list[tuple[str, str | None, str | None]]:
    return [(file.path.name, str(file.band) if file.band else None, file.role) for file in tile.files]


def test_a_table_names_files_bands_masks_and_zero_points_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "tiles.csv").write_text(
        "tile,band,path,extension,mask,weight,zero_point\n"
        "007,g,a/g.fits,SCI,a/mask.fits,,29.5\n007,HSC-r,a/r.fits,1,,a/w.fits,\n8,,b.fits,,,,\n8,mask,m.fits,,,,\n"
    )
    first, second = list_tiles(tmp_path / "tiles.csv").tiles
    assert (first.name, second.name) == ("007", "8")
    g, r = first.files
    assert (g.path, g.extension, g.mask, g.weight, g.zeropoint_mag) == (
        tmp_path / "a/g.fits",
        "SCI",
        tmp_path / "a/mask.fits",
        None,
        29.5,
    )
    assert (str(g.band), str(r.band), r.extension, r.weight, r.zeropoint_mag) == (
        "g",
        "r",
        "1",
        tmp_path / "a/w.fits",
        None,
    )
    assert facts(second) == [("b.fits", None, None), ("m.fits", None, "mask")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tile,path\na,b.fits\n", "expected tile, band, path"),
        ("tile,band,path\na,g,b.fits\na,,\n", "row 2: found no tile or no path"),
        ("tile,band,path\na,purple,b.fits\n", "found 'purple', expected the name of a band"),
        ("tile,band,path\na,g,b.fits\na,G,c.fits\n", "tile a: found the band g more than once"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tiles.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        list_tiles(tmp_path / "tiles.csv")


def test_a_pattern_gives_tile_and_band(tmp_path: Path) -> None:
    for name in ("12_3/coadd-g.fits", "12_3/coadd-r.fits", "12_3/coadd-r.weight.fits", "9_1/coadd-g.fits", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    by_option = list_tiles(tmp_path, pattern="{tile}/coadd-{band}.fits")
    behind = list_tiles(f"{tmp_path}/{{tile}}/coadd-{{band}}.fits")
    assert by_option == behind
    assert [tile.name for tile in behind.tiles] == ["12_3", "9_1"]
    assert facts(behind.tiles[0]) == [
        ("coadd-g.fits", "g", None),
        ("coadd-r.fits", "r", None),
        ("coadd-r.weight.fits", "r", "weight"),
    ]
    with pytest.raises(UsageError, match=r"expected \{tile\}"):
        list_tiles(tmp_path, pattern="*.fits")
    with pytest.raises(InputError, match=r"found no file like \{tile\}_\{band\}.fits"):
        list_tiles(tmp_path, pattern="{tile}_{band}.fits")


def test_names_alone_join_bands_masks_and_weights_of_a_tile(tmp_path: Path) -> None:
    write(tmp_path, LAYOUTS["image, invvar, maskbits"]())
    write(tmp_path / "more", LAYOUTS["a file per band"]())
    found = list_tiles(tmp_path)
    assert sorted(len(tile.files) for tile in found.tiles) == [3, 9]
    assert {role for _, _, role in facts(max(found.tiles, key=lambda tile: len(tile.files)))} == {
        None,
        "weight",
        "mask",
    }
    assert "were joined into 2 images" in found.remarks[0]


def test_bands_that_most_tiles_have_are_missing_from_the_others(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        for band in ("g", "r", "i"):
            if (name, band) != ("b", "i"):
                (tmp_path / f"{name}_{band}.fits").touch()
    (tmp_path / "c_u.fits").touch()
    found = list_tiles(tmp_path, pattern="{tile}_{band}.fits")
    assert [[str(band) for band in tile.bands_missing] for tile in found.tiles] == [[], ["i"], []]
    assert found.remarks == ("1 tiles lack bands that most have: b (i)",)
