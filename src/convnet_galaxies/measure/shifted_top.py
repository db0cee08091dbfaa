"""Range of the purity and completeness of the k best if real lenses score lower than the known ones.

For each of the shifts that the scores allow (shifted_lenses.py), the known lenses are moved by it and the mixture is
drawn again. The range of each k goes from the lowest to the highest end of the intervals. The shift is a nuisance
parameter without a prior, so that its intervals are joined and not averaged: no grade tells which shift is the likely
one.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from convnet_galaxies.measure.calibration import stack_binary
from convnet_galaxies.measure.intervals import check_level
from convnet_galaxies.measure.prevalence import MIXTURE_BINS, ScoredImages, measure_effects
from convnet_galaxies.measure.score_mixture import make_cells, sample_mixture
from convnet_galaxies.measure.shifted_lenses import FRACTIONS, ShiftProfile, profile_shifts
from convnet_galaxies.measure.top_ranked import CutMixture, TopRange, TopRanked, choose_ranks, find_ends

MOST_SHIFTS = 5
"""Of the allowed shifts that are drawn, evenly spaced and with both ends: the ends of the intervals change slowly."""
N_CHAINS, N_STEPS = 8, 200
"""Chains per shift, and their steps, of which the second half is kept."""
KEPT, SPACING = 400, 1.5


def bound_top_by_shift(
    images: ScoredImages, top: TopRanked, *, seed: int, completeness_ratio: float = 0.5, level: float = 0.9
) -> TopRange:
    """Return the ranges of purity and completeness over the shifts that bound_by_shift allows.

    top: without a shift (top_ranked.py). Its intervals are held as well, unless the scores reject that there is no
    shift. The warning of ShiftedRange holds for these ranges too. With more than two classes all but class 0 count as
    lenses. Raises UsageError for a ratio outside 0 to 1.
    """
    check_level(level)
    profile = profile_shifts(images, completeness_ratio)
    held = profile.hold(level)
    allowed = np.flatnonzero(held.any(axis=1))
    chosen = allowed[np.unique(np.linspace(0, len(allowed) - 1, min(MOST_SHIFTS, len(allowed))).round().astype(int))]
    ranks = choose_ranks(len(images.unknown_posteriors), SPACING)
    ends = [find_ends(ranks, [cut.draw(k) for k in ranks], level) for cut in _cut_by_shift(profile, held, chosen, seed)]
    if not profile.rejects_none:
        ends.append(((top.purity_low, top.purity_high), (top.completeness_low, top.completeness_high)))
    lows, highs = (np.array([[part[side] for part in one] for one in ends]) for side in (0, 1))
    low, high = lows.min(axis=0), highs.max(axis=0)
    return TopRange(low[0], high[0], low[1], high[1])


def _cut_by_shift(profile: ShiftProfile, held: np.ndarray, chosen: np.ndarray, seed: int) -> list[CutMixture]:
    """Draws of the mixture with the known lenses moved by each of the chosen shifts; held: bool [s, FRACTIONS]."""
    binary, rng = profile.binary, np.random.default_rng(seed)
    truth = binary.truth
    cells = make_cells(binary.posteriors, truth, n_bins=MIXTURE_BINS)
    effects, unknown_effect = measure_effects(binary)
    posteriors = np.tile(binary.posteriors, (len(chosen), 1, 1))
    posteriors[:, truth == 1] = [stack_binary(expit(odds)) for odds in profile.odds[chosen]]

    def count(of_class: np.ndarray) -> np.ndarray:
        return np.bincount(cells.assign(of_class), minlength=cells.number)

    known = np.array([[count(one[truth == c]) / effects[c] for c in (0, 1)] for one in posteriors])
    # Chains that start all over the fractions that a shift allows need no steps to get there.
    start = np.concatenate([np.quantile(FRACTIONS[held[row]], np.linspace(0, 1, N_CHAINS)) for row in chosen])
    draws = sample_mixture(
        np.repeat(known, N_CHAINS, axis=0),
        count(binary.unknown_posteriors),
        rng=rng,
        unknown_effect=unknown_effect,
        most_steps=N_STEPS,
        start=np.stack([1 - start, start], axis=1),
    )
    joint = (draws.fractions[:, :, None] * draws.weights).reshape(-1, len(chosen), N_CHAINS, 2, cells.number)
    return [
        CutMixture(binary, joint[:, number].reshape(-1, 2, cells.number), cells, posteriors[number], rng, n_kept=KEPT)
        for number in range(len(chosen))
    ]
