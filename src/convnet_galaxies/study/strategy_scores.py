"""Lens figures of one strategy over several repetitions, with intervals that hold both groups and repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import Estimate, cut_figure
from convnet_galaxies.measure.repeated_splits import ONE_REPETITION
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import score_lenses


@dataclass(frozen=True)
class StrategyScores:
    """Scores of one training strategy at one share of the labels on the held-out images of one stage.

    labels, label_lenses: labelled images that it was trained on in its last step, and lenses among them (of the first
    repetition). choices: how often each rate and epochs were chosen on the validation part, by ``rate, epochs``.
    figures: by the names of the lens scores; the interval holds groups and repetitions.
    """

    strategy: str
    stage: int
    fraction: float
    labels: int
    label_lenses: int
    repetitions: int
    n_images: int
    n_lenses: int
    figures: dict[str, Estimate]
    choices: dict[str, int]


@dataclass(frozen=True)
class Repetition:
    """Predictions of one strategy in one repetition: truth bool [n], probability float [n], groups [n]."""

    truth: np.ndarray
    probability: np.ndarray
    groups: np.ndarray
    test_over_train: float


def stack_repetitions(table: pd.DataFrame, strategy: str, fraction: float, stage: int) -> dict[int, Repetition]:
    """Return the predictions of a strategy on one stage by repetition, images by id.

    Raises InputError when a repetition predicted an image twice, or nothing.
    """
    return {
        int(repetition): Repetition(
            own["lens"].to_numpy() == 1,
            own["lens_probability"].to_numpy(),
            own["group"].to_numpy(),
            float(own["test_over_train"].iloc[0]),
        )
        for repetition, own in _rows_of(table, strategy, fraction, stage).sort_values("id").groupby("repetition")
    }


def pool_repetitions(
    table: pd.DataFrame, strategy: str, fraction: float, stage: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids (str [n]), truth (bool [n]) and lens probabilities (float [n]) of all test parts together.

    An image that several repetitions tested counts once, as the first of them predicted it. For pictures only: the
    networks of the parts need not be calibrated alike.
    """
    rows = _rows_of(table, strategy, fraction, stage).sort_values("repetition").drop_duplicates("id").sort_values("id")
    return rows["id"].to_numpy(), rows["lens"].to_numpy() == 1, rows["lens_probability"].to_numpy()


def _rows_of(table: pd.DataFrame, strategy: str, fraction: float, stage: int) -> pd.DataFrame:
    rows = table[
        (table["strategy"] == strategy) & (table["fraction"] == fraction) & (table["stage"].astype(float) == stage)
    ]
    if not len(rows) or rows.duplicated(["id", "repetition"]).any() or rows["lens_probability"].isna().any():
        raise InputError(
            f"{strategy}: found {len(rows)} predictions of stage {stage}, expected one per image and repetition",
            "run `study` again",
        )
    return rows


def count_choices(predictions: pd.DataFrame) -> dict[str, int]:
    """Count the repetitions of one strategy by chosen rate and epochs: ``{"0.3, 8": 1, "1, 16": 4}``."""
    chosen = predictions.drop_duplicates("repetition")
    words = [f"{rate:g}, {epochs}" for rate, epochs in zip(chosen["rate"], chosen["epochs"], strict=True)]
    return {word: words.count(word) for word in sorted(set(words))}


def score_strategy(
    repetitions: Sequence[Repetition], *, seed: int, level: float, n_resamples: int
) -> dict[str, Estimate]:
    """Return the lens scores by name, each the mean over repetitions. Raises InputError when a class is missing."""
    by_repetition = [
        score_lenses(one.truth, one.probability, one.groups, seed=seed, level=level, n_resamples=n_resamples)
        for one in repetitions
    ]
    return {
        name: average_splits(name, [one[name] for one in by_repetition], most=score.most)
        for name, score in scores_of("lens").items()
    }


def add_seeds(over_groups: Estimate, by_seed: Sequence[float] | np.ndarray, *, most: float = 1.0) -> Estimate:
    """Return the interval over groups widened by Student's interval of the mean over training seeds or repetitions.

    ``low = value - sqrt((value - low_groups)^2 + reach_seeds^2)``, the same for high, cut to 0..most (Zou & Donner
    2008, Statistics in Medicine 27, 1693). One seed does not constrain others; a warning is given.
    """
    by_seed = np.asarray(by_seed, float)
    if len(by_seed) < 2:
        return replace(over_groups, warning=over_groups.warning or ONE_REPETITION)
    value, level = over_groups.value, over_groups.level
    reach = float(stats.t.ppf((1 + level) / 2, len(by_seed) - 1) * by_seed.std(ddof=1) / np.sqrt(len(by_seed)))
    low = value - float(np.hypot(value - over_groups.low, reach))
    high = value + float(np.hypot(over_groups.high - value, reach))
    return cut_figure(replace(over_groups, low=low, high=high), 0.0, most)


def average_splits(name: str, by_split: Sequence[Estimate], *, most: float = 1.0) -> Estimate:
    """Return the mean of a figure over repetitions that each have a split of their own.

    The splits share images, so that their intervals over groups are averaged, not shrunk, which is conservative.
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
