"""Expected purity and completeness of the k best-ranked unlabelled images, for every k.

Made of the draws of the mixture (score_mixture.py), which assumes no form of the scores. A rank k cuts one cell of the
mixture in two. Which share of the cell's lenses, and of its non-lenses, lies above the cut is drawn from the labelled
images of the cell (Jeffreys' prior), and each draw is weighted by how well it predicts the number of unknown images
above the cut. A straight line in the logit, the usual recalibration, extrapolates past the non-lenses that look like
lenses: its intervals held the purity in 35 to 83 %. Measured coverage: docs/science.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from convnet_galaxies.measure.intervals import check_level
from convnet_galaxies.measure.prevalence import ScoredImages, count_as_lenses, draw_mixture, measure_effects
from convnet_galaxies.measure.score_mixture import ScoreCells

JEFFREYS = 0.5
"""Prior of the share of a cell that lies above a cut. Smaller ones, or ones that follow the unknown images, made the
top too pure where no labelled non-lens lies above the cut."""
FINEST, SPACING = 10, 1.15
"""Ranks at which the draws are made: each up to FINEST, then by this factor; between them counts are interpolated."""
WEIGHED, KEPT = 3200, 1000
"""Draws that are weighted at each rank, and those then taken."""


@dataclass(frozen=True)
class TopRange:
    """Ends of the ranges of purity and completeness if real lenses score lower: float [m] each, for k = 1..m."""

    purity_low: np.ndarray
    purity_high: np.ndarray
    completeness_low: np.ndarray
    completeness_high: np.ndarray


@dataclass(frozen=True)
class TopRanked:
    """Expectations for the k best of m images, k = 1..m.

    order: int [m], the images, best first; probability: float [m], that the image at each rank is a lens;
    purity, completeness: float [m], for k = 1..m; *_low, *_high: float [m], ends of their intervals. shifted: their
    ranges over shifts of the lens scores (shifted_top.py), if these were asked for.
    """

    order: np.ndarray
    probability: np.ndarray
    purity: np.ndarray
    purity_low: np.ndarray
    purity_high: np.ndarray
    completeness: np.ndarray
    completeness_low: np.ndarray
    completeness_high: np.ndarray
    level: float
    shifted: TopRange | None = None


def expect_top(images: ScoredImages, *, seed: int, level: float = 0.9) -> TopRanked:
    """Return expected purity and completeness of the top k of the unknown images, for every k.

    With more than two classes all but class 0 count as lenses. The intervals are of what is found among these images,
    not only of its expectation. The probability of an image never rises with its rank.
    """
    check_level(level)
    binary = count_as_lenses(images)
    mixture, cells = draw_mixture(binary, seed=seed)
    thin = slice(None, None, -(-len(mixture.fractions) // WEIGHED))
    joint = mixture.fractions[thin, :, None] * mixture.weights[thin]
    cut = CutMixture(binary, joint, cells, binary.posteriors, np.random.default_rng(seed))
    m = len(cut.ranked)
    ranks = choose_ranks(m)
    draws = [cut.draw(k) for k in ranks]
    expected = np.array([found.mean() for found, _ in draws])
    # Lenses found between two of the ranks, made to fall with the rank.
    widths = np.diff(ranks, prepend=0)
    rates = np.diff(expected, prepend=0) / widths
    falling = IsotonicRegression(increasing=False, y_min=0, y_max=1).fit_transform(ranks, rates, sample_weight=widths)
    probability = np.repeat(falling, widths)
    sums, every = np.cumsum(probability), np.arange(1, m + 1)
    purity, completeness = sums / every, sums / max(sums[-1], 1e-300)
    (low, high), (share_low, share_high) = find_ends(ranks, draws, level)
    return TopRanked(
        order=cut.order,
        probability=probability,
        purity=purity,
        purity_low=np.minimum(low, purity),
        purity_high=np.maximum(high, purity),
        completeness=completeness,
        completeness_low=np.minimum(share_low, completeness),
        completeness_high=np.maximum(share_high, completeness),
        level=level,
    )


def expect_top_at(
    probability: np.ndarray,
    prevalence: float,
    *,
    calibrated_for: float,
    n_lenses: int,
    n_others: int,
    seed: int,
    level: float = 0.9,
) -> TopRanked:
    """Return expected purity and completeness of the top k from calibrated probabilities, float [m], for every k.

    Where there are no labelled images to hold beside the unknown ones, this takes the calibration at its word: the log
    odds move from the prevalence that they were calibrated for to the given one (Saerens et al. 2002, Neural
    Computation 14, 21). The intervals hold the chance of what is found among these images, and the error of the
    intercept of a calibration on n_lenses and n_others images; the error of its slope, and of its form beyond the
    images that it was fitted on, they do not hold (see the head of this file).
    """
    check_level(level)
    order = np.argsort(-np.asarray(probability, float), kind="stable")
    odds = logit(np.clip(np.asarray(probability, float)[order], 1e-12, 1 - 1e-12))
    odds += logit(prevalence) - logit(calibrated_for)
    m, rng = len(odds), np.random.default_rng(seed)
    ranks = choose_ranks(m)
    widths = np.diff(ranks, prepend=0)
    errors = rng.normal(0, np.sqrt(1 / n_lenses + 1 / n_others), KEPT)
    # Between two ranks the probabilities are nearly the same, so that their number of lenses is binomial.
    found = np.zeros((len(ranks), KEPT))
    for row, (end, width) in enumerate(zip(ranks, widths, strict=True)):
        middle = odds[end - width : end]
        rates = expit(middle.mean() + errors) * (expit(middle).mean() / expit(middle.mean()))
        found[row] = rng.binomial(width, np.minimum(rates, 1))
    found = np.cumsum(found, axis=0)
    probability = expit(odds)
    sums, every = np.cumsum(probability), np.arange(1, m + 1)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = (np.interp(every, ranks, end) for end in np.quantile(found, tails, axis=1))
    shares = np.where(found[-1] > 0, found / np.maximum(found[-1], 1), 1.0)
    share_low, share_high = (np.interp(every, ranks, end) for end in np.quantile(shares, tails, axis=1))
    purity, completeness = sums / every, sums / sums[-1]
    return TopRanked(
        order=order,
        probability=probability,
        purity=purity,
        purity_low=np.minimum(low / every, purity),
        purity_high=np.maximum(high / every, purity),
        completeness=completeness,
        completeness_low=np.minimum(share_low, completeness),
        completeness_high=np.maximum(share_high, completeness),
        level=level,
    )


class CutMixture:
    """Draws of how many lenses there are above a rank and among all unknown images.

    binary: with two classes; joint: float [draws, 2, cells], share of the unknown images of each class in each cell;
    posteriors: float [n, 2], of the labelled images, by which those of a cell are cut.
    """

    def __init__(
        self,
        binary: ScoredImages,
        joint: np.ndarray,
        cells: ScoreCells,
        posteriors: np.ndarray,
        rng: np.random.Generator,
        *,
        n_kept: int = KEPT,
    ) -> None:
        self.joint, self.score, self.rng, self.n_kept = joint, posteriors[:, 1], rng, n_kept
        self.order = np.argsort(-binary.unknown_posteriors[:, 1], kind="stable")
        self.ranked = binary.unknown_posteriors[self.order, 1]
        labelled_cells, self.cell = cells.assign(posteriors), cells.assign(binary.unknown_posteriors[self.order])
        self.members = [[(binary.truth == c) & (labelled_cells == j) for j in range(cells.number)] for c in (0, 1)]
        self.effects, self.unknown_effect = measure_effects(binary)
        self.sizes = np.bincount(self.cell, minlength=cells.number)
        self.lens_share = np.ascontiguousarray(_share_of_lenses(joint).T)

    def draw(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw lenses among the k best and among all, int [n_kept] each."""
        j = int(self.cell[k - 1])
        above = k - int(self.sizes[j + 1 :].sum())
        below = int(self.sizes[j]) - above
        # Halfway to the next image; labelled images at the very cut count half.
        edge = (self.ranked[k - 1] + self.ranked[k]) / 2 if k < len(self.ranked) else -np.inf
        shares = []
        for c in (0, 1):
            scores = self.score[self.members[c][j]]
            top = ((scores > edge).sum() + (scores == edge).sum() / 2) / self.effects[c]
            drawn = self.rng.beta(top + JEFFREYS, len(scores) / self.effects[c] - top + JEFFREYS, len(self.joint))
            shares.append(np.clip(drawn, 1e-9, 1 - 1e-9))
        parts = np.stack(shares, axis=1) * self.joint[:, :, j]
        rest = self.joint[:, :, j] - parts
        # Sums of two terms are much faster than sums along an axis of two.
        share = (parts[:, 0] + parts[:, 1]) / (self.joint[:, 0, j] + self.joint[:, 1, j])
        fit = (above * np.log(share) + below * np.log1p(-share)) / self.unknown_effect
        weight = np.exp(fit - fit.max())
        pick = self.rng.choice(len(weight), self.n_kept, p=weight / weight.sum())
        whole = self.rng.binomial(self.sizes[:, None], self.lens_share[:, pick])
        found = self.rng.binomial(above, _share_of_lenses(parts[pick])) + whole[j + 1 :].sum(axis=0)
        missed = self.rng.binomial(below, _share_of_lenses(rest[pick])) + whole[:j].sum(axis=0)
        return found, found + missed


def _share_of_lenses(joint: np.ndarray) -> np.ndarray:
    return np.asarray(joint[:, 1] / (joint[:, 0] + joint[:, 1]))


def choose_ranks(m: int, spacing: float = SPACING) -> np.ndarray:
    """Return rising ranks from 1 to m at which draws are made, int [r]."""
    n_steps = int(np.log(max(m / FINEST, 1)) / np.log(spacing))
    steps = (FINEST * spacing ** np.arange(1, n_steps + 1)).astype(int)
    return np.unique(np.concatenate([np.arange(1, min(FINEST, m) + 1), steps, [m]]))


def find_ends(
    ranks: np.ndarray, draws: Sequence[tuple[np.ndarray, np.ndarray]], level: float
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the ends of purity, then of completeness, for k = 1..m, float [m] each.

    ranks: rising to m; draws: at each rank, of the lenses found down to it and of those among all images.
    """
    every, tails = np.arange(1, ranks[-1] + 1), [(1 - level) / 2, (1 + level) / 2]
    found_ends = np.array([np.quantile(found, tails) for found, _ in draws])
    # Without any lens among the images nothing is missed, whatever k.
    shares = [np.where(total > 0, found / np.maximum(total, 1), 1.0) for found, total in draws]
    share_ends = np.maximum.accumulate([np.quantile(share, tails) for share in shares], axis=0)
    low, high = (np.interp(every, ranks, end) / every for end in found_ends.T)
    share_low, share_high = (np.interp(every, ranks, end) for end in share_ends.T)
    return (low, high), (share_low, share_high)
