"""The commands that a newcomer types first, one after another, on simulated files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from convnet_galaxies.data.pack import read_pack

SMALL = ["--set", "train.epochs=1", "--set", "net.widths=[8,16,16]", "--set", "net.depths=[1,1,1]"]


@pytest.fixture
def typed(run: Callable[..., Any]) -> Callable[..., str]:
    """What a command that ends well prints on standard output."""

    def call(*words: object) -> str:
        answer = run(*words)
        assert answer.code == 0, answer.err
        return answer.out

    return call


@pytest.fixture
def zoo(tmp_path: Path, typed: Callable[..., str]) -> Path:
    """Simulated files of the Galaxy Challenge, and zoo.pack."""
    folder = tmp_path / "zoo"
    assert typed("simulate", "galaxy-zoo", folder, "--number", 60) == f"{folder}: 60 galaxies\n"
    files = folder / "images_training_rev1.zip", folder / "training_solutions_rev1.zip"
    packed = json.loads(typed("pack", "galaxy-zoo", *files, "-o", folder / "zoo.pack", "--json"))
    assert packed["images"] == len(pd.read_csv(files[1]))
    return folder


def test_the_galaxy_challenge_from_its_files_to_a_submission(zoo: Path, typed: Callable[..., str]) -> None:
    pack, net, answer = zoo / "zoo.pack", zoo / "net", zoo / "submission.csv"
    assert typed("train", pack, "-o", net, *SMALL).startswith(f"{net}: 1 epoch")
    assert "RMSE" in typed("evaluate", net, pack, "--breakdown", "question")
    sample = zoo / "all_zeros_benchmark.csv"
    typed("submit", net, zoo / "images_test_rev1.zip", "-o", answer, "--sample-submission", sample)
    ours, asked = pd.read_csv(answer), pd.read_csv(sample)
    assert ours.columns.tolist() == asked.columns.tolist()
    assert ours["GalaxyID"].tolist() == asked["GalaxyID"].tolist()
    assert ours["Class1.1"].between(0, 1).all()
    assert len(set(ours["Class1.1"])) > 1


def test_some_images_are_packed_and_of_another_size(zoo: Path, typed: Callable[..., str]) -> None:
    small, like, files = zoo / "small.pack", zoo / "like.pack", zoo / "images_training_rev1.zip"
    typed("pack", "galaxy-zoo", files, zoo / "training_solutions_rev1.zip", "-o", small, "--size", 64, "--limit", 5)
    assert read_pack(small).images.shape[:3] == (5, 64, 64)
    shown = typed("pack", "galaxy-zoo", files, "-o", like, "--crop", 200, "--size", 50)
    assert shown.startswith(f"{like}: ")
    assert read_pack(like).preprocess.crop_px == 200


def test_a_catalogue_of_cutouts_is_packed_with_its_lenses(tmp_path: Path, typed: Callable[..., str]) -> None:
    folder, pack = tmp_path / "data", tmp_path / "lenses.pack"
    assert typed("simulate", "space-warps", folder, "--number", 60) == f"{folder}: 60 cutouts\n"
    shown = typed("pack", "space-warps", folder / "cluster_catalog.csv", folder / "cutouts_good", "-o", pack)
    assert shown.startswith(f"{pack}: ")
    catalog = pd.read_csv(folder / "cluster_catalog.csv")
    lenses = (catalog["truth"] == "LENS") & (catalog["alpha"] == 1)
    assert (read_pack(pack).table["lens"] == 1).sum() == lenses.sum()


def test_a_simulated_survey_counts_its_lenses_as_one_mosaic_and_as_tiles(
    tmp_path: Path, typed: Callable[..., str]
) -> None:
    mosaic, tiles = tmp_path / "mosaic", tmp_path / "tiles"
    assert typed("simulate", "survey", mosaic, "--number", 2, "--size", 300) == f"{mosaic}: 2 lenses\n"
    made = typed("simulate", "survey", tiles, "--tiles", "1x2", "--size", 300, "--overlap", 60, "--number", 2, "--json")
    assert json.loads(made)["lenses"] == 2
    assert len(pd.read_csv(tiles / "truth.csv")) == 2
    assert len(pd.read_csv(tiles / "tiles.csv")["tile"].unique()) == 2
