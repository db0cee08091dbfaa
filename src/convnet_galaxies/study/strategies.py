"""Training strategies of the study: what is trained on what, starting from what, with which splits and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, split_groups
from convnet_galaxies.errors import InputError, UsageError

ZOO, CONTROL = "zoo", "shuffled votes"
"""Parents that the study trains: on the votes of Galaxy Zoo, and on the same votes dealt to other galaxies."""
SCRATCH, LONGER = "scratch", "scratch, compute of both"
"""Starts without a parent; the second trains on as many images as the parent ``zoo`` and its child together."""
LEAKING_SPLIT, FLAVOR_STRATEGY = "leaking random split", "flavors"


@dataclass(frozen=True)
class Strategy:
    """A training strategy: one way to a lens finder.

    name: as it is printed. stage: of the images it is trained on; None for packs without stages. parent: name of the
    strategy that it starts from, ``zoo`` or ``shuffled votes`` for a Galaxy Zoo net, a run that was given, None for
    scratch. is_longer: whether it has the compute of parent and child together.
    """

    name: str
    stage: int | None
    parent: str | None
    is_longer: bool = False

    @property
    def scored_on(self) -> tuple[int, ...]:
        """The stages on whose held-out images it is scored; images without stages count as stage 1."""
        return (1,) if self.stage is None else tuple(stage for stage in (1, 2) if stage >= self.stage)


@dataclass(frozen=True)
class StudyQuestion:
    """A question of the study: is strategy better than other on the held-out images of a stage?

    subject: what the sentence is about, e.g. ``transfer from zoo``. place: where, e.g. ``on stage 1``.
    is_leading: whether its answer stands in the first sentence of a report.
    """

    subject: str
    place: str
    strategy: str
    other: str
    stage: int
    is_leading: bool = False

    @property
    def text(self) -> str:
        """The question in words."""
        return f"Does {self.subject} help {self.place}?"


def list_strategies(parents: Sequence[str], *, has_stages: bool, with_controls: bool = True) -> tuple[Strategy, ...]:
    """Return the strategies of a study, parents before their children.

    parents: the networks to start from: ``zoo`` where votes are given, and runs. Only the first is followed to
    stage 2. with_controls: whether ``zoo`` is also compared with longer training and with shuffled votes.
    """
    tail, stage = (", stage 1", 1) if has_stages else ("", None)
    is_controlled = with_controls and ZOO in parents
    first = [Strategy(f"{SCRATCH}{tail}", stage, None)]
    if is_controlled:
        first.append(Strategy(f"{LONGER}{tail}", stage, None, is_longer=True))
    first += [Strategy(f"{one}{tail}", stage, one) for one in (*parents, *([CONTROL] * is_controlled))]
    if not has_stages:
        return tuple(first)
    starts = (SCRATCH, *parents[:1])
    return (
        *first,
        *(Strategy(f"{one}, stage 1, stage 2", 2, f"{one}, stage 1") for one in starts),
        *(Strategy(f"{one}, stage 2 alone", 2, None if one == SCRATCH else one) for one in starts),
    )


def list_questions(
    parents: Sequence[str], *, has_stages: bool, with_controls: bool = True
) -> tuple[StudyQuestion, ...]:
    """Return the questions that the strategies of a study answer, the leading ones first; as list_strategies."""
    tail, place = (", stage 1", "on stage 1") if has_stages else ("", "on held-out images")
    main = parents[0]
    asked = [StudyQuestion(f"transfer from {main}", place, main + tail, SCRATCH + tail, 1, is_leading=True)]
    if has_stages:
        end = ", stage 1, stage 2"
        asked.append(
            StudyQuestion(f"transfer from {main}", "on stage 2 after stage 1", main + end, SCRATCH + end, 2, True)
        )
    asked += [StudyQuestion(f"transfer from {one}", place, one + tail, SCRATCH + tail, 1) for one in parents[1:]]
    if with_controls and ZOO in parents:
        asked += [
            StudyQuestion(
                "transfer from zoo",
                f"{place}, compared with longer training from scratch",
                ZOO + tail,
                LONGER + tail,
                1,
            ),
            StudyQuestion("transfer from shuffled votes", place, CONTROL + tail, SCRATCH + tail, 1),
            StudyQuestion("transfer from zoo", f"{place}, compared with shuffled votes", ZOO + tail, CONTROL + tail, 1),
        ]
    if has_stages:
        alone = ", stage 2 alone"
        asked += [
            StudyQuestion(f"transfer from {main}", "on stage 2 alone", main + alone, SCRATCH + alone, 2),
            StudyQuestion("fine-tuning on stage 2", "for the net from scratch", SCRATCH + end, SCRATCH + tail, 2),
            StudyQuestion("fine-tuning on stage 2", f"for the net from {main}", main + end, main + tail, 2),
            StudyQuestion("training on stage 1 first", "on stage 2", SCRATCH + end, SCRATCH + alone, 2),
        ]
    return tuple(asked)


def study_parts(images: ImageSet, fractions: Sequence[float], *, repetition: int, seed: int = 0) -> np.ndarray:
    """Return the part of each image (str [n]) for all strategies of a repetition: whole groups across both stages,
    each kind of group split apart.

    The test parts of successive repetitions are disjoint until every image was in one, as in cross-validation; then the
    groups are dealt anew. fractions: of train, validation and test. Raises InputError when the training or the held-out
    part of a stage lacks lenses or others.
    """
    groups, kind = images.table["group"].to_numpy(), kind_of_groups(images.table)
    train, validation, _ = fractions
    folds = count_folds(fractions)
    deal, fold = divmod(repetition, folds)
    parts = np.empty(len(groups), object)
    for one in np.unique(kind):
        rows = np.flatnonzero(kind == one)
        is_test = _deal_folds(groups[rows], folds, seed=seed + 1000 * deal) == fold
        parts[rows[is_test]], left = "test", rows[~is_test]
        rest = (train / (train + validation), validation / (train + validation), 0.0)
        parts[left] = split_groups(groups[left], rest, seed=seed + repetition)
    for part in ("train", "test"):
        _require_both(images.table, parts, part, "give a larger catalogue, or another seed or split")
    return parts


def count_folds(fractions: Sequence[float]) -> int:
    """Return the number of disjoint test parts of the wanted fraction of the images, at least two."""
    if fractions[2] <= 0:
        raise UsageError("split.test: found 0, expected a fraction above 0: a study needs held-out images", "use 0.2")
    return max(2, round(1 / fractions[2]))


def _deal_folds(groups: np.ndarray, folds: int, *, seed: int) -> np.ndarray:
    # The smallest fold takes the next group, so that the folds hold equally many images.
    codes, names = pd.factorize(groups)
    sizes, have, fold_of = np.bincount(codes, minlength=len(names)), np.zeros(folds), np.empty(len(names), int)
    rng = np.random.default_rng(seed)
    have += rng.permutation(folds) * 1e-6  # the first group of a rare kind goes to any fold
    for group in rng.permutation(len(names)):
        fold_of[group] = int(np.argmin(have))
        have[fold_of[group]] += sizes[group]
    return fold_of[codes]


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
    lens, stage = table["lens"], stage_of(table)
    known = lens.notna()
    kind = np.select([(lens == 1) & (stage == 2), lens == 1, known & (stage == 2), known], [4, 3, 2, 1], 0)
    return pd.Series(kind).groupby(table["group"].to_numpy()).transform("max").to_numpy()


def _require_both(table: pd.DataFrame, parts: np.ndarray, part: str, advice: str) -> None:
    for stage in (1, 2) if "stage" in table else (1,):
        labels = table["lens"][(parts == part) & (stage_of(table) == stage).to_numpy()].dropna()
        lenses = int((labels == 1).sum())
        if lenses == 0 or lenses == len(labels):
            where = f"stage {stage}" if "stage" in table else "the pack"
            raise InputError(
                f"pack: {where} has {count_lenses(lenses)} among {len(labels)} known cutouts in the "
                f"part '{part}', expected some of both kinds",
                advice,
            )


def stage_of(table: pd.DataFrame) -> pd.Series:
    """Return the Space Warps stage of each image, float [n]; 1 where a pack has none."""
    return table["stage"].astype(float) if "stage" in table else pd.Series(1.0, index=table.index)
