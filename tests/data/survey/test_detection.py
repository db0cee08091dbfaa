"""Objects are detected block by block, each once, whatever the blocks and their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_fits import image, save, tan_wcs
from scipy.spatial import cKDTree

from convnet_galaxies.data.survey import detection
from convnet_galaxies.data.survey.detection import Detection, detect_objects
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.errors import InputError

SIDE = 420


@pytest.fixture
def field(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Two bands of 7 x 7 blobs on a sloping sky, some of them where blocks of 128 px meet; their centres [n, 2]."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    centres = np.array([(64 * i - 0.5 + dx, 64 * j - 0.5 + dy) for i in range(1, 7) for j in range(1, 7)
                        for dx, dy in [rng.normal(0, 1.5, 2)]])  # fmt: skip
    light = sum(60 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in centres)
    for band, weight in (("r", 1.0), ("g", 0.6)):
        values = weight * light + rng.normal(0, 1, (SIDE, SIDE)) + 100 + 0.02 * x
        save(tmp_path / f"t_{band}.fits", values.astype(np.float32), primary={**tan_wcs(), "FILTER": band})
    return tmp_path, centres


def detect(folder: Path, block_px: int, **options: object) -> pd.DataFrame:
    with open_survey_image(list_tiles(folder).tiles[0]) as opened:
        return detect_objects(opened, Detection(threshold_sigma=4.0, **options), block_px=block_px)


@pytest.mark.parametrize("block_px", [128, 192, 1024])
@pytest.mark.parametrize("band", [None, "g"])
def test_each_object_is_detected_once_near_its_place(
    field: tuple[Path, np.ndarray], block_px: int, band: str | None
) -> None:
    folder, centres = field
    found = detect(folder, block_px, band=band)
    assert len(found) == len(centres)
    distance, match = cKDTree(found[["x", "y"]]).query(centres)
    assert distance.max() < 0.3
    assert len(set(match)) == len(centres)
    assert found["radius_px"].between(1.5, 4).all()
    assert (found["radius90_px"] > found["radius_px"]).all()


def test_the_order_of_the_blocks_does_not_matter(
    field: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = detect(field[0], 128)
    concat = pd.concat
    monkeypatch.setattr(detection.pd, "concat", lambda parts, **options: concat(parts[::-1], **options))
    pd.testing.assert_frame_equal(detect(field[0], 128), forward)


def test_masked_objects_are_not_detected(field: tuple[Path, np.ndarray]) -> None:
    folder, centres = field
    mask = np.zeros((SIDE, SIDE), np.int16)
    gone = np.round(centres[7]).astype(int)
    mask[gone[1] - 12 : gone[1] + 13, gone[0] - 12 : gone[0] + 13] = 1
    save(folder / "t_mask.fits", image(mask, {"MP_BAD": 0}))
    found = detect(folder, 1024)
    distance, _ = cKDTree(found[["x", "y"]]).query(centres)
    assert len(found) == len(centres) - 1
    assert distance.argmax() == 7


def test_a_tile_without_light_or_band_gives_no_object_or_an_error(tmp_path: Path) -> None:
    save(tmp_path / "t_r.fits", np.full((90, 90), np.nan, np.float32), primary={**tan_wcs(), "FILTER": "r"})
    found = detect(tmp_path, 1024)
    assert list(found) == ["x", "y", "flux", "radius_px", "radius90_px"]
    assert found.empty
    with pytest.raises(InputError, match="found the bands r, expected z"):
        detect(tmp_path, 1024, band="z")
