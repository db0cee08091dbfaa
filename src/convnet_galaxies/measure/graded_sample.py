"""Estimate the number of lenses from grades of a random sample drawn by a plan (design-based inference).

The images are cut by rank into strata, and of each stratum a number of images is drawn at random and graded. What is
found in a stratum, multiplied by its size over the number of graded images, is unbiased whatever the network did
(Horvitz & Thompson 1952, JASA 47, 663; here the stratified estimator, Cochran 1977, Sampling Techniques, chapter 5).
The network only decides where most grades are spent, which makes the interval narrow when it ranks well.

The interval of each stratum is Jeffreys' (Brown, Cai & DasGupta 2001, Statistical Science 16, 101), shortened by the
square root of the share that was not graded; those of the strata are joined by MOVER (Zou & Donner 2008, Statistics in
Medicine 27, 1693). A normal interval would have no width where no lens was found, which is the usual case in
the largest stratum. Measured coverage: docs/science.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import betaincinv

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import Estimate, check_level

LEAST_GRADED = 5
"""Graded images per stratum, or all images of a smaller one."""
MOST_STRATA = 4
FLOORS = (1e-4, 0.002, 0.01, 0.05)
"""Lens probabilities below which the compared plans do not rely on the network."""
AS_NARROW = 1.1
"""A plan with more strata is taken when its interval is at most this much wider: it finds more lenses and tells more
about the best-ranked images."""


@dataclass(frozen=True)
class SamplePlan:
    """Sample of m images to be graded.

    stratum: int [m], 0 for the best-ranked; chosen: int [n], the images to grade, best first;
    inclusion: float [m], the probability with which each image was drawn.
    """

    stratum: np.ndarray
    chosen: np.ndarray
    inclusion: np.ndarray


@dataclass(frozen=True)
class GradedImages:
    """The grades of a sample. stratum: int [m]; is_graded, is_lens: bool [m], is_lens False where not graded."""

    stratum: np.ndarray
    is_graded: np.ndarray
    is_lens: np.ndarray

    def count(self, inside: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images, graded images and graded lenses by stratum, each int [strata], of all images or those inside."""
        n = int(self.stratum.max()) + 1
        rows = np.ones(len(self.stratum), bool) if inside is None else inside
        return (
            np.bincount(self.stratum[rows], minlength=n),
            np.bincount(self.stratum[rows & self.is_graded], minlength=n),
            np.bincount(self.stratum[rows & self.is_lens], minlength=n),
        )


def check_plan(n: int, m: int) -> None:
    """Raise UsageError for fewer than LEAST_GRADED images to grade, or more than the m there are."""
    if not 0 < min(LEAST_GRADED, m) <= n <= m:
        raise UsageError(
            f"plan: found {n:,} images to grade of {m:,}, expected {LEAST_GRADED} to {m:,}", "give a number between"
        )


def plan_sample(probability: np.ndarray, n: int, *, seed: int, level: float = 0.9) -> SamplePlan:
    """Return the n images to grade for the narrowest interval of the number of lenses.

    probability: float [m], of a lens, by which the images are ranked. Compared are one to MOST_STRATA strata that end
    at ranks n/8, n/4, n/2, ..., with grades in proportion to the size of a stratum times ``sqrt(p (1 - p))`` (Neyman
    1934, JRSS 97, 558) for several floors of p. The measure is the width of the interval for the expected outcome.
    Among the plans at most AS_NARROW times the narrowest the one with most strata is taken.
    Raises UsageError for n below LEAST_GRADED or beyond m.
    """
    check_level(level)
    m = len(probability)
    check_plan(n, m)
    rng = np.random.default_rng(seed)
    order = np.argsort(-probability, kind="stable")
    ranked = np.clip(np.asarray(probability, float)[order], 0, 1)
    sums = np.append(0, np.cumsum(ranked))
    plans = []
    for ends in _cut(m, n):
        sizes, means = np.diff(ends), np.diff(sums[ends]) / np.diff(ends)
        allotted = np.array([_allot(sizes, _spread(means, floor), n) for floor in FLOORS])
        _, below, above = _join_all(sizes, allotted, allotted * means, level)
        plans += [(float(width), sizes, shares) for width, shares in zip(below + above, allotted, strict=True)]
    narrowest = min(plan[0] for plan in plans)
    good = [plan for plan in plans if plan[0] <= AS_NARROW * narrowest]
    _, sizes, shares = min(good, key=lambda plan: (-len(plan[1]), plan[0]))
    stratum = np.empty(m, int)
    stratum[order] = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.cumsum(sizes) - sizes
    drawn = [start + rng.choice(size, k, replace=False) for start, size, k in zip(starts, sizes, shares, strict=True)]
    return SamplePlan(stratum, order[np.sort(np.concatenate(drawn))], (shares / sizes)[stratum])


def estimate_number(graded: GradedImages, *, level: float = 0.9) -> Estimate:
    """Return the number of lenses among all images, with its interval.

    Raises InputError for a stratum without a grade.
    """
    check_level(level)
    sizes, n_graded, lenses = graded.count()
    if (n_graded == 0)[sizes > 0].any():
        raise InputError(
            f"grades: found none in stratum {int(np.flatnonzero((n_graded == 0) & (sizes > 0))[0]) + 1} of the plan, "
            "expected some in each",
            "grade images of every stratum",
        )
    value, low, high = _join(sizes, n_graded, lenses, level)
    # What was seen is certain, on both sides.
    return Estimate(
        "lens", value, max(low, float(lenses.sum())), min(high, float((sizes - n_graded + lenses).sum())), level
    )


def estimate_top(graded: GradedImages, rank: np.ndarray, k: int, *, level: float = 0.9) -> tuple[Estimate, Estimate]:
    """Return purity and completeness of the k best-ranked images.

    rank: int [m], 1 for the best. The strata are cut at k (post-stratification). A part without a grade may hold
    anything between no lens and lenses only.
    The interval of the completeness holds every c for which ``(1 - c) found - c missed`` may be 0 (Fieller).
    """
    check_level(level)
    inside = rank <= k
    (found, least, most), (missed, fewest, highest) = (_join(*graded.count(side), level) for side in (inside, ~inside))
    purity = Estimate("purity", found / k, max(0.0, least / k), min(1.0, most / k), level)
    c = np.linspace(0, 1, 2001)
    middle = (1 - c) * found - c * missed
    below = np.hypot((1 - c) * (found - least), c * (highest - missed))
    above = np.hypot((1 - c) * (most - found), c * (missed - fewest))
    held = c[(middle - below <= 1e-9) & (middle + above >= -1e-9)]
    value = found / (found + missed) if found + missed > 0 else 1.0
    low, high = (float(held.min()), float(held.max())) if len(held) else (0.0, 1.0)
    return purity, Estimate("completeness", value, min(low, value), max(high, value), level)


def _join(sizes: np.ndarray, graded: np.ndarray, lenses: np.ndarray, level: float) -> tuple[float, float, float]:
    """Number of lenses with its interval, of arrays [..., strata]; joins over the last axis and returns floats."""
    value, below, above = _join_all(sizes, graded, lenses, level)
    return float(value), float(value - below), float(value + above)


def _join_all(
    sizes: np.ndarray, graded: np.ndarray, lenses: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tail = (1 - level) / 2
    none, trials = graded == 0, np.maximum(graded, 1)
    # The rate of an ungraded part is taken from the graded ones; its interval is 0 to 1.
    anywhere = lenses.sum(axis=-1, keepdims=True) / np.maximum(graded.sum(axis=-1, keepdims=True), 1)
    rate = np.where(none, anywhere, lenses / trials)
    low = np.where(lenses == 0, 0.0, betaincinv(lenses + 0.5, graded - lenses + 0.5, tail))
    high = np.where(lenses == graded, 1.0, betaincinv(lenses + 0.5, graded - lenses + 0.5, 1 - tail))
    open_share = np.where(none, 1.0, np.sqrt(np.maximum(0.0, 1 - graded / np.maximum(sizes, 1))))
    below, above = ((sizes * open_share * reach) ** 2 for reach in (rate - low, high - rate))
    return (sizes * rate).sum(axis=-1), np.sqrt(below.sum(axis=-1)), np.sqrt(above.sum(axis=-1))


def _spread(p: np.ndarray, floor: float) -> np.ndarray:
    kept = np.clip(p, floor, 1 - floor)
    return np.sqrt(kept * (1 - kept))


def _cut(m: int, n: int) -> list[np.ndarray]:
    """Ends of the strata of each division to be compared, int [strata + 1] from 0 to m."""
    cuts = [cut for cut in (n * 2**k // 8 for k in range(24)) if LEAST_GRADED <= cut <= m - LEAST_GRADED]
    most = min(MOST_STRATA, max(1, n // LEAST_GRADED))
    return [np.array([0, *inner, m]) for inside in range(most) for inner in combinations(cuts, inside)]


def _allot(sizes: np.ndarray, spread: np.ndarray, n: int) -> np.ndarray:
    """Grades by stratum, int, adding to n: in proportion to size times spread, at least LEAST_GRADED, at most all."""
    least = np.minimum(sizes, LEAST_GRADED)
    weight = sizes * spread
    # The multiple of the weights at which the grades, kept within their limits, add to n.
    scales = np.unique(np.concatenate([least / weight, sizes / weight]))
    sums = np.clip(scales[:, None] * weight, least, sizes).sum(axis=1)
    scale = np.interp(n, sums, scales)
    exact = np.clip(scale * weight, least, sizes)
    shares = np.floor(exact + 1e-9).astype(int)
    for k in np.argsort(-(exact - shares), kind="stable")[: n - shares.sum()]:
        shares[k] += 1
    return shares
