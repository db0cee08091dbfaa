"""Grades as labels of an image set: soft for training, hard for scores and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.human_grades import HIGHEST_GRADE, join_grades, name_subjects
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.agreement import LENS_GRADE, OTHER_GRADE
from convnet_galaxies.paths import StrPath

GRADED, KIND = "graded", "grade_kind"
"""Columns that are added: whether the label is a grade (bool), and what the image shows if no lens."""
NOT_KINDS = frozenset({"", "sim", "dud", "test", "lens", "candidate"})
"""Values of a column kind that do not name what an image without a lens shows, such as those of Space Warps."""


@dataclass(frozen=True)
class GradedSet:
    """An image set with its grades as labels.

    images: the set, with grades in the column lens where there was no label. graded: number of labels that are grades;
    hard_negatives: those of them that graders named a kind for (ring, spiral ...). remarks: sentences for the user.
    """

    images: ImageSet
    graded: int
    hard_negatives: int
    remarks: tuple[str, ...]


def label_by_grades(
    images: ImageSet, grades: StrPath | Sequence[StrPath], *, soft: bool = True, use_consensus: bool = False
) -> GradedSet:
    """Return a set whose images without a label have their grade as label.

    grades: files of human_grades.read_grades; grades of an image in several files, or of several graders, are averaged.
    soft: labels from 0 to 1, the grade divided by 3; a hard label is 1 from grade 2 on, 0 below grade 1, and between
    them there is none. Where there is no grade but a probability of the crowd, three times that is the grade. An image
    of a named kind and below grade 2 is no lens in both. use_consensus: take the probability by the model of graders
    (column lens_consensus) in place of the grade; hard labels are 1 from 0.5 on.
    Labels that are there stay, since they are known, not judged. Where a flavor is missing and the grade gives no lens,
    it becomes a dud.
    Raises InputError for grades of none of the images, or without the consensus that is wanted.
    """
    paths = [grades] if isinstance(grades, str | Path) or not isinstance(grades, Sequence) else list(grades)
    given = join_grades([Path(path) for path in paths], ()).choose(images.table)
    is_by_image = images.table["id"].astype(str).isin(given.ids).to_numpy()
    names = images.table["id"].astype(str).to_numpy() if is_by_image.any() else name_subjects(images.table, given.ids)
    columns = {"grade": given.grade, "crowd": given.crowd, "kind": given.kind, "consensus": given.consensus}
    found = pd.DataFrame(columns, index=given.ids)
    found = found.reindex(names).reset_index(drop=True)
    kind = found["kind"].fillna("").where(~found["kind"].isin(NOT_KINDS), "")
    grade, crowd = found["grade"].to_numpy(float), found["crowd"].to_numpy(float)
    is_crowd = np.isnan(grade) & np.isfinite(crowd)
    grade = np.where(is_crowd, HIGHEST_GRADE * crowd, grade)
    share = found["consensus"].to_numpy(float) if use_consensus else grade / HIGHEST_GRADE
    if use_consensus and not np.isfinite(share).any():
        raise InputError(
            f"{', '.join(map(str, paths))}: found no column lens_consensus with values, expected it for the consensus",
            "export the grades with `inspect SOURCE --export`; a consensus needs two graders or known images",
        )
    is_kind = (kind != "").to_numpy() & ~(grade >= LENS_GRADE)
    lens = share if soft else _harden(share, *((0.5, 0.5) if use_consensus else _bounds()))
    lens = np.where(is_kind, 0.0, lens)
    old = images.table["lens"].to_numpy(float) if "lens" in images.table else np.full(len(images), np.nan)
    is_new = np.isfinite(lens) & np.isnan(old)
    table = images.table.assign(
        lens=np.where(is_new, lens, old), **{GRADED: is_new, KIND: kind.where(is_new, "").astype("str").to_numpy()}
    )
    if "flavor_label" in table:
        is_dud = is_new & (lens == 0) & table["flavor_label"].isna().to_numpy()
        table["flavor_label"] = table["flavor_label"].where(~is_dud, "dud")
    remarks = _remark(grade, is_kind, is_new, old, len(given.ids), len(set(names) & set(given.ids)), soft=soft)
    if by_crowd := int((is_crowd & is_new).sum()):
        remarks = (*remarks, f"{by_crowd:,} of the labels are the crowd's probability, since there is no grade")
    return GradedSet(replace(images, table=table), int(is_new.sum()), int((is_kind & is_new).sum()), remarks)


def _bounds() -> tuple[float, float]:
    return OTHER_GRADE / HIGHEST_GRADE, LENS_GRADE / HIGHEST_GRADE


def _harden(share: np.ndarray, below: float, above: float) -> np.ndarray:
    """Return 1 from above on, 0 below below, NaN between them."""
    tiny = 1e-9  # a mean of grades is rounded
    return np.select([share >= above - tiny, share < below - tiny], [1.0, 0.0], np.nan)


def _remark(
    grade: np.ndarray, is_kind: np.ndarray, is_new: np.ndarray, old: np.ndarray, total: int, here: int, *, soft: bool
) -> tuple[str, ...]:
    kinds = int((is_kind & is_new).sum())
    remarks = [f"{int(is_new.sum()):,} images have their grade as label, {kinds:,} of them a kind that is no lens"]
    if here < total:
        remarks.append(f"{total - here:,} of {total:,} graded subjects are not among these images")
    if known := int((np.isfinite(grade) & np.isfinite(old)).sum()):
        remarks.append(f"{known:,} graded images keep the label that they have")
    between = np.isfinite(grade) & (grade >= OTHER_GRADE) & (grade < LENS_GRADE) & ~is_kind & np.isnan(old)
    if not soft and between.any():
        remarks.append(
            f"{int(between.sum()):,} images of a grade from {OTHER_GRADE:g} to below {LENS_GRADE:g} have no label"
        )
    return tuple(remarks)
