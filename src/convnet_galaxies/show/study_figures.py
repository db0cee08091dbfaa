"""Drawings of a study: AUROC by number of labels, and the differences that answer its questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convnet_galaxies.measure.intervals import Figure
from convnet_galaxies.show.canvas import MARKERS, draw, look
from convnet_galaxies.show.figures import plot_intervals
from convnet_galaxies.show.page import Plot
from convnet_galaxies.study.results import Answer, ArmFigures


def plot_labels(arms: Sequence[ArmFigures], stage: int) -> Plot | None:
    """AUROC on one stage against the number of labels, a curve an arm; None without arms on that stage."""
    of_stage = [one for one in arms if one.stage == stage]
    if not of_stage:
        return None
    names = list(dict.fromkeys(one.arm for one in of_stage))
    by_share = any(one.labels is None for one in of_stage) or len({one.arm.endswith("stage 1") for one in of_stage}) > 1
    words = []
    with draw("share of the labels" if by_share else "labelled training images", f"AUROC on stage {stage}") as drawing:
        axes = drawing.axes
        for number, name in enumerate(names):
            rows = sorted((one for one in of_stage if one.arm == name), key=lambda one: one.fraction)
            at = [one.fraction if by_share or one.labels is None else one.labels for one in rows]
            # Curves of a kind stand beside each other, so that their bars can be told apart.
            x = np.array(at) * 1.035 ** (number - (len(names) - 1) / 2)
            figures = [one.figures["auroc"] for one in rows]
            values = np.array([figure.value for figure in figures])
            reach = [
                [figure.value - figure.low for figure in figures],
                [figure.high - figure.value for figure in figures],
            ]
            axes.errorbar(
                x,
                values,
                yerr=np.maximum(0, reach),
                marker=MARKERS[number % len(MARKERS)],
                capsize=2,
                elinewidth=1,
                label=name,
                **look(number),
            )
            words.append(
                f"{name}: " + ", ".join(f"{v:.3f} at {100 * r.fraction:g} %" for v, r in zip(values, rows, strict=True))
            )
        axes.set_xscale("log")
        ticks = sorted({one.fraction if by_share or one.labels is None else one.labels for one in of_stage})
        axes.set_xticks(ticks, [f"{100 * tick:g} %" if by_share else f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
        axes.legend(loc="lower right", fontsize=7)
    first = of_stage[0]
    return drawing.plot(
        f"AUROC on stage {stage} by number of labels. " + "; ".join(words),
        f"AUROC on the {first.n_images:,} held-out images of stage {stage} ({first.n_lenses:,} lenses), mean of "
        f"{first.seeds} seed{'s' * (first.seeds != 1)}; 95 % intervals over groups and seeds.",
    )


def plot_answers(answers: Sequence[Answer], name: str = "auroc", label: str = "AUROC") -> Plot | None:
    """Differences with their intervals, a line a question and share of the labels; None without answers."""
    if not answers:
        return None
    rows: list[tuple[str, Figure]] = []
    for question in dict.fromkeys(answer.question for answer in answers):
        for answer in answers:
            if answer.question == question:
                text = question.removeprefix("Does ").removesuffix("?").replace(" help ", ": ", 1)
                rows.append((f"{text}, {100 * answer.fraction:g} %", answer.differences[name]))
    return plot_intervals(
        rows,
        f"difference of {label}",
        f"Differences of {label}.",
        f"What each step changes in {label}, by share of the labels; paired by image, resample and seed. Orange: the "
        "interval leaves out 0.",
        zero=True,
    )
