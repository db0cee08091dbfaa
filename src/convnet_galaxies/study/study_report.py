"""A study's results in words and tables: results.txt, and what the page shows beside its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convnet_galaxies.blocks import Block, Card, Page, Table, Text, section, sections_of
from convnet_galaxies.data.output import new_file, write_json
from convnet_galaxies.measure.intervals import star_notes
from convnet_galaxies.measure.score_table import SCORES, scores_of
from convnet_galaxies.predict.evaluation_report import TITLES, score_tables
from convnet_galaxies.study.results import RESULTS, TEXT, StudyResults
from convnet_galaxies.study.strategies import count_lenses
from convnet_galaxies.study.strategy_comparisons import ANSWERED_BY
from convnet_galaxies.study.strategy_scores import StrategyScores

ANSWERS, STRATEGY_SCORES, LEAKAGE = "Comparisons", "Scores of every training strategy", "Bias of a leaking split"
CHOICES = "Rates and epochs chosen on the validation part"


def study_report(results: StudyResults) -> Page:
    """Return the conclusion in one sentence, all comparisons, scores per strategy, flavors, the leaking split."""
    cards = tuple(
        Card(
            f"{SCORES[ANSWERED_BY].label}, {one.strategy} minus {one.other}, {100 * one.fraction:g} % of the labels",
            f"{one.answer.value:+.3f}",
            f"{one.answer.span('.3f')}; {one.verdict}",
        )
        for one in results.comparisons
        if one.is_leading
    )
    tables = [
        _strategy_table(rows, f"Stage {stage}" if results.has_stages else "Held-out images")
        for stage in (1, 2)
        if (rows := [a for a in results.strategies if a.stage == stage])
    ]
    found = [
        section(ANSWERS, _comparison_blocks(results)),
        section(STRATEGY_SCORES, tables),
        section(CHOICES, [_choice_table(results.strategies)]),
        section(LEAKAGE, [_leakage_table(results)]),
        section(TITLES["flavor"], score_tables(results.flavors) if results.flavors else []),
    ]
    lead = (*filter(None, [results.sentence]), *_describe_method(results))
    return Page("Scratch, fine-tuning, transfer", lead, cards, sections_of(found))


def write_results(folder: Path, results: StudyResults) -> None:
    """Write results.json and results.txt beside the predictions."""
    write_json(folder / RESULTS, results, force=True)
    with new_file(folder / TEXT, force=True) as temporary:
        temporary.write_text(study_report(results).text() + "\n", "utf-8")


def _describe_method(results: StudyResults) -> list[str]:
    repetitions = max((one.repetitions for one in results.strategies), default=0)
    groups = "fields and image files" if results.has_stages else "groups"
    told = [
        f"{repetitions} repetition{'s' * (repetitions != 1)}, each with its own split that keeps whole {groups} "
        "together, its own draw of the labels, training seed and zoo network. Every strategy chose rate and epochs on "
        "the validation part from the same grid; the test parts chose nothing. Differences are paired by repetition; "
        "their intervals hold the scatter over splits, draws and seeds (corrected resampled t test)."
    ]
    n = sum(len(one.differences) for one in results.comparisons)
    if n > 1:
        told.append(
            f"The tables hold {n} differences with 95 % intervals of their own: if no strategy differed, about "
            f"{max(1, round(0.05 * n))} of them would exclude 0. Only the first sentence allows for this."
        )
    return told


def _choice_table(strategies: Sequence[StrategyScores]) -> Table | None:
    shown = {(one.strategy, one.fraction): one for one in strategies}  # a network is scored on one stage or on two
    if not shown:
        return None
    points = sorted(
        {point for one in shown.values() for point in one.choices}, key=lambda text: tuple(map(float, text.split(", ")))
    )
    return Table(
        "Repetitions by chosen rate and epochs",
        ("training strategy", "labels", *(f"rate {point} epochs" for point in points)),
        tuple(
            (one.strategy, f"{100 * one.fraction:g} %", *(one.choices.get(point, 0) for point in points))
            for one in shown.values()
        ),
        (
            "Rate: of the inherited backbone, as a fraction of that of the head; from scratch of the whole network, as "
            "a fraction of that in the settings. Epochs: at all labels; fewer labels are passed through more often.",
        ),
    )


def _comparison_blocks(results: StudyResults) -> list[Block]:
    blocks: list[Block] = []
    for question in dict.fromkeys(comparison.question for comparison in results.comparisons):
        comparisons = [comparison for comparison in results.comparisons if comparison.question == question]
        first = comparisons[0]
        shown = [name for name in scores_of("lens", baselines=False) if name in first.differences]
        blocks.append(
            Table(
                f"{question} {first.strategy} minus {first.other}"
                + (f", on stage {first.stage}" if results.has_stages else ""),
                ("labels", *(SCORES[name].label for name in shown)),
                tuple(
                    (f"{100 * one.fraction:g} %", *(f"{one.differences[name]:+.3f}" for name in shown))
                    for one in comparisons
                ),
                star_notes(estimate for one in comparisons for estimate in one.differences.values()),
            )
        )
        blocks.append(Text(" ".join(one.sentence for one in comparisons)))
    return [*blocks, *(Text(remark, True) for remark in results.remarks)]


def _strategy_table(rows: list[StrategyScores], where: str) -> Table:
    shown = [name for name in scores_of("lens", baselines=False) if all(name in one.figures for one in rows)]
    return Table(
        f"{where}: {count_lenses(rows[0].n_lenses)} among {rows[0].n_images:,} images, tested in turn",
        ("training strategy", "labels", "repetitions", *(SCORES[name].label for name in shown)),
        tuple(
            (
                one.strategy,
                f"{100 * one.fraction:g} % ({one.labels:,}, {count_lenses(one.label_lenses)})",
                one.repetitions,
                *(f"{one.figures[name]:.3f}" for name in shown),
            )
            for one in rows
        ),
        (
            "Mean over repetitions; in brackets 95 % intervals over groups and repetitions. Labels: fraction, labelled "
            "images of the last training step, and lenses among them.",
            *star_notes(estimate for one in rows for estimate in one.figures.values()),
        ),
    )


def _leakage_table(results: StudyResults) -> Table | None:
    found = results.leakage
    if found is None:
        return None
    return Table(
        "From scratch, all labels",
        ("", "random split by cutout", "whole fields held out", "difference"),
        tuple(
            (
                score.label,
                f"{found.leaking[name]:.3f}",
                f"{found.reference[name]:.3f}",
                f"{found.difference[name]:+.3f}",
            )
            for name, score in scores_of("lens", baselines=False).items()
            if name in found.difference
        ),
        (
            "With cutouts of one field on both sides, the network is tested on training data; only the middle "
            "figures are free of that.",
            *star_notes(found.difference.values()),
        ),
    )
