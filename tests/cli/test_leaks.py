"""Whatever an image is called, and whatever its table lacks: what a run was trained on is never held out."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_sets import make_lens_set, tiny

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.errors import InputError
from convnet_galaxies.predict.calibrate import calibrate
from convnet_galaxies.predict.cross_validation import cross_validate
from convnet_galaxies.predict.evaluation import evaluate
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.split import read_split, remark_on_recognition, write_split
from convnet_galaxies.show import run_page
from convnet_galaxies.study.unknown_run import study_unknown
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.setup import set_up_training

N = 120
PIXELS = Preprocess(size_px=32)
PACKS = ("catalogue", "table with ZooIDs", "table of file and label", "images alone", "renamed", "re-encoded", "zip")


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on the pack of a catalogue, and the same images packed in other ways."""
    folder = tmp_path_factory.mktemp("sky")
    made = make_lens_set(N)
    made.table["lens"] = made.table["lens"].fillna(0)
    ids, lens = made.table["id"], made.table["lens"].astype(int)
    images = folder / "images"
    for name in ("images", "renamed", "re-encoded"):
        (folder / name).mkdir()
    for name, pixels in zip(ids, made.images, strict=True):
        # Larger than they are packed, as real images are; else JPEG would take the noise of single pixels.
        Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC).save(images / f"{name}.png")
    table = pd.DataFrame({"file": ids + ".png", "zooid": made.table["ZooID"], "is_lens": lens})
    table.to_csv(folder / "all.csv", index=False)
    table[["file", "is_lens"]].to_csv(folder / "labels.csv", index=False)
    table.assign(file=[f"r{row}.png" for row in range(N)])[["file", "is_lens"]].to_csv(folder / "new.csv", index=False)
    pd.DataFrame(
        {
            "truth": np.where(lens == 1, "LENS", "NOT"),
            "alpha": 1,
            "cutoutname": ids + ".png",
            "ZooID": made.table["ZooID"],
        }
    ).to_csv(folder / "catalog.csv", index=False)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for row, name in enumerate(ids):
            file = images / f"{name}.png"
            archive.write(file, f"survey/{name}.png")
            (folder / "renamed" / f"r{row}.png").write_bytes(file.read_bytes())
            Image.open(file).save(folder / "re-encoded" / f"r{row}.jpg", quality=85)
    records = {
        "catalogue": read_space_warps(folder / "catalog.csv", images),
        "table with ZooIDs": read_image_folder(images, folder / "all.csv", label="is_lens"),
        "table of file and label": read_image_folder(images, folder / "labels.csv", label="is_lens"),
        "images alone": read_image_folder(images),
        "renamed": read_image_folder(folder / "renamed", folder / "new.csv", label="is_lens"),
        "re-encoded": read_image_folder(folder / "re-encoded", folder / "new.csv", label="is_lens"),
        "zip": read_image_folder(folder / "images.zip", folder / "labels.csv", label="is_lens"),
    }
    for name, found in records.items():
        write_pack(found, PIXELS, folder / f"{name}.pack")
    pack = read_pack(folder / "catalogue.pack")
    fit(
        pack,
        tiny("train.epochs=1", "split.train=0.5", "split.validation=0.2", "split.test=0.3"),
        folder / "run",
        tasks=("lens",),
    )
    return folder


def used(sky: Path, part: str) -> set[int]:
    """Numbers of the images that the run used in a part."""
    split = read_split(sky / "run" / "split.parquet")
    return {number(name) for name in split.loc[(split["part"] == part) & split["used"], "id"]}


def number(name: str) -> int:
    """``cutout17_ASW00008`` and ``r17`` are image 17."""
    return int(name.removeprefix("cutout").removeprefix("r").split("_")[0])


def held_out(command: str, sky: Path, images: ImageSet, pack: Path, output: Path, monkeypatch) -> set[int]:  # type: ignore[no-untyped-def]
    """Numbers of the images that a command takes for held out."""
    predictor = Predictor(sky / "run", views=1, with_familiarity=False)
    if command == "evaluate":
        ids = evaluate(predictor, images, part="heldout").tasks["lens"].table["id"]
    elif command == "calibrate":
        split = read_split(calibrate(predictor, images, output).run / "split.parquet")
        ids = split.loc[split["origin"] == "calibration", "id"]
    elif command == "crossval":
        result = cross_validate(images, tiny("train.epochs=1"), output, task="lens", folds=2, parent=sky / "run")
        ids = pd.read_csv(result.predictions)["id"]
    elif command == "train":
        plan = set_up_training(images, tiny("seed=7"), tasks=("lens",), parent=sky / "run", stage=None)
        ids = plan.split.loc[(plan.split["origin"] == "this run") & (plan.split["part"] != "train"), "id"]
    elif command == "unknown":
        study_unknown(predictor, sky / "images alone.pack", output, known=pack)
        ids = pd.read_csv(output / "known.csv")["id"]
    else:
        found = []
        monkeypatch.setattr(run_page, "evaluate", lambda *a, **k: found.append(evaluate(*a, **k)) or found[0])
        monkeypatch.setattr(run_page, "SECTIONS", {"lens": lambda one, context: []})
        run_page.run_page(sky / "run", pack, part="heldout", views=1)
        ids = found[0].tasks["lens"].table["id"]
    return set(map(number, ids))


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "crossval", "train", "unknown", "report"])
@pytest.mark.parametrize("name", PACKS)
def test_no_command_holds_out_what_the_run_was_trained_on(name, command, sky, tmp_path, monkeypatch) -> None:
    pack = sky / f"{name}.pack"
    try:
        taken = held_out(command, sky, read_pack(pack), pack, tmp_path / "out", monkeypatch)
    except InputError:
        return
    assert not taken & used(sky, "train")
    if command == "evaluate":
        assert taken == set(range(N)) - used(sky, "train")  # and nothing else is refused


def test_a_cross_validation_leaves_out_what_chose_the_weights_of_its_parent(sky, tmp_path) -> None:
    images = read_pack(sky / "catalogue.pack")
    numbers = np.array(list(map(number, images.table["id"])))
    others = images.select(~np.isin(numbers, list(used(sky, "train"))))
    result = cross_validate(others, tiny("train.epochs=1"), tmp_path / "cv", task="lens", folds=2, parent=sky / "run")
    chose = used(sky, "validation")
    assert chose
    assert result.left_out == len(chose)
    assert set(map(number, pd.read_csv(result.predictions)["id"])) == set(range(N)) - used(sky, "train") - chose


def test_a_run_without_hashes_of_pixels_is_told_to_know_its_images_by_name_alone(sky, tmp_path) -> None:
    split = read_split(sky / "run" / "split.parquet")
    renamed, catalogue = (read_pack(sky / f"{name}.pack") for name in ("renamed", "catalogue"))
    assert not remark_on_recognition(renamed, sky / "run")
    split["keys"] = [[key for key in keys if key.startswith("ZooID=")] for keys in split["keys"]]
    (tmp_path / "old").mkdir()
    write_split(tmp_path / "old" / "split.parquet", split)
    (tmp_path / "old" / "model.json").write_bytes((sky / "run" / "model.json").read_bytes())
    assert not remark_on_recognition(catalogue, tmp_path / "old")
    assert "by their ids alone" in remark_on_recognition(renamed, tmp_path / "old")
