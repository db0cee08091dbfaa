"""Unlabelled images: number of lenses, ranking, test for domain shift, and comparison with human grades."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import AliasChoices, Field

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.calibration import (
    Reliability,
    calibrate_held_out,
    fit_temperature,
    measure_reliability,
)
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.prevalence import Prevalence, ScoredImages, join_scores, quantify
from convnet_galaxies.measure.prevalence_bounds import PrevalenceBounds, bound_prevalence
from convnet_galaxies.measure.shifted_lenses import ShiftedRange, bound_by_shift
from convnet_galaxies.measure.shifted_top import bound_top_by_shift
from convnet_galaxies.measure.top_ranked import TopRange, TopRanked, expect_top
from convnet_galaxies.measure.trust import Trust, check_trust
from convnet_galaxies.study.compare_with_humans import HumanComparison
from convnet_galaxies.study.grading_plan import GradedEstimate, TopFigure


@dataclass(frozen=True)
class PredictedImages:
    """Predictions of a run for a set of images.

    table: one row per image (id, group, ...); lens: float [n], lens probability; features: float32 [n, f];
    flavor: float [n, k] or None; flavor_names: of its columns, the first that of no lens.
    """

    table: pd.DataFrame
    lens: np.ndarray
    features: np.ndarray
    flavor: np.ndarray | None = None
    flavor_names: tuple[str, ...] = ()


SHOWN_TOP = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass(frozen=True)
class CalibrationCheck:
    """Temperature and bias of the lens log odds fitted on the known images, and reliability before and after.

    after: of probabilities that were calibrated by other groups; None when there are too few groups for that.
    """

    temperature: float
    bias: float
    before: Reliability
    after: Reliability | None


@dataclass(frozen=True)
class ShiftedTop:
    """Ranges of purity and completeness of the k best, low and high, over the shifts that the scores allow."""

    k: int
    purity: tuple[float, float]
    completeness: tuple[float, float]


@dataclass(frozen=True)
class UnknownResult:
    """Result about unlabelled images.

    flavors: as prevalence, by flavor; None when the run has no flavor head or a flavor is missing among the known.
    trust: whether known and unknown images are alike, as far as that can be checked.
    shifted: number of lenses if they score lower than the known ones; None in results of before.
    shifted_top: purity and completeness of the k best if they do; empty in results of before.
    graded: from grades of images drawn by a plan; None without them.
    human_comparison: the net beside experts and crowd, if they were given. remarks: what to know, one sentence each.
    """

    run: str
    pack: str
    known_pack: str
    n_unknown: int
    n_known: int
    n_known_lenses: int
    calibration: CalibrationCheck
    prevalence: Prevalence
    flavors: Prevalence | None
    top: tuple[TopFigure, ...]
    trust: Trust
    bounds: PrevalenceBounds
    shifted: ShiftedRange | None = None
    graded: GradedEstimate | None = None
    human_comparison: Annotated[
        HumanComparison | None, Field(validation_alias=AliasChoices("human_comparison", "eyes"))
    ] = None
    remarks: tuple[str, ...] = field(default=())
    shifted_top: tuple[ShiftedTop, ...] = ()

    @property
    def differs(self) -> bool:
        """Return whether known and unknown images differ, so that estimates from the one do not hold for the other."""
        return self.trust.verdict in ("differ", "differ a little")

    @property
    def leading_shift(self) -> ShiftedRange | None:
        """Return the range that leads where the number itself cannot: unless known and unknown images differ in more
        than the scores of their lenses."""
        checks = (self.trust.everything, self.trust.candidates)
        others_differ = any(one is not None and one.verdict != "alike" for one in checks)
        return None if self.trust.holds or others_differ else self.shifted

    @property
    def leading_top(self) -> tuple[ShiftedTop, ...]:
        """Return the ranges of the k best where they lead instead of the expected figures, else nothing."""
        return () if self.leading_shift is None else self.shifted_top

    @property
    def sentence(self) -> str:
        """Number of lenses, in one sentence: from grades if there are any, else the estimate if it can be trusted, else
        its range for the shifts that the scores allow, else the range under the stated assumptions."""
        among = f"lenses among the {self.n_unknown:,} unlabelled images"
        percent = f"{100 * self.prevalence.count['lens'].level:.0f} % interval"
        count = self.prevalence.count["lens"]
        about = f"about {count.value:,.0f} ({count.span(',.0f')}, {percent})"
        if self.graded is not None:
            number = self.graded.number
            return (
                f"There are about {number.value:,.0f} {among} ({number.span(',.0f')}, {percent}), by grades of "
                f"{self.graded.n_graded:,} of them that were drawn by a plan. This estimate does not depend on the "
                "network."
            )
        if self.trust.holds:
            return f"There are about {count.value:,.0f} {among} ({count.span(',.0f')}, {percent})."
        if (shift := self.leading_shift) is not None:
            doubt = f" Caution: {shift.warning}." if shift.warning else ""
            alike = "but they do not" if self.differs else "which cannot be checked well enough"
            return (
                f"There are {shift.low:,.0f} to {shift.high:,.0f} {among} ({percent}) if the log odds of real lenses "
                f"are lower by a common shift of {shift.least_shift:g} to {shift.most_shift:g}, as the scores allow."
                f"{doubt} If they scored like the known ones, {alike}, there would be {about}."
            )
        (c_low, c_high), (f_low, f_high) = self.bounds.completeness_ratio, self.bounds.false_positive_ratio
        low, high = (share * self.n_unknown for share in self.assumed_range)
        alike = "but they are not" if self.differs else "which cannot be checked well enough"
        false = "" if self.differs else f" and {f_low:g} to {f_high:g} times as many false positives"
        return (
            f"There are {low:,.0f} to {high:,.0f} {among} if the network finds {c_low:g} to {c_high:g} times as many "
            f"of the real lenses as of the known ones{false}. If they looked like the known ones, {alike}, there would "
            f"be {about}."
        )

    @property
    def assumed_range(self) -> tuple[float, float]:
        """Range of the fraction under the stated assumptions about rates.

        Where the images differ nothing bounds the false positives: all that the net flags may be false.
        """
        return (0.0 if self.differs else self.bounds.low), self.bounds.high

    @property
    def range(self) -> tuple[float, float]:
        """Range of the fraction that leads where the number itself cannot."""
        if (shift := self.leading_shift) is not None:
            return shift.low / self.n_unknown, shift.high / self.n_unknown
        return self.assumed_range


def answer_unknown(
    known: PredictedImages,
    unknown: PredictedImages,
    *,
    seed: int,
    level: float = 0.9,
    completeness_ratio: tuple[float, float] = (0.5, 1.0),
    false_positive_ratio: tuple[float, float] = (0.5, 2.0),
    names: tuple[str, str, str] = ("", "", ""),
    remarks: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> tuple[UnknownResult, TopRanked]:
    """Return all but the comparison with human grades, and the expectations for every k.

    known.table has lens (0 or 1), and flavor_label where flavors are to be counted. names: of run, pack and known pack.
    Raises InputError for no unknown images or known ones of one kind only.
    """
    tell = progress or (lambda text: None)
    if not len(unknown.lens):
        raise InputError(
            "unknown images: found none, expected images whose truth is not known",
            "give a pack whose column lens is empty for some images, or a pack without labels and --known PACK",
        )
    truth = (known.table["lens"].to_numpy(float) == 1).astype(int)
    groups, unknown_groups = known.table["group"].to_numpy(), unknown.table["group"].to_numpy()
    images = join_scores(truth, known.lens, groups, unknown.lens, unknown_groups)
    notes = list(remarks)
    tell("counting lenses")
    prevalence = quantify(images, seed=seed, level=level)
    tell("counting flavors")
    flavors = _count_flavors(known, unknown, seed=seed, level=level, notes=notes)
    tell("expecting the top")
    top = expect_top(images, seed=seed, level=level)
    tell("comparing known and unknown")
    trust = check_trust(images, known.features, unknown.features, prevalence.count["lens"], seed=seed)
    bounds = bound_prevalence(
        images,
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        seed=seed,
        level=level,
    )
    least_ratio, shown = min(completeness_ratio[0], 1.0), shown_top(len(unknown.lens))
    shifted = bound_by_shift(images, prevalence.count["lens"], completeness_ratio=least_ratio, level=level)
    top_range = bound_top_by_shift(images, top, seed=seed, completeness_ratio=least_ratio, level=level)
    result = UnknownResult(
        *names,
        n_unknown=len(unknown.lens),
        n_known=len(truth),
        n_known_lenses=int(truth.sum()),
        calibration=_calibrate(images, seed=seed),
        prevalence=prevalence,
        flavors=flavors,
        top=tuple(_top_figure(top, k) for k in shown),
        trust=trust,
        bounds=bounds,
        shifted=shifted,
        remarks=tuple(notes),
        shifted_top=tuple(_shifted_top(top_range, k) for k in shown),
    )
    return result, replace(top, shifted=top_range)


def _count_flavors(
    known: PredictedImages, unknown: PredictedImages, *, seed: int, level: float, notes: list[str]
) -> Prevalence | None:
    if known.flavor is None or unknown.flavor is None:
        return None
    if "flavor_label" not in known.table:
        notes.append("The known images have no flavors, so that the flavors of the unknown are not counted.")
        return None
    codes = pd.Categorical(known.table["flavor_label"], list(known.flavor_names)).codes
    rows = codes >= 0
    try:
        images = join_scores(
            codes[rows],
            known.flavor[rows],
            known.table["group"].to_numpy()[rows],
            unknown.flavor,
            unknown.table["group"].to_numpy(),
        )
    except InputError as error:
        notes.append(f"Flavors are not counted: {error.message}.")
        return None
    return quantify(images, classes=known.flavor_names, seed=seed, level=level, methods=("mixture", "emq"))


def _calibrate(images: ScoredImages, *, seed: int) -> CalibrationCheck:
    lens, groups = images.posteriors[:, 1], images.groups
    scaling = fit_temperature(images.posteriors, images.truth, bias=True)
    before = measure_reliability(images.truth == 1, lens, groups, seed=seed)
    calibrated = calibrate_held_out(images.posteriors, images.truth, groups, seed=seed)
    after = None if calibrated is None else measure_reliability(images.truth == 1, calibrated[:, 1], groups, seed=seed)
    return CalibrationCheck(scaling.temperature, scaling.bias[1], before, after)


def shown_top(n_unknown: int) -> tuple[int, ...]:
    """Return the numbers of best-ranked images that are shown, the last of them all images."""
    return (*(k for k in SHOWN_TOP if k < n_unknown), n_unknown)


def _top_figure(top: TopRanked, k: int) -> TopFigure:
    def figure(name: str) -> Estimate:
        value, low, high = (float(getattr(top, name + ending)[k - 1]) for ending in ("", "_low", "_high"))
        return Estimate(name, value, low, high, top.level)

    return TopFigure(k, figure("purity"), figure("completeness"))


def _shifted_top(top: TopRange, k: int) -> ShiftedTop:
    return ShiftedTop(
        k,
        (float(top.purity_low[k - 1]), float(top.purity_high[k - 1])),
        (float(top.completeness_low[k - 1]), float(top.completeness_high[k - 1])),
    )
