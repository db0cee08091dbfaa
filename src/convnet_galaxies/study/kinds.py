"""By what the cutouts show: which lenses net and crowd miss, and which others they take for lenses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.agreement import LENS_GRADE, OTHER_GRADE, Subjects
from convnet_galaxies.measure.cutout_look import KINDS, look_at
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.scores import score_lenses


@dataclass(frozen=True)
class KindFigures:
    """One kind of cutout (see measure.cutout_look).

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
    """Kind of each packed image, str [n]; None where the pixels have no scale or no colour."""
    scale = preprocess.pixel_scale_arcsec
    if scale is None or preprocess.crop_px is None or preprocess.bands < 2:
        return None
    packed_scale = scale * preprocess.crop_px / preprocess.size_px
    return np.array([look_at(np.asarray(image), packed_scale).kind for image in images], dtype=str)


def score_kinds(subjects: Subjects, kind: np.ndarray, *, seed: int) -> tuple[KindFigures, ...]:
    """Figures of every kind that is there; kind: str [s], of the best cutout of each subject."""
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
        for one in KINDS
        if ((lens | other) & (kind == one)).any()
    )


def judges_of(kinds: Sequence[KindFigures]) -> list[str]:
    """Names of the judges that have a figure of some kind, in order."""
    return list(dict.fromkeys(name for one in kinds for name in (*one.lenses_auroc, *one.others_auroc)))
