"""Test whether scores of unknown images are a mixture of those of known lenses and others, and its sensitivity.

The estimates of prevalence.py assume such a mixture. Its fit to the counts of images in cells of the score is tested
by the likelihood ratio against free counts, whose distribution is drawn from the fitted mixture (parametric bootstrap;
McLachlan 1987, Applied Statistics 36, 318). The power is measured in the same way: the known lenses are moved to lower
scores by a shift of the log odds, unknown images are drawn with them, and the test is repeated. A shift that makes
the lenses look like non-lenses cannot be seen in the scores by any test; the power then is small, and that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from convnet_galaxies.measure.calibration import stack_binary
from convnet_galaxies.measure.prevalence import ScoredImages, count_as_lenses, measure_effects
from convnet_galaxies.measure.score_mixture import make_cells

N_BINS = 10
N_DRAWS, N_SHIFTED_DRAWS = 200, 100
N_STEPS = 300
SHIFTS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Shifts of the log odds that are tried, natural logarithm."""
POWER = 0.8
EDGE = 1e-7


@dataclass(frozen=True)
class ScoreFit:
    """Result of the test.

    p_value: of so bad a fit if the assumption held; fraction: of lenses, by maximum likelihood.
    shifts: by which the log odds of the unknown lenses may be lower than those of the known ones; power: with which
    each would be seen; missed_factor: the true number of lenses over the estimated one if that were the shift.
    seen: the smallest shift that is seen with POWER, it and all larger ones; None when none is.
    seen_factor: the missed_factor at it.
    """

    p_value: float
    fraction: float
    shifts: tuple[float, ...]
    power: tuple[float, ...]
    missed_factor: tuple[float, ...]
    seen: float | None
    seen_factor: float | None


def check_score_fit(images: ScoredImages, *, seed: int, alpha: float = 0.05) -> ScoreFit:
    """Return the test of the mixture of scores, and its power at significance alpha.

    With more than two classes all but class 0 count as lenses. Counts are divided by the design effects of their
    groups.
    """
    binary = count_as_lenses(images)
    truth = binary.truth
    cells = make_cells(binary.posteriors, truth, n_bins=N_BINS)
    effects, unknown_effect = measure_effects(binary)

    def count(posteriors: np.ndarray) -> np.ndarray:
        return np.bincount(cells.assign(posteriors), minlength=cells.number).astype(float)

    known = np.stack([count(binary.posteriors[truth == c]) / effects[c] for c in (0, 1)])
    unknown = count(binary.unknown_posteriors) / unknown_effect
    odds = logit(np.clip(binary.posteriors[truth == 1, 1], EDGE, 1 - EDGE))
    moved = []
    for shift in SHIFTS:
        lens = 1 / (1 + np.exp(shift - odds))
        moved.append(count(stack_binary(lens)) / len(lens))
    return _check_counts(known, unknown, np.array(moved), np.random.default_rng(seed), alpha)


def _check_counts(
    known: np.ndarray, unknown: np.ndarray, moved: np.ndarray, rng: np.random.Generator, alpha: float
) -> ScoreFit:
    """known: float [2, cells]; unknown: [cells]; moved: [shifts, cells], share of the moved lenses in each cell."""
    fraction, theta, statistic = (part[0] for part in fit_mixture(known[None], unknown[None]))
    shares = np.concatenate([theta[1][None], moved])
    # What the fit would make of each shift, without noise, and which true fraction explains the one that was found.
    lenses = np.clip(fraction, 1e-6, 1)
    seen_fraction, _, _ = fit_mixture(
        np.broadcast_to(known.sum(axis=1)[:, None] * theta, (len(shares), *known.shape)),
        unknown.sum() * (lenses * shares + (1 - lenses) * theta[0]),
    )
    factor = np.clip(lenses / np.maximum(seen_fraction, 1e-9), 1, min(1e3, 0.95 / lenses if lenses < 0.95 else 1))
    factor[0] = 1
    true = np.minimum(lenses * factor, 1)[:, None]
    mixture = true * shares + (1 - true) * theta[0]
    rows = np.repeat(np.arange(len(shares)), [N_DRAWS, *[N_SHIFTED_DRAWS] * len(moved)])
    n_known, n_unknown = np.maximum(1, np.round(known.sum(axis=1))).astype(int), max(1, round(unknown.sum()))
    drawn = np.stack([rng.multinomial(n, p, size=len(rows)) for n, p in zip(n_known, theta, strict=True)], axis=1)
    drawn_unknown = rng.multinomial(n_unknown, (mixture / mixture.sum(axis=1, keepdims=True))[rows])
    _, _, statistics = fit_mixture(drawn, drawn_unknown)
    null, shifted = statistics[:N_DRAWS], statistics[N_DRAWS:].reshape(len(moved), N_SHIFTED_DRAWS)
    p_value = float((1 + (null >= statistic).sum()) / (1 + N_DRAWS))
    power = (shifted > np.quantile(null, 1 - alpha)).mean(axis=1)
    weak = np.flatnonzero(power < POWER)
    first = int(weak[-1]) + 1 if len(weak) else 0
    seen = first < len(SHIFTS)
    return ScoreFit(
        p_value,
        float(fraction),
        SHIFTS,
        tuple(power.tolist()),
        tuple(factor[1:].tolist()),
        SHIFTS[first] if seen else None,
        float(factor[1 + first]) if seen else None,
    )


def fit_mixture(known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fraction of lenses [n], the shares by class and cell [n, 2, cells], and the likelihood ratio [n].

    known: float [n, 2, cells], counts of labelled non-lenses and lenses; unknown: float [n, cells]. Maximum likelihood
    by N_STEPS of expectation maximization. The ratio is ``2 log(L_free / L_mixture)``, where free counts fit exactly.
    """
    known, unknown = np.asarray(known, float), np.asarray(unknown, float)
    least = 1e-12  # of fractions and shares: no division by zero
    # Cells first, [cells, n]: sums over few cells are several times faster along the first axis. Half an image per cell
    # keeps the start off the borders, from which the steps do not return.
    others, lenses, mixed = (np.ascontiguousarray(part.T) for part in (known[:, 0], known[:, 1], unknown))
    total, pi = mixed.sum(axis=0), np.full(len(unknown), 0.2)
    other, lens = ((part + 0.5) / (part + 0.5).sum(axis=0) for part in (others, lenses))
    members, rest = np.empty_like(mixed), np.empty_like(mixed)
    for _ in range(N_STEPS):
        np.multiply(lens, pi, out=members)
        np.multiply(other, 1 - pi, out=rest)
        rest += members
        members *= mixed
        members /= rest
        pi = np.clip(members.sum(axis=0) / total, least, 1 - least)
        np.subtract(mixed, members, out=rest)
        for shares, own, labelled in ((lens, members, lenses), (other, rest, others)):
            np.add(labelled, own, out=shares)
            np.maximum(shares, least, out=shares)
            shares /= shares.sum(axis=0)
    theta = np.stack([other.T, lens.T], axis=1)
    mixture = pi[:, None] * theta[:, 1] + (1 - pi)[:, None] * theta[:, 0]
    ratio = surprise(known, theta).sum(axis=1) + surprise(unknown, mixture)
    return pi, theta, 2 * np.maximum(ratio, 0)


def surprise(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the log likelihood of free shares over that of the given ones, summed over the last axis, of counts."""
    free = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300)
    terms = counts * (np.log(np.maximum(free, 1e-300)) - np.log(np.maximum(shares, 1e-300)))
    return np.where(counts > 0, terms, 0).sum(axis=-1)
