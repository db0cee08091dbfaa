"""A tiny run and images; scanning never changes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_sets import make_lens_set, make_vote_set, tiny, write_pngs

from convnet_galaxies.data.zip_files import close_archives
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.training.fit import fit


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the run ``lens``, the run ``other``, and 50 images."""
    folder = tmp_path_factory.mktemp("scan")
    for name, seed in (("lens", 1), ("other", 2)):
        fit(make_lens_set(48), tiny("train.epochs=1", f"seed={seed}"), folder / name, tasks=("lens",))
    write_pngs(make_vote_set(50, seed=5), folder / "images")
    close_archives()
    return folder


@pytest.fixture(scope="session")
def predictor(world: Path) -> Predictor:
    return Predictor(world / "lens", device="cpu", batch=16)
