from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_sets import TINY_OPTIONS as TINY
from small_sets import make_lens_set, write_pngs

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import read_pack, write_pack, write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.runs import folder as run_folder


@pytest.fixture(scope="module")
def other_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of fields that no run of the world was trained on."""
    folder = tmp_path_factory.mktemp("others")
    images = make_lens_set(240, seed=4)
    fields = images.table["ZooID"].str.replace("ASW", "ASX")
    table = images.table.drop(columns="group").assign(ZooID=fields, id=images.table["id"] + "x")
    images = replace(images, table=table)
    write_pngs(images, folder / "images")
    table.to_csv(folder / "table.csv", index=False)
    write_pack(
        read_image_folder(folder / "images", folder / "table.csv"), Preprocess(size_px=32), folder / "others.pack"
    )
    return folder / "others.pack"


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that stands for the one of the weights in the package."""
    monkeypatch.setattr(run_folder.resources, "files", lambda package: tmp_path / "package")
    folder = tmp_path / "package" / "model" / "builtin"
    folder.mkdir(parents=True)
    return folder


def test_from_runs_to_weights_that_ship_and_back(run, world, other_pack, shipped, tmp_path) -> None:
    assert run("train", world / "lens.pack", "-o", tmp_path / "second", *TINY, "--seed", 5).code == 0
    two, calibrated = tmp_path / "two", tmp_path / "calibrated"
    joined = run("ensemble", world / "lens", tmp_path / "second", "-o", two, "--float16")
    assert (joined.code, joined.err) == (0, "")
    assert joined.out.startswith(f"{two}: 2 members, 0.0 MB of weights; images: ")
    fitted = run("calibrate", two, other_pack, "-o", calibrated, "--prevalence", 0.01)
    assert fitted.code == 0, fitted.err
    assert "for 1.000% lenses; fitted on 230 images (80 lenses, " in fitted.out
    assert "90 % intervals over groups: slope " in fitted.out
    assert "Warning: " in fitted.err
    assert "labelled groups without a lens do not show" in fitted.err
    known = run("familiarity", calibrated, world / "lens.pack", other_pack)
    assert known.code == 0, known.err
    assert "that the run was not trained on" in known.out
    assert run("ensemble", calibrated, "-o", shipped / "lens", "--publish").code == 0
    (shipped / "lens" / "CARD.md").write_text("# Lenses\n\nNot good for cats.\n")

    described = run("describe", "builtin:lens")
    assert described.code == 0, described.err
    for text in (
        "builtin:lens: run",
        "an ensemble of 2, each a symmetric net",
        "Not good for cats.",
        "lens calibrated on",
        "Caution: ",
    ):
        assert text in described.out
    images = write_pngs(make_lens_set(6, seed=9), tmp_path / "images")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(images / "a_photo.png")
    found = run("predict", "builtin:lens", images, "-o", tmp_path / "p.csv", "--json")
    assert json.loads(found.out)["images"] == 7
    table = pd.read_csv(tmp_path / "p.csv")
    assert list(table) == ["id", "lens_probability", "familiarity"]
    strange = table["id"][table["familiarity"] < 0.001].tolist()
    assert strange[0] == "a_photo"
    count = f"Warning: {len(strange)} of 7 images are unlike all known images of the run (familiarity below 0.001): "
    assert found.err.startswith(f"{count}a_photo")
    assert run("predict", "builtin:lens", images, "-o", tmp_path / "q.csv", "--quiet").err == ""
    trained = run("evaluate", "builtin:lens", world / "lens.pack", "--part", "heldout")
    assert "images refused: the run or an ancestor was trained on them" in trained.out
    refused = run("evaluate", "builtin:lens", other_pack)
    assert (refused.code, "none of them in the part 'test'" in refused.err) == (1, True)
    child = run("train", world / "lens.pack", "--from", "builtin:lens", "-o", tmp_path / "child", *TINY)
    assert child.code == 0, child.err


def test_errors_are_two_lines_and_leave_nothing(run, world, other_pack, shipped, tmp_path) -> None:
    out = tmp_path / "out"
    for command, code, text in (
        (("ensemble", world / "lens", world / "zoo", "-o", out), 1, "zoo: found classes"),
        (("ensemble", world / "lens", tmp_path / "none", "-o", out), 1, "none: no such folder"),
        (("calibrate", world / "lens", other_pack, "-o", out, "--prevalence", 3), 2, "--prevalence: found 3"),
        (("calibrate", world / "zoo", other_pack, "-o", out), 1, "predicts votes, expected lens"),
        (("familiarity", "builtin:lens", other_pack), 1, "ships with the package and is not changed"),
        (("familiarity", world / "lens", world / "small.pack"), 1, "size_px 16 instead of 32"),
        (("predict", "builtin:cats", world / "lens_images", "-o", out), 1, "no such built-in weights"),
        (
            ("predict", world / "lens", world / "lens_images", "-o", out / "p.csv", "--pixel-scale", 0.2),
            1,
            "of unknown scale",
        ),
        (("mine", world / "zoo", world / "lens_images", "-o", out), 1, "predicts votes, expected lens"),
    ):
        result = run(*command)
        assert result.code == code, (command, result.err)
        assert text in result.err
        assert [line.partition(":")[0] for line in result.err.splitlines()] == ["Error", "Fix"]
        assert not out.exists()
    assert not (world / "lens" / "familiarity.safetensors").exists()


def test_mined_stamps_train_beside_the_first_pack(run, world, tmp_path) -> None:
    mined = run(
        "mine", world / "lens", world / "lens_images", "-o", tmp_path / "mined", "--min-probability", 0, "--number", 9
    )
    assert mined.code == 0, mined.err
    assert mined.out.startswith(f"{tmp_path / 'mined'}: 9 stamps with lens probability ")
    assert "9 of " not in mined.err
    listed = json.loads(
        run("mine", world / "lens", world / "lens_images", "-o", tmp_path / "m2", "--min-probability", 0, "--json").out
    )
    assert (listed["stamps"], listed["windows"]) == (64, 64)
    shutil.rmtree(tmp_path / "m2")
    trained = run("train", world / "lens.pack", tmp_path / "mined", "-o", tmp_path / "harder", *TINY)
    assert trained.code == 0, trained.err


def test_the_former_name_of_ensemble_does_the_same_and_is_not_shown(run, world, tmp_path) -> None:
    assert run("committee", world / "lens", "-o", tmp_path / "old").code == 0
    assert run("ensemble", world / "lens", "-o", tmp_path / "new").code == 0
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "old" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    assert "committee" not in run("--help").out


def test_answers_as_json_are_those_in_words(run, world, other_pack, tmp_path) -> None:
    both, calibrated = tmp_path / "both", tmp_path / "calibrated"
    joined = json.loads(run("ensemble", world / "lens", world / "lens", "-o", both, "--json").out)
    words = run("ensemble", world / "lens", world / "lens", "-o", tmp_path / "again").out
    assert joined["members"] == 2
    assert ", ".join(f"{count:,} {part}" for part, count in joined["used"].items()) in words
    found = json.loads(run("calibrate", both, other_pack, "-o", calibrated, "--json").out)
    words = run("calibrate", both, other_pack, "-o", tmp_path / "other").out
    one = found["calibration"]
    assert f"{one['images']} images ({one['positives']} lenses, " in words
    assert f"log odds x {one['slope']:.3f} {one['intercept']:+.3f}" in words
    known = run("familiarity", calibrated, world / "lens.pack", other_pack, "--quiet", "--json")
    assert json.loads(known.out)["are_unseen"] is True


def test_calibration_counts_the_images_that_it_refuses(run, world, other_pack, tmp_path) -> None:
    pack = tmp_path / "mixed.pack"
    images, own = read_pack(other_pack), read_pack(world / "lens.pack")
    columns = [name for name in images.table if name in own.table]
    table = pd.concat([images.table[columns], own.table[columns]], ignore_index=True)
    write_set(replace(images, images=np.concatenate([images.images, own.images]), table=table), pack)
    found = json.loads(run("calibrate", world / "lens", pack, "-o", tmp_path / "a", "--json").out)
    words = run("calibrate", world / "lens", pack, "-o", tmp_path / "b").out
    assert found["refused"] > 0
    assert f"{found['refused']:,} images refused: the run or an ancestor was trained on them" in words
