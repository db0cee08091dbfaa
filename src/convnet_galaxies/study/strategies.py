"""Training strategies of the study: what is trained on what, starting from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, split_groups
from convnet_galaxies.errors import InputError, UsageError

FORMER_KEYS = {
    "arm": "strategy",
    "arms": "strategies",
    "answers": "comparisons",
    "flattery": "leakage",
    "honest": "reference",
}
"""Columns of predictions and keys of results.json that had another name; folders of studies may still hold them."""


@dataclass(frozen=True)
class Strategy:
    """A training strategy: one way to a lens finder.

    name: as it is printed. stage: of the images it is trained on. parent: name of the strategy that it starts from,
    ``zoo`` for the Galaxy Zoo net, None for scratch.
    """

    name: str
    stage: int
    parent: str | None


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("scratch, stage 1", 1, None),
    Strategy("zoo, stage 1", 1, "zoo"),
    Strategy("scratch, stage 1, stage 2", 2, "scratch, stage 1"),
    Strategy("zoo, stage 1, stage 2", 2, "zoo, stage 1"),
    Strategy("scratch, stage 2 alone", 2, None),
    Strategy("zoo, stage 2 alone", 2, "zoo"),
)
"""Parents stand before their children."""


@dataclass(frozen=True)
class StudyQuestion:
    """A question of the study: is strategy better than other on the held-out images of a stage?"""

    text: str
    strategy: str
    other: str
    stage: int


STUDY_QUESTIONS: tuple[StudyQuestion, ...] = (
    StudyQuestion("Does transfer help on stage 1?", "zoo, stage 1", "scratch, stage 1", 1),
    StudyQuestion(
        "Does transfer help on stage 2 after stage 1?", "zoo, stage 1, stage 2", "scratch, stage 1, stage 2", 2
    ),
    StudyQuestion("Does transfer help on stage 2 alone?", "zoo, stage 2 alone", "scratch, stage 2 alone", 2),
    StudyQuestion(
        "Does fine-tuning on stage 2 help the net from scratch?", "scratch, stage 1, stage 2", "scratch, stage 1", 2
    ),
    StudyQuestion("Does fine-tuning on stage 2 help the net from zoo?", "zoo, stage 1, stage 2", "zoo, stage 1", 2),
    StudyQuestion("Does stage 1 help stage 2?", "scratch, stage 1, stage 2", "scratch, stage 2 alone", 2),
)


def study_parts(images: ImageSet, fractions: Sequence[float], *, seed: int) -> np.ndarray:
    """Return the part of each image (str [n]) for all strategies: whole groups across both stages, each kind of group
    split apart.

    Raises InputError when the training or the held-out part of a stage lacks lenses or others.
    """
    groups, kind = images.table["group"].to_numpy(), kind_of_groups(images.table)
    parts = np.empty(len(groups), object)
    for one in np.unique(kind):
        rows = kind == one
        parts[rows] = split_groups(groups[rows], fractions, seed=seed)
    for part in ("train", "test"):
        _require_both(images.table, parts, part, "give a larger catalogue, or another seed or split")
    return parts


def keep_fraction(parts: np.ndarray, table: pd.DataFrame, fraction: float, *, seed: int) -> np.ndarray:
    """Return the parts with only a fraction of the training groups kept, of each kind at least one.

    table: that of the images, columns group, lens and stage. The smaller fractions are within the larger ones.
    Raises InputError when a stage is left without lenses or without others.
    """
    if not 0 < fraction <= 1:
        raise UsageError(
            f"--label-fractions: found {fraction:g}, expected numbers above 0 and at most 1", "use e.g. 0.05 0.2 1"
        )
    groups, kind = table["group"].to_numpy(), kind_of_groups(table)
    kept: list[np.ndarray] = []
    for one in np.unique(kind):
        names = np.unique(groups[(parts == "train") & (kind == one)])
        order = np.random.default_rng(seed).permutation(len(names))
        kept.append(names[order[: max(1, round(fraction * len(names)))]])
    left = np.where((parts == "train") & ~np.isin(groups, np.concatenate(kept)), "", parts).astype(object)
    _require_both(table, left, "train", f"give a larger catalogue, or larger --label-fractions than {fraction:g}")
    return left


def count_lenses(number: int) -> str:
    """``1 lens``, ``1,234 lenses``."""
    return f"{number:,} lens{'es' * (number != 1)}"


def kind_of_groups(table: pd.DataFrame) -> np.ndarray:
    """Return the kind of each image's group, int [n]: a group is what its rarest image is.

    4: a lens of stage 2, 3: a lens of stage 1, 2: another known image of stage 2, 1: of stage 1, 0: nothing known.
    Kinds are dealt apart, or a split would leave some part, or a small share of the labels, without the rare ones.
    """
    lens, stage = table["lens"], table["stage"].astype(float)
    known = lens.notna()
    kind = np.select([(lens == 1) & (stage == 2), lens == 1, known & (stage == 2), known], [4, 3, 2, 1], 0)
    return pd.Series(kind).groupby(table["group"].to_numpy()).transform("max").to_numpy()


def _require_both(table: pd.DataFrame, parts: np.ndarray, part: str, advice: str) -> None:
    for stage in (1, 2):
        labels = table["lens"][(parts == part) & (table["stage"].astype(float) == stage).to_numpy()].dropna()
        lenses = int((labels == 1).sum())
        if lenses == 0 or lenses == len(labels):
            raise InputError(
                f"pack: stage {stage} has {count_lenses(lenses)} among {len(labels)} known cutouts in the "
                f"part '{part}', expected some of both kinds",
                advice,
            )
