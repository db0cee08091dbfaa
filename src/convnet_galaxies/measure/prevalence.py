"""Estimate the number of lenses among unlabelled images under prior shift, with intervals (quantification).

Assumed throughout: the images of each class look alike on both sides, only the mix differs (prior shift); the
posteriors come from a net that was not trained on the labelled images given here. Whether it can be trusted is tested
in shift.py. Three methods:

- "mixture": the Bayesian mixture of score_mixture.py. The default figure: for 1,000 images and 0.2 to
  30 % its 90 % intervals held the truth in 89 to 98 % of 120 trials (pacc: 82 to 95 % of 60, emq: 70 to 90 % of 30;
  benchmarks/results/quantifiers.csv).
- "emq": expectation maximization of Saerens, Latinne & Decaestecker 2002 (Neural Computation 14, 21), on
  posteriors recalibrated with bias-corrected temperature scaling (Alexandari et al. 2020, arXiv:1901.06852).
- "pacc": probabilistic adjusted classify and count (Bella et al. 2010, ICDM).

The intervals of the last two are percentiles of a bootstrap that draws groups on both sides, recalibration included.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from scipy.optimize import minimize

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.calibration import FLOOR, fit_temperature, stack_binary
from convnet_galaxies.measure.intervals import FEW_GROUPS, Estimate, check_level, draw_groups, encode_groups
from convnet_galaxies.measure.score_mixture import (
    MixtureDraws,
    ScoreCells,
    make_cells,
    measure_design_effect,
    sample_mixture,
)

METHODS = ("mixture", "emq", "pacc")
MIXTURE_BINS = 6
MIXED = 1.1
"""R-hat above which the draws of the mixture are called unreliable."""
EMQ_STEPS, EMQ_LEAST_STEPS = 1000, 10


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Input of the estimates; equal only to itself.

    posteriors: float [n, k], rows adding to 1, class 0 the non-lenses; truth: int [n] in 0..k-1; groups: [n].
    unknown_posteriors: float [m, k]; unknown_groups: [m].
    """

    posteriors: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    unknown_posteriors: np.ndarray
    unknown_groups: np.ndarray


@dataclass(frozen=True)
class Prevalence:
    """Fractions and numbers of each class among n_unknown unlabelled images.

    method: that of the figures below; fraction: by class, of the population that the images were drawn from;
    count: by class, among the very images. With more than two classes both also hold "any lens".
    by_method: method, then class, to fraction. remarks: what to know, one sentence each.
    """

    n_unknown: int
    method: str
    fraction: dict[str, Estimate]
    count: dict[str, Estimate]
    by_method: dict[str, dict[str, Estimate]]
    remarks: tuple[str, ...] = ()


def join_scores(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    unknown_probability: np.ndarray,
    unknown_groups: np.ndarray,
) -> ScoredImages:
    """Return ScoredImages from lens probabilities [n], [m] or class posteriors [n, k], [m, k]. Raises InputError."""

    def stack(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, float)
        return stack_binary(values) if values.ndim == 1 else values

    known, unknown = stack(probability), stack(unknown_probability)
    truth = np.asarray(truth, int)
    _check_posteriors(known, "labelled images")
    _check_posteriors(unknown, "unlabelled images")
    if (
        known.shape != (len(truth), unknown.shape[1])
        or len(groups) != len(truth)
        or len(unknown_groups) != len(unknown)
    ):
        raise InputError(
            f"prevalence: found posteriors {known.shape} and {unknown.shape} for {len(truth)} truths, {len(groups)} "
            f"and {len(unknown_groups)} groups, expected one truth and one group per image, and the same classes",
            "predict the same images that the table lists",
        )
    for k in range(known.shape[1]):
        if not (truth == k).any():
            raise InputError(
                f"prevalence: found no labelled image of class {k}, expected some of each",
                "give labelled images of every class, on which the network was not trained",
            )
    return ScoredImages(known, truth, np.asarray(groups), unknown, np.asarray(unknown_groups))


def count_as_lenses(images: ScoredImages) -> ScoredImages:
    """Return the images with two classes, non-lenses and all others; themselves if they have no more."""
    if images.posteriors.shape[1] == 2:
        return images
    known, unknown = (stack_binary(1 - side[:, 0]) for side in (images.posteriors, images.unknown_posteriors))
    return ScoredImages(known, (images.truth > 0).astype(int), images.groups, unknown, images.unknown_groups)


def quantify(
    images: ScoredImages,
    *,
    classes: Sequence[str] = ("non-lens", "lens"),
    seed: int,
    level: float = 0.9,
    methods: Sequence[str] = METHODS,
    n_resamples: int = 200,
) -> Prevalence:
    """Return the prevalence by each of the methods; the first is the one of the figures. See the module's docstring.

    n_resamples: of the bootstrap of emq and pacc.
    """
    check_level(level)
    if unknown := [method for method in methods if method not in METHODS]:
        raise UsageError(
            f"prevalence: found method {unknown[0]!r}, expected one of {', '.join(METHODS)}", "choose one of them"
        )
    n_classes, n_unknown = images.posteriors.shape[1], len(images.unknown_posteriors)
    if len(classes) != n_classes:
        raise UsageError(f"prevalence: found {len(classes)} class names for {n_classes} classes", "name every class")
    scarce = [
        f"only {n} labelled group{'s' * (n > 1)} of class {name}"
        for k, name in enumerate(classes)
        if (n := encode_groups(images.groups[images.truth == k])[1]) < FEW_GROUPS
    ]
    caution = scarce[0] + ": the interval is rough" if scarce else None
    by_method, counts = {}, {}
    for method in methods:
        draws, value, numbers, fault = _METHODS[method](images, seed, n_resamples)
        warning = "; ".join(text for text in (caution, fault) if text) or None
        by_method[method] = _make_figures(classes, value, draws, level, warning)
        counts[method] = _make_figures(classes, value * n_unknown, numbers, level, warning)
        for name, figure in by_method[method].items():
            # When there may be no image of a class, its fraction may be 0, where the prior of the mixture has no mass.
            if counts[method][name].low == 0:
                by_method[method][name] = replace(figure, low=0.0)
    first = methods[0]
    return Prevalence(n_unknown, first, by_method[first], counts[first], by_method, tuple(scarce))


@lru_cache(maxsize=2)
def draw_mixture(images: ScoredImages, *, seed: int) -> tuple[MixtureDraws, ScoreCells]:
    """Return draws of the mixture, and the cells of its scores. Those of the last images are kept."""
    n_classes = images.posteriors.shape[1]
    cells = make_cells(images.posteriors, images.truth, n_bins=MIXTURE_BINS)
    labelled_cells, unknown_cells = cells.assign(images.posteriors), cells.assign(images.unknown_posteriors)
    effects, unknown_effect = measure_effects(images)
    labelled = [np.bincount(labelled_cells[images.truth == k], minlength=cells.number) for k in range(n_classes)]
    draws = sample_mixture(
        np.array(labelled) / effects[:, None],
        np.bincount(unknown_cells, minlength=cells.number),
        rng=np.random.default_rng(seed),
        unknown_effect=unknown_effect,
    )
    return draws, cells


def measure_effects(images: ScoredImages) -> tuple[np.ndarray, float]:
    """Return the design effect of the labelled images of each class, float [k], and that of the unknown images."""
    by_class = [
        measure_design_effect(images.posteriors[rows], images.groups[rows])
        for rows in (images.truth == k for k in range(images.posteriors.shape[1]))
    ]
    return np.array(by_class), measure_design_effect(images.unknown_posteriors, images.unknown_groups)


MethodEstimate = tuple[np.ndarray, np.ndarray, np.ndarray, str | None]
"""Draws of the fractions [draws, k], their best value [k], draws of the counts [draws, k], and a warning."""


def _by_mixture(images: ScoredImages, seed: int, n_resamples: int) -> MethodEstimate:
    draws, _ = draw_mixture(images, seed=seed)
    fault = f"the draws have not settled (R-hat {draws.rhat:.2f})" if draws.rhat > MIXED else None
    return draws.fractions, np.median(draws.fractions, axis=0), draws.counts, fault


def _by_bootstrap(
    estimate: Callable[..., np.ndarray], images: ScoredImages, seed: int, n_resamples: int
) -> MethodEstimate:
    rng = np.random.default_rng(seed)
    codes, n_groups = encode_groups(images.groups)
    unknown_codes, n_unknown_groups = encode_groups(images.unknown_groups)
    everything = np.arange(len(codes)), np.arange(len(unknown_codes))
    n_classes, draws, fault = images.posteriors.shape[1], [], None

    def once(rows: np.ndarray, unknown_rows: np.ndarray) -> np.ndarray:
        return estimate(images.posteriors[rows], images.truth[rows], images.unknown_posteriors[unknown_rows])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = once(*everything)
        for counts, unknown_counts in zip(
            draw_groups(n_groups, n_resamples, rng), draw_groups(n_unknown_groups, n_resamples, rng), strict=True
        ):
            rows = np.repeat(everything[0], counts[codes].astype(int))
            if len(np.unique(images.truth[rows])) == n_classes:
                draws.append(once(rows, np.repeat(everything[1], unknown_counts[unknown_codes].astype(int))))
    if caught:
        fault = str(caught[0].message)
    elif len(draws) < 0.9 * n_resamples:
        fault = f"{n_resamples - len(draws)} of {n_resamples} resamples lack a class"
    fractions = np.array(draws or [value])
    return fractions, value, fractions * len(unknown_codes), fault


def _estimate_emq(posteriors: np.ndarray, truth: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    scaling = fit_temperature(posteriors, truth, bias=True)
    labelled = np.bincount(truth, minlength=posteriors.shape[1]) / len(truth)
    recalibrated = np.clip(scaling.apply(unknown), FLOOR, 1)
    fractions = labelled
    for step in range(EMQ_STEPS):
        weighted = recalibrated * (fractions / labelled)
        updated = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
        moved, fractions = np.abs(updated - fractions).mean(), updated
        # A change of 1e-4 in a step, often taken as the end, is far from the answer when that is 0.2 %.
        if step > EMQ_LEAST_STEPS and moved < 1e-6:
            return fractions
    warnings.warn(f"expectation maximization had not settled after {EMQ_STEPS:,} steps", stacklevel=1)
    return fractions


def _estimate_pacc(posteriors: np.ndarray, truth: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    n_classes = posteriors.shape[1]
    by_class = np.stack([posteriors[truth == k].mean(axis=0) for k in range(n_classes)], axis=1)
    mean = unknown.mean(axis=0) / unknown.mean(axis=0).sum()
    found = minimize(
        lambda fractions: np.linalg.norm(by_class @ fractions - mean),
        x0=np.full(n_classes, 1 / n_classes),
        method="SLSQP",
        bounds=[(0, 1)] * n_classes,
        constraints={"type": "eq", "fun": lambda fractions: 1 - fractions.sum()},
    )
    fractions = np.clip(found.x, 0, 1)
    return fractions / fractions.sum()


_METHODS: dict[str, Callable[[ScoredImages, int, int], MethodEstimate]] = {
    "mixture": _by_mixture,
    "emq": partial(_by_bootstrap, _estimate_emq),
    "pacc": partial(_by_bootstrap, _estimate_pacc),
}


def _make_figures(
    classes: Sequence[str], value: np.ndarray, draws: np.ndarray, level: float, warning: str | None
) -> dict[str, Estimate]:
    """Percentiles of each class, and of all but class 0 together when there are more than two."""
    names = list(classes)
    if len(names) > 2:
        names.append("any lens")
        value, draws = np.append(value, value[1:].sum()), np.column_stack([draws, draws[:, 1:].sum(axis=1)])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {
        name: Estimate(
            name,
            float(value[k]),
            min(float(low[k]), float(value[k])),
            max(float(high[k]), float(value[k])),
            level,
            warning,
        )
        for k, name in enumerate(names)
    }


def _check_posteriors(posteriors: np.ndarray, where: str) -> None:
    if posteriors.ndim != 2 or len(posteriors) == 0:
        raise InputError(f"prevalence: found no {where}, expected some", f"give {where}, as [images, classes]")
    off = ~(
        np.isfinite(posteriors).all(axis=1)
        & (posteriors >= 0).all(axis=1)
        & (np.abs(posteriors.sum(axis=1) - 1) < 1e-4)
    )
    if off.any():
        raise InputError(
            f"prevalence: found {int(off.sum())} rows among the {where} that are no probabilities, expected rows that "
            "are finite, not negative and add to 1",
            "check the predictions",
        )
