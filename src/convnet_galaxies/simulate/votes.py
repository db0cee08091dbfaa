"""Simulate the votes of about forty volunteers per galaxy, question by question, from visible structures.

Volunteers answer independently with the probabilities of answer_probabilities; their counts walk down the tree, so
that the columns obey its sums exactly. The weights are fitted so that means and scatter of the 37 columns come near
those of the Galaxy Challenge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS
from convnet_galaxies.simulate.morphology import Galaxy
from convnet_galaxies.simulate.sdss import Observation
from convnet_galaxies.simulate.surroundings import Surroundings
from convnet_galaxies.simulate.visibility import Visibility, measure_visibility

LEANINGS = (0.45, 0.3, 0.35, 0.35, 0.35, 0.45, 0.25, 1.0, 0.4, 0.4, 0.6)
"""For each question, how far galaxies that look alike to us still part in the logits of their answers."""


def vote(
    galaxy: Galaxy, observation: Observation, around: Surroundings, rng: np.random.Generator
) -> tuple[np.ndarray, Visibility, int]:
    """Return the 37 fractions of one galaxy, what could be seen of it, and how many volunteers looked."""
    seen = measure_visibility(galaxy, observation)
    volunteers = int(np.clip(rng.normal(42, 7), 20, 75))
    asked = zip(answer_probabilities(galaxy, seen, around), LEANINGS, strict=True)
    probabilities = [sway(p, rng, strength) for p, strength in asked]
    return cast_votes(probabilities, volunteers, rng), seen, volunteers


def cast_votes(probabilities: Sequence[np.ndarray], volunteers: int, rng: np.random.Generator) -> np.ndarray:
    """Return the 37 cumulative fractions (float64 [37]) of this many volunteers.

    probabilities: one array for each question, adding to 1. Whoever gives an answer is asked the question below it.
    """
    counts = np.zeros(len(VOTE_COLUMNS), dtype=np.int64)
    fractions = np.zeros(len(VOTE_COLUMNS))
    for question in KAGGLE.order:
        above = list(KAGGLE.parents[question])
        asked = int(counts[above].sum()) if above else volunteers
        share = float(fractions[above].sum()) if above else 1.0
        if asked == 0:
            continue
        p = np.clip(np.asarray(probabilities[question], dtype=np.float64), 0, None)
        answers = KAGGLE.slices[question]
        counts[answers] = rng.multinomial(asked, p / p.sum())
        fractions[answers] = share * counts[answers] / asked
    return fractions


def sway(probabilities: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return the same answers for one galaxy that people lean to for reasons of their own (normal shifts of the
    logits)."""
    leaning = probabilities * np.exp(rng.normal(0, strength, len(probabilities)))
    return leaning / leaning.sum()


def answer_probabilities(galaxy: Galaxy, seen: Visibility, around: Surroundings) -> list[np.ndarray]:
    """Return the probability of each answer to each of the 11 questions, for a volunteer who is asked it."""
    edge_on = 0.02 + 0.95 * _logistic((0.41 - seen.apparent_ratio) / 0.045) * (1 - 0.6 * seen.arms)
    bar = 0.05 + 0.10 * seen.disk * (1 - seen.arms) * (seen.apparent_ratio < 0.7) + 0.8 * seen.bar
    pattern = 1 - (1 - seen.arms) * (1 - 0.5 * seen.knots) * (1 - 0.3 * seen.ring)
    spiral = 0.09 + 0.88 * pattern
    oddities = _oddities(galaxy, seen, around)
    odd = float(1 - np.prod(1 - np.clip(oddities, 0, 0.97)))
    return [
        _smooth_or_features(galaxy, seen, around),
        np.array([edge_on, 1 - edge_on]),
        np.array([bar, 1 - bar]),
        np.array([spiral, 1 - spiral]),
        _bulge(galaxy, seen),
        np.array([odd, 1 - odd]),
        _ordered(-seen.apparent_ratio, [-0.81, -0.42], 0.055),
        oddities / oddities.sum(),
        _edge_on_bulge(galaxy),
        _winding(galaxy, seen),
        _arm_count(galaxy, seen),
    ]


def _smooth_or_features(galaxy: Galaxy, seen: Visibility, around: Surroundings) -> np.ndarray:
    """Smooth, features or disk, star or artifact: it is smooth to who notices no feature at all."""
    if galaxy.kind == "star":
        return np.array([0.45, 0.03, 0.52])
    features = (
        (0.95, seen.arms),
        (0.72, seen.edge),
        (0.75, seen.bar),
        (0.80, seen.ring),
        (0.75, seen.knots),
        (0.40, seen.tails),
        (0.25, seen.companion),
        (0.27, seen.disk),
        (0.50, seen.dust),
    )
    smooth = 0.88 - 0.12 * (1 - seen.apparent_ratio)
    for weight, visible in features:
        smooth *= 1 - weight * visible
    flaws = 0.12 * around.glare + 0.05 * around.trail + 0.04 * around.bad_column
    artifact = 0.02 + 0.02 * (galaxy.r90_arcsec < 4) + flaws
    return np.array([smooth * (1 - artifact), (1 - smooth) * (1 - artifact), artifact])


def _oddities(galaxy: Galaxy, seen: Visibility, around: Surroundings) -> np.ndarray:
    """Compute the oddity as a ring, lens or arc, disturbed, irregular, other, merger, dust lane (each 0 to 1)."""
    overlap, crowding = min(galaxy.overlap * 2, 1), min(around.crowding, 1)
    return np.array(
        [
            0.65 * seen.ring + 0.006 + 0.012 * seen.disk,
            0.55 * seen.arcs + 0.012,
            0.50 * seen.tails + 0.30 * around.bad_column + 0.013 + 0.1 * galaxy.lopsidedness,
            (0.55 if galaxy.kind == "irregular" else 0.13) * seen.knots + 0.010,
            0.045 + 0.3 * overlap + 0.4 * around.glare + 0.4 * around.trail + 0.1 * crowding,
            0.75 * seen.companion + 0.15 * crowding + 0.08 * overlap + 0.010,
            0.5 * seen.dust + 0.001,
        ]
    )


def _bulge(galaxy: Galaxy, seen: Visibility) -> np.ndarray:
    """No bulge, just noticeable, obvious, dominant."""
    if galaxy.kind == "elliptical":
        return np.array([0.10, 0.36, 0.42, 0.12])
    return _ordered(np.log(seen.apparent_bulge + 0.01), np.log([0.027, 0.20, 1.0]), 0.6)


def _edge_on_bulge(galaxy: Galaxy) -> np.ndarray:
    """Rounded, boxy, none."""
    boxy = 0.08 + 0.55 * galaxy.bulge_boxiness * min(4 * galaxy.bulge_fraction, 1)
    none = _logistic((np.log(0.035) - np.log(galaxy.bulge_fraction + 0.012)) / 0.6)
    return np.array([(1 - boxy) * (1 - none), boxy * (1 - none), none])


def _winding(galaxy: Galaxy, seen: Visibility) -> np.ndarray:
    """Tight, medium, loose; arms that are hardly seen are guessed."""
    winding = _ordered(np.log(np.rad2deg(galaxy.pitch_rad)), np.log([13.5, 29.0]), 0.4)
    guess = np.array([0.5, 0.33, 0.17])
    sure = min(seen.arms / 0.4, 1)
    return sure * winding + (1 - sure) * guess


def _arm_count(galaxy: Galaxy, seen: Visibility) -> np.ndarray:
    """Answers 1, 2, 3, 4, more than 4, can't tell."""
    numbers = np.arange(1, 6)
    target = min(galaxy.arm_number, 5)
    spread = 0.30 + 0.25 * galaxy.flocculence + 0.12 * (target - 1) * (target > 2)
    counted = np.exp(-0.5 * ((numbers - target) / spread) ** 2) + 0.02
    counted[1] += 0.2  # two is what people see when they are not sure
    unsure = float(np.clip(0.55 - 0.48 * seen.arms + 0.25 * galaxy.flocculence + 0.06 * (target > 2), 0.03, 0.8))
    return np.append((1 - unsure) * counted / counted.sum(), unsure)


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(x, -40, 40))))


def _ordered(value: float, cuts: Sequence[float] | np.ndarray, softness: float) -> np.ndarray:
    """Probabilities of ordered answers: volunteers put the cuts a little differently (logistic, width softness)."""
    above = [1.0, *(_logistic((value - cut) / softness) for cut in cuts), 0.0]
    return -np.diff(above)
