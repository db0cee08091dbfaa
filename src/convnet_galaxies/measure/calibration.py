"""Calibration of probabilities: temperature scaling, isotonic regression, reliability.

All maps are fitted on images that the net was not trained on. Probabilities are [n, k], one column a class, each
row adding to 1; a lens finder has k = 2, columns non-lens and lens (see stack_binary).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import Estimate, bootstrap_groups, encode_groups

FOLDS = 5
"""Folds of every cross-fit."""
FLOOR = 1e-7
TEMPERATURE_RANGE = (0.1, 20.0)
"""A perfectly separated set would give temperature 0, and thus only probabilities of 0 and 1."""
BIAS_LIMIT = 8.0


@dataclass(frozen=True)
class TemperatureScaling:
    """``softmax(log p / temperature + bias)``; bias: k numbers (first 0), all zero for plain temperature scaling.

    Guo et al. 2017, arXiv:1706.04599; with bias it is the bias-corrected kind that prior-shift estimates need
    (Alexandari et al. 2020, arXiv:1901.06852).
    """

    temperature: float
    bias: tuple[float, ...]

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Convert float [n, k] to calibrated float64 [n, k]."""
        return softmax(_take_log(probability) / self.temperature + np.asarray(self.bias), axis=1)


@dataclass(frozen=True)
class IsotonicScaling:
    """A rising step-and-line function of the lens probability (Zadrozny & Elkan 2002, KDD).

    probability, calibrated: knots of the function, same length. It needs more images than a temperature
    (hundreds of each class), and makes ties.
    """

    probability: tuple[float, ...]
    calibrated: tuple[float, ...]

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Convert float [n, 2] to calibrated float64 [n, 2]."""
        return stack_binary(np.interp(probability[:, 1], self.probability, self.calibrated))


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram of a lens probability.

    predicted: mean probability in each bin; observed: fraction of lenses in it, with interval; counts: images in it.
    expected_calibration_error: mean of |predicted - observed|, weighted by images. It is positive even for a
    perfectly calibrated net, by about the width of the intervals; error_if_perfect is what such a net would get
    on average with these probabilities and as many independent images.
    """

    predicted: tuple[float, ...]
    observed: tuple[Estimate, ...]
    counts: tuple[int, ...]
    expected_calibration_error: Estimate
    error_if_perfect: float


def stack_binary(lens_probability: np.ndarray) -> np.ndarray:
    """Convert lens probability [n] to [n, 2], columns non-lens and lens."""
    lens_probability = np.asarray(lens_probability, float)
    return np.stack([1 - lens_probability, lens_probability], axis=1)


def fit_temperature(
    probability: np.ndarray, truth: np.ndarray, *, bias: bool = False, weights: np.ndarray | None = None
) -> TemperatureScaling:
    """Fit the temperature (and bias by class) of least log loss; truth: int [n] in 0..k-1; weights: float [n].

    Raises InputError when a class is missing.
    """
    truth = np.asarray(truth, int)
    logs = _take_log(probability)
    n_classes = logs.shape[1]
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
    _require_classes(truth[weights > 0], n_classes)
    onehot = np.eye(n_classes)[truth]
    shares = weights / weights.sum()

    def lose(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, offsets = np.exp(-parameters[0]), np.concatenate([[0.0], parameters[1:]])
        if not bias:
            offsets = np.zeros(n_classes)
        scaled = log_softmax(logs * scale + offsets, axis=1)
        error = (np.exp(scaled) - onehot) * shares[:, None]
        gradient = np.concatenate([[-(error * logs).sum() * scale], error.sum(axis=0)[1:] if bias else []])
        return float(-(scaled * onehot * shares[:, None]).sum()), gradient

    n_bias = n_classes - 1 if bias else 0
    limits = [(np.log(TEMPERATURE_RANGE[0]), np.log(TEMPERATURE_RANGE[1])), *[(-BIAS_LIMIT, BIAS_LIMIT)] * n_bias]
    best = minimize(lose, np.zeros(1 + n_bias), jac=True, method="L-BFGS-B", bounds=limits).x
    offsets = (0.0, *(float(b) for b in best[1:])) if bias else (0.0,) * n_classes
    return TemperatureScaling(float(np.exp(best[0])), offsets)


def fit_isotonic(lens_probability: np.ndarray, truth: np.ndarray) -> IsotonicScaling:
    """Fit the rising function of least squared error, through scikit-learn; truth: bool [n]."""
    truth = np.asarray(truth, int)
    _require_classes(truth, 2)
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(lens_probability, truth)
    return IsotonicScaling(tuple(map(float, model.X_thresholds_)), tuple(map(float, model.y_thresholds_)))


def calibrate_held_out(
    probability: np.ndarray, truth: np.ndarray, groups: np.ndarray, *, seed: int
) -> np.ndarray | None:
    """Return probabilities [n, k] calibrated by temperature and bias, each fitted on the other groups only.

    None when some fold leaves a class without images to fit on.
    """
    codes, n_groups = encode_groups(groups)
    fold = np.random.default_rng(seed).permutation(np.arange(n_groups) % FOLDS)[codes]
    calibrated = np.empty(np.shape(probability))
    for number in range(FOLDS):
        held_out = fold == number
        if len(np.unique(truth[~held_out])) < probability.shape[1]:
            return None
        scaling = fit_temperature(probability[~held_out], truth[~held_out], bias=True)
        calibrated[held_out] = scaling.apply(probability[held_out])
    return calibrated


def measure_reliability(
    truth: np.ndarray,
    lens_probability: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    bins: int = 10,
    level: float = 0.95,
) -> Reliability:
    """Measure reliability in bins of equal counts (fewer when probabilities tie), intervals over groups.

    truth: bool [n]; lens_probability: float [n]; groups: [n].
    """
    truth, probability = np.asarray(truth, float), np.asarray(lens_probability, float)
    edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins))
    # Tied probabilities share a bin, and a bin that they leave empty goes.
    used, cell = np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)
    n_bins = len(used)
    codes, n_groups = encode_groups(groups)
    sums = np.zeros((3, n_groups, n_bins))
    for part, values in zip(sums, (np.ones_like(truth), truth, probability), strict=True):
        np.add.at(part, (codes, cell), values)

    def statistic(draws: np.ndarray) -> np.ndarray:
        n, lenses, predicted = (draws @ part for part in sums)
        observed = np.divide(lenses, n, out=np.full_like(n, np.nan), where=n > 0)
        gap = np.abs(lenses - predicted).sum(axis=1) / n.sum(axis=1)
        return np.column_stack([observed, gap])

    names = [f"bin {k + 1}" for k in range(n_bins)]
    figures = bootstrap_groups(
        statistic,
        groups,
        [*names, "expected_calibration_error"],
        seed=seed,
        level=level,
        n_effective=[*(int((sums[0][:, k] > 0).sum()) for k in range(n_bins)), n_groups],
        proportion=[True] * n_bins + [False],
    )
    counts = np.bincount(cell, minlength=n_bins)
    rng = np.random.default_rng(seed)
    imagined = np.stack([rng.random(len(probability)) < probability for _ in range(200)]) - probability
    in_bin = np.eye(n_bins)[cell]
    return Reliability(
        predicted=tuple(float(p) for p in np.bincount(cell, probability, n_bins) / counts),
        observed=tuple(figures[name] for name in names),
        counts=tuple(int(n) for n in counts),
        expected_calibration_error=figures["expected_calibration_error"],
        error_if_perfect=float(np.abs(imagined @ in_bin).sum(axis=1).mean() / len(probability)),
    )


def _take_log(probability: np.ndarray) -> np.ndarray:
    return np.log(np.clip(np.asarray(probability, float), FLOOR, 1.0))


def _require_classes(truth: np.ndarray, n_classes: int) -> None:
    missing = sorted(set(range(n_classes)) - {int(one) for one in np.unique(truth)})
    if missing:
        raise InputError(
            f"calibration: found no image of class {missing[0]} among {len(truth)}, expected images of all {n_classes}",
            "calibrate on images of every class",
        )
