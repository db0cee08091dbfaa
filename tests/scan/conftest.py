"""A tiny run and images; scanning never changes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_survey import SCALE_ARCSEC, MadeSurvey, make_survey
from small_sets import make_lens_set, make_vote_set, tiny, write_pngs

from convnet_galaxies.data.zip_files import close_archives
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import LensCalibration, read_card
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.training.fit import fit


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the runs ``lens`` and ``other``, for whole images, ``survey``, for 0.2"/px, calibrated, and 50
    images."""
    folder = tmp_path_factory.mktemp("scan")
    images = make_lens_set(48)
    for name, seed in (("lens", 1), ("other", 2)):
        fit(images, tiny("train.epochs=1", f"seed={seed}"), folder / name, tasks=("lens",))
    scaled = images.preprocess.model_copy(update={"crop_px": 32, "pixel_scale_arcsec": SCALE_ARCSEC})
    fit(replace(images, preprocess=scaled), tiny("train.epochs=1"), folder / "survey", tasks=("lens",))
    card = RunFolder(folder / "survey").card
    calibrated = replace(read_card(folder / "survey"), calibration={"lens": LensCalibration(20, 0, 200, 50, 150, 0.25)})
    card.write_text(calibrated.dumps(), "utf-8")
    write_pngs(make_vote_set(50, seed=5), folder / "images")
    close_archives()
    return folder


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> MadeSurvey:
    return make_survey(tmp_path_factory.mktemp("survey") / "tiles")


@pytest.fixture(scope="session")
def surveyor(world: Path) -> Predictor:
    """The run for 0.2"/px."""
    return Predictor(world / "survey", device="cpu", batch=16, precision="fp32")


@pytest.fixture(scope="session")
def predictor(world: Path) -> Predictor:
    return Predictor(world / "lens", device="cpu", batch=16)
