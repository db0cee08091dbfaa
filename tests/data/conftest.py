"""Small data sets in the real formats, made anew for each test."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet_galaxies.data.zip_files import close_archives
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS


@pytest.fixture(autouse=True)
def _closed_archives():
    yield
    close_archives()


def encode(pixels: np.ndarray, form: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


@pytest.fixture
def image_bytes() -> Callable[..., bytes]:
    """image_bytes(seed, form="JPEG", side=32, bands=3): an encoded image of smooth random colours."""

    def make(seed: int, form: str = "JPEG", side: int = 32, bands: int = 3) -> bytes:
        coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, bands), dtype=np.uint8)
        return encode(coarse.repeat(side // 4, axis=0).repeat(side // 4, axis=1).squeeze(), form)

    return make


def draw_votes(n: int, seed: int) -> np.ndarray:
    """Votes [n, 37] that keep all sums of the tree."""
    rng = np.random.default_rng(seed)
    votes = np.zeros((n, len(VOTE_COLUMNS)))
    for question in KAGGLE.order:
        answers, parents = KAGGLE.slices[question], KAGGLE.parents[question]
        asked = votes[:, parents[0]] if parents else np.ones(n)
        votes[:, answers] = rng.dirichlet(np.ones(answers.stop - answers.start), n) * asked[:, None]
    return votes


GALAXIES = (100008, 100023, 100053, 100078, 100090, 100122)


@pytest.fixture
def zoo(tmp_path: Path, image_bytes: Callable[..., bytes]) -> Path:
    """A folder as downloaded from Kaggle: three zips, with the macOS entries."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, galaxies in (("images_training_rev1", GALAXIES), ("images_test_rev1", (100018, 100037))):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}/", b"")
            for galaxy in galaxies:
                archive.writestr(f"{name}/{galaxy}.jpg", image_bytes(galaxy))
                archive.writestr(f"__MACOSX/{name}/._{galaxy}.jpg", b"\0\5\26\7")
    table = pd.DataFrame(draw_votes(len(GALAXIES), 0), columns=list(VOTE_COLUMNS))
    table.insert(0, "GalaxyID", list(GALAXIES))
    with zipfile.ZipFile(folder / "training_solutions_rev1.zip", "w") as archive:
        archive.writestr("training_solutions_rev1.csv", table.to_csv(index=False))
        archive.writestr("__MACOSX/._training_solutions_rev1.csv", b"\0\5\26\7")
    return folder


@pytest.fixture
def image_folder(tmp_path: Path, image_bytes: Callable[..., bytes]) -> Path:
    """Twelve PNGs a00.png ... a11.png."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(12):
        (folder / f"a{number:02d}.png").write_bytes(image_bytes(number, "PNG"))
    return folder
