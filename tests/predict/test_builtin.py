from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.folder import run_path
from convnet_galaxies.runs.split import read_split_of

NAMES = ("zoo", "lens")


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_ship_have_a_card_and_know_what_they_were_trained_on(name: str) -> None:
    folder = run_path(f"builtin:{name}")
    card = (folder / "CARD.md").read_text("utf-8")
    assert card.startswith(f"# builtin:{name}")
    assert "Not good for" in card
    split = read_split_of(f"builtin:{name}")
    assert split is not None
    keys = {key for row in split["keys"] for key in row}
    assert keys
    assert all(key.startswith(("#", "pixel_hash=")) for key in keys)  # hashes: no name of an image is given away
    assert {key.split(":")[0] for key in keys if key.startswith("pixel")} >= {"pixel_hash=all", "pixel_hash=128"}


def test_weights_that_ship_are_under_20_mb_together() -> None:
    folders = [run_path(f"builtin:{name}") for name in NAMES]
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) < 20e6


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_ship_average_eight_views_unless_told_otherwise(name: str) -> None:
    assert Predictor(f"builtin:{name}", views=None).views == 8
    assert Predictor(f"builtin:{name}", views=1).views == 1


def test_votes_of_the_weights_that_ship_obey_the_tree() -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (3, 108, 108, 3), dtype=np.uint8)
    votes = pd.DataFrame(Predictor("builtin:zoo").predict(pixels)["votes"], columns=list(VOTE_COLUMNS))
    for question in KAGGLE.questions:
        total = votes[list(question.columns)].sum(axis=1)
        assert (total <= 1 + 1e-5).all()
    assert votes[["Class1.1", "Class1.2", "Class1.3"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_a_blue_arc_round_a_red_galaxy_makes_a_lens_more_likely() -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    noise = np.random.default_rng(0).normal(6, 5, (128, 128, 3))
    galaxy = noise + np.exp(-radius / 3)[..., None] * np.array([255, 190, 110])
    arc = np.exp(-(((radius - 11) / 1.8) ** 2) - (angle / 0.9) ** 2)
    counter_image = np.exp(-(((x + 6) ** 2 + y**2) / 4))
    lensed = galaxy + (arc + 0.7 * counter_image)[..., None] * np.array([60, 80, 190])
    images = np.stack([np.clip(image, 0, 255).astype(np.uint8) for image in (galaxy, lensed)])
    without, with_arc = Predictor("builtin:lens", views=8).predict(images)["lens"]
    assert with_arc > 3 * without


def test_prediction_takes_cutouts_of_any_size_and_says_when_an_image_is_strange(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, side in (("small", 96), ("field", 440)):
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    summary = predict_file(Predictor("builtin:lens"), tmp_path, tmp_path / "lenses.csv")
    table = pd.read_csv(tmp_path / "lenses.csv")
    assert summary.images == len(table) == 2
    assert (table["familiarity"] < 0.001).all()
    assert table["lens_probability"].between(0, 1).all()


@pytest.mark.shared_data
def test_the_lens_finder_that_ships_ranks_graded_candidates_as_its_card_says(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "space-warps"
    predict_file(Predictor("builtin:lens"), folder / "candidates", tmp_path / "found.csv")
    found = pd.read_csv(tmp_path / "found.csv").set_index("id")["lens_probability"]
    grades = pd.read_csv(folder / "candidates.csv").set_index("file")["expert_grade"]
    grades.index = grades.index.str.removesuffix(".png")
    lenses, others = found[grades.index[grades >= 2]], found[grades.index[grades < 1]]
    above = (lenses.to_numpy()[:, None] > others.to_numpy()[None]).mean()
    # Its head has seen them: held out it has 0.84, and less here would mean that other weights are in the package.
    assert above > 0.84
    assert read_card("builtin:lens").calibration["lens"].prevalence == pytest.approx(0.25)
