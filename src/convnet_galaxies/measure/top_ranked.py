"""What to expect of the k best-ranked images of unknown truth: purity and completeness for every k.

The posteriors of the net hold for the mix of classes that it was calibrated on; with other fractions pi they become
``p'(c) ~ p(c) pi(c) / pi_calibrated(c)`` (Saerens, Latinne & Decaestecker 2002). The expected purity of the k best is
the mean of p'(lens) over them, the expected completeness its sum over them divided by its sum over all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.calibration import fit_temperature
from convnet_galaxies.measure.intervals import check_level, draw_groups, encode_groups
from convnet_galaxies.measure.prevalence import ScoredImages, draw_mixture


@dataclass(frozen=True)
class TopRanked:
    """Expectations for the k best of m images, k = 1..m.

    order: int [m], the images, best first; probability: float [m], that the image at each rank is a lens;
    purity, completeness: float [m], for k = 1..m; *_low, *_high: float [m], ends of their intervals.
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


def adjust_prior(posteriors: np.ndarray, calibrated_on: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Posteriors [n, k] for other class fractions [k] than those they were calibrated on [k].

    Raises UsageError when a fraction is not within 0 to 1 or one that was calibrated on is 0.
    """
    calibrated_on, fractions = np.asarray(calibrated_on, float), np.asarray(fractions, float)
    for values, name in ((calibrated_on, "calibrated fractions"), (fractions, "new fractions")):
        if not np.isfinite(values).all() or (values < 0).any() or abs(values.sum() - 1) > 1e-6:
            raise UsageError(
                f"prevalence: found {name} {values.tolist()}, expected numbers between 0 and 1 that add to 1",
                "give a prevalence between 0 and 1",
            )
    if (calibrated_on == 0).any():
        raise UsageError(
            f"prevalence: found calibrated fractions {calibrated_on.tolist()}, expected none to be 0",
            "calibrate on images of every class",
        )
    weighted = np.asarray(posteriors, float) * (fractions / calibrated_on)
    return weighted / weighted.sum(axis=1, keepdims=True)


def expect_top(images: ScoredImages, *, seed: int, level: float = 0.9, n_draws: int = 200) -> TopRanked:
    """Expected purity and completeness of the top k of the unknown images, for every k.

    Each draw takes the fractions from the mixture (see prevalence.quantify), a recalibration of the posteriors from
    resampled labelled groups, and lenses and non-lenses at random by the adjusted posteriors; the interval is of what
    is found among these images, not only of its expectation.
    """
    check_level(level)
    mixture, _ = draw_mixture(images, seed=seed)
    rng = np.random.default_rng(seed)
    codes, n_groups = encode_groups(images.groups)
    n_classes, m = images.posteriors.shape[1], len(images.unknown_posteriors)
    order = np.argsort(images.unknown_posteriors[:, 0], kind="stable")
    ranked = images.unknown_posteriors[order]
    picked = mixture.fractions[rng.integers(len(mixture.fractions), size=n_draws)]
    expected, found = [], []
    for counts, fractions in zip(draw_groups(n_groups, n_draws, rng), picked, strict=True):
        weights = counts[codes]
        shares = np.bincount(images.truth, weights, n_classes) / weights.sum()
        if (shares == 0).any():
            continue
        scaling = fit_temperature(images.posteriors, images.truth, bias=True, weights=weights)
        lens = 1 - adjust_prior(scaling.apply(ranked), shares, fractions)[:, 0]
        expected.append(lens)
        found.append(rng.random(m) < lens)
    probability = np.mean(expected, axis=0)
    purities = np.cumsum(found, axis=1) / np.arange(1, m + 1)
    sums = np.cumsum(found, axis=1)
    # Without any lens among the images nothing is missed, whatever k.
    completenesses = np.where(sums[:, -1:] > 0, sums / np.maximum(sums[:, -1:], 1), 1.0)
    tails = [(1 - level) / 2, (1 + level) / 2]
    purity = np.cumsum(probability) / np.arange(1, m + 1)
    completeness = np.cumsum(probability) / probability.sum()
    purity_low, purity_high = np.quantile(purities, tails, axis=0)
    completeness_low, completeness_high = np.quantile(completenesses, tails, axis=0)
    return TopRanked(
        order=order,
        probability=probability,
        purity=purity,
        purity_low=np.minimum(purity_low, purity),
        purity_high=np.maximum(purity_high, purity),
        completeness=completeness,
        completeness_low=np.minimum(completeness_low, completeness),
        completeness_high=np.maximum(completeness_high, completeness),
        level=level,
    )
