"""The members of builtin:zoo go on with the votes of a better teacher, also of galaxies without votes.

    python weights/student.py ../shared/data WORK

What is trained is kept in WORK. The students are no better than what ships (docs/experiments.md), so that
weights/build.py takes no part in this.

An epoch shows each galaxy with votes twice, once with its volunteers' votes and once with the teacher's, which lack the
scatter of some forty volunteers, and each of the 22,558 without votes once, with the teacher's within the bounds of its
clean class (teacher.bound_votes).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from build import ZOO, train_zoo
from teacher import HELD_OUT, VIEWS, ZOO_PARTS, bound_votes, clean_classes, describe_error, labelled, teach, unlabelled

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import KAGGLE
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.ensemble import join_runs
from convnet_galaxies.settings import load_settings
from convnet_galaxies.training.fit import fit

SIZE_PX = 108
DISTILLING = (
    "train.epochs=16",
    "train.learning_rate=0.004",
    "train.weight_decay=0.05",
    "train.backbone_rate=1",
    "train.validate_every=3",
)


def join_taught(data: Path, work: Path, ours: Path) -> tuple[ImageSet, np.ndarray]:
    """The images of an epoch with their votes, and their parts, str [n].

    ours: a run, whose votes of the unlabelled are averaged with the teacher's. Of the galaxies that it learned from,
    it has the volunteers' votes nearly by heart, so that the teacher's stand alone.
    """
    votes = teach(data, work)
    own = Predictor(ours, views=8).predict(unlabelled(data, work, SIZE_PX).images)["votes"]
    return join_sets(data, work, votes["train"], (votes["unlabelled"] + own) / 2)


def join_sets(data: Path, work: Path, taught: np.ndarray, untaught: np.ndarray) -> tuple[ImageSet, np.ndarray]:
    """The same, from votes.

    taught: the teacher's votes of the galaxies with votes in the training part, float [n, 37]. untaught: votes of those
    without.
    """
    columns = list(KAGGLE.columns)
    voted, others = labelled(data, work, SIZE_PX), unlabelled(data, work, SIZE_PX)
    parts = voted.split(ZOO_PARTS, seed=0)
    # The test galaxies have no part in this; one of them looks so much like another that the parent learned from that
    # a training would refuse to hold it out.
    voted, parts = voted.select(np.flatnonzero(parts != "test")), parts[parts != "test"]

    def describe(images: ImageSet, prefix: str, votes: np.ndarray) -> pd.DataFrame:
        ids = images.table["id"].astype(str).to_numpy()
        group = np.char.add("GalaxyID=", ids.astype(str))
        return pd.DataFrame({"id": prefix + ids, "GalaxyID": ids, "group": group}).join(
            pd.DataFrame(votes, columns=columns)
        )

    again = voted.select(np.flatnonzero(parts == "train"))
    bounded = bound_votes(untaught, clean_classes(data, others))
    tables = [
        describe(voted, "", voted.table[columns].to_numpy(float)),
        describe(again, "taught-", taught),
        describe(others, "", bounded),
    ]
    images = np.concatenate([np.asarray(one.images) for one in (voted, again, others)])
    every = np.concatenate([parts, np.full(len(again) + len(others), "train")]).astype(object)
    return ImageSet(images, pd.concat(tables, ignore_index=True), voted.preprocess, link_columns=("GalaxyID",)), every


def distil(data: Path, work: Path) -> dict[str, Path]:
    """Train the members of builtin:zoo, and from each a student; the runs by name."""
    members = {name: train_zoo(data, work, name, changes) for name, changes in ZOO.items()}
    ours = work / "zoo-untaught"
    join_runs(list(members.values()), ours, force=True)
    images, parts = join_taught(data, work, ours)
    runs = {"both": ours, **members}
    for name, changes in ZOO.items():
        run = runs[f"{name}, taught"] = work / f"{name}-taught"
        if not (run / "model.json").is_file():
            settings = load_settings(None, [*changes, *DISTILLING])
            fit(images, settings, run, tasks=("votes",), parent=members[name], parts=parts, force=True)
    runs["both, taught"] = work / "zoo-taught"
    join_runs([work / f"{name}-taught" for name in ZOO], runs["both, taught"], force=True)
    return runs


def main() -> None:
    """Print the errors before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    galaxies = labelled(given.data, given.work, SIZE_PX)
    for name, run in distil(given.data, given.work).items():
        predictor = Predictor(run, views=VIEWS, with_familiarity=False)
        for part in HELD_OUT:
            print(name, describe_error(galaxies, part, lambda pixels, one=predictor: one.predict(pixels)["votes"]))


if __name__ == "__main__":
    main()
