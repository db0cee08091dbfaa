"""Figures as plain text tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convnet_galaxies.decision_tree import QUESTIONS
from convnet_galaxies.measure.confusion import FlavorScores
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import VoteScores
from convnet_galaxies.predict.evaluation import Evaluation
from convnet_galaxies.predict.task_scores import PlainScores, Scores
from convnet_galaxies.study.results_text import align


def render_evaluation(result: Evaluation, *, by: Sequence[str] = ()) -> str:
    """The figures of an evaluation, a line each. by: ``question``, ``flavor``, ``stage``."""
    views = f"{result.views} view{'s' if result.views > 1 else ''}"
    lines = [f"{result.run}: {result.images:,} held-out images ({result.part}), {views}"]
    if result.refused:
        lines.append(
            f"{result.refused:,} images refused: the run or an ancestor was trained on them or their neighbours"
        )
    for task, one in result.tasks.items():
        lines += ["", task]
        lines += [f"not scored: {one.fault}"] if one.scores is None else render_scores(one.scores, by=by)
    return "\n".join(lines)


def render_scores(scores: Scores, *, by: Sequence[str] = ()) -> list[str]:
    """Lines for the scores of one task."""
    if isinstance(scores, VoteScores):
        rows = [(SCORES[name].long_label, figure) for name, figure in scores.overall.items()]
        if "question" in by:
            rows += [(f"  {name}: {_question(name)}", figure) for name, figure in scores.by_question.items()]
        return _figure_lines(rows)
    if isinstance(scores, FlavorScores):
        rows = [
            ("accuracy", scores.accuracy),
            *((f"completeness of {name}", f) for name, f in scores.completeness.items()),
            *((f"purity of {name}", f) for name, f in scores.purity.items()),
        ]
        counts = [["true \\ predicted", *scores.names]]
        counts += [[name, *map(str, row)] for name, row in zip(scores.names, scores.counts, strict=True)]
        return [*_figure_lines(rows), *align(counts)]
    if isinstance(scores, PlainScores):
        return _figure_lines(scores.figures.items())
    lines = [f"{scores.n_lenses:,} lenses among {scores.n_images:,} images in {scores.n_groups:,} groups"]
    lines += _figure_lines((SCORES[name].long_label, figure) for name, figure in scores.overall.items())
    for wanted, parts in (("flavor", scores.by_flavor), ("stage", scores.by_stage)):
        if wanted in by:
            for part, figures in parts.items():
                lines += [
                    f"{wanted} {part}",
                    *_figure_lines((f"  {SCORES[name].long_label}", f) for name, f in figures.items()),
                ]
    return [*lines, *scores.remarks]


def _figure_lines(rows: Iterable[tuple[str, Estimate]]) -> list[str]:
    rows = list(rows)
    level = f"{rows[0][1].level:.0%} interval"
    table = [["", "value", level], *([name, f"{f.value:.4f}", f"{f.low:.4f} to {f.high:.4f}"] for name, f in rows)]
    warnings = dict.fromkeys(f.warning for _, f in rows if f.warning)
    return [*align(table), *(f"* {text}" for text in warnings)]


def _question(name: str) -> str:
    return QUESTIONS[int(name.rsplit(" ", 1)[-1]) - 1].text
