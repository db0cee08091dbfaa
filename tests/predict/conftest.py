"""Runs and packs made once; predicting never changes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_sets import SIDE_PX, make_lens_set, make_vote_set, tiny, write_pngs

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.zip_files import close_archives
from convnet_galaxies.training.fit import fit


@pytest.fixture(autouse=True)
def _closed_archives():
    yield
    close_archives()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the runs ``zoo`` (votes), ``lens`` (lens, from zoo), ``both`` (lens and flavor); images and packs."""
    folder = tmp_path_factory.mktemp("predict")
    votes, lenses = make_vote_set(), make_lens_set()
    fit(votes, tiny("train.epochs=1"), folder / "zoo", tasks=("votes",))
    fit(lenses, tiny("train.epochs=1"), folder / "lens", tasks=("lens",), parent=folder / "zoo", stage=1)
    fit(lenses, tiny("train.epochs=3"), folder / "both", tasks=("lens", "flavor"))
    few = make_vote_set(40, seed=5).select(np.arange(37))  # fewer than a batch of 16 at the end
    write_pngs(few, folder / "images")
    write_pack(read_image_folder(folder / "images"), Preprocess(size_px=SIDE_PX), folder / "images.pack")
    return folder


@pytest.fixture(scope="session")
def vote_set() -> ImageSet:
    return make_vote_set()


@pytest.fixture(scope="session")
def lens_set() -> ImageSet:
    return make_lens_set()
