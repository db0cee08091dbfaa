"""Trust in an estimate for unlabelled images: the worst of three tests for domain shift, and their sensitivity.

All images (features), the candidates alone (features; rare lenses drown among all), and the fit of the mixture of
scores (score_fit.py). That no test sees a difference is evidence only as far as one would have been seen: unless the
smallest shift of the lens scores that would have been seen keeps the number of lenses within its interval, the
verdict is "cannot be checked".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convnet_galaxies.measure.intervals import FEW_GROUPS, Estimate, encode_groups
from convnet_galaxies.measure.prevalence import ScoredImages
from convnet_galaxies.measure.score_fit import POWER, SHIFTS, ScoreFit, check_score_fit
from convnet_galaxies.measure.shift import ShiftCheck, attain_auroc, tell_apart, weigh_known

Verdict = Literal["alike", "cannot be checked", "differ a little", "differ"]
SIGNIFICANCE = 0.05
MOST_FEATURES = 3000
"""Images a side in a test of features; more would change its verdict little and take minutes."""


@dataclass(frozen=True)
class Trust:
    """The verdict, in rising order "alike", "cannot be checked", "differ a little" and "differ", and its reasons.

    sentence: for the report. everything: all images; candidates: those whose lens probability is at least the median of
    the known lenses, None with fewer than FEW_GROUPS groups on a side; scores: the fit of the mixture.
    """

    verdict: Verdict
    sentence: str
    everything: ShiftCheck
    candidates: ShiftCheck | None
    scores: ScoreFit

    @property
    def holds(self) -> bool:
        """Return whether the estimated number may lead; otherwise the range under stated assumptions must."""
        return self.verdict == "alike"


def check_trust(
    images: ScoredImages,
    known: np.ndarray,
    unknown: np.ndarray,
    number: Estimate,
    *,
    seed: int,
    n_permutations: int = 500,
) -> Trust:
    """Return the verdict on the number of lenses that was estimated from scores.

    known: float [n, features]; unknown: [m, features]; number: of lenses among the m unknown images. Known images are
    weighted to the estimated fraction. Each test is made at its share of SIGNIFICANCE (Bonferroni).
    """
    fraction = min(max(number.value / len(unknown), 1e-6), 1.0)
    fractions = np.array([1 - fraction, fraction])
    binary = (images.truth > 0).astype(int)
    weights = weigh_known(binary, fractions)
    threshold = np.median(1 - images.posteriors[binary == 1, 0])
    flagged = [1 - side[:, 0] >= threshold for side in (images.posteriors, images.unknown_posteriors)]
    n_least = min(
        encode_groups(ids[rows])[1]
        for ids, rows in zip((images.groups, images.unknown_groups), flagged, strict=True)
        if rows.any()
    )
    enough = all(rows.any() for rows in flagged) and n_least >= FEW_GROUPS
    alpha = SIGNIFICANCE / (3 if enough else 2)
    rng = np.random.default_rng(seed)

    def compare(ours: np.ndarray, theirs: np.ndarray, lenses: float) -> ShiftCheck:
        a, b = (np.sort(rng.permutation(np.flatnonzero(rows))[:MOST_FEATURES]) for rows in (ours, theirs))
        return tell_apart(
            known[a],
            unknown[b],
            images.groups[a],
            images.unknown_groups[b],
            known_weights=weights[a],
            seed=seed,
            n_permutations=n_permutations,
            alpha=alpha,
            attainable=attain_auroc(lenses),
        )

    everything = compare(np.ones(len(known), bool), np.ones(len(unknown), bool), fraction)
    candidates = None
    if enough:
        found = fraction * flagged[0][binary == 1].mean() / flagged[1].mean()
        candidates = compare(flagged[0], flagged[1], min(1.0, found))
    scores = check_score_fit(images, seed=seed, alpha=alpha)
    by_features = [check.verdict for check in (everything, candidates) if check is not None]
    verdict = judge(by_features, scores, number, alpha=alpha)
    return Trust(verdict, _describe(verdict, scores, alpha), everything, candidates, scores)


def judge(by_features: Sequence[Verdict], scores: ScoreFit, number: Estimate, *, alpha: float) -> Verdict:
    """Return the worst of the verdicts of the tests. The scores differ when their p-value is below alpha."""
    if "differ" in by_features or scores.p_value < alpha:
        return "differ"
    if "differ a little" in by_features:
        return "differ a little"
    sees_enough = scores.seen_factor is not None and number.value * scores.seen_factor <= number.high
    return "alike" if sees_enough else "cannot be checked"


def _describe(verdict: Verdict, scores: ScoreFit, alpha: float) -> str:
    percent = f"{100 * POWER:.0f} %"
    if verdict == "differ":
        if scores.p_value < alpha:
            return (
                "The scores of the unknown images are no mixture of those of known lenses and non-lenses "
                f"(p {scores.p_value:.2g}): the assumption behind the estimated number does not hold; use the range "
                "instead."
            )
        return (
            "Known and unknown images differ: the assumption behind the estimated number does not hold; use the range "
            "under stated assumptions instead."
        )
    if verdict == "differ a little":
        return (
            "Known and unknown images differ slightly: the estimated number may be far off; use the range under "
            "stated assumptions instead."
        )
    if scores.seen is None:
        return (
            "It cannot be checked whether the unknown lenses are like the known ones: no difference was found, but "
            f"neither would a shift of the lens scores by {SHIFTS[-1]:g} (natural log odds) be detected "
            f"({percent} power). Use the range instead."
        )
    seen = f"The smallest detectable shift of the lens scores is {scores.seen:g} (natural log odds, {percent} power)"
    if verdict == "alike":
        return (
            f"No difference between known and unknown images was found. {seen}; with a smaller one the number stays "
            "within its interval."
        )
    return (
        "It cannot be checked well enough whether the unknown lenses are like the known ones: no difference was found, "
        f"but {seen[0].lower()}{seen[1:]}; up to it there may be {scores.seen_factor:.2g} times the estimated number. "
        "Use the range instead."
    )
