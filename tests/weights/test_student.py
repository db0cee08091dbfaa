"""What the members of builtin:zoo learn from a teacher."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import KAGGLE

COLUMNS = list(KAGGLE.columns)


@pytest.fixture(scope="module")
def student() -> ModuleType:
    folder = str(Path(__file__).resolve().parents[2] / "weights")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("student")
    finally:
        sys.path.remove(folder)


def even_votes(n: int) -> np.ndarray:
    """Votes of n galaxies whose volunteers chose every answer equally often, float [n, 37]."""
    shares = {
        (number, answer): np.full(n, 1 / len(question.columns))
        for number, question in enumerate(KAGGLE.questions)
        for answer in range(len(question.columns))
    }
    return np.stack(KAGGLE.fill(lambda question, answer: shares[question, answer]), axis=1)


def galaxies(first: int, n: int, *, voted: bool) -> ImageSet:
    ids = np.arange(first, first + n)
    table = pd.DataFrame({"id": ids.astype(str), "group": ids.astype(str)})
    if voted:
        table[COLUMNS] = even_votes(n)
    pixels = np.random.default_rng(first).integers(0, 255, (n, 8, 8, 3), dtype=np.uint8)
    return ImageSet(pixels, table, Preprocess(size_px=8))


def test_an_epoch_has_the_votes_of_volunteers_and_of_the_teacher_and_no_test_galaxy(
    student: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    voted, others = galaxies(100, 200, voted=True), galaxies(9000, 30, voted=False)
    kinds = np.where(np.arange(30) < 20, "edge-on", "spiral")
    monkeypatch.setattr(student, "labelled", lambda *_: voted)
    monkeypatch.setattr(student, "unlabelled", lambda *_: others)
    monkeypatch.setattr(student, "clean_classes", lambda *_: kinds)
    parts = voted.split(student.ZOO_PARTS, seed=0)
    taught = np.full(((parts == "train").sum(), 37), 0.25)
    images, every = student.join_sets(tmp_path, tmp_path, taught, even_votes(30))

    train, validation = voted.table["id"][parts == "train"], voted.table["id"][parts == "validation"]
    learned = images.table[every == "train"]
    assert set(images.table["id"][every != "train"]) == set(validation)
    assert set(learned["GalaxyID"]) == set(train) | set(others.table["id"])
    assert learned["GalaxyID"].value_counts()[list(train)].eq(2).all()
    assert learned["id"].is_unique
    first = learned[learned["GalaxyID"] == train.iloc[0]]
    np.testing.assert_allclose(first[COLUMNS].to_numpy(), [even_votes(1)[0], taught[0]])
    assert (images.images[learned.index[-30:]] == others.images).all()

    bounded = learned[COLUMNS].to_numpy()[-30:]
    by_name = dict(zip(COLUMNS, bounded.T, strict=True))
    assert np.allclose(by_name["Class2.1"][:20] / by_name["Class1.2"][:20], 0.602)
    assert np.allclose(by_name["Class4.1"][20:] / by_name["Class2.2"][20:], 0.619)
    assert np.allclose(bounded[:, :3].sum(axis=1), 1)
