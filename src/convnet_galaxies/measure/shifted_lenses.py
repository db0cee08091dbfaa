"""Range of the number of lenses if real lenses score lower than the known ones by a common shift of the log odds.

That unknown lenses look like the known ones cannot be shown where lenses are rare: scores of a few harder lenses and
those of fewer lenses like the known ones are the same. The shift is therefore a nuisance parameter: all pairs of a
fraction and a shift whose likelihood is near the highest are held (profile likelihood; Venzon & Moolgavkar 1988,
Applied Statistics 37, 87). Shifts end where the completeness would be less than an assumed fraction of that for the
known lenses: a lens that scores like a non-lens cannot be counted by its score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.calibration import stack_binary
from convnet_galaxies.measure.intervals import FEW_GROUPS, Estimate, check_level, encode_groups
from convnet_galaxies.measure.prevalence import MIXTURE_BINS, ScoredImages, count_as_lenses, measure_effects
from convnet_galaxies.measure.score_fit import EDGE, N_BINS, surprise
from convnet_galaxies.measure.score_mixture import make_cells

STEP, HIGHEST = 0.25, 6.0
"""Shifts that are compared, natural log odds."""
FRACTIONS = np.concatenate([[1e-9], np.geomspace(2e-4, 0.95, 60)])
N_STEPS = 100
PER_CELL = 5
"""Lenses per cell at least, down to MIXTURE_BINS cells: of 30 lenses in 10 cells the ranges held too seldom."""
THRESHOLD = 0.5
POOR_FIT = 0.05 / 3
"""Significance of the tests whether any shift explains the scores, and whether none does: that of trust.py."""
SURE = 0.99
"""Level at which no lens at all must be excluded. Where a few of thousands of images are lenses, the sets with narrow
ranges are those in which chance made lenses of non-lenses."""


@dataclass(frozen=True)
class ShiftedRange:
    """Number of lenses among the unknown images for all shifts that their scores allow.

    low, high: ends of its interval. least_shift, most_shift: of the log odds, that the scores allow; limit: the largest
    that was tried, at which the completeness is completeness_ratio times that for the known lenses.
    p_value: of so bad a fit by the best shift. warning: why the range is to be taken with caution; None without one.
    """

    low: float
    high: float
    least_shift: float
    most_shift: float
    limit: float
    completeness_ratio: float
    p_value: float
    level: float
    warning: str | None


@dataclass(frozen=True, eq=False)
class ShiftProfile:
    """Likelihood ratios of pairs of a shift and a fraction, and what they were made of.

    binary: the images with two classes; shifts: float [s], rising from 0; odds: float [s, lenses], of the known lenses
    moved by each; ratio: float [s, FRACTIONS], against free counts; n_groups: labelled groups of non-lenses and of
    lenses; n_cells: of the scores.
    """

    binary: ScoredImages
    shifts: np.ndarray
    odds: np.ndarray
    ratio: np.ndarray
    n_groups: tuple[int, int]
    n_cells: int

    @property
    def best(self) -> float:
        """The lowest ratio."""
        return float(self.ratio.min())

    def hold(self, level: float) -> np.ndarray:
        """Return which pairs are within the level of the best, bool [s, FRACTIONS]."""
        return np.asarray(self.ratio <= self.best + stats.chi2.ppf(level, 1))

    @property
    def rejects_none(self) -> bool:
        """Whether the scores reject that there is no shift."""
        return bool(self.ratio[0].min() > self.best + stats.chi2.ppf(1 - POOR_FIT, 1))


def bound_by_shift(
    images: ScoredImages, number: Estimate, *, completeness_ratio: float = 0.5, level: float = 0.9
) -> ShiftedRange:
    """Return the range of the number of lenses for shifts from 0 to the one that completeness_ratio allows.

    number: the estimate without a shift (prevalence.py). Its interval is held as well, unless the scores reject it: its
    Dirichlet priors give sounder lower ends than a likelihood, for which a cell without a labelled non-lens holds
    lenses only. With more than two classes all but class 0 count as lenses. Counts are divided by the design effects
    of their groups. Raises UsageError for a ratio outside 0 to 1.
    """
    check_level(level)
    profile = profile_shifts(images, completeness_ratio)
    held, best, shifts, m = profile.hold(level), profile.best, profile.shifts, len(images.unknown_posteriors)
    low, high = _find_ends(profile.ratio.min(axis=0), best + stats.chi2.ppf(level, 1))
    allowed = shifts[held.any(axis=1)]
    low, high = low * m, max(high * m, number.high)
    if not profile.rejects_none:
        low = min(low, number.low)
    p_value = float(stats.chi2.sf(best, max(profile.n_cells - 3, 1)))
    warnings = []
    if min(profile.n_groups) < FEW_GROUPS:
        warnings.append(f"only {min(profile.n_groups)} labelled groups of the rarer class: the range is rough")
    elif p_value < POOR_FIT:
        warnings.append(f"no common shift explains the scores (p {p_value:.2g})")
    else:
        if profile.ratio[:, 0].min() <= best + stats.chi2.ppf(SURE, 1):
            warnings.append("the scores do not exclude that there is no lens: too few to be counted")
        if allowed[-1] == shifts[-1]:
            warnings.append("the scores do not bound the shift: the upper end rests on the assumed completeness")
    return ShiftedRange(
        min(low, high),
        high,
        float(allowed[0]),
        float(allowed[-1]),
        float(shifts[-1]),
        completeness_ratio,
        p_value,
        level,
        "; ".join(warnings) or None,
    )


@lru_cache(maxsize=2)
def profile_shifts(images: ScoredImages, completeness_ratio: float) -> ShiftProfile:
    """Return the likelihood of each shift and fraction; see bound_by_shift. Those of the last images are kept."""
    if not 0 < completeness_ratio <= 1:
        raise UsageError(
            f"shift: found the completeness ratio {completeness_ratio:g}, expected above 0 and at most 1", "use 0.5"
        )
    binary = count_as_lenses(images)
    truth = binary.truth
    n_others, n_lenses = (encode_groups(binary.groups[truth == c])[1] for c in (0, 1))
    cells = make_cells(binary.posteriors, truth, n_bins=min(N_BINS, max(MIXTURE_BINS, n_lenses // PER_CELL)))
    effects, unknown_effect = measure_effects(binary)

    def count(posteriors: np.ndarray) -> np.ndarray:
        return np.bincount(cells.assign(posteriors), minlength=cells.number).astype(float)

    others = count(binary.posteriors[truth == 0]) / effects[0]
    unknown = count(binary.unknown_posteriors) / unknown_effect
    odds = logit(np.clip(binary.posteriors[truth == 1, 1], EDGE, 1 - EDGE))
    shifts = _list_shifts(odds, completeness_ratio)
    moved = odds - shifts[:, None]
    lenses = np.stack([count(stack_binary(expit(one))) / effects[1] for one in moved])
    ratio = _profile(others, lenses, unknown)
    return ShiftProfile(binary, shifts, moved, ratio, (n_others, n_lenses), cells.number)


def _list_shifts(odds: np.ndarray, completeness_ratio: float) -> np.ndarray:
    """Rising shifts from 0, at each of which enough of the known lenses would still be found."""
    shifts = np.arange(0, HIGHEST + STEP / 2, STEP)
    threshold = logit(THRESHOLD)
    if not (odds >= threshold).any():
        threshold = float(np.median(odds))
    found = (odds[None] - shifts[:, None] >= threshold).mean(axis=1)
    below = np.flatnonzero(found < completeness_ratio * found[0])
    return shifts[: below[0]] if len(below) else shifts


def _profile(others: np.ndarray, lenses: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Likelihood ratio against free counts, [shifts, fractions], the shares of the cells at their best.

    others, unknown: float [cells]; lenses: [shifts, cells]. Expectation maximization with the fraction kept.
    """
    pi = np.tile(FRACTIONS, len(lenses))
    lens_counts = np.repeat(lenses, len(FRACTIONS), axis=0).T
    other_counts, mixed = others[:, None], unknown[:, None]
    lens = (lens_counts + 0.5) / (lens_counts + 0.5).sum(axis=0)
    other = np.broadcast_to((other_counts + 0.5) / (other_counts + 0.5).sum(), lens.shape)
    for _ in range(N_STEPS):
        both = pi * lens
        members = mixed * both / (both + (1 - pi) * other)
        lens, other = (np.maximum(part, 1e-12) for part in (lens_counts + members, other_counts + mixed - members))
        lens, other = lens / lens.sum(axis=0), other / other.sum(axis=0)
    mixture = pi * lens + (1 - pi) * other
    sides = ((others, other), (lens_counts.T, lens), (unknown, mixture))
    ratio = 2 * sum(surprise(np.broadcast_to(counts, shares.T.shape), shares.T) for counts, shares in sides)
    return np.asarray(ratio).reshape(len(lenses), len(FRACTIONS))


def _find_ends(profile: np.ndarray, limit: float) -> tuple[float, float]:
    """Ends of the fractions whose profile [fractions] is at most limit, between those that were tried by a line."""
    inside = np.flatnonzero(profile <= limit)
    first, last = int(inside[0]), int(inside[-1])

    def cross(inner: int, outer: int) -> float:
        share = (limit - profile[inner]) / (profile[outer] - profile[inner])
        return float(FRACTIONS[inner] + share * (FRACTIONS[outer] - FRACTIONS[inner]))

    low = 0.0 if first == 0 else cross(first, first - 1)
    high = 1.0 if last == len(FRACTIONS) - 1 else cross(last, last + 1)
    return low, high
