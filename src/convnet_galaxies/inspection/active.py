"""Active learning while grading: rank all candidates by the grades so far, and choose what to grade next.

A logistic regression on the main axes of the network's features is fitted anew at each call. It takes a few
hundredths of a second for hundreds of grades; ranking 100,000 candidates is one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.human_grades import HIGHEST_GRADE
from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.agreement import LENS_GRADE
from convnet_galaxies.measure.intervals import Estimate, bootstrap_groups
from convnet_galaxies.measure.scores import count_rarer_groups, make_lens_statistic
from convnet_galaxies.measure.similarity import find_directions

AXES = 32
PENALTY = 0.1
"""C of scikit-learn. Chosen with AXES on five rare classes of galaxies and 30 to 300 grades (docs/experiments.md)."""
STAND_INS = 300
"""Ungraded candidates, drawn at random, that stand in for rejected ones while nothing was rejected."""
FOLDS = 5
FEWEST_OF_A_KIND = 5
"""Graded candidates of the rarer kind from which held-out folds are made; fewer give no figure worth its interval."""
RESAMPLES = 400
POOL = 20
"""So many times the wanted number of the most uncertain candidates are looked at for those that differ most."""


@dataclass(frozen=True)
class CandidateSpace:
    """The candidates' features, reduced for ranking.

    points: float32 [n, k], main axes of the directions of features, mean square 1; has_features: bool [n], False where
    a candidate has none (its point is the origin).
    """

    points: np.ndarray
    has_features: np.ndarray

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class LikeRanking:
    """All candidates, ranked by the grades so far.

    probability: float64 [n], of the linear model, which counts lenses and others as equally many: a rank, not the
    fraction of lenses. order: int [n], the likeliest first, candidates without features last.
    n_graded, n_lenses: grades used, and those of at least 2. auroc: on grades left out of the fit, by folds that keep
    groups together; None where too few were given. remarks: what to know, one sentence each.
    """

    probability: np.ndarray
    order: np.ndarray
    n_graded: int
    n_lenses: int
    auroc: Estimate | None
    remarks: tuple[str, ...]


def make_space(features: np.ndarray, *, axes: int = AXES) -> CandidateSpace:
    """Return the space of candidates; features: float [n, f], NaN in rows that have none."""
    has_features = np.isfinite(features).all(axis=1)
    directions = find_directions(np.where(has_features[:, None], features, 0))
    known = directions if has_features.all() else directions[has_features]
    points = np.zeros((len(features), min(axes, features.shape[1])), np.float32)
    if len(known):
        centred = known - known.mean(axis=0)
        # The axes of the covariance, which is as small as the number of features, for any number of candidates.
        chosen = np.linalg.eigh(centred.T @ centred / len(centred)).eigenvectors[:, ::-1][:, :axes]
        found = centred @ chosen
        points[has_features] = found / max(float(np.sqrt((found.astype(float) ** 2).mean())), 1e-12)
    return CandidateSpace(points, has_features)


def rank_like(
    space: CandidateSpace, rows: np.ndarray, grades: np.ndarray, *, groups: np.ndarray | None = None, seed: int = 0
) -> LikeRanking:
    """Rank all candidates by the grades so far ("more like these").

    rows: int [g], the graded or picked candidates, each once; grades: float [g], 0 (no lens) to 3 (certain lens), a
    mean over graders or 3 for a pick; between the ends a candidate counts for both kinds in proportion.
    groups: str or int [g], candidates of one group stay on one side of a fold; None puts each in its own.
    Raises UsageError when nothing of at least grade 2 is there.
    """
    rows, grades = np.asarray(rows, int), np.asarray(grades, float)
    groups = np.arange(len(rows)) if groups is None else np.asarray(groups)
    kept = space.has_features[rows]
    remarks = []
    if not kept.all():
        remarks.append(f"{int((~kept).sum()):,} graded candidates have no features and are left out.")
    rows, grades, groups = rows[kept], grades[kept], groups[kept]
    truth = grades >= LENS_GRADE
    if not truth.any():
        raise UsageError(
            f"more like these: found {len(rows):,} graded candidates and none of grade {LENS_GRADE:g} or more, "
            "expected at least one",
            "grade or pick a candidate that is wanted",
        )
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(np.flatnonzero(space.has_features), rows)
    if truth.all() and len(others):
        stand_ins = rng.choice(others, min(STAND_INS, len(others)), replace=False)
        fit_rows = np.concatenate([rows, stand_ins])
        fit_grades = np.concatenate([grades, np.zeros(len(stand_ins))])
        remarks.append(
            f"Nothing was rejected yet: {len(stand_ins):,} candidates, drawn at random, stand in for what is not "
            "wanted."
        )
    else:
        fit_rows, fit_grades = rows, grades
    logit = _fit(space.points[fit_rows], fit_grades)(space.points)
    probability = 1 / (1 + np.exp(-logit))
    order = np.argsort(np.where(space.has_features, -logit, np.inf), kind="stable")
    auroc, remark = _hold_out(space.points[rows], grades, truth, groups, seed=seed)
    return LikeRanking(
        probability, order, len(rows), int(truth.sum()), auroc, (*remarks, *([remark] if remark else []))
    )


def choose_next(
    space: CandidateSpace, rows: np.ndarray, number: int, *, ranking: LikeRanking | None = None, seed: int = 0
) -> np.ndarray:
    """Return ungraded candidates to grade next, int [number] or fewer: uncertain to the linear model, and different.

    rows: int [g], what is graded. Of the most uncertain ones, POOL times as many as wanted, each next is the one
    farthest from all that are chosen (k-centre greedy: Sener & Savarese 2018, arXiv:1708.00489). Without a ranking, all
    are equally uncertain, and the pool is drawn at random.
    """
    free = np.setdiff1d(np.flatnonzero(space.has_features), rows)
    size = min(len(free), POOL * number)
    if ranking is None:
        pool = np.sort(np.random.default_rng(seed).choice(free, size, replace=False))
    else:
        pool = free[np.argsort(np.abs(ranking.probability[free] - 0.5), kind="stable")[:size]]
    if not len(pool):
        return pool
    points = space.points[pool]
    chosen = [0]  # the most uncertain one
    distance = ((points - points[0]) ** 2).sum(axis=1)
    while len(chosen) < min(number, len(pool)):
        farthest = int(distance.argmax())
        if not distance[farthest]:  # only copies of chosen ones are left
            left = np.setdiff1d(np.arange(len(pool)), chosen)[: number - len(chosen)]
            return pool[[*chosen, *left]]
        chosen.append(farthest)
        distance = np.minimum(distance, ((points - points[farthest]) ** 2).sum(axis=1))
    return pool[chosen]


class _Fit:
    """A fitted linear model; called with float [n, k], gives log odds float64 [n]."""

    def __init__(self, weights: np.ndarray, intercept: float) -> None:
        self.weights, self.intercept = weights.astype(np.float32), intercept

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return (points @ self.weights).astype(float) + self.intercept


def _fit(points: np.ndarray, grades: np.ndarray) -> _Fit:
    """Fit the model to soft labels: each candidate stands once among the lenses and once among the others, with
    weights; both kinds weigh the same in all."""
    from sklearn.linear_model import LogisticRegression  # slow to load

    share = np.clip(grades / HIGHEST_GRADE, 0, 1)
    sums = share.sum(), (1 - share).sum()
    if not min(sums) > 0:  # one kind alone, as when every candidate is wanted
        return _Fit(np.zeros(points.shape[1]), 0.0)
    weights = np.concatenate([share / sums[0], (1 - share) / sums[1]]) * len(points) / 2
    used = weights > 0
    doubled = np.concatenate([points, points])[used].astype(float)
    labels = np.repeat([1, 0], len(points))[used]
    model = LogisticRegression(C=PENALTY, max_iter=500).fit(doubled, labels, sample_weight=weights[used])
    return _Fit(model.coef_[0], float(model.intercept_[0]))


def _hold_out(
    points: np.ndarray, grades: np.ndarray, truth: np.ndarray, groups: np.ndarray, *, seed: int
) -> tuple[Estimate | None, str]:
    """Return the AUROC on grades left out of the fit, or None and why it cannot be given."""
    from sklearn.model_selection import StratifiedGroupKFold

    lens_groups, other_groups = len(set(groups[truth])), len(set(groups[~truth]))
    rarer = min(lens_groups, other_groups)
    if rarer < FEWEST_OF_A_KIND:
        return None, (
            f"Too few grades to tell how well the ranking holds: {int(truth.sum()):,} of at least {LENS_GRADE:g} in "
            f"{lens_groups:,} groups of linked candidates, {int((~truth).sum()):,} below in {other_groups:,}, expected "
            f"{FEWEST_OF_A_KIND} groups of each."
        )
    held_out = np.full(len(truth), np.nan)
    folds = StratifiedGroupKFold(min(FOLDS, rarer), shuffle=True, random_state=seed)
    for fitted, left_out in folds.split(points, truth, groups):
        if 0 < truth[fitted].sum() < len(fitted):
            held_out[left_out] = _fit(points[fitted], grades[fitted])(points[left_out])
    known = np.isfinite(held_out)
    probability = 1 / (1 + np.exp(-held_out[known]))
    statistic = make_lens_statistic(truth[known], probability, groups[known], ("auroc",))
    found = bootstrap_groups(
        statistic,
        groups[known],
        ("auroc",),
        seed=seed,
        n_resamples=RESAMPLES,
        n_effective=count_rarer_groups(truth[known], groups[known]),
        proportion=True,
    )
    return found["auroc"], ""
