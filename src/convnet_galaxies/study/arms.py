"""The arms of the study: what is trained on what, starting from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, split_groups
from convnet_galaxies.errors import InputError, UsageError


@dataclass(frozen=True)
class Arm:
    """One way to a lens finder.

    name: as it is printed. stage: of the images it is trained on. parent: name of the arm that it starts from,
    ``zoo`` for the Galaxy Zoo net, None for scratch.
    """

    name: str
    stage: int
    parent: str | None


ARMS: tuple[Arm, ...] = (
    Arm("scratch, stage 1", 1, None),
    Arm("zoo, stage 1", 1, "zoo"),
    Arm("scratch, stage 1, stage 2", 2, "scratch, stage 1"),
    Arm("zoo, stage 1, stage 2", 2, "zoo, stage 1"),
    Arm("scratch, stage 2 alone", 2, None),
    Arm("zoo, stage 2 alone", 2, "zoo"),
)
"""Parents stand before their children."""


@dataclass(frozen=True)
class Question:
    """A comparison that the study answers: is arm better than other on the held-out images of a stage?"""

    text: str
    arm: str
    other: str
    stage: int


QUESTIONS: tuple[Question, ...] = (
    Question("Does transfer help on stage 1?", "zoo, stage 1", "scratch, stage 1", 1),
    Question("Does transfer help on stage 2 after stage 1?", "zoo, stage 1, stage 2", "scratch, stage 1, stage 2", 2),
    Question("Does transfer help on stage 2 alone?", "zoo, stage 2 alone", "scratch, stage 2 alone", 2),
    Question(
        "Does fine-tuning on stage 2 help the net from scratch?", "scratch, stage 1, stage 2", "scratch, stage 1", 2
    ),
    Question("Does fine-tuning on stage 2 help the net from zoo?", "zoo, stage 1, stage 2", "zoo, stage 1", 2),
    Question("Does stage 1 help stage 2?", "scratch, stage 1, stage 2", "scratch, stage 2 alone", 2),
)


def study_parts(images: ImageSet, shares: Sequence[float], *, seed: int) -> np.ndarray:
    """Part of each image (str [n]) for all arms: whole groups across both stages.

    Groups with a lens in stage 2 (the rarest kind), with one in stage 1, and without any are dealt apart, so that
    each part gets its share of each. Raises InputError when the held-out part of a stage lacks lenses or others.
    """
    table = images.table
    groups = table["group"].to_numpy()
    kind = np.select([(table["lens"] == 1) & (table["stage"] == 2), table["lens"] == 1], [2, 1], 0)
    kind_of_group = pd.Series(kind).groupby(groups).transform("max").to_numpy()
    parts = np.empty(len(table), object)
    for one in np.unique(kind_of_group):
        rows = kind_of_group == one
        parts[rows] = split_groups(groups[rows], shares, seed=seed)
    for stage in (1, 2):
        for part in ("train", "test"):
            labels = table["lens"][(parts == part) & (table["stage"] == stage).to_numpy()].dropna()
            lenses = int((labels == 1).sum())
            if lenses == 0 or lenses == len(labels):
                raise InputError(
                    f"pack: stage {stage} has {lenses} lenses among {len(labels)} known cutouts in the part '{part}', "
                    "expected some of both kinds",
                    "give a larger catalogue, or another seed or split",
                )
    return parts


def keep_share(parts: np.ndarray, groups: np.ndarray, share: float, *, seed: int) -> np.ndarray:
    """The parts with only a share of the training groups kept; the smaller shares are within the larger ones."""
    if not 0 < share <= 1:
        raise UsageError(f"--fractions: found {share:g}, expected numbers above 0 and at most 1", "use e.g. 0.05 0.2 1")
    names = np.unique(groups[parts == "train"])
    order = np.random.default_rng(seed).permutation(len(names))
    kept = names[order[: max(1, round(share * len(names)))]]
    return np.where((parts == "train") & ~np.isin(groups, kept), "", parts).astype(object)
