"""Compare the network with human grades: expert grades and probabilities of the crowd, subject by subject.

Experts graded only what the crowd liked, so that the crowd's figures among all subjects are flattered; everything
here is among graded subjects alone. A subject's score is that of its best cutout. Differences are paired.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.calibration import FOLDS
from convnet_galaxies.measure.comparisons import UNSEEN, correlate_ranks
from convnet_galaxies.measure.intervals import Estimate, Statistic, bootstrap_groups, encode_groups
from convnet_galaxies.measure.ranking import Ranking, measure_auroc, measure_average_precision

LENS_GRADE = 2.0
"""Mean grade (0 no lens ... 3 certain) from which a subject counts as a lens (More et al. 2016, arXiv:1504.05587)."""
OTHER_GRADE = 1.0
"""Mean grade below which a subject counts as no lens; between the two it counts as neither."""


@dataclass(frozen=True)
class Subjects:
    """One row a subject.

    ids: str [s]; net, crowd: float [s] in 0..1 (crowd NaN where unknown); grade: float [s]; groups: [s].
    """

    ids: np.ndarray
    net: np.ndarray
    crowd: np.ndarray
    grade: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """Figures by judge ("net", "crowd", "both"), and paired differences ("net - crowd", ...).

    Each value maps auroc, average_precision, "precision in top K" and spearman to an Estimate. The first three are for
    grade >= 2 against grade < 1, spearman is over all grades. "both" is held out, see combine_held_out.
    """

    n_subjects: int
    n_lenses: int
    n_others: int
    judges: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missed:
    """Disagreements, worst first: rows into Subjects, int arrays."""

    high_grade_low_score: np.ndarray
    low_grade_high_score: np.ndarray


def gather_subjects(
    cutout_subjects: np.ndarray,
    probability: np.ndarray,
    graded_subjects: np.ndarray,
    grade: np.ndarray,
    *,
    crowd: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Subjects:
    """Return subjects that have both a cutout and a grade, each once.

    cutout_subjects: str [n], probability: float [n], one a cutout; the best counts. graded_subjects: str [g],
    grade: float [g], crowd: float [g], groups: [g] (the subject itself by default); a subject that was graded twice
    has the mean of its finite grades. Raises InputError when no id matches.
    """
    cutout_subjects, graded_subjects = (np.asarray(ids).astype(str) for ids in (cutout_subjects, graded_subjects))
    probability, grade = np.asarray(probability, float), np.asarray(grade, float)
    has_grade = np.isfinite(grade)
    ids = np.intersect1d(cutout_subjects, graded_subjects[has_grade])
    if len(ids) == 0:
        example = graded_subjects[0] if len(graded_subjects) else "none"
        cutout = cutout_subjects[0] if len(cutout_subjects) else "none"
        raise InputError(
            f"grades: found no graded subject among the images (graded: {example}, ...; images: {cutout}, ...), "
            "expected the same kind of id in both",
            "give grades by the ids that the images' table has, e.g. ZooID",
        )
    rows = np.isin(cutout_subjects, ids)
    scores = probability[rows]
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InputError(
            "grades: found a score of the network that is NaN or outside 0 to 1, expected none", "check the predictions"
        )
    net = np.zeros(len(ids))
    np.maximum.at(net, np.searchsorted(ids, cutout_subjects[rows]), scores)

    def average(values: np.ndarray) -> np.ndarray:
        kept = np.isin(graded_subjects, ids) & np.isfinite(values)
        at = np.searchsorted(ids, graded_subjects[kept])
        n = np.bincount(at, minlength=len(ids))
        return np.divide(np.bincount(at, values[kept], len(ids)), n, out=np.full(len(ids), np.nan), where=n > 0)

    first_row = {subject: row for row, subject in reversed(list(enumerate(graded_subjects)))}
    first = np.array([first_row[subject] for subject in ids])
    return Subjects(
        ids=ids,
        net=net,
        crowd=np.full(len(ids), np.nan) if crowd is None else average(np.asarray(crowd, float)),
        grade=average(grade),
        groups=ids if groups is None else np.asarray(groups).astype(str)[first],
    )


def compare_eyes(
    subjects: Subjects, *, top: tuple[int, ...] = (10, 20, 50), seed: int, level: float = 0.95, n_resamples: int = 1000
) -> Agreement:
    """Return net, crowd and both against the experts, with paired differences. The crowd's part needs its
    probabilities.

    Raises InputError unless there are subjects of grade >= 2 and of grade < 1.
    """
    remarks = []
    known = np.isfinite(subjects.crowd)
    with_crowd = bool(known.any())
    if with_crowd and not known.all():
        remarks.append(f"{int((~known).sum())} graded subjects without a crowd probability are left out of all figures")
        subjects = _select(subjects, known)
    lens, other = subjects.grade >= LENS_GRADE, subjects.grade < OTHER_GRADE
    if not lens.any() or not other.any():
        raise InputError(
            f"grades: found {int(lens.sum())} subjects of grade >= {LENS_GRADE:g} and {int(other.sum())} of grade < "
            f"{OTHER_GRADE:g}, expected some of each",
            "give more grades",
        )
    scores = {"net": subjects.net}
    if with_crowd:
        scores["crowd"] = subjects.crowd
        try:
            scores["both"] = combine_held_out(subjects, seed=seed)
        except InputError as error:
            remarks.append(f"network and crowd are not combined: {error.message}")
    sizes = tuple(k for k in top if k <= int((lens | other).sum()))
    names = ("auroc", "average_precision", *(f"precision in top {k}" for k in sizes), "spearman")
    statistics = {judge: _judge(subjects, score, lens, other, sizes) for judge, score in scores.items()}
    rarer = min(encode_groups(subjects.groups[side])[1] for side in (lens, other))
    n_all = encode_groups(subjects.groups)[1]
    effective = [rarer, rarer, *sizes, n_all]

    def bootstrap(
        statistic: Statistic, proportion: list[bool], errors: Sequence[float] = (0.0,)
    ) -> dict[str, Estimate]:
        return bootstrap_groups(
            statistic,
            subjects.groups,
            names,
            seed=seed,
            level=level,
            n_resamples=n_resamples,
            n_effective=effective,
            proportion=proportion,
            auroc=[name == "auroc" and proportion[0] for name in names],
            extra_error=errors,
        )

    judges = {judge: bootstrap(one, [True] * (2 + len(sizes)) + [False]) for judge, one in statistics.items()}
    pairs = [(a, b) for a, b in (("net", "crowd"), ("both", "crowd"), ("both", "net")) if {a, b} <= set(scores)]
    # What no resample shows, as for two networks; the precision is a proportion, as the completeness.
    unseen = [UNSEEN["auroc"] / rarer, UNSEEN["average_precision"] / rarer, *(UNSEEN["tpr0"] / k for k in sizes), 0.0]
    differences = {}
    for a, b in pairs:
        apart = np.sqrt(2 * (1 - correlate_ranks(scores[a][other], scores[b][other])))
        differences[f"{a} - {b}"] = bootstrap(
            _subtract(statistics[a], statistics[b]), [False] * len(names), [float(one * apart) for one in unseen]
        )
    return Agreement(len(subjects.ids), int(lens.sum()), int(other.sum()), judges, differences, tuple(remarks))


def combine_held_out(subjects: Subjects, *, seed: int) -> np.ndarray:
    """Return the net and crowd as one score in 0..1, float [s]: logistic regression on their normal scores, each
    subject held out.

    A normal score is the normal quantile of the rank among all subjects (van der Waerden 1952), for which no grade is
    needed. The crowd's probabilities saturate near 0 and 1, where their logits say more of rounding than of lenses.

    Fitted on grade >= 2 against grade < 1 of other groups, stratified, so that it does not flatter. Raises
    InputError for fewer than two groups of either, which cannot be held out.
    """
    lens, other = subjects.grade >= LENS_GRADE, subjects.grade < OTHER_GRADE
    least = min(encode_groups(subjects.groups[side])[1] if side.any() else 0 for side in (lens, other))
    if least < 2:
        raise InputError(
            f"grades: found {least} groups of the rarer grade, expected at least 2 to hold some out", "give more grades"
        )
    ranks = rankdata(np.stack([subjects.net, subjects.crowd], axis=1), axis=0)
    x = norm.ppf(ranks / (len(ranks) + 1))
    combined = np.empty(len(x))
    # Ungraded middle subjects are dealt too, as a class of their own: they are scored, but never fitted on.
    kind = np.where(lens, 2, np.where(other, 0, 1))
    splitter = StratifiedGroupKFold(min(FOLDS, least), shuffle=True, random_state=seed)
    decided = lens | other
    for train, held_out in _split(splitter, kind, subjects.groups):
        rows = train[decided[train]]
        model = LogisticRegression(C=1.0).fit(x[rows], lens[rows])
        combined[held_out] = model.predict_proba(x[held_out])[:, 1]
    return combined


def list_missed(subjects: Subjects, *, number: int = 20) -> Missed:
    """List the best-graded subjects that rank lowest, the worst-graded that rank highest, by the net's score."""
    rank = rankdata(-subjects.net) / len(subjects.net)
    grade_rank = rankdata(-subjects.grade) / len(subjects.net)
    lens, other = (np.flatnonzero(side) for side in (subjects.grade >= LENS_GRADE, subjects.grade < OTHER_GRADE))
    gap = rank - grade_rank
    return Missed(
        high_grade_low_score=lens[np.argsort(-gap[lens], kind="stable")][:number],
        low_grade_high_score=other[np.argsort(gap[other], kind="stable")][:number],
    )


def _judge(
    subjects: Subjects, score: np.ndarray, lens: np.ndarray, other: np.ndarray, sizes: tuple[int, ...]
) -> Statistic:
    codes, _ = encode_groups(subjects.groups)
    decided = lens | other
    ranking = Ranking(lens[decided], score[decided], codes[decided])
    score_cells, grade_cells = (np.unique(values, return_inverse=True)[1] for values in (score, subjects.grade))

    def statistic(counts: np.ndarray) -> np.ndarray:
        tp, fp = ranking.accumulate(counts)
        columns = [measure_auroc(tp, fp), measure_average_precision(tp, fp)]
        columns += [_measure_precision(tp, fp, k) for k in sizes]
        weights = counts[:, codes]
        ranks = [_rank(cells, weights) for cells in (score_cells, grade_cells)]
        return np.stack([*columns, _correlate(ranks[0], ranks[1], weights)], axis=1)

    return statistic


def _measure_precision(tp: np.ndarray, fp: np.ndarray, k: int) -> np.ndarray:
    """Precision among the k best [resamples]; where a tie straddles rank k, its mean over all orders of the tie."""
    seen = np.concatenate([np.zeros((len(tp), 1)), tp + fp], axis=1)
    found = np.concatenate([np.zeros((len(tp), 1)), tp], axis=1)
    return (
        np.array([np.interp(k, n, lenses) if n[-1] >= k else np.nan for n, lenses in zip(seen, found, strict=True)]) / k
    )


def _rank(cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mid-ranks [resamples, n] of values given as rising cell numbers, int [n]; weights: [resamples, n]."""
    totals = np.zeros((len(weights), cells.max() + 1))
    order = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.diff(cells[order], prepend=-1))
    totals[:] = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(totals, axis=1) - totals / 2)[:, cells]


def _correlate(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation along the rows; NaN when one side does not vary."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = (x - (x * weights).sum(axis=1, keepdims=True) / total for x in (a, b))
    spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    return np.divide((weights * a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > 0)


def _subtract(a: Statistic, b: Statistic) -> Statistic:
    return lambda counts: a(counts) - b(counts)


def _select(subjects: Subjects, rows: np.ndarray) -> Subjects:
    return Subjects(*(getattr(subjects, name)[rows] for name in ("ids", "net", "crowd", "grade", "groups")))


def _split(splitter: StratifiedGroupKFold, kind: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    with warnings.catch_warnings():  # the middle grades may be fewer than the folds: they are never fitted on
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(splitter.split(np.zeros((len(kind), 1)), kind, groups))
