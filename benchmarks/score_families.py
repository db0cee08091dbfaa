"""Families of scores from which bench_coverage.py and bench_score_coverage.py draw images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.measure.prevalence import ScoredImages, join_scores

N_UNKNOWN = 2000
OTHERS_PER_LENS = 34 / 3
"""Labelled non-lenses per labelled lens, as in Space Warps stage 2: 1,700 beside 150."""
WIDTH = 1.5
CENTRES = {"separated": (-3.2, 3.2), "blurred": (-1.2, 1.0)}
"""Mean log odds of non-lenses and lenses; AUROC 0.9987 and 0.85, of all other families 0.976."""
USUAL = (-2.2, 2.0)
FAMILIES = ("normal", "heavy tails", "look-alikes", "groups", "separated", "blurred")
LOOK_ALIKES = 0.03
GROUPS_SHARE = 1 / 3
"""Variance that images of one field, 1 to 3 of them, have in common."""
COMMON = 0.7
"""Variance that two networks have in common."""
OVERCONFIDENT, WEAKER = 1.5, 0.4
"""Factor of the log odds of the first network; by how much the second one ranks lenses lower, in log odds."""


@dataclass(frozen=True)
class Trial:
    """Images of one trial; truth: bool [m], of the unknown ones."""

    images: ScoredImages
    truth: np.ndarray


def draw_trial(seed: int, family: str, *, prevalence: float, positives: int, shift: float) -> Trial:
    """Labelled images, and unknown ones whose lenses have log odds lower by shift."""
    rng = np.random.default_rng([seed, positives, FAMILIES.index(family)])
    n_known = positives + round(OTHERS_PER_LENS * positives)
    known, unknown = np.arange(n_known) < positives, rng.random(N_UNKNOWN) < prevalence
    known_groups, unknown_groups = (_draw_groups(family, side, rng) for side in (known, unknown))
    scores = _draw_scores(family, known, known_groups, rng), _draw_scores(family, unknown, unknown_groups, rng, shift)
    probabilities = [1 / (1 + np.exp(-score)) for score in scores]
    return Trial(join_scores(known, probabilities[0], known_groups, probabilities[1], unknown_groups), unknown)


def _draw_groups(family: str, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Field of each image: 1 to 3 of one class in the family of groups, one image each in the others."""
    if family != "groups":
        return np.arange(len(truth))
    groups = np.empty(len(truth), int)
    for kind in (False, True):
        rows = np.flatnonzero(truth == kind)
        fields = np.repeat(np.arange(len(rows)), rng.integers(1, 4, size=len(rows)))[: len(rows)]
        groups[rows] = 2 * fields + kind
    return groups


def draw_pair(seed: int, family: str, *, positives: int, others: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth bool [n], log odds of two networks [2, n] and field int [n] of so many fields with and without a lens.

    Most of the noise is common to both networks. The first is overconfident by half, the second ranks lenses lower.
    """
    rng = np.random.default_rng([seed, positives, others, FAMILIES.index(family)])
    n_groups = positives + others
    groups = np.repeat(np.arange(n_groups), rng.integers(1, 4, size=n_groups) if family == "groups" else 1)
    truth = groups < positives
    centre = _draw_centres(family, truth, rng)
    noise = [_draw_noise(family, groups, rng) for _ in range(3)]
    common, own = np.sqrt(COMMON) * noise[0], np.sqrt(1 - COMMON)
    first, second = (centre + WIDTH * (common + own * one) for one in noise[1:])
    return truth, np.stack([OVERCONFIDENT * first, second - WEAKER * truth]), groups


def _draw_scores(
    family: str, truth: np.ndarray, groups: np.ndarray, rng: np.random.Generator, shift: float = 0.0
) -> np.ndarray:
    return _draw_centres(family, truth, rng) - shift * truth + WIDTH * _draw_noise(family, groups, rng)


def _draw_centres(family: str, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low, high = CENTRES.get(family, USUAL)
    centre = np.where(truth, high, low)
    if family == "look-alikes":
        centre = np.where(~truth & (rng.random(len(truth)) < LOOK_ALIKES), high, centre)
    return centre


def _draw_noise(family: str, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance, float [n]."""
    if family == "heavy tails":
        return rng.standard_t(4, len(groups)) / np.sqrt(2)
    noise = rng.normal(size=len(groups))
    if family == "groups":
        shared = rng.standard_t(4, groups.max() + 1)[groups] / np.sqrt(2)
        noise = np.sqrt(1 - GROUPS_SHARE) * noise + np.sqrt(GROUPS_SHARE) * shared
    return noise
