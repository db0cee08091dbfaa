"""Compare two networks on the same images, paired by image, resample and training seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.intervals import (
    Estimate,
    Statistic,
    check_level,
    cut_figure,
    encode_groups,
    resample_statistic,
    summarize,
)
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import EXTREME_ERROR, check_scores, count_rarer_groups, make_lens_statistic

UNSEEN = {
    "auroc": 0.2,
    "average_precision": 0.2,
    "tpr0": 0.5,
    "tpr10": 0.5,
    "tpr_5_percent": 0.5,
    "accuracy": 0.5,
}
"""Standard error of a difference that no resample shows, in units of one over the groups of the rarer class, for the
accuracy over all groups.

The next image may be one that only one of the two networks gets right. For proportions of images this is the correction
for continuity. Without it the 90 % intervals of differences held the truth in 35 to 97 % (TPR10) and 79 to 92 % (AUROC)
of 200 trials with 6 to 30 lenses, with it in 91 to 100 % and 89 to 100 % (docs/science.md).
"""


def compare_lenses(
    truth: np.ndarray,
    probability_a: np.ndarray,
    probability_b: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> dict[str, Estimate]:
    """Return each lens score (but the baselines) of a minus that of b.

    probabilities: float [n], or one row a training seed, [seeds, n], the same seeds in both.
    """
    scores = scores_of("lens", baselines=False)
    rows_a, rows_b = (np.atleast_2d(np.asarray(one, float)) for one in (probability_a, probability_b))

    def of_strategy(rows: np.ndarray) -> list[Statistic]:
        checked = [check_scores(truth, row, groups) for row in rows]
        return [make_lens_statistic(*one, groups, tuple(scores)) for one in checked]

    a, b = of_strategy(rows_a), of_strategy(rows_b)
    is_other = ~np.asarray(truth).astype(bool)
    rarer, everywhere = count_rarer_groups(~is_other, groups), encode_groups(groups)[1]
    once = np.ones((1, everywhere))
    errors = [
        _measure_missing(
            tuple(scores),
            a[k](once)[0],
            b[k](once)[0],
            correlate_ranks(rows_a[k, is_other], rows_b[k, is_other]),
            [everywhere if name == "accuracy" else rarer for name in scores],
        )
        for k in range(min(len(a), len(b)))
    ]
    return compare_seeds(
        tuple(scores),
        a,
        b,
        groups,
        seed=seed,
        level=level,
        n_resamples=n_resamples,
        n_effective=rarer,
        most=[score.most for score in scores.values()],
        extra_errors=np.mean(errors, axis=0).tolist(),
    )


def compare_seeds(
    names: Sequence[str],
    statistics_a: Sequence[Statistic],
    statistics_b: Sequence[Statistic],
    groups: np.ndarray,
    *,
    seed: int,
    n_resamples: int = 1000,
    level: float = 0.95,
    n_effective: int | None = None,
    most: float | Sequence[float] = np.inf,
    extra_errors: float | Sequence[float] = 0.0,
) -> dict[str, Estimate]:
    """Return the mean over seeds of statistic a minus statistic b (each [resamples, k], k names) on the same images.

    statistics_a[s] and statistics_b[s] belong to the same training seed, so that they are paired by seed and by
    resample. Two intervals are joined, that over groups (bootstrap of the mean difference) and that over seeds
    (Student's t of the differences): ``low = value - sqrt((value - low_groups)^2 + (value - low_seeds)^2)``, the
    same for high (MOVER: Zou & Donner 2008, Statistics in Medicine 27, 1693). Resampling three to five seeds
    would make their part too narrow, since a bootstrap of S values has only (S - 1) / S of their variance.
    With one seed the interval excludes the scatter of other seeds, and a warning is given.

    most: the largest difference there can be, 1 for proportions; Student's t of few seeds may reach beyond, and is cut.
    extra_errors: of each difference, see summarize.
    """
    check_level(level)
    n_seeds = len(statistics_a)
    if n_seeds != len(statistics_b) or not n_seeds:
        raise UsageError(
            f"{', '.join(names)}: found {n_seeds} and {len(statistics_b)} seeds, expected equally many, at least one",
            "train both strategies with the same seeds",
        )

    def differ(counts: np.ndarray) -> np.ndarray:
        pairs = zip(statistics_a, statistics_b, strict=True)
        return np.concatenate([a(counts) - b(counts) for a, b in pairs], axis=1)

    values, draws = resample_statistic(differ, groups, n_resamples=n_resamples, seed=seed)
    shape = (n_seeds, len(names))
    by_seed, by_draw = values.reshape(shape), draws.reshape(len(draws), *shape).mean(axis=1)
    n_groups = encode_groups(groups)[1] if n_effective is None else n_effective
    limits, extra = np.broadcast_to(most, len(names)), np.broadcast_to(extra_errors, len(names))
    figures = {}
    for k, name in enumerate(names):
        mean = float(by_seed[:, k].mean())
        figure = summarize(name, mean, by_draw[:, k], n_effective=n_groups, extra_error=float(extra[k]), level=level)
        if n_seeds == 1:
            figure = replace(figure, warning=figure.warning or "one seed: others may differ")
        else:
            spread = by_seed[:, k].std(ddof=1) / np.sqrt(n_seeds)
            reach = float(stats.t.ppf((1 + level) / 2, n_seeds - 1) * spread)
            low, high = (float(np.hypot(figure.value - end, reach)) for end in (figure.low, figure.high))
            figure = replace(figure, low=figure.value - low, high=figure.value + high)
        figures[name] = cut_figure(figure, -float(limits[k]), float(limits[k]))
    return figures


def _measure_missing(
    names: Sequence[str], a: np.ndarray, b: np.ndarray, correlation: float, n_groups: Sequence[int]
) -> np.ndarray:
    """Standard error of each difference that the resamples miss, float [k].

    a, b: scores [k] of both networks; n_groups: [k], that carry each of them; correlation: of their ranks, 1 for
    networks that order the images alike, for which nothing is missed. That of TPR0 is the one of both networks
    (EXTREME_ERROR), as far as it is not the same.
    """
    errors = np.array([UNSEEN.get(name, 0.0) for name in names]) / n_groups * np.sqrt(2 * (1 - correlation))
    first, tenth = names.index("tpr0"), names.index("tpr10")
    in_a, in_b = (EXTREME_ERROR * (one[tenth] - one[first]) for one in (a, b))
    extreme = in_a**2 + in_b**2 - 2 * correlation * in_a * in_b
    errors[first] = np.sqrt(errors[first] ** 2 + max(extreme, 0))
    return errors


def correlate_ranks(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's correlation of [n] and [n], not below 0; 0 where one of them is constant."""
    ranks = [stats.rankdata(one) for one in (a, b)]
    if np.array_equal(*ranks):
        return 1.0
    spread = [one.std() for one in ranks]
    return max(0.0, float(np.corrcoef(*ranks)[0, 1])) if min(spread) > 0 else 0.0
