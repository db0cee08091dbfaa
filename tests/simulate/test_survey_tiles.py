"""A simulated survey of overlapping tiles is read as those of real pipelines are, and its truth fits its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from convnet_galaxies.cli import app
from convnet_galaxies.data.survey.positions import find_on_tile, read_positions
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.simulate.survey_tiles import simulate_tiles

SIZE, OVERLAP = 150, 46


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("survey") / "survey"
    return folder, simulate_tiles(folder, 5, 11, tiles=(2, 2), size_px=SIZE, overlap_px=OVERLAP)


def test_tiles_are_found_by_the_table_and_by_their_names(survey: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = survey
    by_table, by_names = list_tiles(folder / "tiles.csv"), list_tiles(folder)
    assert [tile.name for tile in by_table.tiles] == ["t00", "t01", "t10", "t11"]
    assert [tile.name for tile in by_names.tiles] == ["t00", "t01", "t10", "t11"]
    for path in (folder / "tiles").iterdir():
        with fits.open(path) as hdus:
            hdus.verify("exception")
        assert path.stat().st_size % 2880 == 0
    with open_survey_image(by_table.tiles[0]) as opened:
        assert [str(band) for band in opened.bands] == ["i", "r", "g"]
        assert opened.template.passed_over == ("MSK (mask)", "WGT (weight)")
        assert [plane.zeropoint.mag for plane in opened.template.planes if plane.zeropoint] == [30, 30, 30]
        assert opened.shape == (SIZE, SIZE)


def test_neighbours_share_the_sky_but_not_its_noise(survey: tuple[Path, pd.DataFrame]) -> None:
    left, right = (fits.getdata(survey[0] / "tiles" / f"{name}_r.fits", "SCI") for name in ("t00", "t01"))
    first, second = left[:, -OVERLAP:].astype(float), right[:, :OVERLAP].astype(float)
    assert not np.array_equal(first, second)
    bright = first > np.percentile(first, 97)
    assert np.corrcoef(first[bright], second[bright])[0, 1] > 0.5
    with open_survey_image(list_tiles(survey[0]).tiles[1]) as opened:
        sky = opened.to_sky(np.array([10.0]), np.array([20.0]))
    with open_survey_image(list_tiles(survey[0]).tiles[0]) as opened:
        x, y = opened.to_pixels(*sky)
    np.testing.assert_allclose([x[0], y[0]], [SIZE - OVERLAP + 10, 20], atol=1e-6)


def test_dead_columns_are_masked_and_have_no_weight(survey: tuple[Path, pd.DataFrame]) -> None:
    dead = 0
    for path in sorted((survey[0] / "tiles").iterdir()):
        science, mask, weight = (fits.getdata(path, name) for name in ("SCI", "MSK", "WGT"))
        gone = (mask & 1) != 0
        np.testing.assert_array_equal(gone, weight == 0)
        assert (science[gone] == 0).all()
        dead += int(gone.sum())
    assert dead > 0


def test_each_lens_is_on_the_tiles_that_its_truth_names(survey: tuple[Path, pd.DataFrame]) -> None:
    folder, truth = survey
    positions = read_positions(folder / "truth.csv")
    holders: dict[str, list[str]] = {name: [] for name in truth["id"]}
    for tile in list_tiles(folder).tiles:
        with open_survey_image(tile) as opened:
            rows, x, y = find_on_tile(positions, opened)
        for row, own_x, own_y in zip(rows, x, y, strict=True):
            name = truth["id"][row]
            holders[name].append(tile.name)
            edge = min(own_x + 0.5, own_y + 0.5, SIZE - 0.5 - own_x, SIZE - 0.5 - own_y)
            assert edge >= truth["edge_px"][row] - 1e-6
    assert [" ".join(holders[name]) for name in truth["id"]] == truth["tiles"].tolist()
    assert len(truth) == 5


def test_the_catalogue_has_ids_of_19_digits_and_holds_the_lenses(survey: tuple[Path, pd.DataFrame]) -> None:
    folder, truth = survey
    found = read_positions(folder / "catalogue.csv")
    ids = {int(one): k for k, one in enumerate(found.ids)}
    assert len(ids) == len(found)
    known = truth.dropna(subset=["object_id"])
    assert len(known) > 0
    for _, row in known.iterrows():
        at = ids[int(row["object_id"])]
        assert (found.ra_deg[at], found.dec_deg[at]) == (row["ra_deg"], row["dec_deg"])


def test_the_same_arguments_give_the_same_bytes(survey: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    simulate_tiles(tmp_path / "again", 5, 11, tiles=(2, 2), size_px=SIZE, overlap_px=OVERLAP)
    for path in sorted(survey[0].rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(survey[0])).read_bytes(), path


@pytest.mark.parametrize(("number", "size", "overlap"), [(0, 150, 40), (2, 20, 4), (2, 150, 90), (2, 150, -1)])
def test_tiles_that_cannot_be_are_refused(tmp_path: Path, number: int, size: int, overlap: int) -> None:
    with pytest.raises(InputError, match=r"number: found 0|tiles: found"):
        simulate_tiles(tmp_path / "out", number, 0, tiles=(1, 2), size_px=size, overlap_px=overlap)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tiles", "3"], "--tiles: found '3', expected rows x columns"),
        (["--tiles", "2x2", "--file-per-band"], "tiles have a file per band anyway"),
        (["--overlap", "20"], "--overlap: does not apply to one mosaic"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["simulate", "survey", str(tmp_path / "out"), *options])
    assert isinstance(result.exception, UsageError)
    assert message in result.exception.message
