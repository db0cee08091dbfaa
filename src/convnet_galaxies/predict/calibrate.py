"""Calibrate a lens probability, at the prevalence of the images or at another one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from convnet_galaxies.data.output import new_folder
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.calibration import FOLDS, fit_isotonic, fit_temperature, stack_binary
from convnet_galaxies.measure.intervals import Estimate, cut_figure, draw_groups, encode_groups, summarize
from convnet_galaxies.measure.scores import count_rarer_groups
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.evaluation import Part, held_out_rows, require_hard_labels
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import LensCalibration, ModelCard
from convnet_galaxies.runs.folder import RunFolder, is_run_alone, run_path
from convnet_galaxies.runs.image_keys import link_keys
from convnet_galaxies.runs.split import CALIBRATION, read_split_of, write_split
from convnet_galaxies.runs.weights import write_card

Method = Literal["logistic", "isotonic"]
FEWEST_GROUPS: dict[Method, int] = {"logistic": 20, "isotonic": 100}
"""Groups with lenses, and with others, that a method needs: two numbers, or a function of any shape."""
RESAMPLES, LEVEL = 200, 0.9
RULE_OF_THREE = 3.0
"""Of n groups none shows what 3 / n of them would show in 95 % of draws. Asked for 0.1 % lenses, fits to 43 + 129 and
150 + 1,700 images with 3 % of look-alikes among the others gave 8 and 6 times the true share of lenses."""


@dataclass(frozen=True)
class CalibrationSummary:
    """The fit, and the held-out log loss before and after it, by folds of groups (None: too few).

    refused: images left out, since the run or an ancestor was trained on them or their neighbours.
    slope, intercept: with their intervals over groups. typical: the calibrated probability of the median labelled lens,
    at the prevalence of the calibration.
    """

    run: Path
    calibration: LensCalibration
    refused: int
    log_loss_before: float
    log_loss_after: float | None
    slope: Estimate
    intercept: Estimate
    typical: Estimate


def calibrate(
    predictor: Predictor,
    images: ImageSet,
    output: StrPath,
    *,
    method: Method = "logistic",
    prevalence: float | None = None,
    part: Part = "heldout",
    seed: int = 0,
    force: bool = False,
) -> CalibrationSummary:
    """Write a copy of a run whose lens probabilities are calibrated on held-out images of a set.

    method: a slope and an intercept of the log odds, or any rising function of the probability, which makes ties.
    prevalence: fraction of lenses for which to calibrate; None takes that of the images. The log odds
    move by the difference of the log odds of both prevalences (Saerens et al. 2002, Neural Computation 14, 21).
    In the copy, these images are marked ``validation``, so that its test figures come from other images.
    Raises InputError if the run does not predict lenses, or if too few held-out lenses or others are left; UsageError
    for a prevalence outside 0 to 1.
    """
    output = Path(output)
    run = predictor.run
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"--prevalence: found {prevalence:g}, expected a fraction between 0 and 1", "give e.g. 0.001")
    if "lens" not in predictor.classes:
        raise InputError(
            f"{run}: predicts {', '.join(predictor.classes)}, expected lens", "give a run that was trained on lenses"
        )
    predictor.require_pixels(images)
    if "lens" not in images.table:
        raise InputError("the pack has no column 'lens', expected labelled images", "pack it with its labels")
    require_hard_labels(images)
    rows, refused = held_out_rows(images, run, part)
    rows = rows[images.table["lens"].notna().to_numpy()[rows]]
    table = images.table.iloc[rows].reset_index(drop=True)
    truth = table["lens"].to_numpy(float) == 1
    groups = table["group"].to_numpy().astype(str)
    fewest = min(len(set(groups[truth])), len(set(groups[~truth])))
    if fewest < FEWEST_GROUPS[method]:
        other = ", or calibrate with --method logistic" if FEWEST_GROUPS["logistic"] <= fewest else ""
        raise InputError(
            f"calibration: found {len(set(groups[truth]))} groups with held-out lenses and {len(set(groups[~truth]))} "
            f"with others, expected at least {FEWEST_GROUPS[method]} of each",
            f"give a pack with more labelled images that the run was not trained on{other}",
        )
    probability = predictor.without_calibration().predict_set(images, rows).tasks["lens"].astype(float)
    fitted = fit_calibration(probability, truth, groups, method=method, prevalence=prevalence)
    bounds = bound_calibration(probability, truth, groups, fitted, method=method, seed=seed)
    slope, intercept, _ = bounds
    caution = "" if prevalence is None else _caution(prevalence, len(set(groups[~truth])))
    fitted = replace(
        fitted,
        slope_interval=(slope.low, slope.high),
        intercept_interval=(intercept.low, intercept.high),
        caution=caution,
    )
    before = float(log_loss(truth, np.clip(probability, 1e-7, 1 - 1e-7)))
    after = _cross_fit(probability, truth, groups, method, seed)
    card = replace(predictor.card, calibration={"lens": fitted})
    _copy_run(run, output, card, _mark_as_validation(run, images, rows), force=force)
    return CalibrationSummary(output, fitted, refused, before, after, *bounds)


def fit_calibration(
    probability: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    *,
    method: Method = "logistic",
    prevalence: float | None,
) -> LensCalibration:
    """Fit slope and intercept of least log loss, or the rising function of least squared error.

    probability: float [n], truth: bool [n], groups: str [n]. Among n images of one kind the rising function gives
    at least 1 / (n + 2) for the other kind (Platt 1999), since none among n images does not exclude it.
    """
    own = float(truth.mean())
    wanted = own if prevalence is None else prevalence
    shift = float(logit(wanted) - logit(own))
    counts = len(truth), int(truth.sum()), len(set(groups))
    if method == "isotonic":
        rising = fit_isotonic(probability, truth)
        low, high = 1 / ((~truth).sum() + 2), 1 - 1 / (truth.sum() + 2)
        knots = tuple(
            (x, float(np.clip(y, low, high))) for x, y in zip(rising.probability, rising.calibrated, strict=True)
        )
        return LensCalibration(1.0, shift, *counts, wanted, knots)
    scaling = fit_temperature(stack_binary(probability), truth.astype(int), bias=True)
    return LensCalibration(1 / scaling.temperature, scaling.bias[1] + shift, *counts, wanted)


def bound_calibration(
    probability: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    fitted: LensCalibration,
    *,
    method: Method = "logistic",
    seed: int,
) -> tuple[Estimate, Estimate, Estimate]:
    """Return slope, intercept and the calibrated probability of the median labelled lens, with intervals over groups.

    Percentiles of a bootstrap that draws whole groups and repeats the fit for the prevalence of ``fitted``. They hold
    the noise of the labelled images, not what another form of the map would give. Arguments as in fit_calibration.
    """
    codes, n_groups = encode_groups(groups)
    median = np.array([np.median(probability[truth])])

    def describe(one: LensCalibration) -> tuple[float, float, float]:
        return one.slope, one.intercept, float(one.apply(median)[0])

    draws = []
    for counts in draw_groups(n_groups, RESAMPLES, np.random.default_rng(seed)):
        rows = np.repeat(np.arange(len(truth)), counts[codes].astype(int))
        if 0 < truth[rows].sum() < len(rows):
            again = fit_calibration(
                probability[rows], truth[rows], groups[rows], method=method, prevalence=fitted.prevalence
            )
            draws.append(describe(again))
    names = ("slope", "intercept", "probability of the median lens")
    n = count_rarer_groups(truth, groups)
    slope, intercept, typical = (
        summarize(name, value, np.array(column), n_effective=n, level=LEVEL)
        for name, value, column in zip(names, describe(fitted), zip(*draws, strict=True), strict=True)
    )
    return slope, intercept, cut_figure(typical, 0.0, 1.0)


def _caution(prevalence: float, n_other_groups: int) -> str:
    least = RULE_OF_THREE / n_other_groups
    if prevalence >= least:
        return ""
    return (
        f"{n_other_groups:,} labelled groups without a lens do not show which non-lenses score like lenses in a sample "
        f"with less than {least:.2g} lenses (3 / {n_other_groups:,}), and {prevalence:g} was asked for. The "
        "probabilities are an extrapolation and may be several times too high"
    )


def _cross_fit(
    probability: np.ndarray, truth: np.ndarray, groups: np.ndarray, method: Method, seed: int
) -> float | None:
    answer = np.full(len(truth), np.nan)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for kept, left_out in folds.split(probability, truth, groups):
        if len(set(truth[kept])) < 2:
            return None
        fitted = fit_calibration(probability[kept], truth[kept], groups[kept], method=method, prevalence=None)
        answer[left_out] = fitted.apply(probability[left_out])
    return float(log_loss(truth, answer))


def _mark_as_validation(run: str | Path, images: ImageSet, rows: np.ndarray) -> pd.DataFrame:
    split = read_split_of(run)
    keys = link_keys(images)
    added = pd.DataFrame(
        {
            "id": images.table["id"].iloc[rows].astype(str).tolist(),
            "part": "validation",
            "used": True,
            "keys": [keys[row] for row in rows],
            "origin": CALIBRATION,
        }
    )
    return added if split is None else pd.concat([split, added], ignore_index=True)


def _copy_run(run: str | Path, output: Path, card: ModelCard, split: pd.DataFrame, *, force: bool) -> None:
    source = RunFolder(run_path(run))
    with new_folder(output, force=force, is_ours=is_run_alone) as folder:
        made = RunFolder(folder)
        for name in ("settings", "metrics", "environment", "familiarity", "weights"):
            if getattr(source, name).is_file():
                shutil.copyfile(getattr(source, name), getattr(made, name))
        write_split(made.split, split)
        write_card(made, card)
