"""Range of prevalences if unknown lenses or non-lenses are harder to classify than the known ones.

When the trust check of shift.py tells known from unknown images, no single estimate is honest: the answer is a range
under stated assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.intervals import Estimate, check_level, draw_groups, encode_groups
from convnet_galaxies.measure.prevalence import ScoredImages

THRESHOLD = 0.5


@dataclass(frozen=True)
class PrevalenceBounds:
    """Range of the prevalence under stated assumptions.

    completeness_ratio: (least, most) completeness for real lenses, in units of that for the known ones;
    false_positive_ratio: (least, most) false positive rate for the unknown non-lenses, in units of that for the known;
    as_measured: with both ratios 1; low, high: over all pairs within the ratios, statistical interval included;
    widened_by_completeness, widened_by_false_positives: the (low, high) when only that assumption is relaxed;
    threshold: lens probability from which an image counts as flagged.
    """

    completeness_ratio: tuple[float, float]
    false_positive_ratio: tuple[float, float]
    as_measured: Estimate
    low: float
    high: float
    widened_by_completeness: tuple[float, float]
    widened_by_false_positives: tuple[float, float]
    threshold: float

    def __str__(self) -> str:
        a, b = self.completeness_ratio
        c, d = self.false_positive_ratio
        return (
            f"{self.low:.3g} to {self.high:.3g} if the network finds {a:g} to {b:g} times as many of the real "
            f"lenses as of the known ones, and {c:g} to {d:g} times as many false positives"
        )


def bound_prevalence(
    images: ScoredImages,
    *,
    completeness_ratio: tuple[float, float] = (0.5, 1.0),
    false_positive_ratio: tuple[float, float] = (1.0, 1.0),
    seed: int,
    level: float = 0.9,
    n_resamples: int = 500,
) -> PrevalenceBounds:
    """Return the prevalence of lenses if the net is better or worse on the unknown images by stated factors.

    With q the flagged fraction of the unknown images, C the completeness and F the false positive rate on the known
    ones, rho and phi the ratios: ``pi = (q - phi F) / (rho C - phi F)``, cut to 0..1 (Rogan & Gladen 1978, Am. J.
    Epidemiol. 107, 71). It rises as rho or phi falls (while the net flags lenses more often than non-lenses), so
    that the ends of the range lie at the ends of the ratios. The interval of each comes from resampled groups of all
    three rates, joined by exact binomial intervals where a rate is 0 or 1.
    """
    check_level(level)
    for name, (least, most) in (("completeness", completeness_ratio), ("false positive", false_positive_ratio)):
        if not 0 < least <= most:
            raise UsageError(
                f"shift: found {name} ratios {least:g} to {most:g}, expected 0 < least <= most", "use e.g. 0.5 and 1"
            )
    lens = images.truth > 0
    known_flag, flag = 1 - images.posteriors[:, 0] >= THRESHOLD, 1 - images.unknown_posteriors[:, 0] >= THRESHOLD
    rng = np.random.default_rng(seed)
    sets = (
        (flag, images.unknown_groups),
        (known_flag[lens], images.groups[lens]),
        (known_flag[~lens], images.groups[~lens]),
    )
    best = tuple(float(flags.mean()) for flags, _ in sets)
    q, c, f = (_draw_rate(flags, groups, n_resamples, rng) for flags, groups in sets)

    def interval(rho: float, phi: float) -> tuple[float, float]:
        low, high = np.quantile(
            _solve(q, np.minimum(rho * c, 1), np.minimum(phi * f, 1)), [(1 - level) / 2, (1 + level) / 2]
        )
        return float(low), float(high)

    def span(rhos: tuple[float, float], phis: tuple[float, float]) -> tuple[float, float]:
        return interval(rhos[1], phis[1])[0], interval(rhos[0], phis[0])[1]

    value = float(_solve(*(np.array([rate]) for rate in best))[0])
    low, high = interval(1, 1)
    warning = (
        None if best[1] > best[2] else "the network flags no more lenses than non-lenses: the data do not constrain it"
    )
    total = span(completeness_ratio, false_positive_ratio)
    return PrevalenceBounds(
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        as_measured=Estimate("lens", value, min(low, value), max(high, value), level, warning),
        low=total[0],
        high=total[1],
        widened_by_completeness=span(completeness_ratio, (1.0, 1.0)),
        widened_by_false_positives=span((1.0, 1.0), false_positive_ratio),
        threshold=THRESHOLD,
    )


def _draw_rate(flags: np.ndarray, groups: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    codes, n_groups = encode_groups(groups)
    if flags.all() or not flags.any():  # no resample varies: the draws of a rate of which nothing was seen (Jeffreys)
        return rng.beta(flags.any() * n_groups + 0.5, (not flags.any()) * n_groups + 0.5, size=n_resamples)
    draws = draw_groups(n_groups, n_resamples, rng)
    return draws @ np.bincount(codes, flags, n_groups) / (draws @ np.bincount(codes, minlength=n_groups))


def _solve(flagged: np.ndarray, completeness: np.ndarray, false_positive_rate: np.ndarray) -> np.ndarray:
    span = completeness - false_positive_rate
    value = np.divide(flagged - false_positive_rate, span, out=np.ones_like(span), where=span > 0)
    return np.clip(value, 0, 1)
