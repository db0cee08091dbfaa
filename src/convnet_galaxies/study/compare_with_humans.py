"""The network beside experts and volunteers on the same subjects: agreement, failures, and their kinds of cutouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.data.human_grades import HIGHEST_GRADE, HumanGrades, name_subjects
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.agreement import (
    LENS_GRADE,
    OTHER_GRADE,
    Agreement,
    Subjects,
    compare_eyes,
    gather_subjects,
    list_missed,
)
from convnet_galaxies.measure.cutout_morphology import MORPHOLOGY_KINDS, measure_morphology
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.scores import score_lenses

GRADED = "subjects that experts graded"
EVERYONE = "all subjects of grades or crowd, those that nobody graded as no lens"
CROWD_ALONE = "the crowd instead of experts (lens from probability 2/3, none below 1/3)"


@dataclass(frozen=True)
class Disagreement:
    """A subject on which net and experts disagree.

    id: of its best cutout; rank: that the net gives the cutout among the unknown images; probability: the net's;
    grade: of the experts; crowd: the crowd's probability, None when it is not known.
    """

    subject: str
    id: str
    rank: int
    probability: float
    grade: float
    crowd: float | None


@dataclass(frozen=True)
class HumanComparison:
    """Agreement by set of subjects, and the disagreements, worst first.

    missed: graded as lenses, ranked low by the net; overrated: graded as none, ranked high. remarks: sentences.
    kinds: of graded subjects, by what their cutouts show; empty when the pixels do not tell.
    """

    agreement: dict[str, Agreement]
    missed: tuple[Disagreement, ...]
    overrated: tuple[Disagreement, ...]
    remarks: tuple[str, ...] = ()
    kinds: tuple[KindFigures, ...] = ()


def compare_with_humans(
    table: pd.DataFrame,
    probability: np.ndarray,
    grades: HumanGrades,
    *,
    kinds_of: Callable[[np.ndarray], np.ndarray | None] | None = None,
    seed: int,
) -> HumanComparison:
    """Compare the net's probabilities, float [n], of the images of a table with grades and crowd.

    kinds_of: rows of the table, int [s], to the kind of each, str [s] (see find_kinds; only the best cutouts of the
        subjects are asked for); None, or None from it, leaves the figures by kind out.
    Where the grades name the very images, each image is a subject; resamples draw whole fields all the same.
    Experts graded only what the crowd liked, so that the crowd's figures are flattered among all subjects: both
    sets are reported. Raises InputError when no id matches; a set in which a class is missing gives a remark.
    """
    grades = grades.choose(table)
    subjects = name_subjects(table, grades.ids)
    graded = np.isfinite(grades.grade)
    shown = np.isin(grades.ids, subjects)
    remarks = [
        f"{int(shown.sum()):,} of the {len(grades.ids):,} subjects given are among the images; "
        f"{len(np.unique(subjects[np.isin(subjects, grades.ids)])):,} subjects are compared."
    ]
    if shown.any() and not np.isfinite(np.r_[grades.grade[shown], grades.crowd[shown]]).any():
        raise InputError(
            f"grades: found neither a grade nor a probability of the {int(shown.sum()):,} subjects that are among the "
            "images, expected numbers",
            "fill the column in, or leave the file out",
        )
    seen = graded & shown
    if seen.any():
        lenses = int((grades.grade[seen] >= LENS_GRADE).sum())
        remarks.append(
            f"Of the {int(seen.sum()):,} graded subjects among them {lenses:,} ({lenses / seen.sum() * 100:.1f} %) "
            f"have grade {LENS_GRADE:g} or more."
        )
    sets: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    if graded.any():
        sets[GRADED] = graded, grades.grade, grades.crowd
        if (~graded & shown).any():
            sets[EVERYONE] = np.ones(len(graded), bool), np.where(graded, grades.grade, 0.0), grades.crowd
    else:
        sets[CROWD_ALONE] = np.ones(len(graded), bool), HIGHEST_GRADE * grades.crowd, np.full(len(graded), np.nan)
    agreement: dict[str, Agreement] = {}
    missed: tuple[Disagreement, ...] = ()
    overrated: tuple[Disagreement, ...] = ()
    kinds: tuple[KindFigures, ...] = ()
    for name, (rows, grade, crowd) in sets.items():
        try:
            joined = gather_subjects(
                subjects, probability, grades.ids[rows], grade[rows], crowd=crowd[rows], groups=grades.groups[rows]
            )
            if not agreement:
                best = _best_cutouts(subjects, probability)
                missed, overrated = _list(table, best, probability, joined)
                kind = kinds_of(np.array([best[one][1] for one in joined.ids])) if kinds_of is not None else None
                if kind is not None:
                    kinds = score_kinds(joined, kind, seed=seed)
            agreement[name] = compare_eyes(joined, seed=seed)
        except InputError as error:
            remarks.append(f"Not compared on {name}: {error.message}.")
    return HumanComparison(agreement, missed, overrated, tuple(remarks), kinds)


def _best_cutouts(cutout_subjects: np.ndarray, probability: np.ndarray) -> dict[str, tuple[int, int]]:
    """Rank and row of the best cutout of each subject: its first one in the ranking."""
    best: dict[str, tuple[int, int]] = {}
    for rank, row in enumerate(np.argsort(-probability, kind="stable"), start=1):
        best.setdefault(str(cutout_subjects[row]), (rank, int(row)))
    return best


def _list(
    table: pd.DataFrame, best: dict[str, tuple[int, int]], probability: np.ndarray, subjects: Subjects
) -> tuple[tuple[Disagreement, ...], tuple[Disagreement, ...]]:
    def describe(number: int) -> Disagreement:
        subject = str(subjects.ids[number])
        rank, row = best[subject]
        crowd = float(subjects.crowd[number])
        return Disagreement(
            subject,
            str(table["id"].iloc[row]),
            rank,
            float(probability[row]),
            float(subjects.grade[number]),
            crowd if np.isfinite(crowd) else None,
        )

    found = list_missed(subjects)
    return (
        tuple(describe(int(number)) for number in found.high_grade_low_score),
        tuple(describe(int(number)) for number in found.low_grade_high_score),
    )


@dataclass(frozen=True)
class KindFigures:
    """One kind of cutout (see measure.cutout_morphology).

    lenses, others: graded subjects of grade 2 or more, and below 1, that look so.
    lenses_auroc: by judge ("net", "crowd"), the lenses of this kind against all others. others_auroc: all lenses
    against the others of this kind. Both are empty where there are none.
    """

    kind: str
    lenses: int
    others: int
    lenses_auroc: dict[str, Estimate]
    others_auroc: dict[str, Estimate]


def find_kinds(images: np.ndarray, preprocess: Preprocess) -> np.ndarray | None:
    """Find the kind of each packed image, str [n]; None where the pixels have no scale or no colour."""
    scale = preprocess.pixel_scale_arcsec
    if scale is None or preprocess.crop_px is None or preprocess.bands < 2:
        return None
    packed_scale = scale * preprocess.crop_px / preprocess.size_px
    return np.array([measure_morphology(np.asarray(image), packed_scale).kind for image in images], dtype=str)


def score_kinds(subjects: Subjects, kind: np.ndarray, *, seed: int) -> tuple[KindFigures, ...]:
    """Compute figures of every kind that is there; kind: str [s], of the best cutout of each subject."""
    lens, other = subjects.grade >= LENS_GRADE, subjects.grade < OTHER_GRADE
    judges = {"net": subjects.net}
    if np.isfinite(subjects.crowd[lens | other]).all():
        judges["crowd"] = subjects.crowd

    def auroc(lenses: np.ndarray, others: np.ndarray) -> dict[str, Estimate]:
        rows = lenses | others
        try:
            return {
                name: score_lenses(lenses[rows], score[rows], subjects.groups[rows], seed=seed)["auroc"]
                for name, score in judges.items()
            }
        except InputError:  # none of one side
            return {}

    return tuple(
        KindFigures(
            one,
            int((lens & (kind == one)).sum()),
            int((other & (kind == one)).sum()),
            auroc(lens & (kind == one), other),
            auroc(lens, other & (kind == one)),
        )
        for one in MORPHOLOGY_KINDS
        if ((lens | other) & (kind == one)).any()
    )


def judges_of(kinds: Sequence[KindFigures]) -> list[str]:
    """Return names of the judges that have a figure of some kind, in order."""
    return list(dict.fromkeys(name for one in kinds for name in (*one.lenses_auroc, *one.others_auroc)))
