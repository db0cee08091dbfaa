"""Lens figures of one strategy over several training seeds, with intervals that hold both groups and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from convnet_galaxies.measure.intervals import Estimate, cut_figure, encode_groups, resample_statistic
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import (
    CEILING,
    check_scores,
    count_rarer_groups,
    make_lens_statistic,
    summarize_lenses,
)

ONE_SEED = "one seed: others may differ"


def score_seeds(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> dict[str, Estimate]:
    """Compute the lens scores by name, each the mean over training seeds.

    truth: bool [n]; probability: float [seeds, n]; groups: [n]. The interval over groups is that of the mean of the
    seeds on the same resamples; that over seeds is added by add_seeds.
    Raises InputError when a class is missing.
    """
    checked = [check_scores(truth, row, groups) for row in np.atleast_2d(np.asarray(probability, float))]
    scores = scores_of("lens")
    columns = (*scores, CEILING)
    statistics = [make_lens_statistic(*one, groups, columns) for one in checked]

    def average(counts: np.ndarray) -> np.ndarray:
        return np.mean([statistic(counts) for statistic in statistics], axis=0)

    once = np.ones((1, encode_groups(groups)[1]))
    by_seed = dict(zip(columns, np.concatenate([statistic(once) for statistic in statistics]).T, strict=True))
    values, draws = resample_statistic(average, groups, n_resamples=n_resamples, seed=seed)
    rarer, everywhere = count_rarer_groups(checked[0][0], groups), encode_groups(groups)[1]
    over_groups = summarize_lenses(columns, values, draws, rarer=rarer, everywhere=everywhere, level=level)
    return {name: add_seeds(over_groups[name], by_seed[name], most=score.most) for name, score in scores.items()}


def add_seeds(over_groups: Estimate, by_seed: Sequence[float] | np.ndarray, *, most: float = 1.0) -> Estimate:
    """Return the interval over groups widened by Student's interval of the mean over seeds.

    ``low = value - sqrt((value - low_groups)^2 + reach_seeds^2)``, the same for high, cut to 0..most (Zou & Donner
    2008, Statistics in Medicine 27, 1693). One seed does not constrain others; a warning is given.
    """
    by_seed = np.asarray(by_seed, float)
    if len(by_seed) < 2:
        return replace(over_groups, warning=over_groups.warning or ONE_SEED)
    value, level = over_groups.value, over_groups.level
    reach = float(stats.t.ppf((1 + level) / 2, len(by_seed) - 1) * by_seed.std(ddof=1) / np.sqrt(len(by_seed)))
    low = value - float(np.hypot(value - over_groups.low, reach))
    high = value + float(np.hypot(over_groups.high - value, reach))
    return cut_figure(replace(over_groups, low=low, high=high), 0.0, most)


def average_splits(name: str, by_split: Sequence[Estimate], *, most: float = 1.0) -> Estimate:
    """Return the mean of a figure over seeds that each have a split of their own.

    The splits share images, so that their intervals over groups are averaged, not shrunk.
    """
    values = np.array([figure.value for figure in by_split])
    low, high = (float(np.mean([getattr(figure, end) for figure in by_split])) for end in ("low", "high"))
    warning = next((figure.warning for figure in by_split if figure.warning), None)
    return add_seeds(Estimate(name, float(values.mean()), low, high, by_split[0].level, warning), values, most=most)


def subtract_unpaired(name: str, a: Estimate, b: Estimate, *, most: float = 1.0) -> Estimate:
    """Return a - b of figures from different images: ``low = a - b - sqrt((a - low_a)^2 + (high_b - b)^2)`` (as
    add_seeds).

    most: the largest possible difference, 1 for proportions; the interval is cut to it.
    """
    value = a.value - b.value
    low = value - float(np.hypot(a.value - a.low, b.high - b.value))
    high = value + float(np.hypot(a.high - a.value, b.value - b.low))
    return cut_figure(Estimate(name, value, low, high, a.level, a.warning or b.warning), -most, most)
