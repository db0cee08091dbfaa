"""Comparisons of a study: two strategies paired by repetition, with the answer in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.measure.intervals import FEW_GROUPS, Estimate
from convnet_galaxies.measure.repeated_splits import share_level, summarize_repetitions, widen
from convnet_galaxies.measure.score_table import SCORES, scores_of
from convnet_galaxies.measure.scores import check_scores, make_lens_statistic
from convnet_galaxies.study.strategies import StudyQuestion
from convnet_galaxies.study.strategy_scores import Repetition, score_strategy, stack_repetitions, subtract_unpaired

ANSWERED_BY = "log_loss"
"""The score of the answer. It was chosen before any study was made: AUROC stands near its ceiling."""


@dataclass(frozen=True)
class Comparison:
    """Comparison at one fraction of the labels: scores of strategy minus those of other, paired.

    differences: by score, each with its own interval. answer: that of the score that decides, with a level at which all
    leading comparisons of the study hold together. detectable: the smallest true difference whose interval (as in
    answer) would exclude 0 in 80 % of such studies; None with one repetition. sentence: the answer in words.
    """

    question: str
    strategy: str
    other: str
    stage: int
    fraction: float
    is_leading: bool
    repetitions: int
    differences: dict[str, Estimate]
    answer: Estimate
    detectable: float | None
    sentence: str

    @property
    def verdict(self) -> str:
        """Whether strategy is ``better``, ``worse``, not shown to differ, or the interval cannot be relied on."""
        if self.answer.warning:
            return "not settled"
        if self.answer.low <= 0 <= self.answer.high:
            return "no difference shown"
        is_higher = self.answer.low > 0
        return "better" if is_higher == (SCORES[self.answer.name].best == "high") else "worse"


def compare_strategies(
    table: pd.DataFrame,
    question: StudyQuestion,
    fraction: float,
    *,
    n_leading: int,
    seed: int,
    level: float,
    n_resamples: int,
) -> Comparison:
    """Compare both strategies of a question at one fraction of the labels.

    n_leading: leading comparisons of the study, among which the level is shared. Raises InputError when a class is
    missing or the strategies do not pair.
    """
    pairs = list(_pair(table, question, fraction))
    names = tuple(scores_of("lens", baselines=False))
    by_repetition = np.array([_subtract(a, b, names) for a, b in pairs])
    test_over_train = float(np.mean([a.test_over_train for a, _ in pairs]))
    answer_level = share_level(level, n_leading) if question.is_leading else level

    def measure(level: float) -> tuple[dict[str, Estimate], float | None]:
        found = {
            name: summarize_repetitions(
                name, values, test_over_train=test_over_train, level=level, most=SCORES[name].most
            )
            for name, values in zip(names, by_repetition.T, strict=True)
        }
        differences = {name: one.estimate for name, one in found.items()}
        if len(pairs) == 1:
            a, b = pairs[0]
            differences = compare_lenses(
                a.truth, a.probability, b.probability, a.groups, seed=seed, level=level, n_resamples=n_resamples
            )
        if (n_rarer := _count_rarer_groups([a for a, _ in pairs])) < FEW_GROUPS:
            # The scatter of so few lenses claims too much: no pairing, but exact intervals of both strategies.
            few = _compare_unpaired(pairs, seed=seed, level=level, n_resamples=n_resamples)
            text = f"only {n_rarer} groups of the rarer class: the interval is rough"
            differences = {
                name: widen(Estimate(name, one.value, one.low, one.high, level, text), few[name])
                for name, one in differences.items()
            }
        return differences, found[ANSWERED_BY].detectable

    answers, detectable = measure(answer_level)
    differences = answers if answer_level == level else measure(level)[0]
    answer = answers[ANSWERED_BY]
    comparison = Comparison(
        question.text,
        question.strategy,
        question.other,
        question.stage,
        fraction,
        question.is_leading,
        len(pairs),
        differences,
        answer,
        detectable,
        "",
    )
    subject = question.subject[0].upper() + question.subject[1:]
    place = question.place + "," * ("," in question.place)
    sentence = f"{subject} changes the {SCORES[ANSWERED_BY].label} {place} by {phrase_answer(comparison)}."
    return Comparison(**{**comparison.__dict__, "sentence": sentence})


def phrase_answer(one: Comparison) -> str:
    """Return e.g. ``-0.012 (-0.021 to -0.003) at 20 % of the labels: better``.

    Where nothing is shown the smallest difference follows that such a study detects.
    """
    text = f"{one.answer.text('+.3f', star=False)} at {100 * one.fraction:g} % of the labels: {one.verdict}"
    if one.answer.warning:
        return f"{text} ({one.answer.warning})"
    if one.verdict == "no difference shown" and one.detectable is not None:
        return f"{text} (a difference of {one.detectable:.3f} would have been seen in 80 % of such studies)"
    return text


def conclude(comparisons: Sequence[Comparison]) -> str:
    """Answer the leading questions in one sentence; empty if they were not compared."""
    leading = [one for one in comparisons if one.is_leading]
    if not leading:
        return ""
    parts = []
    for question in dict.fromkeys(one.question for one in leading):
        own = [one for one in leading if one.question == question]
        subject, place = question.removeprefix("Does ").removesuffix("?").split(" help ", 1)
        answers = "; ".join(phrase_answer(one) for one in own)
        parts.append(f"{place}, {subject} changes the {SCORES[ANSWERED_BY].label} by {answers}")
    text = "; ".join(parts)
    level = leading[0].answer.level
    together = 100 * (1 - (1 - level) * len(leading))
    kind = f"{100 * level:g} % intervals" if len(leading) == 1 else f"intervals that hold together in {together:g} %"
    repetitions = leading[0].repetitions
    return (
        f"{text[0].upper()}{text[1:]} (a lower {SCORES[ANSWERED_BY].label} is better; {kind}, {repetitions} "
        f"repetition{'s' * (repetitions != 1)})."
    )


def _pair(table: pd.DataFrame, question: StudyQuestion, fraction: float) -> Iterator[tuple[Repetition, Repetition]]:
    a = stack_repetitions(table, question.strategy, fraction, question.stage)
    b = stack_repetitions(table, question.other, fraction, question.stage)
    for repetition in sorted(a | b):
        one, other = a.get(repetition), b.get(repetition)
        if one is None or other is None or not np.array_equal(one.groups, other.groups):
            raise InputError(
                f"{question.text}: the strategies predicted different images or repetitions", "run `study` again"
            )
        yield one, other


def _subtract(a: Repetition, b: Repetition, names: Sequence[str]) -> np.ndarray:
    once = np.ones((1, len(np.unique(a.groups.astype(str)))))
    values = [
        make_lens_statistic(*check_scores(one.truth, one.probability, one.groups), one.groups, names)(once)[0]
        for one in (a, b)
    ]
    return values[0] - values[1]


def _count_rarer_groups(repetitions: Sequence[Repetition]) -> int:
    # Test parts are disjoint, so that all groups count that any repetition tested.
    by_class = [
        len(np.unique(np.concatenate([one.groups[one.truth == wanted] for one in repetitions]).astype(str)))
        for wanted in (True, False)
    ]
    return min(by_class)


def _compare_unpaired(
    pairs: Sequence[tuple[Repetition, Repetition]], *, seed: int, level: float, n_resamples: int
) -> dict[str, Estimate]:
    averaged = [
        score_strategy([pair[side] for pair in pairs], seed=seed, level=level, n_resamples=n_resamples)
        for side in (0, 1)
    ]
    return {
        name: subtract_unpaired(name, averaged[0][name], averaged[1][name], most=score.most)
        for name, score in scores_of("lens", baselines=False).items()
    }
