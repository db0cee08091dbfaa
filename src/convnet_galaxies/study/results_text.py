"""A study's results as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.study.arms import count_lenses
from convnet_galaxies.study.results import StudyResults


def render_results(results: StudyResults) -> str:
    """The answer in one sentence, all answers, the figures of every arm, flavors, the leaking split and remarks."""
    lines = [*filter(None, [results.sentence]), "", "Answers (paired by image, resample and seed)"]
    for question in dict.fromkeys(answer.question for answer in results.answers):
        lines += ["", question]
        lines += [f"  {answer.sentence}" for answer in results.answers if answer.question == question]
    scores = scores_of("lens", baselines=False)
    for stage in (1, 2):
        rows = [one for one in results.arms if one.stage == stage]
        if not rows:
            continue
        lines += ["", f"Held-out images of stage {stage}: {count_lenses(rows[0].n_lenses)} among {rows[0].n_images}"]
        shown = {name: score for name, score in scores.items() if all(name in one.figures for one in rows)}
        head = ["arm", "labels", "seeds", *(score.label for score in shown.values())]
        lines += align(
            [
                head,
                *(
                    [
                        one.arm,
                        f"{100 * one.fraction:g} % ({one.labels:,}, {count_lenses(one.label_lenses)})",
                        str(one.seeds),
                        *(brief(one.figures[name]) for name in shown),
                    ]
                    for one in rows
                ),
            ]
        )
    if results.flavors is not None:
        lines += ["", f"Flavors, stage 1: accuracy {brief(results.flavors.accuracy)}; rows true, columns predicted"]
        lines += align(
            [
                ["", *results.flavors.names],
                *(
                    [name, *map(str, row)]
                    for name, row in zip(results.flavors.names, results.flavors.counts, strict=True)
                ),
            ]
        )
    if results.flattery is not None:
        lines += ["", "What a random split by cutout flatters (stage 1, from scratch, all labels)"]
        lines += align(
            [
                ["", "leaking split", "whole fields held out", "difference"],
                *(
                    [
                        scores[name].label,
                        brief(results.flattery.leaking[name]),
                        brief(results.flattery.honest[name]),
                        brief(results.flattery.difference[name], signed=True),
                    ]
                    for name in scores
                    if name in results.flattery.difference
                ),
            ]
        )
    if results.remarks:
        lines += ["", *results.remarks]
    if any(figure.warning for one in results.arms for figure in one.figures.values()):
        lines += ["", "* few groups or one seed: the interval is rough"]
    return "\n".join(lines)


def brief(figure: Estimate, *, signed: bool = False, digits: int = 3) -> str:
    """A figure with its interval, e.g. ``0.981 (0.962 to 0.991)``; a star where there is a warning."""
    sign = "+" if signed else ""
    star = " *" if figure.warning else ""
    return f"{figure.value:{sign}.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f}){star}"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text as aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
