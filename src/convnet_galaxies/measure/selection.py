"""Selection function of a lens finder: completeness by a property of the lens, purity in a survey.

Intervals of completeness are exact binomial ones over groups (Clopper & Pearson 1934): a lens that shows in three
cutouts of one field is one lens.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import (
    FEW_GROUPS,
    Estimate,
    bound_proportion,
    check_level,
    draw_groups,
    encode_groups,
)
from convnet_galaxies.measure.ranking import Ranking
from convnet_galaxies.measure.scores import check_scores, count_rarer_groups

SURVEY_LENSES = 90.0
SURVEY_FIELDS = 430_000
"""Lenses expected in the 430,000 fields of Space Warps CFHTLS (Marshall et al. 2016, arXiv:1504.06148)."""


@dataclass(frozen=True)
class Selection:
    """Completeness in bins of one property.

    edges: n_bins + 1 numbers in the unit of the property (arcsec for an Einstein radius, mag for a magnitude), or
    None for names; names: of the bins; completeness: one a bin; counts: lenses in each bin.
    """

    property: str
    edges: tuple[float, ...] | None
    names: tuple[str, ...]
    completeness: tuple[Estimate, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SurveyCurve:
    """False positives and purity at each completeness, in a survey of n_fields images with n_lenses lenses.

    Every array is float [cuts]; threshold: lens probability at and above which an image is selected;
    completeness: of that cut, at least the one asked for; false_positives: expected in the whole survey;
    purity: lenses found / (lenses found + false positives); *_low, *_high: ends of the intervals.
    """

    n_lenses: float
    n_fields: int
    level: float
    threshold: np.ndarray
    completeness: np.ndarray
    completeness_low: np.ndarray
    completeness_high: np.ndarray
    false_positives: np.ndarray
    false_positives_low: np.ndarray
    false_positives_high: np.ndarray
    purity: np.ndarray
    purity_low: np.ndarray
    purity_high: np.ndarray
    warning: str | None = None


def measure_selection(
    name: str,
    values: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    *,
    threshold: float = 0.5,
    bins: int | np.ndarray = 8,
    level: float = 0.95,
) -> Selection:
    """Measure completeness of the lenses given, all of which are true, in bins of a property or by name.

    name: of the property with its unit, e.g. ``einstein_radius_arcsec``. values: float [n] (NaN is left out) or str
    [n], e.g. flavors. bins: number of bins of equal counts, or their edges (the last bin holds its upper edge).
    """
    check_level(level)
    values, probability, groups = np.asarray(values), np.asarray(probability, float), np.asarray(groups)
    if values.dtype.kind in "fiu":
        kept = np.isfinite(values.astype(float))
        values, probability, groups = values[kept].astype(float), probability[kept], groups[kept]
        if len(values) == 0:
            raise InputError(
                f"{name}: found no lens with a value, expected some", "give the truth table of the simulation"
            )
        edges = np.quantile(values, np.linspace(0, 1, bins + 1)) if isinstance(bins, int) else np.asarray(bins, float)
        edges = np.unique(edges) if len(np.unique(edges)) > 1 else edges[0] + np.array([-0.5, 0.5])
        cell = np.searchsorted(edges, values, side="right") - 1
        cell[values == edges[-1]] = len(edges) - 2
        names = tuple(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges))
        kept_edges: tuple[float, ...] | None = tuple(float(edge) for edge in edges)
    else:
        unique, cell = np.unique(values.astype(str), return_inverse=True)
        names, kept_edges = tuple(str(one) for one in unique), None
    figures = [
        _measure_completeness(names[k], probability[cell == k] >= threshold, groups[cell == k], level)
        for k in range(len(names))
    ]
    return Selection(name, kept_edges, names, tuple(figures), tuple(int((cell == k).sum()) for k in range(len(names))))


def expect_survey(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    *,
    n_lenses: float = SURVEY_LENSES,
    n_fields: int = SURVEY_FIELDS,
    completenesses: np.ndarray | None = None,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 500,
) -> SurveyCurve:
    """Return purity and number of false positives in a survey, at cuts of the given completenesses.

    ``purity = N C / (N C + F)`` and ``F = (n_fields - N) * FPR``, with N the lenses in the survey, C
    the completeness and FPR the false positive rate of the cut on these images. The intervals join a bootstrap over
    groups at fixed thresholds with exact binomial ones, since no resample shows more than was seen: if none of n
    non-lens groups passes a cut, up to 3.7 / n of them may.

    completenesses: float [cuts] in (0, 1]; 0.02, 0.04, ..., 1 by default.
    Raises UsageError for a prevalence outside (0, 1).
    """
    check_level(level)
    truth, probability = check_scores(truth, probability, groups)
    if not 0 < n_lenses < n_fields:
        raise UsageError(
            f"survey: found {n_lenses:g} lenses in {n_fields:g} images, expected a prevalence between 0 and 1",
            "give more fields than lenses, and at least some lenses",
        )
    wanted = np.linspace(0.02, 1, 50) if completenesses is None else np.asarray(completenesses, float)
    codes, n_groups = encode_groups(groups)
    ranking = Ranking(truth, probability, codes)
    tp, fp = (part[0] for part in ranking.accumulate(np.ones((1, n_groups))))
    cuts = np.searchsorted(tp / tp[-1], wanted - 1e-12)
    draws = draw_groups(n_groups, n_resamples, np.random.default_rng(seed))
    drawn_tp, drawn_fp = ranking.accumulate(draws)
    usable = (drawn_tp[:, -1] > 0) & (drawn_fp[:, -1] > 0)
    rates = [part[usable][:, cuts] / part[usable][:, -1:] for part in (drawn_tp, drawn_fp)]
    n_rows = [encode_groups(np.asarray(groups)[side])[1] for side in (truth, ~truth)]
    values = (tp[cuts] / tp[-1], fp[cuts] / fp[-1])
    (c_low, c_high), (f_low, f_high) = (
        _join_intervals(value, drawn, n, level) for value, drawn, n in zip(values, rates, n_rows, strict=True)
    )
    few = count_rarer_groups(truth, np.asarray(groups))
    others = n_fields - n_lenses

    def purity(completeness: np.ndarray, false_positive_rate: np.ndarray) -> np.ndarray:
        return n_lenses * completeness / np.maximum(n_lenses * completeness + others * false_positive_rate, 1e-300)

    return SurveyCurve(
        n_lenses=n_lenses,
        n_fields=n_fields,
        level=level,
        threshold=np.sort(np.unique(probability))[::-1][cuts],
        completeness=values[0],
        completeness_low=c_low,
        completeness_high=c_high,
        false_positives=others * values[1],
        false_positives_low=others * f_low,
        false_positives_high=others * f_high,
        purity=purity(*values),
        purity_low=purity(c_low, f_high),
        purity_high=purity(c_high, f_low),
        warning=f"only {few} groups of the rarer class: the interval is rough" if few < FEW_GROUPS else None,
    )


def _measure_completeness(name: str, found: np.ndarray, groups: np.ndarray, level: float) -> Estimate:
    n = encode_groups(groups)[1] if len(groups) else 0
    value = float(found.mean()) if n else 0.0
    low, high = bound_proportion(value * n, n, level=level)
    warning = None if n >= FEW_GROUPS else f"only {n} lens{'es' * (n != 1)} in this bin" if n else "no lens in this bin"
    return Estimate(name, value, low, high, level, warning)


def _join_intervals(value: np.ndarray, draws: np.ndarray, n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    exact = np.array([bound_proportion(one * n, n, level=level) for one in value])
    return np.minimum(low, exact[:, 0]), np.maximum(high, exact[:, 1])
