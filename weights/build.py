"""Make the weights that ship with the package from real images (`make weights DATA=../shared/data`).

    python weights/build.py ../shared/data WORK zoo|lens|all

Intermediate results are kept in WORK and not made again. The complete build takes somewhat more than an hour on two
cores with bf16, and several hours without.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from finder import describe_split, write_finder
from ladder import painted_set, start_of
from real_lenses import LENS_GRADE, OTHER_GRADE
from scipy.special import expit
from survey_heads import LEARNED, LOOKS, PENALTY, SHIPS, VIEW_PX, fit_folds, fit_head
from survey_ladder import join_known, read_images, score_rung, take_features
from teacher import ZOO_PARTS

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.predict.calibrate import fit_calibration
from convnet_galaxies.predict.fit_familiarity import fit_familiarity
from convnet_galaxies.runs.card import ModelCard, read_card
from convnet_galaxies.runs.ensemble import join_runs
from convnet_galaxies.settings import load_settings
from convnet_galaxies.training.fit import fit

BUILTIN = Path(__file__).parents[1] / "src" / "convnet_galaxies" / "model" / "builtin"
WIDE = ("net.widths=[64,128,256]", "net.depths=[1,2,2]", "net.input_px=80", "train.validate_every=5")
ZOO = {
    "zoo-symmetric": (*WIDE, "train.epochs=60", "train.weight_decay=0.05"),
    "zoo-plain": (
        *WIDE,
        "seed=1",
        "net.backbone=plain",
        "train.epochs=85",
        "train.weight_decay=0.05",
    ),
}
"""Members of builtin:zoo: two kinds of nets err more independently than two seeds of one (docs/experiments.md)."""
LENS_START = (
    *WIDE,
    "net.backbone=plain",
    "net.depths=[1,1,2]",
    "net.patch_px=5",
    "train.epochs=80",
)
"""What the lens finder starts from: on symmetric nets its head ranks candidates worse (docs/experiments.md)."""
FINDER = "painted1"
"""The run of ladder.PRETRAININGS whose features the head of builtin:lens is fitted to."""


def build_zoo(data: Path, work: Path) -> None:
    """The 37 votes, from scratch on nine tenths of the real galaxies."""
    members = [train_zoo(data, work, name, changes) for name, changes in ZOO.items()]
    publish(members, zoo_images(data, work), work / "zoo-published", "zoo")


def train_zoo(data: Path, work: Path, name: str, changes: Sequence[str]) -> Path:
    """A Galaxy Zoo run, trained when it is not there."""
    run = work / name
    if not (run / "model.json").is_file():
        images = zoo_images(data, work)
        parts = images.split(ZOO_PARTS, seed=0)
        fit(images, load_settings(None, changes), run, tasks=("votes",), parts=parts, force=True)
    return run


def zoo_images(data: Path, work: Path) -> ImageSet:
    """All real galaxies, packed."""
    write_pack(read_galaxy_zoo(data / "galaxy-zoo"), Preprocess(crop_px=288, size_px=108), work / "zoo.pack")
    return read_pack(work / "zoo.pack")


def build_lens(data: Path, work: Path, zoo: str | Path | None) -> None:
    """Lens or not, and flavor: a finder that has seen painted lenses only, with a head for several surveys.

    zoo: the Galaxy Zoo run that it starts from; None trains one. The held-out scores of the candidates calibrate it.
    """
    zoo = zoo or train_zoo(data, work, "lens-start", LENS_START)
    painted = painted_set(data, work)
    parent = start_of(FINDER, painted, work, zoo)
    images = read_images(data, painted)
    sources = take_features(images, Path(parent))
    head = fit_head(sources, SHIPS)
    learned = join_known(images)
    split = describe_split(parent, learned, np.zeros(len(learned), bool))
    note = f"ridge regression, penalty {PENALTY:g}, {len(LEARNED)} sets and {LOOKS} copies with random looks"
    member = write_finder(parent, work / "member0", VIEW_PX, head.weight, head.bias, split=split, note=note)
    # With the noisy images of Pan-STARRS among the known ones, pure noise would look familiar.
    noisy = learned.table["group"].astype(str).str.startswith("PS1").to_numpy()
    usual = learned.select(np.flatnonzero(~noisy))
    known = ImageSet(
        np.concatenate([usual.images, painted.images]),
        pd.concat([usual.table[["id", "group"]], painted.table[["id", "group"]]], ignore_index=True),
        learned.preprocess,
        link_columns=("group",),
    )
    candidates = score_rung(sources, SHIPS, fit_folds(sources, SHIPS))["CFHTLS"]
    publish(
        [member],
        known,
        work / "lens-published",
        "lens",
        calibrate=lambda card: calibrated(card, images.real, candidates),
    )


def calibrated(card: ModelCard, real: ImageSet, log_odds: np.ndarray) -> ModelCard:
    """The card with a calibration by held-out scores, float [n]: grade 2 or more against grade below 1."""
    grade = real.table["grade"].to_numpy()
    graded = (grade >= LENS_GRADE) | (grade < OTHER_GRADE)
    groups = real.table["group"].to_numpy().astype(str)[graded]
    fitted = fit_calibration(expit(log_odds)[graded], grade[graded] >= LENS_GRADE, groups, prevalence=None)
    return replace(card, calibration={"lens": fitted})


def publish(members: list[Path], known: ImageSet, folder: Path, name: str, *, calibrate=None) -> None:  # type: ignore[no-untyped-def]
    """Join members in half precision, fit their familiarity, and put the result beside the code; CARD.md stays."""
    joined = folder.with_name(f"{folder.name}-joined")
    join_runs(members, joined, half=True, force=True)
    card = replace(read_card(joined), views=8)
    (joined / "model.json").write_text((card if calibrate is None else calibrate(card)).dumps(), "utf-8")
    fit_familiarity(joined, known, force=True)
    join_runs([joined], folder, publish=True, force=True)
    (BUILTIN / name).mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        shutil.copyfile(path, BUILTIN / name / path.name)


def main() -> None:
    """Build one or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("what", choices=("zoo", "lens", "all"))
    parser.add_argument("--zoo", help="Galaxy Zoo run that the lens finder starts from")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.what in ("zoo", "all"):
        build_zoo(arguments.data, arguments.work)
    if arguments.what in ("lens", "all"):
        build_lens(arguments.data, arguments.work, arguments.zoo)


if __name__ == "__main__":
    main()
