"""Comparisons of a study: two strategies paired by image, resample and seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.measure.intervals import FEW_GROUPS, Estimate
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import count_rarer_groups
from convnet_galaxies.study.strategies import STUDY_QUESTIONS, StudyQuestion
from convnet_galaxies.study.strategy_scores import score_seeds, subtract_unpaired


@dataclass(frozen=True)
class Comparison:
    """Comparison at one fraction of the labels: scores of strategy minus those of other, paired."""

    question: str
    strategy: str
    other: str
    stage: int
    fraction: float
    differences: dict[str, Estimate]
    sentence: str


def compare_strategies(
    table: pd.DataFrame, question: StudyQuestion, fraction: float, *, seed: int, level: float, n_resamples: int
) -> Comparison:
    """Compare both strategies of a question at one share of the labels.

    Raises InputError when a class is missing or the strategies do not pair.
    """
    truth, a, groups = stack_seeds(table, question.strategy, fraction, question.stage)
    other_truth, b, _ = stack_seeds(table, question.other, fraction, question.stage)
    if a.shape != b.shape or (truth != other_truth).any():
        raise InputError(f"{question.text}: the strategies predicted different images or seeds", "run `study` again")
    differences = compare_lenses(truth, a, b, groups, seed=seed, level=level, n_resamples=n_resamples)
    if count_rarer_groups(truth, groups) < FEW_GROUPS:
        # A bootstrap of so few lenses claims too much: no pairing, but exact intervals of both strategies.
        strategies = [
            score_seeds(truth, one, groups, seed=seed, level=level, n_resamples=n_resamples) for one in (a, b)
        ]
        differences = {
            name: _widen(
                one, subtract_unpaired(name, *(strategy[name] for strategy in strategies), most=SCORES[name].most)
            )
            for name, one in differences.items()
        }
    sentence = phrase_comparison(question, fraction, differences["auroc"])
    return Comparison(question.text, question.strategy, question.other, question.stage, fraction, differences, sentence)


def phrase_comparison(question: StudyQuestion, fraction: float, difference: Estimate) -> str:
    """Return the sentence, e.g. ``Transfer changes stage-1 AUROC by +0.012 (0.003 to 0.021) at 100 % ...``."""
    found = re.match(r"Does (.+?) help (.+)\?", question.text)
    subject = found[1][0].upper() + found[1][1:] if found else f"'{question.strategy}' against '{question.other}'"
    if found and found[2].removeprefix("on ") != f"stage {question.stage}":
        subject += f" ({found[2]})"
    verdict = "a gain" if difference.low > 0 else "a loss" if difference.high < 0 else "no difference is shown"
    if difference.warning:
        verdict = f"not settled ({difference.warning})"
    return (
        f"{subject} changes stage-{question.stage} AUROC by {difference.text('+.3f', star=False)} at "
        f"{100 * fraction:g} % of the labels: {verdict}."
    )


def conclude(comparisons: Sequence[Comparison]) -> str:
    """Compare the network from Galaxy Zoo with that from scratch, in one sentence; empty if they were not compared.

    A question whose interval excludes zero at several shares of the labels counts as shown at each of them.
    """
    parts = []
    for question, where in ((STUDY_QUESTIONS[0], "on stage 1"), (STUDY_QUESTIONS[1], "on stage 2 after stage 1")):
        own = [comparison for comparison in comparisons if comparison.question == question.text]
        if not own:
            continue
        changes = [f"{one.differences['auroc'].text('+.3f', star=False)} at {_percent(one)}" for one in own]
        verdicts = [
            f"{word} at {_enumerate([_percent(one) for one in own if _verdict(one) == word])}"
            for word in ("better", "worse", "not shown to differ")
            if any(_verdict(one) == word for one in own)
        ]
        parts.append(f"{where} the AUROC changes by {_enumerate(changes)} of the labels: {', '.join(verdicts)}")
    return f"Starting from the Galaxy Zoo net instead of from scratch, {'; '.join(parts)}." if parts else ""


def _verdict(comparison: Comparison) -> str:
    difference = comparison.differences["auroc"]
    if difference.warning or difference.low <= 0 <= difference.high:
        return "not shown to differ"
    return "better" if difference.low > 0 else "worse"


def _percent(comparison: Comparison) -> str:
    return f"{100 * comparison.fraction:g} %"


def _enumerate(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def stack_seeds(
    table: pd.DataFrame, strategy: str, fraction: float, stage: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth (bool [n]), lens probabilities (float [seeds, n]) and groups ([n]) of a strategy on one stage.

    Raises InputError when the seeds did not predict the same images, which cannot be paired then.
    """
    rows = table[
        (table["strategy"] == strategy) & (table["fraction"] == fraction) & (table["stage"].astype(float) == stage)
    ]
    by_seed = rows.pivot_table(index="id", columns="seed", values="lens_probability", dropna=False)
    if not len(rows) or by_seed.isna().any(axis=None):
        raise InputError(
            f"{strategy}: found {len(rows)} predictions for {len(by_seed)} images of stage {stage}, "
            "expected one per image and seed",
            "run `study` again",
        )
    first = rows.drop_duplicates("id").set_index("id").loc[by_seed.index]
    return first["lens"].to_numpy() == 1, by_seed.to_numpy().T, first["group"].to_numpy()


def _widen(figure: Estimate, other: Estimate) -> Estimate:
    return replace(figure, low=min(figure.low, other.low), high=max(figure.high, other.high))
